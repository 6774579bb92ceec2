from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from glue_pkgmgr.local.jobs.log_stream import EVENT_BYTES, LogStream, pieces

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


class KeepsEvents:
    """CloudWatch Logs as far as a stream needs it: refuses what the service refuses."""

    class exceptions:
        class ResourceAlreadyExistsException(ClientError):
            pass

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.streams: set[tuple[str, str]] = set()
        self.batches: list[list[dict[str, Any]]] = []
        self.broken = False

    def create_log_group(self, *, logGroupName: str) -> None:
        if logGroupName in self.groups:
            raise self.exceptions.ResourceAlreadyExistsException({"Error": {}}, "CreateLogGroup")
        self.groups.add(logGroupName)

    def create_log_stream(self, *, logGroupName: str, logStreamName: str) -> None:
        assert logGroupName in self.groups
        self.streams.add((logGroupName, logStreamName))

    def put_log_events(self, *, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        if self.broken:
            raise ClientError({"Error": {"Code": "ServiceUnavailableException"}}, "PutLogEvents")
        assert (logGroupName, logStreamName) in self.streams
        sizes = [len(event["message"].encode()) + 26 for event in logEvents]
        assert min(sizes) > 26
        assert max(sizes) <= 256 * 1024
        assert sum(sizes) <= 1024 * 1024
        assert len(logEvents) <= 10_000
        self.batches.append(logEvents)

    @property
    def messages(self) -> list[str]:
        return [event["message"] for batch in self.batches for event in batch]


@pytest.fixture
def service() -> KeepsEvents:
    return KeepsEvents()


@pytest.fixture
def stream(service: KeepsEvents) -> LogStream:
    return LogStream(service, "/group", "jr_1", lambda: NOW)


def test_lines_become_events_with_their_time_and_without_their_line_breaks(
    stream: LogStream, service: KeepsEvents
) -> None:
    stream.write(b"one\r\ntwo\n\nthr")
    stream.flush()
    assert service.messages == ["one", "two", " "]
    stream.write(b"ee")
    stream.close()

    assert service.messages == ["one", "two", " ", "three"]
    assert {event["timestamp"] for batch in service.batches for event in batch} == {NOW.timestamp() * 1000}


def test_a_stream_without_lines_exists_all_the_same(stream: LogStream, service: KeepsEvents) -> None:
    service.groups.add("/group")

    stream.close()

    assert service.streams == {("/group", "jr_1")}
    assert not service.batches


def test_a_huge_line_is_cut_between_characters_and_nothing_is_lost(
    stream: LogStream, service: KeepsEvents
) -> None:
    line = "é€😀" * 100_000

    for start in range(0, len(line.encode()), 65_536):
        stream.write(line.encode()[start : start + 65_536])
    stream.close()

    assert "".join(service.messages) == line
    assert len(service.messages) > 1


def test_bytes_that_are_no_utf8_are_replaced_and_still_fit(stream: LogStream, service: KeepsEvents) -> None:
    stream.write(b"\xff" * EVENT_BYTES + b"\n")
    stream.close()

    assert "".join(service.messages) == "\N{REPLACEMENT CHARACTER}" * EVENT_BYTES


def test_many_lines_go_in_batches_the_service_takes(stream: LogStream, service: KeepsEvents) -> None:
    stream.write(b"x\n" * 25_000 + (b"y" * 200_000 + b"\n") * 12)
    stream.close()

    assert len(service.messages) == 25_012
    assert len(service.batches) > 3


def test_a_log_that_cannot_be_delivered_is_told_and_ends_nothing(
    stream: LogStream, service: KeepsEvents, caplog: pytest.LogCaptureFixture
) -> None:
    service.broken = True
    stream.write(b"lost\n")
    stream.flush()
    service.broken = False
    stream.write(b"kept\n")
    stream.close()

    assert service.messages == ["kept"]
    assert "1 lines of log stream jr_1 were lost" in caplog.text


@pytest.mark.parametrize("limit", [4, 5, 7])
def test_pieces_join_to_the_whole_and_each_is_text(limit: int) -> None:
    text = "aé€😀".encode() * 3

    cut = list(pieces(text, limit))

    assert b"".join(cut) == text
    assert all(len(piece) <= limit and piece.decode() for piece in cut)
