"""Verb: check the lock, deliver it, start a Glue job run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.job import (
    Delivery,
    JobRunId,
    ModuleArguments,
    run_arguments,
)
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.ports import Clock, JobService, Progress, Repositories
from glue_pkgmgr.settings import JobSettings
from glue_pkgmgr.verbs.deliver import Deliverer
from glue_pkgmgr.verbs.mirrored import require_complete, standing

# A FLEX run may wait 20 minutes for capacity before it starts (Developer Guide, "Flexible execution").
_FLEX_WAIT = timedelta(minutes=20)


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
