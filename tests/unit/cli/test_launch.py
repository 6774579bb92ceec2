"""What `launch` tells, and its exit statuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from packaging.version import Version

from glue_pkgmgr.cli.follow import Waiting
from glue_pkgmgr.cli.main import main
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.cause import cause_of
from glue_pkgmgr.core.cost import cost_of
from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.phases import Phases
from glue_pkgmgr.core.run_log import RunLog, installed_against
from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import DeadlineExceeded, RemoteError
from glue_pkgmgr.run import Run, RunServices
from glue_pkgmgr.verbs.launch import Launched
from glue_pkgmgr.verbs.retry import attempts

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
    """Launches runs that end in `states`, one after the other, and remembers what it was asked for."""

    def __init__(self, *states: JobRunState, message="the script raised", said="output", interrupted=False):
        self.states = list(states or (JobRunState.SUCCEEDED,))
        self.message = message
        self.said = said
        self.interrupted = interrupted
        self.out_of_reach = False
        self.asked: dict[str, object] = {}
        self.stopped: list[str] = []
        self.deadline = None

    def launch(self, job, **asked):
        self.asked = {"job": job, **asked}
        return LaunchedRun(self, self.states.pop(0))

    def attempts(self, job, *, retries, **asked):
        def start(number):
            self.asked = {"job": job, "retries": retries, **asked}
            return LaunchedRun(self, self.states.pop(0))

        return attempts(start, retries=retries, progress=lambda text: None)

    def workflow(self, job, **asked):
        self.asked = {"job": job, "workflow": True, **asked}
        for state in self.states:
            yield LaunchedRun(self, state)


class LaunchedRun(Run):
    """A run that is followed without AWS, and ends in `state`."""

    def __init__(self, project, state):
        launched = Launched(
            job="taxi-job",
            run=JobRunId("jr_1"),
            delivery=Delivery.REQUIREMENTS,
            lock=LOCK,
            token_expires=datetime(2026, 11, 22, 12, 15, tzinfo=UTC),
        )
        super().__init__(services(project), launched.job, launched.run, launched)
        self.project = project
        self.state = state

    def follow(self, deadline=None):
        self.project.deadline = deadline
        yield self._run(JobRunState.RUNNING)
        if self.project.interrupted:
            raise KeyboardInterrupt
        if self.project.out_of_reach:
            raise RemoteError("could not read run jr_1")
        if deadline == timedelta():
            raise DeadlineExceeded("it goes on")
        line = LogLine(time=datetime(2026, 11, 22, tzinfo=UTC), stream=self.project.said, text=TRACEBACK)
        yield replace(line, stream="error")
        log = RunLog()
        log.add([line])
        run = self._run(self.state)
        self._result = RunResult(
            run=run,
            cause=cause_of(run, log),
            phases=Phases(waited=1.0, started=2.0, installed=3.0, ran=4.25),
            cost=cost_of(run),
            installed=installed_against(LOCK, ["glueutils-0.2.0"]),
            tail=(line,),
            links={"run": "https://console/run"},
            warnings=("a file with a token stays",),
        )
        yield run

    def _run(self, state):
        message = self.project.message if state is JobRunState.FAILED else None
        return JobRun(
            job="taxi-job",
            id=JobRunId("jr_1"),
            state=state,
            error_message=message,
            execution_seconds=90,
            worker_type="G.1X",
            workers=2,
            glue_version="5.1",
        )


def services(project):
    def unasked(*_):
        raise AssertionError

    return RunServices(
        follower=unasked,
        links=unasked,
        ended=unasked,
        status=unasked,
        logs=unasked,
        stop=project.stopped.append,
    )


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
    assert err.splitlines()[-1] == (
        "error: run jr_1 of taxi-job ended in FAILED: the script failed: the script raised; "
        "read its traceback: `glue-pkgmgr logs jr_1`"
    )


def test_json_tells_a_failure_in_one_object(project, capsys):
    project(LaunchingProject(JobRunState.FAILED))
    assert main(["--json", "-q", "launch", "taxi"]) == 7
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["state"], told["error_message"]) == ("FAILED", "the script raised")
    assert told["log_tail"][0]["text"] == TRACEBACK
    assert told["releases"][1]["files"][0]["sha256"] == DIGEST
    assert told["cause"] == {
        "kind": "script",
        "sentence": "the script failed: the script raised",
        "advice": "read its traceback: `glue-pkgmgr logs RUN`",
        "module": None,
        "ran_user_code": True,
        "exit_status": 7,
    }
    assert err == ""


def test_the_end_of_a_run_tells_its_phases_cost_and_what_was_installed(project, capsys):
    project(LaunchingProject())
    main(["launch", "taxi"])
    out, err = capsys.readouterr()
    rows = dict(line.split(maxsplit=1) for line in out.splitlines()[:20] if len(line.split()) > 1)
    assert {rows[phase] for phase in ("waited", "started", "installed", "ran")} == {
        "1.0 s",
        "2.0 s",
        "3.0 s",
        "4.2 s",
    }
    assert rows["DPU-hours"] == "0.0500"
    assert rows["price"] == "0.0220 USD, list price us-east-1, August 2026"
    assert "as locked       yes, 1 release" in out
    assert "console: run    https://console/run" in out
    assert "warning: a file with a token stays" in err


def test_json_tells_the_same(project, capsys):
    project(LaunchingProject())
    main(["--json", "launch", "taxi"])
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"].keys() == {"accepted", "waited", "started", "installed", "ran"}
    assert (told["dpu_hours"], told["price_usd"]) == (0.05, 0.022)
    assert told["price_basis"] == "list price us-east-1, August 2026"
    assert told["installed"] == {
        "as_locked": True,
        "releases": ["glueutils==0.2.0"],
        "missing": [],
        "other": [],
    }
    assert told["links"] == {"run": "https://console/run"}
    assert told["warnings"] == ["a file with a token stays"]
    assert told["cause"] is None


REFUSED = "LAUNCH ERROR | Installation of Additional Python Modules failed: 401 Error, Credentials not correct"


def test_a_run_that_ran_nothing_is_started_again_and_counts_as_the_last(project, capsys):
    launching = project(LaunchingProject(JobRunState.FAILED, JobRunState.SUCCEEDED, message=REFUSED, said="error"))
    assert main(["launch", "taxi"]) == 0
    assert launching.states == []
    assert "state           SUCCEEDED" in capsys.readouterr().out


def test_the_exit_status_tells_the_cause(project):
    launching = project(LaunchingProject(JobRunState.FAILED, JobRunState.FAILED, message=REFUSED, said="error"))
    assert main(["launch", "taxi", "--retries", "0"]) == 5
    assert len(launching.states) == 1


def test_the_time_to_wait_reaches_the_run_and_its_end_says_how_to_go_on(project, capsys):
    launching = project(LaunchingProject())
    assert main(["launch", "taxi", "--timeout", "30m"]) == 0
    assert timedelta(minutes=29) < launching.deadline <= timedelta(minutes=30)
    capsys.readouterr()


def test_a_deadline_has_its_exit_status_and_tells_what_stays(project, capsys, monkeypatch):
    project(LaunchingProject())
    monkeypatch.setattr(Waiting, "left", lambda self: timedelta())
    assert main(["launch", "taxi", "--timeout", "1s"]) == 8
    err = capsys.readouterr().err
    assert "it goes on; its requirements file with a token, good until 12:15:00 UTC, stays until" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--timeout", "soon"], "'soon' is not a span of time such as 30m"),
        (["--timeout", "5m", "--no-wait"], "leave out --no-wait"),
        (["--stop-on-interrupt", "--no-wait"], "leave out --no-wait"),
        (["--retries", "-1"], "-1 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(project, capsys, words, told):
    asked = project(LaunchingProject())
    assert main(["launch", "taxi", *words]) == 2
    assert told in capsys.readouterr().err
    assert asked.asked == {}


def test_what_was_typed_reaches_the_project(project):
    asked = project(LaunchingProject())
    words = ["--modules", "boto3", "--delivery", "index", "--arg", "YEAR=2024", "--arg", "WHERE=a=b"]
    assert main(["launch", "taxi", *words]) == 0
    assert asked.asked == {
        "job": "taxi",
        "modules": "boto3",
        "delivery": "index",
        "arguments": {"YEAR": "2024", "WHERE": "a=b"},
        "retries": 1,
        "launch_id": None,
        "queue": None,
        "fix": False,
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


def test_an_interrupt_says_that_the_run_goes_on_and_how_to_follow_it_again(project, capsys):
    launching = project(LaunchingProject(interrupted=True))
    assert main(["-q", "launch", "taxi"]) == 130
    err = capsys.readouterr().err
    assert (
        "the run goes on; `glue-pkgmgr logs --follow jr_1` follows it again, `glue-pkgmgr stop jr_1` ends it"
        in err
    )
    assert launching.stopped == []


def test_a_run_that_cannot_be_read_any_more_is_told_to_go_on_and_how_to_follow_it_again(project, capsys):
    launching = project(LaunchingProject())
    launching.out_of_reach = True
    assert main(["launch", "taxi"]) == 6
    err = capsys.readouterr().err
    assert "the run goes on; `glue-pkgmgr logs --follow jr_1` follows it again" in err
    assert err.rstrip().endswith("error: could not read run jr_1")


def test_an_interrupt_ends_the_run_where_that_was_asked_for(project, capsys):
    launching = project(LaunchingProject(interrupted=True))
    assert main(["-q", "launch", "taxi", "--stop-on-interrupt"]) == 130
    assert launching.stopped == ["jr_1"]
    assert "interrupted; the run was asked to stop; `glue-pkgmgr status jr_1` shows it" in capsys.readouterr().err


def test_a_run_that_cannot_be_stopped_is_told_to_go_on(project, capsys):
    def refuse(run):
        raise RemoteError(f"could not stop {run}")

    launching = LaunchingProject(interrupted=True)
    launching.stopped = SimpleNamespace(append=refuse)
    project(launching)
    assert main(["-q", "launch", "taxi", "--stop-on-interrupt"]) == 130
    assert "the run goes on: could not stop jr_1" in capsys.readouterr().err


# by a state machine


def test_a_state_machine_is_asked_for_what_was_typed_and_its_run_followed(project, capsys):
    made = project(LaunchingProject(JobRunState.FAILED, JobRunState.SUCCEEDED))
    words = ["--modules", "boto3", "--arg", "WEEK=12", "--delivery", "wheels", "--launch-id", "nightly"]
    assert main(["launch", "taxi", "--via", "stepfunctions", *words]) == 0
    assert made.asked == {
        "job": "taxi",
        "workflow": True,
        "modules": "boto3",
        "arguments": {"WEEK": "12"},
        "delivery": "wheels",
        "launch_id": "nightly",
        "deadline": None,
    }


@pytest.mark.parametrize(("state", "status"), [(JobRunState.FAILED, 7), (JobRunState.STOPPED, 8)])
def test_the_exit_status_of_a_state_machines_run_is_that_of_any_run(project, state, status):
    project(LaunchingProject(state))
    assert main(["launch", "taxi", "--via", "stepfunctions"]) == status


def test_nobody_has_to_wait_for_a_state_machine_once_its_run_is_there(project, capsys):
    project(LaunchingProject())
    assert main(["launch", "taxi", "--via", "stepfunctions", "--no-wait"]) == 0
    assert capsys.readouterr().out == "jr_1\n"


@pytest.mark.parametrize("words", [["--queue", "30m"], ["--fix"], ["--retries", "1"]])
def test_what_a_state_machine_does_by_itself_is_not_asked_of_it(project, capsys, words):
    made = project(LaunchingProject())
    assert main(["launch", "taxi", "--via", "stepfunctions", *words]) == 2
    assert made.asked == {}
    assert "are not for a state machine" in capsys.readouterr().err
