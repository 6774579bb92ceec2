"""One stand-in for the whole road, and what the verbs before a launch have told on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glue_jobs.sample_trips import Sample, write_sample
from glue_pkgmgr.local.jobs.interpreters import python_for
from tests.e2e.workspace import MARK, Workspace, ended

BUCKET = "codeartifactblog-11112-us-east-1"
APPROVED = ("boto3==1.40.61", "glueutils==0.2.0", "more-itertools==10.8.0")

NO_PYTHON = "the runs of Glue 5.1 need Python 3.11, which is not here"
needs_python_of_glue_5 = pytest.mark.skipif(python_for((3, 11), os.environ) is None, reason=NO_PYTHON)


@dataclass(frozen=True)
class Road:
    """A workspace in which everything is ready for a launch.

    `told` is the JSON object of each verb on the way, `sample` what is in the CSV file `trips`, which is in S3.
    """

    workspace: Workspace
    told: dict[str, Any]
    trips: Path
    sample: Sample


@pytest.fixture(scope="session", autouse=True)
def _keyboard() -> None:
    """Let Ctrl-C reach the processes we start, also where a shell runs these tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Return a workspace with a running stand-in."""
    # Glue 6.0 as well, where its Python is.
    newer = {"six": "6.0"} if python_for((3, 13), os.environ) else {}
    made = Workspace.make(tmp_path_factory.mktemp("road"), glue_versions=newer)
    started = made.run("-v", "local", "up")
    assert started.returncode == 0, started.stderr
    yield made
    made.run("local", "down")
    assert ended(made.environment[MARK]) == []


@pytest.fixture(scope="session")
def road(workspace: Workspace) -> Road:
    """Return the workspace after `publish`, `approve`, `check`, `lock` and `mirror`, with trips in S3."""
    if python_for((3, 11), os.environ) is None:
        pytest.skip(NO_PYTHON)
    told = {"up": workspace.told("local", "up"), "publish": workspace.told("publish")}
    told["approve"] = workspace.told("approve", *APPROVED, "--by", "ann", "--reason", "reviewed")
    told["check"] = workspace.told("check", "boto3,glueutils==0.2.0", "--glue-version", "5.1")
    told["lock"] = workspace.told("lock")
    told["lock --check"] = workspace.told("lock", "--check")
    told["mirror sync"] = workspace.told("mirror", "sync")
    told["mirror verify"] = workspace.told("mirror", "verify")
    trips = workspace.folder / "trips.csv"
    sample = write_sample(trips, 600)
    for bundle in told["lock"]["locks"]:
        bucket = BUCKET if bundle["bundle"] == "taxi" else f"trips-{bundle['bundle']}"
        copied = workspace.client("aws", "s3", "cp", str(trips), f"s3://{bucket}/data/trips.csv")
        assert copied.returncode == 0, copied.stderr
    return Road(workspace, told, trips, sample)
