from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.chain import START, digest
from glue_pkgmgr.core.job import Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, Recorded, RecordedRelease
from glue_pkgmgr.core.record_lines import end_line, entry_line, launch_line, previous_of, read_lines, run_line
from glue_pkgmgr.errors import SettingsError
from tests.unit.core.test_record import RECORD, TIME

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
RELEASES = st.builds(
    RecordedRelease,
    project=st.sampled_from(["acme", "a-b"]).map(project_name),
    version=st.sampled_from(["1.0", "2.0rc1", "1!2.0+local"]).map(Version),
    sha256=st.lists(DIGESTS, max_size=2).map(tuple),
)
NUMBERS = st.none() | st.decimals(0, 10**6, places=4)
ENDS = st.builds(
    LaunchEnd,
    time=st.datetimes(timezones=st.just(UTC)),
    state=st.none() | st.sampled_from(JobRunState),
    cause=st.text(max_size=20),
    seconds=st.dictionaries(st.text(max_size=5), st.floats(0, 1e6), max_size=3),
    dpu_hours=NUMBERS,
    usd=NUMBERS,
)
ODD = st.text() | st.sampled_from(["\ud800", '","releases":{', '"}\n', "\x00\u2028"])
LAUNCH_IDS = st.sampled_from(["0" * 32, "a" * 32, "a" * 32 + "-2", "f" * 31 + "0"])
RECORDS = st.builds(
    LaunchRecord,
    launch=LAUNCH_IDS,
    job=ODD,
    run=st.none() | ODD.filter(bool).map(JobRunId),
    glue_version=st.sampled_from(["5.1", "4.0"]),
    request=st.lists(ODD, max_size=3).map(tuple),
    releases=st.lists(RELEASES, max_size=3, unique_by=str).map(tuple),
    lock_sha256=DIGESTS,
    allowlist_sha256=st.none() | DIGESTS,
    arguments=st.dictionaries(ODD, ODD, max_size=3),
    by=ODD,
    time=st.datetimes(timezones=st.just(UTC)),
    delivery=st.sampled_from(Delivery),
    end=st.none() | ENDS,
)


def states(record: LaunchRecord) -> list[LaunchRecord]:
    """Return what is added of a record, one after the other."""
    begun = replace(record, run=None, end=None)
    accepted = [replace(begun, run=record.run)] if record.run else []
    return [begun, *accepted, *([record] if record.end else [])]


def chained(records: Sequence[LaunchRecord]) -> list[bytes]:
    lines: list[bytes] = []
    for record in records:
        lines.append(entry_line(record, digest(lines[-1]) if lines else START))
    return lines


LAUNCHES = st.lists(RECORDS, min_size=1, max_size=4, unique_by=lambda it: it.launch)


@given(LAUNCHES)
def test_what_is_written_is_read_back_in_its_order(launches: list[LaunchRecord]) -> None:
    lines = chained([state for launch in launches for state in states(launch)])
    found = read_lines(lines, "x", noted=digest(lines[-1]))
    assert found.launches == tuple(launches)
    assert (found.warnings, found.entries, found.head) == ((), len(lines), digest(lines[-1]))
    assert all(line.isascii() and line.count(b"\n") == 1 for line in lines)


@given(LAUNCHES)
def test_only_launches_with_a_wanted_release_are_told_as_if_all_had_been_read(
    launches: list[LaunchRecord],
) -> None:
    def wanted(release: RecordedRelease) -> bool:
        return release.project == "acme" and bool(release.sha256)

    lines = chained([state for launch in launches for state in states(launch)])
    found = read_lines(lines, "x", wanted=wanted)
    assert found.launches == tuple(one for one in launches if any(map(wanted, one.releases)))
    assert found.faults == ()


def test_no_line_is_no_launch() -> None:
    assert read_lines([], "x") == Recorded()


def test_times_are_written_in_utc() -> None:
    elsewhere = replace(RECORD, time=TIME.astimezone(timezone(timedelta(hours=5))))
    assert launch_line(elsewhere, START) == launch_line(RECORD, START)


def test_a_line_names_the_sha256_of_the_one_before_as_sha256sum_tells_it() -> None:
    first, second = chained(states(replace(RECORD, run=JobRunId("jr_1"))))
    assert json.loads(second)["previous"] == hashlib.sha256(first).hexdigest() == previous_of(second)


def test_an_entry_for_a_launch_recorded_elsewhere_is_no_fault() -> None:
    assert read_lines([run_line("b" * 32, JobRunId("jr_1"), START)], "x").warnings == ()


def test_users_in_urls_are_not_kept_in_a_cause() -> None:
    end = LaunchEnd(time=TIME, state=JobRunState.FAILED, cause="pip: https://aws:secret@host/ answered 401")
    line = end_line("a" * 32, JobRunId("jr_1"), end, START)
    assert b"secret" not in line
    assert b"https://****@host/ answered 401" in line


@pytest.mark.parametrize("launch", ["", "a" * 31, "A" * 32, "a" * 32 + "\n", '"' * 32])
def test_what_is_no_launch_id_is_not_written(launch: str) -> None:
    with pytest.raises(SettingsError, match="not the id of a launch"):
        launch_line(replace(RECORD, launch=launch), START)


# what was changed is found

LINES = chained(
    [
        state
        for digit in "abcde"
        for state in states(
            replace(
                RECORD,
                launch=digit * 32,
                run=JobRunId(f"jr_{digit}"),
                end=LaunchEnd(time=TIME, state=JobRunState.SUCCEEDED),
            )
        )
    ]
)
PLACES = st.integers(0, len(LINES) - 1)


def changed(lines: Sequence[bytes], place: int, how: bytes) -> list[bytes]:
    return [*lines[:place], how, *lines[place + 1 :]]


def everything(lines: Sequence[bytes]) -> Recorded:
    return read_lines(lines, "x", noted=digest(LINES[-1]))


@given(PLACES, st.data())
def test_a_changed_byte_is_found(place: int, data: st.DataObject) -> None:
    line = LINES[place]
    at = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda it: it not in (line[at], 10)))
    assert everything(changed(LINES, place, line[:at] + bytes([byte]) + line[at + 1 :])).faults


@given(st.sets(PLACES, min_size=1))
def test_removed_lines_are_found_also_at_the_end(places: set[int]) -> None:
    assert everything([line for place, line in enumerate(LINES) if place not in places]).faults


@given(PLACES, PLACES)
def test_two_lines_that_changed_places_are_found(one: int, other: int) -> None:
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    assert bool(everything(lines).faults) == (one != other)


@given(st.integers(0, len(LINES)), PLACES | st.binary(max_size=20).map(lambda it: it.replace(b"\n", b"") + b"\n"))
def test_a_line_put_in_is_found(place: int, what: int | bytes) -> None:
    line = LINES[what] if isinstance(what, int) else what
    found = everything([*LINES[:place], line, *LINES[place:]])
    assert found.faults
    assert {one.launch for one in found.launches} == {digit * 32 for digit in "abcde"}


@given(PLACES)
def test_a_line_written_anew_with_its_right_link_is_found_by_the_next(place: int) -> None:
    forged = launch_line(replace(RECORD, launch="9" * 32), previous_of(LINES[place]))
    assert everything(changed(LINES, place, forged)).faults


@given(st.data())
def test_a_line_that_was_cut_off_is_told_and_the_chain_goes_on(data: st.DataObject) -> None:
    place = data.draw(PLACES)
    length = data.draw(st.integers(1, len(LINES[place]) - 2))
    before = LINES[:place]
    cut = LINES[place][:length] + b"\n"
    after = launch_line(replace(RECORD, launch="9" * 32), digest(cut))
    found = read_lines([*before, cut, after], "x")
    assert found.faults == ()
    assert found.cut_off == (f"x: line {place + 1} is cut off: whoever wrote it was killed, or the disk was full",)
    assert found.launches[-1].launch == "9" * 32


# what is no entry


def edited(change: Callable[[dict[str, object]], object], line: bytes = LINES[0]) -> bytes:
    content = json.loads(line)
    change(content)
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "does not begin like one"),
        ({"entry": "lunch"}, "neither a launch"),
        ({"launch": "xyz"}, "launch: 'xyz'"),
        ({"request": "acme"}, "request: 'acme' is no list"),
        ({"request": [1]}, "request: .* is no list of texts"),
        ({"releases": []}, "releases: .* is no object"),
        ({"releases": {"acme": []}}, "'acme' is no release"),
        ({"releases": {"acme==one": []}}, "'acme==one' is no release"),
        ({"releases": {"==1": []}}, "''"),
        ({"releases": {"acme==1": {}}}, "releases: acme==1: {} is no list of texts"),
        ({"releases": {"acme==1": ["ab"]}}, "releases: acme==1: 'ab' does not match"),
        ({"lock-sha256": "A" * 64}, "lock-sha256"),
        ({"allow-list-sha256": 5}, "allow-list-sha256"),
        ({"arguments": []}, "arguments"),
        ({"arguments": {"A": 1}}, "arguments"),
        ({"time": "2026-11-22T12:00:00"}, "has no offset from UTC"),
        ({"time": 5}, "time: 5 is no text"),
        ({"delivery": "pigeon"}, "pigeon"),
    ],
)
def test_a_launch_that_is_none_is_told_with_its_place(change: dict[str, object], told: str) -> None:
    found = read_lines([edited(lambda content: content.update(change)), LINES[0]], "x")
    assert found.launches == (replace(RECORD, launch="a" * 32),)
    with pytest.raises(AssertionError, match=f"x: line 1 is no entry: .*{told}"):
        raise AssertionError(found.faults[0])


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (1, {"run": 5}),
        (2, {"run": 5}),
        (2, {"state": "LOST"}),
        (2, {"seconds": {"ran": "long"}}),
        (2, {"usd": 0.44}),
        (2, {"usd": "much"}),
        (2, {"time": None}),
    ],
)
def test_what_is_no_run_or_end_is_told_and_the_launch_stays(line: int, change: dict[str, object]) -> None:
    lines = changed(LINES[:3], line, edited(lambda content: content.update(change), LINES[line]))
    found = read_lines(lines, "x")
    assert [one.launch for one in found.launches] == ["a" * 32]
    assert any(f"x: line {line + 1} is no entry" in fault for fault in found.faults)


@pytest.mark.parametrize("place", range(3))
def test_an_entry_that_lacks_something_is_told(place: int) -> None:
    for name in json.loads(LINES[place]):
        missing = edited(lambda content, name=name: content.pop(name), LINES[place])  # type: ignore[misc]
        assert read_lines(changed(LINES[:3], place, missing), "x").warnings, name


@given(st.lists(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_other_text_is_told_and_nothing_is_raised(texts: list[str]) -> None:
    lines = [text.encode("utf-8", "replace").replace(b"\n", b"") + b"\n" for text in texts]
    found = read_lines(lines, "x")
    assert found.launches == ()
    assert len(found.warnings) >= len(lines)


def test_a_clock_that_goes_back_changes_no_order() -> None:
    earlier = replace(RECORD, launch="b" * 32, time=TIME - timedelta(days=9))
    assert [one.launch for one in read_lines(chained([RECORD, earlier]), "x").launches] == [
        RECORD.launch,
        earlier.launch,
    ]
