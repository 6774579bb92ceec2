from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.allowlist import AllowList, make_approval
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.policy import Hidden, Policy, Reason, summarise
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=30)
ACME = project_name("acme")
BOTO3 = project_name("boto3")


def policy(
    versions: str = ">=0",
    *,
    project: str = "acme",
    glue: str = "5.1",
    internal: bool = False,
    days: int = 7,
    rules: dict[str, object] | None = None,
    **more: object,
) -> Policy:
    approval = make_approval(project, versions, approved_by="us", reason="why", **more)  # type: ignore[arg-type]
    return Policy(
        **(rules or {}),  # type: ignore[arg-type]
        allowlist=AllowList((approval,)),
        internal=frozenset({ACME} if internal else ()),
        minimum_age=timedelta(days=days),
        runtime=glue_runtime(glue),
        now=NOW,
    )


def file(filename: str = "acme-1.0-py3-none-any.whl", **changes: object) -> IndexFile:
    fields = {"url": "u", "hashes": {"sha256": "0" * 64}, "upload_time": OLD, **changes}
    return IndexFile(filename=filename, **fields)  # type: ignore[arg-type]


def reason(rules: Policy, one: IndexFile, project: str = "acme") -> Reason | None:
    split = rules.split(IndexPage(project=project_name(project), files=(one,)))
    assert len(split.allowed) + len(split.hidden) == 1
    return split.hidden[0].reason if split.hidden else None


def test_an_approved_old_enough_wheel_that_fits_is_shown() -> None:
    assert reason(policy(), file()) is None


@pytest.mark.parametrize(
    "uploaded", [NOW + timedelta(days=1), datetime.max.replace(tzinfo=UTC)], ids=["tomorrow", "never"]
)
def test_a_file_from_the_future_is_too_young(uploaded: datetime) -> None:
    assert reason(policy(), file(upload_time=uploaded)) is Reason.TOO_YOUNG


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"filename": "acme-1.0.exe"}, Reason.UNREADABLE),
        ({"filename": "evil-1.0-py3-none-any.whl"}, Reason.UNREADABLE),
        ({"filename": "acme-1.0.tar.gz"}, Reason.NO_WHEEL),
        ({"filename": "acme-1.0-cp312-cp312-manylinux2014_x86_64.whl"}, Reason.WRONG_WHEEL),
        ({"filename": "acme-1.0-cp311-cp311-manylinux_2_35_x86_64.whl"}, Reason.WRONG_WHEEL),
        ({"filename": "acme-1.0-cp311-cp311-manylinux2014_aarch64.whl"}, Reason.WRONG_WHEEL),
        ({"filename": "acme-1.0-cp311-cp311-macosx_11_0_arm64.whl"}, Reason.WRONG_WHEEL),
        ({"hashes": {"md5": "0"}}, Reason.NO_HASH),
        ({"yanked": ""}, Reason.YANKED),
        ({"upload_time": NOW - timedelta(days=6)}, Reason.TOO_YOUNG),
        ({"upload_time": None}, Reason.NO_UPLOAD_TIME),
    ],
)
def test_a_file_is_hidden_for_one_reason(changes: dict[str, object], expected: Reason) -> None:
    assert reason(policy(), file(**changes)) is expected


def test_not_approved_ranks_above_every_other_reason() -> None:
    assert reason(policy("==2.0"), file("acme-1.0.tar.gz", yanked="", upload_time=None)) is Reason.NOT_APPROVED


def test_an_expired_approval_hides() -> None:
    assert reason(policy(until=date(2026, 11, 21)), file()) is Reason.NOT_APPROVED


def test_a_file_is_old_enough_to_the_second() -> None:
    assert reason(policy(), file(upload_time=NOW - timedelta(days=7))) is None
    assert reason(policy(), file(upload_time=NOW - timedelta(days=7) + timedelta(seconds=1))) is Reason.TOO_YOUNG


def test_without_a_minimum_age_no_upload_time_is_needed() -> None:
    assert reason(policy(days=0), file(upload_time=None)) is None


def test_our_own_releases_need_approval_but_no_age_and_are_hidden_when_yanked() -> None:
    assert reason(policy(internal=True), file(upload_time=None)) is None
    assert reason(policy("==2", internal=True), file()) is Reason.NOT_APPROVED
    assert reason(policy(internal=True), file(yanked="")) is Reason.YANKED


def test_a_release_of_the_image_needs_no_approval_and_no_age() -> None:
    version = glue_runtime("5.1").preinstalled[BOTO3]
    listed = file(f"boto3-{version}-py3-none-any.whl", yanked="", upload_time=None)
    assert reason(policy(), listed, "boto3") is None
    assert reason(policy(), file("boto3-9.9-py3-none-any.whl"), "boto3") is Reason.NOT_APPROVED


def test_the_wheel_of_another_glue_version_does_not_fit() -> None:
    new = file("acme-1.0-cp310-cp310-manylinux_2_28_x86_64.whl")
    assert reason(policy(glue="4.0"), new) is Reason.WRONG_WHEEL
    assert reason(policy(glue="4.0"), file("acme-1.0-cp310-cp310-manylinux_2_26_x86_64.whl")) is None


def test_the_best_wheel_comes_first_in_any_order_of_the_index() -> None:
    names = [
        "acme-1.0-py3-none-any.whl",
        "acme-1.0-cp311-cp311-manylinux2014_x86_64.whl",
        "acme-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "acme-1.0-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "acme-1.0-10-cp311-cp311-manylinux_2_28_x86_64.whl",
        "acme-0.9-py3-none-any.whl",
    ]
    best_first = [names[n] for n in (2, 4, 3, 1, 0)]
    found = []
    for order in (names, names[::-1], sorted(names)):
        split = policy().split(IndexPage(project=ACME, files=tuple(map(file, order))))
        found.append([one.file.filename for one in split.of(Version("1.0"))])
        assert split.allowed[-1].file.filename == names[-1]
    assert found[0] == found[1] == found[2]
    assert {*found[0][:3]} == {*best_first[:3]}
    assert found[0][3:] == best_first[3:]
    assert found[0].index(names[4]) < found[0].index(names[3])


def test_only_what_keeps_a_release_from_being_chosen_is_withheld() -> None:
    wheel_and_sdist = ("acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz", "acme-1.0-cp312-cp312-win_amd64.whl")
    wrong_and_sdist = ("acme-2.0-cp312-cp312-win_amd64.whl", "acme-2.0.tar.gz")
    names = (*wheel_and_sdist, *wrong_and_sdist, "acme-3.0.tar.gz")
    split = policy().split(IndexPage(project=ACME, files=tuple(map(file, names))))
    assert len(split.hidden) == 5
    assert [(one.filename, one.reason) for one in split.withheld] == [
        ("acme-2.0-cp312-cp312-win_amd64.whl", Reason.WRONG_WHEEL),
        ("acme-3.0.tar.gz", Reason.NO_WHEEL),
    ]


def test_hidden_files_are_told_by_reason_newest_version_first() -> None:
    hidden = [
        Hidden(filename=f"acme-{version}.tar.gz", version=Version(version), reason=Reason.NOT_APPROVED)
        for version in ("1.9", "1.10", "1.10", "2.0", "0.1")
    ]
    hidden += [
        Hidden(filename="acme-3.whl", version=Version("3"), reason=Reason.YANKED),
        Hidden(filename="x", version=None, reason=Reason.UNREADABLE),
    ]
    assert summarise(hidden) == "2.0, 1.10, 1.9, 0.1: not approved; 3: yanked"
    assert summarise(hidden, most=2) == "2.0, 1.10 and 2 more: not approved; 3: yanked"
    assert summarise([]) == ""


def test_a_detail_says_more_than_the_reason() -> None:
    files = [
        file("acme-3.0-py3-none-any.whl", upload_time=NOW - timedelta(days=2)),
        file("acme-2.0-py3-none-any.whl", yanked="deletes the table"),
        file("acme-1.0-py3-none-any.whl", yanked=""),
    ]
    split = policy().split(IndexPage(project=ACME, files=tuple(files)))
    assert summarise(split.withheld) == (
        "3.0: younger than the minimum age (from 2026-11-27); 1.0: yanked; 2.0: yanked (deletes the table)"
    )


# Exceptions of an approval


@pytest.mark.parametrize("uploaded", [NOW, None])
def test_an_approval_may_let_one_young_release_in(uploaded: datetime | None) -> None:
    rules = policy("==1.0", allow_young="CVE fix")
    assert reason(rules, file(upload_time=uploaded)) is None
    assert reason(rules, file(upload_time=uploaded, yanked="")) is Reason.YANKED


def test_an_approval_may_let_one_yanked_release_in() -> None:
    rules = policy("==1.0", allow_yanked="only the sdist is bad")
    assert reason(rules, file(yanked="bad sdist")) is None
    assert reason(rules, file(yanked="", upload_time=NOW)) is Reason.TOO_YOUNG


def test_an_exception_counts_no_longer_than_its_approval() -> None:
    rules = policy("==1.0", allow_young="fix", until=date(2026, 11, 21))
    assert reason(rules, file(upload_time=NOW)) is Reason.NOT_APPROVED


def test_an_exception_does_not_make_up_for_a_missing_hash_or_wheel() -> None:
    rules = policy("==1.0", allow_young="fix", allow_yanked="fix")
    assert reason(rules, file(hashes={})) is Reason.NO_HASH
    assert reason(rules, file("acme-1.0.tar.gz")) is Reason.NO_WHEEL


# Names


def test_everything_of_a_look_alike_is_hidden_although_it_is_approved() -> None:
    rules = policy(project="acme-x", rules={"distinct": frozenset()})
    ours = replace(rules, internal=frozenset({project_name("acmex")}))
    one = file("acme_x-1.0-py3-none-any.whl")
    assert reason(rules, one, "acme-x") is None
    assert reason(ours, one, "acme-x") is Reason.LOOK_ALIKE
    assert reason(replace(ours, distinct=frozenset({project_name("acme-x")})), one, "acme-x") is None


def test_what_comes_with_some_glue_image_is_no_look_alike_of_ours() -> None:
    ours = replace(policy(), internal=frozenset(map(project_name, ("boto", "request", "scipi"))))
    assert [ours.taken_for(project_name(name)) for name in ("boto3", "requests", "scipy")] == [None] * 3
    assert ours.taken_for(project_name("boto4")) == "boto"


# What is found when approvals are left aside


def test_without_approvals_all_other_rules_stand() -> None:
    rules = replace(policy("==9"), assumed={})
    assert reason(rules, file()) is None
    assert reason(rules, file(yanked="")) is Reason.YANKED
    assert reason(rules, file(upload_time=NOW)) is Reason.TOO_YOUNG


def test_without_approvals_a_pre_release_or_local_version_still_has_to_be_named() -> None:
    rules = replace(policy("==9"), assumed={})
    for version in ("1.0rc1", "1.0+local", "1.0.dev1"):
        one = file(f"acme-{version}-py3-none-any.whl")
        assert reason(rules, one) is Reason.NOT_APPROVED
        assert reason(replace(rules, assumed={ACME: SpecifierSet(f"=={version}")}), one) is None


# Wheels built from sdists


def split_names(rules: Policy, *names: str) -> tuple[list[str], list[tuple[str, Reason]]]:
    split = rules.split(IndexPage(project=ACME, files=tuple(map(file, names))))
    return [it.file.filename for it in split.allowed], [(it.filename, it.reason) for it in split.hidden]


def test_an_sdist_counts_as_a_wheel_to_be_only_where_there_is_no_wheel_of_any_platform() -> None:
    rules = policy(rules={"build_sdists": True})
    assert split_names(rules, "acme-1.0.tar.gz") == (["acme-1.0.tar.gz"], [])
    assert split_names(policy(), "acme-1.0.tar.gz") == ([], [("acme-1.0.tar.gz", Reason.NO_WHEEL)])
    mac = "acme-1.0-cp311-cp311-macosx_11_0_arm64.whl"
    assert split_names(rules, "acme-1.0.tar.gz", mac) == (
        [],
        [("acme-1.0.tar.gz", Reason.NO_WHEEL), (mac, Reason.WRONG_WHEEL)],
    )
    assert reason(rules, file("acme-1.0.tar.gz", hashes={})) is Reason.NO_HASH
    assert reason(rules, file("acme-1.0.tar.gz", upload_time=NOW)) is Reason.TOO_YOUNG


# A page is gone through by its versions first

spellings = st.sampled_from(["1.0", "1.0.0", "v1.0", "1", "1.0rc1", "1.0+x", "1!1.0", "2.0", "9.9.9", "x", ""])
endings = st.sampled_from(
    [
        "-py3-none-any.whl",
        "-1-py3-none-any.whl",
        "-cp311-cp311-win32.whl",
        ".tar.gz",
        ".zip",
        ".exe",
        "-b.whl",
        "-.whl",
    ]
)
names = st.builds(
    "{}-{}{}".format, st.sampled_from(["acme", "Acme", "acme_x", "other", "-", ""]), spellings, endings
)


@given(
    st.lists(names | st.text(max_size=9), max_size=8, unique=True),
    st.sampled_from(["==1.0", "===1.0", "===1.0.0", ">=1", "==1.0rc1", "!=1.0", "==1.0+x", "==7"]),
    st.booleans(),
    st.sampled_from([None, {}, {ACME: SpecifierSet("==1.0rc1")}]),
)
def test_every_file_of_a_page_is_allowed_or_hidden(
    filenames: list[str], versions: str, build_sdists: bool, assumed: dict[ProjectName, SpecifierSet] | None
) -> None:
    rules = policy(versions, rules={"build_sdists": build_sdists, "assumed": assumed})
    allowed, hidden = split_names(rules, *filenames)
    # The hidden ones are found by a judgement of every single file, the allowed ones are not.
    assert sorted([*allowed, *(name for name, _ in hidden)]) == sorted(filenames)


# Licences


def test_the_licence_that_a_person_established_counts() -> None:
    assert policy(licence="MIT").licence_of(ACME, Version("1.0"), "GPL-3.0-only") == "MIT"
    assert policy().licence_of(ACME, Version("1.0"), "GPL-3.0-only") == "GPL-3.0-only"
    assert policy().licence_of(ACME, Version("1.0"), None) is None


def test_a_release_can_be_hidden_afterwards_with_its_reason() -> None:
    page = policy().split(IndexPage(project=ACME, files=(file(), file("acme-2.0-py3-none-any.whl"))))
    left = page.without(Version("1.0"), Reason.LICENCE, "GPL-3.0-only is denied")
    assert [it.file.filename for it in left.allowed] == ["acme-2.0-py3-none-any.whl"]
    assert summarise(left.withheld) == "1.0: its licence is refused (GPL-3.0-only is denied)"
