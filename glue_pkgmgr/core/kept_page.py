"""An index page as it is kept on disk: in pieces, of which only the ones that matter are read again.

A page may list fifteen thousand files, of which a policy lets one or two releases through.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from glue_pkgmgr.core.distribution import written_version
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import GroupedFiles, IndexFile, IndexPage, file_as_json, file_from_json
from glue_pkgmgr.errors import SettingsError

_FORMAT = 1


class _Pieces(Mapping[str, Sequence[IndexFile]]):
    """The files of a page by version; a group is read when it is asked for."""

    def __init__(self, body: bytes, places: Mapping[str, tuple[int, int]], where: str) -> None:
        self._body = body
        self._places = places
        self._where = where

    def __getitem__(self, version: str) -> Sequence[IndexFile]:
        return [file for _, file in self.placed(version)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def placed(self, version: str) -> list[tuple[int, IndexFile]]:
        """Return the files of one version, each with its place in the page."""
        start, end = self._places[version]
        return [
            (place, file_from_json(file, _as_it_is, self._where))
            for place, file in json.loads(self._body[start:end])
        ]


class _KeptFiles(GroupedFiles):
    """All files of a kept page, read when somebody goes through them."""

    def __init__(self, pieces: _Pieces, length: int) -> None:
        self.by_version: _Pieces = pieces
        self._length = length
        self._all: tuple[IndexFile, ...] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> IndexFile: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[IndexFile]: ...
    def __getitem__(self, place: int | slice) -> IndexFile | Sequence[IndexFile]:
        return self._files()[place]

    def __iter__(self) -> Iterator[IndexFile]:
        return iter(self._files())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._files() == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as its files, which hold dictionaries

    def _files(self) -> tuple[IndexFile, ...]:
        if self._all is None:
            placed = [one for version in self.by_version for one in self.by_version.placed(version)]
            self._all = tuple(file for _, file in sorted(placed, key=lambda one: one[0]))
        return self._all


def keep_page(page: IndexPage, url: str, etag: str) -> bytes:
    """Return what to keep of `page`, that `url` answered with the entity tag `etag`."""
    groups: dict[str, list[tuple[int, object]]] = {}
    for place, file in enumerate(page.files):
        groups.setdefault(written_version(file.filename), []).append((place, file_as_json(file)))
    body = bytearray()
    places = {}
    for version, group in groups.items():
        start = len(body)
        body += json.dumps(group).encode()
        places[version] = (start, len(body))
    head = {
        "format": _FORMAT,
        "url": url,
        "etag": etag,
        "project": page.project,
        "files": len(page.files),
        "places": places,
        "crc32": zlib.crc32(body),
    }
    return json.dumps(head).encode() + b"\n" + bytes(body)


def read_kept_page(content: bytes, url: str) -> tuple[str, IndexPage] | None:
    """Return entity tag and page of what `keep_page` made for `url`; None if it is anything else, or damaged."""
    line, _, body = content.partition(b"\n")
    try:
        head = json.loads(line)
        if (head["format"], head["url"]) != (_FORMAT, url) or head["crc32"] != zlib.crc32(body):
            return None
        places = {str(version): (int(start), int(end)) for version, (start, end) in head["places"].items()}
        files = _KeptFiles(_Pieces(body, places, url), int(head["files"]))
        return str(head["etag"]), IndexPage(project=project_name(head["project"]), files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SettingsError):
        return None


def _as_it_is(url: str) -> str:
    return url
