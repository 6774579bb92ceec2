"""Which application answers a request, and how a refusal reads."""

from __future__ import annotations

import json
from typing import Any
from wsgiref.util import setup_testing_defaults
from xml.etree import ElementTree

import pytest

from glue_pkgmgr.local.faults import Faults
from glue_pkgmgr.local.gateway import MOTO_BACKENDS, STATUS_PATH, Gateway, operation, signed_service
from glue_pkgmgr.local.switchboard import Switchboard


def signed(service: str) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/{service}/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=00"
    )


def named(name: str) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]

    return application


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(
        packages=named("packages"),
        glue_runs=named("runs"),
        s3=named("s3"),
        stacks=named("stacks"),
        functions=named("functions"),
        moto=lambda backend: named(f"moto {backend}"),
        status=lambda: {"pid": 7},
        switchboard=Switchboard(Faults()),
    )


def ask(gateway: Gateway, path: str = "/", **environ: str) -> tuple[str, dict[str, str], bytes]:
    request: dict[str, Any] = {"PATH_INFO": path, **environ}
    setup_testing_defaults(request)
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        answer.update(status=status, headers=dict(headers))

    body = b"".join(gateway(request, start_response))
    return answer["status"], answer["headers"], body


@pytest.mark.parametrize(("service", "backend"), MOTO_BACKENDS.items())
def test_a_service_is_found_by_its_signature(gateway: Gateway, service: str, backend: str) -> None:
    assert ask(gateway, HTTP_AUTHORIZATION=signed(service))[2] == f"moto {backend}".encode()


@pytest.mark.parametrize("path", ["/v1/domain", "/pypi/d/the-domain-111122223333/approved/simple/x/"])
def test_codeartifact_has_its_api_and_its_index_behind_the_same_door(gateway: Gateway, path: str) -> None:
    assert ask(gateway, path, HTTP_AUTHORIZATION=signed("codeartifact"))[2] == b"packages"


def test_the_index_needs_no_aws_signature(gateway: Gateway) -> None:
    assert ask(gateway, "/pypi/d/x/y/simple/z/", HTTP_AUTHORIZATION="Basic YXdzOnRva2Vu")[2] == b"packages"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("AWSGlue.StartJobRun", b"runs"),
        ("AWSGlue.GetJobRun", b"runs"),
        ("AWSGlue.GetJobRuns", b"runs"),
        ("AWSGlue.BatchStopJobRun", b"runs"),
        ("AWSGlue.GetJob", b"moto glue"),
        ("AWSGlue.GetTable", b"moto glue"),
    ],
)
def test_only_what_runs_a_job_goes_to_our_own_glue(gateway: Gateway, target: str, expected: bytes) -> None:
    assert ask(gateway, HTTP_AUTHORIZATION=signed("glue"), HTTP_X_AMZ_TARGET=target)[2] == expected


def test_an_unknown_service_is_named_in_a_json_error(gateway: Gateway) -> None:
    status, headers, body = ask(
        gateway, HTTP_AUTHORIZATION=signed("sqs"), HTTP_X_AMZ_TARGET="AmazonSQS.ListQueues"
    )
    assert status.startswith("501 ")
    assert headers["x-amzn-ErrorType"] == "NotImplemented"
    assert "sqs:ListQueues" in json.loads(body)["message"]


def test_an_unknown_service_of_the_query_protocol_gets_xml(gateway: Gateway) -> None:
    status, _, body = ask(
        gateway,
        HTTP_AUTHORIZATION=signed("redshift"),
        CONTENT_TYPE="application/x-www-form-urlencoded; charset=utf-8",
    )
    assert status.startswith("501 ")
    error = ElementTree.fromstring(body).find("Error")
    assert error is not None
    assert error.findtext("Code") == "NotImplemented"


def test_s3_is_behind_the_same_door(gateway: Gateway) -> None:
    assert ask(gateway, "/bucket/key", HTTP_AUTHORIZATION=signed("s3"))[2] == b"s3"


@pytest.mark.parametrize("authorization", ["", "Basic YXdzOnRva2Vu", "AWS4-HMAC-SHA256 Credential=broken"])
def test_an_unsigned_aws_request_is_refused(gateway: Gateway, authorization: str) -> None:
    status, _, body = ask(gateway, "/v1/domain", HTTP_AUTHORIZATION=authorization)
    assert status.startswith("403 ")
    assert json.loads(body)["__type"] == "MissingAuthenticationToken"


def test_the_stand_in_tells_who_it_is(gateway: Gateway) -> None:
    assert json.loads(ask(gateway, STATUS_PATH)[2]) == {"pid": 7}


def test_a_presigned_url_names_its_service() -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261122%2Fus-east-1%2Fsts%2Faws4_request"
    assert signed_service({"QUERY_STRING": query}) == "sts"


@pytest.mark.parametrize(
    "request_", [{"QUERY_STRING": "AWSAccessKeyId=x&Signature=y&Expires=1"}, {"HTTP_AUTHORIZATION": "AWS x:y"}]
)
def test_a_signature_of_version_2_is_for_s3(request_: dict[str, str]) -> None:
    assert signed_service(request_) == "s3"


def test_an_operation_is_what_follows_the_last_dot_of_the_target() -> None:
    assert operation({"HTTP_X_AMZ_TARGET": "Logs_20140328.PutLogEvents"}) == "PutLogEvents"
    assert operation({}) is None


def test_every_answer_has_a_request_id(gateway: Gateway) -> None:
    first, second = (ask(gateway, HTTP_AUTHORIZATION=signed(s))[1]["x-amzn-RequestId"] for s in ("iam", "glue"))
    assert first != second
