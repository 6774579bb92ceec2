"""The core metadata of wheels, read from files whose bytes were checked, kept by hash."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from contextlib import suppress
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import NotInstallable, SettingsError
from glue_pkgmgr.ports import PackageIndex, Progress, silent

_LARGEST = 16 * 1024 * 1024  # bytes of METADATA; real ones stay below a few hundred kilobytes


class WheelMetadata:
    """Reads METADATA out of wheels; satisfies `ports.MetadataReader`.

    What was read is kept under `folder` by the wheel's SHA-256: bytes that cannot change need no second look.
    """

    def __init__(self, folder: Path, progress: Progress = silent) -> None:
        self._folder = folder
        self._progress = progress

    def read(self, index: PackageIndex, file: IndexFile) -> bytes:
        """Return the METADATA of a wheel; see `ports.MetadataReader`."""
        sha256 = file.sha256 or ""
        kept = self._folder / f"{sha256}.metadata"
        with suppress(OSError):
            # The same bytes may be listed under another name now.
            return _of_named_release(kept.read_bytes(), file.filename)
        self._progress(f"reading {file.filename}")  # all of it: the metadata are at the end
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as scratch:
            wheel = Path(scratch) / file.filename
            index.download(file.url, wheel, sha256)
            metadata = _metadata_of(wheel)
        with suppress(OSError):  # a cache that cannot be written is slow, not wrong
            self._keep(kept, metadata)
        return metadata

    def read_file(self, wheel: Path) -> bytes:
        """Return the METADATA of a wheel on this machine; see `ports.MetadataReader`."""
        return _metadata_of(wheel)

    def _keep(self, path: Path, metadata: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as temporary:
            temporary.write(metadata)
        Path(temporary.name).replace(path)


def _metadata_of(wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            metadata = archive.read(_metadata_entry(archive, wheel.name))
    # A damaged or odd archive shows in many ways: deflate errors, encryption, unknown compression, an early end.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as e:
        raise NotInstallable(f"{wheel.name} is not a readable wheel: {e}") from e
    return _of_named_release(metadata, wheel.name)


def _metadata_entry(archive: zipfile.ZipFile, filename: str) -> zipfile.ZipInfo:
    """Return the one METADATA of a wheel.

    With two of them an installer might go by another one than we do, and require what nobody looked at.
    """
    tops = {info.filename.partition("/")[0] for info in archive.infolist()}
    folders = [top for top in tops if top.endswith(".dist-info")]
    found = [info for info in archive.infolist() if info.filename in {f"{top}/METADATA" for top in folders}]
    if not found:
        raise NotInstallable(f"{filename} holds no METADATA of {' '.join(filename.split('-')[:2])}")
    if len(folders) > 1 or len(found) > 1:
        raise NotInstallable(
            f"{filename} holds more than one .dist-info/METADATA: which one counts is not certain"
        )
    if found[0].file_size > _LARGEST:
        raise NotInstallable(f"the METADATA of {filename} has {found[0].file_size} bytes, more than any real one")
    return found[0]


def _of_named_release(metadata: bytes, filename: str) -> bytes:
    """Return `metadata`. Raises: NotInstallable unless it is of the release that the file name tells."""
    named = parse_filename(filename)
    headers = BytesHeaderParser().parsebytes(metadata)
    told = [*headers.get_all("Name", []), *headers.get_all("Version", [])]
    try:
        name, version = map(str, told)
        same = (project_name(name), Version(version)) == (named.project, named.version)
    except (ValueError, SettingsError, InvalidVersion):  # ValueError: one is missing, or there twice
        same = False
    if not same:
        raise NotInstallable(
            f"the METADATA of {filename} is of another release: {' '.join(map(str, told))[:120]!r}"
        )
    return metadata
