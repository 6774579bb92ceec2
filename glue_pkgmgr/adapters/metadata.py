"""The core metadata of wheels, read from files whose bytes were checked, kept by hash."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import NotInstallable
from glue_pkgmgr.ports import PackageIndex

_LARGEST = 16 * 1024 * 1024  # bytes of METADATA; real ones stay below a few hundred kilobytes


class WheelMetadata:
    """Reads METADATA out of wheels; satisfies `ports.MetadataReader`.

    What was read is kept under `folder` by the wheel's SHA-256: bytes that cannot change need no second look.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, index: PackageIndex, file: IndexFile) -> bytes:
        """Return the METADATA of a wheel; see `ports.MetadataReader`."""
        sha256 = file.sha256 or ""
        kept = self._folder / f"{sha256}.metadata"
        with suppress(OSError):
            return kept.read_bytes()
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
    project, version = wheel.name.split("-")[:2]
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                folder, _, name = info.filename.partition("/")
                if folder.endswith(".dist-info") and name == "METADATA" and info.file_size <= _LARGEST:
                    return archive.read(info)
    # A damaged or odd archive shows in many ways: deflate errors, encryption, unknown compression, an early end.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as e:
        raise NotInstallable(f"{wheel.name} is not a readable wheel: {e}") from e
    raise NotInstallable(f"{wheel.name} holds no METADATA of {project} {version}")
