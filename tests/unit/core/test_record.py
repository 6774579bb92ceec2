from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import (
    LaunchRecord,
    RecordedRelease,
    record_from_json,
    record_to_json,
    recorded_launch,
)
from glue_pkgmgr.errors import SettingsError
from tests.unit.verbs.locks import lock, pin

TIME = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)
LOCK = lock(pin("acme==1.0", "a"), pin("boto3==1.40.61", ""), request=("acme", "boto3"))
RECORD = recorded_launch("0123456789abcdef" * 2, "taxi-job", LOCK, by="ann", time=TIME, delivery=Delivery.WHEELS)

DIGESTS = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2).map(tuple)
RELEASES = st.builds(
    RecordedRelease,
    project=st.sampled_from(["acme", "a-b"]).map(project_name),
    version=st.sampled_from(["1.0", "2.0rc1", "1!2.0+local"]).map(Version),
    sha256=DIGESTS,
)
RECORDS = st.builds(
    LaunchRecord,
    launch=st.text("0123456789abcdef", min_size=32, max_size=32),
    job=st.text(),
    run=st.none() | st.text().map(JobRunId),
    glue_version=st.sampled_from(["5.1", "4.0"]),
    request=st.lists(st.text()).map(tuple),
    releases=st.lists(RELEASES).map(tuple),
    lock_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    by=st.text(),
    time=st.datetimes(timezones=st.just(UTC)),
    delivery=st.sampled_from(Delivery),
)


def test_a_record_tells_what_was_to_be_installed_and_from_which_lock() -> None:
    assert (RECORD.job, RECORD.run, RECORD.glue_version) == ("taxi-job", None, "5.1")
    assert RECORD.request == ("acme", "boto3")
    assert [(str(one), one.sha256) for one in RECORD.releases] == [
        ("acme==1.0", ("a" * 64,)),
        ("boto3==1.40.61", ()),
    ]
    assert RECORD.lock_sha256 == hashlib.sha256(lock_to_toml(LOCK).encode()).hexdigest()


def test_a_release_of_the_image_is_not_installed_from_the_repository() -> None:
    assert RECORD.installs(project_name("acme"), Version("1.0"))
    assert not RECORD.installs(project_name("acme"), Version("1.1"))
    assert not RECORD.installs(project_name("boto3"), Version("1.40.61"))


@given(RECORDS)
def test_what_is_written_is_read_back(record: LaunchRecord) -> None:
    assert record_from_json(record_to_json(record), "x") == record


def test_times_are_written_in_utc() -> None:
    elsewhere = replace(RECORD, time=TIME.astimezone(timezone(timedelta(hours=5))))
    assert record_to_json(elsewhere) == record_to_json(RECORD)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "its format is 2, known is 1"),
        ({"format": None}, "its format is None"),
        ({"launch": "xyz"}, "launch: 'xyz'"),
        ({"run": 5}, "run: 5 is no text"),
        ({"request": "acme"}, "request: 'acme' is no list"),
        ({"releases": [1]}, "releases: 1 is no object"),
        ({"releases": [{"project": "acme", "version": "1.0"}]}, "sha256 is missing"),
        ({"releases": [{"project": "acme", "version": "one", "sha256": []}]}, "one"),
        ({"releases": [{"project": "acme", "version": "1", "sha256": ["ab"]}]}, "releases: sha256: 'ab'"),
        ({"lock-sha256": "A" * 64}, "lock-sha256"),
        ({"time": "2026-11-22T12:00:00"}, "has no offset from UTC"),
        ({"time": 5}, "time: 5 is no text"),
        ({"delivery": "pigeon"}, "pigeon"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(change: dict[str, object], told: str) -> None:
    content = {**json.loads(record_to_json(RECORD)), **change}
    with pytest.raises(SettingsError, match=f"records/x.json is no record of a launch: .*{told}"):
        record_from_json(json.dumps(content), "records/x.json")


@pytest.mark.parametrize("missing", [name for name in json.loads(record_to_json(RECORD)) if name != "run"])
def test_a_record_that_lacks_something_is_refused(missing: str) -> None:
    content = json.loads(record_to_json(RECORD))
    del content[missing]
    with pytest.raises(SettingsError, match="is no record of a launch"):
        record_from_json(json.dumps(content), "x")


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_other_text_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(SettingsError):
        record_from_json(text, "x")
