"""Which requests to S3 are passed on, and which are refused before they do harm."""

from __future__ import annotations

import pytest

from glue_pkgmgr.local.s3_front import not_served


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("PUT", ""),
        ("PUT", "partNumber=1&uploadId=tagging"),
        ("PUT", "x-id=PutObject"),
        ("POST", "uploads"),
        ("POST", "delete"),
        ("GET", "list-type=2&prefix=acl"),
        ("GET", "location"),
        ("GET", "versioning"),
        ("HEAD", ""),
    ],
)
def test_plain_reads_and_writes_are_served(method: str, query: str) -> None:
    assert not_served(method, query, []) is None


@pytest.mark.parametrize(
    ("method", "query", "named"),
    [
        ("PUT", "tagging", r"\?tagging"),
        ("PUT", "tagging=", r"\?tagging"),
        ("PUT", "acl", r"\?acl"),
        ("GET", "policy", r"\?policy"),
        ("PUT", "versioning", r"\?versioning"),
        ("POST", "select&select-type=2", r"\?select"),
    ],
)
def test_an_operation_that_would_be_taken_for_another_is_refused(method: str, query: str, named: str) -> None:
    assert named.replace("\\", "") in (not_served(method, query, []) or "")


@pytest.mark.parametrize(("name", "value"), [("If-Match", "*"), ("if-none-match", '"0f"'), ("If-None-Match", "")])
def test_a_condition_is_refused_for_a_write_and_passed_on_for_a_read(name: str, value: str) -> None:
    assert "conditional write" in (not_served("PUT", "", [(name, value)]) or "")
    assert not_served("GET", "", [(name, value)]) is None


def test_a_write_may_demand_that_its_object_is_new_and_nothing_else() -> None:
    new = ("If-None-Match", "*")
    assert not_served("PUT", "", [new]) is None
    assert not_served("POST", "uploadId=1", [new]) is None
    assert "conditional write" in (not_served("PUT", "", [new, ("If-Match", "*")]) or "")
    assert "conditional write" in (not_served("DELETE", "", [new]) or "")
