from __future__ import annotations

from datetime import date

import pytest

from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import Request, parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import NotApproved, NotInstallable
from glue_pkgmgr.verbs.check import Checked, check
from tests.unit.verbs.locks import approval, lock, pin, policy

IMAGE_BOTO3 = glue_runtime("5.1").preinstalled[project_name("boto3")]


def never(request: Request) -> Lock:
    raise AssertionError(f"{request} was resolved")


def run(text: str, rules: Policy, *locks: Lock) -> Checked:
    return check(parse_request(text), policy=rules, locks=locks, resolve=never)


def problem(text: str, rules: Policy) -> str:
    checked = run(text, rules)
    assert not checked.allowed
    assert checked.lock is None
    return checked.items[0].problem


def test_a_project_without_approval_is_refused_without_network() -> None:
    assert problem("acme", policy()) == "no approval names acme; `glue-pkgmgr approve` adds one after review"


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
    checked = run("acme,other==1,boto3", policy())
    assert [bool(item.problem) for item in checked.items] == [True, True, False]
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
    checked = check(parse_request("acme"), policy=policy("acme==1.0"), locks=[held], resolve=lambda request: fresh)
    assert checked.closure() is fresh


def test_what_resolving_raises_travels_on() -> None:
    def fail(request: Request) -> Lock:
        raise NotInstallable("no")

    with pytest.raises(NotInstallable):
        check(parse_request("acme"), policy=policy("acme==1.0"), locks=[], resolve=fail)


def test_an_approval_that_ends_soon_is_noted() -> None:
    soon = policy(approval("acme==1.0", until=date(2026, 12, 1)))
    later = policy(approval("acme==1.0", until=date(2027, 12, 1)))
    held = lock(pin("acme==1.0"))
    assert run("acme", soon, held).items[0].note == "approval ends 2026-12-01"
    assert run("acme", later, held).items[0].note == ""
