"""A run in one's hand: in a thread, in a coroutine, found again, and without what it does not need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.errors import DeadlineExceeded, IndexAccessError
from glue_pkgmgr.run import Run, RunServices
from glue_pkgmgr.verbs.follow import Follower
from glue_pkgmgr.verbs.launch import Launched
from tests.fakes import FakeJobs, FakeLogs, FakeStaging, FakeTime
from tests.unit.verbs.locks import lock, pin

S = JobRunState
COLUMNS = "INFO\t2026-11-22\t1\tcom.amazonaws.services.glue.PythonModuleInstaller\t[main]\tSTDOut Stream "


@dataclass
class World:
    """A project as its runs see it, on fakes and with a clock that only sleeping moves."""

    states: list[JobRunState]
    time: FakeTime = field(default_factory=FakeTime)
    logs: FakeLogs = field(default_factory=FakeLogs)
    ended: list[RunResult] = field(default_factory=list)
    message: str | None = None

    def __post_init__(self) -> None:
        self.jobs = FakeJobs(script=self._read)
        self._follower = Follower(
            jobs=self.jobs,
            logs=self.logs,
            staging=FakeStaging(),
            clock=self.time.clock,
            now=self.time.monotonic,
        )

    def _read(self, job: str, run: JobRunId) -> JobRun:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return JobRun(
            job=job,
            id=run,
            state=state,
            started=FakeTime().now,
            completed=self.time.now if state.outcome else None,
            error_message=self.message,
        )

    def run(self, *, launched: bool = True) -> Run:
        made = Launched(
            job="taxi-job",
            run=JobRunId("jr_1"),
            delivery=Delivery.INDEX,
            lock=lock(pin("acme==1.0")),
            token_expires=datetime(2026, 11, 22, 12, 15, tzinfo=UTC),
            accept_seconds=0.5,
        )
        services = RunServices(
            follower=lambda: self._follower,
            links=self._links,
            ended=self._ended,
            status=lambda run: self._read("taxi-job", JobRunId(run)),
            logs=lambda run: [],
            stop=lambda run: self._read("taxi-job", JobRunId(run)),
        )
        return Run(services, "taxi-job", made.run, made if launched else None)

    def _links(self, run: JobRun) -> Mapping[str, str]:
        return {"run": f"https://console/{run.id}"}

    def _ended(self, result: RunResult) -> RunResult:
        self.ended.append(result)
        return replace(result, warnings=(*result.warnings, "noted"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(*states: JobRunState) -> World:
        world = World(list(states))

        async def asleep(seconds: float) -> None:
            world.time.sleep(seconds)

        monkeypatch.setattr("time.sleep", world.time.sleep)
        monkeypatch.setattr("time.monotonic", world.time.monotonic)
        monkeypatch.setattr(asyncio, "sleep", asleep)
        return world

    return make


def line(text: str, stream: str = "output") -> LogLine:
    return LogLine(time=FakeTime().now, stream=stream, text=text)


def test_a_run_is_followed_waited_for_and_judged(made: Callable[..., World]) -> None:
    world = made(S.STARTING, S.RUNNING, S.SUCCEEDED)
    world.logs.batches = [[line(f"{COLUMNS}Successfully installed acme-1.0", "error")], [line("hello")]]
    run = world.run()
    assert run.result is None
    events = [e.text if isinstance(e, LogLine) else e.state for e in run.follow()]
    assert events == [
        S.STARTING,
        f"{COLUMNS}Successfully installed acme-1.0",
        S.RUNNING,
        "hello",
        S.SUCCEEDED,
    ]
    calls = len(world.jobs.calls)
    result = run.wait(timeout=timedelta(seconds=1)).raise_for_state()
    assert len(world.jobs.calls) == calls  # it is known already
    assert run.result is result
    assert result.installed is not None
    assert result.installed.as_locked
    assert result.links == {"run": "https://console/jr_1"}
    assert (result.warnings, len(world.ended)) == (("noted",), 1)


def test_a_failure_is_raised_by_its_cause(made: Callable[..., World]) -> None:
    world = made(S.RUNNING, S.FAILED)
    world.message = (
        "LAUNCH ERROR | Installation of Additional Python Modules failed: ERROR: No matching distribution"
    )
    world.logs.batches = [[line(f"{COLUMNS}WARNING: 401 Error, Credentials not correct for https://h", "error")]]
    with pytest.raises(IndexAccessError, match="the index refused the token"):
        world.run().wait().raise_for_state()


def test_a_wait_that_is_over_leaves_the_run_to_be_waited_for_again(made: Callable[..., World]) -> None:
    world = made(S.RUNNING)
    run = world.run()
    with pytest.raises(DeadlineExceeded):
        run.wait(timeout=timedelta(minutes=5))
    assert run.result is None
    world.states = [S.SUCCEEDED]
    assert run.wait(timeout=timedelta(minutes=5)).succeeded


def test_coroutines_follow_and_wait_too(made: Callable[..., World]) -> None:
    world = made(S.RUNNING, S.SUCCEEDED)
    world.logs.batches = [[line("hello")]]

    async def both() -> tuple[list[str], RunResult]:
        run = world.run()
        told = [e.text if isinstance(e, LogLine) else str(e.state) async for e in run.afollow()]
        return told, await run.await_end()

    told, result = asyncio.run(both())
    assert told == ["RUNNING", "hello", "SUCCEEDED"]
    assert result.succeeded


def test_many_coroutines_wait_at_once(made: Callable[..., World]) -> None:
    world = made(S.SUCCEEDED)

    async def wait() -> list[RunResult]:
        return await asyncio.gather(*(world.run().await_end(timedelta(minutes=30)) for _ in range(50)))

    assert all(result.succeeded for result in asyncio.run(wait()))
    assert len(world.ended) == 50


def test_a_run_that_was_found_again_knows_its_end_but_not_its_launch(made: Callable[..., World]) -> None:
    run = made(S.SUCCEEDED).run(launched=False)
    result = run.wait()
    assert (result.succeeded, result.installed, run.id, run.job) == (True, None, "jr_1", "taxi-job")
    with pytest.raises(AttributeError, match="was found again, not launched here"):
        _ = run.lock
    assert repr(run) == "Run(job='taxi-job', id='jr_1')"


def test_what_is_known_of_the_launch_is_at_hand(made: Callable[..., World]) -> None:
    run = made(S.SUCCEEDED).run()
    assert (run.delivery, run.accept_seconds) == (Delivery.INDEX, 0.5)
    assert run.token_expires == datetime(2026, 11, 22, 12, 15, tzinfo=UTC)
    assert [str(one) for one in run.lock.installed] == ["acme==1.0"]
