"""A withdrawn release is refused by every rule that looks at releases, with who withdrew it and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.lock_faults import faults, unusable_pins
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy, Reason
from glue_pkgmgr.core.request import Request, parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.core.withdrawal import make_withdrawal
from glue_pkgmgr.errors import NotApproved, NotInstallable
from glue_pkgmgr.verbs.check import CheckedItem, check
from glue_pkgmgr.verbs.resolve import Refusal, Resolution
from tests.fakes import FakeIndex
from tests.unit.verbs.locks import lock, pin, policy
from tests.unit.verbs.test_resolve import ChoosingResolver, allowed

ACME = project_name("acme")
WHY = "withdrawn by ann: deletes the table"


def rules(*approved: str, withdrawn: str = "==1.0", project: str = "acme") -> Policy:
    made = policy(*approved, internal=("acme",))
    gone = make_withdrawal(project, withdrawn, withdrawn_by="ann", reason="deletes\nthe table")
    return replace(made, allowlist=replace(made.allowlist, withdrawn=(gone,)))


def ours(*releases: str) -> FakeIndex:
    return FakeIndex({f"{one.replace('==', '-')}-py3-none-any.whl": b"x" for one in releases})


# What the resolver may see


def test_its_files_are_hidden_also_while_the_index_still_lists_them() -> None:
    page = ours("acme==1.0", "acme==1.1").page(ACME)
    assert page is not None
    split = rules("acme==1.0", "acme==1.1").split(page)
    assert [str(one.distribution.version) for one in split.allowed] == ["1.1"]
    assert [(one.reason, one.detail) for one in split.hidden] == [(Reason.WITHDRAWN, "by ann: deletes the table")]


def test_it_stays_hidden_where_missing_approvals_are_looked_for() -> None:
    page = ours("acme==1.0").page(ACME)
    assert page is not None
    assert rules().split(page).hidden[0].reason is Reason.WITHDRAWN
    assert replace(rules(), assumed={}).split(page).allowed == ()


def test_what_the_glue_image_brings_cannot_be_withdrawn() -> None:
    version = glue_runtime("5.1").preinstalled[project_name("boto3")]
    page = ours(f"boto3=={version}").page(project_name("boto3"))
    assert isinstance(page, IndexPage)
    assert len(rules(withdrawn=f"=={version}", project="boto3").split(page).allowed) == 1


# check, without any network


def never(request: Request) -> Lock:
    raise AssertionError(f"{request} was resolved")


def item(text: str, given: Policy, *locks: Lock) -> CheckedItem:
    checked = check(parse_request(text), policy=given, locks=locks, attempt=never)
    assert (checked.allowed, checked.exit_code) == (False, NotApproved.exit_code)
    return checked.items[0]


def test_an_item_that_names_it_is_refused_with_the_reason_and_what_is_left() -> None:
    found = item("acme==1.0", rules("acme==1.0", "acme==1.1"))
    assert (found.problem, found.alternative) == (f"1.0 is {WHY}", "acme==1.1")


@pytest.mark.parametrize("request_", ["acme==1.0", "acme[x]==1.0.0"])
def test_it_is_told_also_where_nobody_approved_it(request_: str) -> None:
    found = item(request_, rules())
    assert WHY in found.problem
    assert found.alternative == ""


def test_an_item_that_only_withdrawn_releases_could_satisfy_is_refused() -> None:
    assert item("acme", rules("acme==1.0")).problem == (
        "what is approved is withdrawn: acme==1.0 by ann: deletes the table"
    )
    assert item("acme<1.1", rules("acme==1.0", "acme==1.1")).alternative == "acme==1.1"


def test_another_release_of_the_project_may_be_used() -> None:
    held = lock(pin("acme==1.1", internal=True), request=("acme==1.1",))
    checked = check(
        parse_request("acme==1.1"), policy=rules("acme==1.0", "acme==1.1"), locks=[held], attempt=never
    )
    assert checked.lock == held


# Locks


def test_a_lock_that_pins_it_may_not_be_used_and_says_who_wants_it() -> None:
    held = lock(pin("acme==1.0", internal=True, wanted_by=("dep",)), pin("dep==1.0"), request=("dep",))
    assert unusable_pins(held, rules("acme==1.0", "dep==1.0")) == [f"acme==1.0 is {WHY} (wanted by dep)"]


def test_a_lock_is_good_again_when_it_is_restored() -> None:
    given = rules("acme==1.0")
    held = lock(pin("acme==1.0", internal=True))
    held = replace(held, allowlist_sha256=given.allowlist.digest([(ACME, held.pins[0].version)], held.runtime))
    bundle = Bundle(name="taxi", modules=parse_request("acme"), runtime=held.runtime)
    assert faults(bundle, held, given) == [f"acme==1.0 is {WHY}"]
    assert faults(bundle, held, replace(given, allowlist=replace(given.allowlist, withdrawn=()))) == []


# lock


def refusal(text: str, given: Policy, index: FakeIndex) -> Refusal:
    resolution = Resolution(index=allowed(given, approved=index), resolver=ChoosingResolver())
    found = resolution.attempt(parse_request(text))
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize(
    "index", [ours("acme==1.0"), ours(), ours("acme==2.0")], ids=["listed", "no page", "others"]
)
def test_locking_it_is_refused_with_the_reason_whether_the_index_lists_it_or_not(index: FakeIndex) -> None:
    found = refusal("acme==1.0", rules("acme==1.0", "acme==2.0"), index)
    assert [one.told for one in found.obstacles] == ["1.0: withdrawn (by ann: deletes the table)"]
    assert found.missing == ()
    assert isinstance(found.error(), NotApproved)


def test_a_withdrawal_is_no_excuse_for_a_release_that_was_never_published() -> None:
    found = refusal("acme==3.0", rules("acme==1.0", "acme==3.0"), ours("acme==2.0"))
    assert isinstance(found.error(), NotInstallable) or found.missing
    assert "withdrawn" not in str(found.error())


def test_an_older_release_is_locked_in_its_place() -> None:
    index = allowed(rules("acme==0.9", "acme==1.0"), approved=ours("acme==0.9", "acme==1.0"))
    made = Resolution(index=index, resolver=ChoosingResolver()).lock(parse_request("acme"))
    assert str(made.pins[0]) == "acme==0.9"
