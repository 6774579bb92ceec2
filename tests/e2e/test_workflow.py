"""Executions of the state machine, from `aws stepfunctions start-execution` to Parquet, and each way to fail."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from glue_pkgmgr.core.job import INSTALLER_OPTION
from glue_pkgmgr.core.stack_settings import StackSettings
from glue_pkgmgr.infra.state_machine import function_name
from glue_pkgmgr.local.jobs.interpreters import python_for
from glue_pkgmgr.project import Project
from tests.e2e.conftest import BUCKET, Road, needs_python_of_glue_5
from tests.e2e.orchestrators.started import Started, tokens_in
from tests.e2e.spark.written import read_rows
from tests.e2e.test_road import sums, sums_of_csv
from tests.e2e.workspace import until

needs_python_of_the_function = pytest.mark.skipif(
    python_for((3, 13), os.environ) is None, reason="the function needs Python 3.13, which is not here"
)
pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5, needs_python_of_the_function]

ROLE = "arn:aws:iam::111122223333:role/workflow"
MACHINE = StackSettings(regions=("us-east-1",)).name
FUNCTION = function_name(MACHINE)
# All at the same time.
ASKED: dict[str, dict[str, Any]] = {
    "unapproved": {"pythonmodules": "boto3,polars==1.30.0"},
    "not locked": {"pythonmodules": "boto3,glueutils[fast]==0.2.0"},
    "misspelt": {"modules": "boto3"},
    "index": {"job": "probe", "pythonmodules": "glueutils", "delivery": "index", "arguments": {"WEEK": "12"}},
    "script fails": {"job": "raising", "delivery": "index"},
}


@dataclass(frozen=True)
class Workflow:
    """Function and state machine in the stand-in of `road`; `executions` are the ARNs by the names in here."""

    road: Road
    machine: str
    executions: dict[str, str]

    def aws(self, *words: str) -> Any:
        """Return what the AWS command line prints."""
        finished = self.road.workspace.client("aws", "stepfunctions", *words, "--output", "json")
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    def start(self, name: str, asked: dict[str, Any], machine: str = "") -> None:
        """Start an execution, to be known as `name`."""
        states = self.road.workspace.api("stepfunctions")
        told = states.start_execution(stateMachineArn=machine or self.machine, input=json.dumps(asked))
        self.executions[name] = told["executionArn"]

    def ended(self, name: str) -> dict[str, Any]:
        """Return how an execution ended."""
        states = self.road.workspace.api("stepfunctions")
        execution = self.executions[name]

        def over() -> bool:
            return bool(states.describe_execution(executionArn=execution)["status"] != "RUNNING")

        until(over, f"the execution {name} ends", seconds=300)
        return dict(states.describe_execution(executionArn=execution))

    def output(self, name: str) -> dict[str, Any]:
        """Return what an execution that succeeded gave."""
        end = self.ended(name)
        assert end["status"] == "SUCCEEDED", end.get("cause")
        return dict(json.loads(end["output"]))

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the whole history of an execution, with its data."""
        pages = self.road.workspace.api("stepfunctions").get_paginator("get_execution_history")
        found = pages.paginate(executionArn=self.executions[name], includeExecutionData=True)
        return [event for page in found for event in page["events"]]


@pytest.fixture(scope="module")
def workflow(road: Road) -> Iterator[Workflow]:
    """Deploy function and state machine, and have every execution end."""
    workspace = road.workspace
    environ = workspace.stand_in.environment(workspace.environment)
    project = Project.load(workspace.folder / "glue-pkgmgr.toml", environ=environ)
    archive = project.function_archive()
    functions, states = workspace.api("lambda"), workspace.api("stepfunctions")
    functions.create_function(
        FunctionName=FUNCTION,
        Runtime=archive.runtime,
        Handler=archive.handler,
        Role=ROLE,
        Code={"ZipFile": archive.content},
        Timeout=300,
        MemorySize=512,
    )
    definition = project.state_machine_definition("taxi")
    definition["States"]["Wait"]["Seconds"] = 1
    machine = states.create_state_machine(name=MACHINE, definition=json.dumps(definition), roleArn=ROLE)
    made = Workflow(road, machine["stateMachineArn"], {})
    removed = workspace.client("aws", "s3", "rm", "--recursive", f"s3://{BUCKET}/dataoutput/")
    assert removed.returncode == 0, removed.stderr
    asked = ("--input", '{"pythonmodules": "boto3,glueutils==0.2.0"}')
    started = made.aws("start-execution", "--state-machine-arn", made.machine, *asked)
    made.executions["taxi"] = started["executionArn"]
    for name, one in ASKED.items():
        made.start(name, one)
    for name in ("index", "script fails", "taxi"):
        made.ended(name)
    with_token = project.token_state_machine_definition("probe", seconds=900)
    other = states.create_state_machine(name="with-a-token", definition=json.dumps(with_token), roleArn=ROLE)
    wanted = {"pythonmodules": "glueutils==0.2.0,more-itertools==10.8.0"}
    made.start("with a token", wanted, other["stateMachineArn"])
    made.ended("with a token")
    with workspace.stand_in.switches.faults("token:dies=install"):
        made.start("dead token", {"job": "probe", "delivery": "index"})
        made.ended("dead token")
    yield made
    for deployed in (machine, other):
        states.delete_state_machine(stateMachineArn=deployed["stateMachineArn"])
    functions.delete_function(FunctionName=FUNCTION)


def test_a_state_machine_that_is_not_there_is_told(road: Road) -> None:
    missing = road.workspace.ours("launch", "probe", "--via", "stepfunctions")
    assert missing.returncode == 6
    arn = f"arn:aws:states:us-east-1:111122223333:stateMachine:{MACHINE}"
    assert f"there is no state machine {arn}; `glue-pkgmgr stack deploy` makes it" in missing.stderr


def test_the_contract_of_the_blog_ends_in_parquet(workflow: Workflow) -> None:
    told = workflow.output("taxi")
    assert told["ended"]["state"] == "SUCCEEDED"
    assert told["launched"]["releases"] == ["glueutils==0.2.0", "more-itertools==10.8.0"]
    bucket = workflow.road.workspace.state / "s3" / BUCKET
    assert sums(read_rows(bucket / "dataoutput" / "taxidataparquet")) == sums_of_csv(workflow.road.trips)


def test_part_of_a_bundle_gets_the_lock_of_the_bundle_and_its_arguments(workflow: Workflow) -> None:
    started = Started.of(workflow.road, workflow.output("index")["launched"]["run"])
    assert started.run["Arguments"]["--WEEK"] == "12"
    assert (started.delivery, started.versions["glueutils"]) == ("index", "0.2.0")


@pytest.mark.parametrize(
    ("name", "error", "cause"),
    [
        ("unapproved", "NotApproved", "polars==1.30.0: no approval names polars"),
        ("not locked", "NotInstallable", "the locks have 0.2.0, not glueutils[fast]==0.2.0"),
        ("misspelt", "SettingsError", "unknown key 'modules'; known are 'pythonmodules'"),
    ],
)
def test_what_is_refused_fails_at_once_with_the_reasons(
    workflow: Workflow, name: str, error: str, cause: str
) -> None:
    end = workflow.ended(name)
    assert (end["status"], end["error"]) == ("FAILED", error)
    assert cause in end["cause"]
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for event in workflow.history(name)
        if "stateEnteredEventDetails" in event
    ]
    assert entered == ["Begin", "Launch", "Reasons", "Refused"]


def test_a_script_that_fails_is_told_with_its_exception(workflow: Workflow) -> None:
    end = workflow.ended("script fails")
    assert (end["status"], end["error"]) == ("FAILED", "JobRunFailed")
    assert "ZeroDivisionError: division by zero" in end["cause"]
    assert "glue-pkgmgr logs jr_" in end["cause"]


def test_what_could_not_be_installed_is_tried_again_once_and_told(workflow: Workflow) -> None:
    end = workflow.ended("dead token")
    assert (end["status"], end["error"]) == ("FAILED", "IndexAccessError")
    runs = {
        event["taskSucceededEventDetails"]["output"]
        for event in workflow.history("dead token")
        if "taskSucceededEventDetails" in event and '"releases"' in event["taskSucceededEventDetails"]["output"]
    }
    assert len(runs) == 2


def test_no_history_and_no_log_of_the_function_has_a_token(workflow: Workflow) -> None:
    workspace = workflow.road.workspace
    glue, logs = workspace.api("glue"), workspace.api("logs")
    told = [
        event["message"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{FUNCTION}")
        for event in page["events"]
    ]
    assert any("REPORT RequestId" in line for line in told)
    histories = {name: json.dumps(workflow.history(name), default=str) for name in workflow.executions}
    shown = workflow.aws("get-execution-history", "--execution-arn", workflow.executions["index"])
    histories["index, by the command line"] = json.dumps(shown)
    with_a_token = histories.pop("with a token")
    assert all(len(text) > 500 for text in histories.values())
    runs = [run for job in ("probe-job", "raising-job") for run in glue.get_job_runs(JobName=job)["JobRuns"]]
    options = [run["Arguments"].get(INSTALLER_OPTION, "") for run in runs]
    tokens = [one.partition("//aws:")[2].partition("@")[0] for one in options if "//aws:" in one]
    assert len(tokens) >= 3
    for name, text in {**histories, "the log": "\n".join(told)}.items():
        assert not tokens_in(text.encode(), tokens), name
    # What is looked for can be found where it is.
    assert tokens_in(with_a_token.encode(), tokens)


def test_each_launch_is_on_record_with_the_execution_as_who_asked(workflow: Workflow) -> None:
    workspace = workflow.road.workspace
    text = b"".join(
        path.read_bytes() for path in (workspace.state / "s3" / BUCKET).rglob("records/**/*") if path.is_file()
    )
    assert workflow.executions["taxi"].encode() in text
    assert workflow.output("taxi")["launched"]["run"].encode() in text


def test_the_state_machine_without_a_function_installs_what_it_is_asked_for(workflow: Workflow) -> None:
    told = workflow.output("with a token")
    assert set(told) == {"run", "state"}
    started = Started.of(workflow.road, told["run"])
    assert (started.run["JobRunState"], started.versions["more-itertools"]) == ("SUCCEEDED", "10.8.0")
    assert started.token not in json.dumps(workflow.ended("with a token"), default=str)


class TestLaunchVia:
    """The same by our own command."""

    def test_it_follows_the_run_of_the_execution_and_takes_it_up_again(self, workflow: Workflow) -> None:
        words = ("launch", "probe", "--via", "stepfunctions", "--launch-id", "nightly", "--arg", "WEEK=13")
        told = workflow.road.workspace.told(*words)
        assert told["state"] == "SUCCEEDED"
        assert Started.of(workflow.road, told["run"]).run["Arguments"]["--WEEK"] == "13"
        assert workflow.road.workspace.told(*words)["run"] == told["run"]

    def test_its_exit_statuses_are_those_of_any_launch(self, workflow: Workflow) -> None:
        workspace = workflow.road.workspace
        refused = workspace.ours("launch", "probe", "--via", "stepfunctions", "--modules", "polars")
        assert refused.returncode == 3
        assert "polars: no approval names polars" in refused.stderr
        failed = workspace.told("launch", "raising", "--via", "stepfunctions", status=7)
        assert failed["cause"]["kind"] == "script"
