"""Files kept under their SHA-256: written beside, flushed, then renamed. A name never means half a file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20  # bytes; what a copy holds in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """The four hashes CodeArtifact tells of an asset, in hexadecimal, and the size in bytes."""

    md5: str
    sha1: str
    sha256: str
    sha512: str
    size: int


class Digester:
    """Computes `Digests` of bytes as they pass by."""

    def __init__(self) -> None:
        self._hashes = {
            name: hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha1", "sha256", "sha512")
        }
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        for digest in self._hashes.values():
            digest.update(chunk)
        self.size += len(chunk)

    def digests(self) -> Digests:
        """Return the hashes of all bytes so far."""
        return Digests(size=self.size, **{name: digest.hexdigest() for name, digest in self._hashes.items()})


class BlobFolder:
    """A folder of whole files, each named by its SHA-256. What a killed process left unfinished is removed."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._incoming = folder / "incoming"
        for made in (self._blobs, self._incoming):
            made.mkdir(parents=True, exist_ok=True)
        for unfinished in self._incoming.iterdir():
            unfinished.unlink()

    def new_file(self) -> tuple[BinaryIO, Path]:
        """Return an empty file to fill, and its path. `keep` or delete it afterwards."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        return os.fdopen(handle, "w+b"), Path(name)

    def scratch(self) -> BinaryIO:
        """Return a nameless file for passing data, gone when closed or when the process dies."""
        return tempfile.TemporaryFile(dir=self._incoming)

    def copy_in(self, source: BinaryIO) -> tuple[Digests, Path]:
        """Copy `source` to a flushed file and return its hashes and path: `keep` or delete it afterwards."""
        target, path = self.new_file()
        digester = Digester()
        try:
            with target:
                while chunk := source.read(CHUNK):
                    digester.update(chunk)
                    target.write(chunk)
                flush(target)
        except BaseException:
            path.unlink()
            raise
        return digester.digests(), path

    def keep(self, unfinished: Path, sha256: str) -> Path:
        """Make the flushed file `unfinished` the content of `sha256`, atomically, and return its new path."""
        path = self.path(sha256)
        path.parent.mkdir(exist_ok=True)
        unfinished.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return path

    def path(self, sha256: str) -> Path:
        """Return where the content of `sha256` lies, or would lie."""
        return self._blobs / sha256[:2] / sha256

    def names(self) -> set[str]:
        """Return the SHA-256 of every file that lies here."""
        return {file.name for file in self._blobs.glob("*/*")}

    def remove(self, sha256: str) -> None:
        """Delete the content of `sha256`, if it is here."""
        self.path(sha256).unlink(missing_ok=True)


def flush(file: BinaryIO) -> None:
    """Bring everything written to `file` onto the disk."""
    file.flush()
    os.fsync(file.fileno())
