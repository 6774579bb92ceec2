"""The allow-list through the command line: real files, no processes but git's answer left out by `--by`."""

from __future__ import annotations

import json
import tomllib

import pytest

from glue_pkgmgr.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["-q", "init"]) == 0
    return tmp_path


@pytest.fixture
def approve(capsys):
    def approve(*words):
        status = main(["approve", "--by", "ann", "--reason", "reviewed", *words])
        return status, *capsys.readouterr()

    return approve


def approvals(folder):
    return tomllib.loads((folder / "allowlist.toml").read_text()).get("approvals", [])


def test_approve_writes_what_was_typed_and_shows_it(folder, approve):
    status, out, _ = approve("six==1.17.0", "--until", "2099-06-30", "--glue-version", "5.1")
    assert status == 0
    assert "six" in out
    assert approvals(folder)[0]["until"].isoformat() == "2099-06-30"
    assert approvals(folder)[0]["glue-versions"] == ["5.1"]


def test_approving_twice_says_that_nothing_was_added(folder, approve):
    approve("six==1.17.0")
    assert "nothing added" in approve("six==1.17.0")[1]
    assert len(approvals(folder)) == 1


def test_one_bad_request_adds_none(folder, approve):
    status, _, err = approve("six==1.17.0", "git+https://example.invalid/x")
    assert status == 2
    assert "git+https" in err
    assert approvals(folder) == []


def test_approvals_marks_what_has_expired(folder, approve, capsys):
    entry = 'project = "six"\nversions = "==1.17.0"\napproved-by = "ann"\nreason = "old"\nuntil = 2020-01-01\n'
    (folder / "allowlist.toml").write_text(f"[[approvals]]\n{entry}")
    approve("idna==3.11")
    assert main(["approvals"]) == 0
    six, idna = capsys.readouterr().out.splitlines()[1:]
    assert "2020-01-01 expired" in six
    assert "expired" not in idna
    assert main(["--json", "approvals"]) == 0
    assert [one["expired"] for one in json.loads(capsys.readouterr().out)["approvals"]] == [True, False]


def test_revoke_removes_and_shows(folder, approve, capsys):
    approve("six==1.17.0", "idna==3.11")
    capsys.readouterr()
    assert main(["--json", "revoke", "six"]) == 0
    assert [one["project"] for one in json.loads(capsys.readouterr().out)["removed"]] == ["six"]
    assert [one["project"] for one in approvals(folder)] == ["idna"]


def test_revoking_what_is_not_there_is_an_error(capsys):
    assert main(["revoke", "six"]) == 2
    assert "six has no approval" in capsys.readouterr().err


def test_exceptions_for_vulnerabilities_stand_below(folder, capsys):
    entry = 'vulnerability = "CVE-2026-1"\nproject = "six"\napproved-by = "ann"\nreason = "unreachable"\n'
    (folder / "allowlist.toml").write_text(f"[[exceptions]]\n{entry}until = 2020-01-01\n")
    assert main(["approvals"]) == 0
    assert "CVE-2026-1     six      ann  2020-01-01 expired  unreachable" in capsys.readouterr().out
    assert main(["--json", "approvals"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["exceptions"]
    assert (told["vulnerability"], told["expired"]) == ("CVE-2026-1", True)
