"""The logs of job runs in CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from glue_pkgmgr.adapters.clients import aws_errors
from glue_pkgmgr.core.job import JobRun, LogLine
from glue_pkgmgr.errors import GluePkgmgrError

_STREAMS = ("output", "error")
# CloudWatch may show an event a little after a later one: look back this far, and drop what was seen.
_LOOK_BACK = timedelta(seconds=30)


class CloudWatchLogs:
    """Reads the two log groups of Glue jobs; satisfies `ports.JobLogs`. `client` is boto3's.

    Source: AWS Glue Developer Guide, "Logging for AWS Glue jobs": groups `<LogGroupName>/output` and `/error`,
    streams that begin with the run id.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def follow(self, run: JobRun) -> Iterator[list[LogLine]]:
        """Return an endless iterator over what is new since its last step; see `ports.JobLogs`."""
        seen: dict[str, datetime] = {}
        since = run.started or datetime.fromtimestamp(0, UTC)
        while True:
            events = [(stream, event) for stream in _STREAMS for event in self._events(run, stream, since)]
            lines = []
            for stream, event in events:
                if event["eventId"] not in seen:
                    line = _line(stream, event)
                    seen[event["eventId"]] = line.time
                    lines.append(line)
            newest = max(seen.values(), default=since)
            since = max(since, newest - _LOOK_BACK)
            seen = {event_id: time for event_id, time in seen.items() if time >= since}
            # Sorting is stable: lines of one millisecond keep the order of their stream.
            yield sorted(lines, key=lambda line: line.time)

    def _events(self, run: JobRun, stream: str, since: datetime) -> list[Mapping[str, Any]]:
        try:
            with aws_errors("could not read the log", needs="logs:FilterLogEvents"):
                pages = self._client.get_paginator("filter_log_events").paginate(
                    logGroupName=f"{run.log_group}/{stream}",
                    logStreamNamePrefix=run.id,
                    startTime=int(since.timestamp() * 1000),
                )
                events = [event for page in pages for event in page["events"]]
                # Said once more: moto, which answers in the stand-in, forgets about the prefix.
                return [event for event in events if event["logStreamName"].startswith(run.id)]
        except GluePkgmgrError:
            # No log group yet, no permission, throttled: a log must never fail or delay its run.
            return []


def _line(stream: str, event: Mapping[str, Any]) -> LogLine:
    time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return LogLine(time=time, stream=stream, text=event["message"].rstrip("\r\n"))
