"""One door for the AWS APIs of the stand-in and its package index: which application answers a request.

An AWS request names its service in the credential scope of its signature, so clients need only one endpoint.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from glue_pkgmgr.local.switchboard import Switchboard

STATUS_PATH = "/_stand-in"
"""Where the stand-in tells who it is: no AWS API, and no index, has such a path."""

FAULTS_PATH = f"{STATUS_PATH}/faults"
CALLS_PATH = f"{STATUS_PATH}/calls"

GLUE_RUN_OPERATIONS = frozenset({"StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"})
"""The operations of Glue that really run something; the others are moto's."""

MotoBackend = Literal["cloudwatch", "ec2", "events", "glue", "iam", "kms", "logs", "sns", "stepfunctions", "sts"]

MOTO_BACKENDS: Mapping[str, MotoBackend] = {
    "ec2": "ec2",
    "events": "events",
    "glue": "glue",
    "iam": "iam",
    "kms": "kms",
    "logs": "logs",
    "monitoring": "cloudwatch",
    "sns": "sns",
    "states": "stepfunctions",
    "sts": "sts",
}
"""The services moto answers for: signing name of the service -> moto's own name."""

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/[a-z0-9-]+/([a-z0-9.-]+)/aws4_request")


class Gateway:
    """A WSGI application that passes each request to the application of its service.

    `moto` returns the application for one of moto's services; `status` is what `STATUS_PATH` answers;
    `switchboard` answers the paths below it, and has a say in every other answer.
    """

    def __init__(
        self,
        *,
        packages: WSGIApplication,
        glue_runs: WSGIApplication,
        s3: WSGIApplication,
        stacks: WSGIApplication,
        functions: WSGIApplication,
        moto: Callable[[MotoBackend], WSGIApplication],
        status: Callable[[], Mapping[str, Any]],
        switchboard: Switchboard,
    ) -> None:
        self._packages = packages
        self._glue_runs = glue_runs
        self._ours = {"codeartifact": packages, "s3": s3, "cloudformation": stacks, "lambda": functions}
        self._moto = moto
        self._status = status
        self._switchboard = switchboard

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; every answer carries a request id, as AWS's do."""

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if not any(name.lower() in _REQUEST_IDS for name, _ in headers):
                headers = [*headers, ("x-amzn-RequestId", str(uuid.uuid4()))]
            return start_response(status, headers, *exc_info)

        path = environ.get("PATH_INFO", "")
        if path == STATUS_PATH:
            return FixedAnswer(200, json.dumps(self._status()))(environ, start)
        if path in (FAULTS_PATH, CALLS_PATH):
            return self._switchboard(environ, start)
        application = self._switchboard.around(self._application(environ), environ)
        return application(environ, start)

    def _application(self, environ: WSGIEnvironment) -> WSGIApplication:
        if environ.get("PATH_INFO", "").startswith("/pypi/"):
            return self._packages
        if service := signed_service(environ):
            return self._service(service, environ)
        return aws_error(environ, 403, "MissingAuthenticationToken", _UNSIGNED)

    def _service(self, service: str, environ: WSGIEnvironment) -> WSGIApplication:
        if service in self._ours:
            return self._ours[service]
        if service == "glue" and operation(environ) in GLUE_RUN_OPERATIONS:
            return self._glue_runs
        if service in MOTO_BACKENDS:
            return self._moto(MOTO_BACKENDS[service])
        return aws_error(environ, 501, "NotImplemented", _missing(service, operation(environ)))


_REQUEST_IDS = frozenset({"x-amzn-requestid", "x-amz-request-id"})
_UNSIGNED = "The request is not signed, so it does not say which service it is for."


def signed_service(environ: WSGIEnvironment) -> str | None:
    """Return the service a request is signed for, by its header or presigned URL; None when it is unsigned.

    Source: AWS Signature Version 4, credential scope `date/region/service/aws4_request`. Version 2 names no
    service; of ours only S3 accepts it, and SDKs still presign with it.
    """
    authorization: str = environ.get("HTTP_AUTHORIZATION", "")
    query = parse_qs(environ.get("QUERY_STRING", ""))
    presigned = query.get("X-Amz-Credential", [""])[0]
    for text in (authorization, f"Credential={presigned}"):
        if found := _SCOPE.search(text):
            return found[1]
    return "s3" if authorization.startswith("AWS ") or "AWSAccessKeyId" in query else None


def operation(environ: WSGIEnvironment) -> str | None:
    """Return the operation a request of a JSON protocol asks for; None for the other protocols."""
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    return target.rpartition(".")[2] or None


def _missing(service: str, wanted: str | None) -> str:
    known = ", ".join(sorted([*MOTO_BACKENDS, "cloudformation", "codeartifact", "lambda", "s3"]))
    asked = f"{service}:{wanted}" if wanted else service
    return f"The stand-in does not implement {asked}; it has {known}."


@dataclass(frozen=True, slots=True)
class FixedAnswer:
    """A WSGI application with one fixed answer."""

    status: int
    body: str
    error_type: str = ""
    content_type: str = "application/json"
    authenticate: str = ""  # how, where the answer is 401

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, whatever was asked."""
        content = self.body.encode()
        headers = [("Content-Type", self.content_type), ("Content-Length", str(len(content)))]
        if self.error_type:
            headers.append(("x-amzn-ErrorType", self.error_type))
        if self.authenticate:
            headers.append(("WWW-Authenticate", self.authenticate))
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", headers)
        return [content]


def aws_error(environ: WSGIEnvironment, status: int, code: str, message: str) -> FixedAnswer:
    """Return an error in the form that the SDK which sent this request reads: XML or JSON.

    Source: AWS protocols `query`, `ec2Query`, `restXml` (XML); `awsJson`, `restJson` (JSON).
    """
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    if not form and signed_service(environ) != "s3":
        return FixedAnswer(status, json.dumps({"__type": code, "message": message}), error_type=code)
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    # S3 puts the error at the top, the others wrap it.
    body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>" if form else f"<Error>{error}</Error>"
    return FixedAnswer(status, body, error_type=code, content_type="text/xml")
