"""A job run in one's hand: to follow, to wait for, to stop; in threads and in coroutines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, LogLine
    from glue_pkgmgr.core.lockfile import Lock
    from glue_pkgmgr.core.run_result import RunResult
    from glue_pkgmgr.verbs.follow import Event, Follower, Following
    from glue_pkgmgr.verbs.launch import Launched


@dataclass(frozen=True, slots=True, kw_only=True)
class RunServices:
    """What a run asks the project it belongs to for.

    `links` gives the console's pages of a run; `ended` is told how a run ended, once for each time it was followed
    to its end, and may add a warning to it. The others are the project's verbs.
    """

    follower: Callable[[], Follower]
    links: Callable[[JobRun], Mapping[str, str]]
    ended: Callable[[RunResult], RunResult]
    status: Callable[[str], JobRun]
    logs: Callable[[str], list[LogLine]]
    stop: Callable[[str], JobRun]


class Run:
    """One run of a Glue job, just launched or found again by its id.

    `launched` is None for a run that was found again; `launch` is the id of the launch that it carries, None if
    that is not known. It may be followed any number of times, by several threads at once: each following tells all
    of it. Nothing is asked of AWS before a method needs it.
    """

    def __init__(
        self,
        services: RunServices,
        job: str,
        run: JobRunId,
        launched: Launched | None = None,
        *,
        launch: str | None = None,
    ) -> None:
        self._services = services
        self.launch = launch or (launched.launch if launched else None)
        self.job = job
        self.run = run
        self.launched = launched
        self._result: RunResult | None = None

    def __repr__(self) -> str:
        return f"Run(job={self.job!r}, id={self.run!r})"

    @property
    def id(self) -> JobRunId:
        """The id of the run, `jr_…`."""
        return self.run

    @property
    def result(self) -> RunResult | None:
        """How the run ended; None before it was followed to its end here."""
        return self._result

    # --- following

    def follow(self, deadline: timedelta | None = None) -> Iterator[Event]:
        """Yield the run whenever its state changed and its log lines, in order, until it has ended.

        Raises: RemoteError when it can no longer be read; DeadlineExceeded when it goes on after `deadline`.
        """
        return self._follow(deadline, lines=True)

    def wait(self, timeout: timedelta | None = None) -> RunResult:
        """Return how the run ended, once it has. Its log is read at the end only.

        Raises: RemoteError when it can no longer be read; DeadlineExceeded when it goes on after `timeout`.
        """
        for _ in self._follow(timeout, lines=False) if self._result is None else ():
            pass
        return self._ended()

    async def afollow(self, deadline: timedelta | None = None) -> AsyncIterator[Event]:
        """Yield what `follow` yields, without holding up the event loop. Raises: like `follow`."""
        async for event in self._afollow(deadline, lines=True):
            yield event

    async def await_end(self, timeout: timedelta | None = None) -> RunResult:
        """Return how the run ended, once it has, without holding up the event loop. Raises: like `wait`."""
        if self._result is None:
            async for _ in self._afollow(timeout, lines=False):
                pass
        return self._ended()

    # --- one call each

    def status(self) -> JobRun:
        """Return the run as it is now. Raises: RemoteError."""
        return self._services.status(self.run)

    def logs(self) -> list[LogLine]:
        """Return what it has logged so far, in order. Raises: RemoteError."""
        return self._services.logs(self.run)

    def stop(self) -> JobRun:
        """Ask it to stop; return it as it is then. Raises: RemoteError."""
        return self._services.stop(self.run)

    # --- of the launch, for a run that was launched here

    @property
    def delivery(self) -> Delivery:
        """How its lock reaches it. Raises: AttributeError for a run that was not launched here."""
        return self._here.delivery

    @property
    def lock(self) -> Lock:
        """What it installs. Raises: AttributeError for a run that was not launched here."""
        return self._here.lock

    @property
    def token_expires(self) -> datetime | None:
        """When its token ends, aware UTC; None without one. Raises: AttributeError if not launched here."""
        return self._here.token_expires

    @property
    def accept_seconds(self) -> float | None:
        """Seconds from its token to its start, None without one. Raises: AttributeError if not launched here."""
        return self._here.accept_seconds

    @property
    def _here(self) -> Launched:
        if self.launched is None:
            raise AttributeError(f"run {self.run} was found again, not launched here: this is not known of it")
        return self.launched

    def _follow(self, deadline: timedelta | None, *, lines: bool) -> Iterator[Event]:
        from glue_pkgmgr.verbs.follow import follow

        following = self._services.follower().open(self.job, self.run, lines=lines)
        yield from follow(following, sleep=time.sleep, now=time.monotonic, deadline=deadline)
        self._finish(following)

    async def _afollow(self, deadline: timedelta | None, *, lines: bool) -> AsyncIterator[Event]:
        import asyncio

        from glue_pkgmgr.verbs.follow import afollow

        follower = await asyncio.to_thread(self._services.follower)  # which makes clients of AWS
        following = follower.open(self.job, self.run, lines=lines)
        async for event in afollow(following, now=time.monotonic, deadline=deadline):
            yield event
        await asyncio.to_thread(self._finish, following)

    def _finish(self, following: Following) -> None:
        """Keep how the run ended; told to the project, which records it."""
        here = self.launched
        result = following.result(
            lock=here.lock if here else None, token_expires=here.token_expires if here else None
        )
        if result is not None:
            self._result = self._services.ended(replace(result, links=self._services.links(result.run)))

    def _ended(self) -> RunResult:
        if self._result is None:
            raise AssertionError(f"run {self.run} was followed to no end")
        return self._result
