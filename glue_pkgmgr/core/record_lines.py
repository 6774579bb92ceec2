"""Records of launches as lines of JSON: appended, chained, and read fast.

A launch has up to three lines: `launch` before its start, `run` once the start was accepted, `end` when its end
was seen. Members stand in one order, `releases` last: hundreds of thousands of lines can be judged by the few
different texts that follow there, and by what stands at the beginning, without parsing them all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.chain import START
from glue_pkgmgr.core.job import Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, Recorded, RecordedRelease
from glue_pkgmgr.core.secret_arguments import without_users
from glue_pkgmgr.errors import SettingsError

Wanted = Callable[[RecordedRelease], bool]

_FORMAT = 1
_OPENING = f'{{"format":{_FORMAT},"previous":"'.encode()
_ENTRY_AT = len(_OPENING) + len(START)
_LAUNCH, _RUN, _END = (f'","entry":"{entry}","launch":"'.encode() for entry in ("launch", "run", "end"))
_LAUNCH_ID_AT, _RUN_ID_AT, _END_ID_AT = (_ENTRY_AT + len(entry) for entry in (_LAUNCH, _RUN, _END))
_RELEASES = b',"releases":'
_CLOSING = b"}\n"
_ID = re.compile(r"[0-9a-f]{32}(?:-[0-9]{1,4})?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def launch_line(record: LaunchRecord, previous: str) -> bytes:
    """Return the line that a launch begins with; `previous` is the digest of the line before it."""
    return _line(
        "launch",
        record.launch,
        previous,
        {
            "time": _time_text(record.time),
            "by": record.by,
            "job": record.job,
            "glue-version": record.glue_version,
            "delivery": record.delivery.value,
            "request": list(record.request),
            "lock-sha256": record.lock_sha256,
            "allow-list-sha256": record.allowlist_sha256,
            "arguments": dict(record.arguments),
            "releases": {str(one): list(one.sha256) for one in record.releases},
        },
    )


def run_line(launch: str, run: JobRunId, previous: str) -> bytes:
    """Return the line that says which run was accepted for a launch."""
    return _line("run", launch, previous, {"run": run})


def end_line(launch: str, run: JobRunId | None, end: LaunchEnd, previous: str) -> bytes:
    """Return the line that says how a launch ended."""
    return _line(
        "end",
        launch,
        previous,
        {
            "run": run,
            "time": _time_text(end.time),
            "state": end.state.value if end.state else None,
            "cause": without_users(end.cause),
            "seconds": dict(end.seconds),
            "dpu-hours": None if end.dpu_hours is None else str(end.dpu_hours),
            "usd": None if end.usd is None else str(end.usd),
        },
    )


def entry_line(record: LaunchRecord, previous: str) -> bytes:
    """Return the line that says what is new of `record`: that it ended, else its run, else that it begins."""
    if record.end:
        return end_line(record.launch, record.run, record.end, previous)
    return run_line(record.launch, record.run, previous) if record.run else launch_line(record, previous)


def previous_of(line: bytes) -> str:
    """Return the digest that `line` names, whatever stands there if it is no entry."""
    return line[len(_OPENING) : _ENTRY_AT].decode("ascii", "replace")


def _line(entry: str, launch: str, previous: str, content: Mapping[str, Any]) -> bytes:
    if not _ID.fullmatch(launch):
        raise SettingsError(f"{launch!r} is not the id of a launch: 32 hexadecimal digits")
    first = {"format": _FORMAT, "previous": previous, "entry": entry, "launch": launch}
    # ASCII: no character of a name can end a line, and a text that is no Unicode can still be written.
    return json.dumps({**first, **content}, separators=(",", ":")).encode() + b"\n"


def read_lines(
    lines: Iterable[bytes], where: str, *, wanted: Wanted | None = None, noted: str | None = None
) -> Recorded:
    """Return what `lines`, with their line ends, tell; `where` names their place in faults.

    Every link of the chain is checked. `noted` is the digest of a line that has to be among them. With `wanted`,
    only launches with such a release are returned, and what others say is not looked at.
    """
    reader = _Reader(where, wanted, noted)
    for line in lines:
        reader.take(line)
    return reader.recorded()


class _Reader:
    def __init__(self, where: str, wanted: Wanted | None, noted: str | None) -> None:
        self._where = where
        self._wanted = wanted
        self._noted = None if noted in (None, START) else noted.encode()
        self._cut_off: list[str] = []
        self._known: dict[bytes, tuple[RecordedRelease, ...] | None] = {}
        self._launches: dict[bytes, tuple[Mapping[str, Any], tuple[RecordedRelease, ...]]] = {}
        self._runs: dict[bytes, JobRunId] = {}
        self._ends: dict[bytes, LaunchEnd] = {}
        self._faults: list[str] = []
        self._number = 0
        self._head = START.encode()
        self._expected = _OPENING + self._head

    def take(self, line: bytes) -> None:
        """Read the next line."""
        self._number += 1
        try:
            if line.startswith(self._expected) and line.endswith(_CLOSING):
                self._entry(line)
            else:
                self._odd(line)
        except json.JSONDecodeError:  # cut off where something in it was closed
            self._cut()
        except (KeyError, TypeError, ValueError, RecursionError, SettingsError) as e:
            said = f"{e.args[0]} is missing" if isinstance(e, KeyError) else str(e)
            self._fault(f"line {self._number} is no entry: {said[:200]}")
        self._head = head = hashlib.sha256(line).hexdigest().encode()
        self._expected = _OPENING + head
        if head == self._noted:
            self._noted = None

    def recorded(self) -> Recorded:
        """Return all that was read."""
        launches = (
            LaunchRecord(**begun, releases=releases, run=self._runs.get(id_), end=self._ends.get(id_))
            for id_, (begun, releases) in self._launches.items()
        )
        if self._noted:
            self._fault("lines were taken away at its end: the one that was written last is not there")
        return Recorded(
            launches=tuple(launches),
            faults=tuple(self._faults),
            cut_off=tuple(self._cut_off),
            entries=self._number,
            head=self._head.decode() if self._number else "",
        )

    def _odd(self, line: bytes) -> None:
        """Tell what is wrong with a line that is not written after the one before, or not to its end."""
        if not line.startswith(_OPENING):
            text = line.removesuffix(b"\n")
            if text and _OPENING.startswith(text):
                return self._cut()
            raise ValueError("it does not begin like one" if text else "it is empty")
        if len(line) > _ENTRY_AT and not line.startswith(self._expected):
            self._fault(
                f"line {self._number} was not written after the one that is before it now: one of them was "
                "changed, or lines were taken away, put in or moved"
            )
        if not line.endswith(_CLOSING):
            return self._cut()
        return self._entry(line)

    def _entry(self, line: bytes) -> None:
        if line.startswith(_LAUNCH, _ENTRY_AT):
            return self._launch(line)
        if line.startswith(_RUN, _ENTRY_AT):
            if (id_ := _id(line, _RUN_ID_AT)) in self._launches or self._wanted is None:
                self._runs[id_] = JobRunId(_text(_content(line), "run"))
        elif line.startswith(_END, _ENTRY_AT):
            if (id_ := _id(line, _END_ID_AT)) in self._launches or self._wanted is None:
                self._end(id_, _content(line))
        else:
            raise ValueError("it tells neither a launch, nor its run, nor its end")
        return None

    def _launch(self, line: bytes) -> None:
        # Quotes within a text are escaped: these bytes can only be a name of the outermost object.
        head, _, tail = line.partition(_RELEASES)
        try:
            releases = self._known[tail]
        except KeyError:
            releases = self._known[tail] = self._asked(_releases(tail))
        id_ = _id(line, _LAUNCH_ID_AT)
        if releases is None:
            self._launches.pop(id_, None)
        else:
            self._launches[id_] = _begun(_content(head + _CLOSING)), releases

    def _asked(self, releases: tuple[RecordedRelease, ...]) -> tuple[RecordedRelease, ...] | None:
        return releases if self._wanted is None or any(map(self._wanted, releases)) else None

    def _end(self, id_: bytes, content: Mapping[str, Any]) -> None:
        if content["run"] is not None:
            self._runs[id_] = JobRunId(_text(content, "run"))
        self._ends[id_] = LaunchEnd(
            time=_time(content, "time"),
            state=None if content["state"] is None else JobRunState(content["state"]),
            cause=_text(content, "cause"),
            seconds={name: _number(value, name) for name, value in _object(content, "seconds").items()},
            dpu_hours=_decimal(content, "dpu-hours"),
            usd=_decimal(content, "usd"),
        )

    def _cut(self) -> None:
        self._cut_off.append(
            f"{self._where}: line {self._number} is cut off: whoever wrote it was killed, or the disk was full"
        )

    def _fault(self, sentence: str) -> None:
        self._faults.append(f"{self._where}: {sentence}")


def _id(line: bytes, begin: int) -> bytes:
    return line[begin : line.index(b'"', begin)]


def _content(text: bytes) -> Mapping[str, Any]:
    content = json.loads(str(text, "ascii"))
    if not isinstance(content, dict):
        raise TypeError("it is no JSON object")
    return content


def _begun(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a LaunchRecord is made of, as far as it is in `content`: one is made once all is known."""
    allowlist = content["allow-list-sha256"]
    arguments = _object(content, "arguments")
    _texts(list(arguments.values()), "arguments")
    return {
        "launch": _matching(_ID, content["launch"], "launch"),
        "job": _text(content, "job"),
        "glue_version": _text(content, "glue-version"),
        "request": tuple(_texts(content["request"], "request")),
        "lock_sha256": _matching(_SHA256, content["lock-sha256"], "lock-sha256"),
        "allowlist_sha256": None if allowlist is None else _matching(_SHA256, allowlist, "allow-list-sha256"),
        "arguments": arguments,
        "by": _text(content, "by"),
        "time": _time(content, "time"),
        "delivery": Delivery(content["delivery"]),
    }


def _releases(tail: bytes) -> tuple[RecordedRelease, ...]:
    releases = _object({"releases": json.loads(str(tail.removesuffix(_CLOSING), "ascii"))}, "releases")
    return tuple(_release(text, digests) for text, digests in releases.items())


def _release(text: str, digests: Any) -> RecordedRelease:
    project, _, version = text.partition("==")
    try:
        parsed = Version(version)
    except InvalidVersion as e:
        raise ValueError(f"releases: {text!r} is no release") from e
    return RecordedRelease(
        project=project_name(project),
        version=parsed,
        sha256=tuple(_matching(_SHA256, one, f"releases: {text}") for one in _texts(digests, f"releases: {text}")),
    )


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _time(content: Mapping[str, Any], name: str) -> datetime:
    time = datetime.fromisoformat(_text(content, name))
    if time.tzinfo is None:
        raise ValueError(f"{name}: {content[name]!r} has no offset from UTC")
    return time.astimezone(UTC)


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content[name]
    if not isinstance(value, str):
        raise TypeError(f"{name}: {value!r} is no text")
    return value


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{where}: {value!r} is no list of texts")
    return value


def _object(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name}: {value!r} is no object")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: {value!r} is no number")
    return value


def _decimal(content: Mapping[str, Any], name: str) -> Decimal | None:
    if content[name] is None:
        return None
    try:
        return Decimal(_text(content, name))
    except InvalidOperation as e:
        raise ValueError(f"{name}: {content[name]!r} is no number") from e


def _matching(pattern: re.Pattern[str], value: Any, where: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{where}: {value!r} does not match {pattern.pattern}")
    return value
