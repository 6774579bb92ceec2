"""What becomes of a launch when something goes wrong: every fault with every delivery, by the command line.

Each row ends in its exit status and its sentence, with exactly as many runs as it should have. The runs execute
nothing, but for those whose token dies: they get as far as pip.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from glue_pkgmgr.core.job import LAUNCH_ID
from tests.e2e.conftest import Road
from tests.e2e.workspace import until

pytestmark = pytest.mark.timeout(600)

JOB = "probe-job"
DELIVERIES = ("requirements", "wheels", "index")
WITH_TOKEN = ("requirements", "index")
SUCCEEDS = ("run:end=SUCCEEDED",)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The rules of a fault, and what a launch with `options` comes to: status, words, and how many runs."""

    rules: tuple[str, ...]
    status: int
    told: str
    runs: int = 1
    options: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = DELIVERIES


ROWS = {
    # The start
    "nothing": Row(rules=SUCCEEDS, status=0, told="SUCCEEDED"),
    "answer lost": Row(
        rules=("glue:StartJobRun=lost*1", *SUCCEEDS), status=0, told="the answer to the start was lost"
    ),
    "start throttled": Row(rules=("glue:StartJobRun=429*1", *SUCCEEDS), status=0, told="trying again"),
    "start fails": Row(rules=("glue:StartJobRun=503*1", *SUCCEEDS), status=0, told="trying again"),
    "start refused": Row(rules=("glue:StartJobRun=403",), status=6, told="glue:StartJobRun", runs=0),
    # Before the start
    "job unreadable": Row(rules=("glue:GetJob=403",), status=6, told="glue:GetJob", runs=0),
    "every call but the first fails": Row(
        rules=("glue:GetJobRuns=ok", "all=503"),
        status=6,
        told="AWS itself fails: try again in some minutes",
        runs=0,
    ),
    "repository throttled": Row(
        rules=("codeartifact:ListPackageVersions=429*1", *SUCCEEDS), status=0, told="SUCCEEDED"
    ),
    "token refused": Row(
        rules=("index:page=401",), status=5, told="the token is expired", runs=0, deliveries=WITH_TOKEN
    ),
    "index may not be read": Row(
        rules=("index:page=403",), status=5, told="may not read the repository", runs=0, deliveries=WITH_TOKEN
    ),
    # The end
    "failed": Row(
        rules=("run:end=FAILED", "run:message=ValueError: no trips"), status=7, told="ValueError: no trips"
    ),
    "error": Row(rules=("run:end=ERROR",), status=7, told="ERROR"),
    "stopped": Row(rules=("run:end=STOPPED",), status=8, told="STOPPED"),
    "timed out": Row(rules=("run:end=TIMEOUT",), status=8, told="TIMEOUT"),
    "expired": Row(rules=("run:end=EXPIRED",), status=8, told="EXPIRED"),
    "waits for longer than its caller": Row(
        rules=("run:waiting=ever",),
        status=8,
        told="it goes on in WAITING",
        options=("--timeout", "2s"),
    ),
    # The way there
    "waits": Row(rules=("run:waiting=1", *SUCCEEDS), status=0, told="WAITING"),
    "state unreadable for a moment": Row(
        rules=("glue:GetJobRun=429*1", "glue:GetJobRun=500*2", *SUCCEEDS), status=0, told="SUCCEEDED"
    ),
    # The log
    "no log": Row(rules=("logs:missing=ever", *SUCCEEDS), status=0, told="SUCCEEDED"),
    "log may not be read": Row(rules=("logs:FilterLogEvents=403", *SUCCEEDS), status=0, told="SUCCEEDED"),
    "log late and out of order": Row(
        rules=("logs:missing=2", "logs:late=1s", "logs:mixed=300ms", "run:lines=20", *SUCCEEDS),
        status=0,
        told="line 20\n",
    ),
}


@pytest.fixture
def launched(road: Road) -> Any:
    """Return a function that launches under a fault and returns how that ended, and the runs of the launch."""
    switches = road.workspace.stand_in.switches

    def launch(delivery: str, *options: str, rules: tuple[str, ...]) -> tuple[int, str, list[dict[str, Any]]]:
        launch_id = uuid.uuid4().hex
        words = ("launch", "probe", "--delivery", delivery, "--launch-id", launch_id, *options)
        with switches.faults(*rules):
            finished = road.workspace.ours(*words)
        glue = road.workspace.api("glue")
        pages = glue.get_paginator("get_job_runs").paginate(JobName=JOB)
        runs = [
            run for page in pages for run in page["JobRuns"] if launch_id in run["Arguments"].get(LAUNCH_ID, "")
        ]
        for run in (one["Id"] for one in runs if one["JobRunState"] == "WAITING"):
            glue.batch_stop_job_run(JobName=JOB, JobRunIds=[run])
            # Whoever looks at it then deletes its file with the token, which nobody followed to the end.
            assert road.workspace.told("status", run)["state"] == "STOPPED"
        return finished.returncode, finished.stdout + finished.stderr, runs

    return launch


@pytest.mark.parametrize(
    ("name", "delivery"), [(name, delivery) for name, row in ROWS.items() for delivery in row.deliveries]
)
def test_each_fault_ends_as_it_should(launched: Any, name: str, delivery: str) -> None:
    row = ROWS[name]
    status, told, runs = launched(delivery, *row.options, "--retries", "0", rules=row.rules)
    assert (status, len(runs)) == (row.status, row.runs), told
    assert row.told in told


@pytest.mark.parametrize("delivery", WITH_TOKEN)
def test_a_token_that_dies_before_the_installation_is_replaced_by_a_second_run(
    launched: Any, delivery: str
) -> None:
    status, told, runs = launched(delivery, rules=("token:dies=install*1",))
    assert (status, len(runs)) == (0, 2), told
    assert sorted(run["JobRunState"] for run in runs) == ["FAILED", "SUCCEEDED"]


def test_a_job_that_runs_as_often_as_it_may_is_no_capacity(road: Road, launched: Any) -> None:
    glue = road.workspace.api("glue")
    with road.workspace.stand_in.switches.faults("run:starting=ever"):
        holding = glue.start_job_run(JobName=JOB)["JobRunId"]
    try:
        for delivery in DELIVERIES:
            status, told, runs = launched(delivery, rules=())
            assert (status, runs) == (9, []), told
            assert "`--queue 30m` waits for a place" in told
    finally:
        glue.batch_stop_job_run(JobName=JOB, JobRunIds=[holding])
        ended = ("STOPPED", "SUCCEEDED", "FAILED")
        until(
            lambda: glue.get_job_run(JobName=JOB, RunId=holding)["JobRun"]["JobRunState"] in ended,
            "the run that holds the place has ended",
        )
