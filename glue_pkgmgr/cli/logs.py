"""`glue-pkgmgr logs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.follow import Waiting
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import VERBOSE
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from datetime import timedelta

    from glue_pkgmgr.core.job import LogLine
    from glue_pkgmgr.project import Project


@click.command(
    "logs",
    short_help="Print the log of a job run.",
    epilog=examples("glue-pkgmgr logs jr_0123456789abcdef", "glue-pkgmgr -v logs jr_0123456789abcdef --follow"),
)
@click.argument("run")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--timeout", metavar="DURATION", help="With --follow: end after that time, such as 30m.")
@click.option("--executors", is_flag=True, help="The lines of executors too, not with --follow.")
@click.pass_obj
def command(session: Session, run: str, follow: bool, timeout: str | None, executors: bool) -> None:
    """Print what the driver of RUN has logged: the script's output, and that of Glue, pip and Spark, in order.

    With -v before the verb each line begins with its time (UTC) and its stream.
    """
    if (timeout and not follow) or (executors and follow):
        raise click.UsageError("--timeout is for --follow, --executors for what is there already")
    deadline = Waiting.of(timeout).left()
    project = session.project()
    lines = _growing(project, run, deadline) if follow else project.logs(run, executors=executors)
    if session.output.as_json:
        session.output.result({"run": run, "lines": [line_data(line) for line in lines]})
    else:
        _print(session, lines)


def line_data(line: LogLine) -> dict[str, str]:
    """Return a log line as programs read it; `executor` is empty for the driver."""
    return {"time": line.time.isoformat(), "stream": line.stream, "executor": line.executor, "text": line.text}


def _print(session: Session, lines: Iterable[LogLine]) -> None:
    whole = session.output.verbosity >= VERBOSE
    for line in lines:
        where = f"{line.stream:<6} {line.executor} " if line.executor else f"{line.stream:<6} "
        session.output.line(f"{line.time:%Y-%m-%d %H:%M:%S} {where}{line.text}" if whole else line.text)


def _growing(project: Project, run: str, deadline: timedelta | None) -> Iterator[LogLine]:
    from glue_pkgmgr.core.job import LogLine

    return (event for event in project.follow(run, deadline) if isinstance(event, LogLine))
