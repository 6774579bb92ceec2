"""Distribution files as a backend made them, written anew: the bytes depend on what is in them, not on who built.

Nothing is compressed: what a deflated file looks like depends on the zlib of the machine.
"""

from __future__ import annotations

import copy
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from glue_pkgmgr.adapters.backend import SOURCE_DATE
from glue_pkgmgr.adapters.wheel_archive import rewrite_wheel
from glue_pkgmgr.errors import NotInstallable, SettingsError

_LONGEST_BLOCK = 0xFFFF  # bytes in a stored block of deflate
# Magic, deflate, no flags, then the time, no hints, and "Unix". Source: RFC 1952, section 2.3.
_GZIP_HEADER = b"\x1f\x8b\x08\x00" + SOURCE_DATE.to_bytes(4, "little") + b"\x00\x03"


def normalise_sdist(sdist: Path) -> None:
    """Rewrite `sdist` so that its bytes depend on names, contents and execute bits only.

    Backends differ in what they put into an archive: owner, umask, order, times of files and of the archive.

    Raises: SettingsError for an archive that cannot be read.
    """
    normal = sdist.with_name(f"{sdist.name}.normal")
    try:
        with (
            tarfile.open(sdist, "r:gz") as old,
            StoredGzip(normal) as zipped,
            tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as new,
        ):
            for member in sorted(old.getmembers(), key=lambda member: member.name):
                new.addfile(_anonymous(member), old.extractfile(member) if member.isreg() else None)
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise SettingsError(f"the build backend made an unusable sdist {sdist.name}: {e}") from e
    normal.replace(sdist)


def normalise_wheel(wheel: Path) -> None:
    """Rewrite `wheel` so that its bytes depend on names, contents and execute bits only.

    Raises: SettingsError for an archive that cannot be read.
    """
    normal = wheel.with_name(f"{wheel.name}.normal")
    try:
        rewrite_wheel(wheel, normal)
    except NotInstallable as e:
        raise SettingsError(f"the build backend made an unusable wheel: {e}") from e
    normal.replace(wheel)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    executable = member.isdir() or bool(member.mode & 0o100)
    anonymous = copy.copy(member)  # `TarInfo.replace` came with Python 3.11.4
    anonymous.mtime, anonymous.mode = SOURCE_DATE, 0o755 if executable else 0o644
    anonymous.uid, anonymous.gid, anonymous.uname, anonymous.gname = 0, 0, "", ""
    # They rank above the fields, and hold times too; tarfile writes anew those that long names need.
    anonymous.pax_headers = {}
    return anonymous


class StoredGzip(io.RawIOBase):
    """Writes a gzip file that holds what it is given as it is: the same bytes with every zlib.

    Source: RFC 1951, section 3.2.4 (stored blocks); RFC 1952 (the file around them).
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._file.write(_GZIP_HEADER)
        self._pending = bytearray()
        self._crc, self._size = 0, 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were given so far."""
        return self._size

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]  # these are enough
        """Take all of `data` and return its length."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._pending += data
        for block in self._full_blocks():
            self._write_block(block, last=False)
        return len(data)

    def close(self) -> None:
        """Write what is left and the checks that end the file."""
        if not self.closed:
            self._write_block(bytes(self._pending), last=True)
            self._file.write(self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))
            self._file.close()
        super().close()

    def _full_blocks(self) -> Iterator[bytes]:
        # One byte stays: the last block must not be empty, and which is the last is known at the end only.
        while len(self._pending) > _LONGEST_BLOCK:
            yield bytes(self._pending[:_LONGEST_BLOCK])
            del self._pending[:_LONGEST_BLOCK]

    def _write_block(self, block: bytes, *, last: bool) -> None:
        size = len(block)
        self._file.write(
            bytes([last]) + size.to_bytes(2, "little") + (size ^ _LONGEST_BLOCK).to_bytes(2, "little") + block
        )
