"""Requests to the Glue API about job runs: checked by botocore's model, then by the rules of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator
from packaging.version import Version

from glue_pkgmgr.core.runtime import GlueRuntime, glue_runtime
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.jobs.arguments import effective_arguments, faults

DPU = {
    "G.025X": 0.25,
    "G.1X": 1,
    "G.2X": 2,
    "G.4X": 4,
    "G.8X": 8,
    "G.12X": 12,
    "G.16X": 16,
    "R.1X": 1,
    "R.2X": 2,
    "R.4X": 4,
    "R.8X": 8,
}
"""The worker types of Spark jobs and how many data processing units each is.
Source: AWS Glue Developer Guide, "Worker types"."""

_LONGEST_TIMEOUT = 10_080
_DEFAULT_TIMEOUT = 480
_DEFAULT_TIMEOUT_BEFORE_5 = 2_880


class GlueError(Exception):
    """An error of the Glue API; `code` is the exception's name in the service's model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> GlueError:
    """Return the error for a request that breaks a rule."""
    return GlueError("InvalidInputException", message)


def not_found(message: str) -> GlueError:
    """Return the error for something that does not exist."""
    return GlueError("EntityNotFoundException", message)


@lru_cache(maxsize=1)
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("glue", "service-2"), "glue")


def checked(operation: str, request: Any) -> dict[str, Any]:
    """Return `request` if it is as the model of `operation` demands. Raises: GlueError that says what is not."""
    shape = _service().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise invalid(report.generate_report())
    if broken := next(_beyond_limits(request, shape, "request"), None):
        raise invalid(broken)
    return dict(request)


def _beyond_limits(value: Any, shape: Shape | None, where: str) -> Iterator[str]:
    """Yield what breaks an upper limit or an enumeration; botocore's validator leaves those to the server."""
    if shape is None:
        return
    most = shape.metadata.get("max")
    size = value if isinstance(value, int | float) else len(value)
    if most is not None and size > most:
        yield f"{where}: {size} is more than the {most} allowed"
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{where}: {value!r} is not one of {', '.join(shape.metadata['enum'])}"
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _beyond_limits(member, shape.members[name], name)
    elif shape.type_name == "list":
        for position, member in enumerate(value):
            yield from _beyond_limits(member, shape.member, f"{where}[{position}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run as asked for and allowed: the job's definition with the run's own wishes above it.

    `passed` are the run's own arguments, `arguments` the effective ones. `timeout` is in minutes.
    """

    job: str
    runtime: GlueRuntime
    script: str
    passed: Mapping[str, str]
    arguments: Mapping[str, str]
    timeout: int
    worker_type: str | None
    workers: int | None
    execution_class: str
    security_configuration: str | None
    max_retries: int
    most_at_once: int
    queuing: bool

    @property
    def dpu(self) -> float | None:
        """The data processing units of all workers; None for a job without workers."""
        return DPU[self.worker_type] * self.workers if self.worker_type and self.workers else None


def plan(request: Mapping[str, Any], job: Mapping[str, Any]) -> RunPlan:
    """Return the run that a StartJobRun `request` for the definition `job` (as GetJob tells it) amounts to.

    Raises: GlueError, InvalidInputException, with everything that is wrong with it.
    """
    name = str(request["JobName"])
    passed = dict(request.get("Arguments") or {})
    arguments = effective_arguments(
        default=job.get("DefaultArguments") or {}, run=passed, fixed=job.get("NonOverridableArguments") or {}
    )
    wishes = {**job, **request}
    wrong = [*faults(arguments), *_wrong_job(job), *_wrong_size(request, wishes)]
    if wrong:
        raise invalid(f"job {name!r} cannot run: {'; '.join(wrong)}")
    runtime = _runtime(name, job)
    queuing = request.get("JobRunQueuingEnabled")
    return RunPlan(
        job=name,
        runtime=runtime,
        script=arguments.get("--scriptLocation") or job["Command"]["ScriptLocation"],
        passed=passed,
        arguments=arguments,
        timeout=int(wishes.get("Timeout") or _default_timeout(runtime)),
        worker_type=wishes.get("WorkerType"),
        workers=wishes.get("NumberOfWorkers"),
        execution_class=wishes.get("ExecutionClass") or "STANDARD",
        security_configuration=wishes.get("SecurityConfiguration"),
        max_retries=int(job.get("MaxRetries") or 0),
        most_at_once=int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns") or 1),
        queuing=bool(job.get("JobRunQueuingEnabled") if queuing is None else queuing),
    )


def _wrong_job(job: Mapping[str, Any]) -> Iterator[str]:
    command = job.get("Command") or {}
    if command.get("Name") != "glueetl":
        yield f"the stand-in runs Spark jobs (Command.Name 'glueetl') only, not {command.get('Name')!r}"
    if not str(command.get("ScriptLocation") or "").startswith("s3://"):
        yield "Command.ScriptLocation is not an s3:// path"
    if not job.get("GlueVersion"):
        # The service's default changes with time: a job that relies on it changes under its owner.
        yield "it has no GlueVersion; set one explicitly"


def _wrong_size(request: Mapping[str, Any], wishes: Mapping[str, Any]) -> Iterator[str]:
    if request.get("MaxCapacity") is not None or request.get("AllocatedCapacity"):
        yield "MaxCapacity and AllocatedCapacity are for Glue 1.0 and older; use WorkerType and NumberOfWorkers"
    worker_type, workers = wishes.get("WorkerType"), wishes.get("NumberOfWorkers")
    if bool(worker_type) != bool(workers):
        yield "WorkerType and NumberOfWorkers belong together; set both or none"
    if worker_type and worker_type not in DPU:
        yield f"WorkerType {worker_type!r} is not for Spark jobs; use one of {', '.join(DPU)}"
    timeout = request.get("Timeout")
    if timeout is not None and not 1 <= timeout <= _LONGEST_TIMEOUT:
        yield f"Timeout {timeout} is not between 1 and {_LONGEST_TIMEOUT} minutes"
    if wishes.get("ExecutionClass") == "FLEX" and worker_type not in (None, "G.1X", "G.2X"):
        yield f"ExecutionClass FLEX runs on G.1X and G.2X only, not {worker_type}"


def _runtime(name: str, job: Mapping[str, Any]) -> GlueRuntime:
    try:
        return glue_runtime(str(job["GlueVersion"]))
    except SettingsError as e:
        raise invalid(f"job {name!r} cannot run: {e}") from e


def _default_timeout(runtime: GlueRuntime) -> int:
    return _DEFAULT_TIMEOUT if Version(runtime.version) >= Version("5.0") else _DEFAULT_TIMEOUT_BEFORE_5
