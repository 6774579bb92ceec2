"""The commit of a folder, from real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.source_commit import source_commit

ENVIRON = {"PATH": os.environ["PATH"]}


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    environ = {**ENVIRON, "HOME": str(folder)}
    finished = subprocess.run(
        ["git", *who, *words], cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return finished.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_folder_is_at_the_commit_of_its_checkout(checkout: Path) -> None:
    commit = source_commit(checkout / "ours", ENVIRON)
    assert commit is not None
    assert (commit.id, commit.dirty) == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("ours/code.py", True),
        ("ours/new.py", True),
        ("ours/new.pyc", False),
        ("ours/dist/ours-1.0.tar.gz", False),
        ("theirs/code.py", False),
    ],
)
def test_changes_below_the_folder_make_it_dirty_but_those_of_builds(
    checkout: Path, name: str, dirty: bool
) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("y = 2\n")
    commit = source_commit(checkout / "ours", ENVIRON)
    assert commit is not None
    assert commit.dirty is dirty


def test_a_program_that_the_checkout_names_is_not_started(checkout: Path) -> None:
    git(checkout, "config", "core.fsmonitor", f"touch {checkout / 'started'}; false")
    assert source_commit(checkout / "ours", ENVIRON) is not None
    assert not (checkout / "started").exists()


def test_where_there_is_no_commit_there_is_none(tmp_path: Path, checkout: Path) -> None:
    git(checkout / "ours", "init", "-q")
    assert source_commit(checkout / "ours", ENVIRON) is None
    assert source_commit(Path("/"), ENVIRON) is None
    assert source_commit(tmp_path / "absent", ENVIRON) is None
    assert source_commit(checkout / "theirs", {"PATH": str(tmp_path)}) is None
