"""A record of one launch: what was to run, who started it, and the exact bytes it may install."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packaging.version import Version

from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import Lock, lock_to_toml
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import SettingsError

_FORMAT = 1
_LAUNCH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_REQUIRED = ("launch", "job", "glue-version", "request", "releases", "lock-sha256", "by", "time", "delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRelease:
    """A release of the lock: SHA-256 of every file the job may get; none for a release of the Glue image."""

    project: ProjectName
    version: Version
    sha256: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """One launch. There is no secret in it.

    `launch` is its own id, 32 hexadecimal digits. `run` is None until the start was accepted, and stays so when it
    was refused or its answer never came. `request` is that of the lock, whose text has the SHA-256 `lock_sha256`.
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

    def installs(self, project: ProjectName, version: Version) -> bool:
        """Whether the run was to install that release from the approved repository."""
        return any(it.sha256 and (it.project, it.version) == (project, version) for it in self.releases)


def recorded_launch(
    launch: str, job: str, lock: Lock, *, by: str, time: datetime, delivery: Delivery
) -> LaunchRecord:
    """Return the record of a launch of `job` with `lock` that has not been accepted yet."""
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
        lock_sha256=hashlib.sha256(lock_to_toml(lock).encode()).hexdigest(),
        by=by,
        time=time,
        delivery=delivery,
    )


def record_to_json(record: LaunchRecord) -> str:
    """Return `record` as JSON text: same record, same text."""
    content = {
        "format": _FORMAT,
        "launch": record.launch,
        "job": record.job,
        "run": record.run,
        "glue-version": record.glue_version,
        "request": list(record.request),
        "releases": [
            {"project": one.project, "version": str(one.version), "sha256": list(one.sha256)}
            for one in record.releases
        ],
        "lock-sha256": record.lock_sha256,
        "by": record.by,
        "time": record.time.astimezone(UTC).isoformat(),
        "delivery": record.delivery.value,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def record_from_json(text: str, where: str) -> LaunchRecord:
    """Return the record in `text`. `where` names it in errors.

    Raises: SettingsError that says where it is no record of a launch, or one of a format that is not known here.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("it is no JSON object")
        if content.get("format") != _FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, known is {_FORMAT}")
        return _record(content)
    except (KeyError, TypeError, ValueError, SettingsError) as e:
        said = f"{e.args[0]} is missing" if isinstance(e, KeyError) else str(e)
        raise SettingsError(
            f"{where} is no record of a launch: {said}; move it away if it does not belong there"
        ) from e


def _record(content: Mapping[str, Any]) -> LaunchRecord:
    if absent := [name for name in _REQUIRED if name not in content]:
        raise KeyError(absent[0])
    run = content.get("run")
    return LaunchRecord(
        launch=_matching(_LAUNCH, content["launch"], "launch"),
        job=_text(content["job"], "job"),
        run=None if run is None else JobRunId(_text(run, "run")),
        glue_version=_text(content["glue-version"], "glue-version"),
        request=tuple(_text(item, "request") for item in _list(content["request"], "request")),
        releases=tuple(_release(entry) for entry in _list(content["releases"], "releases")),
        lock_sha256=_matching(_SHA256, content["lock-sha256"], "lock-sha256"),
        by=_text(content["by"], "by"),
        time=_time(content["time"]),
        delivery=Delivery(content["delivery"]),
    )


def _release(entry: Any) -> RecordedRelease:
    if not isinstance(entry, dict):
        raise TypeError(f"releases: {entry!r} is no object")
    return RecordedRelease(
        project=project_name(_text(entry["project"], "releases")),
        version=Version(_text(entry["version"], "releases")),
        sha256=tuple(_matching(_SHA256, one, "releases: sha256") for one in _list(entry["sha256"], "releases")),
    )


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value, "time"))
    if time.tzinfo is None:
        raise ValueError(f"time: {value!r} has no offset from UTC")
    return time.astimezone(UTC)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{where}: {value!r} is no text")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{where}: {value!r} is no list")
    return value


def _matching(pattern: re.Pattern[str], value: Any, where: str) -> str:
    if not pattern.fullmatch(_text(value, where)):
        raise ValueError(f"{where}: {value!r} does not match {pattern.pattern}")
    return str(value)
