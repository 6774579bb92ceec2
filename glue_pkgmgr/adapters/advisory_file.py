"""Vulnerability records that lie on this machine: nothing is asked, nothing leaves it."""

from __future__ import annotations

import io
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from glue_pkgmgr.core.advisory import Advisory
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.osv import osv_advisories, osv_projects
from glue_pkgmgr.errors import SettingsError

_JSON, _LINES, _ARCHIVE = ".json", (".jsonl", ".ndjson"), ".zip"
_PLAIN = (_JSON, *_LINES)
_SUFFIXES = (*_PLAIN, _ARCHIVE)

# A damaged or odd file shows in many ways: no JSON, too deep, deflate errors, encryption, an early end.
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


class AdvisoryFile:
    """Advisories from records of the Open Source Vulnerability format; satisfies `ports.Advisories`.

    `path` is a `.json` file with a record or a list of them, `.jsonl` or `.ndjson` with one a line, a `.zip` of
    such files, or a folder of all these, at any depth. Each record is read, and those of the projects asked about
    are kept: an export of a whole ecosystem does not fit into memory with ease.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[ProjectName, list[object]] = {}

    def of(self, releases: Sequence[Release]) -> Mapping[Release, Sequence[Advisory]]:
        """Return the advisories of each release that has some; see `ports.Advisories`.

        Raises: SettingsError for a file that cannot be read, a malformed record, and where no record is about a
        Python project: such a file would let everything through.
        """
        projects = {project for project, _ in releases}
        if unread := projects - self._records.keys():
            self._records.update(self._read(unread))
        records = [record for project in projects for record in self._records[project]]
        with _told_at(str(self._path)):
            return osv_advisories(records, releases)

    def _read(self, projects: Collection[ProjectName]) -> dict[ProjectName, list[object]]:
        found: dict[ProjectName, list[object]] = {project: [] for project in projects}
        any_python = False
        for place, record in _records(self._path):
            with _told_at(place):
                about = osv_projects(record)
            any_python = any_python or bool(about)
            for project in about & found.keys():
                found[project].append(record)
        if not any_python:
            raise SettingsError(
                f"{self._path} holds no vulnerability record of a Python project: the gate would let everything "
                "through; put the records of ecosystem PyPI there"
            )
        return found


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each record below `path`, parsed, with the place where it stands."""
    place = str(path)
    with _reading(place):  # whether it is a folder may be hidden, too
        is_folder = path.is_dir()
    if is_folder:
        for file in _files(path):
            yield from _records(file)
    elif path.suffix.lower() == _ARCHIVE:
        with _reading(place), zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = f"{place}: {info.filename}"
                if name.lower().endswith(_PLAIN):
                    with _reading(name):
                        content = archive.read(info)
                    yield from _parsed(name, io.BytesIO(content))
    else:
        with _reading(place), path.open("rb") as opened:
            yield from _parsed(place, opened)


def _files(folder: Path) -> Iterator[Path]:
    # Path.rglob skips folders that may not be read, without a word.
    for parent, _, names in os.walk(folder, onerror=_refuse):
        yield from (Path(parent, name) for name in sorted(names) if name.lower().endswith(_SUFFIXES))


def _refuse(error: OSError) -> None:
    raise SettingsError(f"cannot read {error.filename}: {error.strerror}; check its permissions") from error


def _parsed(place: str, file: IO[bytes]) -> Iterator[tuple[str, object]]:
    """Yield the records in a file, whose name ends `place`."""
    if place.lower().endswith(_LINES):
        for number, line in enumerate(file, 1):
            if line.strip():
                with _reading(f"{place}:{number}"):
                    record = json.loads(line)
                yield f"{place}:{number}", record
    elif place.lower().endswith(_JSON):
        with _reading(place):
            content = json.load(file)
        if not isinstance(content, list):
            yield place, content
            return
        for number, record in enumerate(content):
            yield f"{place}[{number}]", record
    else:
        raise SettingsError(
            f"{place} is no file of vulnerability records: its name ends in {', '.join(_SUFFIXES)}"
        )


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """Say what cannot be read."""
    try:
        yield
    except _UNREADABLE as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise SettingsError(
            f"cannot read the vulnerability records in {place}: {reason}; fetch the file again, or check its "
            "permissions"
        ) from e


@contextmanager
def _told_at(place: str) -> Iterator[None]:
    """Put `place` before the text of a SettingsError."""
    try:
        yield
    except SettingsError as e:
        raise SettingsError(f"{place}: {e}") from e
