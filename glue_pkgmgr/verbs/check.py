"""Verb: would this request be allowed and installable? Nothing is changed or started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.allowlist import Approval, exact_version
from glue_pkgmgr.core.image import Replacement, replacements
from glue_pkgmgr.core.lock_faults import ending, unusable_pins
from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import Request, RequestItem, parse_items
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.core.withdrawal import Withdrawal
from glue_pkgmgr.errors import EXIT_DONE, GluePkgmgrError, NotApproved, NotInstallable
from glue_pkgmgr.verbs.resolve import Obstacle, Refusal

_ALIKE = 0.75  # of `difflib`: names a typing slip or two apart


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedItem:
    """One item of the request: the release it would get, or why it is refused.

    `pin` is None as long as nothing was resolved; `problem` is empty when the item is allowed. `alternative` is
    the nearest thing that is approved, written as a request item; empty if there is none. With `taken_for_ours`
    the name is refused as such, and `alternative` is the internal project.
    """

    item: RequestItem
    pin: Pin | None = None
    problem: str = ""
    alternative: str = ""
    note: str = ""
    taken_for_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The answer to a check.

    `lock` is the closure; None when something is refused, for the reasons in `items` and `refusal`, or could not
    be looked at because of `failure`. `replaced` is what the closure replaces in the Glue image.
    """

    runtime: GlueRuntime
    items: tuple[CheckedItem, ...]
    lock: Lock | None = None
    refusal: Refusal | None = None
    replaced: tuple[Replacement, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: GluePkgmgrError | None = None

    @property
    def allowed(self) -> bool:
        """Whether the whole request may be used and installed."""
        return self.lock is not None

    @property
    def exit_code(self) -> int:
        """The exit status that tells it: 3 when people have to decide first, 4 when it cannot be installed."""
        if self.lock is not None:
            return EXIT_DONE
        refused = any(item.problem for item in self.items) or (self.refusal and self.refusal.not_approved)
        return NotApproved.exit_code if refused else NotInstallable.exit_code

    def closure(self) -> Lock:
        """Return the lock. Raises: NotApproved or NotInstallable that lists everything that was refused."""
        if self.lock is not None:
            return self.lock
        lines = [f"  {one.item}: {one.problem}{_or(one.alternative)}" for one in self.items if one.problem]
        if self.refusal:
            lines += [f"  {line}" for line in str(self.refusal.error()).splitlines()]
        error = NotApproved if self.exit_code == NotApproved.exit_code else NotInstallable
        raise error("\n".join([f"refused for Glue {self.runtime.version}:", *lines]))


def check(
    request: Request,
    *,
    policy: Policy,
    locks: Sequence[Lock],
    attempt: Callable[[Request], Lock | Refusal],
) -> Checked:
    """Return what `request` would get under `policy`, and everything that stands against it.

    An item that no approval can satisfy is refused without any network. For the others a lock that fits answers,
    again without network; only then they are resolved by `attempt`.

    Raises: what `attempt` raises, unless something is refused anyway; that is told then, and the error with it.
    """
    judged = [_judged(item, policy) for item in request]
    left = tuple(one.item for one in judged if not one.problem)
    refused = len(left) < len(request)
    lock = None if refused else fitting_lock(request, locks, policy)
    pins = _pins_of_locks(left, locks, policy) if refused else {}
    outcome: Lock | Refusal | None = lock
    failure = None
    if lock is None and len(pins) < len(left):
        try:
            outcome = attempt(left)
        except GluePkgmgrError as e:
            if not refused:
                raise
            failure = e
    if isinstance(outcome, Lock):
        pins = {pin.project: pin for pin in outcome.pins}
    whole = outcome if isinstance(outcome, Lock) and not refused else None
    return Checked(
        runtime=policy.runtime,
        items=tuple(_with_pin(one, pins.get(one.item.project), policy) for one in judged),
        lock=whole,
        refusal=outcome if isinstance(outcome, Refusal) else None,
        replaced=replacements(whole.versions, policy.runtime) if whole else (),
        warnings=tuple(ending(whole, policy)) if whole else (),
        failure=failure,
    )


def fitting_lock(request: Request, locks: Iterable[Lock], policy: Policy) -> Lock | None:
    """Return the first lock for the Glue version that was made for this very request and may still be used."""
    wanted = tuple(str(item) for item in request)
    for lock in locks:
        fits = lock.runtime.version == policy.runtime.version and lock.request == wanted
        if fits and not unusable_pins(lock, policy):
            return lock
    return None


def of_locks(request: Request, locks: Iterable[Lock], policy: Policy) -> Lock | Refusal:
    """Return the smallest usable lock for the Glue version that has all of `request`, or why none has.

    For where nothing can be resolved: whoever asks for part of a bundle gets all of that bundle, which is what was
    reviewed and tried together.
    """
    usable = [
        one for one in locks if one.runtime.version == policy.runtime.version and not unusable_pins(one, policy)
    ]
    having = [one for one in usable if all(_has(one, item) for item in request)]
    if having:
        return min(having, key=lambda lock: (len(lock.installed), lock.request))
    return Refusal(
        request=request,
        glue_version=policy.runtime.version,
        obstacles=tuple(
            Obstacle(project=item.project, chain=(item.project,), told=_not_locked(item, usable), decisive=True)
            for item in request
            if not any(_has(one, item) for one in usable)
        ),
        explanation="no one lock has all of it: nothing is resolved here, so a bundle has to ask for it all"
        if usable
        else f"there is no usable lock for Glue {policy.runtime.version}",
    )


def _has(lock: Lock, item: RequestItem) -> bool:
    """Whether a job with `lock` has what `item` asks for: installed by it, or of the Glue image."""
    pin = lock.pin(item.project)
    version = pin.version if pin else lock.runtime.preinstalled.get(item.project)
    if version is None or not item.specifier.contains(version, prereleases=True):
        return False
    asked = {extra for one in parse_items(lock.request) if one.project == item.project for extra in one.extras}
    return asked.issuperset(item.extras)


def _not_locked(item: RequestItem, usable: Sequence[Lock]) -> str:
    there = sorted({pin.version for lock in usable if (pin := lock.pin(item.project))})
    advice = "; add it to a bundle, run `glue-pkgmgr lock`, and deploy again"
    if not there:
        return f"no lock has it{advice}"
    return f"the locks have {', '.join(map(str, there))}, not {item}{advice}"


def _pins_of_locks(items: Request, locks: Iterable[Lock], policy: Policy) -> dict[ProjectName, Pin]:
    """Return the pins that usable locks for the Glue version have for `items`, as far as they have some."""
    found: dict[ProjectName, Pin] = {}
    for lock in locks:
        if lock.runtime.version != policy.runtime.version or unusable_pins(lock, policy):
            continue
        for item in items:
            pin = lock.pin(item.project)
            if pin and not item.extras and item.specifier.contains(pin.version, prereleases=True):
                found.setdefault(item.project, pin)
    return found


def _judged(item: RequestItem, policy: Policy) -> CheckedItem:
    """Return `item` with the reason why no approved release can satisfy it, if there is one."""
    if (ours := policy.taken_for(item.project)) is not None:
        problem = f"easily taken for our own {ours}; is that what you mean?"
        return CheckedItem(item=item, problem=problem, alternative=str(ours), taken_for_ours=True)
    in_image = policy.runtime.preinstalled.get(item.project)
    if in_image is not None and item.specifier.contains(in_image, prereleases=True):
        return CheckedItem(item=item)
    return _judged_by_decisions(item, policy)


def _judged_by_decisions(item: RequestItem, policy: Policy) -> CheckedItem:
    exact = exact_version(item.specifier)
    if exact is not None and (withdrawal := policy.allowlist.withdrawal(item.project, exact)):
        return CheckedItem(
            item=item, problem=f"{exact} is withdrawn {withdrawal.why}", alternative=_still_approved(item, policy)
        )
    approvals = policy.allowlist.of(item.project)
    if not approvals:
        return CheckedItem(
            item=item,
            problem=f"no approval names {item.project}; `glue-pkgmgr approve` adds one after review",
            alternative=_alike(item.project, policy),
        )
    in_force = _in_force(approvals, policy)
    if not in_force:
        problem = f"its approvals have expired or are for other Glue versions: {_listed(approvals)}"
        return CheckedItem(item=item, problem=problem)
    if _can_satisfy(item, _not_withdrawn(in_force, policy)):
        return CheckedItem(item=item)
    if _can_satisfy(item, in_force):
        problem = f"what is approved is withdrawn: {_told_withdrawn(in_force, policy)}"
    else:
        what = exact if exact is not None else f"{item.specifier}"
        problem = f"{what} is not approved; approved is {_listed(in_force)}"
    return CheckedItem(item=item, problem=problem, alternative=_still_approved(item, policy))


def _in_force(approvals: Iterable[Approval], policy: Policy) -> list[Approval]:
    today = policy.now.date()
    return [one for one in approvals if one.is_for(policy.runtime) and one.in_force(today)]


def _not_withdrawn(approvals: Iterable[Approval], policy: Policy) -> list[Approval]:
    """Return the approvals that are not of one version that was withdrawn."""
    return [one for one in approvals if _withdrawal(one, policy) is None]


def _withdrawal(approval: Approval, policy: Policy) -> Withdrawal | None:
    exact = exact_version(approval.versions)
    return None if exact is None else policy.allowlist.withdrawal(approval.project, exact)


def _told_withdrawn(approvals: Iterable[Approval], policy: Policy) -> str:
    told = ((one, _withdrawal(one, policy)) for one in approvals)
    return ", ".join(f"{one.project}{one.versions} {withdrawal.why}" for one, withdrawal in told if withdrawal)


def _still_approved(item: RequestItem, policy: Policy) -> str:
    """Return the approved and not withdrawn versions nearest to what was asked for, as an item; empty for none."""
    usable = _not_withdrawn(_in_force(policy.allowlist.of(item.project), policy), policy)
    return f"{item.project}{_nearest(item, usable)}" if usable else ""


def _can_satisfy(item: RequestItem, approvals: Iterable[Approval]) -> bool:
    """Whether some version may be both asked for and approved; without an index only the certain is denied."""
    exact = exact_version(item.specifier)
    for one in approvals:
        if exact is not None:
            possible = one.names(exact)
        else:
            approved = exact_version(one.versions)
            possible = approved is None or item.specifier.contains(approved, prereleases=True)
        if possible:
            return True
    return False


def _nearest(item: RequestItem, approvals: Sequence[Approval]) -> str:
    """Return the approved versions that are nearest to what was asked for, as a specifier."""
    exact = sorted(version for one in approvals if (version := exact_version(one.versions)) is not None)
    if not exact:
        return str(approvals[-1].versions)
    wanted = _first_version(item)
    above = [version for version in exact if wanted is None or version >= wanted]
    return f"=={above[0] if above and wanted is not None else exact[-1]}"


def _first_version(item: RequestItem) -> Version | None:
    for one in item.specifier:
        try:
            return Version(one.version.removesuffix(".*"))
        except InvalidVersion:
            continue
    return None


def _alike(project: ProjectName, policy: Policy) -> str:
    """Return the approved project whose name is most like `project`; empty if none is."""
    import difflib  # here: only a refusal needs it

    # What share of a name's letters occur in the other one at all is told at once, and rules out nearly all.
    letters = str.maketrans("", "", project)
    approved = [
        name
        for name in policy.allowlist.projects
        if 2 * min(len(name) - len(name.translate(letters)), len(project)) >= _ALIKE * (len(name) + len(project))
    ]
    return next(iter(difflib.get_close_matches(project, approved, n=1, cutoff=_ALIKE)), "")


def _with_pin(one: CheckedItem, pin: Pin | None, policy: Policy) -> CheckedItem:
    return replace(one, pin=None if one.problem else pin, note=_note(one.item, pin, policy))


def _note(item: RequestItem, pin: Pin | None, policy: Policy) -> str:
    if pin is not None and pin.preinstalled:
        return ""
    today = policy.now.date()
    ends = [one.until for one in policy.allowlist.of(item.project) if one.ends_soon(today) and one.until]
    return f"approval ends {min(ends)}, in {(min(ends) - today).days} days" if ends else ""


def _listed(approvals: Iterable[Approval]) -> str:
    return ", ".join(
        f"{one.project}{one.versions}" + (f" until {one.until}" if one.until else "") for one in approvals
    )


def _or(alternative: str) -> str:
    return f" (approved: {alternative})" if alternative else ""
