"""Log events that reach CloudWatch late, out of order or with other line ends, where a fault says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.local.faults import Faults

_log = logging.getLogger(__name__)


class LateLogs:
    """boto3's client for `logs` as a `LogStream` uses it, with the faults of logs in force."""

    def __init__(self, client: Any, faults: Faults) -> None:
        self._client = client
        self._faults = faults
        self._counted = count()
        self.exceptions = client.exceptions
        self.create_log_group = client.create_log_group
        self.create_log_stream = client.create_log_stream

    def put_log_events(self, *, logEvents: Sequence[Mapping[str, Any]], **stream: str) -> None:  # noqa: N803
        """Deliver events, at once or later."""
        events = [{**event, "message": f"{event['message']}\r\n"} for event in logEvents]
        events = events if self._faults.crlf() else list(map(dict, logEvents))
        late, mixed = self._faults.log_delays()
        if not mixed:
            self._deliver(late, stream, events)
            return
        # Counted on from one delivery to the next: a run that prints slowly delivers single lines.
        odd = [bool(next(self._counted) % 2) for _ in events]
        self._deliver(late, stream, [event for event, is_odd in zip(events, odd, strict=True) if is_odd])
        self._deliver(
            late + mixed, stream, [event for event, is_odd in zip(events, odd, strict=True) if not is_odd]
        )

    def _deliver(self, delay: timedelta, stream: Mapping[str, str], events: list[dict[str, Any]]) -> None:
        if not events:
            return
        if not delay:
            self._client.put_log_events(**stream, logEvents=events)
            return

        def put() -> None:
            try:
                self._client.put_log_events(**stream, logEvents=events)
            except (ClientError, BotoCoreError) as e:  # the stand-in is stopping
                _log.warning("%d late lines of log stream %s were lost: %s", len(events), stream, e)

        timer = threading.Timer(delay.total_seconds(), put)
        timer.daemon = True
        timer.start()
