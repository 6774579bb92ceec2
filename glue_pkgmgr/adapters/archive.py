"""Archive files on this machine: written whole or not at all, read with every byte accounted for."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from glue_pkgmgr.core.archive import (
    END,
    LARGEST_TEXT,
    SUMS,
    ArchivedFile,
    Contents,
    header,
    is_known,
    is_wheel,
    next_header,
    padding,
)
from glue_pkgmgr.core.distribution import sha256_hex
from glue_pkgmgr.errors import NotInstallable, SettingsError

_CHUNK = 1024 * 1024  # bytes: a wheel may have gigabytes, and never lies in memory


class TarArchives:
    """Archives as `core.archive` lays them out; satisfies `ports.Archives`."""

    def write(self, target: Path, files: Sequence[ArchivedFile], folder: Path) -> str:
        """Write an archive, its wheels taken from `folder`; see `ports.Archives`."""
        part = folder / f"{os.getpid()}.part"
        try:
            try:
                with part.open("wb") as out:
                    sink = _Sink(out)
                    _write(sink, files, folder)
                    out.flush()
                    os.fsync(out.fileno())  # what carries it is unplugged before long
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as e:
            raise SettingsError(
                f"cannot write {target}: {e.strerror or e}; check the folder and free space"
            ) from e
        return sink.sha256

    def read(self, path: Path) -> Contents:
        """Return what lies in an archive; see `ports.Archives`."""
        with _opened(path) as source:
            files = tuple(_files(source))
            source.require_end()
            return Contents(sha256=source.sha256, files=files)

    def extract(self, path: Path, name: str, sha256: str, target: Path) -> None:
        """Store one file of an archive as `target`; see `ports.Archives`."""
        with _opened(path) as source:
            while found := next_header(source.take):
                if found[0] == name:
                    break
                source.skip(found[1])
            digest = _store(source.content(*found), target) if found else ""
        if digest != sha256:
            target.unlink(missing_ok=True)
            raise NotInstallable(f"{name} was changed after {path} was checked; nothing of it is used")


def _write(sink: _Sink, files: Sequence[ArchivedFile], folder: Path) -> None:
    for file in files:
        sink.put(header(file.name, file.size))
        if file.content is None:
            _copy(folder / file.name, sink, file)
        else:
            sink.put(file.content)
        sink.put(padding(file.size))
    sink.put(END)


def _copy(wheel: Path, sink: _Sink, file: ArchivedFile) -> None:
    digest = hashlib.sha256()
    with wheel.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            sink.put(chunk)
    if digest.hexdigest() != file.sha256:
        raise NotInstallable(f"{wheel} was changed while the archive was written; try again")


class _Sink:
    """A file being written, and the SHA-256 of what it has."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._digest = hashlib.sha256()

    def put(self, content: bytes) -> None:
        self._digest.update(content)
        self._out.write(content)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Source:
    """A file being read, and the SHA-256 of what was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._place = "its first header"

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: NotInstallable when the file ends before."""
        content = self._file.read(size)
        if len(content) != size:
            raise NotInstallable(f"it ends within {self._place}")
        self._digest.update(content)
        return content

    def content(self, name: str, size: int) -> Iterator[bytes]:
        """Yield the content of a file whose header was read, and pass what fills it up."""
        self._place = name
        for start in range(0, size, _CHUNK):
            yield self.take(min(_CHUNK, size - start))
        filling = padding(size)
        if self.take(len(filling)) != filling:
            raise NotInstallable(f"the bytes after {name} were changed")
        self._place = f"the header after {name}"

    def skip(self, size: int) -> None:
        """Pass the content of a file whose header was read."""
        self._file.seek(size + len(padding(size)), os.SEEK_CUR)

    def require_end(self) -> None:
        """Raises: NotInstallable when something follows."""
        if self._file.read(1):
            raise NotInstallable("something follows its end")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    """Give the archive at `path`, for reading. Raises: SettingsError when it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe, for one, could not be read twice
            raise SettingsError(f"{path} is no file; name an archive that `glue-pkgmgr mirror export` wrote")
        with path.open("rb") as file:
            yield _Source(file)
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror or e}; check the medium and permissions") from e


def _files(source: _Source) -> Iterator[ArchivedFile]:
    first = True
    while found := next_header(source.take):
        name, size = found
        if first and name != SUMS:
            raise NotInstallable(f"it begins with {name!r}, an archive of glue-pkgmgr with {SUMS}")
        first = False
        if not is_known(name):
            raise NotInstallable(f"{name!r} does not belong there")
        yield _wheel(source, name, size) if is_wheel(name) else _text(source, name, size)


def _wheel(source: _Source, name: str, size: int) -> ArchivedFile:
    return ArchivedFile(name=name, sha256=sha256_hex(source.content(name, size)), size=size)


def _text(source: _Source, name: str, size: int) -> ArchivedFile:
    if size > LARGEST_TEXT:
        raise NotInstallable(f"{name} has {size} bytes; no such file of an archive has more than {LARGEST_TEXT}")
    content = b"".join(source.content(name, size))
    return ArchivedFile(name=name, sha256=sha256_hex([content]), size=size, content=content)


def _store(chunks: Iterator[bytes], target: Path) -> str:
    """Write `chunks` to `target` and return their SHA-256."""
    digest = hashlib.sha256()
    try:
        with target.open("wb") as out:
            for chunk in chunks:
                digest.update(chunk)
                out.write(chunk)
    except OSError as e:
        raise SettingsError(f"cannot write {target}: {e.strerror or e}; check the folder and free space") from e
    return digest.hexdigest()
