from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.allowlist import EMPTY, parse_allowlist
from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import recorded_launch
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.errors import NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.verbs.withdraw import OwnRelease, Restored, Withdrawn, find, own_release, restore, uses, withdraw
from tests.fakes import FakeCodeArtifact
from tests.unit.verbs.locks import APPROVED, lock, pin

OURS, ONE, TWO = project_name("glueutils"), Version("0.1.0"), Version("0.2.0")
INTERNAL = frozenset({OURS})
TODAY = date(2026, 11, 24)
TEXT = f"{EMPTY}\n# the end\n"


@pytest.fixture
def repository() -> FakeCodeArtifact:
    fake = FakeCodeArtifact()
    for version in (ONE, TWO):
        fake.put("approved", f"glueutils-{version}-py3-none-any.whl", "a" * 64)
    return fake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "allowlist.toml"
    made.write_text(TEXT)
    return made


def found(repository: FakeCodeArtifact, version: Version = TWO) -> OwnRelease:
    return find((OURS, version), address=APPROVED, repositories=repository)


def take_back(
    repository: FakeCodeArtifact, path: Path, reason: str = "deletes the table", by: str = "ann"
) -> Withdrawn:
    return withdraw(
        found(repository),
        path,
        by=by,
        reason=reason,
        today=TODAY,
        repositories=repository,
        progress=repository.events.append,
    )


def give_back(repository: FakeCodeArtifact, path: Path) -> Restored:
    return restore(found(repository), path, repositories=repository, progress=lambda text: None)


def status(repository: FakeCodeArtifact, version: Version = TWO) -> Status:
    return repository.versions(APPROVED, OURS)[version]


def noted(path: Path) -> list[str]:
    return [f"{one.project}{one.versions} {one.why}" for one in parse_allowlist(path.read_text(), "x").withdrawn]


# Which release


def test_one_exact_release_of_ours_is_named() -> None:
    assert own_release("Glueutils == 0.2.0", INTERNAL) == (OURS, TWO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("glueutils", r"'glueutils' is not one release; write it as 'glueutils==1\.2\.3'"),
        ("glueutils>=0.2", "is not one release"),
        ("glueutils==0.2.*", "is not one release"),
        ("glueutils==0.2.0,!=0.1", "is not one release"),
        ("glueutils[x]==0.2.0", "is not one release"),
        ("boto3==1.0", "boto3 is not a project of ours; .* `glue-pkgmgr revoke boto3`.*mirror sync --prune"),
        ("-e .", "not a request item"),
    ],
)
def test_anything_else_is_refused_with_the_way_out(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        own_release(text, INTERNAL)


def test_a_release_that_is_not_there_is_told_with_those_that_are(repository: FakeCodeArtifact) -> None:
    with pytest.raises(
        NotInstallable, match=r"does not hold glueutils==9; of glueutils it holds 0\.1\.0, 0\.2\.0"
    ):
        found(repository, Version("9"))
    with pytest.raises(NotInstallable, match="of glueutils it holds no release"):
        found(FakeCodeArtifact())


def test_a_release_is_called_as_the_repository_calls_it(repository: FakeCodeArtifact) -> None:
    assert str(found(repository, Version("0.2"))) == "glueutils==0.2.0"


@pytest.mark.parametrize("gone", [Status.DISPOSED, Status.DELETED])
def test_a_release_without_files_is_gone_for_good(repository: FakeCodeArtifact, gone: Status) -> None:
    repository.status["approved", OURS, TWO] = gone
    with pytest.raises(NotInstallable, match=f"is {gone} in acme/approved: its files are gone"):
        found(repository)


# Who uses it


def test_uses_are_the_locks_that_install_it_and_the_launches_that_were_to() -> None:
    held = lock(pin("glueutils==0.2.0", internal=True), pin("acme==1.0"))
    launches = [
        replace(
            recorded_launch(
                f"{number:032x}",
                "job",
                used,
                by="ann",
                time=datetime(2026, 11, number, tzinfo=UTC),
                delivery=Delivery.WHEELS,
            ),
            run=JobRunId(f"jr_{number}"),
        )
        for number, used in enumerate((held, lock(pin("glueutils==0.1.0")), held), start=1)
    ]
    locks = {
        "taxi": held,
        "also": held,
        "old": lock(pin("glueutils==0.1.0")),
        "none": lock(pin("acme==1.0")),
        "image": lock(pin("glueutils==0.2.0", "")),
    }
    who = uses((OURS, TWO), locks=locks, launches=launches)
    assert who.bundles == ("also", "taxi")
    assert [one.run for one in who.launches] == ["jr_1", "jr_3"]


# Withdrawing


def test_a_release_is_archived_and_the_decision_noted_behind_what_stood_there(
    repository: FakeCodeArtifact, path: Path
) -> None:
    done = take_back(repository, path)
    assert (done.archived, done.noted) == (True, True)
    assert (status(repository), status(repository, ONE)) == (Status.ARCHIVED, Status.PUBLISHED)
    assert path.read_text() == (
        f'{TEXT}\n[[withdrawn]]\nproject = "glueutils"\nversions = "==0.2.0"\nwithdrawn-by = "ann"\n'
        'reason = "deletes the table"\non = 2026-11-24\n'
    )
    told = [event for event in repository.events if event.startswith(("archived", "noted"))]
    assert told == [
        "archived glueutils==0.2.0 in acme/approved: it cannot be downloaded any more",
        "noted in allowlist.toml: commit it, so that everybody is told",
    ]


def test_withdrawing_again_changes_nothing_and_keeps_the_first_decision(
    repository: FakeCodeArtifact, path: Path
) -> None:
    take_back(repository, path)
    before = path.read_bytes()
    again = take_back(repository, path, reason="another", by="bob")
    assert (again.archived, again.noted, again.withdrawal.why) == (False, False, "by ann: deletes the table")
    assert path.read_bytes() == before


def test_an_unlisted_release_is_archived_too(repository: FakeCodeArtifact, path: Path) -> None:
    repository.status["approved", OURS, TWO] = Status.UNLISTED
    assert take_back(repository, path).archived
    assert status(repository) is Status.ARCHIVED


def test_an_allow_list_is_made_where_there_is_none(repository: FakeCodeArtifact, path: Path) -> None:
    path.unlink()
    take_back(repository, path)
    assert noted(path) == ["glueutils==0.2.0 by ann: deletes the table"]


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("ann", " \n")])
def test_without_author_or_reason_nothing_is_changed(
    repository: FakeCodeArtifact, path: Path, by: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match="withdrawn-by and reason"):
        take_back(repository, path, reason, by)
    assert (status(repository), path.read_text()) == (Status.PUBLISHED, TEXT)


@pytest.mark.parametrize("text", ["not toml [", "withdrawn = []\n", '[[approvals]]\nproject = "x"\n'])
def test_an_allow_list_that_cannot_be_edited_is_found_before_anything_is_changed(
    repository: FakeCodeArtifact, path: Path, text: str
) -> None:
    path.write_text(text)
    with pytest.raises(SettingsError):
        take_back(repository, path)
    assert (status(repository), path.read_text()) == (Status.PUBLISHED, text)


# What an interruption leaves, and that a second call does the rest


def test_where_the_repository_refuses_the_allow_list_stays(repository: FakeCodeArtifact, path: Path) -> None:
    repository.broken["status"] = RemoteError("not allowed")
    with pytest.raises(RemoteError, match="not allowed"):
        take_back(repository, path)
    assert path.read_text() == TEXT
    repository.broken.clear()
    assert take_back(repository, path).noted


def test_a_withdrawal_whose_note_could_not_be_written_is_archived_and_finished_later(
    repository: FakeCodeArtifact, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("glue_pkgmgr.verbs.allowlist_file.write_whole", full)
        with pytest.raises(
            SettingsError, match=r"cannot write.*glueutils==0\.2\.0 is archived.*withdraw it again"
        ):
            take_back(repository, path)
    assert (status(repository), path.read_text()) == (Status.ARCHIVED, TEXT)
    again = take_back(repository, path)
    assert (again.archived, again.noted) == (False, True)


def test_a_status_that_somebody_changed_meanwhile_is_left(repository: FakeCodeArtifact, path: Path) -> None:
    seen = found(repository)
    repository.status["approved", OURS, TWO] = Status.DISPOSED
    with pytest.raises(RemoteError, match="is Disposed, expected was Published"):
        withdraw(
            seen, path, by="ann", reason="why", today=TODAY, repositories=repository, progress=lambda text: None
        )
    assert path.read_text() == TEXT


# Restoring


def test_restoring_reverses_both_to_the_byte(repository: FakeCodeArtifact, path: Path) -> None:
    take_back(repository, path)
    done = give_back(repository, path)
    assert (done.published, [one.reason for one in done.withdrawals]) == (True, ["deletes the table"])
    assert (status(repository), path.read_text()) == (Status.PUBLISHED, TEXT)


def test_restoring_what_is_not_withdrawn_changes_nothing(repository: FakeCodeArtifact, path: Path) -> None:
    done = give_back(repository, path)
    assert (done.published, done.withdrawals) == (False, ())
    path.unlink()
    assert give_back(repository, path).withdrawals == ()
    assert not path.exists()


def test_a_restore_that_was_interrupted_leaves_it_archived_and_is_finished_later(
    repository: FakeCodeArtifact, path: Path
) -> None:
    take_back(repository, path)
    repository.broken["status"] = RemoteError("the connection broke")
    with pytest.raises(RemoteError):
        give_back(repository, path)
    assert (status(repository), noted(path)) == (Status.ARCHIVED, [])
    repository.broken.clear()
    assert give_back(repository, path).published


def test_every_entry_of_the_release_goes_and_those_of_others_stay(
    repository: FakeCodeArtifact, path: Path
) -> None:
    entry = '[[withdrawn]]\nproject = "glueutils"\nversions = "=={}"\nwithdrawn-by = "b"\nreason = "c"\n\n'
    path.write_text("".join(map(entry.format, ("0.2.0", "0.1.0", "0.2"))))
    assert len(give_back(repository, path).withdrawals) == 2
    assert noted(path) == ["glueutils==0.1.0 by b: c"]


def test_an_entry_for_more_versions_is_left_to_people(repository: FakeCodeArtifact, path: Path) -> None:
    text = '[[withdrawn]]\nproject = "glueutils"\nversions = "<0.3"\nwithdrawn-by = "b"\nreason = "c"\n'
    path.write_text(text)
    repository.status["approved", OURS, TWO] = Status.ARCHIVED
    with pytest.raises(SettingsError, match=r"withdraws glueutils<0\.3, glueutils==0\.2\.0 among them"):
        give_back(repository, path)
    assert (status(repository), path.read_text()) == (Status.ARCHIVED, text)


@pytest.mark.parametrize("other", [Status.UNLISTED, Status.PUBLISHED])
def test_a_status_that_lets_it_be_downloaded_is_not_touched(
    repository: FakeCodeArtifact, path: Path, other: Status
) -> None:
    repository.status["approved", OURS, TWO] = other
    assert not give_back(repository, path).published
    assert status(repository) is other


Step = Callable[[FakeCodeArtifact, Path], object]


@pytest.mark.parametrize(
    "steps", [[take_back, give_back, take_back], [take_back, take_back, give_back, give_back]]
)
def test_both_may_follow_each_other_in_any_order(
    repository: FakeCodeArtifact, path: Path, steps: list[Step]
) -> None:
    for step in steps:
        step(repository, path)
    withdrawn = steps[-1] is take_back
    assert (status(repository) is Status.ARCHIVED) is withdrawn
    assert bool(noted(path)) is withdrawn
