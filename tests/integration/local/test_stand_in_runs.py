"""Job runs in a whole stand-in: started by a state machine, and killed with it.

The environment of the Glue version is made the first time and then shared: hence the long limit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.state import StandIn
from glue_pkgmgr.settings import Settings
from tests.stand_in import names, sample_settings, still_alive, tree

pytestmark = pytest.mark.timeout(1200)
LONG = 900.0

MINT = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:codeartifact:getAuthorizationToken",
    "Parameters": {"Domain": "the-domain", "DomainOwner": "111122223333", "DurationSeconds": 900},
    "ResultPath": "$.token",
    "Next": "Run",
}
RUN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::glue:startJobRun.sync",
    "Parameters": {
        "JobName": "taxi-job",
        "Arguments": {
            "--said.$": "States.Format('length {}', $.token.Expiration)",
            "--python-modules-installer-option.$": (
                "States.Format('--index-url=http://aws:{}@127.0.0.1:1/simple/', $.token.AuthorizationToken)"
            ),
        },
    },
    "End": True,
}
STATE_MACHINE = {"StartAt": "Mint", "States": {"Mint": MINT, "Run": RUN}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sample_settings(tmp_path)


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[str], StandIn]]:
    def with_script(script: str) -> StandIn:
        (tmp_path / "taxi.py").write_text(script)
        return up(settings, state=tmp_path / "state", nearest_python=True, progress=lambda _: None)

    yield with_script
    down(tmp_path / "state")


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LONG
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def test_a_state_machine_mints_a_token_and_runs_a_job_to_its_end(start: Callable[[str], StandIn]) -> None:
    clients = Clients(start("import sys\nprint(sys.argv[sys.argv.index('--said') + 1])\n"))
    states = clients("stepfunctions")
    arn = states.create_state_machine(
        name="launch", definition=json.dumps(STATE_MACHINE), roleArn="arn:aws:iam::111122223333:role/taxi-job"
    )["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=arn, input="{}")["executionArn"]

    def end() -> dict[str, Any] | None:
        found: dict[str, Any] = states.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    ended = until(end)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    run = json.loads(ended["output"])
    assert (run["JobName"], run["JobRunState"]) == ("taxi-job", "SUCCEEDED")
    events = clients("logs").get_log_events(
        logGroupName="/aws-glue/jobs/output", logStreamName=run["Id"], startFromHead=True
    )["events"]
    assert events[-1]["message"].startswith("length 20")


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_no_process_of_a_run_outlives_its_stand_in(
    start: Callable[[str], StandIn], settings: Settings, how: str
) -> None:
    stand_in = start("import subprocess\nsubprocess.run(['sleep', '3600'])\n")
    Clients(stand_in)("glue").start_job_run(JobName="taxi-job")
    until(lambda: "sleep" in names(stand_in.pid))
    processes = tree(stand_in.pid)
    getattr(psutil.Process(stand_in.pid), how)()
    assert still_alive(processes, 30) == []

    again = Clients(start("print('hello')\n"))("glue")
    run = again.start_job_run(JobName="taxi-job")["JobRunId"]

    def state() -> str | None:
        found: str = again.get_job_run(JobName="taxi-job", RunId=run)["JobRun"]["JobRunState"]
        return None if found in {"STARTING", "RUNNING"} else found

    assert until(state) == "SUCCEEDED"
