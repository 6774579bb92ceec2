"""How a run is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine, requirements_arguments
from glue_pkgmgr.errors import JobRunFailed, JobRunStopped, RemoteError
from glue_pkgmgr.verbs.follow import Event, follow, installed_releases, raise_for_state
from tests.fakes import FakeJobs, FakeLogs, FakeStaging, FakeTime

RUN = JobRunId("jr_1")
S = JobRunState


@dataclass
class World:
    """What following touches."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    staging: FakeStaging = field(default_factory=FakeStaging)
    logs: FakeLogs = field(default_factory=FakeLogs)
    time: FakeTime = field(default_factory=FakeTime)

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
    secret = f"s3://staging/area/requirements/{'0' * 32}.txt"
    world.staging.put(secret, b"secret")
    world.jobs.start("taxi-job", requirements_arguments(secret).as_arguments())
    world.jobs.states = list(states_)
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
