"""A budget of calls: so many a second, shared by all who make them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Budget:
    """Hands out turns for calls, at most `rate` a second in the long run and `burst` at once.

    Whoever asks gets a turn and keeps it: first come, first served, from any thread. `now` is in seconds and only
    goes forward.
    """

    def __init__(self, rate: float, burst: int, now: Callable[[], float]) -> None:
        self._interval = 1 / rate
        self._ahead = (burst - 1) * self._interval
        self._now = now
        self._next = float("-inf")
        self._lock = Lock()

    def turn(self, calls: int = 1) -> float:
        """Return when, by `now`, the caller may make `calls` calls: now, or later."""
        with self._lock:
            now = self._now()
            last = max(self._next, now) + (calls - 1) * self._interval
            self._next = last + self._interval
            return max(now, last - self._ahead)
