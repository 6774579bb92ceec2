"""S3 as clients of the stand-in see it: what rclone serves, and a clear refusal of what it would get wrong.

rclone takes the request that sets an object's tags for the object itself, and ignores conditions: left
alone, both destroy data without a word. `If-None-Match: *` of a write is kept here, other conditions are
refused. Bytes are passed on as they come; nothing is held in memory.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qs, urlsplit

from glue_pkgmgr.local.gateway import aws_error
from glue_pkgmgr.local.objects import LISTING_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

RAW_HEADERS = "glue_pkgmgr.headers"
"""Where the server puts the request's headers, pairs as they came: WSGI loses names with an underscore."""

_TIMEOUT_SECONDS = 120.0
_CHUNK = 256 * 1024

# Source: the S3 API; each is the marker of an operation in the query of a URL.
_NOT_SERVED = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "website",
    }
)
_ONLY_READ = frozenset({"location", "versioning", "versions"})
_IF_NEW = ("if-none-match", "*")  # the one condition a write may have
_MAKING = frozenset({"PUT", "POST"})
_CONDITIONS = frozenset({"if-match", "if-none-match"})
_HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})

_NO_LENGTH = "You must provide the Content-Length HTTP header."
_EXISTS = "At least one of the pre-conditions you specified did not hold"


class S3Front:
    """A WSGI application in front of an rclone at `endpoint`, a URL without a path."""

    def __init__(self, endpoint: str) -> None:
        self._address = urlsplit(endpoint).netloc
        self._writers = _Writers()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        headers: list[tuple[str, str]] = environ[RAW_HEADERS]
        if lacking := not_served(environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""), headers):
            return aws_error(environ, 501, "NotImplemented", lacking)(environ, start_response)
        if "HTTP_TRANSFER_ENCODING" in environ:  # without a length, what breaks off would pass for complete
            return aws_error(environ, 411, "MissingContentLength", _NO_LENGTH)(environ, start_response)
        # Whatever was in the folder when this request came is in its answer.
        time.sleep(LISTING_SECONDS)
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_SECONDS)
        try:
            # rclone answers a write when it is done: until then the next writer of the object waits.
            with self._writers.only(_written(environ)):
                if _only_if_new(environ["REQUEST_METHOD"], headers) and self._exists(environ):
                    return aws_error(environ, 412, "PreconditionFailed", _EXISTS)(environ, start_response)
                answer = _pass_on(connection, environ, headers)
        except (OSError, http.client.HTTPException) as e:
            connection.close()  # rclone drops what it has of an unfinished upload
            return aws_error(environ, 500, "InternalError", f"{type(e).__name__}: {e}")(environ, start_response)
        start_response(*_head(answer))
        return _body(connection, answer)

    def _exists(self, environ: WSGIEnvironment) -> bool:
        with closing(http.client.HTTPConnection(self._address, timeout=_TIMEOUT_SECONDS)) as connection:
            connection.request("HEAD", environ["REQUEST_URI"].partition("?")[0])
            return connection.getresponse().status == http.HTTPStatus.OK


class _Writers:
    """Who writes objects: one at a time for each, so that a condition holds until its object is written."""

    def __init__(self) -> None:
        self._written: set[str] = set()
        self._done = threading.Condition()

    @contextmanager
    def only(self, path: str | None) -> Iterator[None]:
        """Write the object at `path` alone; None is no object and waits for nobody."""
        if path is None:
            yield
            return
        with self._done:
            self._done.wait_for(lambda: path not in self._written)
            self._written.add(path)
        try:
            yield
        finally:
            with self._done:
                self._written.remove(path)
                self._done.notify_all()


def not_served(method: str, query: str, headers: Iterable[tuple[str, str]]) -> str | None:
    """Return why the stand-in does not serve such a request; None if it does."""
    asked = parse_qs(query, keep_blank_values=True).keys()
    changes = method not in {"GET", "HEAD"}
    if lacking := asked & (_NOT_SERVED | (_ONLY_READ if changes else frozenset())):
        return f"The stand-in does not implement ?{min(lacking)} of S3."
    conditions = [(name.lower(), value.strip()) for name, value in headers if name.lower() in _CONDITIONS]
    kept = [_IF_NEW] if method in _MAKING else []
    if changes and conditions not in ([], kept):
        return "The stand-in implements no conditional write to S3 but If-None-Match: *."
    return None


def _only_if_new(method: str, headers: Iterable[tuple[str, str]]) -> bool:
    return method in _MAKING and any((name.lower(), value.strip()) == _IF_NEW for name, value in headers)


def _written(environ: WSGIEnvironment) -> str | None:
    """Return the path of the object that a request makes or replaces; None if it does not.

    The parts of an upload come side by side, and make an object only when the upload is completed.
    """
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    puts = environ["REQUEST_METHOD"] == "PUT" and "partNumber" not in asked
    completes = environ["REQUEST_METHOD"] == "POST" and "uploadId" in asked
    return environ["PATH_INFO"] if puts or completes else None


def _pass_on(
    connection: http.client.HTTPConnection, environ: WSGIEnvironment, headers: Iterable[tuple[str, str]]
) -> http.client.HTTPResponse:
    connection.putrequest(
        environ["REQUEST_METHOD"], environ["REQUEST_URI"], skip_host=True, skip_accept_encoding=True
    )
    for name, value in headers:
        if name.lower() not in _HOP_BY_HOP:
            connection.putheader(name, value)
    body = _exactly(int(environ.get("CONTENT_LENGTH") or 0), environ["wsgi.input"])
    # A refusal may come before the end of a large body: it is the answer.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body)
    return connection.getresponse()


def _exactly(length: int, body: BinaryIO) -> Iterator[bytes]:
    while length:
        chunk = body.read(min(_CHUNK, length))
        if not chunk:
            raise http.client.HTTPException("the client went away in the middle of an upload")
        length -= len(chunk)
        yield chunk


def _head(answer: http.client.HTTPResponse) -> tuple[str, list[tuple[str, str]]]:
    """Return status line and headers of an answer, put right where it is a part of an object.

    rclone sends a part with the status and the checksum of the whole, and clients that compare fail.
    """
    headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
    if answer.getheader("Content-Range") and answer.status == http.HTTPStatus.OK:
        unfit = "x-amz-checksum-"
        return "206 Partial Content", [h for h in headers if not h[0].lower().startswith(unfit)]
    return f"{answer.status} {answer.reason}", headers


def _body(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read(_CHUNK):
            yield chunk
    finally:
        connection.close()
