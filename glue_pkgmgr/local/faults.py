"""Faults on demand: what a stand-in shall do wrong, as rules that people type and tests set.

A rule is `TOPIC[:KEY]=VALUE[*TIMES]`; without TIMES it stands until it is replaced. A TOPIC is

- a service by its signing name, `index` for pages and files of packages, or `all`: KEY is an operation
  (`GetJobRun`; `page`, `file`, `upload` of the index), VALUE what becomes of such calls: an HTTP status, an error
  code of the service, `lost` (done, but never answered), `dropped` (neither), `ok` (as usual, so that the rules
  after it begin later), or a time (`50ms`) that each call takes longer;
- `run`: what becomes of job runs that are started from now on;
- `token`: when tokens of the index die, and how the index refuses a token;
- `logs`: how the logs of runs reach whoever reads them.

Nothing here talks to anybody.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any

from glue_pkgmgr.core.job import JobRunState
from glue_pkgmgr.errors import SettingsError

EVER = timedelta.max
"""A time that does not end."""

Value = str | int | timedelta | JobRunState

SERVICES = (
    *("cloudformation", "codeartifact", "ec2", "events", "glue", "iam", "index", "kms", "lambda"),
    *("logs", "monitoring", "s3", "sns", "states", "sts"),
)
EVERY_SERVICE = "all"
INDEX_OPERATIONS = frozenset({"page", "file", "upload"})
LOST, DROPPED, OK = "lost", "dropped", "ok"

_STATUSES = (403, 429, 500, 502, 503)
_INDEX_STATUSES = (401, 403, 404, *_STATUSES[1:])
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{2,99}", re.ASCII)  # of operations and error codes of AWS
_TIMES = re.compile(r"(?P<value>.*?)(?:\*(?P<times>[0-9]{1,6}|ever))?", re.DOTALL | re.ASCII)
_SPAN = re.compile(r"(?P<number>[0-9]{1,8}(?:\.[0-9]{1,3})?)(?P<unit>ms|s|m)?", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000}
_LONGEST = timedelta(days=1)
_STATE = re.compile(r"[A-Z_]{1,40}", re.ASCII)
_MOST_LINES = 100_000
_MOST_CHARACTERS = 5_000_000
_MOST_SECONDS = 10_000_000
_ALIKE = 0.6  # of `difflib`

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}

_ENDS = [state for state in JobRunState if state.outcome is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that shall go wrong, `times` times, or until replaced where that is None.

    `key` is empty for every operation of a service. `str` is what `parse_rule` reads.
    """

    topic: str
    key: str
    value: Value
    times: int | None = None

    def __str__(self) -> str:
        name = f"{self.topic}:{self.key}" if self.key else self.topic
        value = _written(self.value)
        if self.times is not None:
            return f"{name}={value}*{self.times}"
        # A text may end like a number of times.
        ambiguous = _TIMES.fullmatch(value)
        return f"{name}={value}*ever" if ambiguous and ambiguous["times"] else f"{name}={value}"

    @property
    def is_switch(self) -> bool:
        """Whether it is about runs, tokens or logs, and not about calls."""
        return self.key in _SWITCHES.get(self.topic, ())


def parse_rule(text: str) -> Rule:
    """Return the rule that `text` is.

    Whether a service has the operation and the error code is not looked at: see `misspelt`.
    Raises: SettingsError that names the nearest right spelling.
    """
    name, equals, rest = text.partition("=")
    topic, colon, key = name.partition(":")
    if not equals or (colon and not key):
        raise _wrong(text, f"it is no TOPIC[:KEY]=VALUE; {_EXAMPLES}")
    parts = _TIMES.fullmatch(rest)
    assert parts is not None  # noqa: S101 - it matches any text
    value, times = parts["value"], parts["times"]
    try:
        rule = Rule(
            topic=topic,
            key=key,
            value=_parse_value(topic, key, value),
            times=None if times in (None, "ever") else _number(times, least=1, most=999_999),
        )
    except _Unknown as e:
        raise _wrong(text, str(e)) from e
    if rule.times is not None and not _can_be_counted(rule):
        raise _wrong(text, f"{topic}:{key} is no event that can be counted: leave out *{times}")
    return rule


def misspelt(rule: Rule, operations: Collection[str], codes: Collection[str]) -> str | None:
    """Return what is wrong with a rule about calls of a service with these operations and error codes, if any."""
    if rule.key and rule.key not in operations:
        return _unknown(f"operation of {rule.topic}", rule.key, operations)
    value = rule.value
    is_code = isinstance(value, str) and value not in (LOST, DROPPED, OK)
    if is_code and value not in codes:
        return _unknown(f"error code of {rule.topic}", str(value), codes)
    return None


# --- values ---------------------------------------------------------------------------------------------------


class _Unknown(ValueError):
    """The value of a rule is not one it can have; the text says why."""


def _parse_value(topic: str, key: str, value: str) -> Value:
    if topic in _SWITCHES and (key in _SWITCHES[topic] or topic not in SERVICES):
        parse = _SWITCHES[topic].get(key)
        if parse is None:
            raise _Unknown(_unknown(f"switch of {topic}", key, _SWITCHES[topic]))
        return parse(value)
    if topic == EVERY_SERVICE and not key:
        return _answer(value, _STATUSES, codes=False)
    if topic == EVERY_SERVICE or topic not in SERVICES:
        known = [*SERVICES, *_SWITCHES, *(() if key else (EVERY_SERVICE,))]
        raise _Unknown(_unknown("topic", topic, sorted(set(known))))
    if topic == "index":
        if key and key not in INDEX_OPERATIONS:
            raise _Unknown(_unknown("operation of index", key, INDEX_OPERATIONS))
        return _answer(value, _INDEX_STATUSES, codes=False)
    if key and not _NAME.fullmatch(key):
        switches = sorted(_SWITCHES.get(topic, ()))
        raise _Unknown(_unknown(f"operation of {topic}", key, switches))
    return _answer(value, _STATUSES, codes=True)


def _answer(text: str, statuses: Collection[int], *, codes: bool) -> Value:
    words = (LOST, DROPPED, OK)
    if text in words or (codes and _NAME.fullmatch(text)):
        return text
    if text.isascii() and text.isdecimal():
        if len(text) < 9 and int(text) in statuses:  # noqa: PLR2004 - digits; Python refuses thousands of them
            return int(text)
        raise _Unknown(f"no status {text!r} here: one of {', '.join(map(str, statuses))}; a time has a unit: 50ms")
    if _SPAN.fullmatch(text):
        return _short_span(text)
    also = ", an error code" if codes else ""
    raise _Unknown(f"{_unknown('answer', text, words)}; or a status (503){also}, a time (50ms)")


def _span(text: str) -> timedelta:
    return EVER if text == "ever" else _short_span(text)


def _short_span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise _Unknown(f"{text!r} is no time: 60, 60s, 250ms and 5m are")
    amount = timedelta(milliseconds=round(float(found["number"]) * _MILLISECONDS[found["unit"] or "s"]))
    if amount > _LONGEST:
        raise _Unknown(f"{text!r} is more than a day")
    return amount


def _number(text: str, *, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _Unknown(f"{text!r} is no whole number from {least} to {most}")
    return int(text)


def _end(text: str) -> JobRunState:
    if text not in _ENDS:
        raise _Unknown(_unknown("state in which a run ends", text, [str(state) for state in _ENDS]))
    return JobRunState(text)


def _state(text: str) -> str:
    if not _STATE.fullmatch(text):
        raise _Unknown(f"{text!r} is no name of a state: upper-case letters only")
    return text


def _text(text: str) -> str:
    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in _UNESCAPES:
            raise _Unknown(f"\\{escape[1]} is no escape: \\n, \\r, \\t and \\\\ are")
        return _UNESCAPES[escape[1]]

    found = re.sub(r"\\(.?)", plain, text, flags=re.DOTALL)
    if not found:
        raise _Unknown("the text is empty")
    try:
        found.encode()
    except UnicodeEncodeError as e:
        raise _Unknown("the text is not UTF-8") from e
    return found


def _death(text: str) -> Value:
    return text if text in ("now", "install") else _short_span(text)


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise _Unknown(_unknown("value", text, words))
        return text

    return parse


def _count(least: int, most: int) -> Callable[[str], int]:
    return lambda text: _number(text, least=least, most=most)


_SWITCHES: Mapping[str, Mapping[str, Callable[[str], Value]]] = {
    "run": {
        "waiting": _span,
        "starting": _span,
        "running": _span,
        "end": _end,
        "end-after-script": _end,
        "state": _state,
        "message": _text,
        "line": _text,
        "error-line": _text,
        "lines": _count(1, _MOST_LINES),
        "huge-line": _count(1, _MOST_CHARACTERS),
        "seconds": _count(0, _MOST_SECONDS),
    },
    "token": {"dies": _death, "answer": _choice("401", "404")},
    "logs": {"missing": _span, "late": _span, "mixed": _short_span, "endings": _choice("crlf")},
}


def _can_be_counted(rule: Rule) -> bool:
    return not rule.is_switch or rule.topic == "run" or rule.value == "install"


def _written(value: Value) -> str:
    match value:
        case timedelta():
            if value == EVER:
                return "ever"
            seconds, rest = divmod(value, timedelta(seconds=1))
            return f"{value // timedelta(milliseconds=1)}ms" if rest else f"{seconds}s"
        case str():
            return "".join(_ESCAPES.get(letter, letter) for letter in value)
        case int():
            return str(value)


_EXAMPLES = "for example glue:StartJobRun=503*2, glue:StartJobRun=lost, run:end=EXPIRED, token:dies=install"


def _wrong(text: str, why: str) -> SettingsError:
    shown = text.encode("utf-8", "backslashreplace").decode()
    return SettingsError(f"{shown!r} is no fault the stand-in can have: {why}")


def _unknown(kind: str, given: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1, cutoff=_ALIKE)
    if close:
        return f"no {kind} {given!r}; did you mean {close[0]!r}?"
    shown = sorted(known)
    some = ", ".join(shown) if len(shown) < 20 else f"{', '.join(shown[:5])}, …"  # noqa: PLR2004 - fits a terminal
    return f"no {kind} {given!r}; there is {some}" if shown else f"no {kind} {given!r}"


# --- rules in force -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFault:
    """What becomes of one call: it waits `delay`, then gets `answer`; None is the usual one.

    An answer is an HTTP status, an error code, `LOST` or `DROPPED`.
    """

    delay: timedelta = timedelta()
    answer: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBehaviour:
    """What one run does beside, or instead of, what it was started for. The default is nothing.

    Times are those the run spends in the state. `state` is told instead of RUNNING; `seconds` is told as its
    execution time. A `simulated` run executes nothing: it has the given lines in its logs and ends as `end`.
    """

    waiting: timedelta = timedelta()
    starting: timedelta = timedelta()
    running: timedelta = timedelta()
    simulated: bool = False
    end: JobRunState | None = None
    message: str | None = None
    state: str | None = None
    output: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    seconds: int | None = None


@dataclass(slots=True)
class _Entry:
    rule: Rule
    used: int = 0

    @property
    def left(self) -> bool:
        return self.rule.times is None or self.used < self.rule.times


# A run with one of these in force executes nothing.
_SIMULATED = frozenset({"running", "end", "line", "error-line", "lines", "huge-line"})


@dataclass(slots=True)
class _Tokens:
    """Who was minted when; a token that is not here was minted before the stand-in began."""

    minted: dict[str, tuple[int, float]] = field(default_factory=dict)
    dead_through: int = -1


class Faults:
    """The rules in force in one stand-in. Safe for threads. `clock` is in seconds and only ever grows."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []
        self._tokens = _Tokens()
        self._first_run: float | None = None

    def set(self, rules: Iterable[Rule]) -> None:
        """Put `rules` in force instead of those before, whose effects end: tokens they killed live again."""
        with self._lock:
            self._entries = [_Entry(rule) for rule in rules]
            self._tokens.dead_through = -1
            self._first_run = None
            if self._switch("token", "dies") == "now":
                self._tokens.dead_through = len(self._tokens.minted)

    def in_force(self) -> list[tuple[Rule, int]]:
        """Return every rule that was set, in order, with the number of times it was used."""
        with self._lock:
            return [(entry.rule, entry.used) for entry in self._entries]

    def call(self, service: str, operation: str | None) -> CallFault:
        """Return what becomes of a call that comes now. All delays that fit it add up; the first answer counts."""
        delay, answer = timedelta(), None
        with self._lock:
            for entry in self._entries:
                if not entry.left or not _is_about(entry.rule, service, operation):
                    continue
                value = entry.rule.value
                if isinstance(value, timedelta):
                    delay += value
                elif answer is None:
                    answer = value
                else:
                    continue
                entry.used += 1
        return CallFault(delay=delay, answer=None if answer == OK else answer)

    def behaviour(self) -> RunBehaviour:
        """Return what a run does that is accepted now."""
        with self._lock:
            found: dict[str, list[Any]] = {}
            for entry in self._entries:
                rule = entry.rule
                if rule.topic == "run" and entry.left and (rule.key not in found or rule.key in _LINES):
                    found.setdefault(rule.key, []).append(rule.value)
                    entry.used += 1
        return _behaviour(found)

    def run_begins(self) -> None:
        """Tell that a run leaves the queue: it is before its installation."""
        with self._lock:
            if self._first_run is None:
                self._first_run = self._clock()
            for entry in self._entries:
                if entry.rule.topic == "token" and entry.rule.value == "install" and entry.left:
                    entry.used += 1
                    self._tokens.dead_through = len(self._tokens.minted)

    def minted(self, token: str) -> None:
        """Tell that a token, named by its hash, was minted now."""
        with self._lock:
            self._tokens.minted[token] = (len(self._tokens.minted) + 1, self._clock())

    def killed(self, token: str) -> bool:
        """Return whether a rule has killed the token with this hash."""
        with self._lock:
            number, minted = self._tokens.minted.get(token, (0, self._began))
            if number <= self._tokens.dead_through:
                return True
            life = self._switch("token", "dies")
            return isinstance(life, timedelta) and self._clock() - minted >= life.total_seconds()

    def refused_as_missing(self) -> bool:
        """Return whether the index says 404 to a token it does not accept, and not 401."""
        with self._lock:
            return self._switch("token", "answer") == "404"

    def logs_missing(self) -> bool:
        """Return whether the log groups of runs are not there for their readers yet."""
        with self._lock:
            absent = self._switch("logs", "missing")
            if not isinstance(absent, timedelta):
                return False
            return self._first_run is None or self._clock() - self._first_run < absent.total_seconds()

    def log_delays(self) -> tuple[timedelta, timedelta]:
        """Return how much later than written lines reach the log, and how much more every second one."""
        with self._lock:
            late, mixed = self._switch("logs", "late"), self._switch("logs", "mixed")
        return (
            late if isinstance(late, timedelta) else timedelta(),
            mixed if isinstance(mixed, timedelta) else timedelta(),
        )

    def crlf(self) -> bool:
        """Return whether lines of logs end with CR and LF."""
        with self._lock:
            return self._switch("logs", "endings") == "crlf"

    def _switch(self, topic: str, key: str) -> Value | None:
        for entry in self._entries:
            if (entry.rule.topic, entry.rule.key) == (topic, key):
                return entry.rule.value
        return None


_LINES = frozenset({"line", "error-line"})


def _is_about(rule: Rule, service: str, operation: str | None) -> bool:
    if rule.is_switch or rule.topic not in (service, EVERY_SERVICE):
        return False
    return not rule.key or rule.key == operation


def _behaviour(found: Mapping[str, list[Any]]) -> RunBehaviour:
    def one(key: str, default: Any = None) -> Any:
        return found[key][0] if key in found else default

    simulated = not _SIMULATED.isdisjoint(found)
    numbered = (f"line {number}" for number in range(1, one("lines", 0) + 1))
    huge = ["x" * one("huge-line")] if "huge-line" in found else []
    return RunBehaviour(
        waiting=one("waiting", timedelta()),
        starting=one("starting", timedelta()),
        running=one("running", timedelta()),
        simulated=simulated,
        end=one("end", JobRunState.SUCCEEDED) if simulated else one("end-after-script"),
        message=one("message"),
        state=one("state"),
        output=(*found.get("line", ()), *numbered, *huge),
        error=tuple(found.get("error-line", ())),
        seconds=one("seconds"),
    )
