"""`withdraw` and `restore` on a real project; only CodeArtifact is a stand-in."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.cli.main import main
from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import recorded_launch
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.wiring import Wiring
from tests.fakes import FakeCodeArtifact
from tests.unit.verbs.locks import lock, pin

OURS, VERSION = project_name("glueutils"), Version("0.2.0")
RELEASE = "glueutils==0.2.0"
HELD = replace(lock(pin(RELEASE, internal=True), request=(RELEASE,)), minimum_age_days=7)
SETTINGS = """\
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "us-east-1"
store = "store"
repository = "approved"

[policy]
internal = ["glueutils"]

[bundles.taxi]
modules = ["glueutils==0.2.0"]
glue-version = "5.1"
"""
WITHDRAW = ("withdraw", RELEASE, "--reason", "deletes the table", "--by", "ann")


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
    (tmp_path / "allowlist.toml").write_text("# reviewed\n")
    (tmp_path / "locks").mkdir()
    assert main(["-q", "approve", RELEASE, "--by", "ann", "--reason", "why"]) == 0
    (tmp_path / "locks" / "taxi.glue-5.1.pylock.toml").write_text(lock_to_toml(HELD))
    fake = FakeCodeArtifact()
    fake.put("approved", "glueutils-0.2.0-py3-none-any.whl", "a" * 64)
    monkeypatch.setattr(Wiring, "codeartifact", fake)
    return fake


@pytest.fixture
def records(tmp_path):
    """Return a function that records launches of the lock, one each minute."""
    folder = RecordFolder(tmp_path / ".glue-pkgmgr" / "records")

    def launched(count):
        begin = datetime(2026, 11, 1, tzinfo=UTC)
        for number in range(count):
            made = recorded_launch(
                f"{number:032x}",
                "taxi-job",
                HELD,
                by="bob",
                time=begin + timedelta(minutes=number),
                delivery=Delivery.WHEELS,
            )
            folder.add(made)
            if number:
                folder.complete(made.launch, JobRunId(f"jr_{number}"))

    return launched


@pytest.fixture
def terminal(monkeypatch):
    def answer(text):
        stdin = io.StringIO(f"{text}\n")
        stdin.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", stdin)

    return answer


def status(repository):
    return repository.status.get(("approved", OURS, VERSION), Status.PUBLISHED)


def test_uses_are_shown_before_the_question_and_after_a_yes_it_is_withdrawn(
    repository, records, terminal, capsys, tmp_path
):
    records(2)
    terminal("y")
    capsys.readouterr()
    assert main(WITHDRAW) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "used by  which                             job       by   time (UTC)",
        "lock     taxi                              -         -    -",
        "run      jr_1                              taxi-job  bob  2026-11-01 00:01",
        "launch   00000000000000000000000000000000  taxi-job  bob  2026-11-01 00:00",
        "glueutils==0.2.0 withdrawn by ann: deletes the table",
        "their locks may not be used any more: taxi; lock another release",
        "runs under way go on; `glue-pkgmgr stop RUN` ends one",
    ]
    assert "withdraw glueutils==0.2.0?" in err
    assert "noted in allowlist.toml: commit it" in err
    assert status(repository) is Status.ARCHIVED
    assert "[[withdrawn]]" in (tmp_path / "allowlist.toml").read_text()


@pytest.mark.parametrize("answer", ["n", ""])
def test_after_a_no_nothing_is_changed(repository, terminal, capsys, tmp_path, answer):
    before = (tmp_path / "allowlist.toml").read_text()
    terminal(answer)
    assert main(WITHDRAW) == 0
    assert "glueutils==0.2.0 was not withdrawn" in capsys.readouterr().out
    assert (status(repository), (tmp_path / "allowlist.toml").read_text()) == (Status.PUBLISHED, before)


@pytest.mark.parametrize(
    ("options", "words"), [((), "no terminal to ask at; pass --yes"), (("--json",), "with --json nobody is asked")]
)
def test_without_anybody_to_ask_nothing_is_changed(repository, monkeypatch, capsys, options, words):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main([*options, *WITHDRAW]) == 2
    assert words in "".join(capsys.readouterr())
    assert status(repository) is Status.PUBLISHED


def test_as_json_everybody_who_uses_it_is_told(records, capsys):
    records(25)
    capsys.readouterr()
    assert main(["--json", *WITHDRAW, "--yes"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["release"], told["repository"], told["archived"], told["noted"]) == (
        RELEASE,
        "acme/approved",
        True,
        True,
    )
    assert told["withdrawal"]["reason"] == "deletes the table"
    assert (told["locks"], len(told["launches"])) == (["taxi"], 25)
    assert told["launches"][0]["run"] is None


def test_of_many_runs_the_latest_are_shown_and_the_others_counted(records, capsys):
    records(25)
    capsys.readouterr()
    assert main([*WITHDRAW, "--yes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["run", "jr_24"]
    assert [line.split() for line in lines if line.startswith("earlier")] == [
        ["earlier", "runs", "5", "-", "-", "-"]
    ]


def test_that_nobody_uses_it_is_said(tmp_path, capsys):
    (tmp_path / "locks" / "taxi.glue-5.1.pylock.toml").unlink()
    capsys.readouterr()
    assert main([*WITHDRAW, "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "no lock and no recorded run here uses glueutils==0.2.0",
        "glueutils==0.2.0 withdrawn by ann: deletes the table",
    ]


def test_withdrawing_again_tells_the_decision_that_counts(capsys):
    assert main([*WITHDRAW, "--yes"]) == 0
    capsys.readouterr()
    assert main(["withdraw", RELEASE, "--reason", "other", "--by", "bob", "--yes"]) == 0
    assert "was withdrawn already, by ann: deletes the table" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("release", "status_", "words"),
    [
        ("boto3==1.40.61", 2, "boto3 is not a project of ours"),
        ("glueutils", 2, "is not one release"),
        ("glueutils==9", 4, "does not hold glueutils==9; of glueutils it holds 0.2.0"),
    ],
)
@pytest.mark.parametrize("verb", ["withdraw", "restore"])
def test_what_cannot_be_withdrawn_or_restored_is_told_with_its_status(verb, release, status_, words, capsys):
    more = ["--reason", "why", "--by", "ann", "--yes"] if verb == "withdraw" else []
    assert main([verb, release, *more]) == status_
    assert words in capsys.readouterr().err


def test_a_reason_is_asked_for(capsys):
    assert main(["withdraw", RELEASE, "--yes"]) == 2
    assert "--reason" in capsys.readouterr().err


def test_a_refusal_of_the_repository_has_its_status(repository, capsys):
    repository.broken["status"] = RemoteError("not allowed")
    assert main([*WITHDRAW, "--yes"]) == 6
    assert "not allowed" in capsys.readouterr().err


def test_what_is_withdrawn_is_refused_by_check_lock_and_launch_until_it_is_restored(capsys):
    assert main([*WITHDRAW, "--yes"]) == 0
    why = "withdrawn by ann: deletes the table"
    capsys.readouterr()
    for words in (["check", RELEASE], ["lock", "--check"], ["approve", RELEASE, "--reason", "x", "--by", "ann"]):
        assert main(words) == 3
        assert why in " ".join("".join(capsys.readouterr()).split())
    assert main(["approvals"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("glueutils  ==0.2.0   ann")
    assert main(["restore", RELEASE]) == 0
    assert "glueutils==0.2.0 may be used again" in capsys.readouterr().out
    assert main(["check", RELEASE]) == 0
    assert main(["restore", RELEASE]) == 0
    assert "is not withdrawn: nothing to restore" in capsys.readouterr().out


def test_restore_tells_what_was_taken_back_as_json(capsys):
    main([*WITHDRAW, "--yes"])
    capsys.readouterr()
    assert main(["--json", "restore", RELEASE]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["published"], [one["withdrawn_by"] for one in told["withdrawals"]]) == (True, ["ann"])
