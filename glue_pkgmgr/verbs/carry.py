"""Verbs: what the locks name goes into one archive, and from it into a place that has no connection."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Generic, TypeVar

from glue_pkgmgr.core import lock_faults
from glue_pkgmgr.core.allowlist import AllowList
from glue_pkgmgr.core.archive import (
    Archive,
    CarriedLock,
    CarriedWheel,
    parse_archive,
    required_python,
    wheels_of,
)
from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl
from glue_pkgmgr.core.lockfile import LockedFile
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import NotApproved, NotInstallable, SettingsError
from glue_pkgmgr.ports import (
    Archives,
    Clock,
    MetadataReader,
    Mint,
    OpenIndex,
    OpenUploader,
    PackageIndex,
    Progress,
    Repositories,
    Uploader,
)
from glue_pkgmgr.whole_file import write_whole

T = TypeVar("T")

_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An archive that was written: its SHA-256 in hexadecimal, its size in bytes, and what it carries."""

    path: Path
    sha256: str
    size: int
    locks: tuple[CarriedLock, ...]
    wheels: tuple[CarriedWheel, ...]


def read_carried_lock(bundle: Bundle, folder: Path) -> CarriedLock:
    """Return the lock of `bundle` in `folder` as an archive carries it.

    Raises: SettingsError when it is absent, unreadable or no lock.
    """
    path = folder / bundle.lock_filename
    try:
        return CarriedLock.parse(bundle.name, bundle.runtime.version, path.read_bytes())
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror or e}") from e


def export_archive(
    target: Path,
    *,
    allowlist: Path,
    locks: Sequence[CarriedLock],
    replace: bool,
    archives: Archives,
    metadata: MetadataReader,
    mint: Mint,
    open_index: OpenIndex,
    clock: Clock,
    progress: Progress,
) -> Exported:
    """Write the allow-list, the locks and every wheel they name, from the approved repository, as `target`.

    The same locks, allow-list and wheels are the same archive, to the byte. It takes its name when it is whole.
    What was fetched meanwhile lies in a hidden folder beside it, which a killed export leaves to the next one.

    Raises: SettingsError when there is no lock, or a file `target` that `replace` does not give up, or it cannot
    be written; NotInstallable when the repository lacks a wheel or has other bytes; IndexAccessError; RemoteError.
    """
    _require_free(target, replace)
    if not locks:
        raise SettingsError("there is no lock to export; run `glue-pkgmgr lock`")
    fetch = _Fetch(index=_Renewed(mint=mint, open=open_index, clock=clock), metadata=metadata, progress=progress)
    wanted = sorted(wheels_of(lock.lock for lock in locks).items())
    with _scratch(target) as folder:
        archive = Archive(
            allowlist=_read_bytes(allowlist),
            locks=tuple(sorted(locks, key=lambda lock: lock.name)),
            wheels=tuple(fetch.wheel(project, file, folder) for _, (project, file) in wanted),
        )
        parse_archive(archive.files)  # what we write must be readable again
        progress(f"writing {target.name}")
        sha256 = archives.write(target, archive.files, folder)
    return Exported(
        path=target, sha256=sha256, size=target.stat().st_size, locks=archive.locks, wheels=archive.wheels
    )


def _require_free(target: Path, replace: bool) -> None:
    try:
        if target.is_dir():
            raise SettingsError(f"{target} is a folder; name the file to write")
        if not target.parent.is_dir():
            raise SettingsError(f"there is no folder {target.parent}; make it, or name another file")
        if target.exists() and not replace:
            raise SettingsError(f"{target} exists; name another file, or replace it with --force")
    except OSError as e:
        raise SettingsError(f"cannot write {target}: {e.strerror or e}; name another file") from e


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Give a folder on the disk of `target`, whose name tells the next run what a killed one has fetched."""
    folder = target.with_name(f".{target.name}.parts")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as e:
        raise SettingsError(f"cannot write {target}: {e.strerror or e}; check the folder") from e
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class _Renewed(Generic[T]):
    """Something that needs a token, opened anew when that has less than half of its time left.

    What is carried may take longer than a token lives; a token for all of it would live too long.
    """

    mint: Mint
    open: Callable[[IndexUrl], T]
    clock: Clock
    _opened: T | None = None
    _until: datetime | None = None

    def get(self) -> T:
        """Return it, with a token that is good for one more file."""
        now = self.clock()
        if self._opened is None or self._until is None or now >= self._until:
            url = self.mint(SHORTEST)
            self._opened = self.open(url)
            self._until = now + (url.token.expires_at - now) / 2
        return self._opened


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetch:
    """Fetches wheels from the approved repository."""

    index: _Renewed[PackageIndex]
    metadata: MetadataReader
    progress: Progress

    def wheel(self, project: ProjectName, file: LockedFile, folder: Path) -> CarriedWheel:
        """Store a locked wheel in `folder`, by its name in an archive, unless it is there; return it."""
        path = folder / project / file.filename
        if not _has(path, file.sha256):
            self.progress(f"fetching {file.filename}")
            _make_folder(path.parent)
            self.index.get().download(self._link(project, file), path, file.sha256)
        return CarriedWheel(
            project=project,
            filename=file.filename,
            sha256=file.sha256,
            size=path.stat().st_size,
            requires_python=required_python(self.metadata.read_file(path)),
        )

    def _link(self, project: ProjectName, file: LockedFile) -> str:
        page = self.index.get().page(project)
        for one in page.files if page else ():
            if one.filename == file.filename:
                return one.url
        raise NotInstallable(
            f"the approved repository does not list {file.filename}; run `glue-pkgmgr mirror sync`"
        )


def _has(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise SettingsError(f"cannot make {folder}: {e.strerror or e}; check permissions and free space") from e


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror or e}") from e


class Change(StrEnum):
    """What an import did to a file of the project."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """The allow-list or a lock of this project, and what became of it."""

    path: Path
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an archive brought: `files` of the project, wheels into `repository`, `already` there or not.

    `sha256` is the archive's own, in hexadecimal.
    """

    path: Path
    sha256: str
    repository: RepositoryAddress
    files: tuple[ImportedFile, ...]
    uploaded: tuple[CarriedWheel, ...]
    already: tuple[CarriedWheel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the settings of this place say: where its allow-list and locks lie, and what it lets in.

    `policy` gives the rules here with another allow-list.
    """

    allowlist: Path
    locks: Path
    bundles: Collection[Bundle]
    internal: frozenset[ProjectName]
    policy: Callable[[AllowList, GlueRuntime], Policy]


def import_archive(
    path: Path,
    *,
    sha256: str | None,
    replace: bool,
    place: Place,
    address: RepositoryAddress,
    repositories: Repositories,
    archives: Archives,
    mint: Mint,
    open_uploader: OpenUploader,
    clock: Clock,
    progress: Progress,
) -> Imported:
    """Bring what an archive carries into this project and the approved repository at `address`.

    Nothing of the archive is believed: all of it is read and compared, with the SHA-256 of the whole file if the
    caller knows it, before anything is changed. A lock or allow-list that is absent here is written; one that is
    different here is refused, or with `replace` replaced. The settings of this place judge the locks.

    Safe to repeat and to interrupt. A project of others may be published to while its wheels are uploaded, not
    before and not after; no project here may be taken from upstreams.

    Raises: NotInstallable for an archive that was changed, or a repository that holds other bytes; NotApproved
    for other files here, or a lock the settings here refuse; SettingsError; IndexAccessError; RemoteError.
    Source: CodeArtifact User Guide, "Package origin controls".
    """
    archive, found = _checked(path, sha256, archives, progress)
    files = _compared(archive, place)
    _require_allowed(archive, files, place, replace)
    bringing = _Bringing(
        path=path,
        address=address,
        internal=place.internal,
        repositories=repositories,
        archives=archives,
        uploader=_Renewed(mint=mint, open=open_uploader, clock=clock),
        progress=progress,
    )
    lacking = bringing.lacking(archive.wheels)
    for file in files:
        if file.change is not Change.UNCHANGED:
            progress(f"writing {file.path.name}")
            _write(file.path, file.content)
    for project, wheels in groupby(archive.wheels, key=lambda wheel: wheel.project):
        bringing.bring(project, [wheel for wheel in wheels if wheel in lacking])
    if absent := bringing.lacking(archive.wheels):
        raise NotInstallable(f"{address} does not list {absent[0].filename} after its upload; run again to check")
    return Imported(
        path=path,
        sha256=found,
        repository=address,
        files=tuple(ImportedFile(path=file.path, change=file.change) for file in files),
        uploaded=tuple(lacking),
        already=tuple(wheel for wheel in archive.wheels if wheel not in lacking),
    )


def _checked(path: Path, sha256: str | None, archives: Archives, progress: Progress) -> tuple[Archive, str]:
    """Return what an archive carries, all of it read and compared, and the SHA-256 of its file."""
    if sha256 is not None and not _DIGEST.fullmatch(sha256):
        raise SettingsError(
            f"{sha256!r} is no SHA-256; it has 64 hexadecimal digits, as `mirror export` tells them"
        )
    progress(f"checking {path.name}")
    try:
        contents = archives.read(path)
        archive = parse_archive(contents.files)
    except NotInstallable as e:
        raise NotInstallable(
            f"{path} is not a whole archive of glue-pkgmgr: {e}; nothing was changed here: carry it over again"
        ) from e
    if sha256 is not None and contents.sha256 != sha256.lower():
        raise NotInstallable(
            f"{path} is another archive than the one you expect: it has SHA-256 {contents.sha256}, not "
            f"{sha256.lower()}; nothing was changed here: find out where it comes from"
        )
    return archive, contents.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """A file of the archive that belongs into this project, and what is to become of the one here."""

    path: Path
    content: bytes
    change: Change


def _compared(archive: Archive, place: Place) -> list[_Compared]:
    """Return the locks, then the allow-list: until that is in its place, a new lock may not be used."""
    names = {(bundle.name, bundle.runtime.version): bundle.lock_filename for bundle in place.bundles}
    known = [(lock, names.get((lock.bundle, lock.glue_version))) for lock in archive.locks]
    return [
        *(_compare(place.locks / name, lock.content) for lock, name in known if name is not None),
        _compare(place.allowlist, archive.allowlist),
    ]


def _compare(path: Path, content: bytes) -> _Compared:
    try:
        change = Change.UNCHANGED if path.read_bytes() == content else Change.REPLACED
    except FileNotFoundError:
        change = Change.WRITTEN
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror or e}; check it and its permissions") from e
    return _Compared(path=path, content=content, change=change)


def _require_allowed(archive: Archive, files: Iterable[_Compared], place: Place, replace: bool) -> None:
    """Raise NotApproved, naming everything at once, unless this place lets in what the archive carries."""
    found = []
    differing = [file.path.name for file in files if file.change is Change.REPLACED]
    if differing and not replace:
        found.append(
            f"other files than in the archive are here: {', '.join(differing)}; "
            "compare them, then take those of the archive with --replace-files"
        )
    bundles = {(bundle.name, bundle.runtime.version): bundle for bundle in place.bundles}
    for lock in archive.locks:
        bundle = bundles.get((lock.bundle, lock.glue_version))
        if bundle is None:
            found.append(
                f"the archive has a lock of bundle {lock.bundle!r} for Glue {lock.glue_version}, which the "
                "settings here do not name; add it under [bundles]"
            )
        elif faults := lock_faults.unusable(bundle, lock.lock, place.policy(archive.approvals, bundle.runtime)):
            found.append(lock_faults.stale_text(bundle.name, faults))
    if found:
        raise NotApproved("\n".join([*found, "nothing was changed here"]))


def _write(path: Path, content: bytes) -> None:
    _make_folder(path.parent)
    try:
        write_whole(path, content)
    except OSError as e:
        raise SettingsError(f"cannot write {path}: {e.strerror or e}; check permissions and free space") from e


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bringing:
    """Brings the wheels of the archive at `path` into a repository."""

    path: Path
    address: RepositoryAddress
    internal: frozenset[ProjectName]
    repositories: Repositories
    archives: Archives
    uploader: _Renewed[Uploader]
    progress: Progress

    def lacking(self, wheels: Sequence[CarriedWheel]) -> list[CarriedWheel]:
        """Return the wheels that the repository does not have.

        Raises: NotInstallable naming every one that it has with other bytes.
        """
        held: dict[str, str] = {}
        for project, version in sorted({(wheel.project, wheel.version) for wheel in wheels}):
            for asset in self.repositories.assets(self.address, project, version):
                held[f"{project}/{asset.filename}"] = asset.sha256
        if other := [wheel for wheel in wheels if held.get(wheel.name, wheel.sha256) != wheel.sha256]:
            listed = "\n".join(
                f"  {wheel.filename}\n    archive {wheel.sha256}\n    there   {held[wheel.name]}"
                for wheel in other
            )
            raise NotInstallable(
                f"{self.address} holds other bytes than the archive; find out who changed them, and delete those "
                f"releases there to take the archive's\n{listed}"
            )
        return [wheel for wheel in wheels if wheel.name not in held]

    def bring(self, project: ProjectName, wheels: Sequence[CarriedWheel]) -> None:
        """Upload wheels of one project. Its origin controls are then as they are to be, whatever happens."""
        try:
            if wheels:
                self.repositories.set_origin(self.address, project, publish=True, upstream=False)
            for wheel in wheels:
                self.progress(f"uploading {wheel.filename} to {self.address}")
                self._upload(wheel)
        finally:
            # Without a wheel, too: a killed import may have left the project open.
            self.repositories.set_origin(self.address, project, publish=project in self.internal, upstream=False)

    def _upload(self, wheel: CarriedWheel) -> None:
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as scratch:
            extracted = Path(scratch) / wheel.filename
            self.archives.extract(self.path, wheel.name, wheel.sha256, extracted)
            self.uploader.get().upload(extracted)
