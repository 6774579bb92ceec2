"""What `mirror sync` and `mirror verify` show, ask and answer; the project is a stand-in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from packaging.version import Version

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import recorded_launch
from glue_pkgmgr.errors import IndexAccessError, RemoteError, SettingsError
from glue_pkgmgr.verbs.mirrored import (
    Deviation,
    Incident,
    Mirrored,
    MirrorReport,
    Places,
    Presence,
    Unlocked,
)
from tests.unit.verbs.locks import APPROVED, NOW, STORE, lock, pin

PLACES = Places(store=STORE, approved=APPROVED)
FINE = MirrorReport(
    places=PLACES,
    entries=(
        Mirrored(pin=pin("a==1.0"), presence=Presence.COPIED),
        Mirrored(pin=pin("b==1.0"), presence=Presence.PRESENT),
    ),
)
LAUNCHES = tuple(
    replace(
        recorded_launch(f"{n:032x}", "taxi", lock(), by="ann", time=NOW, delivery=Delivery.INDEX),
        run=JobRunId(f"jr_{n}") if n else None,
    )
    for n in range(5)
)
OLD = Unlocked(project=project_name("old"), version=Version("1.0"), internal=False, used_by=LAUNCHES[:2])
OURS = Unlocked(project=project_name("ours"), version=Version("0.9"), internal=True)
UNLOCKED = replace(FINE, unlocked=(OLD, OURS))


def ended(presence: Presence, failure: Exception | None = None) -> MirrorReport:
    bad = Mirrored(pin=pin("c==1.0"), presence=presence, detail="because", failure=failure)
    return replace(FINE, entries=(*FINE.entries, bad))


class MirroringProject:
    """Answers with `report`, and remembers what was pruned."""

    def __init__(self) -> None:
        self.report = FINE
        self.asked: dict[str, bool] = {}
        self.pruned: list[str] = []

    def mirror_sync(self, **asked: bool) -> MirrorReport:
        self.asked = asked
        return self.report

    def mirror_verify(self) -> MirrorReport:
        return self.report

    def mirror_prune(self, releases: tuple[Unlocked, ...]) -> None:
        self.pruned += map(str, releases)


@pytest.fixture
def project(monkeypatch):
    made = MirroringProject()
    monkeypatch.setattr(Session, "project", lambda session: made)
    return made


@pytest.fixture
def terminal(monkeypatch):
    """Let stdin be a terminal that gives an answer."""

    def answers(text: str) -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: text)

    return answers


def test_what_was_brought_is_a_table(project, capsys):
    assert main(["mirror", "sync"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "release  approved repository  detail",
        "a==1.0   copied               -",
        "b==1.0   present              -",
    ]
    assert project.asked == {"every_bundle": False}


@pytest.mark.parametrize(
    ("report", "status", "told"),
    [
        (ended(Presence.MISSING), 4, "1 of 3 releases not there as locked"),
        (ended(Presence.DIFFERENT), 4, "1 of 3 releases not there as locked"),
        (ended(Presence.WITHDRAWN), 4, "1 of 3 releases not there as locked"),
        (
            ended(Presence.FAILED, RemoteError("denied")),
            6,
            "1 release could not be seen to; run mirror sync",
        ),
        (ended(Presence.FAILED, IndexAccessError("denied")), 5, "could not be seen to"),
        (replace(FINE, faults=(Deviation(where="approved", what="upstream"),)), 3, "does not keep out"),
        (
            replace(FINE, incidents=(Incident(pin=pin("a==1.0"), detail="x", outcome="removed again"),)),
            4,
            "1 incident of other bytes than locked",
        ),
    ],
)
def test_sync_ends_with_the_status_of_the_worst(project, capsys, report, status, told):
    project.report = report
    assert main(["mirror", "sync"]) == status
    shown = capsys.readouterr()
    assert told in shown.err
    assert "a==1.0" in shown.out


def test_incidents_and_faults_have_tables_of_their_own(project, capsys):
    project.report = replace(
        ended(Presence.DIFFERENT),
        incidents=(Incident(pin=pin("c==1.0"), detail="locked aa…, there ff…", outcome="removed again"),),
        faults=(Deviation(where="approved", what="upstream", detail="looks into store too"),),
    )
    assert main(["--json", "mirror", "sync"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["incidents"] == [
        {"release": "c==1.0", "detail": "locked aa…, there ff…", "outcome": "removed again"}
    ]
    assert [one["what"] for one in told["deviations"]] == ["upstream", "different bytes"]
    main(["mirror", "sync"])
    out = capsys.readouterr().out
    assert "c==1.0    removed again      locked aa…, there ff…" in out
    assert "approved  upstream       looks into store too" in out


def test_what_only_publish_can_bring_is_said_so(project, capsys):
    ours = Mirrored(pin=pin("ours==1.0", internal=True), presence=Presence.MISSING)
    project.report = replace(FINE, entries=(*FINE.entries, ours))
    assert main(["mirror", "sync"]) == 4
    told = "error: 1 of 3 releases not there as locked; `glue-pkgmgr publish` brings what is our own\n"
    assert capsys.readouterr().err.endswith(told)
    assert main(["mirror", "verify"]) == 3
    assert capsys.readouterr().err.endswith("see publish, mirror sync\n")


def test_verify_ends_with_3_for_any_deviation(project, capsys):
    assert main(["mirror", "verify"]) == 0
    project.report = UNLOCKED
    assert main(["mirror", "verify"]) == 3
    assert "1 deviation from locks and settings" in capsys.readouterr().err
    project.report = replace(UNLOCKED, unlocked=(OURS,))
    assert main(["mirror", "verify"]) == 0


def test_nothing_locked_is_said(project, capsys):
    project.report = MirrorReport(places=PLACES, entries=())
    assert main(["mirror", "sync"]) == 0
    assert "no locked release is to be installed" in capsys.readouterr().out


def test_what_no_lock_names_is_listed_with_the_runs_that_used_it_and_kept(project, capsys):
    project.report = UNLOCKED
    assert main(["mirror", "sync"]) == 0
    out = capsys.readouterr().out
    assert f"old==1.0    others   jr_1 of taxi, 2026-11-22; {LAUNCHES[0].launch} of taxi, 2026-11-22" in out
    assert "ours==0.9   our own  -" in out
    assert project.pruned == []


def test_many_launches_are_counted_in_the_table_and_told_whole_as_json(project, capsys):
    project.report = replace(FINE, unlocked=(replace(OLD, used_by=LAUNCHES),))
    main(["mirror", "sync"])
    assert "jr_4 of taxi, 2026-11-22; jr_3 of taxi, 2026-11-22; jr_2 of taxi, 2026-11-22; 2 more" in (
        capsys.readouterr().out
    )
    main(["--json", "mirror", "sync"])
    (told,) = json.loads(capsys.readouterr().out)["unlocked"]
    assert [one["run"] for one in told["used_by"]] == [None, "jr_1", "jr_2", "jr_3", "jr_4"]
    assert told["pruned"] is False


# --prune


def test_without_a_terminal_pruning_needs_yes_and_nothing_is_begun(project, capsys):
    project.report = UNLOCKED
    assert main(["mirror", "sync", "--prune"]) == 2
    assert "pass --yes" in capsys.readouterr().err
    assert (project.asked, project.pruned) == ({}, [])


def test_pruning_deletes_what_others_made_and_never_our_own(project, capsys):
    project.report = UNLOCKED
    assert main(["--json", "mirror", "sync", "--prune", "--yes"]) == 0
    assert project.asked == {"every_bundle": True}
    assert project.pruned == ["old==1.0"]
    told = json.loads(capsys.readouterr().out)["unlocked"]
    assert {one["release"]: one["pruned"] for one in told} == {"old==1.0": True, "ours==0.9": False}


@pytest.mark.parametrize(("answer", "pruned"), [("y", ["old==1.0"]), ("n", []), ("", [])])
def test_on_a_terminal_it_asks_after_the_table(project, capsys, terminal, answer, pruned):
    project.report = UNLOCKED
    terminal(answer)
    assert main(["mirror", "sync", "--prune"]) == 0
    assert "old==1.0" in capsys.readouterr().out
    assert project.pruned == pruned


def test_nothing_to_prune_asks_nothing(project, terminal):
    terminal("must not be asked")
    assert main(["mirror", "sync", "--prune"]) == 0
    assert project.pruned == []


def test_what_was_not_seen_to_is_no_reason_to_prune_less(project):
    project.report = replace(ended(Presence.MISSING), unlocked=(OLD,))
    assert main(["mirror", "sync", "--prune", "--yes"]) == 4
    assert project.pruned == ["old==1.0"]


def test_a_bundle_without_a_lock_refuses_to_prune(project, monkeypatch):
    def refuse(**asked: bool) -> MirrorReport:
        raise SettingsError("no lock of taxi")

    monkeypatch.setattr(project, "mirror_sync", refuse)
    assert main(["mirror", "sync", "--prune", "--yes"]) == 2
    assert project.pruned == []


def test_yes_without_prune_is_a_slip(project, capsys):
    assert main(["mirror", "sync", "--yes"]) == 2
    assert "say --prune too" in capsys.readouterr().err
    assert project.asked == {}
