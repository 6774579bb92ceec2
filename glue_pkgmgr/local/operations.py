"""Which operation of which service a request to the stand-in asks for, by the names that AWS gives them."""

from __future__ import annotations

import io
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from botocore.loaders import Loader

from glue_pkgmgr.local.faults import INDEX_OPERATIONS
from glue_pkgmgr.local.gateway import operation, signed_service

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_BOTOCORE_NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions"}
_LARGEST_FORM = 1 << 20
_INDEX = "index"

_OF_BUCKET = {
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "versioning"): "GetBucketVersioning",
    ("POST", "delete"): "DeleteObjects",
}
_OF_BUCKET_ELSE = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_OF_OBJECT = {
    ("GET", "uploadId"): "ListParts",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_OF_OBJECT_ELSE = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3 = frozenset(
    {
        *("ListBuckets", "CopyObject"),
        *_OF_BUCKET.values(),
        *_OF_BUCKET_ELSE.values(),
        *_OF_OBJECT.values(),
        *_OF_OBJECT_ELSE.values(),
    }
)

# What any service may answer. Source: AWS service documentation, "Common errors".
_COMMON_CODES = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature"),
        *("InternalError", "InternalFailure", "InvalidClientTokenId", "OptInRequired", "RequestExpired"),
        *("RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException"),
        *("UnrecognizedClientException", "ValidationError"),
    }
)


def called(environ: WSGIEnvironment) -> tuple[str, str | None] | None:
    """Return service and operation of a request; None if it is for no service.

    The operation is None where the request names none that we know. Raises: nothing; a body that has to be
    looked at is put back.
    """
    path: str = environ.get("PATH_INFO", "")
    if path.startswith("/pypi/"):
        return _INDEX, _index_operation(environ["REQUEST_METHOD"], path)
    service = signed_service(environ)
    if service is None:
        return None
    if service == "s3":
        return service, _s3_operation(environ)
    if service == "codeartifact":
        return service, _codeartifact_operation(environ["REQUEST_METHOD"], path)
    if service == "lambda":
        return service, _lambda_operation(environ["REQUEST_METHOD"], path)
    return service, operation(environ) or _form_action(environ)


def operations_of(service: str) -> Collection[str]:
    """Return the names of all operations of a service."""
    if service == _INDEX:
        return INDEX_OPERATIONS
    return _S3 if service == "s3" else _names(service)[0]


def error_codes_of(service: str) -> Collection[str]:
    """Return the error codes a service can answer with."""
    return _COMMON_CODES if service == _INDEX else _names(service)[1].keys() | _COMMON_CODES


def status_of(service: str, code: str) -> int:
    """Return the HTTP status of an error code of a service."""
    return _names(service)[1].get(code) or _COMMON_STATUS.get(code, 400)


_COMMON_STATUS = {
    "AccessDenied": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}


@cache
def _names(service: str) -> tuple[frozenset[str], dict[str, int]]:
    """Return the operations of botocore's model, and its error codes with the status of each."""
    model = Loader().load_service_model(_BOTOCORE_NAMES.get(service, service), "service-2")
    errors = {}
    for name, shape in model["shapes"].items():
        if shape.get("exception"):
            told = shape.get("error", {})
            default = 500 if shape.get("fault") else 400
            errors[told.get("code", name)] = int(told.get("httpStatusCode", default))
    return frozenset(model["operations"]), errors


def _index_operation(method: str, path: str) -> str:
    if method == "POST":
        return "upload"
    # /pypi/d/PLACE/REPOSITORY/simple/PROJECT/[VERSION/FILE]
    return "page" if len([part for part in path.split("/") if part]) <= 6 else "file"  # noqa: PLR2004


@cache
def _codeartifact_operation(method: str, path: str) -> str | None:
    from glue_pkgmgr.local.codeartifact.protocol import routes

    model = routes().get((method, path))
    return model.name if model else None


def _lambda_operation(method: str, path: str) -> str | None:
    from glue_pkgmgr.local.functions.wire import route

    found = route(method, path)
    return found[0].name if found else None


def _s3_operation(environ: WSGIEnvironment) -> str | None:
    method = environ["REQUEST_METHOD"]
    bucket, _, key = environ.get("PATH_INFO", "").lstrip("/").partition("/")
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if not bucket:
        return "ListBuckets"
    if method == "PUT" and "partNumber" not in asked and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    marked, plain = (_OF_OBJECT, _OF_OBJECT_ELSE) if key else (_OF_BUCKET, _OF_BUCKET_ELSE)
    for (of_method, marker), name in marked.items():
        if method == of_method and marker in asked:
            return name
    return plain.get(method)


def _form_action(environ: WSGIEnvironment) -> str | None:
    """Return the operation of a request of the `query` protocol, which is in its body."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return None
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _LARGEST_FORM:
        return None
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    found = parse_qs(body.decode("utf-8", "replace")).get("Action")
    return found[0] if found else None
