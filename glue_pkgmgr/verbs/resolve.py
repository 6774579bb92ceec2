"""A request becomes a lock, or the reasons why it cannot: what `lock`, `check`, `launch` and `approve` share."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from glue_pkgmgr.core.allowlist import exact_version
from glue_pkgmgr.core.image import Break, breaks, requirements_of
from glue_pkgmgr.core.lock_faults import wanted_by
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.policy import AllowedPage, Policy, Reason, summarise
from glue_pkgmgr.core.request import Request
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import NotApproved, NotInstallable
from glue_pkgmgr.ports import Advisories, Progress, ResolvedRelease, Resolver, Unresolvable, silent
from glue_pkgmgr.verbs.allowed_index import AllowedIndex, Approvals

_MOST_ROUNDS = 12  # of resolving anew because of a licence or a vulnerability; each hides a release for good
_FEW_ROUNDS = 3  # where it is only to be found out whether more approvals would do
_SHOWN = 3  # versions named of a list
_ALIKE = 0.8  # of `difflib`: a letter or two apart
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingApproval:
    """A release that the request needs and nobody approved.

    `chain` leads from a requested project to it, both included. `uploaded` is aware UTC, `size` that of the best
    wheel in bytes, `licence` an SPDX expression; each None where it is not told. `others` says which other
    releases exist and why they are hidden, `replaces` which version of the Glue image it takes the place of.
    """

    project: ProjectName
    version: Version
    chain: tuple[ProjectName, ...]
    uploaded: datetime | None = None
    licence: str | None = None
    size: int | None = None
    others: str = ""
    replaces: Version | None = None

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A project of which the resolver could not choose freely: who wants it, and what stands in the way.

    `look_alike` says that its name is refused, whatever is approved; `withdrawn` that what was asked for of it was
    taken back. Of a `decisive` one no release can be chosen at all: more need not be said.
    """

    project: ProjectName
    chain: tuple[ProjectName, ...]
    told: str
    look_alike: bool = False
    withdrawn: bool = False
    decisive: bool = False

    def __str__(self) -> str:
        return f"{self.project}{wanted_by(self.chain)}: {self.told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request cannot be locked.

    `missing` are the approvals that would be enough: with them it could be; `obstacles` are then approved releases
    that other rules refuse. Where there are none, `obstacles` and the resolver's own `explanation` say what stands
    in the way, or `breaks` what the closure would break.
    """

    request: Request
    glue_version: str
    missing: tuple[MissingApproval, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    breaks: tuple[Break, ...] = ()
    explanation: str = ""

    @property
    def not_approved(self) -> bool:
        """Whether people have to decide first: approvals are missing, or a name or a release is refused."""
        return bool(self.missing) or any(one.look_alike or one.withdrawn for one in self.obstacles)

    @property
    def conflict(self) -> str:
        """The resolver's explanation where it is needed: where no obstacle says all by itself."""
        return "" if any(one.decisive for one in self.obstacles) else self.explanation

    def error(self) -> NotApproved | NotInstallable:
        """Return it as the error to raise."""
        wanted = ", ".join(str(item) for item in self.request)
        head = f"cannot lock {wanted} for Glue {self.glue_version}"
        lines = [f"  {obstacle}" for obstacle in self.obstacles]
        if self.missing:
            return NotApproved("\n".join([f"{head}: {_count(len(self.missing))}", *lines, *self._missing_lines()]))
        if self.breaks:
            head += ": it would break what the Glue image brings"
            lines += [f"  {one}" for one in self.breaks]
            lines.append(
                "  ask for releases that fit; or, if the jobs do without, list it as `may-break` of the bundle"
            )
        lines += [f"  {line.strip()}" for line in self.conflict.splitlines() if line.strip()]
        error = NotApproved if self.not_approved else NotInstallable
        return error("\n".join([head, *lines]))

    def _missing_lines(self) -> Iterator[str]:
        for one in self.missing:
            others = f"; also there: {one.others}" if one.others else ""
            yield f"  {one}{wanted_by(one.chain)} is not approved{others}"
        yield f"  approve what you want: {self.approve_command()}"

    def approve_command(self) -> str:
        """Return the command that would add just the missing approvals."""
        releases = " ".join(f'"{one}"' for one in self.missing)
        return f"glue-pkgmgr approve {releases} --reason …"


def _count(missing: int) -> str:
    return "1 release is not approved" if missing == 1 else f"{missing} releases are not approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How a request is resolved: against which index, by whom, and what is known already.

    `locked` are the locks that exist: a file they name must not have changed since. `preferred` versions are
    taken where they fit, and else those of the Glue image; of the projects in `upgrade` the newest is. `may_break`
    are projects of the Glue image that need not go on working.
    """

    index: AllowedIndex
    resolver: Resolver
    advisories: Advisories | None = None
    locked: Sequence[Lock] = ()
    preferred: Mapping[ProjectName, Version] = field(default_factory=dict)
    upgrade: Collection[ProjectName] = ()
    may_break: Collection[ProjectName] = ()
    progress: Progress = silent

    def lock(self, request: Request) -> Lock:
        """Return the lock of `request`: the closure, each release with the SHA-256 of every wheel it may get.

        Raises: NotApproved when approvals are missing; NotInstallable when no set of releases fits, when a file
        is not what was locked before, or when the Glue image would break; IndexAccessError.
        """
        outcome = self.attempt(request)
        if isinstance(outcome, Refusal):
            raise outcome.error()
        return outcome

    def attempt(self, request: Request) -> Lock | Refusal:
        """Return the lock of `request`, or all reasons why there is none.

        Raises: NotInstallable when a file is not what was locked before; IndexAccessError.
        """
        try:
            lock = self._resolved(request)
        except Unresolvable as e:
            return self._refusal(request, e)
        broken = tuple(one for one in breaks(lock.versions, lock.runtime) if one.project not in self.may_break)
        return self._refused(request, breaks=broken) if broken else lock

    def _refused(self, request: Request, **why: object) -> Refusal:
        version = self._policy.runtime.version
        return Refusal(request=request, glue_version=version, **why)  # type: ignore[arg-type]

    @property
    def _policy(self) -> Policy:
        return self.index.policy

    def _resolved(self, request: Request, rounds: int = _MOST_ROUNDS) -> Lock:
        runtime = self._policy.runtime
        known = {**runtime.preinstalled, **self.preferred}
        preferred = {project: version for project, version in known.items() if project not in self.upgrade}
        self.index.read_ahead(_probable(request, self.locked, runtime))
        for _ in range(rounds):
            releases = self.resolver.resolve(request, runtime, self.index, preferred)
            refused = self._refused_releases(releases)
            if not refused:
                return self._made(request, releases)
            for release, (reason, detail) in refused.items():
                self.index.refuse(release, reason, detail)
            listed = ", ".join(f"{project}=={version}" for project, version in refused)
            self.progress(f"refused after a closer look: {listed}; resolving anew")
        raise Unresolvable(f"each of {rounds} choices had a release that is refused after a closer look")

    def _refused_releases(self, releases: Sequence[ResolvedRelease]) -> dict[Release, tuple[Reason, str]]:
        """Return which of the chosen releases of others must not be used after all, and why."""
        chosen = [
            (one.project, one.version)
            for one in releases
            if one.project not in self._policy.internal
            and self._policy.runtime.preinstalled.get(one.project) != one.version
        ]
        # Some were refused while the resolver looked at them: no wheel could be built.
        refused = {release: self.index.refused[release] for release in chosen if release in self.index.refused}
        if refused:
            return refused
        if self._policy.licences:
            for project, version in chosen:
                if why := self._policy.licences.refused(self.index.licence(project, version)):
                    refused[project, version] = (Reason.LICENCE, why)
        return {**refused, **self._vulnerable(chosen)}

    def _vulnerable(self, releases: Sequence[Release]) -> dict[Release, tuple[Reason, str]]:
        if self.advisories is None or not releases:
            return {}
        found = vulnerabilities(releases, self.advisories, self._policy)
        return {release: (Reason.VULNERABLE, told) for release, told in found.items()}

    def _made(self, request: Request, releases: Sequence[ResolvedRelease]) -> Lock:
        requested = {item.project for item in request}
        pins = tuple(self._pin(release, requested) for release in releases)
        runtime = self._policy.runtime
        installed = [pin.release for pin in pins if not pin.preinstalled]
        return Lock(
            runtime=runtime,
            request=tuple(str(item) for item in request),
            pins=pins,
            allowlist_sha256=self._policy.allowlist.digest(installed, runtime),
            minimum_age_days=self._policy.minimum_age.days,
        )

    def _pin(self, release: ResolvedRelease, requested: set[ProjectName]) -> Pin:
        pin = Pin(
            project=release.project,
            version=release.version,
            wanted_by=() if release.project in requested else release.wanted_by,
            internal=release.project in self._policy.internal,
        )
        if self._policy.runtime.preinstalled.get(release.project) == release.version:
            return pin
        files = self.index.files(release.project, release.version)
        if not files:
            raise NotInstallable(f"{pin} was chosen although no wheel of it is visible; please report this")
        pin = replace(pin, licence=self.index.licence(release.project, release.version))
        if files[0].distribution.is_wheel:
            locked = tuple(_locked(one.file.filename, one.file.sha256, one.file.size) for one in files)
            pin = replace(pin, files=locked)
        else:
            sdist, wheel = files[0].file, self.index.built(release.project, files[0])
            pin = replace(
                pin,
                files=(_locked(wheel.filename, wheel.sha256, wheel.size),),
                built_from=_locked(sdist.filename, sdist.sha256, sdist.size),
            )
        self._require_same_bytes(pin)
        return pin

    def _require_same_bytes(self, pin: Pin) -> None:
        """Raise NotInstallable if a file of `pin` has other bytes than a lock has under its name."""
        for lock in self.locked:
            held = lock.pin(pin.project)
            if held is None or held.version != pin.version:
                continue
            before = {file.filename: file.sha256 for file in _files(held)}
            for file in _files(pin):
                if before.get(file.filename, file.sha256) != file.sha256:
                    raise NotInstallable(
                        f"{file.filename} is not the file that was locked: locked {before[file.filename]}, now "
                        f"{file.sha256}; a release never changes: find out who changed it. Nothing was locked; "
                        "should the new bytes be the right ones, remove the lock that has the others"
                    )

    # --- why not

    def _refusal(self, request: Request, cause: Unresolvable) -> Refusal:
        """Find out what is missing: approvals, if with some more of them there is a solution."""
        self.progress("finding out what is missing")
        refused = dict(self.index.refused)  # by now: what is tried below refuses more
        wanted = {item.project: item.specifier for item in request}
        for approvals in (Approvals.WHERE_SOME, Approvals.LEFT_ASIDE):
            index = self.index.with_approvals(approvals, wanted)
            relaxed = replace(self, index=index, preferred={**self._newest_approved(), **self.preferred})
            try:
                lock = relaxed._resolved(request, _FEW_ROUNDS)
            except NotInstallable:  # also where a release that nobody approved holds no readable wheel
                continue
            obstacles = [one for one in self._obstacles(index, refused) if _is_of(one, refused)]
            return self._refused(request, missing=tuple(self._missing(lock, index)), obstacles=tuple(obstacles))
        named = _names(cause)
        told = [
            one
            for one in self._obstacles(index, refused)
            if one.decisive or one.project in named or _is_of(one, refused)
        ]
        told.sort(key=lambda one: not one.decisive)
        return self._refused(request, obstacles=tuple(told), explanation=str(cause))

    def _newest_approved(self) -> dict[ProjectName, Version]:
        return {
            project: split.allowed[0].distribution.version
            for project, split in self.index.splits()
            if split and split.allowed
        }

    def _missing(self, lock: Lock, index: AllowedIndex) -> Iterator[MissingApproval]:
        for pin in lock.installed:
            if self._policy.approvals_of(pin.project, pin.version):
                continue
            best = index.files(pin.project, pin.version)[0].file
            split = self.index.split(pin.project)
            others = [one for one in split.hidden if one.version != pin.version] if split else []
            yield MissingApproval(
                project=pin.project,
                version=pin.version,
                chain=lock.reason(pin.project),
                uploaded=best.upload_time,
                licence=pin.licence,
                size=best.size,
                others=summarise(others, most=_SHOWN),
                replaces=self._policy.runtime.preinstalled.get(pin.project),
            )

    def _obstacles(self, index: AllowedIndex, refused: Mapping[Release, tuple[Reason, str]]) -> Iterator[Obstacle]:
        """Yield what keeps projects from being chosen, by project; `refused` are those of a closer look."""
        parents: dict[ProjectName, set[ProjectName]] = {}
        for project, required in index.requirements().items():
            for child in required:
                parents.setdefault(child, set()).add(project)
        strict = {**dict(self.index.splits()), **{project: self.index.split(project) for project, _ in refused}}
        for project in sorted({*strict, *dict(index.splits())}):
            approved = strict.get(project)
            closer = _only(approved, refused) if approved else None
            split = closer or (approved if approved and approved.allowed else index.split(project))
            wanted = index.wanted.get(project, SpecifierSet())
            if told := _told(project, split, self._policy, wanted):
                yield Obstacle(
                    project=project,
                    chain=_chain(project, index.wanted, parents),
                    told=told,
                    look_alike=self._policy.taken_for(project) is not None,
                    withdrawn=bool(_told_withdrawn(project, split, self._policy, wanted)),
                    decisive=split is None or not split.allowed,
                )


def _only(split: AllowedPage, refused: Mapping[Release, tuple[Reason, str]]) -> AllowedPage | None:
    """Return the page with those hidden files only that a closer look refused; None if there are none."""
    hidden = tuple(one for one in split.hidden if one.version and (split.project, one.version) in refused)
    return replace(split, tell_hidden=lambda: hidden) if hidden else None


def _is_of(obstacle: Obstacle, refused: Collection[Release]) -> bool:
    return any(project == obstacle.project for project, _ in refused)


def _names(cause: Unresolvable) -> set[str]:
    """Return every word of the resolver's explanation that may be a project."""
    return {canonicalize_name(word) for word in _WORD.findall(str(cause))}


def vulnerabilities(releases: Sequence[Release], advisories: Advisories, policy: Policy) -> dict[Release, str]:
    """Return the known vulnerabilities of `releases`, in words, those left out that an exception covers.

    Raises: as `Advisories.of`.
    """
    today = policy.now.date()
    found: dict[Release, str] = {}
    for release, known in advisories.of(releases).items():
        left = [
            one
            for one in known
            if not any(it.covers(release[0], one, today) for it in policy.allowlist.exceptions)
        ]
        if left:
            found[release] = ", ".join(map(str, left))
    return found


def _locked(filename: str, sha256: str | None, size: int | None) -> LockedFile:
    return LockedFile(filename=filename, sha256=sha256 or "", size=size)


def _files(pin: Pin) -> Iterable[LockedFile]:
    return (*pin.files, *((pin.built_from,) if pin.built_from else ()))


def _told(project: ProjectName, split: AllowedPage | None, policy: Policy, wanted: SpecifierSet) -> str:
    """Say which releases of a project the resolver could not choose; empty if it could choose all.

    `wanted` is what the request itself asks for.
    """
    if (ours := policy.taken_for(project)) is not None:
        return f"{Reason.LOOK_ALIKE}; is {ours} meant?"
    if withdrawn := _told_withdrawn(project, split, policy, wanted):
        return withdrawn
    if split is None:
        internal = project in policy.internal
        return "not in the approved repository; publish it first" if internal else _not_in_store(project, policy)
    if not split.withheld:
        return _told_of_ours(split, wanted) if project in policy.internal else ""
    kept = f"{_releases(split)} can be chosen, " if split.allowed else "none can be chosen: "
    return f"{kept}{summarise(split.withheld)}"


def _not_in_store(project: ProjectName, policy: Policy) -> str:
    import difflib  # only here: most requests name what there is

    known = {*policy.allowlist.projects, *policy.runtime.preinstalled} - {project}
    close = difflib.get_close_matches(project, known, n=1, cutoff=_ALIKE)
    return f"not in the store; is {close[0]} meant?" if close else "not in the store; check the name"


def _told_withdrawn(project: ProjectName, split: AllowedPage | None, policy: Policy, wanted: SpecifierSet) -> str:
    """Say which of the wanted releases of a project were withdrawn, where none of the others suits; else nothing.

    By the allow-list: in the repository such a release is on no page any more.
    """
    if split and any(wanted.contains(one.distribution.version, prereleases=True) for one in split.allowed):
        return ""
    gone = (
        (version, one)
        for one in policy.allowlist.withdrawn
        if one.project == project
        and (version := exact_version(one.versions)) is not None
        and wanted.contains(version, prereleases=True)
    )
    return "; ".join(f"{version}: {Reason.WITHDRAWN} ({one.why})" for version, one in gone)


def _told_of_ours(split: AllowedPage, wanted: SpecifierSet) -> str:
    """Say why no other release of an internal project counts; empty if one suits."""
    if any(wanted.contains(one.distribution.version, prereleases=True) for one in split.allowed):
        return ""
    return f"{_releases(split)} can be chosen; it is internal: a release of that name in the store is never taken"


def _releases(split: AllowedPage) -> str:
    versions = sorted({one.distribution.version for one in split.allowed}, reverse=True)
    shown = ", ".join(map(str, versions[:_SHOWN]))
    return f"{shown} and {len(versions) - _SHOWN} more" if len(versions) > _SHOWN else shown


def _probable(request: Request, locks: Iterable[Lock], runtime: GlueRuntime) -> list[ProjectName]:
    """Return the projects that a closure of `request` will probably hold, by what is known without any index."""
    wants = {project: {item.project for item in items} for project, items in requirements_of(runtime).items()}
    for lock in locks:
        for pin in lock.pins if lock.runtime.version == runtime.version else ():
            for parent in pin.wanted_by:
                wants.setdefault(parent, set()).add(pin.project)
    found = [item.project for item in request]
    for project in found:  # which grows meanwhile
        found += sorted(wants.get(project, set()).difference(found))
    return found


def _chain(
    project: ProjectName,
    requested: Collection[ProjectName],
    parents: Mapping[ProjectName, Collection[ProjectName]],
) -> tuple[ProjectName, ...]:
    """Return the shortest chain from a requested project to `project`; only `project` where none is known."""
    chains: deque[tuple[ProjectName, ...]] = deque([(project,)])
    seen = {project}
    while chains:
        chain = chains.popleft()
        if chain[0] in requested:
            return chain
        for parent in sorted(parents.get(chain[0], ())):
            if parent not in seen:
                seen.add(parent)
                chains.append((parent, *chain))
    return (project,)
