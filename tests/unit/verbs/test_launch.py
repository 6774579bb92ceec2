from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.errors import (
    JobRunFailed,
    JobRunStopped,
    NoCapacity,
    NotInstallable,
    RemoteError,
    SettingsError,
)
from glue_pkgmgr.verbs.deliver import Deliverer
from glue_pkgmgr.verbs.launch import (
    Event,
    Launched,
    follow,
    installed_releases,
    launch,
    preflight,
    raise_for_state,
    token_life,
)
from tests.fakes import ENDPOINT, FakeCodeArtifact, FakeIndex, FakeJobs, FakeLogs, FakeStaging, FakeTime
from tests.unit.verbs.locks import APPROVED, job_settings, lock, pin, wheel_name

RUN = JobRunId("jr_1")
S = JobRunState


@dataclass
class World:
    """What launching and following touches."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    staging: FakeStaging = field(default_factory=FakeStaging)
    logs: FakeLogs = field(default_factory=FakeLogs)
    time: FakeTime = field(default_factory=FakeTime)
    minted: list[timedelta] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def mint(self, life: timedelta) -> IndexUrl:
        self.minted.append(life)
        return IndexUrl(ENDPOINT, AuthorizationToken("secret", self.time.now + life))

    def launch(
        self,
        made: Lock | None = None,
        way: Delivery = Delivery.REQUIREMENTS,
        definition: Mapping[str, object] | None = None,
        **arguments: str,
    ) -> Launched:
        deliverer = Deliverer(
            mint=self.mint, open_index=lambda url: FakeIndex(), staging=self.staging, clock=self.time.clock
        )
        return launch(
            job_settings(),
            made or lock(pin("acme==1.0")),
            delivery=way,
            arguments=arguments,
            definition=definition or {},
            jobs=self.jobs,
            deliverer=deliverer,
            clock=self.time.clock,
            progress=self.told.append,
        )

    def following(self, sleep: Callable[[float], None] | None = None) -> Iterator[Event]:
        return follow(
            "taxi-job",
            RUN,
            jobs=self.jobs,
            logs=self.logs,
            staging=self.staging,
            clock=self.time.clock,
            sleep=sleep or self.time.sleep,
        )

    def follow(self) -> list[Event]:
        return list(self.following())

    def line(self, text: str, stream: str = "output") -> LogLine:
        return LogLine(time=self.time.now, stream=stream, text=text)


@pytest.fixture
def world() -> World:
    return World()


# Before money is spent


def look(jobs: FakeJobs, remote: FakeCodeArtifact) -> Mapping[str, object]:
    return preflight(job_settings(), lock(pin("acme==1.0")), jobs=jobs, approved=APPROVED, repositories=remote)


def remote_with(digit: str) -> FakeCodeArtifact:
    remote = FakeCodeArtifact()
    remote.put("approved", wheel_name("acme==1.0"), digit * 64)
    return remote


def test_a_job_that_can_run_the_lock_passes() -> None:
    definition = {"GlueVersion": "5.1", "MaxRetries": 0}
    assert look(FakeJobs({"taxi-job": definition}), remote_with("a")) == definition


def test_a_job_that_does_not_exist_is_told() -> None:
    with pytest.raises(SettingsError, match="there is no Glue job 'taxi-job'"):
        look(FakeJobs(), remote_with("a"))


@pytest.mark.parametrize("version", ["5.0", None])
def test_a_job_of_another_glue_version_than_the_lock_is_refused(version: str | None) -> None:
    definition: dict[str, object] = {"GlueVersion": version} if version else {}
    with pytest.raises(SettingsError, match=rf"runs Glue {version}, its lock is for Glue 5\.1"):
        look(FakeJobs({"taxi-job": definition}), remote_with("a"))


@pytest.mark.parametrize(("digit", "expected"), [("b", "different bytes"), ("", "acme==1.0: missing")])
def test_a_repository_that_does_not_hold_the_lock_is_refused(digit: str, expected: str) -> None:
    remote = remote_with(digit) if digit else FakeCodeArtifact()
    with pytest.raises(NotInstallable, match=expected):
        look(FakeJobs({"taxi-job": {"GlueVersion": "5.1"}}), remote)


# The start


def test_a_run_gets_the_arguments_of_job_caller_and_lock(world: World) -> None:
    launched = world.launch(way=Delivery.INDEX, day="2026-11-22", S3_BUCKET="mine")
    ((job, arguments),) = world.jobs.started
    assert job == "taxi-job"
    assert {name: arguments[name] for name in ("--S3_BUCKET", "--day", "--additional-python-modules")} == {
        "--S3_BUCKET": "mine",
        "--day": "2026-11-22",
        "--additional-python-modules": "acme==1.0",
    }
    assert (launched.run, launched.delivery) == (RUN, Delivery.INDEX)


def test_what_a_launch_tells_holds_no_secret(world: World) -> None:
    launched = world.launch()
    assert len(world.staging.objects) == 1
    assert launched.token_expires == world.time.now + SHORTEST
    assert launched.accept_seconds == 0
    assert "secret@" not in repr(launched) + repr(world.told)


@pytest.mark.parametrize("arguments", [{"JOB_NAME": "x"}, {"day": "-x"}, {"additional-python-modules": "evil"}])
def test_wrong_arguments_are_refused_before_a_token_exists(world: World, arguments: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        world.launch(**arguments)
    assert (world.minted, world.staging.objects, world.jobs.started) == ([], {}, [])


def test_requirements_are_refused_where_glue_reads_none_before_a_token_exists(world: World) -> None:
    with pytest.raises(SettingsError, match=r"Glue 4\.0 reads no requirements file; use wheels or index"):
        world.launch(lock(pin("acme==1.0"), glue="4.0"))
    assert world.minted == []


def test_a_refused_start_leaves_no_secret(world: World) -> None:
    world.jobs.full = True
    with pytest.raises(NoCapacity):
        world.launch()
    assert world.staging.objects == {}
    assert len(world.staging.deleted) == 1


def test_a_secret_that_cannot_be_deleted_does_not_hide_why_the_start_was_refused(world: World) -> None:
    world.jobs.full = True
    world.staging.refuse_deletes = 1
    with pytest.raises(NoCapacity):
        world.launch()
    assert "could not delete s3://staging/area/requirements/" in world.told[-1]
    assert "it holds a token that ends at 12:15 UTC" in world.told[-1]


def test_a_flexible_run_gets_a_token_that_covers_its_wait(world: World) -> None:
    world.launch(definition={"ExecutionClass": "FLEX"})
    world.launch(definition={"ExecutionClass": "STANDARD"})
    assert world.minted == [SHORTEST + timedelta(minutes=20), SHORTEST]
    assert token_life({}) == SHORTEST


# Following


def states(events: list[Event]) -> list[JobRunState]:
    return [event.state for event in events if isinstance(event, JobRun)]


def test_each_change_of_state_is_told_once(world: World) -> None:
    world.jobs.states = [S.STARTING, S.STARTING, S.WAITING, S.RUNNING, S.RUNNING, S.RUNNING, S.STOPPING, S.STOPPED]
    assert states(world.follow()) == [S.STARTING, S.WAITING, S.RUNNING, S.STOPPING, S.STOPPED]


@pytest.mark.parametrize("state", [state for state in S if state.outcome])
def test_following_ends_with_every_final_state(world: World, state: JobRunState) -> None:
    world.jobs.states = [S.RUNNING, state]
    assert states(world.follow()) == [S.RUNNING, state]


@pytest.mark.parametrize("state", [state for state in S if not state.outcome])
def test_following_goes_on_in_every_other_state(world: World, state: JobRunState) -> None:
    world.jobs.states = [state, state, state, S.SUCCEEDED]
    assert states(world.follow()) == [state, S.SUCCEEDED]
    assert world.time.now > FakeTime().now


def test_a_run_that_has_ended_before_is_told_once_after_its_lines(world: World) -> None:
    line = world.line("done")
    world.logs.batches = [[line]]
    events = world.follow()
    assert events[0] == line
    assert states(events[1:]) == [S.SUCCEEDED]


def test_that_a_run_runs_is_told_before_what_its_script_says(world: World) -> None:
    world.jobs.states = [S.STARTING, S.STARTING, S.RUNNING, S.SUCCEEDED]
    pip, said = world.line("pip", "error"), world.line("said")
    world.logs.batches = [[pip, said]]
    events = world.follow()
    assert [e if isinstance(e, LogLine) else e.state for e in events] == [
        *(S.STARTING, pip, S.RUNNING, said, S.SUCCEEDED)
    ]


def test_lines_come_in_order_and_before_the_state_they_were_printed_in(world: World) -> None:
    world.jobs.states = [S.STARTING, S.RUNNING, S.RUNNING, S.SUCCEEDED]
    first, second, third = world.line("pip", "error"), world.line("a"), world.line("b")
    world.logs.batches = [[first], [second], [third]]
    events = world.follow()
    assert [e if isinstance(e, LogLine) else e.state for e in events] == [
        *(S.STARTING, first, S.RUNNING, second, third, S.SUCCEEDED)
    ]


def secret_run(world: World, *states_: JobRunState) -> str:
    world.launch()
    world.jobs.states = list(states_)
    [secret] = world.staging.objects
    return secret


def test_the_secret_is_deleted_a_minute_after_the_first_line_of_the_script(world: World) -> None:
    secret = secret_run(world, *[S.STARTING, *[S.RUNNING] * 40, S.SUCCEEDED])
    world.logs.batches = [[], [world.line("Collecting acme", "error")], [world.line("hello")]]
    there = []
    for event in world.following():
        there.append((event.text if isinstance(event, LogLine) else event.state, bool(world.staging.objects)))
    assert there == [
        (S.STARTING, True),
        (S.RUNNING, True),
        ("Collecting acme", True),
        ("hello", True),  # an executor may still be installing
        (S.SUCCEEDED, False),
    ]
    assert world.staging.deleted == [secret]


def test_the_secret_does_not_stay_as_long_as_the_run(world: World) -> None:
    secret_run(world, *[S.RUNNING] * 100, S.SUCCEEDED)
    world.logs.batches = [[world.line("hello")]]
    began, held_for = world.time.now, timedelta()

    def sleep(seconds: float) -> None:
        nonlocal held_for
        world.time.sleep(seconds)
        if world.staging.objects:
            held_for = world.time.now - began

    list(world.following(sleep))
    assert timedelta(minutes=1) <= held_for < timedelta(minutes=1, seconds=15)


@pytest.mark.parametrize("state", [S.FAILED, S.SUCCEEDED, S.TIMEOUT, S.EXPIRED])
def test_a_run_that_printed_nothing_has_its_secret_deleted_at_its_end(world: World, state: JobRunState) -> None:
    secret_run(world, S.RUNNING, state)
    world.follow()
    assert world.staging.objects == {}


def test_a_failed_deletion_is_tried_again_and_does_not_end_the_following(world: World) -> None:
    secret_run(world, *[S.RUNNING] * 40, S.SUCCEEDED)
    world.logs.batches = [[world.line("hello")]]
    world.staging.refuse_deletes = 1
    assert states(world.follow()) == [S.RUNNING, S.SUCCEEDED]
    assert world.staging.objects == {}


def test_a_secret_that_stays_is_an_error_after_the_last_event(world: World) -> None:
    secret_run(world, S.RUNNING, S.SUCCEEDED)
    world.staging.refuse_deletes = 9
    events: list[Event] = []
    with pytest.raises(RemoteError, match="could not delete"):
        for event in world.following():
            events.append(event)
    assert states(events) == [S.RUNNING, S.SUCCEEDED]


def test_polling_slows_down_to_six_calls_a_minute_and_is_quick_again_after_a_change(world: World) -> None:
    world.jobs.states = [S.RUNNING] * 60 + [S.STOPPING, S.STOPPING, S.STOPPED]
    pauses: list[float] = []
    list(world.following(pauses.append))
    assert pauses[0] == 0.5
    assert max(pauses) == 10.0
    assert pauses[-2:] == [0.5, pytest.approx(0.575)]


# The outcome


@pytest.mark.parametrize("state", S)
def test_an_unsuccessful_end_is_an_error_with_its_cause(state: JobRunState) -> None:
    run = JobRun(job="taxi-job", id=RUN, state=state, error_message="it broke")
    expected = {S.FAILED: JobRunFailed, S.ERROR: JobRunFailed} | dict.fromkeys(
        (S.STOPPED, S.TIMEOUT, S.EXPIRED), JobRunStopped
    )
    if state not in expected:
        raise_for_state(run)
        return
    with pytest.raises(
        expected[state], match=f"run jr_1 of taxi-job ended in {state}: it broke; `glue-pkgmgr logs jr_1`"
    ):
        raise_for_state(run)


def test_what_pip_installed_is_read_from_its_words(world: World) -> None:
    lines = [
        world.line("Successfully installed acme-1.0 b-2.0\r"),
        world.line("x"),
        world.line("pip: Successfully installed c-3"),
    ]
    assert installed_releases(lines) == ["acme-1.0", "b-2.0", "c-3"]


def test_settings_of_the_job_are_those_of_the_file() -> None:
    assert job_settings(Path("/here")).staging == "s3://staging/area/"
