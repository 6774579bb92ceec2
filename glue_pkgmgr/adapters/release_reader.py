"""Reads what is in built files, and lets twine judge how their descriptions render."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from packaging.metadata import parse_email

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.release_contents import LONGEST_READ, FileContents, Kind, Member, inspected

_LONGEST_METADATA = 16 * 1024 * 1024  # bytes; real ones stay below a few hundred kilobytes
_CHUNK = 1024 * 1024
_MOST_BYTES = 1024**3  # that an sdist is unzipped to, in order to see what is in it
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, ValueError, OSError)


class ReleaseReader:
    """Reads built wheels and sdists; satisfies `ports.ReleaseReader`. Nothing is unpacked."""

    def read(self, files: Sequence[BuiltFile]) -> list[FileContents]:
        """Return what is in `files`, in their order; see `ports.ReleaseReader`."""
        return [_contents(file) for file in files]


_CANNOT_FAIL = ("text/markdown", "text/plain")  # twine takes any text in these for rendered


def _rendering(path: Path, metadata: bytes) -> str:
    """Return what `twine check --strict` says against the description in the file at `path`; empty if nothing.

    It is asked where it could say anything: it takes long to load, and hashes the whole file thrice.
    """
    if _cannot_fail(metadata):
        return ""
    # Its public function prints what it finds and returns only whether; this one it is made of returns both.
    from twine.commands import check
    from twine.exceptions import TwineException

    stream = check._WarningStream()
    try:
        warnings, renders = check._check_file(str(path), stream)
    except TwineException as e:
        return " ".join(str(e).split())
    faults = [] if renders else ["it has errors and would not be rendered", *str(stream).splitlines()]
    return "; ".join(text.strip().rstrip(".") for text in [*faults, *warnings])


def _cannot_fail(metadata: bytes) -> bool:
    """Whether there is a description, in a format of which every text renders, and nothing that is not read.

    Source: twine.commands.check, `_RENDERERS` and `_check_file`.
    """
    try:
        fields, unread = parse_email(metadata)
    except Exception:  # the parsers promise nothing for any bytes
        return False
    kind = fields.get("description_content_type", "").partition(";")[0].strip()
    described = fields.get("description", "").rstrip() not in ("", "UNKNOWN")
    return not unread and described and kind in _CANNOT_FAIL


def _contents(file: BuiltFile) -> FileContents:
    members: list[Member] = []
    metadata: bytes | None = None
    damage = ""
    try:
        read = _wheel_members if file.distribution.is_wheel else _sdist_members
        for member, content in read(file.path):
            members.append(member)
            metadata = content if metadata is None else metadata
    except _DAMAGE as e:
        damage = f"{type(e).__name__}: {e}"
    return FileContents(
        distribution=file.distribution,
        members=tuple(members),
        metadata=metadata,
        damage=damage,
        rendering="" if damage or metadata is None else _rendering(file.path, metadata),
    )


_Read = Iterator[tuple[Member, bytes | None]]
"""Members, each with its content if it is the metadata."""


def _wheel_members(path: Path) -> _Read:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = Kind.LINK if stat.S_ISLNK(mode) else Kind.FOLDER if info.is_dir() else Kind.FILE
            folder, _, name = info.filename.partition("/")
            is_metadata = folder.endswith(".dist-info") and name == "METADATA"
            content = None
            if kind is not Kind.FOLDER:
                with archive.open(info) as file:
                    content = _read(file, info.file_size, is_metadata=is_metadata)
            yield inspected(info.filename, kind, content), content if is_metadata else None


def _sdist_members(path: Path) -> _Read:
    unzipped = 0
    with gzip.open(path) as whole, tarfile.open(fileobj=whole, mode="r|") as archive:
        for member in archive:
            unzipped += member.size
            if unzipped > _MOST_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_BYTES} bytes")
            is_metadata = member.name.count("/") == 1 and member.name.endswith("/PKG-INFO")
            content = None
            if member.isreg() and (file := archive.extractfile(member)) is not None:
                content = _read(file, member.size, is_metadata=is_metadata)
            yield inspected(member.name, _kind(member), content), content if is_metadata else None
        while whole.read(_CHUNK):  # to its end, where its checksum stands
            pass


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.issym() or member.islnk():
        return Kind.LINK
    if member.isdir():
        return Kind.FOLDER
    return Kind.FILE if member.isreg() else Kind.OTHER


def _read(file: IO[bytes], size: int, *, is_metadata: bool) -> bytes | None:
    """Return the content of a member if it is small enough to be looked at."""
    return file.read() if size <= (_LONGEST_METADATA if is_metadata else LONGEST_READ) else None
