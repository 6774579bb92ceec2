"""Where the time of a run went: waiting, starting, installing, running."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from glue_pkgmgr.core.job import JobRun
from glue_pkgmgr.core.run_log import RunLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """The seconds of a run from its accepted start to its end; together they are all of them.

    `waited` for capacity; `started` until pip began, or the workers were there; `installed` while pip worked;
    `ran` the rest. A log that could not be read leaves what was installed in `ran`.
    """

    waited: float
    started: float
    installed: float
    ran: float

    def as_data(self) -> dict[str, float]:
        """Return the phases by name, in order."""
        return {"waited": self.waited, "started": self.started, "installed": self.installed, "ran": self.ran}


def phases_of(run: JobRun, log: RunLog, *, waited: float, ran_user_code: bool) -> Phases | None:
    """Return where the time of `run`, which has ended, went; None if it does not tell when it began and ended.

    `waited` is how many seconds it was seen in WAITING. Times of the log may be told by another clock than the
    run's: each phase ends where the next begins, and none is negative.
    """
    if run.started is None or run.completed is None:
        return None
    begin, end = run.started, max(run.started, run.completed)

    def within(time: datetime, after: datetime) -> datetime:
        return min(max(time, after), end)

    ready = within(begin + timedelta(seconds=max(waited, 0.0)), begin)
    workers = within(end - timedelta(seconds=run.execution_seconds), ready)
    installing = within(log.install_began or workers, ready)
    if not ran_user_code:
        # What never ran user code ended while installing, or before.
        running = end
        installing = installing if log.install_began else end
    else:
        running = within(log.install_ended or installing, installing)
    return Phases(
        waited=(ready - begin).total_seconds(),
        started=(installing - ready).total_seconds(),
        installed=(running - installing).total_seconds(),
        ran=(end - running).total_seconds(),
    )
