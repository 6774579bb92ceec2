"""Verbs `runs`, `status`, `logs` and `stop`: job runs, afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from glue_pkgmgr.core.index_url import LONGEST
from glue_pkgmgr.core.job import JobRun, JobRunId, LogLine
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.ports import JobLogs, JobService, Staging

_RUN_ID = re.compile(r"jr_[A-Za-z0-9_]{1,250}")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def runs(names: Iterable[str], *, jobs: JobService, most: int = 50) -> list[JobRun]:
    """Return up to `most` runs of the jobs `names` together, newest first. Raises: RemoteError."""
    there = [name for name in dict.fromkeys(names) if jobs.definition(name) is not None]
    found = [run for name in there for run in jobs.runs(name, most)]
    return sorted(found, key=lambda run: run.started or _LONG_AGO, reverse=True)[:most]


def status(run: str, names: Sequence[str], *, jobs: JobService) -> JobRun:
    """Return the run with the id `run`, looked for among the jobs `names`.

    Raises: SettingsError when it is no run id, or none of the jobs has such a run; RemoteError.
    """
    if not _RUN_ID.fullmatch(run):
        raise SettingsError(f"{run!r} is not the id of a job run; `glue-pkgmgr runs` lists them (jr_…)")
    for name in names:
        if (found := jobs.find(name, JobRunId(run))) is not None:
            return found
    raise SettingsError(f"no job of the settings ({', '.join(names) or 'there is none'}) has a run {run}")


def logs(run: JobRun, *, reader: JobLogs) -> list[LogLine]:
    """Return the log lines that `run` has written so far, in order."""
    return next(reader.follow(run))


def stop(run: JobRun, *, jobs: JobService) -> JobRun:
    """Ask `run` to stop and return it as it is then; a run that has ended is returned as it is.

    Raises: RemoteError.
    """
    if run.state.outcome is None:
        jobs.stop(run.job, run.id)
    return jobs.run(run.job, run.id)


def forget_secret(run: JobRun, *, staging: Staging, now: datetime) -> None:
    """Delete the requirements file of a run that has ended, in case nobody followed it to its end.

    Not asked for once its token must have expired. A failure is let pass: the file is worthless soon.
    """
    if run.requirements_file and run.state.outcome and run.completed and now - run.completed < LONGEST:
        with suppress(RemoteError):
            staging.delete(run.requirements_file)
