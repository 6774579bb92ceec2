"""The page of one project in a package index, parsed and rendered: JSON and HTML alike.

Source: PEP 503 (HTML), PEP 592 (yanked), PEP 691 (JSON), PEP 700 (size, upload-time, versions).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename, written_version
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import IndexAccessError, SettingsError

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
ACCEPT = f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.01"
"""What we send as `Accept`: JSON is preferred, being the only form with sizes."""

API_VERSION = "1.1"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")  # an escape for the first or second half of a surrogate pair
# Links that mean the same wherever they are joined to; no part of the path begins with a dot.
_PARTS = r"[A-Za-z0-9_%+!~-][A-Za-z0-9._%+!~-]*"
_DOWNWARD = re.compile(rf"{_PARTS}(?:/{_PARTS})*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One distribution file as a page lists it.

    `url` is absolute after parsing. `hashes` maps lower-case algorithm names to hexadecimal digests. `size`
    is in bytes, `upload_time` aware UTC; both are None where the index does not tell. `yanked` is the reason,
    `""` when none was given, None when the file is not yanked.
    """

    filename: str
    url: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    size: int | None = None
    upload_time: datetime | None = None
    yanked: str | None = None

    @property
    def sha256(self) -> str | None:
        """The SHA-256 the index vouches for, if it does."""
        return self.hashes.get("sha256")


class GroupedFiles(Sequence[IndexFile]):
    """Files that come in groups already, by what `written_version` finds in their names."""

    by_version: Mapping[str, Sequence[IndexFile]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPage:
    """The page of `project`: its files in the order of the index."""

    project: ProjectName
    files: Sequence[IndexFile]

    def by_version(self) -> Mapping[str, Sequence[IndexFile]]:
        """Return the files by what stands in their names as version, each group in the order of the index."""
        if isinstance(self.files, GroupedFiles):
            return self.files.by_version
        groups: dict[str, list[IndexFile]] = {}
        for file in self.files:
            groups.setdefault(written_version(file.filename), []).append(file)
        return groups

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that has a file, oldest first; files whose names cannot be read count for none."""
        found = set()
        for file in self.files:
            try:
                found.add(parse_filename(file.filename).version)
            except InvalidFilename:
                continue
        return tuple(str(version) for version in sorted(found))


def negotiate(accept: str | None) -> str | None:
    """Return the content type to answer an `Accept` header with, None when nothing suits (406).

    Without a header, and for wildcards, the answer is HTML.
    Source: PEP 691, "Version + format selection"; CodeArtifact User Guide, "Python compatibility".
    """
    served = {
        JSON_TYPE: JSON_TYPE,
        "application/vnd.pypi.simple.latest+json": JSON_TYPE,
        HTML_TYPE: HTML_TYPE,
        "application/vnd.pypi.simple.latest+html": HTML_TYPE,
        "text/html": "text/html",
        "text/*": "text/html",
        "*/*": "text/html",
    }
    wanted = [_media_range(part) for part in (accept or "*/*").split(",")]
    acceptable = [(quality, served[media]) for media, quality in wanted if quality > 0 and media in served]
    # The first of the best: `max` keeps the client's order among equals.
    return max(acceptable, key=lambda pair: pair[0])[1] if acceptable else None


def _media_range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return media, float(value)
            except ValueError:
                return media, 0.0
    return media, 1.0


def parse_page(body: bytes, content_type: str, base_url: str) -> IndexPage:
    """Return the page in `body`. `base_url` is the URL that was answered: relative links start there.

    Raises: IndexAccessError that says where the page is not as the PEPs demand.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media == JSON_TYPE:
        return _parse_json(body, base_url)
    if media in (HTML_TYPE, "text/html"):
        return _parse_html(body, base_url)
    raise IndexAccessError(
        f"{_shown(base_url)} answered with {media or 'no content type'}, not a package index page"
    )


def _parse_json(body: bytes, base_url: str) -> IndexPage:
    where = _shown(base_url)
    try:
        page = json.loads(body)
        if _HALF_CHARACTER.search(body):
            json.dumps(page, ensure_ascii=False).encode()  # half of one can be shown and written nowhere
        files = page["files"]
        version = str(page["meta"]["api-version"])
        project = project_name(page["name"])
        if not isinstance(files, list):
            raise TypeError("files is not a list")
    except (ValueError, KeyError, TypeError, RecursionError, SettingsError) as e:
        raise IndexAccessError(f"{where}: not a page of PEP 691: {type(e).__name__} {e}") from e
    if version.partition(".")[0] != "1":
        raise IndexAccessError(f"{where}: api-version {version} is not 1.x")
    return IndexPage(
        project=project,
        files=tuple(
            file_from_json(file, _joining(base_url), f"{where}: files[{n}]") for n, file in enumerate(files)
        ),
    )


@lru_cache(maxsize=64)
def _joining(base_url: str) -> Callable[[str], str]:
    """Return `urljoin` with `base_url`; on a page with many files it would take longer than all the rest."""
    folder = urljoin(base_url, "x")[:-1]

    def joined(url: str) -> str:
        return folder + url if _DOWNWARD.fullmatch(url) else urljoin(base_url, url)

    return joined


def file_from_json(file: Any, joined: Callable[[str], str], where: str) -> IndexFile:
    """Return a file as a JSON page lists it. `joined` makes its link absolute, `where` names it in errors.

    Raises: IndexAccessError.
    """
    try:
        yanked = file.get("yanked", False)
        size = file.get("size")
        return IndexFile(
            filename=_plain_filename(file["filename"], where),
            url=joined(file["url"]),
            hashes=_hashes(file["hashes"], where),
            requires_python=_text_or_none(file.get("requires-python")),
            size=None if size is None else _size(size),
            upload_time=_time(file.get("upload-time"), where),
            yanked=("" if yanked is True else str(yanked)) if yanked else None,
        )
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as e:
        raise IndexAccessError(f"{where}: {type(e).__name__} {e}") from e


def _size(told: Any) -> int:
    size = int(told)
    if size < 0:
        raise ValueError(f"a size of {size} bytes")
    return size


def _hashes(given: Mapping[str, object], where: str) -> dict[str, str]:
    hashes = {str(name).lower(): str(digest).lower() for name, digest in given.items()}
    # A digest becomes a line of a requirements file and the name of a cache entry: to the letter, or not at all.
    if not _SHA256.fullmatch(hashes.get("sha256", "0" * 64)):
        raise IndexAccessError(f"{where}: sha256 {hashes['sha256'][:80]!r} is not 64 hexadecimal digits")
    return hashes


def _text_or_none(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is not a text")


class _Anchors(HTMLParser):
    """Collects the attributes of a page's anchors, and its `base` element."""

    def __init__(self) -> None:
        super().__init__()
        self.base: str | None = None
        self.anchors: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "base":
            self.base = self.base or dict(attrs).get("href")
        elif tag == "a":
            self.anchors.append(dict(attrs))


def _parse_html(body: bytes, base_url: str) -> IndexPage:
    parser = _Anchors()
    where = _shown(base_url)
    try:
        parser.feed(body.decode("utf-8", "replace"))
        base = urljoin(base_url, parser.base) if parser.base else base_url
        files = tuple(_html_file(attrs, base, where) for attrs in parser.anchors if attrs.get("href"))
        project = project_name(unquote(urlsplit(base_url).path.rstrip("/").rpartition("/")[2]))
    # ValueError: a link that is no URL; AssertionError: what the parser says of a declaration it does not know
    except (ValueError, AssertionError, SettingsError) as e:
        raise IndexAccessError(f"{where}: not a page of PEP 503: {e}") from e
    return IndexPage(project=project, files=files)


def _html_file(attrs: Mapping[str, str | None], base: str, where: str) -> IndexFile:
    url, fragment = urldefrag(urljoin(base, attrs["href"] or ""))
    algorithm, _, digest = fragment.partition("=")
    yanked = attrs.get("data-yanked", "") or "" if "data-yanked" in attrs else None
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    return IndexFile(
        filename=_plain_filename(filename, where),
        url=url,
        hashes=_hashes({algorithm: digest} if digest else {}, where),
        requires_python=attrs.get("data-requires-python"),
        upload_time=_time(attrs.get("data-upload-time"), where),
        yanked=yanked,
    )


def _plain_filename(filename: object, where: str) -> str:
    text = str(filename)
    if not text or "/" in text or "\\" in text or "\0" in text or text.startswith("."):
        raise IndexAccessError(f"{where}: {text!r} is not a file name")
    return text


def _time(text: str | None, where: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise IndexAccessError(f"{where}: upload-time {text!r} is not a time in ISO 8601") from e


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def format_time(time: datetime) -> str:
    """Return an aware `time` as PEP 700 writes it: UTC, microseconds, `Z`."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def render_json(page: IndexPage, *, core_metadata: bool = False) -> bytes:
    """Return `page` as JSON of API version 1.1. A file's `url` is rendered as it is, relative or not.

    `core_metadata` says that `<url>.metadata` is served beside every file (PEP 658, PEP 714).
    """
    extra = {"core-metadata": True} if core_metadata else {}
    content = {
        "meta": {"api-version": API_VERSION},
        "name": page.project,
        "versions": list(page.versions),
        "files": [file_as_json(file) | extra for file in page.files],
    }
    return json.dumps(content, ensure_ascii=False).encode()


def file_as_json(file: IndexFile) -> dict[str, object]:
    """Return `file` as a JSON page lists it."""
    optional = {
        "requires-python": file.requires_python,
        "size": file.size,
        "upload-time": format_time(file.upload_time) if file.upload_time else None,
    }
    return {
        "filename": file.filename,
        "url": file.url,
        "hashes": dict(file.hashes),
        "yanked": False if file.yanked is None else file.yanked or True,
        **{name: value for name, value in optional.items() if value is not None},
    }


def render_html(page: IndexPage) -> bytes:
    """Return `page` as HTML of PEP 503, with the attributes of PEP 592 and `data-upload-time`."""
    anchors = "\n".join(_anchor(file) for file in page.files)
    return (
        f'<!DOCTYPE html>\n<html>\n<head><meta name="pypi:repository-version" content="{API_VERSION}">'
        f"<title>Links for {escape(page.project)}</title></head>\n<body>\n{anchors}\n</body>\n</html>\n"
    ).encode()


def _anchor(file: IndexFile) -> str:
    href = f"{file.url}#sha256={file.sha256}" if file.sha256 else file.url
    attributes: Iterable[tuple[str, str | None]] = (
        ("href", href),
        ("data-requires-python", file.requires_python),
        ("data-upload-time", format_time(file.upload_time) if file.upload_time else None),
        ("data-yanked", file.yanked),
    )
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes if value is not None)
    return f"<a {written}>{escape(file.filename)}</a><br>"
