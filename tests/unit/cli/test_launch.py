"""What `launch` tells, and its exit statuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from packaging.version import Version

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.verbs.launch import Launched

DIGEST = "4c" * 32
LOCK = Lock(
    runtime=glue_runtime("5.1"),
    request=("boto3", "glueutils==0.2.0"),
    pins=(
        Pin(project=project_name("boto3"), version=Version("1.40.61")),
        Pin(
            project=project_name("glueutils"),
            version=Version("0.2.0"),
            files=(LockedFile(filename="glueutils-0.2.0-py3-none-any.whl", sha256=DIGEST),),
            internal=True,
        ),
    ),
)
TRACEBACK = "ValueError: no column 'trips'"


class LaunchingProject:
    """Launches a run that ends in `state`, and remembers what it was asked for."""

    def __init__(self, state: JobRunState = JobRunState.SUCCEEDED, interrupted: bool = False) -> None:
        self.state = state
        self.interrupted = interrupted
        self.asked: dict[str, object] = {}

    def launch(self, job, **asked):
        self.asked = {"job": job, **asked}
        return Launched(job="taxi-job", run=JobRunId("jr_1"), delivery=Delivery.REQUIREMENTS, lock=LOCK)

    def follow(self, launched):
        yield self._run(JobRunState.RUNNING)
        if self.interrupted:
            raise KeyboardInterrupt
        yield LogLine(time=datetime(2026, 11, 22, tzinfo=UTC), stream="error", text=TRACEBACK)
        yield self._run(self.state)

    def _run(self, state):
        message = "the script raised" if state is JobRunState.FAILED else None
        return JobRun(job="taxi-job", id=JobRunId("jr_1"), state=state, error_message=message)


@pytest.fixture
def project(monkeypatch):
    def use(project):
        monkeypatch.setattr(Session, "project", lambda self: project)
        return project

    return use


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (JobRunState.SUCCEEDED, 0),
        (JobRunState.FAILED, 7),
        (JobRunState.ERROR, 7),
        (JobRunState.STOPPED, 8),
        (JobRunState.TIMEOUT, 8),
        (JobRunState.EXPIRED, 8),
    ],
)
def test_the_exit_status_tells_how_the_run_ended(project, capsys, state, status):
    project(LaunchingProject(state))
    assert main(["launch", "taxi"]) == status
    out, err = capsys.readouterr()
    assert f"state           {state}\n" in out
    assert ("error: run jr_1 of taxi-job ended in" in err) is (status != 0)


def test_a_success_shows_every_release_with_its_hash(project, capsys):
    project(LaunchingProject())
    main(["-q", "launch", "taxi"])
    out, err = capsys.readouterr()
    assert f"glueutils==0.2.0  our own     py3-none-any  -     {DIGEST}" in out
    assert "boto3==1.40.61    Glue image" in out
    assert err == ""


@pytest.mark.parametrize("verbosity", [["-q"], [], ["-v"]])
def test_a_failure_shows_the_cause_and_the_end_of_the_log_once(project, capsys, verbosity):
    project(LaunchingProject(JobRunState.FAILED))
    main([*verbosity, "launch", "taxi"])
    err = capsys.readouterr().err
    assert err.count(TRACEBACK) == 1
    assert err.splitlines()[-1] == "error: run jr_1 of taxi-job ended in FAILED: the script raised"


def test_json_tells_a_failure_in_one_object(project, capsys):
    project(LaunchingProject(JobRunState.FAILED))
    assert main(["--json", "-q", "launch", "taxi"]) == 7
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["state"], told["error_message"]) == ("FAILED", "the script raised")
    assert told["log_tail"][0]["text"] == TRACEBACK
    assert told["releases"][1]["files"][0]["sha256"] == DIGEST
    assert err == ""


def test_what_was_typed_reaches_the_project(project):
    asked = project(LaunchingProject())
    words = ["--modules", "boto3", "--delivery", "index", "--arg", "YEAR=2024", "--arg", "WHERE=a=b"]
    assert main(["launch", "taxi", *words]) == 0
    assert asked.asked == {
        "job": "taxi",
        "modules": "boto3",
        "delivery": "index",
        "arguments": {"YEAR": "2024", "WHERE": "a=b"},
        "followed": True,
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["YEAR"], "'YEAR' is not of the form K=V"),
        (["=1"], "'=1' is not of the form K=V"),
        (["A=1", "A=2"], "A is given twice"),
    ],
)
def test_an_argument_that_is_none_is_refused_before_anything_starts(project, capsys, given, told):
    asked = project(LaunchingProject())
    assert main(["launch", "taxi", *(word for one in given for word in ("--arg", one))]) == 2
    assert told in capsys.readouterr().err
    assert asked.asked == {}


def test_no_wait_prints_the_run_alone(project, capsys):
    asked = project(LaunchingProject())
    assert main(["launch", "taxi", "--no-wait"]) == 0
    out, err = capsys.readouterr()
    assert out == "jr_1\n"
    assert "glue-pkgmgr logs --follow jr_1" in err
    assert asked.asked["followed"] is False


def test_an_interrupt_says_that_the_run_goes_on(project, capsys):
    project(LaunchingProject(interrupted=True))
    assert main(["-q", "launch", "taxi"]) == 130
    assert "the run goes on; `glue-pkgmgr stop jr_1` ends it" in capsys.readouterr().err
