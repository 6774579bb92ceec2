"""A job run as it is watched: its states, the seconds in each, and its log lines, until it has ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from glue_pkgmgr.cli.output import NORMAL, VERBOSE, Output, harmless
from glue_pkgmgr.core.job import JobRun, LogLine

if TYPE_CHECKING:
    from rich.console import RenderableType

_TAIL = 30  # lines: a Python traceback, or what pip says at its end
_FRAMES_PER_SECOND = 4
_LONGEST = 4000  # characters of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How a run ended: its final state, and the last lines of its log that were not shown on the way."""

    run: JobRun
    unseen: list[LogLine]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a command waits for a run at most: until `ends` on the monotonic clock, for ever if None."""

    ends: float | None = None

    @classmethod
    def of(cls, text: str | None) -> Waiting:
        """Return the waiting that begins now and that `--timeout` names. Raises: SettingsError."""
        from glue_pkgmgr.core.duration import parse_duration

        return cls(time.monotonic() + parse_duration(text).total_seconds() if text else None)

    def left(self) -> timedelta | None:
        """Return what is left of it."""
        return None if self.ends is None else timedelta(seconds=max(self.ends - time.monotonic(), 0.0))


@dataclass(slots=True)
class _Watch:
    """What has been seen of a run so far."""

    clock: Callable[[], float]
    run: JobRun | None = None
    since: float = 0.0
    last_line: str = ""
    unseen: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_TAIL))

    def enter(self, run: JobRun) -> bool:
        """Take note of `run` as it is now; return whether its state is a new one."""
        changed = self.run is None or run.state != self.run.state
        if changed:
            self.since = self.clock()
        self.run = run
        return changed

    def line(self, line: LogLine, *, shown: bool) -> None:
        """Take note of `line`; what came before one that is `shown` need not be shown later."""
        # A line of the system's own begins with level, time and class, with tabs between: what it says is last.
        text = line.text if line.stream == "output" else line.text.rpartition("\t")[2]
        self.last_line = text.strip() or self.last_line
        if shown:
            self.unseen.clear()
        else:
            self.unseen.append(line)


def follow(
    output: Output, events: Iterable[JobRun | LogLine], *, clock: Callable[[], float] = time.monotonic
) -> Followed:
    """Show `events` of a run, the last being its end, and return how it ended.

    A new state and each line the script prints get a line of their own, Spark's and the installer's lines
    only when VERBOSE. On a terminal a moving last line shows the seconds and the latest of all lines.
    """
    watch = _Watch(clock)
    with _moving_line(output, watch) if output.live else nullcontext(output.progress) as say:
        for event in events:
            if isinstance(event, LogLine):
                shown = output.verbosity >= (NORMAL if event.stream == "output" else VERBOSE)
                watch.line(event, shown=shown)
                if shown:
                    say(f"  {shortened(event.text)}")
            elif watch.enter(event):
                say(event.state.value)
    if watch.run is None:
        raise AssertionError("a run was followed without being seen")
    return Followed(run=watch.run, unseen=list(watch.unseen))


def shortened(text: str) -> str:
    """Return a line as it is shown on the way: one of a megabyte would push everything else out of sight."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… ({len(text):,} characters; `glue-pkgmgr logs` prints all)"


@contextmanager
def _moving_line(output: Output, watch: _Watch) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("dots")

    def draw() -> RenderableType:
        if watch.run is None:
            return Text("")
        text = f" {watch.run.state.value} {watch.clock() - watch.since:.0f} s  {harmless(watch.last_line)}"
        # The spinner turns here without its own text, which it would wrap.
        dot = str(spinner.render(console.get_time()))
        return Text(dot + text.replace("\t", " "), no_wrap=True, overflow="ellipsis")

    console = Console(file=output.stderr)
    live = Live(
        get_renderable=draw,
        console=console,
        refresh_per_second=_FRAMES_PER_SECOND,
        transient=True,
        auto_refresh=True,
    )
    with live:
        yield lambda text: console.print(Text(harmless(text)), soft_wrap=True)
