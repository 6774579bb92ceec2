"""A package index read over HTTP, through the simple API."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from glue_pkgmgr.adapters.http_session import RETRIED_STATUSES, first_cause, new_session
from glue_pkgmgr.adapters.kept_pages import KeptPages
from glue_pkgmgr.core.index_url import USER, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.simple_api import ACCEPT, IndexPage, parse_page
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.ports import Clock, IndexRefused, utc_now

_CHUNK = 1024 * 1024
_DOWNLOAD_ATTEMPTS = 3  # of a body that breaks off; refused connections and 5xx are retried beneath
_LARGEST_PAGE = 256 * 1024 * 1024  # bytes; the largest public pages have some 40 MB

_DENIED = (401, 403)


class SimpleIndex:
    """A package index behind an `IndexUrl` (CodeArtifact, token inside) or an `IndexSource` (pip's own).

    Credentials go to the index's own host only, in a header, and appear in no error. With `pages` a page that the
    index says is unchanged is not sent again.
    """

    def __init__(
        self,
        source: IndexUrl | IndexSource,
        environ: Mapping[str, str],
        *,
        clock: Clock = utc_now,
        pages: KeptPages | None = None,
    ) -> None:
        self._clock = clock
        self._pages = pages
        self._token: AuthorizationToken | None = None
        self._auth: tuple[str, str] | None
        if isinstance(source, IndexUrl):
            self._token = source.token
            self._url, self._auth = source.plain, (USER, source.token.reveal())
            self._session = new_session(environ)
        else:
            self._url, self._auth = _split_credentials(source.url)
            self._session = new_session(environ, source)

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the page of a project, None if the index has none (404).

        CodeArtifact has been seen to answer 404, not 401, to a token it does not accept; hence an expired
        token is refused here before it is sent.

        Raises: IndexAccessError: refused, unreachable, or not an index page.
        """
        url = f"{self._url}{project}/"
        kept = self._pages.get(url) if self._pages else None
        headers = {"Accept": ACCEPT} | ({"If-None-Match": kept[0]} if kept else {})
        with self._get(url, headers) as response:
            if response.status_code == requests.codes.not_found:
                return None
            if kept and response.status_code == requests.codes.not_modified:
                return kept[1]
            self._refuse(response, url)
            body = _read_page(response)
            # The address that answered, redirects followed: relative links start there.
            page = parse_page(body, response.headers.get("Content-Type", ""), _without_credentials(response.url))
        if self._pages and (etag := response.headers.get("ETag")):
            self._pages.keep(url, etag, page)
        return page

    def download(self, url: str, target: Path, sha256: str) -> None:
        """Store the file at `url` as `target`, whole and with that hash or not at all.

        A body that breaks off is fetched again. The file grows beside `target` under another name.

        Raises: IndexAccessError; NotInstallable when the bytes differ; SettingsError when `target` cannot
        be written.
        """
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            try:
                with part.open("wb") as file:
                    found = self._fetch(url, file)
                if found != sha256.lower():
                    raise NotInstallable(
                        f"{_shown(url)} is not what was promised: SHA-256 {found}, expected {sha256.lower()}; "
                        "nothing was kept. Find out who changed it before trying again"
                    )
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as e:
            raise SettingsError(
                f"cannot write {target}: {e.strerror or e}; check the folder and free space"
            ) from e

    def _fetch(self, url: str, file: BinaryIO) -> str:
        """Write the body at `url` to `file` and return its SHA-256."""
        for _ in range(_DOWNLOAD_ATTEMPTS - 1):
            with suppress(_BrokenOff):
                return self._stream(url, file)
        return self._stream(url, file)

    def _stream(self, url: str, file: BinaryIO) -> str:
        file.seek(0)
        file.truncate()
        digest = hashlib.sha256()
        # `identity`: a file that is compressed on the way would not have the promised hash.
        with self._get(url, {"Accept-Encoding": "identity"}) as response:
            self._refuse(response, url)
            for chunk in _chunks(response, url):
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    @contextmanager
    def _get(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        if self._token is not None and self._token.expired(self._clock()):
            raise IndexRefused(
                f"the token for {_shown(self._url)} expired at {self._token.expires_at:%H:%M:%S} UTC: mint one",
                requests.codes.unauthorized,
            )
        try:
            auth = self._auth if _origin(url) == _origin(self._url) else None
            response = self._session.get(url, headers=dict(headers), auth=auth, stream=True)
        except (requests.RequestException, ValueError) as e:  # ValueError: sent on to what is no URL
            # Not chained: requests' exceptions hold the request, and that the credentials.
            raise IndexAccessError(
                f"cannot reach {_shown(url)}: {first_cause(e)}; check the network and proxy"
            ) from None
        with response:
            yield response

    def _refuse(self, response: requests.Response, url: str) -> None:
        status = response.status_code
        if response.ok:
            return
        if status in _DENIED:
            raise IndexRefused(f"{_shown(url)} answered {status}: {self._why_denied(status)}", status)
        raise IndexRefused(f"{_shown(url)} answered {status}{_later(status)}", status)

    def _why_denied(self, status: int) -> str:
        if self._token is None:
            return "the credentials in the index URL are missing or wrong; see `python -m pip config list`"
        if status == requests.codes.unauthorized:
            return "the token is expired, revoked or of another domain; mint a new one"
        return "the token's principal needs codeartifact:ReadFromRepository"


class _BrokenOff(IndexAccessError):
    """The connection broke in the middle of a body."""


def _chunks(response: requests.Response, url: str) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_CHUNK)
    except requests.RequestException as e:
        raise _BrokenOff(f"{_shown(url)} broke off: {first_cause(e)}; try again") from None


def _read_page(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in _chunks(response, response.url):
        body += chunk
        if len(body) > _LARGEST_PAGE:
            raise IndexAccessError(
                f"{_shown(response.url)} is larger than {_LARGEST_PAGE} bytes: not an index page"
            )
    return bytes(body)


def _split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(url)
    plain = _without_credentials(url)
    if parts.username is None and parts.password is None:
        return plain, None
    return plain, (unquote(parts.username or ""), unquote(parts.password or ""))


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _shown(url: str) -> str:
    # Without the query too: signed download links carry their secret there.
    return urlunsplit(urlsplit(_without_credentials(url))._replace(query="", fragment=""))


@lru_cache(maxsize=64)
def _origin(url: str) -> tuple[str, str]:
    """Return scheme, and host with port, of where a request of `url` goes.

    As the request is prepared: in `http://a\\@b/` urlsplit takes b for the host, and the connection is made to a.
    """
    sent = requests.Request("GET", url).prepare().url or ""
    return urlsplit(_without_credentials(sent))[:2]


def _later(status: int) -> str:
    if status in RETRIED_STATUSES:
        return " again and again; try later"
    return "; check the index URL and the repository"
