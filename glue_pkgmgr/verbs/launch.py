"""Verb: check the lock, deliver it, start a Glue job run; follow it to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.job import (
    Delivery,
    JobRun,
    JobRunId,
    LogLine,
    ModuleArguments,
    Outcome,
    run_arguments,
)
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import JobRunFailed, JobRunStopped, RemoteError, SettingsError
from glue_pkgmgr.ports import Clock, JobLogs, JobService, Progress, Repositories, Staging
from glue_pkgmgr.settings import JobSettings
from glue_pkgmgr.verbs.deliver import Deliverer
from glue_pkgmgr.verbs.mirrored import require_complete, standing

# A FLEX run may wait 20 minutes for capacity before it starts (Developer Guide, "Flexible execution").
_FLEX_WAIT = timedelta(minutes=20)
_FIRST_POLL = 0.5  # seconds
_SLOWEST_POLL = 10.0  # seconds; one run then costs GetJobRun 6 calls a minute
_POLL_GROWTH = 1.15
# The driver's script may begin before the last executor has read the requirements file.
_OTHER_NODES = timedelta(minutes=1)
_INSTALLED = re.compile(r"Successfully installed ([^\r\n]+)")

Event = JobRun | LogLine
"""What following yields: the run whenever its state changed, and its log lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A job run that was accepted.

    `token_expires` is aware UTC, None for a run without a token; `accept_seconds` passed from the minted
    token to the accepted start.
    """

    job: str
    run: JobRunId
    delivery: Delivery
    lock: Lock
    token_expires: datetime | None = None
    accept_seconds: float | None = None


def preflight(
    job: JobSettings, lock: Lock, *, jobs: JobService, approved: RepositoryAddress, repositories: Repositories
) -> Mapping[str, object]:
    """Return the job definition, once everything that can be known before money is spent was looked at.

    Raises: SettingsError when the job does not exist, or runs another Glue version than the lock is for;
    NotInstallable when the approved repository does not hold what the lock names; RemoteError.
    """
    definition = jobs.definition(job.name)
    if definition is None:
        raise SettingsError(
            f"there is no Glue job {job.name!r}; create it (on one machine: `glue-pkgmgr local up`)"
        )
    version = definition.get("GlueVersion")
    if version != lock.runtime.version:
        raise SettingsError(
            f"Glue job {job.name!r} runs Glue {version}, its lock is for Glue {lock.runtime.version}; "
            "change the bundle's glue-version and lock again, or update the job "
            "(on one machine: `glue-pkgmgr local up`)"
        )
    require_complete(standing([lock], approved=approved, repositories=repositories), approved)
    return definition


def launch(
    job: JobSettings,
    lock: Lock,
    *,
    delivery: Delivery,
    arguments: Mapping[str, str],
    definition: Mapping[str, object],
    jobs: JobService,
    deliverer: Deliverer,
    clock: Clock,
    progress: Progress,
) -> Launched:
    """Start a run of `job` that installs exactly `lock`, and return it. Call `preflight` first.

    Raises: SettingsError for arguments or a delivery that Glue would not take, before a token exists;
    NoCapacity, RemoteError when the start is refused: a secret object is deleted again then.
    """
    require_launchable(job, lock, delivery, arguments)
    delivered = deliverer.deliver(lock, delivery, job.staging, token_life(definition))
    try:
        progress(f"starting {job.name}")
        run = jobs.start(job.name, run_arguments({**job.arguments, **arguments}, delivered.arguments))
    except BaseException:
        try:
            deliverer.withdraw(delivered)
        except RemoteError as e:  # why the start was refused matters more
            progress(f"{e}; it holds a token that ends at {delivered.token_expires:%H:%M} UTC")
        raise
    return Launched(
        job=job.name,
        run=run,
        delivery=delivery,
        lock=lock,
        token_expires=delivered.token_expires,
        accept_seconds=(clock() - delivered.minted_at).total_seconds() if delivered.minted_at else None,
    )


def require_launchable(job: JobSettings, lock: Lock, delivery: Delivery, arguments: Mapping[str, str]) -> None:
    """Raise SettingsError for arguments or a delivery that Glue would not take; nothing has been minted yet."""
    if delivery is Delivery.REQUIREMENTS and not lock.runtime.reads_requirements_files:
        raise SettingsError(f"Glue {lock.runtime.version} reads no requirements file; use wheels or index")
    run_arguments({**job.arguments, **arguments}, ModuleArguments(""))


def token_life(definition: Mapping[str, object]) -> timedelta:
    """Return how long a token must live to cover waiting, starting and installing.

    The shortest CodeArtifact grants, 15 minutes, covers a run that starts at once.
    """
    return SHORTEST + _FLEX_WAIT if definition.get("ExecutionClass") == "FLEX" else SHORTEST


def follow(
    job: str,
    run_id: JobRunId,
    *,
    jobs: JobService,
    logs: JobLogs,
    staging: Staging,
    clock: Clock,
    sleep: Callable[[float], None],
) -> Iterator[Event]:
    """Yield the run whenever its state changes, and its log lines, until it has ended.

    The last event is the run in its final state. A requirements file of the run, which holds a token, is
    deleted once every node must have installed, a minute after the script's first line, or when the run has
    ended. Whoever follows a run later does so too.

    Raises: RemoteError when the run can no longer be read; after the last event, when the requirements file
    could not be deleted.
    """
    run = jobs.run(job, run_id)
    if run.state.outcome is None:
        yield run
    secret, installed = run.requirements_file, None
    new_lines = logs.follow(run)
    pause = _FIRST_POLL
    while True:
        latest = jobs.run(job, run_id)
        # Read after the state: what a run printed before it ended is there when the end is seen.
        lines = next(new_lines)
        begun = len(lines) if installed else _first_output(lines)
        if installed is None and begun < len(lines):
            installed = clock()
            # The script has begun: that it runs is told before what it says, not at the next look.
            again = jobs.run(job, run_id)
            latest = latest if again.state.outcome else again
        if secret and installed and clock() - installed >= _OTHER_NODES:
            with suppress(RemoteError):  # tried again at the end
                staging.delete(secret)
                secret = None
        yield from lines[:begun]
        if latest.state is not run.state and latest.state.outcome is None:
            pause = _FIRST_POLL
            yield latest
        yield from lines[begun:]
        if latest.state.outcome:
            break
        run = latest
        sleep(pause)
        pause = min(pause * _POLL_GROWTH, _SLOWEST_POLL)
    left = _undeleted(secret, staging) if secret else None
    yield latest
    if left:
        raise left


def _first_output(lines: Sequence[LogLine]) -> int:
    """Return where the script's own output begins in `lines`; their number if there is none of it."""
    return next((n for n, line in enumerate(lines) if line.stream == "output"), len(lines))


def _undeleted(secret: str, staging: Staging) -> RemoteError | None:
    try:
        staging.delete(secret)
    except RemoteError as e:
        return e
    return None


def raise_for_state(run: JobRun) -> None:
    """Raise JobRunFailed or JobRunStopped with the cause unless the run has succeeded."""
    cause = f": {run.error_message}" if run.error_message else ""
    sentence = f"run {run.id} of {run.job} ended in {run.state}{cause}; `glue-pkgmgr logs {run.id}` shows its log"
    match run.state.outcome:
        case Outcome.FAILED:
            raise JobRunFailed(sentence)
        case Outcome.STOPPED:
            raise JobRunStopped(sentence)
        case Outcome.SUCCEEDED | None:
            return


def installed_releases(lines: Iterable[LogLine]) -> list[str]:
    """Return what pip says it installed, as `project-version`, in the order of its words."""
    return [release for line in lines if (match := _INSTALLED.search(line.text)) for release in match[1].split()]
