"""What `check`, `lock` and `approve --closure` tell, and their exit statuses."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.image import Break, Replacement
from glue_pkgmgr.core.lock_changes import changes
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError
from glue_pkgmgr.verbs.check import Checked, CheckedItem
from glue_pkgmgr.verbs.lock import Locked
from glue_pkgmgr.verbs.resolve import MissingApproval, Obstacle, Refusal
from tests.unit.verbs.locks import approval, lock, pin

ACME, DEP = map(project_name, ("acme", "dep"))
GLUE = glue_runtime("5.1")
(ITEM,) = parse_request("acme")
MISSING = MissingApproval(
    project=DEP,
    version=Version("1.0"),
    chain=(ACME, DEP),
    uploaded=datetime.now(UTC) - timedelta(days=40),
    licence="MIT",
    size=3 * 1024 * 1024,
)


class Answering:
    """Gives prepared answers, and remembers what it was asked for."""

    def __init__(self, *, checked=None, locked=(), missing=()):
        self.checked, self.locked, self.missing = checked, list(locked), tuple(missing)
        self.asked: dict[str, object] = {}

    def check(self, request, *, glue_version=None):
        self.asked = {"request": request, "glue_version": glue_version}
        return self.checked

    def lock(self, bundles=(), **asked):
        self.asked = {"bundles": bundles, **asked}
        return self.locked

    def lock_check(self, bundles=()):
        self.asked = {"bundles": bundles, "check": True}
        return self.locked

    def closure(self, request, *, glue_version=None):
        self.asked = {"closure": request, "glue_version": glue_version}
        return self.missing

    def approve(self, requests, **terms):
        self.asked = {"approve": list(requests), **terms}
        return [approval(request) for request in requests]


@pytest.fixture
def answer(monkeypatch):
    def use(**answers):
        project = Answering(**answers)
        monkeypatch.setattr(Session, "project", lambda self: project)
        return project

    return use


# check


def test_an_allowed_request_shows_every_release_and_what_it_replaces(answer, capsys):
    held = lock(pin("acme==1.0"), pin("idna==3.12", "b", ("acme",)))
    idna = project_name("idna")
    answer(
        checked=Checked(
            runtime=GLUE,
            items=(CheckedItem(item=ITEM, pin=held.pins[0], note="approval ends 2026-12-01, in 9 days"),),
            lock=held,
            replaced=(Replacement(project=idna, before=Version("3.11"), after=Version("3.12")),),
            warnings=("the approval of acme==1.0 ends 2026-12-01, in 9 days",),
        )
    )
    assert main(["check", "acme"]) == 0
    out, err = capsys.readouterr()
    assert "acme  yes       1.0      store  approval ends 2026-12-01, in 9 days  -" in out
    assert f"acme==1.0   store  py3-none-any  -     {'a' * 64}" in out
    assert "it replaces in the Glue image:\nproject  image  closure\nidna     3.11   3.12" in out
    assert err == "warning: the approval of acme==1.0 ends 2026-12-01, in 9 days\n"


def test_a_refused_item_is_shown_with_what_is_approved_instead(answer, capsys):
    refused = CheckedItem(item=ITEM, problem="no approval names acme", alternative="acme==1.0")
    answer(checked=Checked(runtime=GLUE, items=(refused,), failure=IndexAccessError("cannot reach the index")))
    assert main(["check", "acme"]) == 3
    out, err = capsys.readouterr()
    assert "acme  no        -        -     no approval names acme  acme==1.0" in out
    assert "the other items could not be looked at: cannot reach the index" in out
    assert err == "error: 1 of 1 items refused for Glue 5.1\n"


def test_the_command_for_what_is_missing_asks_for_no_name_that_is_never_approved(answer, capsys):
    mine, alike = parse_request("acme,my-libs")
    items = (
        CheckedItem(item=mine, problem="no approval names acme"),
        CheckedItem(item=alike, problem="easily taken", alternative="mylibs", taken_for_ours=True),
    )
    answer(checked=Checked(runtime=GLUE, items=items))
    assert main(["check", "acme,my-libs"]) == 3
    assert "glue-pkgmgr approve --closure acme,mylibs --reason" in capsys.readouterr().out


def refused(**why):
    return Checked(
        runtime=GLUE,
        items=(CheckedItem(item=ITEM),),
        refusal=Refusal(request=(ITEM,), glue_version="5.1", **why),
    )


def test_missing_approvals_are_a_table_with_the_command_below(answer, capsys):
    answer(checked=refused(missing=(MISSING,)))
    assert main(["check", "acme"]) == 3
    out, err = capsys.readouterr()
    assert "dep==1.0  acme       40 days  MIT      3.0 MB" in out
    assert 'approve what you want: glue-pkgmgr approve "dep==1.0" --reason …' in out
    assert err == "error: 1 release lacks an approval for Glue 5.1\n"


def test_obstacles_and_the_resolvers_words_are_shown(answer, capsys):
    obstacle = Obstacle(project=DEP, chain=(ACME, DEP), told="none can be chosen: 1.0: yanked")
    answer(checked=refused(obstacles=(obstacle,), explanation="No solution found"))
    assert main(["check", "acme"]) == 4
    out, err = capsys.readouterr()
    assert "dep      acme       none can be chosen: 1.0: yanked" in out
    assert "No solution found" in out
    assert err == "error: approved, but not installable on Glue 5.1\n"


def test_what_would_break_is_shown_with_the_way_out(answer, capsys):
    broken = Break(
        project=project_name("pandas"), version=Version("2.3.3"), requires="numpy<3", found=Version("3.0")
    )
    answer(checked=refused(breaks=(broken,)))
    assert main(["check", "acme"]) == 4
    out, _ = capsys.readouterr()
    assert "pandas==2.3.3  numpy<3   3.0" in out
    assert "`may-break`" in out


def test_everything_is_in_the_json_too(answer, capsys):
    answer(checked=refused(missing=(MISSING,)))
    assert main(["--json", "check", "acme"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["allowed"] is False
    (missing,) = told["refusal"]["missing"]
    assert (missing["project"], missing["chain"], missing["licence"]) == ("dep", ["acme", "dep"], "MIT")
    assert told["items"][0]["in_image"] is None


# lock


def locked(before, after, changed=True):
    return Locked(
        bundle="taxi", path=Path("taxi.pylock.toml"), lock=after, changed=changed, changes=changes(before, after)
    )


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"bundles": (), "upgrade": None, "glue_version": None, "dry_run": False}),
        (["taxi", "--upgrade"], {"bundles": ("taxi",), "upgrade": (), "glue_version": None, "dry_run": False}),
        (["--upgrade", "boto3"], {"bundles": (), "upgrade": ("boto3",), "glue_version": None, "dry_run": False}),
        (
            ["--upgrade", "a", "--upgrade", "b", "--dry-run"],
            {"bundles": (), "upgrade": ("a", "b"), "glue_version": None, "dry_run": True},
        ),
        (
            ["--glue-version", "6.0", "--dry-run"],
            {"bundles": (), "upgrade": None, "glue_version": "6.0", "dry_run": True},
        ),
        (["--check", "taxi"], {"bundles": ("taxi",), "check": True}),
    ],
)
def test_what_is_typed_reaches_the_project(answer, words, asked):
    project = answer(locked=[locked(None, lock(pin("acme==1.0")))])
    assert main(["lock", *words]) == 0
    assert project.asked == asked


def test_changes_are_a_table_unless_all_of_it_is_new(answer, capsys):
    before, after = lock(pin("acme==1.0"), pin("old==1.0")), lock(pin("acme==2.0"), pin("idna==3.11", ""))
    answer(locked=[locked(before, after)])
    main(["lock"])
    out, _ = capsys.readouterr()
    assert "changed in taxi.pylock.toml:" in out
    assert "acme     1.0     2.0           upgraded" in out
    assert "idna     -       3.11 (image)  added" in out
    answer(locked=[locked(None, after)])
    main(["lock"])
    assert "changed in" not in capsys.readouterr().out


def test_a_dry_run_says_would(answer, capsys):
    answer(locked=[locked(lock(pin("acme==1.0")), lock(pin("acme==2.0")))])
    main(["lock", "--dry-run"])
    assert "would change in taxi.pylock.toml:" in capsys.readouterr().out


def test_changes_are_in_the_json_too(answer, capsys):
    answer(locked=[locked(lock(pin("acme==1.0")), lock(pin("acme==2.0")))])
    main(["--json", "lock"])
    (told,) = json.loads(capsys.readouterr().out)["locks"]
    assert told["changes"] == [{"project": "acme", "before": "1.0", "after": "2.0", "change": "upgraded"}]


def test_checking_goes_with_nothing_that_resolves(answer, capsys):
    answer()
    assert main(["lock", "--check", "--upgrade"]) == 2
    assert "--check goes with no other option" in capsys.readouterr().err


# approve --closure


CLOSURE = ["approve", "--closure", "acme", "--by", "ann", "--reason", "why"]


def test_with_yes_everything_that_is_missing_is_approved_and_shown(answer, capsys):
    project = answer(missing=[MISSING])
    assert main([*CLOSURE, "--yes", "--until", "2099-01-01"]) == 0
    assert project.asked["approve"] == ["dep==1.0"]
    assert (project.asked["by"], project.asked["reason"], str(project.asked["until"])) == (
        "ann",
        "why",
        "2099-01-01",
    )
    out, _ = capsys.readouterr()
    assert "dep==1.0  acme       40 days  MIT      3.0 MB" in out


def test_without_a_terminal_nothing_is_approved_but_shown(answer, capsys):
    project = answer(missing=[MISSING])
    assert main(CLOSURE) == 2
    assert "approve" not in project.asked
    out, err = capsys.readouterr()
    assert "dep==1.0" in out
    assert "there is no terminal to ask at; pass --yes" in err


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 0), ("\n", 0), ("", 130)])
def test_at_a_terminal_a_person_decides(answer, monkeypatch, capsys, typed, status):
    project = answer(missing=[MISSING])
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(CLOSURE) == status
    assert ("approve" in project.asked) is (typed == "y\n")
    out, _ = capsys.readouterr()
    assert out.count("dep==1.0  acme") == 1


def test_nothing_missing_asks_nothing(answer, capsys):
    project = answer()
    assert main(CLOSURE) == 0
    assert "approve" not in project.asked
    assert "nothing to approve" in capsys.readouterr().out


def test_json_asks_nobody(answer, capsys):
    answer(missing=[MISSING])
    assert main(["--json", *CLOSURE]) == 2
    assert "pass --yes" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main(["--json", *CLOSURE, "--yes"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["project"] for one in told["added"]] == ["dep"]


def test_a_reason_is_required(answer, capsys):
    answer()
    assert main(["approve", "acme==1.0", "--by", "ann"]) == 2
    assert "Missing option '--reason'" in capsys.readouterr().err
