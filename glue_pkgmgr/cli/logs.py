"""`glue-pkgmgr logs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import VERBOSE
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.core.job import LogLine
    from glue_pkgmgr.project import Project


@click.command(
    "logs",
    short_help="Print the log of a job run.",
    epilog=examples("glue-pkgmgr logs jr_0123456789abcdef", "glue-pkgmgr -v logs jr_0123456789abcdef --follow"),
)
@click.argument("run")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.pass_obj
def command(session: Session, run: str, follow: bool) -> None:
    """Print what RUN has logged: the script's output, and that of Glue, pip and Spark, in order.

    With -v before the verb each line begins with its time (UTC) and its stream.
    """
    project = session.project()
    lines = _growing(project, run) if follow else project.logs(run)
    if session.output.as_json:
        session.output.result({"run": run, "lines": [line_data(line) for line in lines]})
    else:
        _print(session, lines)


def line_data(line: LogLine) -> dict[str, str]:
    """Return a log line as programs read it."""
    return {"time": line.time.isoformat(), "stream": line.stream, "text": line.text}


def _print(session: Session, lines: Iterable[LogLine]) -> None:
    whole = session.output.verbosity >= VERBOSE
    for line in lines:
        session.output.line(f"{line.time:%Y-%m-%d %H:%M:%S} {line.stream:<6} {line.text}" if whole else line.text)


def _growing(project: Project, run: str) -> Iterator[LogLine]:
    from glue_pkgmgr.core.job import LogLine

    return (event for event in project.follow(run) if isinstance(event, LogLine))
