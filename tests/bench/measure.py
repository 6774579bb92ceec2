"""What was measured: a few repetitions of one thing, and the line of a table made of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

REPETITIONS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. `kept` is None where nothing is promised."""

    what: str
    promise: str
    measured: str
    kept: bool | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The results of some repetitions, in one unit."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one, which a single disturbance does not move."""
        return statistics.median(self.values)

    def text(self, unit: str, scale: float = 1.0) -> str:
        """Return `median (min to max) unit`."""
        low, middle, high = (scale * value for value in (min(self.values), self.median, max(self.values)))
        return f"{middle:.3g} ({low:.3g} to {high:.3g}) {unit}"


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def repeated(action: Callable[[], float], times: int = REPETITIONS) -> Sample:
    """Return what `action` answers, several times."""
    return Sample([action() for _ in range(times)])


def noise() -> Sample:
    """Return the seconds of the same piece of work, again and again: on a quiet machine all equal."""
    return repeated(lambda: timed(lambda: sum(n * n for n in range(1_000_000))))


def installed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without what keeps Python from keeping compiled modules: every installed copy has them."""
    return {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
