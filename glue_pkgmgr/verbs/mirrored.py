"""How the approved repository stands beside the locks: each locked release, and what is there beyond them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from packaging.version import Version

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.record import LaunchRecord
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, Status
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import GluePkgmgrError, NotInstallable
from glue_pkgmgr.ports import Asset, Repositories
from glue_pkgmgr.verbs.at_once import at_once


class Presence(StrEnum):
    """How a locked release stands in the approved repository."""

    PRESENT = "present"
    COPIED = "copied"
    BUILT = "built and published"
    MISSING = "missing"
    DIFFERENT = "different bytes"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"

    @property
    def fine(self) -> bool:
        """Whether a job can install what the lock names."""
        return self in (Presence.PRESENT, Presence.COPIED, Presence.BUILT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """One locked release and how it stands. `detail` says what is wrong, if anything is.

    `failure` is why it is not known, or could not be brought, with the presence FAILED.
    """

    pin: Pin
    presence: Presence
    detail: str = ""
    failure: GluePkgmgrError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Other bytes than the lock names, met where jobs install from or where they come from.

    `outcome` says what became of them, such as `removed again`.
    """

    pin: Pin
    detail: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """A release of the approved repository that no lock names. `internal` tells our own.

    `used_by` are the recorded launches that were to install it, the oldest first.
    """

    project: ProjectName
    version: Version
    internal: bool
    used_by: tuple[LaunchRecord, ...] = ()

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Something that is not as locks and settings want it: `where` it is, `what` is wrong, and what exactly."""

    where: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The two repositories, and what may come into them from where.

    `upstreams` are those that the approved repository is meant to have: none, or in the open shape the store.
    """

    store: RepositoryAddress
    approved: RepositoryAddress
    internal: frozenset[ProjectName] = frozenset()
    upstreams: tuple[str, ...] = ()

    def controls(self, project: ProjectName) -> OriginControls:
        """Return the origin controls that a project has to have in the approved repository.

        What is mirrored comes by copies alone: whoever could publish to it could add a file to a checked release.
        Our own projects come from nowhere else.
        """
        if project in self.internal:
            return OriginControls(publish=True, upstream=False)
        return OriginControls(publish=False, upstream=bool(self.upstreams))

    @property
    def controls_in_store(self) -> OriginControls:
        """The origin controls of our own projects in the store: no release of that name may ever come in."""
        return OriginControls(publish=False, upstream=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """How the approved repository stands. `entries` are the locked releases, sorted by project.

    `incidents` are other bytes than the locks name, `unlocked` the releases that no lock names, and `faults` what
    is wrong with the repositories themselves: origin controls, and where else they look.
    """

    places: Places
    entries: tuple[Mirrored, ...]
    incidents: tuple[Incident, ...] = ()
    unlocked: tuple[Unlocked, ...] = ()
    faults: tuple[Deviation, ...] = ()

    @property
    def unpublished(self) -> bool:
        """Whether a release of our own is missing, which no `sync` brings."""
        return any(one.pin.internal and one.presence is Presence.MISSING for one in self.entries)

    @property
    def lacking(self) -> tuple[Mirrored, ...]:
        """The locked releases that a job cannot install as they are locked."""
        return tuple(one for one in self.entries if not one.presence.fine)

    @property
    def extra(self) -> tuple[Unlocked, ...]:
        """The releases of others that no lock names. None in the open shape, where jobs bring them in."""
        return () if self.places.upstreams else tuple(one for one in self.unlocked if not one.internal)

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """Everything that is not as locks and settings want it; empty if all is well."""
        return (
            *self.faults,
            *(Deviation(where=str(one.pin), what=one.presence.value, detail=one.detail) for one in self.lacking),
            *(Deviation(where=str(one), what="extra", detail="no lock names it") for one in self.extra),
        )


def pins_of(locks: Iterable[Lock]) -> list[Pin]:
    """Return every release that some lock installs, once, with the files of all locks, sorted by project.

    Raises: NotInstallable when two locks name different bytes for one file, or a release that is built and copied.
    """
    merged: dict[str, Pin] = {}
    for lock in locks:
        for pin in lock.installed:
            known = merged.setdefault(str(pin), pin)
            if known.built_from != pin.built_from:
                raise NotInstallable(
                    f"the locks disagree about where {pin} comes from: one was built from an sdist; "
                    "run `glue-pkgmgr lock`"
                )
            merged[str(pin)] = replace(known, files=_merged_files(known.files, pin.files))
    return [merged[key] for key in sorted(merged)]


def _merged_files(known: Sequence[LockedFile], more: Sequence[LockedFile]) -> tuple[LockedFile, ...]:
    files = {file.filename: file for file in known}
    for file in more:
        other = files.setdefault(file.filename, file)
        if other.sha256 != file.sha256:
            raise NotInstallable(
                f"the locks disagree about {file.filename}: {other.sha256[:12]}… and {file.sha256[:12]}…; "
                "run `glue-pkgmgr lock`, and find out who changed it"
            )
    return tuple(files.values())


class Looking:
    """Compares what the locks name with what a repository holds."""

    def __init__(self, locks: Sequence[Lock], address: RepositoryAddress, repositories: Repositories) -> None:
        self.pins = pins_of(locks)
        self._address = address
        self._repositories = repositories
        self._runtimes: dict[str, list[GlueRuntime]] = {}
        for lock in locks:
            for pin in lock.installed:
                self._runtimes.setdefault(str(pin), []).append(lock.runtime)

    def statuses(self, projects: Iterable[ProjectName]) -> dict[ProjectName, Mapping[Version, Status]]:
        """Return the versions of each project with their status. Raises: RemoteError."""
        wanted = list(projects)
        found = at_once(lambda project: self._repositories.versions(self._address, project), wanted)
        return dict(zip(wanted, found, strict=True))

    def all(self, statuses: Mapping[ProjectName, Mapping[Version, Status]]) -> list[Mirrored]:
        """Return how every locked release stands, in the order of `pins`. Raises: RemoteError."""
        return at_once(lambda pin: self.one(pin, statuses.get(pin.project, {}).get(pin.version)), self.pins)

    def one(self, pin: Pin, status: Status | None) -> Mirrored:
        """Return how one release stands that has this status, None if it is not there. Raises: RemoteError."""
        if status is None:
            return Mirrored(pin=pin, presence=Presence.MISSING)
        if status.gone:
            return Mirrored(pin=pin, presence=Presence.MISSING, detail=status)
        if status is not Status.PUBLISHED:
            # On no page, or not handed out: somebody has taken it back, and sync must not undo that.
            return Mirrored(pin=pin, presence=Presence.WITHDRAWN, detail=status)
        assets = self._repositories.assets(self._address, pin.project, pin.version)
        return examine(pin, assets, self._runtimes[str(pin)])


def standing(locks: Iterable[Lock], *, approved: RepositoryAddress, repositories: Repositories) -> list[Mirrored]:
    """Return how every locked release stands in the approved repository; nothing else is looked at.

    Raises: RemoteError.
    """
    looking = Looking(list(locks), approved, repositories)
    return looking.all(looking.statuses(sorted({pin.project for pin in looking.pins})))


def require_complete(mirrored: Iterable[Mirrored], approved: RepositoryAddress) -> None:
    """Raise NotInstallable that names every release the approved repository lacks or has differently."""
    if wrong := [one for one in mirrored if not one.presence.fine]:
        raise NotInstallable(lacking_text(wrong, approved))


def lacking_text(wrong: Sequence[Mirrored], approved: RepositoryAddress) -> str:
    """Return the sentence for locked releases that the approved repository lacks or has differently."""
    listed = "\n".join(f"  {one.pin}: {one.presence}{one.detail and f' ({one.detail})'}" for one in wrong)
    owned = {one.pin.internal for one in wrong}
    verbs = [verb for verb, internal in (("publish", True), ("mirror sync", False)) if internal in owned]
    bring = ", then ".join(f"`glue-pkgmgr {verb}`" for verb in verbs)
    return f"{approved} does not hold what the lock names; run {bring}:\n{listed}"


def examine(pin: Pin, assets: Sequence[Asset], runtimes: Collection[GlueRuntime]) -> Mirrored:
    """Compare the files of one release with the lock. `assets` is what the repository holds of it.

    A wheel that one of `runtimes`, those of the locks, would take but no lock names counts as different bytes:
    an installer that is told the version only would prefer it, by its build number for one.
    """
    held = {asset.filename: asset.sha256 for asset in assets}
    different = [file for file in pin.files if held.get(file.filename, file.sha256) != file.sha256]
    if different:
        file = different[0]
        detail = f"{file.filename}: locked {file.sha256[:12]}…, there {held[file.filename][:12]}…"
        return Mirrored(pin=pin, presence=Presence.DIFFERENT, detail=detail)
    if stranger := next((name for name in held if _would_be_taken(name, pin, runtimes)), None):
        detail = f"{stranger} is there but not in the lock; if it belongs there, `glue-pkgmgr lock` again"
        return Mirrored(pin=pin, presence=Presence.DIFFERENT, detail=detail)
    absent = [file.filename for file in pin.files if file.filename not in held]
    if absent:
        return Mirrored(pin=pin, presence=Presence.MISSING, detail=absent[0] if held else "")
    return Mirrored(pin=pin, presence=Presence.PRESENT)


def _would_be_taken(filename: str, pin: Pin, runtimes: Collection[GlueRuntime]) -> bool:
    """Whether a job could get this file although its lock does not name it."""
    if any(file.filename == filename for file in pin.files):
        return False
    try:
        tags = parse_filename(filename).tags
    except InvalidFilename:  # a signature, say: no installer takes it
        return False
    return any(runtime.rank(tags) is not None for runtime in runtimes)
