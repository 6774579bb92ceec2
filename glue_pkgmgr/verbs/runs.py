"""Verbs `runs`, `status`, `logs` and `stop`: job runs, afterwards, and what they were to run with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from glue_pkgmgr.core.index_url import LONGEST
from glue_pkgmgr.core.job import JobRun, JobRunId, LogLine
from glue_pkgmgr.core.record import LaunchRecord, RecordedRelease
from glue_pkgmgr.core.request import Request
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.ports import JobLogs, JobService, LaunchRecords, Staging

_RUN_ID = re.compile(r"jr_[A-Za-z0-9_]{1,250}")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsing:
    """A recorded launch and the releases of it that were asked for, in the order of its lock."""

    launch: LaunchRecord
    releases: tuple[RecordedRelease, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsUsing:
    """Recorded launches with the releases that were asked for, the oldest first.

    `warnings` say what is wrong with the records, a sentence each: while there is one, launches may be missing.
    """

    runs: tuple[RunUsing, ...]
    warnings: tuple[str, ...] = ()

    @property
    def jobs(self) -> tuple[str, ...]:
        """The Glue names of the jobs, sorted."""
        return tuple(sorted({one.launch.job for one in self.runs}))


def runs(names: Iterable[str], *, jobs: JobService, most: int = 50) -> list[JobRun]:
    """Return up to `most` runs of the jobs `names` together, newest first. Raises: RemoteError."""
    there = [name for name in dict.fromkeys(names) if jobs.definition(name) is not None]
    found = [run for name in there for run in jobs.runs(name, most)]
    return sorted(found, key=lambda run: run.started or _LONG_AGO, reverse=True)[:most]


def using(request: Request, job: str | None, *, records: LaunchRecords) -> RunsUsing:
    """Return the recorded launches, of `job` or of all, that have a release which an item of `request` names.

    Extras do not count. Raises: SettingsError when the records cannot be read; RemoteError.
    """
    specifiers = {item.project: item.specifier for item in request}

    def wanted(release: RecordedRelease) -> bool:
        specifier = specifiers.get(release.project)
        # What ran is no candidate: a pre-release below the limit is below the limit.
        return specifier is not None and specifier.contains(release.version, prereleases=True)

    recorded = records.read(wanted)
    # Launches share their releases by the thousand, as one value.
    asked: dict[int, tuple[RecordedRelease, ...]] = {}
    found = []
    for launch in recorded.launches:
        if job in (None, launch.job):
            if (key := id(launch.releases)) not in asked:
                asked[key] = tuple(filter(wanted, launch.releases))
            found.append(RunUsing(launch=launch, releases=asked[key]))
    return RunsUsing(runs=tuple(found), warnings=recorded.warnings)


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


def logs(run: JobRun, *, reader: JobLogs, executors: bool = False) -> list[LogLine]:
    """Return the log lines that `run` has written so far, in order; those of its executors too if asked for.

    Raises: RemoteError when the log cannot be read; one that is not there yet has no lines.
    """
    log = reader.open(run, executors=executors)
    lines = [*log.read()]
    while log.more and log.trouble is None:
        lines += log.read()
    if log.trouble:
        raise RemoteError(log.trouble)
    return lines


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
