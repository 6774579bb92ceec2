"""A record of one launch: what was to run, who started it, the exact bytes it may install, and how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from packaging.version import Version

from glue_pkgmgr.core.job import Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.lockfile import Lock, lock_to_toml
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.secret_arguments import without_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRelease:
    """A release of the lock: SHA-256 of every file the job may get; none for a release of the Glue image."""

    project: ProjectName
    version: Version
    sha256: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchEnd:
    """How a launch ended. `time` is when that was seen, aware UTC.

    `state` is None when no run was started. `cause` is one sentence, empty after a success; what it says of users
    in URLs is not kept. `seconds` are those of each phase by its name, such as `waited` or `ran`. `dpu_hours` and
    `usd`, US dollars, are what the run cost, as far as that is known.
    """

    time: datetime
    state: JobRunState | None
    cause: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    dpu_hours: Decimal | None = None
    usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """One launch. There is no secret in it.

    `launch` is its own id, 32 hexadecimal digits, with `-2` and so on for an attempt after the first. `run` is
    None until the start was accepted, and stays so when it was refused or its answer never came; `end` is None
    until somebody has seen the end. `request` is that of the lock, whose text has the SHA-256 `lock_sha256`;
    `allowlist_sha256` is that of the allow-list file. `arguments` are those of the run, by name, without secrets.
    `by` is who launched, `time` when, aware UTC.
    """

    launch: str
    job: str
    run: JobRunId | None
    glue_version: str
    request: tuple[str, ...]
    releases: tuple[RecordedRelease, ...]
    lock_sha256: str
    by: str
    time: datetime
    delivery: Delivery
    allowlist_sha256: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    end: LaunchEnd | None = None

    def installs(self, project: ProjectName, version: Version) -> bool:
        """Whether the run was to install that release from the approved repository."""
        return any(it.sha256 and (it.project, it.version) == (project, version) for it in self.releases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the records of a place tell: launches, the oldest first, and all that is wrong there, a sentence each.

    The oldest is the one that was recorded first, whatever the clocks said. `cut_off` are lines that were not
    written to their end: a killed process, a full disk. `faults` are those that are no entries, and where the
    chain breaks. `entries` counts the lines; the last has the SHA-256 `head`: whoever notes both elsewhere can
    tell later that none of them was changed or taken away.
    """

    launches: tuple[LaunchRecord, ...] = ()
    faults: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()
    entries: int = 0
    head: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that is wrong."""
        return self.faults + self.cut_off


def recorded_launch(
    launch: str,
    job: str,
    lock: Lock,
    *,
    by: str,
    time: datetime,
    delivery: Delivery,
    lock_sha256: str | None = None,
    allowlist_sha256: str | None = None,
    arguments: Mapping[str, str] | None = None,
) -> LaunchRecord:
    """Return the record of a launch of `job` with `lock` that has not been accepted yet.

    `lock_sha256` is the digest of its file, None for a lock that has none: then that of the text it would have.
    `arguments` are all that the run gets; what looks like a secret is not kept.
    """
    return LaunchRecord(
        launch=launch,
        job=job,
        run=None,
        glue_version=lock.runtime.version,
        request=lock.request,
        releases=tuple(
            RecordedRelease(
                project=pin.project, version=pin.version, sha256=tuple(sorted(file.sha256 for file in pin.files))
            )
            for pin in lock.pins
        ),
        lock_sha256=lock_sha256 or hashlib.sha256(lock_to_toml(lock).encode()).hexdigest(),
        allowlist_sha256=allowlist_sha256,
        arguments=without_secrets(arguments or {}),
        by=by,
        time=time,
        delivery=delivery,
    )
