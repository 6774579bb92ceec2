"""`glue-pkgmgr runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from glue_pkgmgr.core.job import JobRun


@click.command(
    "runs",
    short_help="List job runs, newest first.",
    epilog=examples("glue-pkgmgr runs", "glue-pkgmgr runs taxi"),
)
@click.argument("job", required=False)
@click.pass_obj
def command(session: Session, job: str | None) -> None:
    """List the latest runs of JOB, by default of every job in the settings, newest first."""
    runs = session.project().runs(job)
    rows = [
        (
            run.id,
            run.job,
            run.state.value,
            _time(run.started),
            str(run.execution_seconds),
            run.glue_version or "",
        )
        for run in runs
    ]
    session.output.result(
        {"runs": [run_data(run) for run in runs]},
        Table(("run", "job", "state", "started (UTC)", "seconds", "glue"), rows) if runs else "no runs yet",
    )


def run_table(run: JobRun) -> Table:
    """Return one run, a line for each thing worth knowing."""
    rows = [
        ("run", run.id),
        ("job", run.job),
        ("state", run.state.value),
        ("started", _time(run.started)),
        ("completed", _time(run.completed)),
        ("seconds", str(run.execution_seconds)),
        ("glue", run.glue_version or ""),
        ("detail", run.state_detail or ""),
        ("error", run.error_message or ""),
    ]
    return Table(("what", "value"), [row for row in rows if row[1]])


def run_data(run: JobRun) -> dict[str, object]:
    """Return a run as programs read it; times are ISO 8601 in UTC."""
    return {
        "run": run.id,
        "job": run.job,
        "state": run.state.value,
        "started": run.started.isoformat() if run.started else None,
        "completed": run.completed.isoformat() if run.completed else None,
        "execution_seconds": run.execution_seconds,
        "glue_version": run.glue_version,
        "error_message": run.error_message,
        "state_detail": run.state_detail,
    }


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else ""
