"""What is missing in the approved repository is copied or built, closed, and compared with the lock."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock as Mutex

from packaging.version import Version

from glue_pkgmgr.core.lockfile import Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, Status
from glue_pkgmgr.errors import GluePkgmgrError, NotInstallable
from glue_pkgmgr.ports import CopyRefusal, NotCopied, PackageIndex, Progress, Repositories
from glue_pkgmgr.verbs.mirrored import Incident, Looking, Mirrored, Places, Presence

# A release that was just brought into the store may take a while to be seen there by the API
# (User Guide, "Requesting Python packages from upstreams and external connections").
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds
_OPEN = OriginControls(publish=True, upstream=True)

Controls = Mapping[ProjectName, OriginControls]
"""Origin controls by project."""


def to_bring(one: Mirrored) -> bool:
    """Whether a release has to come from the store, or be built."""
    return one.presence in (Presence.MISSING, Presence.DIFFERENT) and not one.pin.internal


def set_controls(
    repositories: Repositories, address: RepositoryAddress, project: ProjectName, controls: OriginControls
) -> None:
    """Give a project of a repository these origin controls. Raises: RemoteError."""
    repositories.set_origin(address, project, publish=controls.publish, upstream=controls.upstream)


class _OtherBytes(NotInstallable):
    """The store hands out a file that is not the locked one."""


@dataclass(slots=True, kw_only=True)
class Bringing:
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
            set_controls(self.repositories, self.places.approved, project, wanted)
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
                set_controls(self.repositories, self.places.approved, pin.project, _OPEN)
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
