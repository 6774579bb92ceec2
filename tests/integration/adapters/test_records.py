from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.job import JobRunId
from glue_pkgmgr.core.record import record_to_json
from glue_pkgmgr.errors import SettingsError
from tests.unit.core.test_record import RECORD

_WRITE_FOR_EVER = """
import sys
from pathlib import Path
from glue_pkgmgr.adapters.records import RecordFolder
from tests.unit.core.test_record import RECORD
folder = RecordFolder(Path(sys.argv[1]))
while True:
    folder.add(RECORD)
"""


def test_a_record_is_one_file_named_by_time_and_launch(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path / "a" / "records")
    folder.add(RECORD)
    folder.add(replace(RECORD, run=JobRunId("jr_1")))
    (file,) = (tmp_path / "a" / "records").iterdir()
    assert file.name == f"20261122T123015Z-{RECORD.launch}.json"
    assert file.read_text() == record_to_json(replace(RECORD, run=JobRunId("jr_1")))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")
    with pytest.raises(SettingsError, match=r"cannot write the record of a launch, .*no job runs without"):
        RecordFolder(tmp_path / "records").add(RECORD)


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path)
    folder.add(RECORD)
    (tmp_path / "20990101T000000Z-x.json").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"20990101T000000Z-x\.json"):
        folder.all()
    (tmp_path / "20990101T000000Z-x.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"20990101T000000Z-x\.json is no record"):
        folder.all()


def test_a_writer_that_is_killed_leaves_a_whole_record_and_readers_none_that_is_half(tmp_path: Path) -> None:
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", _WRITE_FOR_EVER, str(tmp_path)], cwd=Path.cwd())
        try:
            deadline = time.monotonic() + 20
            while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
                time.sleep(0.01)
            for _ in range(20):
                assert RecordFolder(tmp_path).all() == [RECORD]
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert RecordFolder(tmp_path).all() == [RECORD]
