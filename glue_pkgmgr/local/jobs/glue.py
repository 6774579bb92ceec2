"""Glue job runs that really run: StartJobRun, GetJobRun, GetJobRuns and BatchStopJobRun.

The definitions of jobs are somebody else's (moto's); this module holds the runs, for as long as the stand-in
lives. Each run is a process tree of its own, watched by a thread.

Source: AWS Glue API, "Job runs"; AWS Glue Developer Guide, "Job run statuses".
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.job import JobRunState
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime
from glue_pkgmgr.errors import GluePkgmgrError
from glue_pkgmgr.local.faults import EVER, Faults, RunBehaviour
from glue_pkgmgr.local.jobs.interpreters import nearest_python, python_for
from glue_pkgmgr.local.jobs.log_stream import LogStream
from glue_pkgmgr.local.jobs.requests import GlueError, RunPlan, checked, invalid, not_found, plan
from glue_pkgmgr.local.jobs.run_process import RunProcess
from glue_pkgmgr.local.jobs.runner import RunReport, RunSpec

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_logger = logging.getLogger(__name__)

LOG_GROUP = "/aws-glue/jobs"
_TARGET = "AWSGlue."
_PAGE = 200  # the most, and the default, of GetJobRuns
_FEWEST_CORES, _MOST_CORES = 2, 4
_CLOSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a run's environment starts with: `pins` (`name==version`) and a Spark version, if any."""

    pins: tuple[str, ...]
    spark: str | None

    @classmethod
    def of(cls, runtime: GlueRuntime) -> Image:
        """Return what the image of a Glue version really holds."""
        return cls(
            pins=tuple(f"{project}=={version}" for project, version in runtime.preinstalled.items()),
            spark=runtime.spark,
        )


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run of a job. What changes is changed under the lock of `GlueRuns`."""

    id: str
    plan: RunPlan
    python: Path
    notes: tuple[str, ...]
    behaviour: RunBehaviour
    started: datetime
    modified: datetime
    attempt: int = 0
    previous: str | None = None
    state: JobRunState = JobRunState.STARTING
    detail: str | None = None
    completed: datetime | None = None
    error_message: str | None = None
    told: str | None = None  # instead of its state
    running_since: float | None = None  # monotonic
    seconds: int = 0
    ending: JobRunState | None = None  # what it becomes once its processes have ended

    @property
    def over(self) -> bool:
        return self.state.outcome is not None

    @property
    def holds_a_place(self) -> bool:
        return not self.over and self.state is not JobRunState.WAITING

    @property
    def log_group(self) -> str:
        return self.plan.arguments.get("--custom-logGroup-prefix") or LOG_GROUP

    @property
    def log_stream(self) -> str:
        prefix = self.plan.arguments.get("--custom-logStream-prefix")
        return f"{prefix}-driver" if prefix else self.id

    def elapsed(self) -> float:
        return 0.0 if self.running_since is None else monotonic() - self.running_since

    def as_api(self) -> dict[str, Any]:
        """Return the `JobRun` of the API; the members that have no value are left out."""
        plan = self.plan
        members = {
            "Id": self.id,
            "Attempt": self.attempt,
            "PreviousRunId": self.previous,
            "JobName": plan.job,
            "JobMode": "SCRIPT",
            "JobRunQueuingEnabled": plan.queuing,
            "StartedOn": self.started,
            "LastModifiedOn": self.modified,
            "CompletedOn": self.completed,
            "JobRunState": self.told or str(self.state),
            "Arguments": dict(plan.passed),
            "ErrorMessage": self.error_message,
            "PredecessorRuns": [],
            "AllocatedCapacity": None if plan.dpu is None else max(1, round(plan.dpu)),
            "MaxCapacity": plan.dpu,
            "ExecutionTime": self.seconds if self.over else int(self.elapsed()),
            "Timeout": plan.timeout,
            "WorkerType": plan.worker_type,
            "NumberOfWorkers": plan.workers,
            "SecurityConfiguration": plan.security_configuration,
            "LogGroupName": self.log_group,
            "GlueVersion": plan.runtime.version,
            "ExecutionClass": plan.execution_class,
            "StateDetail": self.detail,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(slots=True)
class _Ledger:
    """All runs, in the order of their start, and the threads that watch those that have processes."""

    runs: dict[str, _Run] = field(default_factory=dict)
    watchers: dict[str, threading.Thread] = field(default_factory=dict)

    def of_job(self, job: str) -> list[_Run]:
        return [run for run in self.runs.values() if run.plan.job == job]

    def has_room(self, plan: RunPlan) -> bool:
        return sum(run.holds_a_place for run in self.of_job(plan.job)) < plan.most_at_once


class GlueRuns:
    """The job runs of one stand-in.

    `job_definitions` returns the `Job` of GetJob for a name, or raises botocore's ClientError; `logs` returns a
    boto3 client for CloudWatch Logs; `state` is a folder for the runs' own folders; `clock` returns aware UTC;
    `endpoints` is the whole environment of the runs' processes, with the variables that lead boto3 to the
    stand-in and none that lead elsewhere; `s3_root` has a folder for each bucket. With `nearest_python` a Glue
    version whose Python this machine lacks runs on the nearest one instead of being refused. `faults` say what
    goes wrong with runs on demand.
    """

    def __init__(
        self,
        *,
        job_definitions: Callable[[str], Mapping[str, Any]],
        logs: Callable[[], Any],
        state: Path,
        clock: Callable[[], datetime],
        endpoints: Mapping[str, str],
        s3_root: Path,
        nearest_python: bool = False,
        image: Callable[[GlueRuntime], Image] = Image.of,
        seconds_per_minute: float = 60.0,
        faults: Faults | None = None,
    ) -> None:
        self._job_definitions = job_definitions
        self._logs = logs
        self._state = state
        self._clock = clock
        self._endpoints = dict(endpoints)
        self._s3_root = s3_root
        self._nearest_python = nearest_python
        self._image = image
        self._seconds_per_minute = seconds_per_minute
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._stopped = threading.Condition(self._lock)
        self._ledger = _Ledger()
        self._closing = False
        self._pythons: dict[tuple[int, int], tuple[Path, tuple[str, ...]]] = {}
        state.mkdir(parents=True, exist_ok=True)
        for leftover in state.glob("jr_*"):  # of a stand-in that was killed
            shutil.rmtree(leftover, ignore_errors=True)

    # -- the API -----------------------------------------------------------------------------------------

    def handle(self, operation: str, request: Any) -> dict[str, Any]:
        """Return the answer of the API to `request`. Times are datetimes. Raises: GlueError."""
        handlers = {
            "StartJobRun": self._start_job_run,
            "GetJobRun": self._get_job_run,
            "GetJobRuns": self._get_job_runs,
            "BatchStopJobRun": self._batch_stop_job_run,
        }
        if operation not in handlers:
            raise GlueError("UnknownOperationException", f"{operation} is not an operation on job runs")
        return handlers[operation](checked(operation, request))

    def prepare(self) -> None:
        """Have ready what the first StartJobRun would wait for: the API's model, clients, interpreters."""
        with suppress(GlueError, BotoCoreError):  # there is no such job
            self.handle("GetJobRuns", {"JobName": "prepare"})
        self._logs()
        for runtime in RUNTIMES.values():
            with suppress(GlueError):  # told when a run needs it
                self._python(runtime)

    def close(self) -> None:
        """End every run and wait until none of their processes is left."""
        with self._lock:
            self._closing = True
            for run in self._ledger.runs.values():
                self._stop(run)
            watchers = list(self._ledger.watchers.values())
        for watcher in watchers:
            watcher.join(_CLOSE_SECONDS)

    def _start_job_run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run_plan = plan(request, self._definition(request["JobName"]))
        with self._lock:
            previous = self._previous(request)
            if self._closing:
                raise GlueError("InternalServiceException", "the stand-in is stopping")
            room = self._ledger.has_room(run_plan)
            if not room and not run_plan.queuing:
                raise GlueError(
                    "ConcurrentRunsExceededException",
                    f"Concurrent runs exceeded for {run_plan.job}: at most {run_plan.most_at_once} at once;"
                    " wait for a run to end, or enable job run queuing",
                )
            run = self._enter(run_plan, previous)
            if room:
                self._begin(run)
            else:
                run.state = JobRunState.WAITING
                run.detail = f"Queued: the job has its {run_plan.most_at_once} concurrent runs"
        return {"JobRunId": run.id}

    def _get_job_run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            return {"JobRun": self._run(request["JobName"], request["RunId"]).as_api()}

    def _get_job_runs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["JobName"]
        start = _page_start(request.get("NextToken"))
        end = start + int(request.get("MaxResults") or _PAGE)
        with self._lock:
            runs = [run.as_api() for run in reversed(self._ledger.of_job(name))]
        if not runs:
            self._definition(name)  # a job without runs is no error, a job that does not exist is
        return {"JobRuns": runs[start:end], **({"NextToken": str(end)} if end < len(runs) else {})}

    def _batch_stop_job_run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["JobName"]
        stopped, errors = [], []
        with self._lock:
            for run_id in request["JobRunIds"]:
                try:
                    run = self._run(name, run_id)
                    if run.over:
                        raise GlueError("JobRunInTerminalStateException", f"{run_id} is already {run.state}")
                    self._stop(run)
                    stopped.append({"JobName": name, "JobRunId": run_id})
                except GlueError as e:
                    detail = {"ErrorCode": e.code, "ErrorMessage": str(e)}
                    errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    # -- looking things up -------------------------------------------------------------------------------

    def _definition(self, name: str) -> Mapping[str, Any]:
        try:
            return self._job_definitions(name)
        except ClientError as e:
            error = e.response["Error"]
            raise GlueError(error.get("Code", "InternalServiceException"), error.get("Message", str(e))) from e

    def _run(self, job: str, run_id: str) -> _Run:
        run = self._ledger.runs.get(run_id)
        if run is None or run.plan.job != job:
            raise not_found(f"Job {job} has no run {run_id}")
        return run

    def _previous(self, request: Mapping[str, Any]) -> _Run | None:
        run_id = request.get("JobRunId")
        previous = self._run(request["JobName"], run_id) if run_id else None
        if previous and not previous.over:
            raise invalid(f"run {run_id} is {previous.state}: only a run that has ended can be retried")
        return previous

    def _python(self, runtime: GlueRuntime) -> tuple[Path, tuple[str, ...]]:
        """Return the interpreter for `runtime`, and what is to be told about it."""
        if runtime.python not in self._pythons:
            self._pythons[runtime.python] = self._find_python(runtime)
        return self._pythons[runtime.python]

    def _find_python(self, runtime: GlueRuntime) -> tuple[Path, tuple[str, ...]]:
        if python := python_for(runtime.python, self._endpoints):
            return python, ()
        wanted = f"Glue {runtime.version} runs on Python {runtime.python_text}, which is not on this machine"
        nearest = nearest_python(runtime.python, self._endpoints) if self._nearest_python else None
        if nearest is None:
            raise invalid(
                f"{wanted}; install it (`uv python install {runtime.python_text}`), choose another GlueVersion,"
                " or start the stand-in with the nearest Python allowed"
            )
        version, python = nearest
        return python, (f"{wanted}: this run takes the nearest, Python {version[0]}.{version[1]}",)

    # -- the life of a run; all but `_watch` with the lock held --------------------------------------------

    def _enter(self, plan: RunPlan, previous: _Run | None) -> _Run:
        behaviour = self._faults.behaviour()
        python, notes = (Path(), ()) if behaviour.simulated else self._python(plan.runtime)
        now = self._clock()
        attempt = previous.attempt + 1 if previous else 0
        run_id = f"jr_{secrets.token_hex(32)}"
        if previous:
            run_id = _attempt_id(previous.id, attempt, self._ledger.runs)
        run = _Run(
            id=run_id,
            plan=plan,
            python=python,
            notes=notes,
            behaviour=behaviour,
            started=now,
            modified=now,
            attempt=attempt,
            previous=previous.id if previous else None,
        )
        self._ledger.runs[run.id] = run
        return run

    def _begin(self, run: _Run) -> None:
        if run.behaviour.waiting:
            self._turn(run, JobRunState.WAITING)
            run.detail = "Waiting for resources, as the stand-in was told"
        else:
            self._turn(run, JobRunState.STARTING)
            run.detail = None
        watcher = threading.Thread(target=self._watch, args=[run], name=f"run {run.id[:11]}", daemon=True)
        self._ledger.watchers[run.id] = watcher
        watcher.start()

    def _turn(self, run: _Run, state: JobRunState) -> None:
        run.state = state
        run.modified = self._clock()

    def _stop(self, run: _Run) -> None:
        if run.state is JobRunState.WAITING and run.id not in self._ledger.watchers:
            self._complete(run, JobRunState.STOPPED)
        elif not run.over and run.ending is None:
            run.ending = JobRunState.STOPPED
            self._turn(run, JobRunState.STOPPING)
            self._stopped.notify_all()

    def _complete(self, run: _Run, state: JobRunState, message: str | None = None) -> None:
        told = run.behaviour.seconds
        run.seconds = int(run.elapsed()) if told is None else told
        run.error_message = message
        run.told = run.detail = None
        self._turn(run, state)
        run.completed = run.modified

    def _watch(self, run: _Run) -> None:
        """Carry out `run` to its end, then give its place to a retry or to the next that waits."""
        folder = self._state / run.id
        try:
            state, message = self._with_faults(run, folder)
        except (GluePkgmgrError, OSError) as e:
            state, message = JobRunState.FAILED, f"LAUNCH ERROR | the stand-in could not start the run: {e}"
        except Exception as e:  # a run must end in a state, or whoever follows it waits for ever
            _logger.exception("run %s", run.id)
            state, message = JobRunState.FAILED, f"Internal service error: {type(e).__name__}"
        with self._lock:
            self._complete(run, state, message)
            if state is JobRunState.FAILED and run.attempt < run.plan.max_retries and not self._closing:
                self._begin(self._enter(run.plan, run))
            self._begin_waiting(run.plan.job)
        # Last: nobody should wait for the removal of some ten thousand files.
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            del self._ledger.watchers[run.id]

    def _begin_waiting(self, job: str) -> None:
        for run in self._ledger.of_job(job):
            queued = run.state is JobRunState.WAITING and run.id not in self._ledger.watchers
            if queued and self._ledger.has_room(run.plan):
                self._begin(run)

    def _with_faults(self, run: _Run, folder: Path) -> tuple[JobRunState, str | None]:
        """Carry out `run` with what goes wrong with it on demand, and return how it ended."""
        behaviour = run.behaviour
        self._pass_time(run, behaviour.waiting)
        with self._lock:
            if run.ending is None:
                self._turn(run, JobRunState.STARTING)
                run.detail = None
                self._faults.run_begins()
        self._pass_time(run, behaviour.starting)
        if run.ending is not None:  # before anything of it was there
            return run.ending, None
        state, message = self._simulate(run) if behaviour.simulated else self._carry_out(run, folder)
        if run.ending is None and behaviour.end is not None:
            return behaviour.end, behaviour.message or told_for(behaviour.end, run.plan.timeout)
        return state, message

    def _pass_time(self, run: _Run, time: timedelta) -> None:
        """Return after `time`, or as soon as the run is to end."""
        seconds = None if time == EVER else time.total_seconds()
        with self._stopped:
            self._stopped.wait_for(lambda: run.ending is not None, seconds)

    def _simulate(self, run: _Run) -> tuple[JobRunState, str | None]:
        """Let `run` execute nothing, and return how it ended: lines in its logs, and time that passes."""
        behaviour = run.behaviour
        with self._lock:
            self._run_begins(run)
            client = self._logs() if behaviour.output or behaviour.error else None
        for kind, lines in (("output", behaviour.output), ("error", behaviour.error)):
            if lines:
                stream = LogStream(client, f"{run.log_group}/{kind}", run.log_stream, in_order(self._clock()))
                stream.write("".join(f"{line}\n" for line in lines).encode())
                stream.close()
        limit = timedelta(seconds=run.plan.timeout * self._seconds_per_minute)
        self._pass_time(run, min(behaviour.running, limit))
        with self._lock:
            if run.ending is None and behaviour.running > limit:
                run.ending = JobRunState.TIMEOUT
        if run.ending is None:
            return JobRunState.SUCCEEDED, None
        return run.ending, told_for(run.ending, run.plan.timeout)

    def _run_begins(self, run: _Run) -> None:
        self._turn(run, JobRunState.RUNNING)
        run.told = run.behaviour.state
        run.running_since = monotonic()

    def _carry_out(self, run: _Run, folder: Path) -> tuple[JobRunState, str | None]:
        """Run the processes of `run` and return how it ended. Its log is complete then."""
        folder.mkdir(mode=0o700)
        with self._lock:  # boto3 sessions are not made for several threads at once
            client = self._logs()
        process = RunProcess(
            self._spec(run, folder),
            self._endpoints,
            output=LogStream(client, f"{run.log_group}/output", run.log_stream, self._clock),
            error=LogStream(client, f"{run.log_group}/error", run.log_stream, self._clock),
        )
        try:
            for report in process.progress():
                self._observe(run, report, process)
        finally:
            process.stop()
        return self._outcome(run, process)

    def _observe(self, run: _Run, report: RunReport | None, process: RunProcess) -> None:
        with self._lock:
            if run.state is JobRunState.STARTING and report is not None:
                self._run_begins(run)
            if run.ending is None and run.elapsed() > run.plan.timeout * self._seconds_per_minute:
                run.ending = JobRunState.TIMEOUT
            ending = run.ending
        if ending is not None:
            process.stop()

    def _outcome(self, run: _Run, process: RunProcess) -> tuple[JobRunState, str | None]:
        report = process.report()
        if report is not None and report.state == JobRunState.SUCCEEDED:
            return JobRunState.SUCCEEDED, None  # before it could be stopped
        if run.ending is not None:
            return run.ending, told_for(run.ending, run.plan.timeout)
        if report is not None and report.state == JobRunState.FAILED:
            return JobRunState.FAILED, report.message
        return JobRunState.FAILED, f"Command failed with exit code {process.exit_status}"

    def _spec(self, run: _Run, folder: Path) -> RunSpec:
        image = self._image(run.plan.runtime)
        return RunSpec(
            run_id=run.id,
            job_name=run.plan.job,
            job_id=f"j_{run.id.removeprefix('jr_')[:64]}",
            glue_version=run.plan.runtime.version,
            python=str(run.python),
            pins=image.pins,
            spark=image.spark,
            script=run.plan.script,
            arguments=run.plan.arguments,
            folder=str(folder.absolute()),
            cache=str(cache_folder(self._endpoints).absolute()),
            s3_root=str(self._s3_root.absolute()),
            cores=min(max(os.cpu_count() or 1, _FEWEST_CORES), _MOST_CORES),
            notes=run.notes,
        )


def told_for(state: JobRunState, timeout: int) -> str | None:
    """Return the error message of a run that the service ended in `state`; None where it tells none.

    `timeout` is in minutes.
    """
    match state:
        case JobRunState.TIMEOUT:
            return f"Job run exceeded its timeout of {timeout} minutes"
        case JobRunState.FAILED:
            return "Command failed with exit code 1"
        case JobRunState.ERROR:
            return "Internal service error"
        case JobRunState.EXPIRED:
            return "Job run was in the queue for too long"
        case _:
            return None


def in_order(start: datetime) -> Callable[[], datetime]:
    """Return a clock that is a millisecond later each time: lines written at once keep their order in a log."""
    passed = count()
    return lambda: start + timedelta(milliseconds=next(passed))


def _attempt_id(previous: str, attempt: int, taken: Mapping[str, Any]) -> str:
    stem = previous.partition("_attempt_")[0]
    while f"{stem}_attempt_{attempt}" in taken:
        attempt += 1
    return f"{stem}_attempt_{attempt}"


def _page_start(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise invalid(f"NextToken {token!r} is not one of ours")
    return int(token)


def create_app(runs: GlueRuns) -> WSGIApplication:
    """Return an application that speaks AWS JSON 1.1 for `runs`: the wire form of the Glue API."""

    @Request.application
    def answer(request: Request) -> Response:
        target = request.headers.get("X-Amz-Target", "")
        try:
            body = runs.handle(target.removeprefix(_TARGET), _parsed(request.get_data()))
            return _response(body, 200)
        except GlueError as e:
            return _error(e.code, str(e))
        except Exception as e:  # an AWS error, not a page of HTML that clients try again and again
            _logger.exception("%s failed", target)
            return _error("InternalServiceException", f"the stand-in failed: {type(e).__name__}: {e}")

    return answer


def _error(code: str, message: str) -> Response:
    return _response({"__type": code, "Message": message}, 500 if code == "InternalServiceException" else 400)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError as e:
        raise GlueError("SerializationException", f"the request is not JSON: {e}") from e


def _response(body: Mapping[str, Any], status: int) -> Response:
    return Response(json.dumps(body, default=_wire), status, content_type="application/x-amz-json-1.1")


def _wire(value: object) -> float:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000) / 1000  # not rounded up: later than the first line of a log
    raise TypeError(f"{type(value).__name__} has no wire form")
