"""Only what never ran user code is started again, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from glue_pkgmgr.core.cause import Cause, CauseKind
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState
from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.errors import NoCapacity
from glue_pkgmgr.verbs.retry import attempts


@dataclass
class Attempted:
    """A run as an attempt; `result` is what it ended in."""

    number: int
    result: RunResult | None


def ended(kind: CauseKind | None, ran: bool = False) -> RunResult:
    cause = Cause(kind=kind, sentence="why", advice="do", ran_user_code=ran) if kind else None
    state = JobRunState.FAILED if kind else JobRunState.SUCCEEDED
    run = JobRun(job="taxi", id=JobRunId("jr_1"), state=state)
    return RunResult(run=run, cause=cause, phases=None, cost=None, installed=None, tail=())


REFUSED = ended(CauseKind.TOKEN_REFUSED)


def numbers(ends: list[RunResult | None], retries: int) -> tuple[list[int], list[str]]:
    told: list[str] = []
    runs = attempts(lambda number: Attempted(number, ends[number - 1]), retries=retries, progress=told.append)
    return [run.number for run in runs], told


@pytest.mark.parametrize(
    ("ends", "retries", "started"),
    [
        ([ended(None)], 3, [1]),
        ([REFUSED, ended(None)], 3, [1, 2]),
        ([REFUSED, REFUSED, REFUSED], 2, [1, 2, 3]),
        ([REFUSED], 0, [1]),
        ([ended(CauseKind.TOKEN_REFUSED, ran=True)], 3, [1]),
        ([ended(CauseKind.HASH_MISMATCH)], 3, [1]),
        ([ended(CauseKind.STOPPED)], 3, [1]),
        ([ended(CauseKind.UNKNOWN)], 3, [1]),
        ([None], 3, [1]),  # nobody followed it: it may still run
    ],
)
def test_what_is_started_again(ends: list[RunResult | None], retries: int, started: list[int]) -> None:
    assert numbers(ends, retries)[0] == started


def test_a_retry_is_told_with_why() -> None:
    _, told = numbers([REFUSED, ended(None)], 2)
    assert told == ["run jr_1 ended in FAILED: why; it ran nothing: starting again (1 of 2)"]


def test_a_refused_start_ends_the_attempts() -> None:
    def start(number: int) -> Attempted:
        if number > 1:
            raise NoCapacity("full")
        return Attempted(number, REFUSED)

    runs = attempts(start, retries=5, progress=lambda text: None)
    assert next(runs).number == 1
    with pytest.raises(NoCapacity):
        next(runs)
