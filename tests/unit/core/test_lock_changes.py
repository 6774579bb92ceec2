from __future__ import annotations

from dataclasses import replace

from glue_pkgmgr.core.lock_changes import changes
from tests.unit.verbs.locks import lock, pin


def test_every_kind_of_change_is_told_by_project() -> None:
    before = lock(
        pin("down==2.0"),
        pin("files==1.0", "a"),
        pin("gone==1.0"),
        pin("inside==1.0"),
        pin("outside==1.0", ""),
        pin("same==1.0"),
        pin("up==1.0"),
    )
    after = lock(
        pin("added==1.0"),
        pin("down==1.0"),
        pin("files==1.0", "b"),
        pin("inside==1.0", ""),
        pin("outside==1.0"),
        pin("same==1.0"),
        pin("up==1.10"),
    )
    assert {one.project: one.told for one in changes(before, after)} == {
        "added": "added",
        "down": "downgraded",
        "files": "other files",
        "gone": "removed",
        "inside": "now in the Glue image",
        "outside": "no longer in the Glue image",
        "up": "upgraded",
    }
    assert [one.project for one in changes(before, after)] == sorted(one.project for one in changes(before, after))


def test_everything_is_added_where_there_was_no_lock_and_an_equal_one_changes_nothing() -> None:
    one = lock(pin("a==1.0"), pin("b==1.0", ""))
    assert [it.told for it in changes(None, one)] == ["added", "added"]
    assert changes(one, one) == ()


def test_who_wants_a_release_and_its_licence_are_no_change() -> None:
    one = lock(pin("a==1.0"))
    other = lock(replace(pin("a==1.0", wanted_by=("b",)), licence="MIT"))
    assert changes(one, other) == ()
