"""One call under way beside others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def beside(work: Callable[[], T]) -> Future[T]:
    """Begin `work` in a thread of its own and return its future.

    Unlike the threads of a pool it holds up no end of the process: whoever presses Ctrl-C need not wait for a
    server that does not answer.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as e:
            future.set_exception(e)

    Thread(target=run, daemon=True).start()
    return future
