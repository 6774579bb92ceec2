from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients, RemoteRefusal
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.pace import Pace
from glue_pkgmgr.core.names import project_name
from tests.integration.adapters.loopback import APPROVED, Scripted, Seen, environment, reply, scripted

STORE = replace(APPROVED, repository="store")
ONE = Version("1.0")


@dataclass
class Seconds:
    """A clock that only `sleep` moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, quota: float = 5.0) -> Pace:
        return Pace(quota, now=lambda: self.now, sleep=self.sleep)


def rate(pace: Pace, clock: Seconds) -> float:
    """Return how many calls a second go through now."""
    pace.wait()
    began = clock.now
    for _ in range(10):
        pace.wait()
    return 10 / (clock.now - began)


def test_nothing_waits_before_the_service_has_throttled() -> None:
    clock = Seconds()
    pace = clock.pace()
    for _ in range(100):
        pace.wait()
        pace.succeeded()
    assert clock.slept == []


def test_after_that_calls_keep_the_quota() -> None:
    clock = Seconds()
    pace = clock.pace()
    assert pace.throttled()
    assert rate(pace, clock) == pytest.approx(5.0)


def test_throttling_answers_of_one_burst_count_once() -> None:
    clock = Seconds()
    pace = clock.pace()
    for _ in range(30):
        assert pace.throttled()
    assert rate(pace, clock) == pytest.approx(5.0)


def test_a_quota_that_others_use_too_makes_it_slower_and_success_faster_again() -> None:
    clock = Seconds()
    pace = clock.pace()
    pace.throttled()
    clock.now += 2
    pace.throttled()
    clock.now += 2
    assert rate(pace, clock) == pytest.approx(4.0)
    for _ in range(100):
        pace.succeeded()
    assert rate(pace, clock) > 10


def test_it_never_stands_still() -> None:
    clock = Seconds()
    pace = clock.pace()
    for _ in range(50):
        pace.throttled()
        pace.succeeded()
        clock.now += 2
    assert rate(pace, clock) == pytest.approx(0.5, rel=0.1)


def test_the_pause_the_service_asks_for_is_kept_by_all() -> None:
    clock = Seconds()
    pace = clock.pace()
    pace.throttled(7)
    began = clock.now
    pace.wait()
    assert clock.now - began >= 7


def test_it_is_given_up_when_nothing_has_got_through_for_a_minute() -> None:
    clock = Seconds()
    pace = clock.pace()
    answers = []
    while clock.now < 1100:
        answers.append(pace.throttled())
        clock.now += 10
    assert answers == [True] * 6 + [False] * 4
    pace.succeeded()
    assert pace.throttled()


# with botocore, against a server that counts


@dataclass
class Gate:
    """Lets `most` copies a second through, in any second, and throttles the others; `latency` is in seconds."""

    most: int
    latency: float = 0.05
    served: list[str] = field(default_factory=list)
    throttled: int = 0
    _times: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(self.latency)
        with self._lock:
            now = time.monotonic()
            while self._times and now - self._times[0] > 1:
                self._times.popleft()
            full = len(self._times) >= self.most
            if full:
                self.throttled += 1
            else:
                self._times.append(now)
                self.served.append(seen.path)
        if full:
            body = json.dumps({"message": "Rate exceeded"}).encode()
            reply(handler, 429, body, x_amzn_ErrorType="ThrottlingException")
            return
        (version,) = json.loads(seen.body)["versions"]
        done = {version: {"revision": "r", "status": "Published"}}
        reply(handler, 200, json.dumps({"successfulVersions": done, "failedVersions": {}}).encode())


Answer = Callable[[Seen, BaseHTTPRequestHandler], None]


@contextmanager
def codeartifact(answer: Answer) -> Iterator[tuple[CodeArtifact, Scripted]]:
    with scripted(answer) as server:
        yield CodeArtifact(Clients(environment(server.url), "us-east-1").client("codeartifact")), server


def copy(service: CodeArtifact, number: int) -> object:
    return service.copy(STORE, APPROVED, project_name(f"p{number}"), [ONE])


def test_sixty_copies_get_through_a_quota_of_five_a_second_without_hammering() -> None:
    gate = Gate(most=5)
    with codeartifact(gate.answer) as (service, _), ThreadPoolExecutor(32) as pool:
        began = time.monotonic()
        refused = list(pool.map(lambda number: copy(service, number), range(60)))
        taken = time.monotonic() - began
    assert refused == [{}] * 60
    assert len(set(gate.served)) == 60
    # The first burst, before anything is known of a quota, and then a refusal now and then.
    assert gate.throttled < 60
    assert taken < 2 * 60 / gate.most


def test_without_a_quota_nothing_is_slowed() -> None:
    gate = Gate(most=1000)
    with codeartifact(gate.answer) as (service, _), ThreadPoolExecutor(32) as pool:
        began = time.monotonic()
        assert list(pool.map(lambda number: copy(service, number), range(60))) == [{}] * 60
        assert time.monotonic() - began < 2
    assert gate.throttled == 0


def test_throttling_that_does_not_end_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glue_pkgmgr.adapters.pace._PATIENCE", 0.5)
    gate = Gate(most=0, latency=0)
    with (
        codeartifact(gate.answer) as (service, server),
        pytest.raises(RemoteRefusal, match="in a minute"),
    ):
        copy(service, 1)
    assert len(server.seen) < 12


def test_the_pause_of_a_throttling_answer_is_kept() -> None:
    times: list[float] = []

    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            reply(handler, 429, b'{"message": "slow"}', x_amzn_ErrorType="ThrottlingException", Retry_After="1")
        else:
            reply(handler, 200, b'{"successfulVersions": {}, "failedVersions": {}}')

    with codeartifact(answer) as (service, _):
        copy(service, 1)
    assert times[1] - times[0] >= 0.9


def test_a_server_error_among_copies_is_still_tried_again_by_botocore() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if len(server.seen) < 3:
            reply(handler, 500, b'{"message": "oops"}', x_amzn_ErrorType="InternalServerException")
        else:
            reply(handler, 200, b'{"successfulVersions": {}, "failedVersions": {}}')

    with codeartifact(answer) as (service, server):
        copy(service, 1)
    assert len(server.seen) == 3
