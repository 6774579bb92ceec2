"""Dagster Pipes starts our jobs as the README tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from subprocess import CompletedProcess

import pytest

from tests.e2e.conftest import needs_python_of_glue_5
from tests.e2e.orchestrators.started import INSTALLED, Started, runs_in, tokens_in
from tests.e2e.orchestrators.tool import Tool
from tests.e2e.readme import block

# A machine with an empty cache fetches Dagster, Spark and the releases of the Glue image first.
pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5]

# One process materialises the asset of each definition. The pauses of Pipes between two questions after a run, and
# its wait for late logs, are shortened; all else is Dagster's own.
PROGRAM = """
import sys, time, types

import dagster
from dagster._core.pipes import utils
from dagster_aws.pipes.clients import glue

utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL = 1  # seconds
glue.time = types.SimpleNamespace(sleep=lambda _: time.sleep(0.5))
instance = dagster.DagsterInstance.get()
for text in sys.argv[1:]:
    defined = {"__name__": "definitions"}
    exec(text, defined)
    defs = defined["defs"]
    made = dagster.materialize(list(defs.assets), resources=defs.resources, instance=instance)
    print("MATERIALISED", made.success, made.asset_materializations_for_node("trips")[0].metadata, flush=True)
"""


@dataclass(frozen=True)
class Materialised:
    """What Dagster told, and the runs it has started."""

    dagster: Tool
    finished: CompletedProcess[str]
    runs: dict[str, Started]


@pytest.fixture(scope="module")
def materialised(dagster: Tool) -> Materialised:
    asked = 'job_arguments("taxi")'
    others = [{asked: f'job_arguments("probe", delivery="{name}")'} for name in ("requirements", "index")]
    definitions = [block("python dagster"), *(block("python dagster", other) for other in others)]
    finished = dagster.run(PROGRAM, *definitions)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    told = re.findall(r"^MATERIALISED True .*", finished.stdout, re.MULTILINE)
    runs = [Started.of(dagster.road, run) for run in runs_in("\n".join(told))]
    return Materialised(dagster, finished, {one.delivery: one for one in runs})


def test_pipes_runs_the_taxi_job(materialised):
    taxi = materialised.runs["wheels"]
    assert (taxi.run["JobName"], taxi.run["JobRunState"]) == ("enterprise-repo-glue-job", "SUCCEEDED")
    assert "--dagster-pipes-context" in taxi.run["Arguments"]
    assert taxi.versions == INSTALLED
    assert f"total_trips={materialised.dagster.road.sample.trips}" in taxi.log


@pytest.mark.parametrize("delivery", ["requirements", "index"])
def test_pipes_runs_a_job_with_a_token(materialised, delivery):
    assert materialised.runs[delivery].run["JobRunState"] == "SUCCEEDED"
    assert materialised.runs[delivery].versions == INSTALLED


def test_dagster_shows_what_the_job_prints(materialised):
    assert "version.glueutils=0.2.0" in materialised.finished.stdout


def test_dagster_neither_shows_nor_keeps_a_token(materialised):
    tokens = [materialised.runs["index"].token]
    assert len(tokens[0]) > 900
    said = materialised.finished.stdout + materialised.finished.stderr
    assert not tokens_in(said.encode(), tokens)
    kept = materialised.dagster.kept()
    assert any(name.endswith(".db") for name in kept)
    assert [name for name, content in kept.items() if tokens_in(content, tokens)] == []
