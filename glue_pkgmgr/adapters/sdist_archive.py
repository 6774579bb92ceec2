"""Other people's sdists, unpacked: nothing is written outside the folder, and only so much."""

from __future__ import annotations

import errno
import gzip
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from glue_pkgmgr.errors import NotInstallable

MOST_BYTES = 1024**3
"""Bytes an sdist may unpack to: the largest known one of pure Python, with jars in it, has some 400 MB."""

MOST_MEMBERS = 100_000

# A name that cannot be made, or is both a file and a folder, is the archive's fault; a full disk is not.
_ARCHIVE_FAULTS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ)
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError)


class _Refused(Exception):
    """Why an archive is not unpacked, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A file with its `content`, a link with the `target` it names inside the archive, or a folder: neither."""

    name: str
    size: int = 0
    executable: bool = False
    content: IO[bytes] | None = None
    target: str | None = None


def unpack(sdist: Path, folder: Path, *, most_bytes: int = MOST_BYTES, most_members: int = MOST_MEMBERS) -> Path:
    """Unpack `sdist` (`.tar.gz` or `.zip`) into `folder`, a new one, and return the project's folder in it.

    Files are readable by all and keep their execute bit. A link to a file of the archive becomes a copy of
    it: no link is ever made, so none can lead out.

    Raises: NotInstallable when the archive is damaged, too large, holds a name or link that leads outside
    or anything but files, folders and links, or has not exactly one folder at its top; OSError when `folder`
    cannot be written.
    Source: PEP 625 (one top folder), PEP 721 (what of an sdist may be unpacked).
    """
    with _refusals(sdist):
        members = _zip_members if sdist.suffix == ".zip" else _tar_members
        folder.mkdir()
        _write(members(sdist, most_bytes), folder, most_bytes, most_members)
        tops = list(folder.iterdir())
        if len(tops) != 1 or not tops[0].is_dir():
            raise _Refused(f"it has {len(tops)} files and folders at its top, not one folder")
    return tops[0]


@contextmanager
def _refusals(sdist: Path) -> Iterator[None]:
    try:
        yield
    except _Refused as e:
        raise NotInstallable(f"{sdist.name} is not unpacked: {e}") from e
    except (*_BROKEN, ValueError) as e:  # ValueError: a NUL in a name, a number that is none
        raise NotInstallable(f"{sdist.name} is not a readable sdist: {e}") from e
    except OSError as e:
        if e.errno not in _ARCHIVE_FAULTS:
            raise
        raise NotInstallable(f"{sdist.name} cannot be unpacked: {e.strerror}: {e.filename!r}") from e


def _write(members: Iterator[_Member], folder: Path, most_bytes: int, most_members: int) -> None:
    size, links = 0, {}
    for count, member in enumerate(members, start=1):
        size += member.size
        if count > most_members:
            raise _Refused(f"it has more than {most_members} members")
        if size > most_bytes:
            raise _Refused(f"it unpacks to more than {most_bytes} bytes")
        path = folder / _inside(member.name)
        if member.target is not None:
            links[path] = folder / _inside(member.target)
        elif member.content is not None:
            _write_file(path, member.content, executable=member.executable)
        else:
            path.mkdir(parents=True, exist_ok=True)
    for path, target in links.items():
        # Only now: a link may stand before its file.
        if not target.is_file():
            raise _Refused(f"{path.relative_to(folder)} is a link to {target.relative_to(folder)}, no file of it")
        size += target.stat().st_size
        if size > most_bytes:
            raise _Refused(f"it unpacks to more than {most_bytes} bytes")
        with target.open("rb") as content:
            _write_file(path, content, executable=bool(target.stat().st_mode & stat.S_IXUSR))


def _write_file(path: Path, content: IO[bytes], *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o755 if executable else 0o644)


def _inside(name: str) -> str:
    """Return `name` as a relative path that stays where it starts."""
    if name.startswith("/") or ".." in name.split("/") or not name:
        raise _Refused(f"{name!r} leads outside the archive")
    return posixpath.normpath(name)


def _link_target(name: str, target: str) -> str:
    """Return what a symbolic link at `name` points to, as a name inside the archive."""
    if target.startswith("/"):
        raise _Refused(f"{name!r} is a link that leads outside the archive")
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


class _Bounded(gzip.GzipFile):
    """Unzips a file and refuses once more than `most` bytes have come: headers can be bombs too."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path)
        self._left, self._most = most, most

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _Refused(f"it unpacks to more than {self._most} bytes")
        return data


def _tar_members(sdist: Path, most_bytes: int) -> Iterator[_Member]:
    # Read as a stream: a bomb is met block by block, and no index of it has to fit into memory.
    with _Bounded(sdist, most_bytes) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
        for member in archive:
            executable = bool(member.mode & stat.S_IXUSR)
            if member.isreg():
                content = archive.extractfile(member)
                yield _Member(name=member.name, size=member.size, executable=executable, content=content)
            elif member.isdir():
                yield _Member(name=member.name)
            elif member.issym():
                yield _Member(name=member.name, target=_link_target(member.name, member.linkname))
            elif member.islnk():
                yield _Member(name=member.name, target=member.linkname)
            else:
                raise _Refused(f"{member.name!r} is neither a file nor a folder")


def _zip_members(sdist: Path, most_bytes: int) -> Iterator[_Member]:
    with zipfile.ZipFile(sdist) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                yield _Member(name=info.filename)
                continue
            if stat.S_ISLNK(mode):
                raise _Refused(f"{info.filename!r} is a link, which a zip archive should not hold")
            with archive.open(info) as content:
                executable = bool(mode & stat.S_IXUSR)
                yield _Member(name=info.filename, size=info.file_size, executable=executable, content=content)
