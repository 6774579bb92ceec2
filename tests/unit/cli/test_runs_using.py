"""`runs --using`, on records in a folder and with nothing to be reached."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.cli.main import main
from glue_pkgmgr.core.job import Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.record import LaunchEnd, recorded_launch
from tests.unit.verbs.locks import lock, pin

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
ENDS = [
    LaunchEnd(time=BEGIN, state=JobRunState.FAILED, cause="no space", usd=Decimal("0.44")),
    LaunchEnd(time=BEGIN, state=None, cause="no capacity"),
    None,
]
SETTINGS = """\
[codeartifact]
domain = "acme-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[records]
place = "audit"
"""


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """Return the file with four launches: failed, not started, not seen to its end, never accepted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
    folder = RecordFolder(tmp_path / "audit")
    held = lock(pin("acme==1.0", "a"), pin("boto3==1.40.61", ""))
    for number, end in enumerate([*ENDS, None]):
        made = recorded_launch(
            f"{number:032x}",
            "taxi-job",
            held,
            by="bob",
            time=BEGIN + timedelta(minutes=number),
            delivery=Delivery.WHEELS,
        )
        folder.add(made)
        run = JobRunId(f"jr_{number}") if number in (0, 2) else None
        if run or end:
            folder.add(replace(made, run=run, end=end))
    return tmp_path / "audit" / "launches.jsonl"


def test_every_launch_with_the_release_is_shown_newest_first(lines, capsys):
    assert main(["runs", "--using", "boto3<2,acme==1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "started (UTC)        by   job       run   release         from        outcome",
        "2026-11-01 00:03:00  bob  taxi-job  -     acme==1.0       repository  not accepted",
        "2026-11-01 00:03:00  bob  taxi-job  -     boto3==1.40.61  Glue image  not accepted",
        "2026-11-01 00:02:00  bob  taxi-job  jr_2  acme==1.0       repository  unknown",
        "2026-11-01 00:02:00  bob  taxi-job  jr_2  boto3==1.40.61  Glue image  unknown",
        "2026-11-01 00:01:00  bob  taxi-job  -     acme==1.0       repository  not started",
        "2026-11-01 00:01:00  bob  taxi-job  -     boto3==1.40.61  Glue image  not started",
        "2026-11-01 00:00:00  bob  taxi-job  jr_0  acme==1.0       repository  FAILED",
        "2026-11-01 00:00:00  bob  taxi-job  jr_0  boto3==1.40.61  Glue image  FAILED",
        "4 runs of taxi-job",
    ]


def test_programs_get_all_of_it(lines, capsys):
    assert main(["--json", "runs", "--using", "acme"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["using"], told["jobs"], told["warnings"]) == ("acme", ["taxi-job"], [])
    assert told["runs"][-1] == {
        "launch": "0" * 32,
        "job": "taxi-job",
        "run": "jr_0",
        "by": "bob",
        "time": "2026-11-01T00:00:00+00:00",
        "outcome": "FAILED",
        "cause": "no space",
        "usd": "0.44",
        "releases": [{"project": "acme", "version": "1.0", "from": "repository", "sha256": ["a" * 64]}],
    }


def test_nothing_found_is_told_and_no_failure(lines, capsys):
    assert main(["runs", "--using", "boto3<1.40"]) == 0
    assert capsys.readouterr().out == "no run on record has boto3<1.40\n"


def test_what_is_wrong_with_the_records_is_told_beside_the_answer(lines, capsys):
    lines.write_bytes(lines.read_bytes().replace(b'"by":"bob"', b'"by":"ann"', 1))
    assert main(["runs", "--using", "acme"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("4 runs of taxi-job\n")
    assert "warning: " in err
    assert "line 2 was not written after the one that is before it now" in err
    assert main(["--json", "runs", "--using", "acme"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


@pytest.mark.parametrize("request_", ["boto3 1.40", "https://x/", "-e .", ",", ""])
def test_what_is_no_request_is_refused(lines, capsys, request_):
    assert main(["runs", "--using", request_]) == 2
    assert "error: " in capsys.readouterr().err
