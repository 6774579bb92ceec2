"""Verb: the approved repository gets exactly what the locks name, and is compared with them."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from threading import Lock as Mutex

from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks, Status
from glue_pkgmgr.errors import GluePkgmgrError, NotInstallable, SettingsError
from glue_pkgmgr.ports import CopyRefusal, LaunchRecords, NotCopied, PackageIndex, Progress, Repositories
from glue_pkgmgr.verbs.mirrored import (
    Deviation,
    Incident,
    Looking,
    Mirrored,
    MirrorReport,
    Places,
    Presence,
    Unlocked,
    at_once,
    pins_of,
)

# A release that was just brought into the store may take a while to be seen there by the API
# (User Guide, "Requesting Python packages from upstreams and external connections").
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds
_CONTROLS = "origin controls"
_OPEN = OriginControls(publish=True, upstream=True)

Controls = Mapping[ProjectName, OriginControls]


def verify(
    locks: Iterable[Lock], *, places: Places, repositories: Repositories, records: LaunchRecords
) -> MirrorReport:
    """Return how the approved repository stands beside the locks; nothing is changed.

    Raises: RemoteError; SettingsError for a record of a launch that cannot be read.
    """
    looking = Looking(list(locks), places.approved, repositories)
    packages, in_store, links = _overview(places, repositories)
    statuses = looking.statuses(packages)
    entries = looking.all(statuses)
    used = {one.pin.project for one in entries} | {project for project in packages if _offered(statuses[project])}
    return MirrorReport(
        places=places,
        entries=tuple(entries),
        incidents=tuple(
            Incident(pin=one.pin, detail=one.detail, outcome="still there")
            for one in entries
            if one.presence is Presence.DIFFERENT
        ),
        unlocked=_unlocked(statuses, looking.pins, places, records),
        faults=(*_link_faults(places, links), *_control_faults(places, packages, in_store, used)),
    )


def sync(
    locks: Iterable[Lock],
    *,
    places: Places,
    repositories: Repositories,
    open_store: Callable[[], PackageIndex],
    bring_built: Callable[[Pin], None],
    records: LaunchRecords,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> MirrorReport:
    """Bring every locked release into the approved repository, checked file by file; say how it stands then.

    First every internal name is closed to releases of others, there and in the store. Then what is missing is
    copied, or built from its sdist by `bring_built`, closed to publishing, and compared with the lock. Bytes that
    differ are removed again, also where they were there before; releases of our own are only looked at, `publish`
    brings them. What somebody has withdrawn stays so. `open_store` gives the store's index, asked only for what
    the store does not hold yet.

    Safe to repeat, to interrupt, and to run twice at once. What fails is in the report, all else being done.

    Raises: NotInstallable when the locks disagree; RemoteError before anything was copied; SettingsError for a
    record of a launch that cannot be read.
    """
    looking = Looking(list(locks), places.approved, repositories)
    packages, in_store, links = _overview(places, repositories)
    _close_internal_names(places, packages, in_store, repositories)
    statuses = looking.statuses(packages)
    entries = looking.all(statuses)
    bringing = _Bringing(
        looking=looking,
        places=places,
        packages=packages,
        statuses=statuses,
        repositories=repositories,
        open_store=open_store,
        bring_built=bring_built,
        progress=progress,
        sleep=sleep,
        total=sum(_to_bring(one) for one in entries),
    )
    if bringing.total:
        releases = "1 release" if bringing.total == 1 else f"{bringing.total} releases"
        progress(f"bringing {releases} into {places.approved}")
    by_project = [list(group) for _, group in groupby(entries, key=lambda one: one.pin.project)]
    brought = [one for group in at_once(bringing.project, by_project) for one in group]
    locked = {pin.project for pin in looking.pins}
    others = [
        project for project in packages if project not in locked | places.internal and _offered(statuses[project])
    ]
    unclosed = zip(others, at_once(bringing.close, others), strict=True)
    return MirrorReport(
        places=places,
        entries=tuple(brought),
        incidents=tuple(incident for _, incident in sorted(bringing.incidents.items())),
        unlocked=_unlocked(statuses, looking.pins, places, records),
        faults=(
            *_link_faults(places, links),
            *(Deviation(where=one, what=_CONTROLS, detail=str(error)) for one, error in unclosed if error),
        ),
    )


def prune(
    releases: Sequence[Unlocked],
    locks: Iterable[Lock],
    *,
    places: Places,
    repositories: Repositories,
    progress: Progress,
) -> None:
    """Delete `releases` from the approved repository; one that is gone already is no error.

    `locks` are those of every bundle. Deleted, not disposed of: a later approval can bring the same version back.

    Raises: SettingsError, and nothing is deleted, when one is of our own or locked by now; RemoteError.
    Source: CodeArtifact API, DeletePackageVersions.
    """
    locked = {str(pin) for pin in pins_of(locks)}
    if kept := [str(one) for one in releases if one.project in places.internal or str(one) in locked]:
        raise SettingsError(f"not pruned, as a lock names them or they are our own: {', '.join(kept)}")
    for one in releases:
        repositories.delete(places.approved, one.project, one.version)
        progress(f"removed {one} from {places.approved}")


def _to_bring(one: Mirrored) -> bool:
    return one.presence in (Presence.MISSING, Presence.DIFFERENT) and not one.pin.internal


def _offered(statuses: Mapping[Version, Status]) -> bool:
    """Whether a project has a release that somebody can download."""
    return any(status.downloadable for status in statuses.values())


def _unlocked(
    statuses: Mapping[ProjectName, Mapping[Version, Status]],
    pins: Iterable[Pin],
    places: Places,
    records: LaunchRecords,
) -> tuple[Unlocked, ...]:
    locked = {(pin.project, pin.version) for pin in pins}
    found = [
        (project, version)
        for project, versions in sorted(statuses.items())
        for version, status in versions.items()
        if status.downloadable and (project, version) not in locked
    ]
    launches = records.all() if found else ()
    return tuple(
        Unlocked(
            project=project,
            version=version,
            internal=project in places.internal,
            used_by=tuple(launch for launch in launches if launch.installs(project, version)),
        )
        for project, version in found
    )


def _overview(places: Places, repositories: Repositories) -> tuple[Controls, Controls, RepositoryLinks]:
    """Return the packages of the approved repository and of the store, and where the former looks.

    Those of the store may be many, and count only where there are internal names. Raises: RemoteError.
    """
    with ThreadPoolExecutor(3) as pool:
        packages = pool.submit(repositories.packages, places.approved)
        in_store = pool.submit(repositories.packages, places.store) if places.internal else None
        links = pool.submit(repositories.links, places.approved)
        return packages.result(), in_store.result() if in_store else {}, links.result()


def _link_faults(places: Places, links: RepositoryLinks) -> list[Deviation]:
    behind = [
        *(("upstream", name) for name in links.upstreams if name not in places.upstreams),
        *(("external connection", name) for name in links.external_connections),
    ]
    return [
        Deviation(
            where=places.approved.repository,
            what=kind,
            detail=f"looks into {name} too: jobs can install what nobody approved; remove it",
        )
        for kind, name in behind
    ]


def _control_faults(
    places: Places, packages: Controls, in_store: Controls, used: Collection[ProjectName]
) -> list[Deviation]:
    """Return where origin controls are not as they have to be; `used` projects have a release that counts."""
    approved = places.internal | {project for project in packages if project in used}
    wanted = {project: places.controls(project) for project in sorted(approved)}
    in_store_wanted = dict.fromkeys(sorted(places.internal), places.controls_in_store)
    return [
        *_wrong_controls(places.approved, packages, wanted),
        *_wrong_controls(places.store, in_store, in_store_wanted),
    ]


def _wrong_controls(address: RepositoryAddress, held: Controls, wanted: Controls) -> list[Deviation]:
    return [
        Deviation(
            where=project,
            what=_CONTROLS,
            detail=f"in {address.repository}: {held.get(project, 'none')}; should be: {controls}",
        )
        for project, controls in wanted.items()
        if held.get(project) != controls
    ]


def _close_internal_names(
    places: Places, packages: Controls, in_store: Controls, repositories: Repositories
) -> None:
    """Make sure that no release of others can come in under an internal name, before it is ever published."""
    for project in sorted(places.internal):
        for address, held, wanted in (
            (places.store, in_store, places.controls_in_store),
            (places.approved, packages, places.controls(project)),
        ):
            if held.get(project) != wanted:
                _set_controls(repositories, address, project, wanted)


def _set_controls(
    repositories: Repositories, address: RepositoryAddress, project: ProjectName, controls: OriginControls
) -> None:
    repositories.set_origin(address, project, publish=controls.publish, upstream=controls.upstream)


class _OtherBytes(NotInstallable):
    """The store hands out a file that is not the locked one."""


@dataclass(slots=True, kw_only=True)
class _Bringing:
    """Brings what is missing into the approved repository; each project is the work of one thread.

    `packages` and `statuses` tell what was there before, `total` how many releases are to be brought.
    """

    looking: Looking
    places: Places
    packages: Controls
    statuses: Mapping[ProjectName, Mapping[Version, Status]]
    repositories: Repositories
    open_store: Callable[[], PackageIndex]
    bring_built: Callable[[Pin], None]
    progress: Progress
    sleep: Callable[[float], None]
    total: int
    incidents: dict[str, Incident] = field(default_factory=dict)
    _opened: set[ProjectName] = field(default_factory=set)
    _done: int = 0
    _mutex: Mutex = field(default_factory=Mutex)
    _building: Mutex = field(default_factory=Mutex)  # one build at a time: each may use the whole machine

    def project(self, found: Sequence[Mirrored]) -> list[Mirrored]:
        """Return how the releases of one project stand when what can be done is done. Raises nothing of ours."""
        if found[0].pin.internal:
            for one in found:
                if one.presence is Presence.DIFFERENT:
                    self._note(one.pin, one.detail, "still there: it is our own")
            return list(found)
        cleared = [self._cleared(one) for one in found]
        wanted = [one.pin for one in cleared if one.presence is Presence.MISSING]
        failed = self._bring(wanted)
        project = found[0].pin.project
        there = project in self.packages or len(failed) < len(wanted)
        unclosed = self.close(project) if there else None
        return [self._ended(one, failed.get(one.pin.version), unclosed) for one in cleared]

    def close(self, project: ProjectName) -> GluePkgmgrError | None:
        """Give a project the origin controls it has to have, unless it has them; return why that failed."""
        wanted = self.places.controls(project)
        if self.packages.get(project) == wanted and project not in self._opened:
            return None
        try:
            _set_controls(self.repositories, self.places.approved, project, wanted)
        except GluePkgmgrError as e:
            return e
        return None

    def _cleared(self, one: Mirrored) -> Mirrored:
        """Make room for a release whose bytes differ, or are gone for good; return how it stands then."""
        status = self.statuses.get(one.pin.project, {}).get(one.pin.version)
        if one.presence is Presence.DIFFERENT:
            # Left there, any job that goes around us could install it.
            return self._removed(one, "removed", Mirrored(pin=one.pin, presence=Presence.MISSING))
        if status is not None and status.gone:
            try:
                self.repositories.delete(self.places.approved, one.pin.project, one.pin.version)
            except GluePkgmgrError as e:
                return _failed(one.pin, e)
        return one

    def _removed(self, one: Mirrored, outcome: str, after: Mirrored) -> Mirrored:
        """Delete a release whose bytes differ, note the incident, and return `after`."""
        try:
            self.repositories.delete(self.places.approved, one.pin.project, one.pin.version)
        except GluePkgmgrError as e:
            self._note(one.pin, one.detail, f"still there: {e}")
            return one
        self._note(one.pin, one.detail, outcome)
        return after

    def _note(self, pin: Pin, detail: str, outcome: str) -> None:
        self.incidents[str(pin)] = Incident(pin=pin, detail=detail, outcome=outcome)

    def _bring(self, pins: Sequence[Pin]) -> dict[Version, Mirrored]:
        """Copy or build releases of one project; return those that could not be brought."""
        failed: dict[Version, Mirrored] = {}
        for pin in pins:
            if pin.built_from is not None:
                self._opened.add(pin.project)
                try:
                    with self._building:
                        self.bring_built(pin)
                except GluePkgmgrError as e:
                    failed[pin.version] = _failed(pin, e)
        return failed | self._copy([pin for pin in pins if pin.built_from is None])

    def _copy(self, pins: Sequence[Pin]) -> dict[Version, Mirrored]:
        """Copy releases of one project, with a remedy for each refusal that has one."""
        failed: dict[Version, Mirrored] = {}
        times: Counter[tuple[Version, CopyRefusal]] = Counter()
        pending = {pin.version: pin for pin in pins}
        while pending:
            refused = self._refused(pending, failed)
            again = {}
            for version, refusal in refused.items():
                pin = pending[version]
                try:
                    if self._remedied(pin, refusal.reason, times[version, refusal.reason]):
                        again[version] = pin
                    else:
                        failed[version] = Mirrored(pin=pin, presence=Presence.MISSING, detail=refusal.detail)
                except GluePkgmgrError as e:
                    failed[version] = self._kept_out(pin, e)
                times[version, refusal.reason] += 1
            pending = again
        return failed

    def _refused(
        self, pending: Mapping[Version, Pin], failed: dict[Version, Mirrored]
    ) -> Mapping[Version, NotCopied]:
        """Copy `pending` and return what was refused; an error of the call counts for all of it."""
        project = next(iter(pending.values())).project
        try:
            return self.repositories.copy(self.places.store, self.places.approved, project, pending)
        except GluePkgmgrError as e:
            failed.update({version: _failed(pin, e) for version, pin in pending.items()})
            return {}

    def _remedied(self, pin: Pin, reason: CopyRefusal, times: int) -> bool:
        """Do what may help against a refusal met `times` before; return whether to copy again."""
        match reason:
            case CopyRefusal.ABSENT if times == 0:
                self._ingest(pin)
                return True
            case CopyRefusal.ABSENT if times <= len(_PAUSES):
                self.sleep(_PAUSES[times - 1])
                return True
            case CopyRefusal.OCCUPIED if times == 0:
                self.repositories.delete(self.places.approved, pin.project, pin.version)
                return True
            case CopyRefusal.BLOCKED if times == 0:
                # Whether a copy counts as publishing is written nowhere: it is closed again right after.
                self._opened.add(pin.project)
                _set_controls(self.repositories, self.places.approved, pin.project, _OPEN)
                return True
            case _:
                return False

    def _ingest(self, pin: Pin) -> None:
        """Make the store hold a release, by fetching one of its locked files through the store's index.

        Raises: _OtherBytes; NotInstallable when the index does not list it; IndexAccessError; RemoteError.
        Source: CodeArtifact User Guide, "Requesting a package version with upstream repositories" (retention).
        """
        index = self.open_store()
        page = index.page(pin.project)
        links = {file.filename: file.url for file in page.files} if page else {}
        listed = [file for file in pin.files if file.filename in links]
        if not listed:
            raise NotInstallable(
                f"{self.places.store} does not list {pin.files[0].filename}; if it is gone for good, lock again"
            )
        smallest = min(listed, key=lambda file: (file.size is None, file.size))
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as scratch:
            try:
                index.download(links[smallest.filename], Path(scratch) / smallest.filename, smallest.sha256)
            except NotInstallable as e:
                raise _OtherBytes(str(e)) from e

    def _kept_out(self, pin: Pin, error: GluePkgmgrError) -> Mirrored:
        if isinstance(error, _OtherBytes):
            self._note(pin, str(error), "kept out")
            return Mirrored(pin=pin, presence=Presence.DIFFERENT, detail=str(error))
        return _failed(pin, error)

    def _ended(self, one: Mirrored, failed: Mirrored | None, unclosed: GluePkgmgrError | None) -> Mirrored:
        """Return how a release stands in the end, and tell of one that was to be brought."""
        if one.presence is not Presence.MISSING:
            return _failed(one.pin, unclosed) if unclosed and one.presence.fine else one
        outcome = failed or self._checked(one.pin)
        if unclosed and outcome.presence.fine:
            outcome = _failed(one.pin, unclosed)
        with self._mutex:
            self._done += 1
            self.progress(f"{outcome.presence} {self._done} of {self.total}: {one.pin}")
        return outcome

    def _checked(self, pin: Pin) -> Mirrored:
        """Compare what was brought with the lock; bytes that differ are removed again."""
        try:
            after = self._seen(pin)
        except GluePkgmgrError as e:
            return _failed(pin, e)
        if after.presence is Presence.DIFFERENT:
            return self._removed(after, "removed again", after)
        if after.presence is not Presence.PRESENT:
            return after
        if met := self.incidents.get(str(pin)):
            self._note(pin, met.detail, "removed, and brought anew as locked")
        return replace(after, presence=Presence.COPIED if pin.built_from is None else Presence.BUILT)

    def _seen(self, pin: Pin) -> Mirrored:
        """Look at a release that was just brought; the service may take a moment to show its files."""
        for pause in _PAUSES[:3]:
            found = self.looking.one(pin, Status.PUBLISHED)
            if found.presence is not Presence.MISSING:
                return found
            self.sleep(pause)
        return self.looking.one(pin, Status.PUBLISHED)


def _failed(pin: Pin, error: GluePkgmgrError) -> Mirrored:
    if isinstance(error, NotInstallable):
        return Mirrored(pin=pin, presence=Presence.MISSING, detail=str(error))
    return Mirrored(pin=pin, presence=Presence.FAILED, detail=str(error), failure=error)
