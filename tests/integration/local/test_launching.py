"""Launching against a stand-in that does wrong: one run, or a refusal that says what to do."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.job import LAUNCH_ID, MODULES, Delivery, JobRunState
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.preflight import State
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError, NoCapacity, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.switches import Switches
from glue_pkgmgr.project import Project
from glue_pkgmgr.run import Run
from glue_pkgmgr.settings import Settings
from tests.integration.local.made_distributions import wheel
from tests.stand_in import sample_settings

JOB = "taxi-job"
NAME, CONTENT = wheel("glueutils", "0.2.0")
LOCK = Lock(
    runtime=glue_runtime("5.1"),
    request=("glueutils==0.2.0",),
    minimum_age_days=7,
    pins=(
        Pin(
            project=project_name("glueutils"),
            version=Version("0.2.0"),
            files=(LockedFile(filename=NAME, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)),),
            internal=True,
        ),
    ),
)


@dataclass
class World:
    """A project whose job can be launched: approved, locked, and what is locked in the repository."""

    project: Project
    switches: Switches
    client: Callable[[str], Any]
    told: list[str]
    settings: Settings
    environ: dict[str, str]

    def another(self, **changes: Any) -> Project:
        """Return the project as another process has it."""
        return Project(replace(self.settings, **changes), environ=self.environ, progress=self.told.append)

    def runs(self, launch: str | None = None) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.client("glue").get_job_runs(JobName=JOB)["JobRuns"]
        return [run for run in runs if launch is None or run["Arguments"].get(LAUNCH_ID) == launch]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("project")
    settings = sample_settings(folder)
    stand_in = up(settings, state=folder / "state", progress=lambda _: None)
    environ = {**stand_in.environment({}), "no_proxy": "*"}
    project = Project(settings, environ=environ)
    project.approve(["glueutils==0.2.0"], by="us", reason="ours")
    settings.policy.locks.mkdir()
    (settings.policy.locks / settings.bundle("taxi").lock_filename).write_text(lock_to_toml(LOCK))
    (folder / NAME).write_bytes(CONTENT)
    TwineUploader(project.mint(), environ).upload(folder / NAME)
    yield World(project, stand_in.switches, Clients(stand_in), [], settings, environ)
    down(folder / "state")


@pytest.fixture
def world(made: World) -> Iterator[World]:
    made.told.clear()
    made.project = made.another()
    made.switches.set("run:starting=ever")  # it takes its place, and no process
    yield made
    made.switches.clear()
    glue = made.client("glue")
    going_on = [run["Id"] for run in made.runs() if not JobRunState(run["JobRunState"]).outcome]
    for run in going_on:
        glue.batch_stop_job_run(JobName=JOB, JobRunIds=[run])
    deadline = time.monotonic() + 60
    while any(not JobRunState(run["JobRunState"]).outcome for run in made.runs()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_s3(world: World, prefix: str) -> list[str]:
    found = world.client("s3").list_objects_v2(Bucket="staging-area", Prefix=f"glue-pkgmgr/{prefix}")
    return [one["Key"] for one in found.get("Contents", ())]


# Start once


@pytest.mark.parametrize(
    ("delivery", "fault"),
    [
        *((delivery, fault) for delivery in Delivery for fault in ("", "glue:StartJobRun=lost*1")),
        ("requirements", "glue:StartJobRun=dropped*1"),  # each of these takes the seconds of two looks
    ],
)
def test_one_run_comes_of_a_launch_whatever_becomes_of_the_answer(world: World, delivery: str, fault: str) -> None:
    if fault:
        world.switches.set(fault)
    run = world.project.launch("taxi", delivery=delivery)
    assert run.launch is not None
    assert [one["Id"] for one in world.runs(run.launch)] == [run.id]
    files = in_s3(world, "requirements/")
    if delivery == "requirements":
        assert [f"s3://staging-area/{one}" for one in files] == [world.runs(run.launch)[0]["Arguments"][MODULES]]
        world.client("s3").delete_object(Bucket="staging-area", Key=files[0])
    else:
        assert files == []


@pytest.mark.parametrize("fault", ["429*1", "500*1"])
def test_throttling_and_failures_of_a_start_are_waited_out(world: World, fault: str) -> None:
    world.switches.set(f"glue:StartJobRun={fault}")
    run = world.project.launch("taxi", delivery="index")
    assert len(world.runs(run.launch)) == 1
    assert any("trying again" in text for text in world.told)


def unstage(world: World) -> None:
    """Delete the staged wheels, so that a launch brings them again."""
    for key in in_s3(world, "wheels/"):
        world.client("s3").delete_object(Bucket="staging-area", Key=key)


def calls_of(world: World, delivery: str) -> list[str]:
    """Launch and follow a run to its end, undisturbed, and return what was called on the way."""
    unstage(world)
    world.switches.set("run:end=SUCCEEDED", "run:line=hello")
    world.switches.forget_calls()
    assert world.project.launch("taxi", delivery=delivery).wait(timedelta(minutes=1)).succeeded
    return sorted(world.switches.calls())


@pytest.mark.parametrize("delivery", Delivery)
def test_every_call_may_be_throttled_and_fail_and_one_run_comes_of_it(world: World, delivery: str) -> None:
    calls = calls_of(world, delivery)
    assert {"glue:GetJob", "glue:StartJobRun", "logs:FilterLogEvents"} < set(calls)
    unstage(world)
    rules = [f"{call}={status}*1" for call in calls for status in (429, 503)]
    world.switches.set(*rules, "run:end=SUCCEEDED", "run:line=hello")
    run = world.another().launch("taxi", delivery=delivery)
    assert run.wait(timedelta(minutes=2)).succeeded
    assert [one["Id"] for one in world.runs(run.launch)] == [run.id]
    used = {one.rule: one.used for one in world.switches.in_force()}
    assert {rule: used[rule] for rule in rules} == dict.fromkeys(rules, 1)


def test_a_caller_that_crashes_and_asks_again_gets_the_running_run(world: World) -> None:
    first = world.project.launch("taxi", delivery="index", launch_id="nightly")
    again = world.another().launch("taxi", delivery="index", launch_id="nightly")
    assert (again.id, again.launched) == (first.id, None)
    assert len(world.runs(first.launch)) == 1
    assert world.told[-1] == f"launch nightly has a run, nothing is started: {first.id} is STARTING"


def test_of_callers_who_ask_at_once_all_get_one_run(world: World) -> None:
    def ask(number: int) -> Run:
        project = world.project if number % 2 else world.another()  # which threads share, and processes do not
        return project.launch("taxi", delivery="index", launch_id="at once")

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(ask, range(4)))
    assert len({run.id for run in runs}) == 1
    assert len(world.runs(runs[0].launch)) == 1


def test_a_full_job_is_no_capacity_until_there_is_a_place(world: World) -> None:
    for _ in range(2):
        last = world.project.launch("taxi", delivery="index")
    with pytest.raises(NoCapacity, match="--queue"):
        world.project.launch("taxi", delivery="requirements")
    assert in_s3(world, "requirements/") == []
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.another().launch, "taxi", delivery="index", queue=timedelta(minutes=2))
        while not any("waiting for a place" in text for text in world.told):
            assert not waiting.done()
            time.sleep(0.05)
        world.project.stop(last.id)
        assert waiting.result(timeout=120).id not in (None, last.id)


def test_no_log_holds_a_token_not_even_what_botocore_tells_at_debug(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for delivery in ("requirements", "index"):
            run = world.project.launch("taxi", delivery=delivery)
            world.project.status(run.id)
    (given,) = (one["Arguments"] for one in world.runs(run.launch))
    token = given["--python-modules-installer-option"].partition("aws:")[2].partition("@")[0]
    assert len(token) == 1024
    assert "GetAuthorizationToken" in caplog.text
    assert token not in caplog.text
    assert "index-url" not in caplog.text  # a requirements file has its own token


# Before the start


def test_a_preflight_finds_everything_in_order(world: World) -> None:
    found = world.project.preflight("taxi", delivery="index")
    assert [(one.check, one.state) for one in found.findings] == [
        ("lock", State.OK),
        ("arguments", State.OK),
        ("job definition", State.OK),
        ("index", State.OK),
        ("approved repository", State.OK),
        ("token", State.OK),
    ]


@pytest.mark.parametrize(
    ("rules", "error", "told"),
    [
        (["index:page=401"], IndexAccessError, "the token is expired, revoked or of another domain"),
        (["index:page=403"], IndexAccessError, "the token's principal may not read the repository"),
        (["index:page=404"], IndexAccessError, "the token is not accepted"),
        (["token:dies=0s", "token:answer=404"], IndexAccessError, "the token is not accepted"),
        (["codeartifact:GetAuthorizationToken=403"], RemoteError, "codeartifact:GetAuthorizationToken and sts"),
        (["codeartifact:ListPackageVersionAssets=403"], RemoteError, "codeartifact:ListPackageVersionAssets"),
        (["glue:GetJob=403"], RemoteError, "glue:GetJob"),
    ],
)
def test_what_keeps_a_run_from_installing_is_told_and_nothing_is_started(
    world: World, rules: list[str], error: type[Exception], told: str
) -> None:
    world.switches.set(*rules)
    before = (len(world.runs()), in_s3(world, "requirements/"))
    with pytest.raises(error, match=told):
        world.project.launch("taxi", delivery="requirements")
    assert (len(world.runs()), in_s3(world, "requirements/")) == before


def test_a_repository_that_is_not_there_is_told_with_the_names_to_check(world: World) -> None:
    other = replace(world.settings.codeartifact, repository="absent")
    found = world.another(codeartifact=other).preflight("taxi", delivery="index")
    assert {one.check for one in found.errors} == {"approved repository", "token"}
    assert all("under [codeartifact] in the settings" in one.told for one in found.errors)


def test_a_release_that_is_not_in_the_repository_is_told(world: World) -> None:
    other = replace(world.settings.codeartifact, repository="pypi-store")
    with pytest.raises(
        NotInstallable, match=r"glueutils==0\.2\.0: missing \(no release of it was ever brought in\)"
    ):
        world.another(codeartifact=replace(other, store="approved")).launch("taxi", delivery="index")


# The job's definition


def test_a_job_is_made_as_the_settings_say_and_keeps_what_they_do_not_say(world: World, tmp_path: Path) -> None:
    glue = world.client("glue")
    before = glue.get_job(JobName=JOB)["Job"]
    taken = (
        "Role",
        "Command",
        "ExecutionProperty",
        "DefaultArguments",
        "WorkerType",
        "NumberOfWorkers",
        "Timeout",
    )
    by_hand = {name: before[name] for name in taken}
    by_hand |= {"GlueVersion": "5.0", "Timeout": 99, "MaxRetries": 2, "NumberOfWorkers": 10}
    glue.update_job(JobName=JOB, JobUpdate={**by_hand, "Description": "by hand"})
    with pytest.raises(SettingsError, match=r"2 things keep taxi-job (.|\n)*runs Glue 5\.0(.|\n)*MaxRetries 2"):
        world.project.launch("taxi", delivery="index")
    run = world.project.launch("taxi", delivery="index", fix=True)
    after = glue.get_job(JobName=JOB)["Job"]
    told = [after[name] for name in ("GlueVersion", "Timeout", "MaxRetries", "NumberOfWorkers", "Description")]
    assert told == ["5.1", 7, 0, 10, "by hand"]
    assert f"changing {JOB}: GlueVersion is 5.0, the settings say 5.1" in world.told
    assert world.runs(run.launch)[0]["GlueVersion"] == "5.1"
    assert world.project.preflight("taxi", delivery="index", fix=True).differences == ()


def test_a_job_that_is_not_there_is_created_with_its_script(world: World) -> None:
    job = replace(world.settings.jobs["taxi"], name="new-job", staging="s3://staging-area/new/")
    project = world.another(jobs={"taxi": job})
    with pytest.raises(SettingsError, match="--fix"):
        project.launch("taxi", delivery="index")
    run = project.launch("taxi", delivery="index", fix=True)
    made = world.client("glue").get_job(JobName="new-job")["Job"]
    script = (world.settings.root / "taxi.py").read_bytes()
    assert made["Command"]["ScriptLocation"] == (
        f"s3://staging-area/new/scripts/{hashlib.sha256(script).hexdigest()}/taxi.py"
    )
    assert project.preflight("taxi", delivery="index").errors == ()
    project.stop(run.id)


# For those who start runs themselves


def test_arguments_start_a_run_by_anybody(world: World) -> None:
    made = world.project.job_arguments("taxi", delivery="index", arguments={"day": "1"})
    run = world.client("glue").start_job_run(JobName=made.job, Arguments=dict(made.arguments))["JobRunId"]
    assert [one["Id"] for one in world.runs(made.launch)] == [run]
    assert made.expires_at is not None
    assert made.expires_at - world.project.clock() > timedelta(minutes=14)
