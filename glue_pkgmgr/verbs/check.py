"""Verb: would this request be allowed and installable? Nothing is changed or started."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from packaging.version import Version

from glue_pkgmgr.core.allowlist import Approval
from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import Request, RequestItem
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import NotApproved
from glue_pkgmgr.verbs.lock import unusable_pins

EXPIRES_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedItem:
    """One item of the request: the release it would get, or why it is refused.

    `pin` is None as long as nothing was resolved; `problem` is empty when the item is allowed.
    """

    item: RequestItem
    pin: Pin | None = None
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The answer to a check. `lock` is the closure, None when an item was refused before resolving."""

    runtime: GlueRuntime
    items: tuple[CheckedItem, ...]
    lock: Lock | None

    @property
    def allowed(self) -> bool:
        """Whether every item may be used."""
        return not any(item.problem for item in self.items)

    def closure(self) -> Lock:
        """Return the lock. Raises: NotApproved that lists every refused item."""
        refused = [f"  {item.item}: {item.problem}" for item in self.items if item.problem]
        if refused or self.lock is None:
            raise NotApproved(f"refused for Glue {self.runtime.version}:\n" + "\n".join(refused))
        return self.lock


def check(
    request: Request, *, policy: Policy, locks: Iterable[Lock], resolve: Callable[[Request], Lock]
) -> Checked:
    """Return what `request` would get under `policy`.

    An item that no approval can satisfy is refused at once, without any network. Otherwise a lock that fits
    answers, again without network; only then `resolve` is asked.

    Raises: what `resolve` raises.
    """
    early = tuple(CheckedItem(item=item, problem=_problem(item, policy)) for item in request)
    if any(item.problem for item in early):
        return Checked(runtime=policy.runtime, items=early, lock=None)
    lock = fitting_lock(request, locks, policy) or resolve(request)
    items = tuple(CheckedItem(item=item, pin=lock.pin(item.project), note=_note(item, policy)) for item in request)
    return Checked(runtime=policy.runtime, items=items, lock=lock)


def fitting_lock(request: Request, locks: Iterable[Lock], policy: Policy) -> Lock | None:
    """Return the first lock for the Glue version that was made for this very request and may still be used."""
    wanted = tuple(str(item) for item in request)
    for lock in locks:
        fits = lock.runtime.version == policy.runtime.version and lock.request == wanted
        if fits and not unusable_pins(lock, policy):
            return lock
    return None


def _problem(item: RequestItem, policy: Policy) -> str:
    """Say why no approved release can satisfy `item`; empty if one might."""
    in_image = policy.runtime.preinstalled.get(item.project)
    if in_image is not None and item.specifier.contains(in_image, prereleases=True):
        return ""
    approvals = policy.allowlist.of(item.project)
    if not approvals:
        return f"no approval names {item.project}; `glue-pkgmgr approve` adds one after review"
    today = policy.now.date()
    in_force = [
        one
        for one in approvals
        if one.in_force(today) and (not one.glue_versions or policy.runtime.version in one.glue_versions)
    ]
    if not in_force:
        return f"its approvals have expired or are for other Glue versions: {_listed(approvals)}"
    exact = _exact_version(item)
    if exact is not None and not policy.allowlist.allows(item.project, exact, today=today, runtime=policy.runtime):
        return f"{exact} is not approved; approved is {_listed(in_force)}"
    return ""


def _exact_version(item: RequestItem) -> Version | None:
    for specifier in item.specifier:
        if specifier.operator == "==" and not specifier.version.endswith(".*"):
            return Version(specifier.version)
    return None


def _note(item: RequestItem, policy: Policy) -> str:
    today = policy.now.date()
    ending = [
        one.until
        for one in policy.allowlist.of(item.project)
        if one.until and one.in_force(today) and one.until - today <= EXPIRES_SOON
    ]
    return f"approval ends {min(ending)}" if ending else ""


def _listed(approvals: Iterable[Approval]) -> str:
    return ", ".join(
        f"{one.project}{one.versions}" + (f" until {one.until}" if one.until else "") for one in approvals
    )
