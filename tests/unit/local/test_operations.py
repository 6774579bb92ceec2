"""Which operation a request to the stand-in asks for."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from glue_pkgmgr.local.faults import SERVICES
from glue_pkgmgr.local.operations import called, error_codes_of, operations_of, status_of


def request(service: str, method: str = "POST", path: str = "/", query: str = "", **more: Any) -> dict[str, Any]:
    scope = f"AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/{service}/aws4_request, Signature=00"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_AUTHORIZATION": scope,
        **more,
    }
    setup_testing_defaults(environ)
    return environ


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/b", "list-type=2&prefix=uploads", "ListObjectsV2"),
        ("GET", "/b/", "prefix=x", "ListObjects"),
        ("GET", "/b", "location", "GetBucketLocation"),
        ("PUT", "/b", "", "CreateBucket"),
        ("POST", "/b", "delete", "DeleteObjects"),
        ("GET", "/b/k", "x-id=GetObject", "GetObject"),
        ("HEAD", "/b/k/l", "", "HeadObject"),
        ("PUT", "/b/k", "", "PutObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart"),
        ("POST", "/b/k", "uploads", "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", "CompleteMultipartUpload"),
        ("DELETE", "/b/k", "uploadId=u", "AbortMultipartUpload"),
        ("DELETE", "/b/k", "", "DeleteObject"),
        ("PATCH", "/b/k", "", None),
    ],
)
def test_an_operation_of_s3_is_told_by_method_path_and_query(
    method: str, path: str, query: str, operation: str | None
) -> None:
    assert called(request("s3", method, path, query)) == ("s3", operation)
    assert operation is None or operation in operations_of("s3")


def test_a_copy_is_no_plain_put() -> None:
    assert called(request("s3", "PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE="/b/l")) == ("s3", "CopyObject")


def test_the_other_protocols_name_their_operation() -> None:
    assert called(request("glue", HTTP_X_AMZ_TARGET="AWSGlue.StartJobRun")) == ("glue", "StartJobRun")
    assert called(request("codeartifact", path="/v1/authorization-token")) == (
        "codeartifact",
        "GetAuthorizationToken",
    )
    assert called(request("codeartifact", path="/v1/nothing")) == ("codeartifact", None)


def test_a_form_names_its_operation_and_stays_readable() -> None:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8", "CONTENT_LENGTH": str(len(body))}
    environ = request("sts", **form, **{"wsgi.input": io.BytesIO(body)})
    assert called(environ) == ("sts", "GetCallerIdentity")
    assert environ["wsgi.input"].read() == body


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/pypi/d/domain-1/approved/simple/boto3/", "page"),
        ("GET", "/pypi/d/domain-1/approved/simple/boto3/1.0/boto3-1.0.whl", "file"),
        ("POST", "/pypi/d/domain-1/approved/", "upload"),
    ],
)
def test_the_index_has_pages_files_and_uploads(method: str, path: str, operation: str) -> None:
    assert called(request("s3", method, path)) == ("index", operation)


def test_what_is_unsigned_is_no_call() -> None:
    assert called(request("glue", HTTP_AUTHORIZATION="")) is None


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_operations_and_error_codes(service: str) -> None:
    assert operations_of(service)
    assert "AccessDeniedException" in error_codes_of(service)


def test_an_error_code_has_the_status_of_its_model() -> None:
    assert status_of("codeartifact", "ConflictException") == 409
    assert status_of("glue", "EntityNotFoundException") == 400
    assert status_of("s3", "SlowDown") == 503
