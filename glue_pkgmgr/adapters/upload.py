"""Uploads distribution files to a repository, with twine's library and a token that stays in memory."""

from __future__ import annotations

import logging
import random
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

import requests
import rich
from packaging.version import Version
from twine.exceptions import InvalidDistribution, TwineException
from twine.package import PackageFile
from twine.repository import Repository
from twine.sdist import SDist
from twine.wheel import Wheel

from glue_pkgmgr.adapters.http_session import ONCE, RETRIED_STATUSES, Transport, first_cause, mounted
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.index_url import USER, IndexUrl, redact
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, SettingsError

# twine warns of each answer it does not like, and without a handler Python prints that. We tell the last one.
logging.getLogger("twine").addHandler(logging.NullHandler())

_ATTEMPTS = 4
_LONGEST_PAUSE = 8.0  # seconds
_LONGEST_ASKED = 30.0  # seconds that a server may have us wait
_LONGEST_REASON = 300  # characters of a server's answer that are told


class TwineUploader:
    """Uploads to the repository of `index`. Neither `~/.pypirc` nor keyring nor `TWINE_*` is read."""

    def __init__(
        self,
        index: IndexUrl,
        environ: Mapping[str, str],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._index = index
        self._sleep = sleep
        self._endpoint = index.endpoint.rstrip("/") + "/"
        self._repository = Repository(self._endpoint, USER, index.token.reveal(), disable_progress_bar=True)
        mounted(self._repository.session, Transport(environ, retries=ONCE))

    def upload(self, path: Path, *, sha256: str | None = None) -> None:
        """Upload the wheel or sdist at `path`. The same bytes there already are no error.

        With `sha256` only those bytes are: between a look at a file and its upload a build may have replaced it.

        Busy answers (429, 5xx) and broken connections are tried again, a few times with growing pauses.

        Raises: IndexAccessError: token, permission, repository, network; NotInstallable on a conflict (409), or
        for other bytes; SettingsError when the file cannot be read or its metadata is invalid.
        Source: PyPI upload form; CodeArtifact User Guide, "Configure and use twine with CodeArtifact".
        """
        package = _package(path)
        if sha256 not in (None, package.sha2_digest):
            raise NotInstallable(
                f"{path} was changed after it was checked: its SHA-256 is {package.sha2_digest}, checked was "
                f"{sha256}; it is not uploaded. Run again when nothing else builds there"
            )
        pauses = _pauses()
        while True:
            answer = self._send(package)
            pause = next(pauses, None)
            if pause is None or not _worth_another_try(answer):
                break
            self._sleep(max(pause, _asked_for(answer)))
        if isinstance(answer, Exception):
            # Not chained: requests' exceptions hold the request, and that the token.
            raise IndexAccessError(
                f"could not upload {path.name} to {self._endpoint}: {self._redacted(first_cause(answer))}; "
                "run again to go on: files that arrived are not sent twice"
            ) from None
        if not answer.ok or answer.is_redirect:
            raise self._refusal(path.name, answer)

    def _send(self, package: PackageFile) -> requests.Response | requests.RequestException:
        with _SILENCE:
            try:
                # twine's own retries have no pauses: one try at a time.
                return self._repository.upload(package, max_redirects=1)
            except requests.RequestException as e:
                return e

    def _refusal(self, filename: str, answer: requests.Response) -> GluePkgmgrError:
        status = answer.status_code
        failed = f"could not upload {filename} to {self._endpoint}: {status} {self._told_by(answer)}".rstrip()
        if status == requests.codes.conflict:
            return NotInstallable(
                f"{failed}; either other bytes are there under this name (raise the version), or an upstream has "
                "this version, or the origin configuration blocks publishing (`aws codeartifact "
                "put-package-origin-configuration … --restrictions publish=ALLOW,upstream=BLOCK`)"
            )
        return IndexAccessError(f"{failed}; {_advice(status)}")

    def _told_by(self, answer: requests.Response) -> str:
        """Return the server's own words on one line: the reason phrase and what a short text body adds."""
        text = "" if "html" in answer.headers.get("Content-Type", "") else answer.text
        words = " ".join(f"{answer.reason or ''}: {text}".split()).strip(": ")
        return self._redacted(words)[:_LONGEST_REASON]

    def _redacted(self, text: str) -> str:
        return redact(text, [self._index.token])


def check_upload(path: Path) -> None:
    """Read the wheel or sdist at `path` as an upload would, and send nothing.

    Raises: SettingsError when it cannot be read, is damaged, or its metadata is invalid, not UTF-8, or of another
    release than its name tells.
    Source: core metadata specifications (encoding: UTF-8).
    """
    _package(path)


def _package(path: Path) -> PackageFile:
    try:
        stat = path.stat()
        return _read(path, stat.st_size, stat.st_mtime_ns)
    except _UNREADABLE as e:
        why = " ".join(str(e).split()) or type(e).__name__
        raise SettingsError(f"{path.name} is not a distribution an index accepts: {why}; build it again") from e
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror or e}") from e


_UNREADABLE = (
    *(TwineException, tarfile.TarError, zipfile.BadZipFile, zlib.error),
    *(ValueError, KeyError, EOFError, RuntimeError),  # RuntimeError: an encrypted archive
)


@lru_cache(maxsize=512)
def _read(path: Path, size: int, changed: int) -> PackageFile:
    """Return what twine reads of `path` as it is since `changed`: it hashes a file three ways each time."""
    try:
        package = PackageFile.from_filename(str(path), comment=None)
    except InvalidDistribution as e:
        raise InvalidDistribution(_not_utf8(path) or str(e)) from e
    named = parse_filename(path.name)
    told = package.metadata["name"], package.metadata["version"]
    if (project_name(told[0]), Version(told[1])) != (named.project, named.version):
        raise InvalidDistribution(f"its metadata is of {told[0]} {told[1]}")
    return package


def _not_utf8(path: Path) -> str:
    """Return where metadata stops being UTF-8; '' if that is not what is wrong with it."""
    with suppress(*_UNREADABLE, OSError):
        raw = (Wheel if path.suffix == ".whl" else SDist)(str(path)).read()
        try:
            raw.decode()
        except UnicodeDecodeError as e:
            line = raw[: e.start].count(b"\n") + 1
            return f"its metadata is not UTF-8: byte 0x{raw[e.start]:02x} in line {line}"
    return ""


def _worth_another_try(answer: requests.Response | requests.RequestException) -> bool:
    if isinstance(answer, requests.RequestException):
        return isinstance(answer, requests.ConnectionError | requests.Timeout)
    return answer.status_code in RETRIED_STATUSES


def _pauses() -> Iterator[float]:
    """Return the seconds to wait between tries: growing, with jitter, `_ATTEMPTS - 1` of them."""
    for attempt in range(_ATTEMPTS - 1):
        yield min(_LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311 - not a secret


def _asked_for(answer: requests.Response | requests.RequestException) -> float:
    """Return how many seconds the server asks to wait, within reason; 0 if it does not."""
    asked = "" if isinstance(answer, Exception) else answer.headers.get("Retry-After", "")
    return min(_LONGEST_ASKED, float(asked)) if asked.isdecimal() else 0.0


_ADVICE = {
    requests.codes.unauthorized: "the token is expired, revoked or of another domain; mint a new one",
    requests.codes.payment_required: "a quota is reached: 350 files a release, and what the domain may hold",
    requests.codes.forbidden: "the token's principal needs codeartifact:PublishPackageVersion on the package",
    requests.codes.not_found: "check the domain and the repository, and that the token is of this domain",
    requests.codes.request_entity_too_large: "CodeArtifact accepts files up to 5 GB",
}


def _advice(status: int) -> str:
    if status in RETRIED_STATUSES:
        return f"tried {_ATTEMPTS} times; run again later, files that arrived are not sent twice"
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        return "it sends the upload elsewhere, where the token does not go; check the endpoint and the proxy"
    return _ADVICE.get(status, "check the file and the repository")


class _Silence:
    """Keeps twine from printing: a library prints nothing, and what twine prints goes to rich's shared console.

    Several threads may be in it at once; the last to leave puts the console back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            console = rich.get_console()
            if self._inside == 0:
                self._before, console.quiet = console.quiet, True
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                rich.get_console().quiet = self._before


_SILENCE = _Silence()
