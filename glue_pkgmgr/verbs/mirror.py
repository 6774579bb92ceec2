"""Verb: the approved repository gets exactly what the locks name, and is compared with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import NotInstallable
from glue_pkgmgr.ports import Asset, Progress, Repositories

_AT_ONCE = 5  # CodeArtifact grants 5 CopyPackageVersions a second (User Guide, "Quotas")


class Presence(StrEnum):
    """How a locked release stands in the approved repository."""

    PRESENT = "present"
    COPIED = "copied"
    MISSING = "missing"
    DIFFERENT = "different bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """One locked release and how it stands. `detail` says what is wrong, if anything is."""

    pin: Pin
    presence: Presence
    detail: str = ""


def pins_of(locks: Iterable[Lock]) -> list[Pin]:
    """Return every release that some lock installs, once, with the files of all locks, sorted by project.

    Raises: NotInstallable when two locks name different bytes for one file.
    """
    merged: dict[str, Pin] = {}
    for lock in locks:
        for pin in lock.installed:
            known = merged.get(str(pin))
            merged[str(pin)] = Pin(
                project=pin.project,
                version=pin.version,
                files=_merged_files(known.files if known else (), pin.files),
                internal=pin.internal,
            )
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


def sync(
    locks: Iterable[Lock],
    *,
    store: RepositoryAddress,
    approved: RepositoryAddress,
    repositories: Repositories,
    progress: Progress,
) -> list[Mirrored]:
    """Bring every locked release from the store into the approved repository, checked file by file.

    Safe to repeat and to interrupt. A release whose bytes differ from the lock is removed again. Releases
    of our own are only checked: `publish` brings them.

    Raises: NotInstallable naming every release that is missing or differs, when all others are in place;
    RemoteError.
    """

    def bring(pin: Pin) -> Mirrored:
        before = look(pin)
        if before.presence is not Presence.MISSING or pin.internal:
            return before
        progress(f"copying {pin} from {store.repository} to {approved.repository}")
        # The store has to hold the release before anybody asks it for another one's copy.
        try:
            repositories.copy(store, approved, pin.project, pin.version)
        except NotInstallable as e:
            return Mirrored(pin=pin, presence=Presence.DIFFERENT, detail=str(e))
        after = look(pin)
        if after.presence is Presence.DIFFERENT:
            repositories.delete(approved, pin.project, pin.version)
        return after if after.presence is not Presence.PRESENT else Mirrored(pin=pin, presence=Presence.COPIED)

    locks = list(locks)
    look = _looking(locks, approved, repositories)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        outcome = list(pool.map(bring, pins_of(locks)))
    require_complete(outcome, approved)
    return outcome


def verify(locks: Iterable[Lock], *, approved: RepositoryAddress, repositories: Repositories) -> list[Mirrored]:
    """Return how every locked release stands in the approved repository; nothing is changed.

    Raises: RemoteError.
    """
    locks = list(locks)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_looking(locks, approved, repositories), pins_of(locks)))


def _looking(
    locks: Sequence[Lock], approved: RepositoryAddress, repositories: Repositories
) -> Callable[[Pin], Mirrored]:
    """Return what examines a pin of `locks` in the approved repository."""
    runtimes: dict[str, list[GlueRuntime]] = {}
    for lock in locks:
        for pin in lock.installed:
            runtimes.setdefault(str(pin), []).append(lock.runtime)

    def look(pin: Pin) -> Mirrored:
        return examine(pin, repositories.assets(approved, pin.project, pin.version), runtimes[str(pin)])

    return look


def require_complete(mirrored: Sequence[Mirrored], approved: RepositoryAddress) -> None:
    """Raise NotInstallable that names every release the approved repository lacks or has differently."""
    wrong = [one for one in mirrored if one.presence in (Presence.MISSING, Presence.DIFFERENT)]
    if wrong:
        listed = "\n".join(f"  {one.pin}: {one.presence}{one.detail and f' ({one.detail})'}" for one in wrong)
        bring = "publish" if all(one.pin.internal for one in wrong) else "mirror sync"
        raise NotInstallable(f"{approved} does not hold what the lock names; run `glue-pkgmgr {bring}`:\n{listed}")


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
