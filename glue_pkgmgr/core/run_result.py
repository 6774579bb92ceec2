"""How a run ended: all that is worth knowing about it, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from glue_pkgmgr.core.cause import Cause
from glue_pkgmgr.core.cost import Cost
from glue_pkgmgr.core.job import JobRun, LogLine
from glue_pkgmgr.core.phases import Phases
from glue_pkgmgr.core.run_log import Installed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The end of a run.

    `cause` is None for a run that succeeded; `phases` and `cost` where AWS does not tell enough for them;
    `installed` where the lock is not known, or the log could not be read. `tail` are the last lines of the
    driver's log. `links` are pages of the AWS console by what they show, none for a stand-in. `warnings` are
    sentences about what went wrong beside the run, such as a log that could not be read.
    """

    run: JobRun
    cause: Cause | None
    phases: Phases | None
    cost: Cost | None
    installed: Installed | None
    tail: tuple[LogLine, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the run ended in SUCCEEDED."""
        return self.cause is None

    @property
    def exit_status(self) -> int:
        """The exit status of a command whose run ended so; 0 for success."""
        return self.cause.exit_status if self.cause else 0

    @property
    def sentence(self) -> str:
        """How the run ended and why, and what to do about it."""
        ended = f"run {self.run.id} of {self.run.job} ended in {self.run.state}"
        if self.cause is None:
            return ended
        return f"{ended}: {self.cause.sentence}; {self.cause.advice.replace(' RUN`', f' {self.run.id}`')}"

    def raise_for_state(self) -> RunResult:
        """Return this result if the run succeeded.

        Raises: by the cause, IndexAccessError, NotInstallable, NoCapacity, JobRunFailed or JobRunStopped.
        """
        if self.cause is None:
            return self
        raise self.cause.kind.error(self.sentence)
