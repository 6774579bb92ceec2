"""A start that AWS answers, refuses, forgets to answer, or answers twice: one run comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from glue_pkgmgr.core.job import LAUNCH_ID, JobRun, JobRunId, JobRunState
from glue_pkgmgr.errors import NoCapacity, RemoteError
from glue_pkgmgr.ports import NoAnswer, StartThrottled
from glue_pkgmgr.verbs.start import Patience, Starter, StartUnknown, Timing, find_run
from tests.fakes import FakeJobs, FakeTime

ID = "0123456789abcdef" * 2
JOB = "taxi-job"
FULL, THROTTLED = NoCapacity("it runs as often as it may"), StartThrottled("slow down")
LOST, REFUSED = NoAnswer("no answer came"), RemoteError("bad argument")


@dataclass
class World:
    """Time moves only where somebody waits for it."""

    jobs: FakeJobs = field(default_factory=lambda: FakeJobs({JOB: {"Name": JOB}}))
    seconds: float = 0.0
    told: list[str] = field(default_factory=list)
    given: int = 0
    at: dict[float, Callable[[], None]] = field(default_factory=dict)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.seconds += seconds
        for moment in [moment for moment in self.at if moment <= self.seconds]:
            self.at.pop(moment)()

    def arguments(self) -> dict[str, str]:
        self.given += 1
        return {LAUNCH_ID: ID}

    def start(self, queue: timedelta = timedelta(), *, alone: bool = True, jitter: float = 0.5) -> JobRunId:
        return Starter(
            job=JOB,
            launch=ID,
            arguments=self.arguments,
            jobs=self.jobs,
            patience=Patience(queue=queue),
            timing=Timing(now=lambda: self.seconds, sleep=self.sleep, jitter=lambda: jitter),
            progress=self.told.append,
        ).start(alone=alone)

    @property
    def going_on(self) -> list[JobRunId]:
        return [run.id for run in self.jobs.begun if run.id not in self.jobs.stopped]


@pytest.fixture
def world() -> World:
    return World()


def test_a_start_that_is_answered_takes_one_call(world: World) -> None:
    assert world.start() == "jr_1"
    assert world.jobs.asked == ["start"]
    assert (world.seconds, world.told) == (0, [])


def test_a_plain_refusal_is_told_at_once(world: World) -> None:
    world.jobs.refusals = [REFUSED]
    with pytest.raises(RemoteError, match="bad argument"):
        world.start()
    assert world.jobs.asked == ["start"]


# No answer


@pytest.mark.parametrize("hidden", [0, 1])
def test_a_run_whose_answer_was_lost_is_found_before_another_is_started(world: World, hidden: int) -> None:
    world.jobs.lost, world.jobs.hidden = [True], hidden  # it may show up a moment later
    assert world.start() == "jr_1"
    assert len(world.jobs.started) == 1
    assert "the answer to the start was lost; the run is there: jr_1" in world.told


def test_a_failure_of_aws_that_started_nothing_is_tried_again_after_two_looks(world: World) -> None:
    world.jobs.refusals = [LOST]
    assert world.start() == "jr_1"
    assert world.jobs.asked == ["start", "launched", "launched", "start", "launched"]


def test_a_run_that_shows_up_after_the_second_start_leaves_one_run(world: World) -> None:
    world.jobs.lost, world.jobs.hidden = [True], 2
    assert world.start() == "jr_1"
    assert world.jobs.stopped == ["jr_2"]
    assert world.going_on == ["jr_1"]


def test_without_a_look_there_is_no_second_start(world: World) -> None:
    world.jobs.refusals = [LOST]
    world.jobs.looks = [RemoteError("not now")] * 100
    with pytest.raises(StartUnknown, match=f"whether a run was started is not known: .* --launch-id {ID}"):
        world.start()
    assert world.jobs.asked.count("start") == 1


def test_a_failure_that_lasts_is_told_within_its_budget_and_that_nothing_is_known(world: World) -> None:
    world.jobs.refusals = [LOST] * 100
    with pytest.raises(StartUnknown, match="no answer came"):
        world.start()
    assert 60 < world.seconds <= 120 + 20
    assert world.jobs.started == []


def test_a_place_that_our_own_lost_start_takes_is_seen(world: World) -> None:
    world.jobs.lost, world.jobs.hidden = [True], 2
    world.jobs.refusals = [None, FULL]
    assert world.start() == "jr_1"
    assert len(world.jobs.started) == 1


def test_a_look_that_fails_after_the_start_does_not_lose_the_run(world: World) -> None:
    world.jobs.looks = [RemoteError("not now")]
    assert world.start(alone=False) == "jr_1"
    assert any("could not be seen" in text for text in world.told)


# Throttling


def test_throttling_is_waited_out_and_told_once(world: World) -> None:
    world.jobs.refusals = [THROTTLED, THROTTLED, THROTTLED]
    assert world.start() == "jr_1"
    assert world.jobs.asked == ["start"] * 4
    assert world.told == ["slow down; trying again for up to 2m"]


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_throttling_that_lasts_is_an_error_within_two_minutes(world: World, jitter: float) -> None:
    world.jobs.refusals = [THROTTLED] * 1000
    with pytest.raises(StartThrottled):
        world.start(jitter=jitter)
    assert 90 < world.seconds <= 120
    assert world.jobs.asked.count("start") < 25


# The limit of concurrent runs


def other(state: JobRunState) -> JobRun:
    return JobRun(job=JOB, id=JobRunId("jr_other"), state=state)


def test_without_patience_a_full_job_is_told_at_once(world: World) -> None:
    world.jobs.full = True
    world.jobs.known = {JOB: [other(JobRunState.RUNNING)]}
    with pytest.raises(NoCapacity, match="runs as often as it may; `--queue 30m` waits for a place"):
        world.start()
    assert world.seconds == 0


def test_a_limit_that_holds_a_moment_after_the_run_before_is_waited_out(world: World) -> None:
    world.jobs.known = {JOB: [other(JobRunState.SUCCEEDED)]}
    world.jobs.refusals = [FULL, FULL]
    assert world.start() == "jr_1"
    assert 0 < world.seconds < 15


def test_a_limit_that_nobody_of_the_job_explains_is_told_after_some_seconds(world: World) -> None:
    world.jobs.full = True
    with pytest.raises(NoCapacity):
        world.start()
    assert world.seconds == pytest.approx(15)


def test_a_place_that_becomes_free_in_time_is_taken(world: World) -> None:
    world.jobs.full = True
    world.jobs.known = {JOB: [other(JobRunState.RUNNING)]}

    def free() -> None:
        world.jobs.full = False

    world.at[200.0] = free
    assert world.start(timedelta(minutes=5)) == "jr_1"
    assert 200 <= world.seconds < 216
    assert world.told == [f"{FULL}; waiting for a place, up to 5m".replace("it runs", f"{JOB} runs")]


def test_a_place_that_does_not_become_free_ends_the_waiting(world: World) -> None:
    world.jobs.full = True
    with pytest.raises(NoCapacity, match="waited 5m for a place"):
        world.start(timedelta(minutes=5))
    assert world.seconds == pytest.approx(300)
    assert world.jobs.asked.count("start") < 60


def test_waiting_for_a_place_takes_nothing_of_the_budget_for_trouble(world: World) -> None:
    world.jobs.refusals = [*[FULL] * 50, *[THROTTLED] * 3]
    assert world.start(timedelta(hours=1)) == "jr_1"


def test_each_attempt_asks_for_its_arguments_which_may_have_a_new_token(world: World) -> None:
    world.jobs.refusals = [FULL, FULL]
    world.start(timedelta(minutes=5))
    assert world.given == 3


# The same launch, asked for by others


def test_of_two_processes_that_start_one_launch_the_older_run_goes_on(world: World) -> None:
    world.jobs.start(JOB, {LAUNCH_ID: ID})  # by the other process, a moment before
    assert world.start(alone=False) == "jr_1"
    assert world.going_on == ["jr_1"]
    assert world.told == [f"launch {ID} was started twice: stopping jr_2, the younger"]


def test_the_process_whose_run_is_older_keeps_it(world: World) -> None:
    starting = world.jobs.start

    def with_another(job: str, arguments: dict[str, str]) -> JobRunId:
        ours = starting(job, arguments)
        starting(job, arguments)  # by the other process, a moment later
        return ours

    world.jobs.start = with_another  # type: ignore[method-assign, assignment]
    assert world.start(alone=False) == "jr_1"
    assert world.going_on == ["jr_1"]


def test_a_run_that_is_not_listed_yet_is_the_younger(world: World) -> None:
    world.jobs.start(JOB, {LAUNCH_ID: ID})
    listed = list(world.jobs.begun)
    world.jobs.launched = lambda job, launch, most: listed  # type: ignore[method-assign, assignment]
    ours = replace(listed[0], id=JobRunId("jr_2"), started=FakeTime().now + timedelta(hours=1))
    world.jobs.known = {JOB: [ours]}
    assert world.start(alone=False) == "jr_1"
    assert world.jobs.stopped == ["jr_2"]


def run(number: int, launch: str | None, state: JobRunState = JobRunState.RUNNING) -> JobRun:
    return JobRun(job=JOB, id=JobRunId(f"jr_{number}"), state=state, launch_id=launch)


def test_the_run_of_a_launch_is_that_of_its_latest_attempt() -> None:
    jobs = FakeJobs(begun=[run(4, "f" * 32), run(3, f"{ID}-2"), run(2, ID, JobRunState.FAILED), run(1, None)])
    found = find_run(jobs, JOB, ID)
    assert found is not None
    assert found.id == "jr_3"
    assert find_run(jobs, JOB, "e" * 32) is None


def test_of_several_runs_of_one_attempt_the_one_that_goes_on_counts() -> None:
    jobs = FakeJobs(begun=[run(2, ID), run(1, ID, JobRunState.STOPPED)])
    found = find_run(jobs, JOB, ID)
    assert found is not None
    assert found.id == "jr_2"
