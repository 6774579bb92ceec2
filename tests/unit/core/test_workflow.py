from __future__ import annotations

import pytest

from glue_pkgmgr.adapters.clients import RemoteRefusal
from glue_pkgmgr.core.job import Delivery
from glue_pkgmgr.core.workflow import (
    LONGEST_CAUSE,
    Execution,
    ExecutionStatus,
    WorkflowInput,
    error_named,
    parse_workflow_input,
    plain,
)
from glue_pkgmgr.errors import NotApproved, RemoteError, SettingsError
from glue_pkgmgr.verbs.start import StartUnknown


def test_the_input_of_the_blog_is_understood() -> None:
    parsed = parse_workflow_input({"pythonmodules": "boto3,glueutils==0.2.0"})
    assert parsed == WorkflowInput(modules="boto3,glueutils==0.2.0")


def test_nothing_asks_for_the_bundle() -> None:
    assert parse_workflow_input({}) == WorkflowInput()
    assert WorkflowInput().as_json() == "{}"


def test_what_is_written_is_read_again() -> None:
    import json

    asked = WorkflowInput(modules="a", arguments={"YEAR": "2024"}, delivery=Delivery.WHEELS, job="taxi")
    assert parse_workflow_input(json.loads(asked.as_json())) == asked


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is a JSON object"),
        (["boto3"], "is a JSON object"),
        ({"modules": "boto3"}, "unknown key 'modules'; known are 'pythonmodules'"),
        ({"pythonmodules": ["boto3"]}, r"input\.pythonmodules: \['boto3'\] is not a text"),
        ({"job": 7}, r"input\.job: 7 is not a text such as \"taxi\""),
        ({"arguments": "x"}, r"input\.arguments: 'x' is not an object"),
        ({"arguments": {"WEEK": 12}}, r"input\.arguments\.WEEK: 12 is not a text"),
        ({"delivery": "post"}, r"input\.delivery: 'post' is none of requirements, wheels, index"),
    ],
)
def test_any_other_input_is_refused_with_its_place(content: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse_workflow_input(content)


def test_an_input_no_execution_takes_is_refused() -> None:
    with pytest.raises(SettingsError, match="no execution takes them"):
        WorkflowInput(arguments={"X": "ü" * 130_000}).as_json()


def test_an_execution_fails_as_what_the_function_said() -> None:
    failed = Execution(arn="arn:x", status=ExecutionStatus.FAILED, error="NotApproved", cause="nobody approved x")
    assert isinstance(failed.failure(), NotApproved)
    assert str(failed.failure()) == "execution arn:x ended in FAILED: nobody approved x"
    assert type(Execution(arn="arn:x", status=ExecutionStatus.TIMED_OUT).failure()) is RemoteError


def test_names_of_others_are_failures_of_aws() -> None:
    assert error_named("Lambda.ServiceException") is RemoteError
    assert error_named("EXIT_DONE") is RemoteError
    assert error_named("") is RemoteError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RemoteRefusal("no", "AccessDenied"), RemoteError),
        (StartUnknown("who knows"), RemoteError),
        (NotApproved("x" * 40_000), NotApproved),
    ],
)
def test_a_state_machine_knows_errors_by_the_names_on_the_page(error: RemoteError, kind: type) -> None:
    found = plain(error)
    assert type(found) is kind
    assert str(found) == str(error)[:LONGEST_CAUSE]
