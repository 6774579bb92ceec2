"""Verb: follow job runs to their ends.

A `Following` looks at one run once and says when to look again; it never sleeps, so that a thread, a generator
and a coroutine follow alike. A `Follower` is what all runs that one project follows have in common: how often AWS
is asked, and one page of runs that answers for many.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

from glue_pkgmgr.core.budget import Budget
from glue_pkgmgr.core.cause import cause_of
from glue_pkgmgr.core.cost import cost_of
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.lockfile import Lock as PackageLock
from glue_pkgmgr.core.phases import phases_of
from glue_pkgmgr.core.record import LaunchEnd
from glue_pkgmgr.core.run_log import RunLog, installed_against
from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.errors import DeadlineExceeded, RemoteError
from glue_pkgmgr.ports import Clock, JobLogs, JobService, LogReader, Progress, Staging, Unreached, silent

_FIRST_POLL = 0.5  # seconds
_SLOWEST_POLL = 10.0
_POLL_GROWTH = 1.15
_FRESH = 0.9  # what is known for less than this part of a pause need not be asked again
_SHORTEST_PAUSE = 0.05
# AWS names no quota for GetJobRun and GetJobRuns; ten pollers in one account have been throttled.
_STATE_RATE, _STATE_BURST = 2.0, 10  # calls a second
# Source: AWS re:Post knowledge centre, "CloudWatch Logs throttling": FilterLogEvents 5 a second in an account and
# region, where it was not raised.
_LOG_RATE, _LOG_BURST = 4.0, 12
_PAGE = 200  # runs that one GetJobRuns tells
# The driver's script may begin before the last executor has read the requirements file.
_OTHER_NODES = timedelta(minutes=1)
# CloudWatch shows a line a little after it was printed: when a run has ended, its log is read until nothing new
# came for this long, longer if nothing came at all.
_QUIET, _QUIET_IF_EMPTY = 2.0, 5.0  # seconds
_LONGEST_END = 10.0
_LONG_AGO = timedelta(minutes=1)
_LOG_TROUBLE_PAUSE = 30.0  # seconds between two tries of a log that cannot be read
PATIENCE = 120.0
"""Seconds for which a run may be out of reach."""

Event = JobRun | LogLine
"""What following yields: the run whenever its state changed, and its log lines."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a run gave: events in order, and in how many seconds to look again unless it is `over`."""

    events: Sequence[Event] = ()
    pause: float = 0.0
    over: bool = False


class Seen(NamedTuple):
    """A run as it was `at` a time of the follower's clock."""

    run: JobRun
    at: float


@dataclass(slots=True)
class _Board:
    """What is known of the runs of one job that are followed; used with its lock held."""

    lock: Lock = field(default_factory=Lock)
    followed: list[JobRunId] = field(default_factory=list)
    seen: dict[JobRunId, Seen] = field(default_factory=dict)
    turn: float | None = None


class RunStates:
    """Reads the states of followed runs with as few calls as it takes. Safe from threads.

    While several runs of one job are followed, a page of its latest runs answers for all of them.
    """

    def __init__(self, jobs: JobService, budget: Budget, now: Callable[[], float]) -> None:
        self._jobs = jobs
        self._budget = budget
        self._now = now
        self._boards: dict[str, _Board] = {}
        self._lock = Lock()

    def join(self, job: str, run: JobRunId) -> None:
        """Follow a run from now on."""
        board = self._board(job)
        with board.lock:
            board.followed.append(run)

    def leave(self, job: str, run: JobRunId) -> None:
        """Follow a run no longer."""
        board = self._board(job)
        with board.lock:
            with suppress(ValueError):
                board.followed.remove(run)
            if run not in board.followed:
                board.seen.pop(run, None)

    def read(self, job: str, run: JobRunId, age: float) -> Seen | float:
        """Return the run as it was at most `age` seconds ago; or in how many seconds it may be asked for.

        Raises: RemoteError.
        """
        board = self._board(job)
        with board.lock:
            now = self._now()
            if (seen := board.seen.get(run)) and now - seen.at <= age:
                return seen
            if board.turn is None:
                board.turn = self._budget.turn()
                now = self._now()  # not before the turn, or none would ever come at once
            if board.turn > now:
                return board.turn - now
            board.turn = None
            return self._asked(board, job, run, now)

    def _asked(self, board: _Board, job: str, run: JobRunId, now: float) -> Seen:
        if len(set(board.followed)) > 1:
            page = {one.id: Seen(one, now) for one in self._jobs.runs(job, _PAGE)}
            board.seen.update({one: page[one] for one in board.followed if one in page})
            if run in page:
                return page[run]
            self._budget.turn()  # one more call, for a run that is older than the page
        board.seen[run] = Seen(self._jobs.run(job, run), now)
        return board.seen[run]

    def _board(self, job: str) -> _Board:
        with self._lock:
            return self._boards.setdefault(job, _Board())


class Follower:
    """Follows runs for one project. Safe from threads; each `Following` belongs to one of them at a time.

    `clock` tells aware UTC, `now` seconds that only go forward. For `patience` seconds a run may
    be out of reach.
    """

    def __init__(
        self,
        *,
        jobs: JobService,
        logs: JobLogs,
        staging: Staging,
        clock: Clock,
        now: Callable[[], float],
        progress: Progress = silent,
        patience: float = PATIENCE,
    ) -> None:
        self.patience = patience
        self.logs = logs
        self.staging = staging
        self.clock = clock
        self.now = now
        self.progress = progress
        self.states = RunStates(jobs, Budget(_STATE_RATE, _STATE_BURST, now), now)
        self.log_budget = Budget(_LOG_RATE, _LOG_BURST, now)

    def open(self, job: str, run: JobRunId, *, lines: bool = True) -> Following:
        """Return the following of a run, which begins with its first look.

        Without `lines` its log is read at the end only, for what the end is judged by.
        """
        return Following(self, job, run, lines=lines)


class Following:
    """One run as it is followed: `look`, wait for as long as it says, and look again until it is over.

    A requirements file of the run, which holds a token, is deleted once every node must have installed, a minute
    after the script's first line, or when the run has ended. Whoever follows a run later does so too.
    """

    def __init__(self, follower: Follower, job: str, run: JobRunId, *, lines: bool) -> None:
        self.job = job
        self.id = run
        self.log = RunLog()
        self.waited = 0.0
        self.over = False
        self._follower = follower
        self._lines = lines
        self._told: JobRun | None = None
        self._last: Seen | None = None
        self._reader: LogReader | None = None
        self._log_turn: float | None = None
        self._log_trouble: str | None = None
        self._log_not_before = float("-inf")
        self._lines_seen = False
        self._seen_going = False
        self._pause = _FIRST_POLL
        self._age = _FIRST_POLL * _FRESH
        self._failing_since: float | None = None
        self._secret_left = True
        self._script_seen: datetime | None = None
        self._ended_at: float | None = None
        self._quiet_since = 0.0
        self._warnings: list[str] = []
        follower.states.join(job, run)

    def close(self) -> None:
        """Leave the run: it is no longer asked for together with others."""
        self._follower.states.leave(self.job, self.id)

    @property
    def ended(self) -> bool:
        """Whether the run was seen in a final state; the end of its log may still be to come."""
        return self._ended_at is not None

    @property
    def run(self) -> JobRun | None:
        """The run as it was last seen."""
        return self._last.run if self._last else None

    def look(self) -> Look:
        """Look at the run once. The last event of all is the run in its final state.

        Raises: RemoteError when AWS refuses it at first, or it could not be read for longer than is borne with.
        """
        if self.over:
            return Look(over=True)
        if self._ended_at is not None and self._last is not None:
            return self._look_at_end(self._last.run)
        try:
            seen = self._follower.states.read(self.job, self.id, self._age)
        except RemoteError as e:
            return self._out_of_reach(e)
        if isinstance(seen, float):
            # The state is not to be asked for yet; the log may be.
            lines = self._events(self._last.run) if self._last else ()
            return Look(lines, self._or_log_turn(seen))
        if self._failing_since is not None and seen.at >= self._failing_since:
            self._failing_since = None  # within reach again, not only remembered
        self._enter(seen)
        if seen.run.state.outcome:
            self._ended_at = self._quiet_since = self._follower.now()
            return self._look_at_end(seen.run)
        events = self._events(seen.run)
        self._forget_secret(seen.run, ended=False)
        return Look(events, self._until_next(seen))

    def result(
        self, *, lock: PackageLock | None = None, token_expires: datetime | None = None
    ) -> RunResult | None:
        """Return how the run ended, links left out; None before the following is over."""
        run = self.run
        if not self.over or run is None:
            return None
        cause = cause_of(run, self.log, lock=lock, token_expires=token_expires)
        installed = installed_against(lock, self.log.installed) if lock and not self._log_trouble else None
        return RunResult(
            run=run,
            cause=cause,
            phases=phases_of(
                run, self.log, waited=self.waited, ran_user_code=cause is None or cause.ran_user_code
            ),
            cost=cost_of(run),
            installed=installed,
            tail=tuple(self.log.tail),
            warnings=tuple(self._warnings),
        )

    def _until_next(self, seen: Seen) -> float:
        # From when it was so, not from when it is known: all that one page answers for look at the same time.
        now = self._follower.now()
        due = seen.at + self._pause
        self._age = self._pause * _FRESH
        self._pause = min(self._pause * _POLL_GROWTH, _SLOWEST_POLL)
        return self._or_log_turn(due - now)

    def _or_log_turn(self, pause: float) -> float:
        """Return `pause`, or less if the log may be read before: a turn that is used late makes a crowd."""
        if self._log_turn is not None:
            pause = min(pause, self._log_turn - self._follower.now())
        return max(pause, _SHORTEST_PAUSE)

    def _out_of_reach(self, error: RemoteError) -> Look:
        """Go on for a while: hours of following should survive a bad minute, at their beginning, too.

        What AWS refuses from the beginning it will refuse later.
        """
        now = self._follower.now()
        borne = self._last is not None or isinstance(error, Unreached)
        if self._failing_since is None:
            self._failing_since = now
            if borne:
                self._follower.progress(
                    f"{error}; trying again for {self._follower.patience:.0f} s, the run goes on"
                )
        if not borne or now - self._failing_since > self._follower.patience:
            raise error
        self._pause = min(self._pause * 2, _SLOWEST_POLL)
        return Look(pause=self._pause)

    def _enter(self, seen: Seen) -> None:
        if self._last and self._last.run.state is JobRunState.WAITING:
            self.waited += seen.at - self._last.at
        elif self._last is None and seen.run.state is JobRunState.WAITING and seen.run.started:
            self.waited = max((self._follower.clock() - seen.run.started).total_seconds(), 0.0)
        self._last = seen
        self._seen_going |= seen.run.state.outcome is None

    def _events(self, run: JobRun) -> list[Event]:
        """Return what is new: lines of the start, a new state, lines of the script."""
        first = self._told is None
        before: list[Event] = []
        if first:
            before.append(self._tell(run))
        # Read after the state: what a run printed before it ended is there when the end is seen.
        lines = self._new_lines(run)
        begun = 0 if self._script_seen else _first_output(lines)
        if begun < len(lines) and self._script_seen is None:
            self._script_seen = self._follower.clock()
            run = run if run.state is JobRunState.RUNNING else self._again(run)
        shown: Sequence[LogLine] = lines if self._lines else ()
        script = shown[begun:]
        before += shown[:begun]
        if self._told is None or (run.state != self._told.state and run.state.outcome is None):
            self._pause = _FIRST_POLL
            before.append(self._tell(run))
        return [*before, *script]

    def _tell(self, run: JobRun) -> JobRun:
        self._told = run
        return run

    def _again(self, run: JobRun) -> JobRun:
        """Read the run once more: that it runs is told before what its script says, not at the next look."""
        try:
            seen = self._follower.states.read(self.job, self.id, -1.0)
        except RemoteError:
            return run
        if isinstance(seen, float) or seen.run.state.outcome:
            return run
        self._enter(seen)
        return seen.run

    # --- the log

    def _new_lines(self, run: JobRun) -> list[LogLine]:
        needed = self._lines or self._ended_at is not None or bool(run.requirements_file and self._secret_left)
        if not needed or run.state is JobRunState.WAITING:
            return []
        now = self._follower.now()
        if now < self._log_not_before and self._ended_at is None:
            return []
        if self._reader is None:
            self._reader = self._follower.logs.open(run)
        if self._log_turn is None:
            self._log_turn = self._follower.log_budget.turn(self._reader.calls)
            now = self._follower.now()
        if self._log_turn > now:
            return []
        self._log_turn = None
        lines = list(self._reader.read())
        self._log_trouble = self._reader.trouble
        if self._log_trouble:
            self._log_not_before = now + _LOG_TROUBLE_PAUSE
        if lines:
            self._lines_seen = True
            self._quiet_since = now
        self.log.add(lines)
        return lines

    # --- the end

    def _look_at_end(self, run: JobRun) -> Look:
        began = self._follower.now()
        lines = self._new_lines(run)
        wait = self._until_settled(run, began, read=self._log_turn is None, new=bool(lines))
        shown: Sequence[LogLine] = lines if self._lines else ()
        if wait is not None:
            return Look(shown, wait)
        self._forget_secret(run, ended=True)
        if self._log_trouble:
            self._warnings.append(f"the end of the log is missing: {self._log_trouble}")
        self.over = True
        self.close()
        return Look([*shown, run], over=True)

    def _until_settled(self, run: JobRun, began: float, *, read: bool, new: bool) -> float | None:
        """Return in how many seconds the log should be read again; None when it is complete, or not to be had."""
        ended_at, reader = self._ended_at or 0.0, self._reader
        if not read:
            return max((self._log_turn or 0.0) - self._follower.now(), _SHORTEST_PAUSE)
        if reader is not None and reader.more and not self._log_trouble:
            return _SHORTEST_PAUSE
        # Only of a run that was found like that: of one seen before its end, a wrong clock would say it, too.
        long_ago = (
            not self._seen_going
            and run.completed is not None
            and self._follower.clock() - run.completed > _LONG_AGO
        )
        # Where nobody waits for its lines: what was installed came long before.
        enough = not self._lines and run.state is JobRunState.SUCCEEDED
        if self._log_trouble or enough or long_ago or began - ended_at >= _LONGEST_END:
            return None
        quiet = _QUIET if self._lines_seen else _QUIET_IF_EMPTY
        if not new and began - self._quiet_since >= quiet:
            return None
        return max(self._quiet_since + quiet - self._follower.now(), _SHORTEST_PAUSE)

    def _forget_secret(self, run: JobRun, *, ended: bool) -> None:
        """Delete the file with the token once it must have been read, and at the end in any case."""
        if not run.requirements_file or not self._secret_left:
            return
        begun = self._script_seen
        if not ended and (begun is None or self._follower.clock() - begun < _OTHER_NODES):
            return
        try:
            self._follower.staging.delete(run.requirements_file)
            self._secret_left = False
        except RemoteError as e:
            if ended:  # before, it is tried again
                self._warnings.append(f"a file with a token stays: {e}; delete it")


def _first_output(lines: Sequence[LogLine]) -> int:
    """Return where the script's own output begins in `lines`; their number if there is none of it."""
    return next((n for n, line in enumerate(lines) if line.stream == "output"), len(lines))


def launch_end(result: RunResult, now: datetime) -> LaunchEnd:
    """Return what the record of a launch keeps of `result`, seen `now` (aware UTC)."""
    cost, state = result.cost, result.run.state
    return LaunchEnd(
        time=now,
        state=state if isinstance(state, JobRunState) else JobRunState.FAILED,
        cause=result.cause.sentence if result.cause else "",
        seconds=result.phases.as_data() if result.phases else {},
        dpu_hours=cost.dpu_hours if cost else None,
        usd=cost.usd if cost else None,
    )


# --- those who wait


def follow(
    following: Following,
    *,
    sleep: Callable[[float], None],
    now: Callable[[], float],
    deadline: timedelta | None = None,
) -> Iterator[Event]:
    """Yield the events of a run until it has ended, and in its final state last.

    Raises: RemoteError when the run can no longer be read; DeadlineExceeded when it goes on after `deadline`.
    """
    ends = _end(deadline, now)
    try:
        while True:
            look = following.look()
            yield from look.events
            if look.over:
                return
            sleep(_pause(following, look, ends - now(), deadline))
    finally:
        following.close()


async def afollow(
    following: Following, *, now: Callable[[], float], deadline: timedelta | None = None
) -> AsyncIterator[Event]:
    """Yield what `follow` yields, without holding up the event loop: AWS is asked in its default executor."""
    import asyncio  # here: whoever follows in threads does without

    ends = _end(deadline, now)
    try:
        while True:
            look = await asyncio.to_thread(following.look)
            for event in look.events:
                yield event
            if look.over:
                return
            await asyncio.sleep(_pause(following, look, ends - now(), deadline))
    finally:
        following.close()


def _end(deadline: timedelta | None, now: Callable[[], float]) -> float:
    return float("inf") if deadline is None else now() + deadline.total_seconds()


def _pause(following: Following, look: Look, left: float, deadline: timedelta | None) -> float:
    if following.ended:
        return look.pause  # what is left to wait for is the end of the log, and bounded
    if left <= 0 and deadline is not None:
        state = f" in {following.run.state}" if following.run else ""
        raise DeadlineExceeded(
            # How long that was its caller knows: it may have waited for other runs before.
            f"run {following.id} of {following.job} has not ended in the time given: it goes on"
            f"{state}; follow it again with `glue-pkgmgr logs --follow {following.id}`, end it with "
            f"`glue-pkgmgr stop {following.id}`"
        )
    return min(look.pause, left)
