"""Verb: have a state machine launch a job, and find the runs that it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from glue_pkgmgr.core.job import JobRun
from glue_pkgmgr.core.launch_id import attempt_of, launch_id
from glue_pkgmgr.core.workflow import Execution
from glue_pkgmgr.errors import DeadlineExceeded
from glue_pkgmgr.ports import JobService, StateMachines
from glue_pkgmgr.verbs.start import find_run

_PAUSE = 2.0  # seconds between two looks at an execution, give or take a half


def runs(
    execution: str,
    job: str,
    *,
    machines: StateMachines,
    jobs: JobService,
    sleep: Callable[[float], None],
    jitter: Callable[[], float],
    overdue: Callable[[], bool] = lambda: False,
) -> Iterator[JobRun | Execution]:
    """Yield each run of `job` that an execution starts, one after the other, and last the execution as it ended.

    `overdue` tells when there is no time left; `jitter` gives numbers from 0 up to 1, `sleep` takes seconds.

    Raises: the error of an execution that failed before it had started a run; DeadlineExceeded; RemoteError.
    """
    launch, seen = launch_id(job, execution), 0
    while True:
        # In this order: what an execution that has ended had started can be found.
        now = machines.describe(execution)
        run = find_run(jobs, job, launch)
        if run is not None and attempt_of(launch, run.launch_id) > seen:
            seen = attempt_of(launch, run.launch_id)
            yield run
        elif now.status.ended:
            if not seen:
                raise now.failure()
            yield now
            return
        elif overdue():
            raise DeadlineExceeded(f"the time is over, execution {execution} goes on")
        else:
            sleep(_PAUSE * (0.5 + jitter()))
