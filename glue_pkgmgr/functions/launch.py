"""The function of a workflow: checks, mints and starts in one call, and looks at the run in others.

What it returns, raises and prints is kept by Step Functions and CloudWatch: nothing of it opens anything.

Its archive has the settings, the allow-list and the locks of one project in the folder `PROJECT`. Nothing is
resolved here: a request is answered from those locks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glue_pkgmgr.core.function_archive import ALLOWLIST, LOCKS, PROJECT, SETTINGS
from glue_pkgmgr.core.workflow import LONGEST_CAUSE, parse_workflow_input, plain
from glue_pkgmgr.errors import GluePkgmgrError, SettingsError
from glue_pkgmgr.settings import Settings, load_settings

if TYPE_CHECKING:
    from glue_pkgmgr.project import Project
    from glue_pkgmgr.run import Run

_END = timedelta(seconds=60)  # of a run that has ended: to read its log

Event = Mapping[str, Any]


def handler(event: Event, context: object) -> dict[str, Any]:
    """Do what the state machine asks for: `{"do": "launch", …}` or `{"do": "look", …}`.

    Raises: one of the errors on our page, by whose name the state machine knows what happened; its text is a
    sentence.
    """
    try:
        match event.get("do"):
            case "launch":
                return _launch(event)
            case "look":
                return _look(event)
        raise SettingsError(f"this function launches a job or looks at its run, not {event.get('do')!r:.80}")
    except GluePkgmgrError as e:
        raise plain(e) from None  # what AWS keeps of it is its name and its text


def _launch(event: Event) -> dict[str, Any]:
    """Start the run of an execution, or find the one it has: who calls again gets the same."""
    asked = parse_workflow_input(event.get("input"))
    job, execution = asked.job or str(event["job"]), str(event["execution"])
    run = _project(job, by=execution).launch(
        job,
        modules=asked.modules,
        delivery=asked.delivery,
        arguments=asked.arguments,
        launch_id=execution,
        attempt=int(event.get("attempt", 1)),
    )
    return {"job": run.job, "run": run.id, "launch": run.launch, **_launched(run)}


def _launched(run: Run) -> dict[str, Any]:
    if run.launched is None:  # by a call before this one, whose answer got lost
        return {}
    return {
        "delivery": run.delivery.value,
        "glue_version": run.lock.runtime.version,
        "token_expires": run.token_expires.isoformat() if run.token_expires else None,
        "releases": [str(pin) for pin in run.lock.installed],
    }


def _look(event: Event) -> dict[str, Any]:
    """Return how a run is; once it has ended, also why. A requirements file it needs no more is deleted."""
    run = _project(event["job"], by="").run(str(event["run"]))
    now = run.status()
    told = {"job": now.job, "run": now.id, "state": now.state.value}
    if now.state.outcome is None:
        return {**told, "ended": False}
    result = run.wait(_END)
    cause = result.cause
    return {
        **told,
        "ended": True,
        "succeeded": result.succeeded,
        "ran_nothing": cause is not None and cause.retryable,
        "error": cause.kind.error.__name__ if cause else None,
        "cause": result.sentence[:LONGEST_CAUSE] if cause else None,
        "seconds": result.phases.as_data() if result.phases else None,
        "dpu_hours": float(result.cost.dpu_hours) if result.cost else None,
        "warnings": list(result.warnings),
    }


def _project(job: str, *, by: str) -> Project:
    """Return the project of the archive. `by` is who its launches are recorded to be of."""
    from glue_pkgmgr.project import Project

    settings = _settings()
    if isinstance(settings.records, Path):  # nobody reads a folder of a function
        settings = replace(settings, records=f"{settings.job(job).staging}records/")
    environ = {**os.environ, "USER": by, "GLUE_PKGMGR_CACHE": str(settings.root / "cache")}
    return Project(settings, environ=environ, progress=print, locked_only=True)


@cache
def _settings() -> Settings:
    """Return the settings of the archive, their files copied to where a function may write."""
    archive = Path(os.environ.get("LAMBDA_TASK_ROOT") or Path.cwd()) / PROJECT
    root = Path(tempfile.mkdtemp(prefix="project-"))
    shutil.copytree(archive, root, dirs_exist_ok=True)
    settings = load_settings(root / SETTINGS)
    return replace(settings, policy=replace(settings.policy, allowlist=root / ALLOWLIST, locks=root / LOCKS))
