"""Start again what never began: the one place where a run is retried without being asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.ports import Progress


class Attempt(Protocol):
    """A run that was started; `result` is None until it was followed to its end."""

    @property
    def result(self) -> RunResult | None:
        """How it ended."""
        ...


AnAttempt = TypeVar("AnAttempt", bound=Attempt)


def attempts(start: Callable[[int], AnAttempt], *, retries: int, progress: Progress) -> Iterator[AnAttempt]:
    """Yield a started run, and up to `retries` more while the one before failed without having done anything.

    `start` is told the number of the attempt, from 1 on, and starts it anew: with a new token and a record of its
    own. Whoever takes a run from here follows it to its end before asking for the next. A run that may have run
    user code, that somebody stopped, or that was not followed, is the last.
    """
    for number in range(1, retries + 2):
        run = start(number)
        yield run
        result = run.result
        if result is None or result.cause is None or not result.cause.retryable or number > retries:
            return
        progress(
            f"run {result.run.id} ended in {result.run.state}: {result.cause.sentence}; it ran nothing: starting "
            f"again ({number} of {retries})"
        )
