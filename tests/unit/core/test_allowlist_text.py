from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.allowlist import EMPTY, Approval, make_approval, parse_allowlist
from glue_pkgmgr.core.allowlist_text import (
    with_approval,
    with_withdrawal,
    without_approvals,
    without_withdrawals,
)
from glue_pkgmgr.core.withdrawal import Withdrawal, make_withdrawal
from glue_pkgmgr.errors import SettingsError

TEXT = """\
# The approvals of the platform team.   \t

# boto3: as the image has it
[[approvals]]
versions   =  '==1.40.61'     # aligned on purpose
project = "boto3"
approved-by = "data-platform"
reason = \"\"\"
Two lines, one of which looks like an entry:
[[approvals]]
# and one like a comment\"\"\"
until = 2027-06-30


# pandas
[[ "approvals" ]]  # odd, but TOML
project = "pandas"
versions = "~=2.2"
approved-by = "data-platform"
reason = "frames"

[[approvals]]
project = "boto3"
versions = "==1.41.0"
approved-by = "data-platform"
reason = "next"
# the end
"""


def one(project: str = "numpy", reason: str = "why") -> Approval:
    return make_approval(project, ">=1,<2", approved_by="us", reason=reason, until=date(2027, 1, 1))


def read(text: str) -> tuple[Approval, ...]:
    return parse_allowlist(text, "x").approvals


@pytest.mark.parametrize("text", ["", EMPTY, TEXT, TEXT.rstrip(), TEXT + "\n\n", TEXT.replace("\n", "\r\n")])
def test_an_added_approval_comes_last_and_the_text_before_stays_to_the_byte(text: str) -> None:
    edited = with_approval(text, one())
    assert edited.startswith(text)
    assert read(edited) == (*read(text), one())


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_reason_is_written_so_that_it_is_read_again(reason: str) -> None:
    if not reason.strip():
        return
    edited = with_approval(TEXT, one(reason=f"{reason}\n[[approvals]]\n"))
    assert read(edited)[-1].reason == f"{reason}\n[[approvals]]\n"
    assert without_approvals(edited, [3]).rstrip() == TEXT.rstrip()


def test_an_added_approval_looks_as_people_write_it() -> None:
    added = make_approval(
        "Numpy", "==1.26.4", approved_by="us", reason="why", until=date(2027, 1, 2), glue_versions=["5.1", "4.0"]
    )
    assert with_approval(EMPTY, added) == (
        f"{EMPTY}\n[[approvals]]\n"
        'project = "numpy"\nversions = "==1.26.4"\napproved-by = "us"\nreason = "why"\n'
        'until = 2027-01-02\nglue-versions = ["4.0", "5.1"]\n'
    )


def test_windows_line_ends_stay_and_are_used() -> None:
    edited = with_approval(EMPTY.replace("\n", "\r\n"), one())
    assert edited.count("\n") == edited.count("\r\n")


@pytest.mark.parametrize("text", [EMPTY, TEXT, TEXT.replace("\n", "\r\n")])
def test_removing_what_was_added_gives_the_text_back(text: str) -> None:
    count = len(read(text))
    assert without_approvals(with_approval(text, one()), [count]) == text


@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_a_removed_approval_takes_no_comment_with_it_that_stands_outside(gone: list[int]) -> None:
    before = read(TEXT)
    edited = without_approvals(TEXT, gone)
    assert read(edited) == tuple(entry for n, entry in enumerate(before) if n not in gone)
    for comment in ("# The approvals of the platform team.   \t\n", "# boto3: as", "# pandas\n", "# the end\n"):
        assert comment in edited
    kept = {0: "versions   =  '==1.40.61'     # aligned on purpose\n", 1: "# odd, but TOML\n"}
    assert all((line in edited) is (n not in gone) for n, line in kept.items())


ENTRY = '{project = "a", versions = "==1", approved-by = "b", reason = "c"}'


@pytest.mark.parametrize("text", ["approvals = []\n", f"approvals = [{ENTRY}, {ENTRY}]\n"])
def test_an_inline_list_is_read_but_not_edited(text: str) -> None:
    assert len(read(text)) == text.count("{")
    with pytest.raises(SettingsError, match=r"written as \[\[approvals\]\]"):
        with_approval(text, one())
    with pytest.raises(SettingsError, match=r"written as \[\[approvals\]\]"):
        without_approvals(text, [0])


EXCEPTION = """
# looked at again in spring
[[exceptions]]
vulnerability = "CVE-2026-1"
project = "pandas"
approved-by = "security"
reason = '''
not reachable:
[[exceptions]]
'''
until = 2027-03-31
"""


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_an_exception_beside_a_removed_approval_stays(position: int) -> None:
    parts = TEXT.split("# pandas", 1)
    text = f"{parts[0]}{EXCEPTION}\n\n# pandas{parts[1]}" if position < 3 else TEXT + EXCEPTION
    edited = without_approvals(text, [min(position, 2)])
    assert EXCEPTION.strip() in edited
    assert len(parse_allowlist(edited, "x").exceptions) == 1
    assert with_approval(edited, one()).startswith(edited)


def test_exceptions_of_an_approval_are_written_and_read_again() -> None:
    added = make_approval(
        "acme",
        "==1.0",
        approved_by="us",
        reason="why",
        allow_young="CVE fix",
        allow_yanked="only the sdist is bad",
        licence="mit",
    )
    text = with_approval(EMPTY, added)
    assert 'allow-young = "CVE fix"\nallow-yanked = "only the sdist is bad"\nlicence = "MIT"\n' in text
    assert read(text) == (added,)


def taken_back(version: str = "0.2.0", reason: str = "deletes the table") -> Withdrawal:
    return make_withdrawal("Glueutils", f"=={version}", withdrawn_by="ann", reason=reason, on=date(2026, 11, 22))


def withdrawn(text: str) -> tuple[Withdrawal, ...]:
    return parse_allowlist(text, "x").withdrawn


def test_an_added_withdrawal_looks_as_people_write_it() -> None:
    assert with_withdrawal(EMPTY, taken_back()) == (
        f"{EMPTY}\n[[withdrawn]]\n"
        'project = "glueutils"\nversions = "==0.2.0"\nwithdrawn-by = "ann"\nreason = "deletes the table"\n'
        "on = 2026-11-22\n"
    )


@pytest.mark.parametrize("text", ["", EMPTY, TEXT, TEXT + EXCEPTION, TEXT.replace("\n", "\r\n")])
def test_a_withdrawal_comes_and_goes_and_the_rest_stays_to_the_byte(text: str) -> None:
    edited = with_withdrawal(text, taken_back())
    assert edited.startswith(text)
    assert (withdrawn(edited), read(edited)) == ((taken_back(),), read(text))
    if text:
        assert without_withdrawals(edited, [0]) == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_reason_of_a_withdrawal_is_read_again(reason: str) -> None:
    if not reason.strip():
        return
    odd = taken_back(reason=f"{reason}\n[[withdrawn]]\n[[approvals]]\n")
    edited = with_withdrawal(TEXT, odd)
    assert withdrawn(edited) == (odd,)
    assert without_withdrawals(edited, [0]).rstrip() == TEXT.rstrip()


def test_a_withdrawal_ends_an_approval_before_it_and_the_other_way_round() -> None:
    text = with_approval(with_withdrawal(with_withdrawal(TEXT, taken_back()), taken_back("0.1")), one())
    edited = without_approvals(text, [2, 3])
    assert (withdrawn(edited), read(edited)) == ((taken_back(), taken_back("0.1")), read(TEXT)[:2])
    edited = without_withdrawals(text, [1])
    assert (withdrawn(edited), read(edited)) == ((taken_back(),), (*read(TEXT), one()))


def test_withdrawals_in_an_inline_list_are_read_but_not_edited() -> None:
    text = 'withdrawn = [{project = "a", versions = "==1", withdrawn-by = "b", reason = "c"}]\n'
    assert len(withdrawn(text)) == 1
    for edit in (lambda: with_withdrawal(text, taken_back()), lambda: without_withdrawals(text, [0])):
        with pytest.raises(SettingsError, match=r"written as \[\[withdrawn\]\]"):
            edit()
