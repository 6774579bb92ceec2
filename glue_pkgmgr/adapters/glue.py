"""AWS Glue: job definitions and job runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.core.job import LAUNCH_ID, JobRun, JobRunId, job_run_state, requirements_file
from glue_pkgmgr.errors import RemoteError


class GlueJobs:
    """The job API of Glue; satisfies `ports.JobService`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

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

    def start(self, job: str, arguments: Mapping[str, str]) -> JobRunId:
        """Start a run and return its id. Raises: NoCapacity; RemoteError."""
        with aws_errors(f"could not start Glue job {job!r}", needs="glue:StartJobRun"):
            return JobRunId(self._client.start_job_run(JobName=job, Arguments=dict(arguments))["JobRunId"])

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
