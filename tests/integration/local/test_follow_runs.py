"""Runs of a stand-in that does wrong, followed by a project: what is told of them, and how they are judged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from glue_pkgmgr.core.cause import CauseKind
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.errors import DeadlineExceeded, IndexAccessError, JobRunFailed, JobRunStopped
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.state import StandIn
from glue_pkgmgr.project import Project
from glue_pkgmgr.run import Run
from glue_pkgmgr.settings import Settings, load_settings
from glue_pkgmgr.verbs import follow
from tests.stand_in import sample_settings

ENDS = [state for state in JobRunState if state.outcome is not None]
PIP = "INFO\\t2026-11-22\\t1\\tcom.amazonaws.services.glue.PythonModuleInstaller\\t[main]\\tSTDError Stream "


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = sample_settings(tmp_path_factory.mktemp("project"))
    made.path.write_text(made.path.read_text().replace("concurrent-runs = 2", "concurrent-runs = 300"))
    return load_settings(made.path)


@pytest.fixture(scope="module")
def stand_in(settings: Settings) -> Iterator[StandIn]:
    state = settings.root / "state"
    yield up(settings, state=state, progress=lambda _: None)
    down(state)


@pytest.fixture(scope="module")
def shared(settings: Settings, stand_in: StandIn) -> Project:
    return Project(settings, environ=stand_in.environment({"PATH": "", "HOME": str(settings.root)}))


@pytest.fixture
def project(shared: Project, stand_in: StandIn) -> Iterator[Project]:
    yield shared
    stand_in.switches.clear()


def start(project: Project, *, count: int = 1) -> list[Run]:
    jobs = project._wiring.jobs
    runs = [jobs.start("taxi-job", {}) for _ in range(count)]
    return [Run(project._launching._run_services(), "taxi-job", run) for run in runs]


def texts(events: list[JobRun | LogLine]) -> list[str]:
    return [event.text for event in events if isinstance(event, LogLine)]


@pytest.mark.parametrize("state", ENDS)
def test_every_end_is_reached_and_judged(project: Project, stand_in: StandIn, state: JobRunState) -> None:
    stand_in.switches.set(f"run:end={state}", "run:line=hello", "run:seconds=120")
    (run,) = start(project)
    result = run.wait(timedelta(minutes=1))
    assert (result.run.state, result.succeeded) == (state, state is JobRunState.SUCCEEDED)
    assert result.cost is not None
    assert result.cost.dpu_hours > 0
    assert result.phases is not None
    assert result.links == {}
    if state is not JobRunState.SUCCEEDED:
        with pytest.raises((JobRunFailed, JobRunStopped), match=f"ended in {state}: "):
            result.raise_for_state()


LATE = ("logs:late=1500ms", "logs:mixed=700ms", "logs:endings=crlf")


@pytest.mark.parametrize("faults", [(), ("logs:late=3s",), ("logs:missing=2",), LATE])
def test_no_line_is_lost_at_the_end_and_none_comes_twice(
    project: Project, stand_in: StandIn, faults: tuple[str, ...]
) -> None:
    stand_in.switches.set("run:end=SUCCEEDED", "run:line=hello", "run:lines=300", "run:huge-line=700000", *faults)
    (run,) = start(project)
    events = list(run.follow(timedelta(minutes=1)))
    lines = texts(events)
    assert sorted(line for line in lines if line[:1] != "x") == sorted(
        ["hello", *(f"line {n}" for n in range(1, 301))]
    )
    assert "".join(line for line in lines if line[:1] == "x") == "x" * 700_000
    if not faults:
        assert lines[:301] == ["hello", *(f"line {n}" for n in range(1, 301))]
    last = events[-1]
    assert isinstance(last, JobRun)
    assert last.state is JobRunState.SUCCEEDED


def test_a_log_that_is_never_there_or_refused_neither_fails_nor_delays_the_run(
    project: Project, stand_in: StandIn
) -> None:
    for fault, warned in (("logs:missing=ever", False), ("logs:FilterLogEvents=403", True)):
        stand_in.switches.set("run:end=SUCCEEDED", fault)
        (run,) = start(project)
        began = time.monotonic()
        result = run.wait(timedelta(minutes=1))
        assert result.succeeded
        assert any("the end of the log is missing" in one for one in result.warnings) is warned
        assert time.monotonic() - began < 20
        stand_in.switches.clear()


def test_what_pip_said_decides_over_what_glue_says(project: Project, stand_in: StandIn) -> None:
    stand_in.switches.set(
        "run:end=FAILED",
        f"run:error-line={PIP}WARNING: 401 Error, Credentials not correct for http://h/simple/acme/",
        "run:message=LAUNCH ERROR | Installation of Additional Python Modules failed: ERROR: No matching "
        "distribution found for acme==1.0",
    )
    (run,) = start(project)
    result = run.wait(timedelta(minutes=1))
    assert result.cause is not None
    assert (result.cause.kind, result.cause.module) == (CauseKind.TOKEN_REFUSED, "acme==1.0")
    assert result.cause.retryable
    with pytest.raises(IndexAccessError):
        result.raise_for_state()


def test_a_state_nobody_knows_is_told_and_followed(project: Project, stand_in: StandIn) -> None:
    stand_in.switches.set("run:end=SUCCEEDED", "run:running=2s", "run:state=PAUSED", "run:line=hello")
    (run,) = start(project)
    states = [str(event.state) for event in run.follow() if isinstance(event, JobRun)]
    assert "PAUSED" in states
    assert states[-1] == "SUCCEEDED"


def test_throttling_of_any_call_loses_no_run(project: Project, stand_in: StandIn) -> None:
    stand_in.switches.set(
        "run:end=SUCCEEDED", "run:running=2s", "glue:GetJobRun=ThrottlingException*3", "logs=503*4"
    )
    (run,) = start(project)
    assert run.wait(timedelta(minutes=1)).succeeded


def test_a_run_that_goes_on_after_the_deadline_is_found_and_followed_again(
    project: Project, stand_in: StandIn
) -> None:
    stand_in.switches.set("run:end=SUCCEEDED", "run:running=4s")
    (run,) = start(project)
    with pytest.raises(DeadlineExceeded, match=f"logs --follow {run.id}"):
        run.wait(timedelta(seconds=1))
    assert project.run(run.id).wait(timedelta(minutes=1)).succeeded


def test_coroutines_follow_a_crowd_with_one_page_for_all(
    project: Project, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.switches.set("run:end=SUCCEEDED", "run:running=3s")
    runs = start(project, count=16)
    jobs, calls = project._wiring.jobs, []
    one, many = jobs.run, jobs.runs

    def run(job: str, run: JobRunId) -> JobRun:
        calls.append("GetJobRun")
        return one(job, run)

    def page(job: str, most: int) -> object:
        calls.append("GetJobRuns")
        return many(job, most)

    monkeypatch.setattr(jobs, "run", run)
    monkeypatch.setattr(jobs, "runs", page)

    async def wait() -> list[bool]:
        ended = await asyncio.gather(*(one.await_end(timedelta(minutes=2)) for one in runs))
        return [result.succeeded for result in ended]

    assert asyncio.run(wait()) == [True] * 16
    assert calls.count("GetJobRun") <= 2
    assert len(calls) <= 30


CROWD = 200
HURRY = 8


def test_two_hundred_runs_are_followed_at_once_within_the_rates_and_none_is_lost(
    shared: Project, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two hundred logs take minutes at the rate that AWS grants; how that is kept to does not depend on the rate.
    logs = follow._LOG_RATE * HURRY
    monkeypatch.setattr(follow, "_LOG_RATE", logs)
    project = Project(
        shared.settings, environ=stand_in.environment({"PATH": "", "HOME": str(shared.settings.root)})
    )
    runs = start_crowd(project, stand_in)
    told: dict[str, list[JobRun | LogLine]] = {run.id: [] for run in runs}

    def watch(run: Run) -> None:
        for event in run.follow(timedelta(minutes=4)):
            told[run.id].append(event)

    async def await_all(runs: list[Run]) -> None:
        async def collect(run: Run) -> None:
            async for event in run.afollow(timedelta(minutes=4)):
                told[run.id].append(event)

        await asyncio.gather(*map(collect, runs))

    stand_in.switches.forget_calls()
    began = time.monotonic()
    threads = [threading.Thread(target=watch, args=[run]) for run in runs[::2]]
    for thread in threads:
        thread.start()
    asyncio.run(await_all(runs[1::2]))
    for thread in threads:
        thread.join()
    took, calls = time.monotonic() - began, stand_in.switches.calls()

    for number, run in enumerate(runs):
        events = told[run.id]
        assert texts(events) == [f"run {number}", "line 1", "line 2", "line 3"]
        ends = [event.state for event in events if isinstance(event, JobRun) and event.state.outcome is not None]
        assert ends == [ENDS[number % len(ENDS)]]
        assert run.result is not None
    assert set(calls) <= {"glue:GetJobRun", "glue:GetJobRuns", "logs:FilterLogEvents"}
    states = sum(count.count for name, count in calls.items() if name.startswith("glue:"))
    assert states <= follow._STATE_RATE * took + follow._STATE_BURST
    assert calls["logs:FilterLogEvents"].count <= logs * took + follow._LOG_BURST


def start_crowd(project: Project, stand_in: StandIn) -> list[Run]:
    """Start runs that end one after the other, in every state, with lines of their own in their logs."""
    runs = []
    for number in range(CROWD):
        lasts = 3 + number % 16  # seconds
        end = f"run:end={ENDS[number % len(ENDS)]}"
        with stand_in.switches.faults(end, f"run:running={lasts}s", f"run:line=run {number}", "run:lines=3"):
            runs += start(project)
    return runs
