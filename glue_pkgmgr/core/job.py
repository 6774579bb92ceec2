"""Glue job runs: their states, and the arguments that make a run install exactly a lock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NewType, assert_never

from glue_pkgmgr.core.runtime import GlueRuntime

if TYPE_CHECKING:
    from glue_pkgmgr.core.lockfile import LockedFile

JobRunId = NewType("JobRunId", str)

MODULES = "--additional-python-modules"
INSTALLER_OPTION = "--python-modules-installer-option"
LAUNCH_ID = "--glue-pkgmgr-launch-id"
"""Every run we start carries the id of its launch: StartJobRun has no client token to find a run again by."""


class JobRunState(StrEnum):
    """The states of a job run. Source: AWS Glue API, JobRun, `JobRunState`."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    WAITING = "WAITING"
    EXPIRED = "EXPIRED"

    @property
    def outcome(self) -> Outcome | None:
        """How a run in this state ended; None while it goes on."""
        match self:
            case JobRunState.STARTING | JobRunState.RUNNING | JobRunState.STOPPING | JobRunState.WAITING:
                return None
            case JobRunState.SUCCEEDED:
                return Outcome.SUCCEEDED
            case JobRunState.FAILED | JobRunState.ERROR:
                return Outcome.FAILED
            case JobRunState.STOPPED | JobRunState.TIMEOUT | JobRunState.EXPIRED:
                return Outcome.STOPPED
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class UnknownState:
    """A state that AWS told and that is none of `JobRunState`; `ended` says whether the run is over."""

    value: str
    ended: bool

    def __str__(self) -> str:
        return self.value

    @property
    def outcome(self) -> Outcome | None:
        """FAILED once the run is over: that it succeeded nobody said."""
        return Outcome.FAILED if self.ended else None


def job_run_state(text: str, *, ended: bool) -> JobRunState | UnknownState:
    """Return the state called `text`; `ended` says whether the run has a time of completion."""
    return JobRunState(text) if text in JobRunState.__members__ else UnknownState(text, ended)


class Outcome(Enum):
    """How a run ended, in the three ways that callers tell apart."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A job run as GetJobRun tells. Times are aware UTC, `execution_seconds` what Glue bills.

    `requirements_file` is the `s3://` URL of the file with a token in it that the run installs from, if its
    delivery was `requirements`: to be deleted when every node has installed. `launch_id` is that of our launch,
    None for a run that others started. `dpu_seconds` is told for some runs only; `max_capacity` is in DPU.
    `log_streams` is what the names of its log streams begin with, None for its id.
    """

    job: str
    id: JobRunId
    state: JobRunState | UnknownState
    started: datetime | None = None
    completed: datetime | None = None
    execution_seconds: int = 0
    glue_version: str | None = None
    error_message: str | None = None
    state_detail: str | None = None
    log_group: str = "/aws-glue/jobs"
    requirements_file: str | None = None
    launch_id: str | None = None
    worker_type: str | None = None
    workers: int | None = None
    max_capacity: float | None = None
    execution_class: str | None = None
    dpu_seconds: float | None = None
    attempt: int = 0
    log_streams: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a run's log. `stream` is `output` (the script's) or `error` (Glue's, the installer's).

    `executor` names the executor that wrote it; it is empty for the driver, which runs the script.
    """

    time: datetime
    stream: str
    text: str
    executor: str = ""


class Delivery(StrEnum):
    """How a lock reaches a job, most private first."""

    REQUIREMENTS = "requirements"
    WHEELS = "wheels"
    INDEX = "index"

    @property
    def carries_token(self) -> bool:
        """Whether a run that is delivered to in this way has to read from an index, with a token that ends."""
        return self is not Delivery.WHEELS

    @staticmethod
    def default(runtime: GlueRuntime, *, followed: bool) -> Delivery:
        """Return the most private delivery for `runtime`.

        `requirements` needs somebody who follows the run and deletes its file; a run nobody follows, and a
        Glue version that reads no requirements file, gets its wheels from S3 instead: no token anywhere.
        """
        if runtime.reads_requirements_files and followed:
            return Delivery.REQUIREMENTS
        return Delivery.WHEELS


@dataclass(frozen=True, slots=True)
class ModuleArguments:
    """The two arguments of a run that decide what is installed. The option may hold a token: no repr."""

    modules: str
    option: str = field(default="", repr=False)

    def as_arguments(self) -> dict[str, str]:
        """Return the job arguments; a value Glue would misread as absent is left out."""
        arguments = {MODULES: self.modules, INSTALLER_OPTION: self.option}
        return {name: value for name, value in arguments.items() if value}


def index_arguments(pins: Sequence[str], index_url: str) -> ModuleArguments:
    """Return the `index` delivery: exact pins, and a private index URL among the arguments of the run.

    `pins` are `name==version`; `index_url` holds the token, which whoever may call GetJobRun can read.
    """
    # --no-deps: the pins are the whole closure, so nothing may be added to it.
    return ModuleArguments(",".join(pins), f"--no-deps --index-url={index_url}" if pins else "")


_REQUIREMENTS_FILE = re.compile(r"s3://[^/,\s]+/(?:[^,\s]*/)?requirements/[0-9a-f]{32}\.txt")


def requirements_location(folder: str, nonce: str) -> str:
    """Return where the `requirements` delivery puts a file: below `folder` (`s3://…/`), named by 32 hex digits."""
    return f"{folder}requirements/{nonce}.txt"


def requirements_file(arguments: Mapping[str, str]) -> str | None:
    """Return the requirements file that the `requirements` delivery named in the arguments of a run, if any."""
    url = arguments.get(MODULES, "")
    ours = arguments.get(INSTALLER_OPTION) == "-r" and _REQUIREMENTS_FILE.fullmatch(url)
    return url if ours else None


def requirements_arguments(url: str) -> ModuleArguments:
    """Return the `requirements` delivery: `url` is the S3 location of the requirements file (Glue ≥ 5.0)."""
    return ModuleArguments(url, "-r")


def staged_wheel(folder: str, file: LockedFile) -> str:
    """Return where the `wheels` delivery puts a wheel: below `folder` (`s3://…/`), under its hash."""
    return f"{folder}wheels/{file.sha256}/{file.filename}"


def wheels_arguments(urls: Sequence[str]) -> ModuleArguments:
    """Return the `wheels` delivery: S3 locations of wheels, installed without asking any index."""
    return ModuleArguments(",".join(urls), "--no-deps --no-index" if urls else "")
