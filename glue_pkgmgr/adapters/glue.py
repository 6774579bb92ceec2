"""AWS Glue: job definitions and job runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from glue_pkgmgr.adapters.clients import NOT_AN_ANSWER, RemoteRefusal, aws_errors, formless, said
from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.core.job import LAUNCH_ID, JobRun, JobRunId, job_run_state, requirements_file
from glue_pkgmgr.core.launch_id import attempt_of
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.ports import NoAnswer, StartThrottled

_PAGE = 200  # runs, the most that GetJobRuns grants
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
_FAILED_THERE = frozenset({"InternalServiceException", "OperationTimeoutException", "InternalFailure"})
_SERVER_ERROR = 500


class GlueJobs:
    """The job API of Glue; satisfies `ports.JobService`.

    `client` is boto3's, `starting` one that sends a request once: what botocore sends again after a lost answer
    may be a second run.
    """

    def __init__(self, client: Any, starting: Any = None) -> None:
        self._client = client
        self._starting = client if starting is None else starting

    def definition(self, job: str) -> Mapping[str, object] | None:
        """Return the job definition, None if there is none. Raises: RemoteError."""
        try:
            with aws_errors(f"could not read Glue job {job!r}", needs="glue:GetJob"):
                definition: Mapping[str, object] = self._client.get_job(JobName=job)["Job"]
        except RemoteRefusal as e:
            if e.absent:
                return None
            raise
        return definition

    def create(self, definition: Mapping[str, object]) -> None:
        """Create a job with that `definition`. Raises: RemoteError."""
        with aws_errors(
            f"could not create Glue job {definition['Name']!r}", needs="glue:CreateJob and iam:PassRole"
        ):
            self._client.create_job(**definition)

    def update(self, definition: Mapping[str, object]) -> None:
        """Replace the definition of the job that has its `Name`. Raises: RemoteError.

        What GetJob tells and UpdateJob does not take, such as the time of the last change, is left out.
        """
        taken = self._client.meta.service_model.shape_for("JobUpdate").members
        update = {member: value for member, value in definition.items() if member in taken}
        with aws_errors(
            f"could not update Glue job {definition['Name']!r}", needs="glue:UpdateJob and iam:PassRole"
        ):
            self._client.update_job(JobName=definition["Name"], JobUpdate=update)

    def start(self, job: str, arguments: Mapping[str, str]) -> JobRunId:
        """Start a run, asking once, and return its id.

        Raises: NoCapacity; StartThrottled when it was not started and may be in a moment; NoAnswer when that is
        not known; RemoteError.
        """
        from botocore import exceptions as botocore
        from botocore.parsers import ResponseParserError

        failed = f"could not start Glue job {job!r}"
        with aws_errors(failed, needs="glue:StartJobRun"):
            try:
                reply = self._starting.start_job_run(JobName=job, Arguments=dict(arguments))
            except botocore.ClientError as e:
                if (kind := _in_doubt(e.response)) is not None:
                    raise kind(f"{failed}: {_said(e.response)}") from e
                raise
            except (botocore.EndpointConnectionError, botocore.ConnectTimeoutError):  # nothing was sent
                raise
            except (botocore.HTTPClientError, botocore.IncompleteReadError, ResponseParserError) as e:
                raise NoAnswer(f"{failed}: no answer came ({type(e).__name__}); check the network") from e
            except NOT_AN_ANSWER as e:
                raise NoAnswer(f"{failed}: what came is no answer of AWS; check the proxy") from e
        if not reply.get("JobRunId"):  # cut off, and read as far as it came
            raise NoAnswer(f"{failed}: no answer came that names a run; check the network")
        return JobRunId(reply["JobRunId"])

    def launched(self, job: str, launch: str, most: int) -> Sequence[JobRun]:
        """Return the runs of a launch, of its latest attempt first, if one is among the `most` latest of the job.

        Raises: RemoteError.
        """
        seen, following = 0, dict[str, str]()
        with aws_errors(f"could not list the runs of Glue job {job!r}", needs="glue:GetJobRuns"):
            while seen < most:
                page = self._client.get_job_runs(JobName=job, MaxResults=min(_PAGE, most - seen), **following)
                runs = [_job_run(run) for run in page["JobRuns"]]
                if found := [run for run in runs if attempt_of(launch, run.launch_id)]:
                    return sorted(found, key=lambda run: attempt_of(launch, run.launch_id), reverse=True)
                seen += len(runs)
                if not page.get("NextToken"):
                    break
                following = {"NextToken": page["NextToken"]}
        return []

    def run(self, job: str, run: JobRunId) -> JobRun:
        """Return the run as it is now. Raises: RemoteError."""
        with aws_errors(f"could not read run {run} of Glue job {job!r}", needs="glue:GetJobRun"):
            return _job_run(self._client.get_job_run(JobName=job, RunId=run)["JobRun"])

    def find(self, job: str, run: JobRunId) -> JobRun | None:
        """Return the run as it is now, None if the job has no such run. Raises: RemoteError."""
        try:
            return self.run(job, run)
        except RemoteRefusal as e:
            if e.absent:
                return None
            raise

    def runs(self, job: str, most: int) -> Sequence[JobRun]:
        """Return up to `most` runs of a job, newest first. Raises: RemoteError."""
        with aws_errors(f"could not list the runs of Glue job {job!r}", needs="glue:GetJobRuns"):
            pages = self._client.get_paginator("get_job_runs").paginate(
                JobName=job, PaginationConfig={"MaxItems": most, "PageSize": min(most, 200)}
            )
            found = [_job_run(run) for page in pages for run in page["JobRuns"]]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda run: run.started or oldest, reverse=True)

    def stop(self, job: str, run: JobRunId) -> None:
        """Ask a run to stop. Raises: RemoteError."""
        failed = f"could not stop run {run} of Glue job {job!r}"
        with aws_errors(failed, needs="glue:BatchStopJobRun"):
            reply = self._client.batch_stop_job_run(JobName=job, JobRunIds=[run])
        for error in reply.get("Errors", ()):
            detail = error.get("ErrorDetail", {})
            raise RemoteError(
                f"{failed}: {detail.get('ErrorMessage') or detail.get('ErrorCode') or 'no reason given'}"
            )


def _in_doubt(response: Mapping[str, Any]) -> type[StartThrottled | NoAnswer] | None:
    """Return what an error answer to a start means if trying again may help; None for a plain refusal."""
    code = response.get("Error", {}).get("Code")
    if code in _THROTTLED:
        return StartThrottled
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # What stands between AWS and us cannot know either what was done.
    return NoAnswer if code in _FAILED_THERE or status >= _SERVER_ERROR or formless(response) else None


def _said(response: Mapping[str, Any]) -> str:
    error = response.get("Error", {})
    return f"{said(error)} ({error.get('Code') or 'Unknown'})"


def _job_run(reply: Mapping[str, Any]) -> JobRun:
    arguments = reply.get("Arguments") or {}
    return JobRun(
        job=reply["JobName"],
        id=JobRunId(reply["Id"]),
        state=job_run_state(reply["JobRunState"], ended="CompletedOn" in reply),
        started=_utc(reply.get("StartedOn")),
        completed=_utc(reply.get("CompletedOn")),
        execution_seconds=int(reply.get("ExecutionTime") or 0),
        glue_version=reply.get("GlueVersion"),
        # Glue quotes what pip said, and pip may quote an index URL.
        error_message=_harmless(reply.get("ErrorMessage")),
        state_detail=_harmless(reply.get("StateDetail")),
        log_group=reply.get("LogGroupName") or "/aws-glue/jobs",
        requirements_file=requirements_file(arguments),
        launch_id=arguments.get(LAUNCH_ID),
        worker_type=reply.get("WorkerType"),
        workers=reply.get("NumberOfWorkers"),
        max_capacity=reply.get("MaxCapacity"),
        execution_class=reply.get("ExecutionClass"),
        dpu_seconds=reply.get("DPUSeconds"),
        attempt=int(reply.get("Attempt") or 0),
        log_streams=arguments.get("--custom-logStream-prefix"),
    )


def _utc(time: datetime | None) -> datetime | None:
    return time.astimezone(UTC) if time else None


def _harmless(text: str | None) -> str | None:
    return without_credentials(text) if text else None
