from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.allowlist import make_approval
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import Request, parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError, NotApproved, NotInstallable
from glue_pkgmgr.verbs.check import Checked, check, of_locks
from glue_pkgmgr.verbs.resolve import MissingApproval, Refusal
from tests.unit.verbs.locks import approval, lock, pin, policy

IMAGE_BOTO3 = glue_runtime("5.1").preinstalled[project_name("boto3")]


def never(request: Request) -> Lock:
    raise AssertionError(f"{request} was resolved")


def run(text: str, rules: Policy, *locks: Lock) -> Checked:
    return check(parse_request(text), policy=rules, locks=locks, attempt=never)


def problem(text: str, rules: Policy) -> str:
    checked = run(text, rules)
    assert not checked.allowed
    assert checked.lock is None
    return checked.items[0].problem


def test_a_project_without_approval_is_refused_without_network() -> None:
    assert problem("acme", policy()) == "no approval names acme; `glue-pkgmgr approve` adds one after review"


alike = st.from_regex(r"[abc]{1,3}(-[abc]{1,3}){0,2}", fullmatch=True)


@given(alike, st.lists(alike, max_size=6, unique=True))
def test_the_nearest_name_is_the_one_a_comparison_with_all_would_find(asked: str, approved: list[str]) -> None:
    others = [name for name in approved if name != asked]
    item = run(asked, policy(*(f"{name}==1.0" for name in others))).items[0]
    assert item.alternative == "".join(difflib.get_close_matches(asked, others, n=1, cutoff=0.75))


def test_another_exact_version_is_refused_with_the_approved_ones() -> None:
    assert problem("acme==2.0", policy("acme==1.0")) == "2.0 is not approved; approved is acme==1.0"


@pytest.mark.parametrize(
    "rules",
    [
        policy(approval("acme==1.0", until=date(2026, 11, 21))),
        policy(approval("acme==1.0", glue_versions=["4.0"])),
    ],
    ids=["expired", "other Glue version"],
)
def test_an_approval_that_does_not_count_now_is_told(rules: Policy) -> None:
    assert problem("acme", rules).startswith(
        "its approvals have expired or are for other Glue versions: acme==1.0"
    )


def test_a_pre_release_needs_an_approval_that_names_it() -> None:
    wide = approval("acme==1.*")
    assert problem("acme==1.5rc1", policy(wide)) == "1.5rc1 is not approved; approved is acme==1.*"


def test_every_refused_item_is_told_at_once() -> None:
    checked = run("acme,other==1", policy())
    assert [bool(item.problem) for item in checked.items] == [True, True]
    assert checked.exit_code == 3
    with pytest.raises(
        NotApproved, match=r"refused for Glue 5\.1:\n  acme: no approval.*\n  other==1: no approval"
    ):
        checked.closure()


def test_a_release_of_the_image_needs_no_approval() -> None:
    held = lock(pin(f"boto3=={IMAGE_BOTO3}", ""), request=("boto3",))
    assert run("boto3", policy(), held).allowed
    assert problem("boto3==9.9", policy()).startswith("no approval names boto3")


def test_a_lock_made_for_the_request_answers_without_network() -> None:
    held = lock(pin("acme==1.0"))
    checked = run("acme", policy("acme==1.0"), lock(request=("other",)), held)
    assert checked.closure() is held
    assert checked.items[0].pin == held.pins[0]


@pytest.mark.parametrize(
    "held",
    [
        lock(pin("acme==1.0"), request=("acme==1.0",)),
        lock(pin("acme==1.0"), glue="5.0"),
        lock(pin("acme==2.0")),
        lock(pin("acme==1.0"), pin("dependency==1.0", wanted_by=("acme",))),
        lock(pin("acme==1.0"), pin("boto3==0.1", "", wanted_by=("acme",))),
        lock(pin("acme==1.0", internal=True)),
    ],
    ids=[
        "other request",
        "other Glue version",
        "not approved",
        "dependency not approved",
        "not in the image",
        "not internal",
    ],
)
def test_a_lock_that_does_not_fit_is_left_aside(held: Lock) -> None:
    fresh = lock(pin("acme==1.0", "b"))
    checked = check(parse_request("acme"), policy=policy("acme==1.0"), locks=[held], attempt=lambda request: fresh)
    assert checked.closure() is fresh


def test_what_resolving_raises_travels_on() -> None:
    def fail(request: Request) -> Lock:
        raise NotInstallable("no")

    with pytest.raises(NotInstallable):
        check(parse_request("acme"), policy=policy("acme==1.0"), locks=[], attempt=fail)


def test_an_approval_that_ends_soon_is_noted() -> None:
    soon = policy(approval("acme==1.0", until=date(2026, 12, 1)))
    later = policy(approval("acme==1.0", until=date(2027, 12, 1)))
    held = lock(pin("acme==1.0"))
    assert run("acme", soon, held).items[0].note == "approval ends 2026-12-01, in 9 days"
    assert run("acme", soon, held).warnings == ("the approval of acme==1.0 ends 2026-12-01, in 9 days",)
    assert run("acme", later, held).items[0].note == ""


# What would be fine instead


@pytest.mark.parametrize(
    ("asked", "approved", "alternative"),
    [
        ("acme==1.5", ["acme==1.0", "acme==1.6", "acme==2.0"], "acme==1.6"),
        ("acme==3.0", ["acme==1.0", "acme==2.0"], "acme==2.0"),
        ("acme>=3", ["acme==1.0", "acme==2.0"], "acme==2.0"),
        ("acme<1", ["acme==1.0", "acme==2.0"], "acme==1.0"),
        ("acmee", ["acme==1.0"], "acme"),
        ("pandas==9", ["acme==1.0"], ""),
    ],
)
def test_the_nearest_approved_alternative_is_told(asked: str, approved: list[str], alternative: str) -> None:
    (item,) = run(asked, policy(*approved)).items
    assert item.problem
    assert item.alternative == alternative


def test_the_alternative_to_a_version_outside_a_range_is_the_range() -> None:
    wide = make_approval("acme", ">=2,<3", approved_by="us", reason="why")
    (item,) = run("acme==1.0", policy(wide)).items
    assert item.alternative == "acme<3,>=2"


# Look-alikes


def test_a_look_alike_of_ours_is_refused_with_the_suggestion_whatever_is_approved() -> None:
    (item,) = run("glue-utils==1.0", policy("glue-utils==1.0", internal=("glueutils",))).items
    assert item.problem == "easily taken for our own glueutils; is that what you mean?"
    assert item.taken_for_ours
    assert item.alternative == "glueutils"


# Refused and allowed items together


def refused_with(
    text: str, rules: Policy, *locks: Lock, attempt: Callable[[Request], Lock | Refusal] = never
) -> Checked:
    return check(parse_request(text), policy=rules, locks=locks, attempt=attempt)


def test_beside_a_refused_item_the_others_are_answered_by_locks_without_network() -> None:
    held = lock(pin("acme==1.0"), pin(f"boto3=={IMAGE_BOTO3}", ""), request=("acme", "boto3"))
    checked = refused_with("acme,polars,boto3", policy("acme==1.0"), held)
    assert [str(one.pin) if one.pin else one.problem[:11] for one in checked.items] == [
        "acme==1.0",
        "no approval",
        f"boto3=={IMAGE_BOTO3}",
    ]
    assert not checked.allowed
    assert checked.lock is None


def test_beside_a_refused_item_the_others_are_resolved_where_no_lock_knows_them() -> None:
    asked: list[Request] = []

    def attempt(request: Request) -> Lock:
        asked.append(request)
        return lock(pin("acme==1.0"))

    checked = refused_with("acme,polars", policy("acme==1.0"), attempt=attempt)
    assert [str(item) for item in asked[0]] == ["acme"]
    assert str(checked.items[0].pin) == "acme==1.0"
    assert (checked.allowed, checked.exit_code) == (False, 3)


def test_beside_a_refused_item_a_broken_network_is_told_and_refuses_nothing_more() -> None:
    def attempt(request: Request) -> Lock:
        raise IndexAccessError("cannot reach the index")

    checked = refused_with("acme,polars", policy("acme==1.0"), attempt=attempt)
    assert str(checked.failure) == "cannot reach the index"
    assert checked.exit_code == 3
    with pytest.raises(NotApproved, match="polars: no approval"):
        checked.closure()


def test_what_resolving_refuses_is_in_the_answer() -> None:
    missing = MissingApproval(project=project_name("dep"), version=Version("1.0"), chain=())
    for refusal, status, error in (
        (Refusal(request=(), glue_version="5.1", missing=(missing,)), 3, NotApproved),
        (Refusal(request=(), glue_version="5.1", explanation="no way"), 4, NotInstallable),
    ):
        checked = refused_with("acme", policy("acme==1.0"), attempt=lambda request, it=refusal: it)  # type: ignore[misc]
        assert checked.refusal is refusal
        assert checked.exit_code == status
        with pytest.raises(error):
            checked.closure()


def test_what_the_closure_replaces_in_the_image_is_told() -> None:
    held = lock(pin("acme==1.0"), pin("idna==3.12", wanted_by=("acme",)))
    checked = run("acme", policy("acme==1.0", "idna==3.12"), held)
    assert [(one.project, str(one.before), str(one.after)) for one in checked.replaced] == [
        ("idna", "3.11", "3.12")
    ]


# where nothing can be resolved


def from_locks(text: str, *locks: Lock, rules: Policy | None = None) -> Lock | Refusal:
    return of_locks(parse_request(text), locks, rules or policy("acme==1.0", "dep==2.0", "other==3.0"))


BUNDLE = lock(pin("acme==1.0"), pin("dep==2.0", wanted_by=("acme",)), request=("acme==1.0",))
LARGER = lock(
    pin("acme==1.0"),
    pin("dep==2.0", wanted_by=("acme",)),
    pin("other==3.0"),
    request=("acme[fast]", "other"),
)


def test_a_request_gets_the_smallest_lock_that_has_it_all() -> None:
    assert from_locks("acme", LARGER, BUNDLE) is BUNDLE
    assert from_locks("acme>=1,other", LARGER, BUNDLE) is LARGER
    assert from_locks("dep==2.0", LARGER, BUNDLE) is BUNDLE


def test_what_the_image_brings_needs_no_pin() -> None:
    assert from_locks(f"acme,boto3=={IMAGE_BOTO3}", BUNDLE) is BUNDLE


def test_an_extra_is_there_only_where_the_lock_was_made_with_it() -> None:
    assert from_locks("acme[fast]", BUNDLE, LARGER) is LARGER
    assert isinstance(from_locks("acme[fast]", BUNDLE), Refusal)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("other", "other: no lock has it; add it to a bundle"),
        ("acme==2.0", "acme: the locks have 1.0, not acme==2.0"),
    ],
)
def test_what_no_lock_has_is_refused_with_the_item(text: str, told: str) -> None:
    refused = from_locks(text, BUNDLE)
    assert isinstance(refused, Refusal)
    assert isinstance(refused.error(), NotInstallable)
    assert told in str(refused.error())


def test_what_two_locks_have_between_them_is_refused() -> None:
    refused = from_locks("acme,other", BUNDLE, lock(pin("other==3.0"), request=("other",)))
    assert isinstance(refused, Refusal)
    assert "no one lock has all of it" in str(refused.error())


def test_locks_of_other_glue_versions_and_those_nobody_approves_any_more_do_not_count() -> None:
    elsewhere = lock(pin("acme==1.0"), request=("acme",), glue="5.0")
    assert isinstance(from_locks("acme", elsewhere), Refusal)
    assert isinstance(from_locks("acme", BUNDLE, rules=policy("acme==1.0")), Refusal)
