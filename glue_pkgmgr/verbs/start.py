"""Start a job run once: StartJobRun has no client token, so what may have been done is looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from glue_pkgmgr.core.duration import duration_text
from glue_pkgmgr.core.job import JobRun, JobRunId
from glue_pkgmgr.core.launch_id import attempt_of
from glue_pkgmgr.errors import NoCapacity, RemoteError
from glue_pkgmgr.ports import JobService, NoAnswer, Progress, StartThrottled

MOST_RUNS = 1000
"""How many of a job's latest runs are looked through for a launch that its caller names."""

_TROUBLE = timedelta(minutes=2)  # of throttling and of failures, before they are told
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0  # seconds between two attempts
_FIRST_PLACE_PAUSE, _LONGEST_PLACE_PAUSE = 2.0, 15.0  # seconds between two questions whether a run may start
# A run whose start got no answer may show up a moment later: it is looked for after each of these, in seconds.
_LOOKS = (1.0, 3.0)
_RECENT = 200  # runs: one page of GetJobRuns
# The limit of concurrent runs was seen to hold for some seconds after the run before had succeeded.
_PLACE_IS_LATE = timedelta(seconds=15)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class StartUnknown(RemoteError):
    """Whether a run was started is not known: it may be there, and may show up yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a start may wait: `queue` for a place among a job's concurrent runs, `trouble` for AWS itself."""

    queue: timedelta = timedelta()
    trouble: timedelta = _TROUBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time as a start needs it: `now` and `sleep` in seconds, `jitter` gives numbers from 0 up to 1."""

    now: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[], float]


@dataclass(slots=True, kw_only=True)
class Starter:
    """Starts one run of `job`, known by the id of its `launch`, however often AWS has to be asked for it.

    `arguments` gives those of the run, each time anew: what waits long may need a new token. `found` is the run
    that goes on if it had to be looked for; it may be one that another process started. `may_run` says that a run
    may be there: it was asked for, and AWS has not clearly refused.
    """

    job: str
    launch: str
    arguments: Callable[[], Mapping[str, str]]
    jobs: JobService
    patience: Patience
    timing: Timing
    progress: Progress
    found: JobRun | None = None
    may_run: bool = False
    _doubtful: bool = False
    _trouble_until: float | None = None
    _place_until: float | None = None
    _pause: float = _FIRST_PAUSE
    _place_pause: float = _FIRST_PLACE_PAUSE
    _told: set[str] = field(default_factory=set)

    def start(self, *, alone: bool) -> JobRunId:
        """Start the run and return its id. `alone` says that nobody else can be starting the same launch.

        An answer that got lost is looked for among the job's runs before AWS is asked again. Throttling and
        failures are waited out within the patience, and so is the limit of concurrent runs.

        Raises: NoCapacity when there was no place in time; StartUnknown when it is not known whether a run was
        started; RemoteError.
        """
        while True:
            try:
                if self._doubtful and (found := self._appeared()):
                    return found
                arguments = self.arguments()
                self.may_run = True  # whatever ends the next call, such as an interrupt
                started = self.jobs.start(self.job, arguments)
            except NoAnswer as e:
                self._doubtful = True
                self._wait_out(e)
            except StartThrottled as e:
                self.may_run = self._doubtful
                self._wait_out(e)
            except NoCapacity as e:
                self.may_run = self._doubtful
                self._wait_for_place(e)
            except RemoteError as e:
                self.may_run = self._doubtful
                # A refusal, or that it cannot be looked for what may have been started.
                if not self._doubtful:
                    raise
                self._wait_out(e)
            else:
                return started if alone and not self._doubtful else self._oldest(started)

    def _appeared(self) -> JobRunId | None:
        """Return the run of this launch that an attempt without an answer has started after all, if it has."""
        for seconds in _LOOKS:
            self.timing.sleep(seconds)
            if runs := self._runs():
                self.progress(f"the answer to the start was lost; the run is there: {runs[0].id}")
                return self._settled(runs)
        return None

    def _oldest(self, started: JobRunId) -> JobRunId:
        """Return the one run of this launch that is to go on, after `started` was: the oldest; stop the others."""
        try:
            runs = self._runs()
            if runs and started not in {run.id for run in runs}:  # not listed yet: then it is the younger
                runs.append(self.jobs.run(self.job, started))
            return self._settled(runs) if runs else started
        except RemoteError as e:  # the run is there all the same
            self.progress(f"warning: whether another run of this launch is there could not be seen: {e}")
            return started

    def _runs(self) -> list[JobRun]:
        """Return the runs that carry this very id, the oldest first. Raises: RemoteError."""
        found = self.jobs.launched(self.job, self.launch, _RECENT)
        same = [run for run in found if attempt_of(self.launch, run.launch_id) == 1]
        return sorted(same, key=lambda run: (run.started or _LONG_AGO, run.id))

    def _settled(self, runs: list[JobRun]) -> JobRunId:
        first, *others = runs
        for run in others:
            if run.state.outcome is None:
                self.progress(f"launch {self.launch} was started twice: stopping {run.id}, the younger")
                self.jobs.stop(self.job, run.id)
        self.found = first
        return first.id

    def _wait_out(self, error: RemoteError) -> None:
        """Wait before the next attempt. Raises: `error`, or that nothing is known, when there is no time left."""
        now = self.timing.now()
        if self._trouble_until is None:
            self._trouble_until = now + self.patience.trouble.total_seconds()
        pause = self._pause * (0.5 + self.timing.jitter() / 2)
        if now + pause >= self._trouble_until:
            self._give_up(error)
        self._tell(f"{error}; trying again for up to {duration_text(self.patience.trouble)}")
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self.timing.sleep(pause)

    def _wait_for_place(self, error: NoCapacity) -> None:
        """Wait before asking again. Raises: NoCapacity when there is no time left."""
        now = self.timing.now()
        if self._place_until is None:
            patience = self.patience.queue
            if not patience and self._has_room():
                patience = _PLACE_IS_LATE
            self._place_until = now + patience.total_seconds()
            if patience:
                self._tell(f"{error}; waiting for a place, up to {duration_text(patience)}")
        pause = self._place_pause * (0.5 + self.timing.jitter() / 2)
        left = self._place_until - now
        if left <= 0:
            waited = self.patience.queue
            told = (
                f"{error}; waited {duration_text(waited)} for a place"
                if waited
                else f"{error}; `--queue 30m` waits for a place"
            )
            if self._doubtful:
                self._give_up(RemoteError(told))
            raise NoCapacity(told) from error
        self._place_pause = min(1.5 * self._place_pause, _LONGEST_PLACE_PAUSE)
        self.timing.sleep(min(pause, left))

    def _has_room(self) -> bool:
        """Whether none of the job's latest runs goes on, so that the limit will not hold for long."""
        try:
            return all(run.state.outcome for run in self.jobs.runs(self.job, _RECENT))
        except RemoteError:  # why there is no place matters more
            return False

    @property
    def unknown(self) -> str:
        """What to say when it is not known whether a run was started."""
        return (
            f"whether a run was started is not known: launch again with --launch-id {self.launch}, which takes "
            "the run that is there, if there is one"
        )

    def _give_up(self, error: RemoteError) -> None:
        if not self._doubtful:
            raise error
        raise StartUnknown(f"{error}; {self.unknown}") from error

    def _tell(self, text: str) -> None:
        """Say each thing once, however often it is met."""
        if text not in self._told:
            self._told.add(text)
            self.progress(text)


def find_run(jobs: JobService, job: str, launch: str) -> JobRun | None:
    """Return the run of the latest attempt of a launch, among the 1,000 latest runs of the job, if there is one.

    Of several runs of that attempt one that goes on, or the oldest. Raises: RemoteError.
    """
    found = jobs.launched(job, launch, MOST_RUNS)
    if not found:
        return None
    latest = attempt_of(launch, found[0].launch_id)
    same = [run for run in found if attempt_of(launch, run.launch_id) == latest]
    return min(same, key=lambda run: (run.state.outcome is not None, run.started or _LONG_AGO, run.id))
