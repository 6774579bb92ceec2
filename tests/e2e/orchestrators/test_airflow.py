"""Airflow starts our jobs as the README tells: its operator in a DAG, and its hook by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from subprocess import CompletedProcess

import pytest

from tests.e2e.conftest import needs_python_of_glue_5
from tests.e2e.orchestrators.started import INSTALLED, Started, runs_in, tokens_in
from tests.e2e.orchestrators.tool import Tool
from tests.e2e.readme import block

# A machine with an empty cache fetches Airflow, Spark and the releases of the Glue image first.
pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5]

# One process does it all: half of the time goes into importing Airflow. Its pauses between two questions after a
# run are shortened; all else is Airflow's own.
PROGRAM = """
import json, os, sys, time, types
from pathlib import Path

from airflow.providers.amazon.aws.hooks import glue
from airflow.utils.db import initdb

glue.time = types.SimpleNamespace(sleep=lambda _: time.sleep(0.5))
initdb()
dag_file = Path(os.environ["AIRFLOW_HOME"], "dags", "trips.py")
dag_file.parent.mkdir()
dag_file.write_text(sys.argv[1])

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(str(dag_file.parent))
assert not bag.import_errors, bag.import_errors
tasks = bag.dags["trips"].test().get_task_instances()

hook = {}
exec(sys.argv[2], hook)
told = {"tasks": {one.task_id: one.state for one in tasks}, "hook": {}}
for delivery in ("requirements", "index"):
    told["hook"][delivery] = hook["run"]("probe", delivery)
Path(os.environ["AIRFLOW_HOME"], "told.json").write_text(json.dumps(told))
"""


@dataclass(frozen=True)
class Scheduled:
    """What Airflow told, and the runs it has started."""

    airflow: Tool
    finished: CompletedProcess[str]
    told: dict[str, dict[str, str]]
    runs: dict[str, Started]


@pytest.fixture(scope="module")
def scheduled(airflow: Tool) -> Scheduled:
    finished = airflow.run(PROGRAM, block("python airflow"), block("python airflow-hook"))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    runs = [Started.of(airflow.road, run) for run in runs_in(finished.stdout)]
    told = json.loads(airflow.kept()["told.json"])
    return Scheduled(airflow, finished, told, {one.delivery: one for one in runs})


def test_the_operator_of_a_dag_runs_the_taxi_job(scheduled):
    assert scheduled.told["tasks"] == {"arguments": "success", "taxi": "success"}
    assert "airflow.providers.amazon.aws.hooks.glue.GlueJobHook" in scheduled.finished.stdout
    taxi = scheduled.runs["wheels"]
    assert (taxi.run["JobName"], taxi.run["JobRunState"]) == ("enterprise-repo-glue-job", "SUCCEEDED")
    assert taxi.versions == INSTALLED
    assert f"total_trips={scheduled.airflow.road.sample.trips}" in taxi.log


@pytest.mark.parametrize("delivery", ["requirements", "index"])
def test_the_hook_runs_a_job_with_a_token(scheduled, delivery):
    assert scheduled.told["hook"][delivery] == "SUCCEEDED"
    assert scheduled.runs[delivery].run["JobRunState"] == "SUCCEEDED"
    assert scheduled.runs[delivery].versions == INSTALLED


def test_airflow_neither_shows_nor_keeps_a_token(scheduled):
    tokens = [scheduled.runs["index"].token]
    assert len(tokens[0]) > 900
    said = scheduled.finished.stdout + scheduled.finished.stderr
    assert not tokens_in(said.encode(), tokens)
    kept = scheduled.airflow.kept()
    assert "airflow.db" in kept
    assert [name for name, content in kept.items() if tokens_in(content, tokens)] == []


def test_the_file_with_the_token_is_deleted(scheduled):
    modules = scheduled.runs["requirements"].run["Arguments"]["--additional-python-modules"]
    listed = scheduled.airflow.road.workspace.client("aws", "s3", "ls", modules)
    assert listed.stdout == ""
