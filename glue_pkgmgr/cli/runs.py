"""`glue-pkgmgr runs`: what Glue says of the latest runs, or what the records say of the runs with a release."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.launches import launch_data
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from glue_pkgmgr.core.job import JobRun
    from glue_pkgmgr.core.record import RecordedRelease
    from glue_pkgmgr.project import Project
    from glue_pkgmgr.verbs.runs import RunUsing

_WARNINGS_SHOWN = 3
_JOBS_NAMED = 10


@click.command(
    "runs",
    short_help="List job runs, newest first.",
    epilog=examples("glue-pkgmgr runs", "glue-pkgmgr runs taxi", "glue-pkgmgr runs --using 'boto3<1.40'"),
)
@click.argument("job", required=False)
@click.option("--using", metavar="REQUEST", help="Every recorded run with a release that REQUEST names.")
@click.pass_obj
def command(session: Session, job: str | None, using: str | None) -> None:
    """List the latest runs of JOB, by default of every job in the settings, newest first.

    With --using, list instead all launches on record that were to run with such a release, installed or of the
    Glue image. Needs no network unless the records are in S3.
    """
    if using is not None:
        _show_using(session, session.project(), using, job)
    else:
        _show_latest(session, session.project(), job)


def _show_latest(session: Session, project: Project, job: str | None) -> None:
    runs = project.runs(job)
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


def _show_using(session: Session, project: Project, request: str, job: str | None) -> None:
    # A hundred thousand launches are a million objects, none of them garbage: the collector would look at them
    # again and again. The process ends when they are shown.
    gc.disable()
    found = project.runs_using(request, job=job)
    output = session.output
    for warning in found.warnings[:_WARNINGS_SHOWN]:
        output.progress(f"warning: {warning}")
    if (more := len(found.warnings) - _WARNINGS_SHOWN) > 0:
        output.progress(f"warning: {more} more; see `glue-pkgmgr doctor`")
    if output.as_json:
        data = {
            "using": request,
            "jobs": list(found.jobs),
            "runs": [_using_data(one) for one in reversed(found.runs)],
            "warnings": list(found.warnings),
        }
        output.result(data)
        return
    rows = [row for one in reversed(found.runs) for row in _using_rows(one)]
    if not rows:
        output.show(f"no run on record has {request}")
        return
    output.show(
        Table(("started (UTC)", "by", "job", "run", "release", "from", "outcome"), rows),
        f"{len(found.runs):,} run{'' if len(found.runs) == 1 else 's'} of {_names(found.jobs)}",
    )


def _names(jobs: Sequence[str]) -> str:
    more = len(jobs) - _JOBS_NAMED
    return ", ".join(jobs[:_JOBS_NAMED]) + (f" and {more} more jobs" if more > 0 else "")


def _using_rows(one: RunUsing) -> list[tuple[str, ...]]:
    launch = one.launch
    begun = (_time(launch.time), launch.by, launch.job, launch.run or "")
    return [(*begun, str(release), _origin(release), _outcome(one)) for release in one.releases]


def _using_data(one: RunUsing) -> dict[str, object]:
    end = one.launch.end
    return {
        **launch_data(one.launch),
        "outcome": _outcome(one),
        "cause": end.cause if end else None,
        "usd": str(end.usd) if end and end.usd is not None else None,
        "releases": [
            {
                "project": release.project,
                "version": str(release.version),
                "from": _origin(release),
                "sha256": list(release.sha256),
            }
            for release in one.releases
        ],
    }


def _origin(release: RecordedRelease) -> str:
    return "repository" if release.sha256 else "Glue image"


def _outcome(one: RunUsing) -> str:
    """Return the state a run ended in; otherwise what is known: nobody saw its end, or it may never have begun."""
    launch = one.launch
    if launch.end:
        return launch.end.state.value if launch.end.state else "not started"
    return "unknown" if launch.run else "not accepted"


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
