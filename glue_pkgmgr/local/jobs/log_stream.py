"""Bytes of a process, line by line into a stream of CloudWatch Logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_log = logging.getLogger(__name__)

# CloudWatch Logs API, PutLogEvents: the bytes of one event and of one batch, 26 of overhead for each event.
_OVERHEAD = 26
EVENT_BYTES = 256 * 1024 - _OVERHEAD
_BATCH_BYTES = 1_048_576
_BATCH_EVENTS = 10_000


class LogStream:
    """A stream of a log group, both made on the first `flush`. `client` is boto3's for `logs`.

    A line becomes an event, without its line break; a line longer than an event holds becomes several. A log
    that cannot be delivered is told in our own log, and ends no run.
    """

    def __init__(self, client: Any, group: str, name: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._stream = {"logGroupName": group, "logStreamName": name}
        self._clock = clock
        self._made = False
        self._rest = b""
        self._events: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        """Take `data`; its complete lines are delivered with the next `flush`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._add(line)
        if len(self._rest) > EVENT_BYTES:
            *full, self._rest = pieces(self._rest, EVENT_BYTES)
            for piece in full:
                self._add(piece)

    def flush(self) -> None:
        """Deliver all complete lines."""
        events, self._events = self._events, []
        try:
            if not self._made:
                self._make()
            for batch in _batches(events):
                self._client.put_log_events(**self._stream, logEvents=batch)
        except (ClientError, BotoCoreError) as e:
            _log.warning("%d lines of log stream %s were lost: %s", len(events), self._stream["logStreamName"], e)

    def close(self) -> None:
        """Deliver everything, a last line without a line break too."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        self.flush()

    def _add(self, line: bytes) -> None:
        # Whatever is not UTF-8 grows when it is replaced, so the limit is met after that.
        text = line.removesuffix(b"\r").decode("utf-8", "replace").encode()
        moment = int(self._clock().timestamp() * 1000)
        for piece in pieces(text or b" ", EVENT_BYTES):  # an event is not empty
            self._events.append({"timestamp": moment, "message": piece.decode()})

    def _make(self) -> None:
        exists = self._client.exceptions.ResourceAlreadyExistsException
        with suppress(exists):
            self._client.create_log_group(logGroupName=self._stream["logGroupName"])
        with suppress(exists):
            self._client.create_log_stream(**self._stream)
        self._made = True


def pieces(text: bytes, limit: int) -> Iterator[bytes]:
    """Yield `text`, which is UTF-8, in pieces of at most `limit` bytes, no character torn apart."""
    start = 0
    while len(text) - start > limit:
        end = start + limit
        while end > start + 1 and text[end] & 0xC0 == 0x80:  # noqa: PLR2004 - 10xxxxxx goes on with a character
            end -= 1
        yield text[start:end]
        start = end
    yield text[start:]


def _batches(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for event in events:
        weight = len(event["message"].encode()) + _OVERHEAD
        if batch and (size + weight > _BATCH_BYTES or len(batch) == _BATCH_EVENTS):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += weight
    if batch:
        yield batch
