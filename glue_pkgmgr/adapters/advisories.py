"""Known vulnerabilities of releases, from a service that pip-audit knows or from a file of records."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from packaging.utils import canonicalize_name
from packaging.version import Version
from requests.utils import get_auth_from_url

from glue_pkgmgr.adapters.advisory_file import AdvisoryFile
from glue_pkgmgr.adapters.http_session import READING, RETRIED_STATUSES, Transport, first_cause, mounted
from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.advisory import Advisory, make_advisory, merged
from glue_pkgmgr.core.names import Release
from glue_pkgmgr.errors import IndexAccessError, SettingsError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.ports import Advisories
from glue_pkgmgr.settings import VulnerabilitySettings

_AT_ONCE = 8
_SECONDS = 60.0  # without a byte, and for the whole of an answer
_LARGEST_ANSWER = 64 * 1024 * 1024  # bytes; those about the projects with most vulnerabilities have some 2 MB
_MOST_PAGES = 50
_MOST_REDIRECTS = 5
_CHUNK = 64 * 1024
_LONGEST_REASON = 200  # characters: a library's errors quote what the server sent
_SCHEMA = "1."  # of the records pip-audit understands

# Asking changes nothing, though one service is asked with POST.
_RETRIES = READING.new(allowed_methods={"GET", "POST"})


def open_advisories(asked: VulnerabilitySettings, environ: Mapping[str, str]) -> Advisories:
    """Return who knows the vulnerabilities of releases, as the settings say.

    Raises: SettingsError when pip-audit is needed and not installed, or the service's address is no URL.
    """
    if asked.file is not None:
        return AdvisoryFile(asked.file)
    return PipAuditAdvisories(asked.service, asked.url, environ)


class PipAuditAdvisories:
    """Advisories from a vulnerability service, through pip-audit's library; satisfies `ports.Advisories`.

    `service` is `osv`, `pypi` or `esms`. `url` stands for the scheme and host of its usual address, with a path
    before the service's own if need be; it may hold credentials, which appear in no error. A release is asked
    about once. The local part of a version (`+cpu`) is left out: services know what was published.

    pip-audit would take some answers for "no vulnerability" that are none: further pages, records it does not
    understand, 404 of a server that is no such service. These are followed, corrected or errors here.
    `esms` knows projects as their publishers spell them, in any case: a project whose name has other separators
    than the normalised one is not found there.
    """

    def __init__(
        self, service: str, url: str | None, environ: Mapping[str, str], *, seconds: float = _SECONDS
    ) -> None:
        opened, session = _SERVICES[service]
        self._library = _pip_audit()
        # Nothing is kept there, but without a folder pip-audit asks pip for one.
        self._service = getattr(self._library, opened)(cache_dir=cache_folder(environ) / "pip-audit")
        self._service.session = session(url, environ, seconds)
        self._shown = f"{service} at {IndexSource(url=url).redacted}" if url else service
        self._answers: dict[Release, tuple[Advisory, ...]] = {}

    def of(self, releases: Sequence[Release]) -> Mapping[Release, Sequence[Advisory]]:
        """Return the advisories of each release that has some; see `ports.Advisories`.

        Raises: IndexAccessError: unreachable, refused, too slow, or not answered as the service does.
        """
        unasked = [release for release in dict.fromkeys(releases) if release not in self._answers]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for release, answer in zip(unasked, pool.map(self._ask, unasked), strict=True):
                self._answers[release] = answer
        return {release: found for release in releases if (found := self._answers[release])}

    def _ask(self, release: Release) -> tuple[Advisory, ...]:
        project, version = release
        try:
            asked = self._library.ResolvedDependency(name=project, version=Version(version.public))
            # A dependency that is skipped has no results: the package index answered that it has no such release.
            _, results = self._service.query(asked)
            found = (make_advisory([one.id, *one.aliases], one.fix_versions, version) for one in results)
            return merged(found, version)
        except Exception as e:  # a library meets what a server sent: whatever it raises, nothing was learnt
            self._fail(release, e)

    def _fail(self, release: Release, error: BaseException) -> NoReturn:
        if isinstance(error, self._library.ServiceError):
            error = error.__cause__ or error.__context__ or error
        asked = f"{self._shown} about {release[0]} {release[1]}"
        # Not chained: requests' exceptions hold the request, and that the credentials.
        raise IndexAccessError(
            f"cannot ask the vulnerability service {asked}: {_why(error)}; or name a file of records instead"
        ) from None


class _OddAnswer(Exception):
    """An answer that such a service does not give; the text says why."""


class _Session:
    """What pip-audit sends its requests through: bounded in time and size, tried again, at the address we say.

    pip-audit's own session reads the process's environment and keeps answers on disk.
    """

    path = ""  # where the service's own paths begin

    def __init__(self, url: str | None, environ: Mapping[str, str], seconds: float) -> None:
        self._seconds = seconds
        self._session = mounted(requests.Session(), Transport(environ, retries=_RETRIES))
        self._session.max_redirects = _MOST_REDIRECTS
        self._base: str | None = None
        if url is not None:
            self._base = _checked_url(url).rstrip("/").removesuffix(self.path)
            credentials = get_auth_from_url(url)
            self._session.auth = credentials if any(credentials) else None

    def _ask(self, method: str, url: str, data: str | None = None) -> requests.Response:
        with self._session.request(
            method, self._placed(url), data=data, timeout=self._seconds, stream=True
        ) as answer:
            return _answered(answer, self._body(answer))

    def _placed(self, url: str) -> str:
        if self._base is None:
            return url
        return self._base + urlunsplit(urlsplit(url)._replace(scheme="", netloc=""))

    def _body(self, answer: requests.Response) -> bytes:
        body = bytearray()
        end = time.monotonic() + self._seconds
        # One read at a time, so that an answer that drips is noticed.
        while chunk := _read(answer):
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                raise _OddAnswer(f"more than {_LARGEST_ANSWER} bytes")
            if time.monotonic() > end:
                raise requests.ReadTimeout(f"the answer took longer than {self._seconds:g} s")
        return bytes(body)


class _OsvSession(_Session):
    path = "/v1/query"

    def post(self, url: str, data: str, timeout: object = None) -> requests.Response:
        """Return the whole answer to a query.

        Source: the service's documentation, "POST /v1/query" (pagination).
        """
        query = json.loads(data)
        found: list[Any] = []
        for _ in range(_MOST_PAGES):
            answer = self._ask("POST", url, json.dumps(query))
            if not answer.ok:
                return answer
            reply = _json(answer, dict)
            found += map(_understood, _expect(reply.get("vulns", []), list))
            if not (following := reply.get("next_page_token")):
                return _answered(answer, json.dumps({"vulns": found}).encode())
            query["page_token"] = following
        raise _OddAnswer(f"more than {_MOST_PAGES} pages")


class _PyPISession(_Session):
    path = "/pypi"

    def get(self, url: str, timeout: object = None) -> requests.Response:
        """Return the answer about one release; 404 only where the service itself says that it has none."""
        answer = self._ask("GET", url)
        if answer.status_code == requests.codes.not_found:
            # A mirror without this part of the interface knows no release at all, in other words.
            if _json(answer, dict).get("message") != "Not Found":
                raise _OddAnswer("404 with another text than 'Not Found'")
        elif answer.ok and not isinstance(_json(answer, dict).get("vulnerabilities"), list):
            raise _OddAnswer("it says nothing about vulnerabilities")
        return answer


class _EsmsSession(_Session):
    path = "/api/v1/advisories"

    def get(self, url: str, timeout: object = None) -> requests.Response:
        """Return the advisories of all pages, with normalised names: pip-audit compares only those."""
        found: list[Any] = []
        for _ in range(_MOST_PAGES):
            answer = self._ask("GET", url)
            if not answer.ok:
                return answer
            found += map(_with_normalised_names, _json(answer, list))
            if not (following := answer.links.get("next", {}).get("url")):
                return _answered(answer, json.dumps(found).encode())
            # Only the query: the address may be one behind a proxy of ours.
            url = urlunsplit(urlsplit(url)._replace(query=urlsplit(following).query))
        raise _OddAnswer(f"more than {_MOST_PAGES} pages")


_SERVICES: Mapping[str, tuple[str, type[_Session]]] = {
    "osv": ("OsvService", _OsvSession),
    "pypi": ("PyPIService", _PyPISession),
    "esms": ("EcosystemsService", _EsmsSession),
}


def _pip_audit() -> Any:
    try:
        # Loaded when needed: an extra, and it takes half a second.
        return importlib.import_module("pip_audit._service")
    except ImportError as e:
        raise SettingsError('the vulnerability gate needs pip-audit: pip install "glue-pkgmgr[audit]"') from e
    except (OSError, subprocess.SubprocessError) as e:  # one of its parts asks pip for its version meanwhile
        raise SettingsError(f"pip-audit cannot start pip: {e}; install pip beside it") from e


def _understood(record: Any) -> Any:
    """Return a record as pip-audit must see it, which leaves out those without `affected` or of another schema."""
    if not str(record.get("schema_version", _SCHEMA)).startswith(_SCHEMA):
        raise _OddAnswer(f"a record of schema version {record['schema_version']!r}")
    return {**record, "affected": record.get("affected") or []}


def _with_normalised_names(advisory: Any) -> Any:
    packages = [{**one, "package_name": canonicalize_name(one["package_name"])} for one in advisory["packages"]]
    return {**advisory, "packages": packages}


def _json(answer: requests.Response, kind: type) -> Any:
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        raise _OddAnswer(f"{answer.status_code} and no JSON") from None
    return _expect(value, kind)


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _OddAnswer(f"a JSON {type(value).__name__} instead of a {kind.__name__}")
    return value


def _answered(answer: requests.Response, body: bytes) -> requests.Response:
    """Return `answer` with another body."""
    made = requests.Response()
    made.status_code, made.reason, made.url = answer.status_code, answer.reason, answer.url
    made.headers, made.raw = answer.headers, io.BytesIO(body)
    return made


def _read(answer: requests.Response) -> bytes:
    try:
        chunk: bytes = answer.raw.read1(_CHUNK, decode_content=True)
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise requests.ConnectionError(e) from e
    return chunk


def _checked_url(url: str) -> str:
    """Return `url` without credentials."""
    try:
        plain = IndexSource(url=url).redacted
        parts = urlsplit(plain)
        fits = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    except ValueError:  # brackets of IPv6 that do not close
        fits = False
    if not fits:
        # Not shown: it may hold credentials, wherever they ended up.
        raise SettingsError(
            "the url of the vulnerability service is none: write http:// or https://, a host, and neither ? nor #"
        )
    return plain


def _why(error: BaseException) -> str:
    """Return why an answer was not had, and what to do."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        if status in RETRIED_STATUSES:
            return f"it answered {status} again and again; try later"
        return f"it answered {status}; check the service's url and its credentials"
    if isinstance(error, requests.RequestException):
        return f"cannot reach it: {first_cause(error)}; check the network, the proxy and the service's url"
    told = str(error) if isinstance(error, _OddAnswer) else f"{type(error).__name__}: {error}"
    return f"that is not how such a service answers: {told[:_LONGEST_REASON]}; check the service's url"
