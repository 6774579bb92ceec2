from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.allowlist import EMPTY, AllowList, Approval, make_approval, parse_allowlist
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import SettingsError

GLUE = glue_runtime("5.1")
TODAY = date(2026, 11, 22)
BOTO3 = project_name("boto3")


def approval(versions: str, until: date | None = None, glue: tuple[str, ...] = ()) -> Approval:
    return make_approval("boto3", versions, approved_by="us", reason="why", until=until, glue_versions=glue)


def covers(versions: str, version: str) -> bool:
    return approval(versions).covers(Version(version), today=TODAY, runtime=GLUE)


@pytest.mark.parametrize(
    ("versions", "covered"),
    [
        ("==1.0", ["1.0", "1.0.0"]),
        ("==1.*", ["1.0", "1.9.9", "1.0.post1"]),
        ("~=1.4", ["1.4", "1.9"]),
        (">=1,<2", ["1.0", "1.99"]),
        ("===1.0", ["1.0"]),
        ("==1!1.0", ["1!1.0"]),
        ("==2.0rc1", ["2.0rc1"]),
        (">=2.0rc1", ["2.0rc1", "2.0", "3.0a1"]),
        ("==1.0+cu1", ["1.0+cu1"]),
        ("===1.0+cu1", ["1.0+cu1"]),
        ("==1.0.dev3", ["1.0.dev3"]),
    ],
)
def test_a_version_that_is_named_is_covered(versions: str, covered: list[str]) -> None:
    assert [version for version in covered if not covers(versions, version)] == []


@pytest.mark.parametrize(
    ("versions", "refused"),
    [
        ("==1.0", ["1.0.1", "1.0rc1", "1.0.dev1", "1.0+local", "1!1.0", "1.0.post1"]),
        ("==1.*", ["2.0", "1.0rc1", "1.5+local", "1!1.5"]),
        (">=1", ["2.0rc1", "2.0+local", "0.9"]),
        (">=1,<2.0.dev0", ["1.5b1", "2.0a1", "2.0"]),
        (">=1,!=1.5rc1", ["1.6rc1", "1.5rc1"]),
        (">=1,!=1.0+bad", ["1.1+other", "1.0+bad"]),
        ("===1.0", ["1.0.0", "1.0+local"]),
        ("~=1.4.2", ["1.5", "1.4.3a1"]),
        ("==1.0+cu1", ["1.0", "1.0+cu2"]),
        (">1.0", ["1.0.post1", "1.0"]),
    ],
)
def test_a_version_that_nobody_named_is_refused(versions: str, refused: list[str]) -> None:
    assert [version for version in refused if covers(versions, version)] == []


release = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda it: f"{it[0]}.{it[1]}")
unnamed = st.sampled_from(["a1", "b2", "rc1", ".dev1", "+local", "rc1+local"])


@given(st.sampled_from(["==", ">=", "<=", "<", ">", "!=", "~=", "==="]), release, release, unnamed)
def test_no_final_specifier_lets_a_pre_release_or_a_local_version_in(
    operator: str, named: str, version: str, ending: str
) -> None:
    assert not covers(operator + named, version + ending)


def test_an_approval_ends_after_its_last_day() -> None:
    one = approval("==1.0", until=TODAY)
    assert one.covers(Version("1.0"), today=TODAY, runtime=GLUE)
    assert not one.covers(Version("1.0"), today=date(2026, 11, 23), runtime=GLUE)


def test_an_approval_for_a_glue_version_counts_for_no_other() -> None:
    one = approval("==1.0", glue=("5.0",))
    assert one.covers(Version("1.0"), today=TODAY, runtime=glue_runtime("5.0"))
    assert not one.covers(Version("1.0"), today=TODAY, runtime=GLUE)


def test_refused_names_every_release_nobody_approved_in_order() -> None:
    allowlist = AllowList((approval("==1.0"), approval("==2.0")))
    other = project_name("other")
    asked = [(other, Version("1.0")), (BOTO3, Version("2.0")), (BOTO3, Version("3.0"))]
    assert allowlist.refused(asked, today=TODAY, runtime=GLUE) == [asked[0], asked[2]]
    assert AllowList().refused(asked, today=TODAY, runtime=GLUE) == asked


ENTRY = '[[approvals]]\nproject = "{project}"\nversions = "==1.0"\napproved-by = "us"\nreason = "why"\n'


def test_the_file_is_read_in_its_order() -> None:
    text = EMPTY + ENTRY.format(project="Foo_Bar") + "until = 2027-06-30\nglue-versions = ['5.1']\n"
    text += ENTRY.format(project="boto3")
    first, second = parse_allowlist(text, "allowlist.toml").approvals
    assert (first.project, first.until, first.glue_versions) == ("foo-bar", date(2027, 6, 30), {"5.1"})
    assert second == approval("==1.0")


def test_an_allow_list_without_entries_allows_nothing() -> None:
    assert parse_allowlist(EMPTY, "allowlist.toml") == AllowList()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('project = "boto3"\n', ""), r"approvals\[0\]: 'project' is missing"),
        (("project =", "projekt ="), "unknown key 'projekt'; known are project, versions"),
        (('"boto3"', '"boto 3"'), r"approvals\[0\]: 'boto 3' is not a project name"),
        (('"boto3"', "3"), r"approvals\[0\].project: 3 is no text"),
        (('"==1.0"', '"1.0"'), "'1.0' is not a version specifier"),
        (('"==1.0"', '""'), "versions is empty"),
        (('"us"', '" "'), "may not be empty"),
        (('"why"', '""'), "may not be empty"),
        (("reason =", "until = '2027-06-30'\nreason ="), "not a date such as 2027-06-30, without quotes"),
        (("reason =", "until = 2027-06-30T00:00:00Z\nreason ="), "not a date"),
        (("reason =", "glue-versions = ['7.7']\nreason ="), "unknown Glue version '7.7'"),
        (("reason =", "glue-versions = '5.1'\nreason ="), "is not a list of texts"),
        (("[[approvals]]", "[approvals]"), r"written as \[\[approvals\]\]"),
        (("[[approvals]]", "[[approval]]"), "unknown key 'approval'"),
        (("[[approvals]]", "[[approvals]"), "is not TOML"),
        (("reason =", f"until = {'9' * 5000}\nreason ="), "is not TOML"),
        (("reason =", f"until = {'[' * 5000}\nreason ="), "is not TOML"),
        (("reason =", "allow-young = ''\nreason ="), "allow-young is empty: it is the reason"),
        (("reason =", "allow-yanked = true\nreason ="), r"allow-yanked: True is no text"),
        (('"==1.0"', '">=1"\nallow-young = "fix"'), "allow-young is an exception for one release"),
        (('"==1.0"', '"==1.*"\nallow-yanked = "fix"'), "allow-yanked is an exception for one release"),
        (("reason =", "licence = 'do what you want'\nreason ="), "is no SPDX expression"),
    ],
)
def test_a_wrong_entry_is_told_with_its_place(change: tuple[str, str], expected: str) -> None:
    text = ENTRY.format(project="boto3").replace(*change)
    with pytest.raises(SettingsError, match=r"^allowlist\.toml") as caught:
        parse_allowlist(text, "allowlist.toml")
    assert caught.match(expected)


number = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,12}){0,3}(\.\*|rc1|\+x)?", fullmatch=True)
specifier = st.builds(
    str.__add__, st.sampled_from(["==", "~=", ">=", "<", "!=", "===", "=", ">>", " == "]), number
)
values = {
    "project": st.sampled_from(["acme", "Acme_X", "a--b", "-a", "a b", "a\n", "a" * 300, "é", ""]) | st.just(3),
    "versions": st.lists(specifier, min_size=0, max_size=3).map(",".join) | st.text(max_size=5),
    "approved-by": st.sampled_from(["ann", " ", ""]) | st.just(7),
    "reason": st.sampled_from(["case 1", "\t", ""]),
    "until": st.sampled_from([date(2027, 6, 30), datetime(2027, 6, 30, tzinfo=UTC), "2027-06-30", 2027]),
    "glue-versions": st.sampled_from([["5.1"], ["5.0", "5.1"], ["7.7"], [], [5.1], "5.1", ""]),
    "allow-young": st.sampled_from(["fix", ""]),
    "licence": st.sampled_from(["MIT", "mine"]),
    "projekt": st.just("acme"),
}
usual = st.fixed_dictionaries(
    {"project": st.just("acme"), "versions": specifier, "approved-by": st.just("ann"), "reason": st.just("why")}
)
entries = st.builds(dict.__or__, usual, st.fixed_dictionaries({}, optional=values))


@given(st.lists(entries, max_size=3))
def test_an_allow_list_that_can_be_read_has_no_error_left_in_it(written: list[dict[str, object]]) -> None:
    try:
        allowlist = parse_allowlist(tomlkit.dumps({"approvals": written}), "allowlist.toml")
    except SettingsError:
        with pytest.raises(SettingsError):
            [made(entry) for entry in written]
    else:
        assert list(allowlist.approvals) == [made(entry) for entry in written]
        assert [one for project in allowlist.projects for one in allowlist.of(project)] == sorted(
            allowlist.approvals, key=lambda one: list(allowlist.projects).index(one.project)
        )


LINES = (
    EMPTY + 2 * (ENTRY.format(project="acme") + 'until = 2027-06-30\nglue-versions = ["5.1"]\n\n')
).splitlines(True)
ODD = [
    "",
    "\n",
    "# note\n",
    '"""\n',
    "licence = 'MIT'\n",
    "[[exceptions]]\n",
    "[approvals.x]\n",
    "until = 2027-02-30\n",
    "x\n",
]
characters = st.sampled_from(list("\"'\\#[]=\n\r\t\0\x7f\x85 ,.é-19aZ"))


@given(st.lists(st.tuples(st.integers(0, len(LINES)), st.sampled_from([*ODD, *LINES])), max_size=3), st.data())
def test_a_file_that_was_changed_says_the_same_however_it_is_read(
    more: list[tuple[int, str]], data: st.DataObject
) -> None:
    lines = list(LINES)
    for position, line in more:
        lines[position : position + data.draw(st.integers(0, 1))] = [line]
    text = "".join(lines)
    if data.draw(st.booleans()):
        position = data.draw(st.integers(0, len(text)))
        text = text[:position] + data.draw(characters) + text[position + data.draw(st.integers(0, 1)) :]
    # A blank before a comment is not how we write files: this one is read the long way.
    assert told(text) == told(f"{text}\n # end\n")


def told(text: str) -> tuple[list[Approval], int] | None:
    try:
        allowlist = parse_allowlist(text, "allowlist.toml")
    except SettingsError:
        return None
    return list(allowlist.approvals), len(allowlist.exceptions)


def made(entry: Mapping[str, Any]) -> Approval:
    """Return the approval of an entry, made without a look at any other way of reading it."""
    until = entry.get("until")
    texts = [entry["project"], entry["versions"], entry["approved-by"], entry["reason"]]
    if not all(isinstance(one, str) for one in texts) or "projekt" in entry:
        raise SettingsError("not the keys of an approval")
    if until is not None and type(until) is not date:
        raise SettingsError("not a date")
    glue_versions = entry.get("glue-versions", [])
    if not isinstance(glue_versions, list) or not all(isinstance(one, str) for one in glue_versions):
        raise SettingsError("no Glue versions")
    return make_approval(
        *texts[:2],
        approved_by=texts[2],
        reason=texts[3],
        until=until,
        glue_versions=glue_versions,
        allow_young=entry.get("allow-young"),
        licence=entry.get("licence"),
    )


def test_ten_thousand_approvals_are_compared_and_listed_like_few() -> None:
    text = "".join(ENTRY.format(project=f"acme-{n}") for n in range(10_000))
    allowlist = parse_allowlist(text, "allowlist.toml")
    assert len(allowlist.approvals) == 10_000
    assert [one.project for one in allowlist.approvals[3:5]] == ["acme-3", "acme-4"]
    assert allowlist.approvals[-1].project == "acme-9999"
    assert allowlist.of(project_name("acme-77")) == (allowlist.approvals[77],)
    assert allowlist == parse_allowlist(text, "another name")
    assert allowlist == parse_allowlist(text.replace(" = ", "  = "), "written otherwise")
    assert hash(allowlist.approvals) == hash(tuple(allowlist.approvals))
    with pytest.raises(IndexError):
        allowlist.approvals[10_000]


def test_approvals_that_are_no_tables_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"approvals\[0\] is not a table"):
        parse_allowlist("approvals = [1]", "allowlist.toml")


EXCEPTION = """[[exceptions]]
vulnerability = "CVE-2026-1"
project = "Acme_X"
approved-by = "security"
reason = "not reachable"
until = 2027-03-31
"""


def test_exceptions_of_the_vulnerability_gate_are_read() -> None:
    (one,) = parse_allowlist(EXCEPTION, "allowlist.toml").exceptions
    assert (one.vulnerability, one.project, one.until) == ("CVE-2026-1", "acme-x", date(2027, 3, 31))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("until = 2027-03-31\n", ""), r"exceptions\[0\]: 'until' is missing: an exception ends some day"),
        (('"not reachable"', '" "'), "may not be empty"),
        (("project =", "package ="), "unknown key 'package'; known are vulnerability, project"),
        (("[[exceptions]]", "[exceptions]"), r"written as \[\[exceptions\]\]"),
    ],
)
def test_a_wrong_exception_is_told_with_its_place(change: tuple[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        parse_allowlist(EXCEPTION.replace(*change), "allowlist.toml")


# The digest that a lock remembers


def digest(*approvals: Approval, glue: str = "5.1") -> str:
    return AllowList(approvals).digest([(BOTO3, Version("1.0"))], glue_runtime(glue))


def test_the_digest_changes_with_what_was_decided_about_the_release() -> None:
    exact = digest(approval("==1.0"))
    assert exact != digest(approval(">=1.0,<2"))
    assert exact != digest(approval("==1.0", glue=("5.1",)))
    assert exact != digest(approval("==1.0"), approval("~=1.0"))
    young = make_approval("boto3", "==1.0", approved_by="us", reason="why", allow_young="fix")
    assert exact != digest(young)


def test_the_digest_is_of_decisions_and_not_of_people_dates_and_order() -> None:
    one, two = approval("==1.0"), approval("~=1.0")
    assert digest(one, two) == digest(two, one)
    assert digest(one) == digest(approval("==1.0", until=date(2020, 1, 1)))
    assert digest(one) == digest(one, approval("==3.0"), approval("==1.0", glue=("4.0",)))
    other = make_approval("boto3", "==1.0", approved_by="them", reason="another")
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("until", "soon"),
    [
        (None, False),
        (date(2026, 11, 21), False),
        (TODAY, True),
        (date(2026, 12, 22), True),
        (date(2026, 12, 23), False),
    ],
)
def test_an_end_within_thirty_days_is_soon(until: date | None, soon: bool) -> None:
    assert approval("==1.0", until=until).ends_soon(TODAY) is soon


# What was withdrawn

WITHDRAWN = """
[[approvals]]
project = "boto3"
versions = ">=1.0"
approved-by = "us"
reason = "why"

[[withdrawn]]
project = "Boto3"
versions = "==1.2"
withdrawn-by = "ann"
reason = '''deletes
the table'''
on = 2026-11-22
"""


def test_a_withdrawn_version_is_covered_by_nothing_and_says_why() -> None:
    allowlist = parse_allowlist(WITHDRAWN, "allowlist.toml")
    one, other = Version("1.2"), Version("1.3")
    assert allowlist.covering(BOTO3, one, today=TODAY, runtime=GLUE) == []
    assert not allowlist.allows(BOTO3, one, today=TODAY, runtime=GLUE)
    assert allowlist.refused([(BOTO3, one), (BOTO3, other)], today=TODAY, runtime=GLUE) == [(BOTO3, one)]
    withdrawal = allowlist.withdrawal(BOTO3, one)
    assert withdrawal is not None
    assert (withdrawal.why, withdrawal.on) == ("by ann: deletes the table", date(2026, 11, 22))
    assert allowlist.withdrawal(BOTO3, other) is None
    assert allowlist.withdrawal(project_name("boto4"), one) is None
    assert len(allowlist.of(BOTO3)) == 1


@pytest.mark.parametrize("version", ["1.2", "1.2.0", "1.2+fixed"])
def test_a_withdrawal_means_local_versions_too(version: str) -> None:
    assert parse_allowlist(WITHDRAWN, "x").withdrawal(BOTO3, Version(version))


@pytest.mark.parametrize("version", ["1.2rc1", "1.9", "1.3.dev1"])
def test_a_withdrawal_of_a_range_means_pre_releases_too(version: str) -> None:
    text = WITHDRAWN.replace('"==1.2"', '"<2"')
    assert parse_allowlist(text, "x").withdrawal(BOTO3, Version(version))


def test_a_withdrawal_that_is_taken_back_gives_the_lock_its_digest_again() -> None:
    with_it, without = (parse_allowlist(one, "x") for one in (WITHDRAWN, WITHDRAWN.partition("[[withdrawn]]")[0]))
    release = [(BOTO3, Version("1.2"))]
    assert with_it.digest(release, GLUE) == without.digest(release, GLUE)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('withdrawn-by = "ann"\n', ""), r"withdrawn\[0\]: 'withdrawn-by' is missing"),
        (('"ann"', '" "'), "withdrawn-by and reason may not be empty"),
        (('"==1.2"', '""'), "a withdrawal names the versions it means"),
        (('"==1.2"', '"1.2"'), r"withdrawn\[0\]: versions '1.2' is not a version specifier"),
        (('"Boto3"', '"boto 3"'), r"withdrawn\[0\]: 'boto 3' is not a project name"),
        (("on = 2026-11-22", 'on = "soon"'), r"withdrawn\[0\]\.on: 'soon' is not a date"),
        (("withdrawn-by =", "by ="), "unknown key 'by'; known are project, versions, withdrawn-by"),
        (("[[withdrawn]]", "[withdrawn]"), r"written as \[\[withdrawn\]\]"),
        (("[[withdrawn]]", "[[withdrawal]]"), r"'withdrawal'; .* as \[\[approvals\]\], \[\[exceptions\]\] or"),
    ],
)
def test_a_wrong_withdrawal_is_told_with_its_place(change: tuple[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        parse_allowlist(WITHDRAWN.replace(*change), "allowlist.toml")


PIECES = (
    '[[approvals]]\nproject = "acme"\nversions = "==1.0"\napproved-by = "us"\nreason = "why"\n',
    '[[withdrawn]]\nproject = "acme"\nversions = "==1.0"\nwithdrawn-by = "ann"\nreason = "deletes"\n',
    "[[withdrawn]]\n",
    "on = 2026-11-24\n",
    "on = 2026-02-30\n",
    "until = 2027-06-30\n",
    'glue-versions = ["5.1"]\n',
    'reason = """\n',
    '"""\n',
    "# [[withdrawn]]\n",
    "\n",
)


def outcome(text: str) -> object:
    try:
        found = parse_allowlist(text, "x")
    except SettingsError:
        return "refused"
    return tuple(found.approvals), found.withdrawn


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_a_file_written_as_usual_is_read_as_any_other(text: str) -> None:
    unusual = f"exceptions = []\n{text}"  # the same for TOML
    assert outcome(text) == outcome(unusual)
