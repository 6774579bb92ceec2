"""Where faults are set, and what they do to calls: one hook around every call that comes to a stand-in.

    GET, PUT, DELETE /_stand-in/faults    {"rules": ["glue:StartJobRun=503*2", …]}
    GET, DELETE      /_stand-in/calls     {"calls": {"glue:GetJobRun": {"count": 12, "busiest_second": 3}}}

What the stand-in asks of its own services, and `local up` of it, is neither counted nor disturbed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.clients import OWN_CALL
from glue_pkgmgr.local.faults import DROPPED, EVERY_SERVICE, LOST, Faults, Rule, misspelt, parse_rule
from glue_pkgmgr.local.gateway import CALLS_PATH, FixedAnswer, aws_error
from glue_pkgmgr.local.operations import called, error_codes_of, operations_of, status_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MOST_RULES = 1000
_LARGEST_BODY = 8 << 20

# What a service answers for a status that a rule names: the status on the wire, and the error code.
# Source: each service's API reference, "Errors" and "Common errors".
_OF_JSON: Mapping[int, tuple[int, str]] = {
    403: (400, "AccessDeniedException"),
    429: (400, "ThrottlingException"),
    500: (500, "InternalFailure"),
    503: (503, "ServiceUnavailable"),
}
_OF_QUERY: Mapping[int, tuple[int, str]] = {
    403: (403, "AccessDenied"),
    429: (400, "Throttling"),
    500: (500, "InternalFailure"),
    503: (503, "ServiceUnavailable"),
}
_ANSWERS: Mapping[str, Mapping[int, tuple[int, str]]] = {
    "cloudformation": _OF_QUERY,
    "ec2": _OF_QUERY,
    "codeartifact": {
        403: (403, "AccessDeniedException"),
        429: (429, "ThrottlingException"),
        500: (500, "InternalServerException"),
        503: (503, "ServiceUnavailable"),
    },
    "glue": {**_OF_JSON, 500: (500, "InternalServiceException")},
    "iam": _OF_QUERY,
    "lambda": {
        403: (403, "AccessDeniedException"),
        429: (429, "TooManyRequestsException"),
        500: (500, "ServiceException"),
        503: (503, "ServiceUnavailableException"),
    },
    "logs": {**_OF_JSON, 503: (500, "ServiceUnavailableException")},
    "s3": {
        403: (403, "AccessDenied"),
        429: (503, "SlowDown"),
        500: (500, "InternalError"),
        503: (503, "ServiceUnavailable"),
    },
    "sns": _OF_QUERY,
    "sts": _OF_QUERY,
}
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>\n"
_ON_DEMAND = "The stand-in was told to answer so."
_LOG_READS = frozenset({"DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "StartLiveTail", "StartQuery"})
_NO_LOG_GROUP = "The specified log group does not exist."


class NoAnswer(ConnectionAbortedError):
    """The connection is to be closed without an answer."""


@dataclass(slots=True)
class _Count:
    count: int = 0
    busiest_second: int = 0
    second: int = 0
    in_second: int = 0


class Switchboard:
    """The faults and the call counts of one stand-in. `clock` is in seconds and only ever grows."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._counting = Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request to one of the two paths."""
        method = environ["REQUEST_METHOD"]
        try:
            answer = self._calls(method) if environ["PATH_INFO"] == CALLS_PATH else self._rules(method, environ)
        except SettingsError as e:
            return FixedAnswer(400, json.dumps({"error": str(e)}))(environ, start_response)
        return answer(environ, start_response)

    def around(self, application: WSGIApplication, environ: WSGIEnvironment) -> WSGIApplication:
        """Return what answers a request that `application` would answer without faults. The call is counted."""
        call = None if OWN_CALL in environ.get("HTTP_USER_AGENT", "") else called(environ)
        if call is None:
            return application
        service, operation = call
        self._count(f"{service}:{operation}" if operation else service)
        fault = self._faults.call(service, operation)
        if fault.delay:
            time.sleep(fault.delay.total_seconds())
        match fault.answer:
            case None:
                return self._usual(application, environ, service, operation)
            case "lost":
                return _lost(application)
            case "dropped":
                return _dropped
            case answer:
                return _refusal(environ, service, answer)

    def _usual(
        self, application: WSGIApplication, environ: WSGIEnvironment, service: str, operation: str | None
    ) -> WSGIApplication:
        if service == "logs" and operation in _LOG_READS and self._faults.logs_missing():
            return aws_error(environ, 400, "ResourceNotFoundException", _NO_LOG_GROUP)
        if service == "index" and self._faults.refused_as_missing():
            return _with_404_for_401(application)
        return application

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules in force with how often each was used."""
        return [{"rule": str(rule), "used": used} for rule, used in self._faults.in_force()]

    def _rules(self, method: str, environ: WSGIEnvironment) -> WSGIApplication:
        match method:
            case "GET":
                pass
            case "PUT":
                self._faults.set(_read(environ))
            case "DELETE":
                self._faults.set([])
            case _:
                return FixedAnswer(405, json.dumps({"error": "GET, PUT or DELETE"}))
        return FixedAnswer(200, json.dumps({"rules": self.rules()}))

    def _calls(self, method: str) -> WSGIApplication:
        with self._counting:
            if method == "DELETE":
                self._counts.clear()
            elif method != "GET":
                return FixedAnswer(405, json.dumps({"error": "GET or DELETE"}))
            counts = {
                name: {"count": one.count, "busiest_second": one.busiest_second}
                for name, one in sorted(self._counts.items())
            }
        return FixedAnswer(200, json.dumps({"calls": counts}))

    def _count(self, name: str) -> None:
        second = int(self._clock())
        with self._counting:
            one = self._counts.setdefault(name, _Count())
            one.in_second = one.in_second + 1 if one.second == second else 1
            one.second = second
            one.count += 1
            one.busiest_second = max(one.busiest_second, one.in_second)


def _read(environ: WSGIEnvironment) -> list[Rule]:
    """Return the rules in the body of a request. Raises: SettingsError."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > _LARGEST_BODY:
        raise SettingsError("the faults are more than 8 MiB of text")
    try:
        texts = json.loads(environ["wsgi.input"].read(length))["rules"]
        lines = [text for text in texts if isinstance(text, str)]
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise SettingsError('the body is not {"rules": ["…", …]}') from e
    if len(lines) != len(texts) or len(lines) > _MOST_RULES:
        raise SettingsError(f"rules are text, and at most {_MOST_RULES}")
    return [_checked(text) for text in lines]


def _checked(text: str) -> Rule:
    rule = parse_rule(text)
    about_calls = not rule.is_switch and rule.topic != EVERY_SERVICE
    if about_calls and (wrong := misspelt(rule, operations_of(rule.topic), error_codes_of(rule.topic))):
        raise SettingsError(f"{text!r} is no fault the stand-in can have: {wrong}")
    return rule


def _refusal(environ: WSGIEnvironment, service: str, answer: int | str) -> WSGIApplication:
    if answer == 502:  # noqa: PLR2004 - comes from something in front of the service, which knows no protocol
        return FixedAnswer(502, _BAD_GATEWAY, content_type="text/html")
    if service == "index":
        assert isinstance(answer, int)  # noqa: S101 - rules of the index have no codes
        authenticate = 'Basic realm="CodeArtifact"' if answer == 401 else ""  # noqa: PLR2004
        return FixedAnswer(answer, f"{_ON_DEMAND}\n", content_type="text/plain", authenticate=authenticate)
    if isinstance(answer, str):
        return aws_error(environ, status_of(service, answer), answer, _ON_DEMAND)
    status, code = _ANSWERS.get(service, _OF_JSON)[answer]
    return aws_error(environ, status, code, "Rate exceeded" if answer == 429 else _ON_DEMAND)  # noqa: PLR2004


def _lost(application: WSGIApplication) -> WSGIApplication:
    """Return an application that does everything, and then does not answer."""

    def lose(environ: WSGIEnvironment, _: StartResponse) -> Iterable[bytes]:
        answer = application(environ, lambda *_: lambda _: None)
        try:
            for _chunk in answer:
                pass
        finally:
            getattr(answer, "close", lambda: None)()
        raise NoAnswer(LOST)

    return lose


def _dropped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise NoAnswer(DROPPED)


def _with_404_for_401(application: WSGIApplication) -> WSGIApplication:
    """Return `application` as CodeArtifact was seen, too: to bad credentials, nothing is there."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if status.startswith("401"):
                status = "404 Not Found"
                headers = [header for header in headers if header[0].lower() != "www-authenticate"]
            return start_response(status, headers, *exc_info)

        return application(environ, start)

    return answer
