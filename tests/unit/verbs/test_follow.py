"""How a run is followed."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import heappop, heappush

import pytest

from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine, UnknownState, requirements_arguments
from glue_pkgmgr.errors import DeadlineExceeded, RemoteError
from glue_pkgmgr.ports import Unreached
from glue_pkgmgr.verbs.follow import Event, Follower, Following, afollow, follow
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
    told: list[str] = field(default_factory=list)

    def follower(self, now: Callable[[], float] | None = None) -> Follower:
        return Follower(
            jobs=self.jobs,
            logs=self.logs,
            staging=self.staging,
            clock=self.time.clock,
            now=now or self.time.monotonic,
            progress=self.told.append,
        )

    def open(self, *, lines: bool = True) -> Following:
        return self.follower().open("taxi-job", RUN, lines=lines)

    def following(
        self,
        sleep: Callable[[float], None] | None = None,
        *,
        opened: Following | None = None,
        deadline: timedelta | None = None,
    ) -> Iterator[Event]:
        return follow(
            opened or self.open(), sleep=sleep or self.time.sleep, now=self.time.monotonic, deadline=deadline
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
    world.jobs.states = [S.STARTING, S.RUNNING, S.SUCCEEDED]
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
        ("Collecting acme", True),
        (S.RUNNING, True),
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


def test_a_secret_that_stays_is_a_warning_of_the_result(world: World) -> None:
    secret = secret_run(world, S.RUNNING, S.SUCCEEDED)
    world.staging.refuse_deletes = 9
    opened = world.open()
    assert states(list(world.following(opened=opened))) == [S.RUNNING, S.SUCCEEDED]
    result = opened.result()
    assert result is not None
    assert result.warnings == (f"a file with a token stays: could not delete {secret}; delete it",)


def test_polling_slows_down_to_six_calls_a_minute_and_is_quick_again_after_a_change(world: World) -> None:
    world.jobs.states = [S.RUNNING] * 60 + [S.STOPPING, S.STOPPING, S.STOPPED]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))
        world.time.sleep(seconds)

    opened = world.open()
    for event in world.following(sleep, opened=opened):
        if isinstance(event, JobRun) and event.state is S.STOPPING:
            assert max(pauses) == 10.0
            pauses.clear()
    assert pauses[:2] == [0.5, 0.575]


# The end of the log


def test_what_comes_after_the_end_is_told_until_it_is_quiet(world: World) -> None:
    early, late, later = world.line("early"), world.line("late"), world.line("later")
    world.jobs.states = [S.RUNNING, S.SUCCEEDED]
    world.logs.batches = [[early], [], [late], [later]]
    events = world.follow()
    assert [e.text for e in events if isinstance(e, LogLine)] == ["early", "late", "later"]
    assert states(events[-1:]) == [S.SUCCEEDED]
    assert (world.time.now - FakeTime().now).total_seconds() < 8


def test_a_log_that_never_ends_ends_with_its_run(world: World) -> None:
    world.logs.batches = [[world.line(str(n))] for n in range(1000)]
    assert len(world.follow()) < 30
    assert (world.time.now - FakeTime().now).total_seconds() < 15


def test_a_log_that_may_not_be_read_neither_fails_nor_delays_the_run(world: World) -> None:
    world.jobs.states = [S.STARTING, S.RUNNING, S.SUCCEEDED]
    world.logs.trouble = "no permission"
    opened = world.open()
    assert states(list(world.following(opened=opened))) == [S.STARTING, S.RUNNING, S.SUCCEEDED]
    assert (world.time.now - FakeTime().now).total_seconds() < 2
    assert world.logs.readings == 2  # not again and again
    result = opened.result()
    assert result is not None
    assert result.warnings == ("the end of the log is missing: no permission",)


def test_a_run_that_ended_long_ago_is_not_waited_for(world: World) -> None:
    completed = world.time.now - timedelta(hours=1)
    world.jobs.script = lambda job, run: JobRun(job=job, id=run, state=S.FAILED, completed=completed)
    assert states(world.follow()) == [S.FAILED]
    assert world.time.now == FakeTime().now


def test_a_clock_that_is_fast_does_not_cut_off_the_end_of_a_log(world: World) -> None:
    completed = world.time.now - timedelta(hours=1)
    runs = [JobRun(job="j", id=RUN, state=S.RUNNING), JobRun(job="j", id=RUN, state=S.FAILED, completed=completed)]
    world.jobs.script = lambda job, run: runs.pop(0) if len(runs) > 1 else runs[0]
    last = world.line("the last of all")
    world.logs.batches = [[], [], [last]]
    assert last in world.follow()


def test_a_waiting_run_has_its_log_not_read_and_its_wait_counted(world: World) -> None:
    world.jobs.states = [*[S.WAITING] * 20, S.SUCCEEDED]
    opened = world.open()
    moments = {e.state: world.time.now for e in world.following(opened=opened) if isinstance(e, JobRun)}
    assert world.logs.readings <= 3
    assert 20 < opened.waited <= (moments[S.SUCCEEDED] - moments[S.WAITING]).total_seconds()


def test_without_lines_the_log_is_read_at_the_end_for_the_result(world: World) -> None:
    world.jobs.states = [*[S.RUNNING] * 9, S.FAILED]
    installer = "INFO\t2026-11-22\t1\tcom.amazonaws.services.glue.PythonModuleInstaller\t[main]\tSTDError Stream "
    world.logs.batches = [[world.line(f"{installer}ERROR: No matching distribution found for acme==1.0", "error")]]
    opened = world.open(lines=False)
    assert states(list(world.following(opened=opened))) == [S.RUNNING, S.FAILED]
    result = opened.result()
    assert result is not None
    assert result.cause is not None
    assert (result.cause.module, result.cause.ran_user_code) == ("acme==1.0", False)


# What goes wrong meanwhile


def test_a_state_nobody_knows_is_told_and_followed_to_its_end(world: World) -> None:
    dreaming = [UnknownState("DREAMING", False), UnknownState("DREAMT", True)]
    left = [S.RUNNING, *dreaming]
    world.jobs.script = lambda job, run: JobRun(job=job, id=run, state=left.pop(0) if len(left) > 1 else left[0])
    opened = world.open()
    assert [str(e.state) for e in world.following(opened=opened) if isinstance(e, JobRun)] == [
        *("RUNNING", "DREAMING", "DREAMT")
    ]
    result = opened.result()
    assert result is not None
    assert "ended in DREAMT" in result.sentence


def test_a_run_that_cannot_be_read_at_first_is_an_error(world: World) -> None:
    world.jobs.broken = RemoteError("no way")
    with pytest.raises(RemoteError, match="no way"):
        world.follow()
    assert world.jobs.calls == ["GetJobRun"]


def test_a_run_that_is_out_of_reach_at_first_is_followed_all_the_same(world: World) -> None:
    answers: list[JobRun | None] = [None, JobRun(job="taxi-job", id=RUN, state=S.RUNNING)]

    def script(job: str, run: JobRunId) -> JobRun:
        if (answer := answers.pop(0) if answers else JobRun(job=job, id=run, state=S.SUCCEEDED)) is None:
            raise Unreached("a page of the proxy")
        return answer

    world.jobs.script = script
    assert states(world.follow()) == [S.RUNNING, S.SUCCEEDED]
    assert world.told == ["a page of the proxy; trying again for 120 s, the run goes on"]


def test_a_run_that_was_seen_survives_a_bad_minute_but_not_an_hour(world: World) -> None:
    began = world.time.now

    def script(job: str, run: JobRunId) -> JobRun:
        passed = world.time.now - began
        if timedelta(seconds=5) < passed < timedelta(seconds=90) or passed > timedelta(minutes=3):
            raise RemoteError("no way")
        return JobRun(job=job, id=run, state=S.RUNNING)

    world.jobs.script = script
    with pytest.raises(RemoteError, match="no way"):
        world.follow()
    assert timedelta(minutes=5) <= world.time.now - began < timedelta(minutes=6)
    assert world.told == ["no way; trying again for 120 s, the run goes on"] * 2


@pytest.mark.parametrize("tick", [0, 0.000_01, 0.2])
def test_a_run_out_of_reach_is_given_up_however_the_clock_ticks(world: World, tick: float) -> None:
    began = world.time.now

    def script(job: str, run: JobRunId) -> JobRun:
        if world.time.now - began > timedelta(seconds=5):
            raise RemoteError("no way")
        return JobRun(job=job, id=run, state=S.RUNNING)

    def now() -> float:
        world.time.sleep(tick)
        return world.time.monotonic()

    world.jobs.script = script
    follower = world.follower(now)
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        world.time.sleep(seconds)

    with pytest.raises(RemoteError, match="no way"):
        list(follow(follower.open("taxi-job", RUN), sleep=sleep, now=now))
    assert world.time.now - began < timedelta(minutes=3)
    assert looks == pytest.approx(len(world.jobs.calls), abs=2)  # none in vain
    assert len(world.told) == 1


@pytest.mark.parametrize("state", [S.RUNNING, S.WAITING])
def test_a_deadline_ends_the_following_and_says_that_the_run_goes_on(world: World, state: JobRunState) -> None:
    world.jobs.states = [state]
    told = rf"in the time given: it goes on in {state}; .*--follow jr_1"
    with pytest.raises(DeadlineExceeded, match=told) as caught:
        list(world.following(deadline=timedelta(seconds=90)))
    assert caught.value.exit_code == 8
    assert world.time.now - FakeTime().now == timedelta(seconds=90)


def test_a_run_that_ends_in_time_has_its_log_read_after_the_deadline(world: World) -> None:
    world.jobs.states = [S.RUNNING, S.SUCCEEDED]
    world.logs.batches = [[], [world.line("a")], [world.line("b")]]
    events = list(world.following(deadline=timedelta(seconds=0.6)))
    assert [e.text for e in events if isinstance(e, LogLine)] == ["a", "b"]


# Many at once


@dataclass
class Crowd:
    """Runs that start together and end one after the other, followed with a clock that only events move."""

    time: FakeTime = field(default_factory=FakeTime)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    logs: FakeLogs = field(default_factory=FakeLogs)
    asked: list[tuple[float, str]] = field(default_factory=list)

    def follow(
        self, runs: dict[str, list[JobRunId]], lasts: Callable[[JobRunId], float]
    ) -> dict[str, list[Event]]:
        began = self.time.monotonic()

        def script(job: str, run: JobRunId) -> JobRun:
            over = self.time.monotonic() - began >= lasts(run)
            ended = self.time.now if over else None
            return JobRun(job=job, id=run, state=S.SUCCEEDED if over else S.RUNNING, completed=ended)

        self.jobs.script = script
        self.jobs.known = {
            job: [JobRun(job=job, id=one, state=S.RUNNING) for one in ids] for job, ids in runs.items()
        }
        for ids in runs.values():
            for one in ids:
                self.logs.of[one] = [[self._line(f"{one} begins")], [self._line(f"{one} ends")]]
        follower = Follower(
            jobs=self.jobs,
            logs=self.logs,
            staging=FakeStaging(),
            clock=self.time.clock,
            now=self.time.monotonic,
        )
        told: dict[str, list[Event]] = {}
        due: list[tuple[float, int, Following]] = []
        for job, ids in runs.items():
            for one in ids:
                heappush(due, (began, len(due), follower.open(job, one)))
        while due:
            at, number, following = heappop(due)
            self.time.now = max(self.time.now, FakeTime().now + timedelta(seconds=at - began))
            calls, readings = len(self.jobs.calls), self.logs.readings
            look = following.look()
            self.asked += [(at - began, call) for call in self.jobs.calls[calls:]]
            self.asked += [(at - began, "FilterLogEvents")] * 2 * (self.logs.readings - readings)
            told.setdefault(following.id, []).extend(look.events)
            if not look.over:
                heappush(due, (at + look.pause, number, following))
        return told

    def _line(self, text: str) -> LogLine:
        return LogLine(time=self.time.now, stream="output", text=text)

    def most_in_a_minute(self, *calls: str) -> int:
        """The most of these calls in any 60 seconds."""
        times = sorted(at for at, call in self.asked if call in calls)
        return max((bisect_left(times, at + 60) - n for n, at in enumerate(times)), default=0)


def ids_of(count: int, letter: str = "a") -> list[JobRunId]:
    return [JobRunId(f"jr_{letter}{n}") for n in range(count)]


@pytest.mark.parametrize("jobs", [1, 20, 200])
def test_two_hundred_runs_are_followed_within_the_rates_and_none_is_lost(jobs: int) -> None:
    crowd = Crowd()
    ids = ids_of(200)
    runs = {f"job-{n}": ids[n::jobs] for n in range(jobs)}
    told = crowd.follow(runs, lambda run: 300 + int(run.removeprefix("jr_a")))
    for one in ids:
        events = told[one]
        assert [e.state for e in events if isinstance(e, JobRun)] == [S.RUNNING, S.SUCCEEDED]
        assert [e.text for e in events if isinstance(e, LogLine)] == [f"{one} begins", f"{one} ends"]
    assert crowd.most_in_a_minute("GetJobRun", "GetJobRuns") <= 2 * 60 + 10
    assert crowd.most_in_a_minute("FilterLogEvents") <= 4 * 60 + 12


def test_one_page_answers_for_all_runs_of_a_job() -> None:
    crowd = Crowd()
    crowd.follow({"taxi-job": ids_of(100)}, lambda run: 600)
    assert crowd.most_in_a_minute("GetJobRun", "GetJobRuns") <= 30
    late = [at for at, call in crowd.asked if call == "GetJobRuns" and 120 < at < 600]
    assert len(late) <= 480 / 9 + 2


def test_a_run_that_is_older_than_the_page_is_read_by_itself() -> None:
    crowd = Crowd()
    crowd.jobs.known = {}
    told = crowd.follow({"taxi-job": ids_of(202)}, lambda run: 5)
    assert len(told) == 202
    assert Counter(call for _, call in crowd.asked)["GetJobRun"] >= 2


def test_threads_may_follow_the_runs_of_one_follower_at_once(world: World) -> None:
    ids = ids_of(24)
    ends = {one: threading.Event() for one in ids}

    def script(job: str, run: JobRunId) -> JobRun:
        return JobRun(job=job, id=run, state=S.SUCCEEDED if ends[run].is_set() else S.RUNNING)

    world.jobs.script = script
    world.jobs.known = {"taxi-job": [JobRun(job="taxi-job", id=one, state=S.RUNNING) for one in ids]}
    world.logs.of = {one: [[world.line(one)]] for one in ids}
    follower, mutex = world.follower(), threading.Lock()
    told: dict[str, list[Event]] = {}

    def sleep(seconds: float) -> None:
        with mutex:
            world.time.sleep(seconds)

    def watch(run: JobRunId) -> None:
        events: list[Event] = []
        for event in follow(follower.open("taxi-job", run), sleep=sleep, now=world.time.monotonic):
            events.append(event)
            ends[run].set()
        told[run] = events

    threads = [threading.Thread(target=watch, args=[one]) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {run: states(events)[-1] for run, events in told.items()} == dict.fromkeys(ids, S.SUCCEEDED)
    assert all([e.text for e in told[one] if isinstance(e, LogLine)] == [one] for one in ids)


def test_a_coroutine_follows_like_a_thread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.time.sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    world.jobs.states = [S.STARTING, S.RUNNING, S.RUNNING, S.SUCCEEDED]
    world.logs.batches = [[], [world.line("a")], [world.line("b")]]

    async def collect() -> list[Event]:
        return [event async for event in afollow(world.open(), now=world.time.monotonic)]

    events = asyncio.run(collect())
    assert [e.text if isinstance(e, LogLine) else e.state for e in events] == [
        *(S.STARTING, S.RUNNING, "a", "b", S.SUCCEEDED)
    ]
    assert slept


def test_a_coroutine_meets_its_deadline_and_may_be_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        world.time.sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    world.jobs.states = [S.RUNNING]

    async def first_only() -> Event:
        events = afollow(world.open(), now=world.time.monotonic)
        try:
            return await anext(events)
        finally:
            await events.aclose()

    async def until(deadline: timedelta) -> None:
        async for _ in afollow(world.open(), now=world.time.monotonic, deadline=deadline):
            pass

    assert states([asyncio.run(first_only())]) == [S.RUNNING]
    with pytest.raises(DeadlineExceeded):
        asyncio.run(until(timedelta(seconds=30)))
