"""Verb: a request and the allow-list become a lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_from_toml, lock_to_toml
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.policy import AllowedPage, Policy, Reason, summarise
from glue_pkgmgr.core.request import Request, RequestItem, parse_items
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.errors import NotApproved, NotInstallable, SettingsError
from glue_pkgmgr.ports import MetadataReader, PackageIndex, ResolvedRelease, Resolver, Unresolvable
from glue_pkgmgr.settings import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A bundle's lock, where it was written, and whether the file changed."""

    bundle: str
    path: Path
    lock: Lock
    changed: bool


@dataclass(slots=True)
class AllowedIndex:
    """The store and our own releases as the resolver may see them; remembers what was hidden, and why.

    A project in `policy.internal` is read from the approved repository and never from the store.
    """

    policy: Policy
    store: PackageIndex
    approved: PackageIndex
    metadata_reader: MetadataReader
    pages: dict[ProjectName, AllowedPage | None] = field(default_factory=dict)

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the visible files of a project; None if the index knows no such project."""
        split = self.split(project)
        if split is None:
            return None
        return IndexPage(project=project, files=tuple(one.file for one in split.allowed))

    def metadata(self, project: ProjectName, filename: str) -> bytes | None:
        """Return the core metadata of a visible wheel."""
        split = self.split(project)
        for one in split.allowed if split else ():
            if one.file.filename == filename:
                return self.metadata_reader.read(self._source(project), one.file)
        return None

    def split(self, project: ProjectName) -> AllowedPage | None:
        """Return the page of a project, allowed and hidden files apart."""
        if project not in self.pages:
            page = self._source(project).page(project)
            # Whatever name the page gives itself: it was asked for as `project`, and is judged as that.
            self.pages[project] = None if page is None else self.policy.split(replace(page, project=project))
        return self.pages[project]

    def _source(self, project: ProjectName) -> PackageIndex:
        return self.approved if project in self.policy.internal else self.store


def resolve(request: Request, *, index: AllowedIndex, resolver: Resolver) -> Lock:
    """Return the lock of `request`: the closure, each release with the SHA-256 of every wheel it may get.

    Raises: NotApproved when a release is missing only because nobody approved it; NotInstallable when no
    set of releases fits; IndexAccessError when the index cannot be read.
    """
    runtime = index.policy.runtime
    try:
        releases = resolver.resolve(request, runtime, index)
    except Unresolvable as e:
        raise _explained(request, index, e) from e
    requested = {item.project for item in request}
    return Lock(
        runtime=runtime,
        request=tuple(str(item) for item in request),
        pins=tuple(_pin(release, index, requested) for release in releases),
    )


def _pin(release: ResolvedRelease, index: AllowedIndex, requested: set[ProjectName]) -> Pin:
    pin = Pin(
        project=release.project,
        version=release.version,
        wanted_by=() if release.project in requested else release.wanted_by,
        internal=release.project in index.policy.internal,
    )
    if index.policy.runtime.preinstalled.get(release.project) == release.version:
        return pin
    page = index.split(release.project)
    files = tuple(
        LockedFile(filename=one.file.filename, sha256=one.file.sha256 or "", size=one.file.size)
        for one in (page.of(release.version) if page else ())
    )
    if not files:
        raise NotInstallable(f"{pin} was chosen although no wheel of it is visible; please report this")
    return replace(pin, files=files)


def _explained(request: Request, index: AllowedIndex, cause: Unresolvable) -> NotInstallable | NotApproved:
    """Return the error for an unresolvable request: what was hidden, project by project, and the way out."""
    lines = [f"cannot lock {', '.join(str(item) for item in request)} for Glue {index.policy.runtime.version}"]
    pages = sorted(index.pages.items())
    lines += [sentence for project, page in pages if (sentence := _visibility(project, page, index.policy))]
    lines.append(_indented(str(cause)))
    asked = {item.project: item for item in request}
    if unapproved := [project for project, page in pages if page and _wants_approval(page, asked.get(project))]:
        approve = " ".join(f'"{project}==…"' for project in unapproved)
        lines.append(f"  approve what you need: glue-pkgmgr approve {approve} --reason …")
        return NotApproved("\n".join(lines))
    return NotInstallable("\n".join(lines))


def _visibility(project: ProjectName, page: AllowedPage | None, policy: Policy) -> str:
    """Say which releases of a project the resolver could not choose; empty if there are none."""
    if page is None:
        internal = project in policy.internal
        where = "the approved repository; publish it first" if internal else "the store; check the name"
        return f"  {project}: not in {where}"
    if not page.withheld:
        return ""
    how_much = "some releases are" if page.allowed else "every release is"
    return f"  {project}: {how_much} hidden ({summarise(page.withheld)})"


def _wants_approval(page: AllowedPage, item: RequestItem | None) -> bool:
    """Whether only an approval would show the resolver a release. `item` is the request's own wish, if any."""
    specifier = item.specifier if item else SpecifierSet()

    def suits(version: Version | None) -> bool:
        return version is not None and specifier.contains(version, prereleases=True)

    if any(suits(one.distribution.version) for one in page.allowed):
        return False
    return any(one.reason is Reason.NOT_APPROVED and suits(one.version) for one in page.hidden)


def _indented(text: str) -> str:
    return "\n".join(f"  {line.strip()}" for line in text.splitlines() if line.strip())


def lock_bundle(bundle: Bundle, folder: Path, *, index: AllowedIndex, resolver: Resolver) -> Locked:
    """Resolve `bundle` and write its lock into `folder`. An equal file is left alone.

    Raises: what `resolve` raises; SettingsError when the file cannot be written.
    """
    lock = resolve(bundle.modules, index=index, resolver=resolver)
    path = folder / bundle.lock_filename
    text = lock_to_toml(lock)
    changed = _written(path) != text
    if changed:
        _write(path, text)
    return Locked(bundle=bundle.name, path=path, lock=lock, changed=changed)


def _written(path: Path) -> str | None:
    """Return the text at `path`, with any line ends; None where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as e:
        raise SettingsError(f"cannot write {path}: {e.strerror}") from e


def read_lock(bundle: Bundle, folder: Path) -> Lock:
    """Return the lock of `bundle` from `folder`. Raises: SettingsError when absent or unreadable."""
    path = folder / bundle.lock_filename
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise SettingsError(
            f"bundle {bundle.name!r} has no lock for Glue {bundle.runtime.version}; "
            f"run `glue-pkgmgr lock {bundle.name}`"
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read {path}: {e}") from e
    return lock_from_toml(text, path.name)


def faults(bundle: Bundle, lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, where `lock` no longer agrees with the settings, the image and the allow-list.

    Needs no network. An empty list means the lock may be used.
    """
    found = []
    wanted = tuple(str(item) for item in bundle.modules)
    if lock.request != wanted:
        found.append(f"the bundle asks for {', '.join(wanted)}; the lock was made for {', '.join(lock.request)}")
    if lock.runtime.version != bundle.runtime.version:
        found.append(f"the bundle is for Glue {bundle.runtime.version}, the lock for {lock.runtime.version}")
    return [*found, *unusable_pins(lock, policy)]


def unusable_pins(lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, every pin that is not approved today, not in the image, or from the wrong source.

    Items of the request that no pin satisfies are told too: a merge or a hand has taken their pin away.
    """
    refused = policy.allowlist.refused(
        [(pin.project, pin.version) for pin in lock.installed], today=policy.now.date(), runtime=lock.runtime
    )
    absent = [
        pin for pin in lock.pins if pin.preinstalled and lock.runtime.preinstalled.get(pin.project) != pin.version
    ]
    strayed = [pin for pin in lock.installed if pin.internal != (pin.project in policy.internal)]
    return [
        *(f"it pins no release for {item}" for item in parse_items(lock.request) if not _satisfied(item, lock)),
        *(f"{name}=={version} is not approved{_chain(lock, name)}" for name, version in refused),
        *(f"{pin} is not in the Glue {lock.runtime.version} image" for pin in absent),
        *(f"{pin} {_wrong_source(pin)}" for pin in strayed),
    ]


def _satisfied(item: RequestItem, lock: Lock) -> bool:
    pin = lock.pin(item.project)
    return pin is not None and item.specifier.contains(pin.version, prereleases=True)


def _wrong_source(pin: Pin) -> str:
    if pin.internal:
        return "was locked from our own releases, but the settings no longer list it as internal"
    return "was locked from the store, but the settings list it as internal: it may only come from us"


def _chain(lock: Lock, project: ProjectName) -> str:
    chain = lock.reason(project)
    return f" (wanted by {' → '.join(chain[:-1])})" if len(chain) > 1 else ""


def require_usable(bundle: Bundle, lock: Lock, policy: Policy) -> None:
    """Raise NotApproved, naming every fault, unless `lock` agrees with settings and allow-list."""
    if found := faults(bundle, lock, policy):
        raise NotApproved(stale_text(bundle.name, found))


def stale_text(bundle: str, found: Sequence[str]) -> str:
    """Return the sentence for a lock that may not be used, one fault a line."""
    listed = "\n".join(f"  {fault}" for fault in found)
    return f"the lock of bundle {bundle!r} may not be used; approve or `glue-pkgmgr lock {bundle}`:\n{listed}"
