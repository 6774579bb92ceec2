"""The public index behind an external connection: its pages, and its files, each checked before it counts.

A failure is a failure: nothing of it is remembered, so that the next request asks again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.simple_api import ACCEPT, IndexFile, IndexPage, parse_page
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.packages.blobs import CHUNK, Digester, Digests, flush
from glue_pkgmgr.local.packages.store import PackageStore

T = TypeVar("T")

_ATTEMPTS = 3
_TIMEOUT = 30.0  # seconds without a byte
_CONNECT_TIMEOUT = 10.0
_FRESH = timedelta(seconds=60)  # how long a page is served without asking whether it changed
_PAGES = 64  # kept in memory
_PIECE = 1 << 16  # bytes passed on at a time: small, so that a slow file does not look like a dead one
_CONNECTIONS = 32  # kept open to one host
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_MODIFIED, _NOT_FOUND, _GONE, _PARTIAL = 304, 404, 410, 206


class UpstreamFailed(Exception):
    """The public index did not give what was asked for; `status` is the HTTP status to answer with."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


class _Passing(Exception):
    """An attempt failed in a way that another may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptPage:
    page: IndexPage
    asked: datetime
    etag: str | None


class Upstream:
    """Reads the index that `source` names at the time of each request. Safe for many threads.

    `timeout` is in seconds without a byte. `pause` waits between the attempts.
    """

    def __init__(
        self,
        source: Callable[[], IndexSource],
        store: PackageStore,
        clock: Callable[[], datetime],
        *,
        timeout: float = _TIMEOUT,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._timeout = timeout
        self._pause = pause
        # One pool of connections: a handshake for every page would cost more than the page.
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._lock = threading.Lock()
        self._pages: dict[str, _KeptPage] = {}
        self._downloads: dict[str, Download] = {}

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the page of `project`, None if the index says that it has none.

        Raises: UpstreamFailed when the index cannot be read.
        """
        source = self._index()
        url = urljoin(source.url, f"{project}/")
        kept = self._pages.get(url)
        if kept and self._clock() - kept.asked < _FRESH:
            return kept.page
        headers = {"Accept": ACCEPT} | ({"If-None-Match": kept.etag} if kept and kept.etag else {})
        what = f"the page of {project}"
        return self._tried(lambda: self._read_page(source, url, headers, kept, what))

    def _index(self) -> IndexSource:
        try:
            return self._source()
        except GluePkgmgrError as e:
            raise UpstreamFailed(f"it is not known where the public index is: {e}") from e

    def _read_page(
        self, source: IndexSource, url: str, headers: dict[str, str], kept: _KeptPage | None, what: str
    ) -> IndexPage | None:
        with closing(self._get(source, url, headers, what)) as answer:
            if answer.status_code in (_NOT_FOUND, _GONE):
                self._pages.pop(url, None)
                return None
            if answer.status_code == _NOT_MODIFIED and kept:
                page = kept.page
            else:
                body = _whole(answer, what)
                page = _parsed(body, answer, what)
        entry = _KeptPage(page=page, asked=self._clock(), etag=answer.headers.get("ETag"))
        with self._lock:
            self._pages[url] = entry
            while len(self._pages) > _PAGES:
                self._pages.pop(next(iter(self._pages)))
        return page

    def file(self, project: ProjectName, filename: str) -> IndexFile | None:
        """Return how the index lists a file, None if it does not. Raises: UpstreamFailed."""
        page = self.page(project)
        return next((file for file in page.files if file.filename == filename), None) if page else None

    def download(self, file: IndexFile) -> Download:
        """Return the running or a new download of `file`; it goes on when nobody waits for it any more."""
        key = file.sha256 or file.url
        with self._lock:
            running = self._downloads.get(key)
            if running is None:
                running = self._downloads[key] = Download(file.filename)
                threading.Thread(
                    target=self._fetch, args=(file, running, key), name=f"fetch {file.filename}", daemon=True
                ).start()
            return running

    def _fetch(self, file: IndexFile, download: Download, key: str) -> None:
        try:
            self._fetch_into(download, file)
        except BaseException as e:
            # Whatever it is, those who wait must hear of it: this thread has no other listener.
            download.fail(e if isinstance(e, UpstreamFailed) else _cannot_keep(file, e))
        finally:
            with self._lock:
                del self._downloads[key]

    def _fetch_into(self, download: Download, file: IndexFile) -> None:
        if file.sha256 and (here := self._store.blob(file.sha256)):
            # Another fetch ended between somebody's look and this start.
            download.finish(lambda: self._store.blobs.path(here.sha256), here)
            return
        source = self._index()
        target, path = self._store.blobs.new_file()
        try:
            download.open_at(path)
            digester = Digester()
            with target:
                self._tried(lambda: self._read_on(source, file, target, digester, download.grown))
                digests = _checked(file, digester.digests())
                flush(target)
            download.finish(lambda: self._store.add_blob(path, digests), digests)
        finally:
            path.unlink(missing_ok=True)

    def _read_on(
        self,
        source: IndexSource,
        file: IndexFile,
        target: BinaryIO,
        digester: Digester,
        grown: Callable[[int, int | None], None],
    ) -> None:
        """Append to `target` what is still missing: an attempt goes on where the one before was cut off."""
        start = digester.size
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with closing(self._get(source, file.url, headers, file.filename)) as answer:
            if answer.status_code in (_NOT_FOUND, _GONE):
                raise UpstreamFailed(f"the public index lists {file.filename} but no longer has it", 404)
            skip = 0 if answer.status_code == _PARTIAL else start
            length = answer.headers.get("Content-Length")
            total = None if length is None else int(length) + start - skip
            grown(digester.size, total)
            for chunk in _raw(answer, file.filename):
                fresh = chunk[skip:]
                skip -= len(chunk) - len(fresh)
                digester.update(fresh)
                target.write(fresh)
                target.flush()
                grown(digester.size, total)
            if total is not None and digester.size != total:
                raise _Passing(f"{file.filename} ended after {digester.size} of {total} bytes")

    def _get(self, source: IndexSource, url: str, headers: dict[str, str], what: str) -> requests.Response:
        """Return an answer with status 200, 206, 304, 404 or 410; its body is still to be read."""
        try:
            answer = self._session.get(
                url,
                headers=headers,
                auth=credentials_for(source, url),
                verify=str(source.ca_bundle) if source.ca_bundle else None,
                proxies={"http": source.proxy, "https": source.proxy} if source.proxy else None,
                timeout=(min(_CONNECT_TIMEOUT, self._timeout), self._timeout),
                stream=True,
            )
        except requests.Timeout as e:
            raise UpstreamFailed(f"the public index did not answer for {what} in {self._timeout:g} s", 504) from e
        except requests.ConnectionError as e:
            raise _Passing(f"{what}: no connection ({type(e).__name__})") from e
        except requests.RequestException as e:
            raise UpstreamFailed(f"the public index cannot be asked for {what}: {type(e).__name__}") from e
        if answer.status_code in _PASSING:
            answer.close()
            raise _Passing(f"{what}: status {answer.status_code}")
        if answer.status_code not in (200, _PARTIAL, _NOT_MODIFIED, _NOT_FOUND, _GONE):
            answer.close()
            raise UpstreamFailed(f"the public index answered {answer.status_code} for {what}")
        return answer

    def _tried(self, attempt: Callable[[], T]) -> T:
        for number in range(1, _ATTEMPTS + 1):
            try:
                return attempt()
            except _Passing as e:
                if number == _ATTEMPTS:
                    raise UpstreamFailed(f"the public index failed {number} times: {e}") from e
            # Full jitter: clients that failed together do not come back together.
            self._pause(random.uniform(0, 0.2 * 2**number))  # noqa: S311 - not a secret
        raise AssertionError("unreachable: the last attempt returns or raises")


class Download:
    """A file on its way in, which any number of threads may read while it grows."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self._changed = threading.Condition()
        self._path: Path | None = None
        self._size = 0
        self._total: int | None = None
        self._digests: Digests | None = None
        self._error: UpstreamFailed | None = None

    def open_at(self, path: Path) -> None:
        """Say where the bytes lie while they come in."""
        with self._changed:
            self._path = path

    def grown(self, size: int, total: int | None) -> None:
        """Say that `size` bytes are there, of `total` if that is known."""
        with self._changed:
            self._size, self._total = size, total
            self._changed.notify_all()

    def finish(self, keep: Callable[[], Path], digests: Digests) -> None:
        """Move the checked file to where it stays, and tell everybody."""
        with self._changed:
            self._path = keep()
            self._digests = digests
            self._changed.notify_all()

    def fail(self, error: UpstreamFailed) -> None:
        """Tell everybody that the file will not come."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wait(self) -> Digests:
        """Wait for the end and return the hashes of the file. Raises: UpstreamFailed."""
        with self._changed:
            self._changed.wait_for(lambda: self._digests or self._error)
            if self._error:
                raise _again(self._error)
            return cast(Digests, self._digests)

    def begun(self) -> int | None:
        """Wait until there is something to pass on and return the file's length, None if only its end will tell.

        A file of one piece is waited for as a whole, so that what is wrong with it can still be said in words.

        Raises: UpstreamFailed.
        """
        with self._changed:
            self._wait_for_more_than(0)
            if self._error:
                raise _again(self._error)
            return self._digests.size if self._digests else self._total

    def chunks(self) -> Iterator[bytes]:
        """Yield the file as it grows. Its end is held back until all of it has been checked.

        Raises: ConnectionAbortedError when it fails midway: the reader then sees fewer bytes than announced.
        """
        with self._changed:
            if self._path is None:
                raise ConnectionAbortedError(self.filename)
            file = self._path.open("rb")
        with file:
            sent = 0
            while True:
                with self._changed:
                    self._wait_for_more_than(sent)
                    if self._error:
                        raise ConnectionAbortedError(f"{self.filename}: {self._error}")
                    # Without a byte held back a client could take a wrong file for a whole one.
                    end = self._size if self._digests else self._size - 1
                while sent < end and (chunk := file.read(min(CHUNK, end - sent))):
                    sent += len(chunk)
                    yield chunk
                if self._digests and sent == self._digests.size:
                    return

    def _wait_for_more_than(self, sent: int) -> None:
        # More than a piece, because the last byte is held back.
        self._changed.wait_for(lambda: self._digests or self._error or self._size - sent > _PIECE)


def _again(error: UpstreamFailed) -> UpstreamFailed:
    # One error object raised in many threads would grow a traceback of all of them.
    return UpstreamFailed(str(error), error.status)


def credentials_for(source: IndexSource, url: str) -> tuple[str, str] | None:
    """Return user and password of the index, for its own address only."""
    index = urlsplit(source.url)
    if index.username is None or _origin(source.url) != _origin(url):
        return None
    return unquote(index.username), unquote(index.password or "")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    # As the request is prepared: in `http://a\@b/` urlsplit takes b for the host, and the connection is made to a.
    sent = urlsplit(requests.Request("GET", url).prepare().url or "")
    return sent.scheme, sent.hostname, sent.port


def _raw(answer: requests.Response, what: str) -> Iterator[bytes]:
    # Not `iter_content`: it would unpack a .tar.gz that a server labels with a content encoding.
    try:
        yield from answer.raw.stream(_PIECE, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise _Passing(f"{what} broke off ({type(e).__name__})") from e


def _whole(answer: requests.Response, what: str) -> bytes:
    try:
        return answer.content
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as e:
        raise _Passing(f"{what} broke off ({type(e).__name__})") from e


def _parsed(body: bytes, answer: requests.Response, what: str) -> IndexPage:
    try:
        return parse_page(body, answer.headers.get("Content-Type", ""), answer.url)
    except IndexAccessError as e:
        raise UpstreamFailed(f"{what} of the public index cannot be read: {e}") from e


def _checked(file: IndexFile, found: Digests) -> Digests:
    for algorithm in ("sha256", "sha512", "sha1", "md5"):
        promised = file.hashes.get(algorithm)
        if promised and promised != getattr(found, algorithm):
            raise UpstreamFailed(
                f"{file.filename} from the public index has {algorithm} {getattr(found, algorithm)}, "
                f"its page promises {promised}; it was thrown away"
            )
    return found


def _cannot_keep(file: IndexFile, error: BaseException) -> UpstreamFailed:
    return UpstreamFailed(f"{file.filename} cannot be kept: {type(error).__name__}: {error}", 500)
