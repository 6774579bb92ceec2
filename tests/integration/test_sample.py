"""The settings, allow-list and lock of the sample agree with each other and with the library in the checkout."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from glue_pkgmgr.project import Project

CHECKOUT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def sample() -> Project:
    return Project.load(CHECKOUT / "glue-pkgmgr.toml", environ=os.environ, clock=lambda: NOW)


def test_the_lock_in_git_may_be_used() -> None:
    assert [locked.bundle for locked in sample().lock_check()] == ["taxi"]


def test_the_lock_in_git_names_the_wheel_that_the_sources_give(tmp_path: Path) -> None:
    # If this fails the library has changed: give it a new version, approve it, and lock again.
    made = sample().build(CHECKOUT / "glueutils", out=tmp_path / "dist")
    built = {file.filename: file.sha256 for file in made.files}
    assert [one for one in made.findings if one.level != "note"] == []
    [locked] = sample().lock_check()
    [pin] = [pin for pin in locked.lock.installed if pin.internal]
    assert {file.filename: file.sha256 for file in pin.files}.items() <= built.items()
