from __future__ import annotations

from itertools import count

import pytest

from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState
from glue_pkgmgr.core.launch_id import attempt_id, launch_id
from glue_pkgmgr.core.workflow import Execution, ExecutionStatus
from glue_pkgmgr.errors import DeadlineExceeded, NotApproved
from glue_pkgmgr.verbs.workflow import runs
from tests.fakes import FakeJobs, FakeStateMachines, FakeTime

EXECUTION = "arn:aws:states:us-east-1:111122223333:execution:taxi-workflow:one"
RUNNING = Execution(arn=EXECUTION, status=ExecutionStatus.RUNNING)
SUCCEEDED = Execution(arn=EXECUTION, status=ExecutionStatus.SUCCEEDED)
REFUSED = Execution(arn=EXECUTION, status=ExecutionStatus.FAILED, error="NotApproved", cause="nobody approved x")


class World:
    """An execution that goes through `ends`; its runs show up at the numbers of looks in `starts`."""

    def __init__(self, *ends: Execution, starts: tuple[int, ...] = ()) -> None:
        self.machines = FakeStateMachines(list(ends))
        self.jobs = FakeJobs()
        self.time = FakeTime()
        self._starts = starts
        self._looks = count()

    def describe(self, execution: str) -> Execution:
        if (look := next(self._looks)) in self._starts:
            attempt = self._starts.index(look) + 1
            run = JobRun(
                job="taxi-job",
                id=JobRunId(f"jr_{attempt}"),
                state=JobRunState.STARTING,
                launch_id=attempt_id(launch_id("taxi-job", EXECUTION), attempt),
            )
            self.jobs.begun.insert(0, run)
        return self.machines.describe(execution)

    def start(self, machine: str, content: str, name: str | None) -> str:
        return self.machines.start(machine, content, name)

    def seen(self, overdue_after: float = 1e9) -> list[JobRun | Execution]:
        began = self.time.monotonic()
        return list(
            runs(
                EXECUTION,
                "taxi-job",
                machines=self,
                jobs=self.jobs,
                sleep=self.time.sleep,
                jitter=lambda: 0.5,
                overdue=lambda: self.time.monotonic() - began >= overdue_after,
            )
        )


def told(seen: list[JobRun | Execution]) -> list[str]:
    return [one.id if isinstance(one, JobRun) else one.status.value for one in seen]


def test_a_run_is_told_when_it_shows_up_and_then_the_end() -> None:
    assert told(World(RUNNING, RUNNING, RUNNING, SUCCEEDED, starts=(1,)).seen()) == ["jr_1", "SUCCEEDED"]


def test_a_second_run_is_told_too() -> None:
    world = World(RUNNING, RUNNING, RUNNING, SUCCEEDED, starts=(0, 2))
    assert told(world.seen()) == ["jr_1", "jr_2", "SUCCEEDED"]


def test_an_execution_that_ended_between_two_looks_is_told_with_its_run() -> None:
    assert told(World(SUCCEEDED, starts=(0,)).seen()) == ["jr_1", "SUCCEEDED"]


def test_a_refusal_is_raised_under_its_own_name() -> None:
    with pytest.raises(NotApproved, match="ended in FAILED: nobody approved x"):
        World(RUNNING, REFUSED).seen()


def test_waiting_ends_when_the_time_is_over() -> None:
    world = World(RUNNING)
    with pytest.raises(DeadlineExceeded, match="one goes on"):
        world.seen(overdue_after=10)
    assert world.time.monotonic() - FakeTime().monotonic() == 10
