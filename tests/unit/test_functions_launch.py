"""The function of a workflow, on fakes of AWS: what it starts, what it tells, and by which name it fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.adapters.clients import RemoteRefusal
from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.errors import NoCapacity, NotApproved, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.functions import launch as function
from glue_pkgmgr.project import Project
from glue_pkgmgr.settings import load_settings
from tests.fakes import FakeCodeArtifact, FakeIndex, FakeJobs, FakeLogs, FakeStaging
from tests.unit.verbs.locks import lock, pin, wheel_name

SETTINGS = """\
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "us-east-1"
store = "store"
repository = "approved"

[bundles.taxi]
modules = ["acme==1.0"]
glue-version = "5.1"

[jobs.taxi]
name = "taxi-job"
script = "taxi.py"
bundle = "taxi"
staging = "s3://staging/"
"""
EXECUTION = "arn:aws:states:us-east-1:111122223333:execution:taxi-workflow:one"


class World:
    """What the function finds in its archive, which is the folder `root`, and in AWS."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = FakeJobs(
            definitions={"taxi-job": {"Name": "taxi-job", "GlueVersion": "5.1", "Command": {"Name": "glueetl"}}}
        )
        self.remote = FakeCodeArtifact()
        self.remote.put("approved", wheel_name("acme==1.0"), "a" * 64)
        self.staging = FakeStaging()

    def project(self, job: str, *, by: str) -> Project:
        settings = load_settings(self.root / "glue-pkgmgr.toml")
        made = Project(settings, environ={"USER": by}, progress=print, locked_only=True)
        vars(made._wiring).update(
            codeartifact=self.remote,
            jobs=self.jobs,
            logs=FakeLogs([]),
            staging=self.staging,
            open_index=lambda url: FakeIndex({wheel_name("acme==1.0"): b""}),
        )
        return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
    (tmp_path / "allowlist.toml").write_text("")
    (tmp_path / "locks").mkdir()
    made = World(tmp_path)
    project = made.project("taxi", by="")
    project.approve(["acme==1.0"], by="us", reason="why")
    text = lock_to_toml(lock(pin("acme==1.0"), request=("acme==1.0",)))
    (tmp_path / "locks" / project.settings.bundle("taxi").lock_filename).write_text(text)
    monkeypatch.setattr(function, "_project", made.project)
    return made


def launched(asked: object = None, **more: object) -> dict[str, Any]:
    event = {"do": "launch", "job": "taxi", "execution": EXECUTION, "attempt": 1, "input": asked or {}, **more}
    return function.handler(event, None)


def looked(world: World, state: JobRunState, message: str | None = None) -> dict[str, Any]:
    """Start a run, or find it, and look at it when it is in `state`."""
    run = launched()["run"]
    world.jobs.script = lambda job, id_: JobRun(job=job, id=id_, state=state, error_message=message)
    world.jobs.known["taxi-job"] = [JobRun(job="taxi-job", id=JobRunId(run), state=state)]
    return function.handler({"do": "look", "job": "taxi", "run": run}, None)


def test_it_starts_a_run_and_tells_nothing_secret(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    told = launched({"pythonmodules": "acme", "arguments": {"YEAR": "2024"}, "delivery": "index"})
    ((job, arguments),) = world.jobs.started
    assert (job, told["run"], told["releases"]) == ("taxi-job", "jr_1", ["acme==1.0"])
    assert "fake-token" in json.dumps(arguments)
    assert arguments["--YEAR"] == "2024"
    assert "fake-token" not in json.dumps(told) + capsys.readouterr().out


def test_who_calls_again_gets_the_same_run_and_another_attempt_another(world: World) -> None:
    first = launched()
    again = launched()
    assert (again["run"], again["launch"]) == (first["run"], first["launch"])
    second = launched(attempt=2)
    assert second["run"] != first["run"]
    assert second["launch"] == f"{first['launch']}-2"


def test_the_execution_is_on_record_as_who_launched(world: World) -> None:
    run = launched()["run"]
    (record,) = RecordFolder(world.root / ".glue-pkgmgr" / "records").all()
    assert (record.by, record.run) == (EXECUTION, run)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"pythonmodules": "other"}, NotApproved, "other: no approval names other"),
        ({"pythonmodules": "acme==2.0"}, NotApproved, "2.0 is not approved"),
        ({"pythonmodules": "acme[fast]"}, NotInstallable, "add it to a bundle"),
        ({"pythonmodules": "acme @ http://127.0.0.1/x.whl"}, SettingsError, "not a request item"),
        ({"modules": "acme"}, SettingsError, "unknown key 'modules'"),
    ],
)
def test_what_is_refused_is_refused_before_a_token_exists(
    world: World, asked: dict[str, str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=re.escape(told)) as refused:
        launched(asked)
    assert type(refused.value) is error
    assert world.jobs.started == []
    assert not [event for event in world.remote.events if event.startswith("token")]


def test_an_execution_may_name_another_job(world: World) -> None:
    assert launched({"job": "taxi-job"}, job="nobody")["job"] == "taxi-job"
    with pytest.raises(SettingsError, match="no job 'nobody'"):
        launched({"job": "nobody"})


def test_a_full_job_is_known_by_its_name(world: World) -> None:
    world.jobs.full = True
    world.jobs.known["taxi-job"] = [JobRun(job="taxi-job", id=JobRunId("jr_0"), state=JobRunState.RUNNING)]
    with pytest.raises(NoCapacity, match="as often as it may"):
        launched()


def test_it_tells_how_a_run_is(world: World) -> None:
    told = looked(world, JobRunState.RUNNING)
    assert told == {"job": "taxi-job", "run": "jr_1", "state": "RUNNING", "ended": False}
    told = looked(world, JobRunState.SUCCEEDED)
    assert (told["ended"], told["succeeded"], told["error"]) == (True, True, None)


def test_it_tells_why_a_run_failed_by_an_error_of_ours(world: World) -> None:
    told = looked(world, JobRunState.FAILED, "ZeroDivisionError: division by zero")
    assert (told["ended"], told["succeeded"], told["ran_nothing"]) == (True, False, False)
    assert told["error"] == "JobRunFailed"
    assert "ZeroDivisionError" in told["cause"]
    assert json.loads(json.dumps(told)) == told


def test_anything_else_is_refused(world: World) -> None:
    with pytest.raises(SettingsError, match="launches a job or looks at its run, not 'dance'"):
        function.handler({"do": "dance"}, None)


def test_errors_have_no_history_of_our_code(world: World) -> None:
    world.jobs.refusals = [RemoteRefusal("no", "AccessDenied")]
    with pytest.raises(RemoteError) as raised:
        launched()
    assert (type(raised.value), raised.value.__cause__) == (RemoteError, None)
