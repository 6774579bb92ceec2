from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from glue_pkgmgr.core.allowlist import EMPTY, Approval
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import NotApproved, SettingsError
from glue_pkgmgr.verbs.allowlist_file import read_allowlist
from glue_pkgmgr.verbs.approve import Terms, approve, revoke
from tests.unit.verbs.locks import settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allowlist.toml"


TODAY = date(2026, 11, 22)


def add(
    path: Path, *requests: str, until: date | None = None, glue: tuple[str, ...] = (), **terms: str
) -> list[Approval]:
    given = Terms(**{"by": "us", "reason": "why", "until": until, "glue_versions": glue, **terms})  # type: ignore[arg-type]
    rules = replace(settings(path.parent).policy, internal=frozenset({project_name("glueutils")}))
    return approve(requests, path, terms=given, policy=rules, today=TODAY)


def test_approvals_are_added_in_order_and_returned(path: Path) -> None:
    added = add(path, "Boto3==1.40.61", "numpy>=1.26,<2", until=date(2027, 1, 1), glue=("5.1",))
    assert [f"{one.project} {one.versions}" for one in added] == ["boto3 ==1.40.61", "numpy <2,>=1.26"]
    assert read_allowlist(path).approvals == tuple(added)
    assert path.read_text().startswith(EMPTY)


def test_an_equal_approval_is_not_added_again(path: Path) -> None:
    add(path, "boto3==1.0")
    before = path.read_bytes()
    assert add(path, "boto3==1.0", "boto3 == 1.0") == []
    assert path.read_bytes() == before
    assert len(add(path, "boto3==1.0", until=date(2027, 1, 1))) == 1


def test_what_is_no_character_is_not_written(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"allowlist\.toml is UTF-8; .* cannot be written there"):
        add(path, "boto3==1.0", reason="as agreed \udcff")
    assert not path.exists()


def test_of_many_who_edit_at_once_nobody_undoes_what_another_did(path: Path) -> None:
    names = [f"acme{n}" for n in range(40)]
    add(path, *(f"{name}==1.0" for name in names[:20]))
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(add, path, f"{name}==1.0") for name in names[20:]]
        jobs += [pool.submit(revoke, [name], path) for name in names[:20]]
        for job in jobs:
            job.result()
    assert sorted(one.project for one in read_allowlist(path).approvals) == sorted(names[20:])


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("boto3", "names no versions; approve for example 'boto3==1.2.3'"),
        ("boto3[crt]==1.0", "extras are requested, not approved; approve boto3 alone"),
        ("boto3==1.0\n", r"U\+000A"),
        ("boto3==1.\u0660", r"U\+0660"),
        ("boto3===latest", "'latest' is not a version"),
        ("-e .", "not a request item"),
    ],
)
def test_a_wrong_request_changes_nothing_not_even_for_the_others(path: Path, request_: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        add(path, "numpy==1.26.4", request_)
    assert not path.exists()


@pytest.mark.parametrize(("by", "reason", "glue"), [("", "why", ()), ("us", " ", ()), ("us", "why", ("7.7",))])
def test_author_reason_and_glue_version_are_checked_before_writing(
    path: Path, by: str, reason: str, glue: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError):
        add(path, "boto3==1.0", by=by, reason=reason, glue=glue)
    assert not path.exists()


def test_an_end_in_the_past_is_refused(path: Path) -> None:
    with pytest.raises(SettingsError, match="2026-11-21 is in the past: such an approval would never count"):
        add(path, "boto3==1.0", until=date(2026, 11, 21))
    assert len(add(path, "boto3==1.0", until=TODAY)) == 1


def test_a_look_alike_of_ours_is_refused_with_the_suggestion(path: Path) -> None:
    with pytest.raises(NotApproved, match="glue-utils is easily taken for our own glueutils; is that"):
        add(path, "glue_utils==1.0")
    with pytest.raises(SettingsError, match="did you mean glueutils"):
        add(path, "glueut\u0456ls==1.0")
    assert not path.exists()


def test_exceptions_are_written_with_their_reasons(path: Path) -> None:
    add(path, "acme==1.0", allow_young="CVE fix", allow_yanked="only the sdist", licence="mit")
    (one,) = read_allowlist(path).approvals
    assert (one.allow_young, one.allow_yanked, one.licence) == ("CVE fix", "only the sdist", "MIT")
    with pytest.raises(SettingsError, match="allow-young is an exception for one release"):
        add(path, "acme>=1.0", allow_young="CVE fix")


def test_windows_line_ends_of_the_file_survive(path: Path) -> None:
    path.write_bytes(b"# ours\r\n")
    add(path, "boto3==1.0")
    assert path.read_bytes().startswith(b"# ours\r\n\r\n[[approvals]]\r\n")
    revoke(["boto3"], path)
    assert path.read_bytes() == b"# ours\r\n"


def test_revoke_takes_all_approvals_of_a_project_or_one_by_its_versions(path: Path) -> None:
    add(path, "boto3==1.0", "numpy==1.26.4", "boto3==2.0")
    assert [str(one.versions) for one in revoke(["boto3==2.0"], path)] == ["==2.0"]
    assert [one.project for one in revoke(["Boto3", "numpy"], path)] == ["boto3", "numpy"]
    assert path.read_text() == EMPTY


def test_revoking_what_is_not_approved_changes_nothing_and_tells_what_is(path: Path) -> None:
    add(path, "boto3==1.0", "numpy==1.26.4")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=r"no approval matches 'boto3==2\.0'; approved are boto3==1\.0"):
        revoke(["numpy", "boto3==2.0"], path)
    with pytest.raises(SettingsError, match="pandas has no approval"):
        revoke(["pandas"], path)
    assert path.read_bytes() == before


def test_an_absent_or_unreadable_file_is_named(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no allow-list .*`glue-pkgmgr init`"):
        read_allowlist(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot read the allow-list"):
        read_allowlist(path)
    with pytest.raises(SettingsError, match=r"cannot write .*no-folder: No such file"):
        add(path.parent / "no-folder" / "allowlist.toml", "boto3==1.0")


def test_no_second_file_is_left_beside_the_allow_list(path: Path) -> None:
    add(path, "boto3==1.0")
    assert list(path.parent.iterdir()) == [path]


def test_an_allow_list_that_is_a_link_stays_one(path: Path) -> None:
    reviewed = path.parent / "reviewed" / "allowlist.toml"
    reviewed.parent.mkdir()
    reviewed.write_text(EMPTY)
    path.symlink_to(reviewed)
    added = add(path, "boto3==1.0")
    assert path.is_symlink()
    assert read_allowlist(reviewed).approvals == tuple(added)


def test_a_byte_order_mark_is_no_part_of_the_allow_list(path: Path) -> None:
    path.write_text(EMPTY, encoding="utf-8-sig")
    added = add(path, "boto3==1.0")
    assert read_allowlist(path).approvals == tuple(added)


def test_what_is_withdrawn_cannot_be_approved_before_it_is_restored(path: Path) -> None:
    path.write_text(
        '[[withdrawn]]\nproject = "glueutils"\nversions = "==0.2.0"\nwithdrawn-by = "ann"\nreason = "deletes"\n'
    )
    before = path.read_bytes()
    with pytest.raises(
        NotApproved, match=r"withdrawn by ann: deletes; .*`glue-pkgmgr restore glueutils==0\.2\.0`"
    ):
        add(path, "boto3==1.0", "glueutils==0.2.0")
    assert path.read_bytes() == before
    assert len(add(path, "glueutils==0.2.1", "glueutils>=0.1")) == 2
