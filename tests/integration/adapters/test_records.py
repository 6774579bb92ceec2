"""Records in a folder: killed writers, several at once, full disks, and hands that change lines."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from glue_pkgmgr.adapters import records as adapter
from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.job import JobRunId
from glue_pkgmgr.core.record import LaunchRecord
from glue_pkgmgr.errors import SettingsError
from tests.unit.core.test_record import RECORD

_ADD = """
import os, resource, signal, sys
from dataclasses import replace
from pathlib import Path
from glue_pkgmgr.adapters import records
from glue_pkgmgr.errors import SettingsError
from tests.unit.core.test_record import RECORD
folder = records.RecordFolder(Path(sys.argv[1]))
def add(number):
    folder.add(replace(RECORD, launch=f"{number:032x}"))
"""
_FOR_EVER = """
number = 0
while True:
    number += 1
    add(number)
    print(number, flush=True)
"""
_MANY = """
for number in range(40):
    add(1000 * int(sys.argv[2]) + number)
"""
_KILLED_IN_BETWEEN = """
def half(file, content):
    os.write(file, content[:int(sys.argv[2])])
    os.kill(os.getpid(), signal.SIGKILL)
records._write = half
add(2)
"""
_FULL = """
size = os.stat(folder._lines).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
try:
    add(2)
except SettingsError as e:
    sys.exit(str(e))
"""


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run `code` in a process, which is ended with the block."""
    command = [sys.executable, "-c", _ADD + code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=Path.cwd(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def launch(number: int) -> LaunchRecord:
    return replace(RECORD, launch=f"{number:032x}")


def ids(folder: RecordFolder) -> list[int]:
    return [int(one.launch, 16) for one in folder.all()]


@pytest.fixture
def folder(tmp_path: Path) -> RecordFolder:
    """A folder with one launch in it."""
    made = RecordFolder(tmp_path)
    made.add(launch(1))
    return made


def test_records_are_lines_of_one_file(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path / "a" / "records")
    folder.add(RECORD)
    folder.complete(RECORD.launch, JobRunId("jr_1"))
    lines = (tmp_path / "a" / "records" / "launches.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith('"boto3==1.40.61":[]}}')


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")
    with pytest.raises(SettingsError, match=r"cannot write the record of a launch, .*no job runs without"):
        RecordFolder(tmp_path / "records").add(RECORD)
    with pytest.raises(SettingsError, match="cannot read the records of launches"):
        RecordFolder(tmp_path / "records").read()


def test_what_is_no_file_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "launches.jsonl").symlink_to("/dev/full")
    with pytest.raises(SettingsError, match=r"cannot write the record of a launch, .*: Not a regular file"):
        RecordFolder(tmp_path).add(RECORD)


def test_a_full_disk_leaves_what_was_there(folder: RecordFolder, tmp_path: Path) -> None:
    before = (tmp_path / "launches.jsonl").read_bytes()
    with child(_FULL, tmp_path) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot write the record of a launch" in told
    assert "free some space" in told
    assert (tmp_path / "launches.jsonl").read_bytes() == before
    folder.add(launch(2))
    assert (ids(folder), folder.read().warnings) == ([1, 2], ())


@pytest.mark.parametrize("written", [1, 30, 120, 500])
def test_a_line_torn_by_a_kill_is_told_and_the_next_goes_on(
    folder: RecordFolder, tmp_path: Path, written: int
) -> None:
    with child(_KILLED_IN_BETWEEN, tmp_path, written) as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    torn = folder.read()
    assert (torn.faults, len(torn.cut_off), len(torn.launches)) == ((), 1, 1)
    folder.add(launch(3))
    found = folder.read()
    assert (found.faults, len(found.cut_off), ids(folder)) == ((), 1, [1, 3])
    assert "line 2 is cut off" in found.cut_off[0]


def test_whoever_reads_while_others_write_or_are_killed_finds_whole_records(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path)
    for _ in range(3):
        with child(_FOR_EVER, tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(20):
                assert folder.read().warnings == ()
            process.send_signal(signal.SIGKILL)
        found = folder.read()
        assert found.faults == ()
        assert len(found.cut_off) <= 3


def test_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    with child(_MANY, tmp_path, 1) as one, child(_MANY, tmp_path, 2) as other:
        assert (one.wait(timeout=60), other.wait(timeout=60)) == (0, 0)
    folder = RecordFolder(tmp_path)
    assert folder.read().warnings == ()
    assert sorted(ids(folder)) == [1000 * writer + number for writer in (1, 2) for number in range(40)]


def test_a_lock_that_is_never_released_is_told(
    folder: RecordFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PATIENCE", 0.05)
    with (tmp_path / "launches.jsonl").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ids(folder) == [1]  # who only reads waits for nobody
        with pytest.raises(SettingsError, match=r"another process has kept .* locked"):
            folder.add(RECORD)


def test_lines_taken_away_at_the_end_are_missed_for_ever(folder: RecordFolder, tmp_path: Path) -> None:
    lines = tmp_path / "launches.jsonl"
    for number in (2, 3):
        folder.add(launch(number))
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:1]))
    assert "lines were taken away at its end" in folder.read().faults[0]
    folder.add(launch(4))
    folder.add(launch(5))
    assert [("line 2 was not written after" in fault) for fault in folder.read().faults] == [True]
    assert ids(folder) == [1, 4, 5]


def test_a_file_that_was_removed_is_missed(folder: RecordFolder, tmp_path: Path) -> None:
    (tmp_path / "launches.jsonl").unlink()
    assert "lines were taken away" in folder.read().faults[0]
    folder.add(launch(2))
    assert "line 1 was not written after" in folder.read().faults[0]


@pytest.mark.parametrize("behind", [1, 3])
def test_a_note_of_the_end_that_is_behind_is_no_fault(folder: RecordFolder, tmp_path: Path, behind: int) -> None:
    noted = (tmp_path / "launches.head").read_bytes()
    for number in range(behind):
        folder.add(launch(2 + number))
    (tmp_path / "launches.head").write_bytes(noted)  # as after a kill, or a loss of power
    assert folder.read().warnings == ()
    folder.add(launch(9))
    assert (folder.read().warnings, ids(folder)[-1]) == ((), 9)


@pytest.mark.parametrize("noted", [None, b"", b"\xff\xff", b"garbage"])
def test_a_note_of_the_end_that_is_lost_is_no_fault(
    folder: RecordFolder, tmp_path: Path, noted: bytes | None
) -> None:
    (tmp_path / "launches.head").unlink()
    if noted is not None:
        (tmp_path / "launches.head").write_bytes(noted)
    assert folder.read().warnings == ()
    folder.add(launch(2))
    assert folder.read().warnings == ()


@pytest.mark.parametrize("garbage", [b"garbage\n", b"\n", b"\xff\x00", b"{}\n" * 3, b"x" * 200_000])
def test_lines_of_others_are_told_and_the_next_goes_on(
    folder: RecordFolder, tmp_path: Path, garbage: bytes
) -> None:
    with (tmp_path / "launches.jsonl").open("ab") as lines:
        lines.write(garbage)
    folder.add(launch(2))
    folder.add(launch(3))
    assert "line 2 is no entry" in folder.read().faults[0]
    assert ids(folder) == [1, 2, 3]


def test_whoever_asks_for_all_launches_is_told_what_is_wrong(folder: RecordFolder, tmp_path: Path) -> None:
    with (tmp_path / "launches.jsonl").open("ab") as lines:
        lines.write(b"garbage\n" * 9)
    told: list[str] = []
    assert len(RecordFolder(tmp_path, told.append).all()) == 1
    assert len(told) == 3
    assert "line 2 is no entry: it does not begin like one; see `glue-pkgmgr doctor`" in told[0]


def test_nothing_is_recorded_where_nothing_was_launched(tmp_path: Path) -> None:
    assert RecordFolder(tmp_path / "absent").all() == ()
    assert not (tmp_path / "absent").exists()
