"""The logs of job runs in CloudWatch Logs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.core.job import JobRun, LogLine
from glue_pkgmgr.errors import GluePkgmgrError

_STREAMS = ("output", "error")
# CloudWatch may show an event a little after a later one: look back this far, and drop what was seen.
_LOOK_BACK = timedelta(seconds=30)
_PAGES = 10  # of up to 1 MB in one reading of one group: what is more comes with the next
_LINE_BREAK = re.compile(r"\r\n|\n")
_ATTEMPT = "_attempt_"  # of another run, whose id begins like that of the first
_PROGRESS_BAR = "progress-bar"
_DRIVER = "driver"


class CloudWatchLogs:
    """Opens the two log groups of a job run; satisfies `ports.JobLogs`. `client` is boto3's.

    Source: AWS Glue Developer Guide, "Logging for AWS Glue jobs": groups `<LogGroupName>/output` and `/error`,
    streams that begin with the run id.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def open(self, run: JobRun, *, executors: bool = False) -> CloudWatchReader:
        """Return a reader at the beginning of the log of `run`; see `ports.JobLogs`."""
        return CloudWatchReader(self._client, run, executors=executors)


@dataclass(slots=True)
class _Group:
    """How far one log group of a run has been read."""

    stream: str
    name: str
    since: datetime
    token: str | None = None  # of the next page, when the last reading did not come to the end
    asked: Mapping[str, Any] = field(default_factory=dict)  # what that page belongs to
    seen: dict[str, datetime] = field(default_factory=dict)
    driver: str | None = None  # the name of the driver's stream, once a line came from it

    def new(self, event: Mapping[str, Any]) -> datetime | None:
        """Return the time of `event` the first time it is seen."""
        if event["eventId"] in self.seen:
            return None
        return self.seen.setdefault(event["eventId"], datetime.fromtimestamp(event["timestamp"] / 1000, UTC))

    def forget(self) -> None:
        """Move on to what may still come in, and forget what lies before."""
        self.since = max(self.since, max(self.seen.values(), default=self.since) - _LOOK_BACK)
        self.seen = {event_id: time for event_id, time in self.seen.items() if time >= self.since}


class CloudWatchReader:
    """Reads what is new in the log of one run; satisfies `ports.LogReader`."""

    def __init__(self, client: Any, run: JobRun, *, executors: bool) -> None:
        self.calls = len(_STREAMS)
        self._client = client
        self._prefix = run.log_streams or run.id
        self._executors = executors
        since = run.started or datetime.fromtimestamp(0, UTC)
        if run.started and run.log_streams is None:
            # Its first line may be older than its start, by another clock or by the rounding of one. Streams
            # that a job names itself hold the lines of other runs as well.
            since -= _LOOK_BACK
        self._groups = [_Group(stream, f"{run.log_group}/{stream}", since) for stream in _STREAMS]
        self.trouble: str | None = None

    @property
    def more(self) -> bool:
        """Whether the last reading stopped before the end."""
        return any(group.token for group in self._groups)

    def read(self) -> list[LogLine]:
        """Return what is new since the last reading, in order. Raises nothing."""
        self.trouble = None
        self.calls = 0
        lines = [line for group in self._groups for line in self._read(group)]
        # Sorting is stable: lines of one millisecond keep the order of their stream.
        return sorted(lines, key=lambda line: line.time)

    def _read(self, group: _Group) -> Iterator[LogLine]:
        for _ in range(_PAGES):
            try:
                page = self._page(group)
            except GluePkgmgrError as e:
                group.token = None  # it may be what was refused: what has been read is known by its ids
                if not (isinstance(e, RemoteRefusal) and e.absent):  # absent: no log group or stream yet
                    self.trouble = str(e)
                return
            for event in page["events"]:
                yield from self._lines(group, event)
            group.token = page.get("nextToken")
            if group.token is None:
                group.forget()
                return

    def _page(self, group: _Group) -> Mapping[str, Any]:
        if group.token is None:
            # Executors may write far more than the driver: once its stream is known, no other is read.
            only = group.driver is not None and not self._executors
            streams = {"logStreamNames": [group.driver]} if only else {"logStreamNamePrefix": self._prefix}
            group.asked = {"startTime": int(group.since.timestamp() * 1000), **streams}
        more = {"nextToken": group.token} if group.token else {}
        self.calls += 1
        with aws_errors("the log cannot be read", needs="logs:FilterLogEvents"):
            page: Mapping[str, Any] = self._client.filter_log_events(
                logGroupName=group.name, **group.asked, **more
            )
            page["events"]  # an empty log has none; what has not even that is no answer of AWS
        return page

    def _lines(self, group: _Group, event: Mapping[str, Any]) -> Iterator[LogLine]:
        executor = self._executor(event["logStreamName"])
        if executor is None or (executor and not self._executors):
            return
        if not executor:
            group.driver = event["logStreamName"]
        if (time := group.new(event)) is None:
            return
        # What the installer logs may repeat an index URL.
        text = without_credentials(event["message"].rstrip("\r\n"))
        for line in _LINE_BREAK.split(text):
            yield LogLine(time=time, stream=group.stream, text=line, executor=executor)

    def _executor(self, stream: str) -> str | None:
        """Return which executor wrote `stream`, an empty name for the driver, None if it is not of this run."""
        rest = stream.removeprefix(self._prefix)
        if len(rest) == len(stream) or rest.startswith(_ATTEMPT):
            return None
        name = rest.lstrip("-_")
        if name == rest != "":  # a longer name that begins like ours
            return None
        return None if name == _PROGRESS_BAR else "" if name == _DRIVER else name
