"""Records in S3: several writers, lost answers, refusals, and a copy that has to be worth its name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pytest
from botocore.config import Config

from glue_pkgmgr.adapters import record_bucket
from glue_pkgmgr.adapters.record_bucket import RecordBucket, copy_folder
from glue_pkgmgr.core.chain import START, digest
from glue_pkgmgr.core.job import JobRunId
from glue_pkgmgr.core.record import LaunchRecord
from glue_pkgmgr.core.record_lines import entry_line
from glue_pkgmgr.errors import RemoteError, SettingsError
from tests.integration.adapters.object_store import ObjectStore, object_store
from tests.unit.core.test_record import RECORD

PLACE = "s3://audit/team/"


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_bucket, "_MANY", 10)


def client(url: str, attempts: int = 1, read_seconds: float = 30) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="id",
        aws_secret_access_key="key",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=read_seconds,
            s3={"addressing_style": "path"},
        ),
    )


def bucket(store: ObjectStore, copy: Path, **more: Any) -> RecordBucket:
    return RecordBucket(PLACE, client(store.url), copy, **more)


def launch(number: int) -> LaunchRecord:
    return replace(RECORD, launch=f"{number:032x}")


def fill(store: ObjectStore, entries: int) -> None:
    """Put `entries` launches into the store, as if they had been recorded."""
    previous = START
    for number in range(1, entries + 1):
        line = entry_line(launch(number), previous)
        store.objects[f"team/launches/{number:012d}.json"] = line
        previous = digest(line)


def test_an_entry_is_an_encrypted_object_that_takes_the_place_of_none(store: ObjectStore, tmp_path: Path) -> None:
    records = bucket(store, tmp_path)
    records.add(RECORD)
    records.complete(RECORD.launch, JobRunId("jr_1"))
    assert sorted(store.objects) == ["team/launches/000000000001.json", "team/launches/000000000002.json"]
    puts = [headers for method, _, headers in store.seen if method == "PUT"]
    assert {(it["if-none-match"], it["x-amz-server-side-encryption"]) for it in puts} == {("*", "aws:kms")}
    assert len(store.seen) == 3  # the second entry of a process costs one request


def test_writers_at_once_make_one_chain(store: ObjectStore, tmp_path: Path) -> None:
    def write(writer: int) -> None:
        records = bucket(store, tmp_path / str(writer))
        for number in range(10):
            records.add(launch(100 * writer + number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = bucket(store, tmp_path / "reader").read()
    assert (found.warnings, found.entries) == ((), 40)
    assert {one.launch for one in found.launches} == {
        f"{100 * writer + number:032x}" for writer in range(4) for number in range(10)
    }


def test_an_answer_that_is_lost_makes_no_second_entry(store: ObjectStore, tmp_path: Path) -> None:
    lost = [500]
    store.after = lambda method, key: lost.pop() if lost else None
    records = RecordBucket(PLACE, client(store.url, attempts=2), tmp_path)
    records.add(RECORD)
    records.add(launch(2))
    assert len(store.asked("PUT")) == 3
    assert [one.launch for one in records.all()] == [RECORD.launch, f"{2:032x}"]


def test_a_conflict_is_tried_again(store: ObjectStore, tmp_path: Path) -> None:
    conflicts = [409]
    store.before = lambda method, key: conflicts.pop() if method == "PUT" and conflicts else None
    bucket(store, tmp_path).add(RECORD)
    assert len(store.objects) == 1


def test_a_writer_that_is_never_the_next_gives_up(store: ObjectStore, tmp_path: Path) -> None:
    store.before = lambda method, key: 412 if method == "PUT" else None
    waited: list[float] = []
    records = bucket(store, tmp_path, sleep=waited.append, now=lambda: 3.0 * len(waited))
    with pytest.raises(
        RemoteError, match=r"could not record a launch in s3://audit/team/launches/: for 30 s others"
    ):
        records.add(RECORD)
    assert len(waited) == 10
    assert max(waited) <= 1


@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_write_is_told(store: ObjectStore, tmp_path: Path, status: int) -> None:
    store.before = lambda method, key: status if method == "PUT" else None
    with pytest.raises(RemoteError, match="no job runs without a record: as told") as raised:
        bucket(store, tmp_path).add(RECORD)
    assert ("the caller needs s3:PutObject" in str(raised.value)) == (status == 403)


def test_a_refused_read_is_told(store: ObjectStore, tmp_path: Path) -> None:
    store.before = lambda method, key: 403
    with pytest.raises(RemoteError, match=r"could not list the records of launches.*needs s3:ListBucket"):
        bucket(store, tmp_path).read()
    fill(store, 1)
    store.before = lambda method, key: 403 if key else None
    with pytest.raises(RemoteError, match=r"could not read the records of launches.*needs s3:GetObject and kms"):
        bucket(store, tmp_path).read()


def test_a_place_that_does_not_answer_is_told(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="could not list the records"):
        RecordBucket(PLACE, client("http://127.0.0.1:1"), tmp_path).add(RECORD)

    ended = Event()
    store.before = lambda method, key: 500 if ended.wait(30) else None
    with pytest.raises(RemoteError, match=r"could not list the records.*[Rr]ead timeout"):
        RecordBucket(PLACE, client(store.url, read_seconds=0.5), tmp_path).read()
    ended.set()


def test_only_new_entries_are_fetched(store: ObjectStore, tmp_path: Path) -> None:
    fill(store, 35)
    assert bucket(store, tmp_path).read().entries == 35
    bucket(store, tmp_path / "writer").add(launch(36))
    store.seen.clear()
    found = bucket(store, tmp_path).read()
    assert (found.entries, found.warnings) == (36, ())
    assert [key for key in store.asked("GET") if key] == ["team/launches/000000000036.json"]


@pytest.mark.parametrize("entries", [1, 9, 10, 11, 20, 35, 200, 333])
def test_the_end_of_a_long_chain_is_found_in_a_few_questions(
    store: ObjectStore, tmp_path: Path, entries: int
) -> None:
    fill(store, entries)
    bucket(store, tmp_path).add(launch(entries + 1))
    assert f"team/launches/{entries + 1:012d}.json" in store.objects
    assert len(store.seen) < 25


def test_what_a_killed_reader_has_left_is_fetched_again(store: ObjectStore, tmp_path: Path) -> None:
    fill(store, 3)
    bucket(store, tmp_path).read()
    with (tmp_path / "launches.jsonl").open("ab") as copy:
        copy.write(b'{"format":1,')
    fill(store, 5)
    assert (found := bucket(store, tmp_path).read()).entries == 5
    assert found.warnings == ()
    (tmp_path / "launches.jsonl").unlink()
    assert bucket(store, tmp_path).read() == found
    (tmp_path / "copied.json").write_text("garbage")
    assert bucket(store, tmp_path).read() == found


def test_entries_that_were_taken_away_are_missed(store: ObjectStore, tmp_path: Path) -> None:
    fill(store, 5)
    bucket(store, tmp_path / "a").read()
    del store.objects["team/launches/000000000003.json"]
    found = bucket(store, tmp_path / "b").read()
    assert "line 3 is no entry: it is empty" in found.faults[0]
    assert len(found.launches) == 4
    del store.objects["team/launches/000000000005.json"]
    found = bucket(store, tmp_path / "a").read()
    assert "entry 5 is not what it was when it was read before" in found.faults[0]
    assert len(found.launches) == 5  # what was read before is still known


def test_an_entry_that_was_replaced_is_found(store: ObjectStore, tmp_path: Path) -> None:
    fill(store, 3)
    store.objects["team/launches/000000000002.json"] = b"anything\nat all"
    found = bucket(store, tmp_path).read()
    assert "line 2 is no entry" in found.faults[0]
    assert "line 3 was not written after" in found.faults[1]
    assert found.entries == 3


def test_other_objects_there_do_no_harm(store: ObjectStore, tmp_path: Path) -> None:
    for name in ("0", "000000000000", "1.json", "a", "zzz/000000000009.json"):
        store.objects[f"team/launches/{name}"] = b"x"
    records = bucket(store, tmp_path)
    records.add(RECORD)
    assert (records.read().entries, records.read().warnings) == (1, ())


def test_a_place_that_was_emptied_begins_anew(store: ObjectStore, tmp_path: Path) -> None:
    fill(store, 3)
    bucket(store, tmp_path).read()
    store.objects.clear()
    bucket(store, tmp_path).add(RECORD)
    assert list(store.objects) == ["team/launches/000000000001.json"]
    assert "if the place was emptied on purpose, remove that" in bucket(store, tmp_path).read().faults[0]


def test_a_copy_that_cannot_be_kept_is_told(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot keep a copy of the records.*GLUE_PKGMGR_CACHE"):
        bucket(store, tmp_path / "file" / "copy").read()


def test_each_place_and_endpoint_has_its_own_copy(tmp_path: Path) -> None:
    folders = {
        copy_folder(tmp_path, url, endpoint)
        for url in ("s3://a/", "s3://b/")
        for endpoint in (None, "http://127.0.0.1:1")
    }
    assert len(folders) == 4
