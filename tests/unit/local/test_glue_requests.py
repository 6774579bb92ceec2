from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from glue_pkgmgr.local.jobs.requests import GlueError, checked, plan

JOB: Mapping[str, Any] = {
    "Name": "taxi",
    "Command": {"Name": "glueetl", "ScriptLocation": "s3://code/taxi.py"},
    "GlueVersion": "5.1",
    "WorkerType": "G.1X",
    "NumberOfWorkers": 3,
    "DefaultArguments": {"--a": "default"},
    "ExecutionProperty": {"MaxConcurrentRuns": 2},
    "Timeout": None,
}


def test_a_plan_is_the_jobs_definition_with_the_runs_wishes_above_it() -> None:
    planned = plan({"JobName": "taxi", "Timeout": 7, "Arguments": {"--b": "run"}, "NumberOfWorkers": 5}, JOB)

    assert planned.arguments == {"--a": "default", "--b": "run"}
    assert planned.passed == {"--b": "run"}
    assert (planned.timeout, planned.dpu, planned.most_at_once) == (7, 5, 2)
    assert planned.script == "s3://code/taxi.py"


@pytest.mark.parametrize(("version", "minutes"), [("4.0", 2880), ("5.0", 480), ("6.0", 480)])
def test_the_default_timeout_depends_on_the_glue_version(version: str, minutes: int) -> None:
    assert plan({"JobName": "taxi"}, {**JOB, "GlueVersion": version}).timeout == minutes


def test_the_script_can_be_moved_by_an_argument() -> None:
    request = {"JobName": "taxi", "Arguments": {"--scriptLocation": "s3://code/other.py"}}

    assert plan(request, JOB).script == "s3://code/other.py"


def test_queuing_of_the_run_wins_over_that_of_the_job() -> None:
    queuing = {**JOB, "JobRunQueuingEnabled": True}

    assert plan({"JobName": "taxi"}, queuing).queuing
    assert not plan({"JobName": "taxi", "JobRunQueuingEnabled": False}, queuing).queuing


@pytest.mark.parametrize(
    ("request_", "job", "word"),
    [
        ({}, {"GlueVersion": None}, "no GlueVersion"),
        ({}, {"GlueVersion": "7.0"}, "unknown Glue version '7.0'"),
        ({}, {"GlueVersion": "2.0"}, "starts no runs"),
        ({}, {"Command": {"Name": "pythonshell", "ScriptLocation": "s3://b/x.py"}}, "Spark jobs"),
        ({}, {"Command": {"Name": "glueetl", "ScriptLocation": "x.py"}}, "not an s3:// path"),
        ({"MaxCapacity": 2.0}, {}, "use WorkerType and NumberOfWorkers"),
        ({}, {"NumberOfWorkers": None}, "belong together"),
        ({"WorkerType": "Z.2X"}, {}, "not for Spark jobs"),
        ({"WorkerType": "G.4X", "ExecutionClass": "FLEX"}, {}, "FLEX runs on G.1X and G.2X only"),
        ({"Timeout": 10_081}, {}, "not between 1 and 10080"),
        ({"Arguments": {"--debug": "x"}}, {}, "--debug is reserved"),
    ],
)
def test_a_run_that_breaks_a_rule_is_refused(request_: dict[str, Any], job: dict[str, Any], word: str) -> None:
    with pytest.raises(GlueError, match="cannot run") as refusal:
        plan({"JobName": "taxi", **request_}, {**JOB, **job})

    assert refusal.value.code == "InvalidInputException"
    assert word in str(refusal.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(GlueError) as refusal:
        plan({"JobName": "taxi", "Timeout": 20_000, "Arguments": {"--mode": "x"}}, {**JOB, "GlueVersion": ""})

    assert all(word in str(refusal.value) for word in ("Timeout", "--mode", "GlueVersion"))


@pytest.mark.parametrize(
    ("operation", "request_", "word"),
    [
        ("StartJobRun", {}, "JobName"),
        ("StartJobRun", {"JobName": "x", "Arguments": {"--n": 3}}, "Invalid type"),
        ("StartJobRun", {"JobName": "x", "WorkerType": "Huge"}, "'Huge' is not one of"),
        ("StartJobRun", {"JobName": "x", "Timeout": 0}, "Timeout"),
        ("StartJobRun", {"JobName": "x" * 256}, "more than the 255 allowed"),
        ("GetJobRun", {"JobName": "x"}, "RunId"),
        ("GetJobRuns", {"JobName": "x", "MaxResults": 201}, "more than the 200 allowed"),
        ("BatchStopJobRun", {"JobName": "x", "JobRunIds": ["r"] * 26}, "more than the 25 allowed"),
        ("BatchStopJobRun", {"JobName": "x", "JobRunIds": []}, "JobRunIds"),
        ("GetJobRun", ["not", "a", "structure"], "Invalid type"),
    ],
)
def test_a_request_is_checked_against_the_model_of_the_service(operation: str, request_: Any, word: str) -> None:
    with pytest.raises(GlueError) as refusal:
        checked(operation, request_)

    assert refusal.value.code == "InvalidInputException"
    assert word in str(refusal.value)
