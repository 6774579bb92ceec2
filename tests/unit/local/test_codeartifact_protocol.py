from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.model import OperationModel
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.local.codeartifact.paging import page_of
from glue_pkgmgr.local.codeartifact.protocol import (
    AwsError,
    encoded,
    invalid,
    not_found,
    not_implemented,
    parameters,
    routes,
)

COPY = ("POST", "/v1/package/versions/copy")
QUERY = {
    "domain": "team",
    "source-repository": "store",
    "destination-repository": "approved",
    "format": "pypi",
    "package": "six",
}


def operation(method: str, path: str) -> OperationModel:
    return routes()[method, path]


def test_members_come_from_query_and_body_by_the_names_of_the_model() -> None:
    body = json.dumps({"versions": ["1.0"], "includeFromUpstream": True}).encode()
    assert parameters(operation(*COPY), QUERY, body) == {
        "domain": "team",
        "sourceRepository": "store",
        "destinationRepository": "approved",
        "format": "pypi",
        "package": "six",
        "versions": ["1.0"],
        "includeFromUpstream": True,
    }


@pytest.mark.parametrize(
    ("query", "body", "said"),
    [
        ({"domain": None}, {}, "domain is required"),
        ({"domain": "Team"}, {}, "does not match"),
        ({"domain": "t"}, {}, "characters is outside 2 to 50"),
        ({"domain": "team\n"}, {}, "does not match"),
        ({"format": "deb"}, {}, "none of npm, pypi"),
        ({"package": "a/b"}, {}, "does not match"),
        ({}, {"versions": "1.0"}, "versions is not a list"),
        ({}, {"versions": [1]}, r"versions\[0\] is not a string"),
        ({}, {"versions": ["1"] * 101}, "entries is outside"),
        ({}, {"versionRevisions": {"1": ""}}, "is outside 1 to 50"),
        ({}, {"allowOverwrite": "yes"}, "allowOverwrite is not a boolean"),
    ],
)
def test_what_breaks_the_model_is_named(query: dict[str, str | None], body: object, said: str) -> None:
    sent = {key: value for key, value in {**QUERY, **query}.items() if value is not None}
    with pytest.raises(AwsError, match=said) as caught:
        parameters(operation(*COPY), sent, json.dumps(body).encode())
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"text"'])
def test_a_body_that_is_no_object_cannot_be_parsed(body: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        parameters(operation(*COPY), QUERY, body)
    assert caught.value.members["reason"] == "CANNOT_PARSE"


@pytest.mark.parametrize("text", ["", "1e3", "9" * 30, "٣"])
def test_a_number_in_the_query_is_written_in_digits(text: str) -> None:
    with pytest.raises(AwsError, match="not a whole number"):
        parameters(operation("POST", "/v1/authorization-token"), {"domain": "team", "duration": text}, b"")


def test_errors_carry_the_status_of_the_model() -> None:
    statuses = [not_found("domain", "x").status, invalid("x").status, not_implemented("x").status]
    assert statuses == [404, 400, 501]
    assert AwsError("ServiceQuotaExceededException", "x").status == 402
    assert json.loads(not_found("domain", "x").body()) == {
        "message": "domain 'x' does not exist",
        "resourceId": "x",
        "resourceType": "domain",
    }


def test_times_are_seconds_and_what_is_none_is_left_out() -> None:
    time = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
    result = {"a": time, "b": None, "c": [{"d": None, "e": 1}]}
    assert json.loads(encoded(result)) == {"a": time.timestamp(), "c": [{"e": 1}]}


@given(st.lists(st.integers(), max_size=50), st.integers(1, 20))
def test_the_pages_together_are_the_list(items: list[int], size: int) -> None:
    found: list[int] = []
    token: str | None = None
    while True:
        page, token = page_of(items, {"maxResults": size} | ({"nextToken": token} if token else {}))
        assert len(page) <= size
        found += page
        if token is None:
            break
        assert page
    assert found == items


@pytest.mark.parametrize("token", ["x", "****", "ZnJvbTot", "b3RoZXI6MQ=="])
def test_a_token_from_elsewhere_is_refused(token: str) -> None:
    with pytest.raises(AwsError, match="nextToken"):
        page_of([1, 2, 3], {"nextToken": token})
