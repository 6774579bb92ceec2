"""`lock --sbom` on a real project with a lock; nothing is contacted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.project import Project
from tests.unit.cli.test_withdraw import HELD, RELEASE, SETTINGS

NAME = "taxi.glue-5.1.cdx.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
    (tmp_path / "allowlist.toml").write_text("")
    (tmp_path / "locks").mkdir()
    assert main(["-q", "approve", RELEASE, "--by", "ann", "--reason", "why"]) == 0
    releases = [(one.project, one.version) for one in HELD.pins]
    digest = Project.load(environ={}).approvals().digest(releases, glue_runtime("5.1"))
    held = replace(HELD, allowlist_sha256=digest)
    (tmp_path / "locks" / "taxi.glue-5.1.pylock.toml").write_text(lock_to_toml(held))
    capsys.readouterr()
    return tmp_path


def test_a_bill_of_each_lock_is_written_into_the_folder(folder, capsys):
    assert main(["lock", "--check", "--sbom", "sboms/new"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"bill of materials: sboms/new/{NAME}"
    before = (folder / "sboms" / "new" / NAME).read_bytes()
    assert json.loads(before)["specVersion"] == "1.6"
    assert main(["lock", "--check", "--sbom", "sboms/new"]) == 0
    assert (folder / "sboms" / "new" / NAME).read_bytes() == before


def test_json_tells_where_it_is_or_that_there_is_none(capsys):
    assert main(["--json", "lock", "--check", "--sbom", "sboms"]) == 0
    assert json.loads(capsys.readouterr().out)["locks"][0]["sbom"] == f"sboms/{NAME}"
    assert main(["--json", "lock", "--check"]) == 0
    assert json.loads(capsys.readouterr().out)["locks"][0]["sbom"] is None


def test_a_lock_that_may_not_be_used_gets_no_bill(folder):
    assert main(["revoke", "glueutils"]) == 0
    assert main(["lock", "--check", "--sbom", "sboms"]) == 3
    assert not (folder / "sboms").exists()


def test_a_dry_run_writes_no_bill(folder, capsys):
    assert main(["lock", "--dry-run", "--sbom", "sboms"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
    assert not (folder / "sboms").exists()


def test_a_folder_that_is_a_file_is_told(folder, capsys):
    (folder / "sboms").write_text("")
    assert main(["lock", "--check", "--sbom", "sboms"]) == 2
    assert "sboms" in capsys.readouterr().err


def test_the_text_is_had_from_python_too(folder):
    project = Project.load(environ={})
    path = project.write_sbom("taxi", folder / "sboms")
    assert path.read_text() == project.sbom("taxi")
