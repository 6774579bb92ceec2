"""The pace of one AWS operation: as fast as it goes, until the service says that it is too fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

_PATIENCE = 60.0  # seconds in which nothing gets through before throttling is taken for an error
_ONE_BURST = 1.0  # seconds; throttling answers that come together tell of one excess, not of many
_SLOWER, _FASTER = 0.8, 1.01
_SLOWEST = 0.5  # calls a second
_TOO_MANY = 429


class Pace:
    """Spaces the calls of all threads, once the service has throttled one.

    From then on calls wait for their turn, at first `quota` a second; each further throttling makes that
    less, each success a little more, as other processes use up the same quota, and accounts may have more of it.
    `now` and `sleep` are in seconds.
    """

    def __init__(
        self,
        quota: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._quota = quota
        self._now = now
        self._sleep = sleep
        self._lock = Lock()
        self._rate: float | None = None
        self._next = 0.0
        self._slowed = 0.0
        self._stuck: float | None = None

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            if self._rate is None:
                return
            now = self._now()
            turn = max(self._next, now)
            self._next = turn + 1 / self._rate
        self._sleep(turn - now)

    def succeeded(self) -> None:
        """Say that a call got through."""
        with self._lock:
            self._stuck = None
            if self._rate is not None:
                self._rate *= _FASTER

    def throttled(self, pause: float = 0.0) -> bool:
        """Say that a call was throttled, and for how many seconds none is welcome; return whether to try again.

        Not when nothing has got through for a minute.
        """
        with self._lock:
            now = self._now()
            if self._rate is None:
                self._rate, self._slowed = self._quota, now
                self._next = now + 1 / self._quota
            elif now - self._slowed >= _ONE_BURST:
                self._rate, self._slowed = max(self._rate * _SLOWER, _SLOWEST), now
            self._next = max(self._next, now + pause)
            if self._stuck is None:
                self._stuck = now
            return now - self._stuck < _PATIENCE


def keep_pace(client: Any, operation: str, pace: Pace) -> None:
    """Make every call of `operation`, such as `CopyPackageVersions`, by a boto3 `client` keep `pace`.

    Made for one client once. botocore goes on to retry what else can fail; its own back-off for throttling would
    know nothing of other threads, and give up after a few attempts.
    """
    name = f"{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(f"before-send.{name}", lambda **_: pace.wait(), unique_id=f"pace {name}")

    def judge(response: tuple[Any, Mapping[str, Any]] | None, **_: Any) -> int | None:
        if response is None:  # the connection failed
            return None
        http = response[0]
        if http.status_code == _TOO_MANY:
            return 0 if pace.throttled(_seconds(http.headers.get("Retry-After"))) else None
        pace.succeeded()
        return None

    # Of the handlers' answers, seconds to wait before the next attempt, the most specific event's counts.
    client.meta.events.register(f"needs-retry.{name}", judge, unique_id=f"pace after {name}")


def _seconds(text: str | None) -> float:
    """Return the seconds of a `Retry-After` header; 0 for its other form, a date, and for none."""
    return min(float(text), _PATIENCE) if text and text.isascii() and text.isdecimal() else 0.0
