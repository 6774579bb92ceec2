"""Several calls of the same kind under way at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 32
"""Calls under way at the same time: a call to a region far away is mostly waiting."""


def at_once(work: Callable[[T], R], items: Iterable[T], most: int = AT_ONCE) -> list[R]:
    """Return what `work` gives for each item, in their order, up to `most` at the same time.

    The first error, or an interrupt, ends it: what has not begun by then does not begin.
    """
    pool = ThreadPoolExecutor(most)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
