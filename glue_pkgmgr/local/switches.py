"""A stand-in's switches for faults, and its count of calls, from outside: for tests and the command line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.local.gateway import CALLS_PATH, FAULTS_PATH

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInForce:
    """A rule in force, as it is typed, and how often it was used."""

    rule: str
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """How often an operation was called, in all and in the busiest second of the stand-in's clock."""

    count: int
    busiest_second: int


@dataclass(frozen=True, slots=True)
class Switches:
    """The switches of the stand-in at `endpoint`, its URL. Rules are those of `glue_pkgmgr.local.faults`.

    Every method raises RemoteError when no stand-in answers there.
    """

    endpoint: str

    @contextmanager
    def faults(self, *rules: str) -> Iterator[None]:
        """Have `rules` in force, and none after the block. Raises: SettingsError for a rule that is none."""
        self.set(*rules)
        try:
            yield
        finally:
            self.clear()

    def set(self, *rules: str) -> list[FaultInForce]:
        """Put `rules` in force instead of those before, and return them.

        Raises: SettingsError for a rule that is none: nothing is changed then.
        """
        return _rules(self._ask("PUT", FAULTS_PATH, {"rules": rules}))

    def clear(self) -> None:
        """End every fault."""
        self._ask("DELETE", FAULTS_PATH)

    def in_force(self) -> list[FaultInForce]:
        """Return the rules in force, in the order they were set in."""
        return _rules(self._ask("GET", FAULTS_PATH))

    def calls(self) -> dict[str, CallCount]:
        """Return how often each operation (`glue:GetJobRun`) was called since the start or `forget_calls`."""
        calls = self._ask("GET", CALLS_PATH)["calls"]
        return {name: CallCount(**count) for name, count in calls.items()}

    def forget_calls(self) -> None:
        """Begin to count anew."""
        self._ask("DELETE", CALLS_PATH)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        address = urlsplit(self.endpoint).netloc
        try:
            with closing(http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)) as connection:
                connection.request(method, path, json.dumps(body) if body else None)
                answer = connection.getresponse()
                told = dict(json.load(answer))
        except (OSError, http.client.HTTPException, ValueError, TypeError) as e:
            raise RemoteError(
                f"no stand-in answers at {self.endpoint}: {e}; start it with `glue-pkgmgr local up`"
            ) from e
        if answer.status != http.HTTPStatus.OK:
            raise SettingsError(str(told.get("error", f"the stand-in at {self.endpoint} refused: {told}")))
        return told


def _rules(told: Mapping[str, Any]) -> list[FaultInForce]:
    return [FaultInForce(**rule) for rule in told["rules"]]
