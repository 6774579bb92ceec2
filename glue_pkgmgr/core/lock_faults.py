"""Whether a lock may still be used: what settings, image, rules and approvals say against it, in words.

None of it needs the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glue_pkgmgr.core.allowlist import EXPIRES_SOON
from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.image import breaks
from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import RequestItem, parse_items
from glue_pkgmgr.errors import NotApproved


def faults(bundle: Bundle, lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, where `lock` no longer agrees with the settings, the image and the allow-list.

    Needs no network. An empty list means the lock may be used, and that making it anew would not change what it
    says of the approvals.
    """
    found = unusable(bundle, lock, policy)
    installed = [pin.release for pin in lock.installed]
    if not found and lock.allowlist_sha256 != policy.allowlist.digest(installed, lock.runtime):
        found.append("other approvals let its releases in than when it was made")
    return found


def unusable(bundle: Bundle, lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, why no job may install `lock`: settings, image, rules or approvals forbid it.

    Needs no network. An empty list means the lock may be used.
    """
    found = []
    wanted = tuple(str(item) for item in bundle.modules)
    if lock.request != wanted:
        found.append(f"the bundle asks for {', '.join(wanted)}; the lock was made for {', '.join(lock.request)}")
    if lock.runtime.version != bundle.runtime.version:
        found.append(f"the bundle is for Glue {bundle.runtime.version}, the lock for {lock.runtime.version}")
    found += [str(one) for one in breaks(lock.versions, lock.runtime) if one.project not in bundle.may_break]
    return [*found, *unusable_pins(lock, policy)]


def unusable_pins(lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, every pin that is withdrawn, not approved today, not in the image, or from elsewhere.

    Items of the request that no pin satisfies are told too: a merge or a hand has taken their pin away. So are
    pins that nothing leads to from the request, and wheels that the Glue version does not take: put in by hand.
    """
    refused = policy.allowlist.refused(
        [pin.release for pin in lock.installed], today=policy.now.date(), runtime=lock.runtime
    )
    absent = [
        pin for pin in lock.pins if pin.preinstalled and lock.runtime.preinstalled.get(pin.project) != pin.version
    ]
    strayed = [pin for pin in lock.installed if pin.internal != (pin.project in policy.internal)]
    return [
        *(f"it pins no release for {item}" for item in parse_items(lock.request) if not _satisfied(item, lock)),
        *(f"{_refused(release, policy)}{wanted_by(lock.reason(release[0]))}" for release in refused),
        *(f"{pin} is not in the Glue {lock.runtime.version} image" for pin in absent),
        *(f"{pin} {_wrong_source(pin)}" for pin in strayed),
        *(f"{pin} is wanted by nothing that is asked for" for pin in _unwanted(lock)),
        *(f"{name} is for other platforms than Glue {lock.runtime.version}" for name in _of_other_runtimes(lock)),
        *_against_rules(lock, policy),
    ]


def _against_rules(lock: Lock, policy: Policy) -> Iterator[str]:
    """Yield what the rules of the settings say against `lock`, as far as it can be told without the index."""
    days = policy.minimum_age.days
    if lock.minimum_age_days < days and any(not pin.internal for pin in lock.installed):
        yield f"it was made with a minimum age of {lock.minimum_age_days} days; the settings ask for {days}"
    for pin in lock.pins:
        if (ours := policy.taken_for(pin.project)) is not None:
            yield f"{pin.project} is easily taken for our own {ours}"
        if pin.preinstalled or pin.internal:
            continue
        licence = policy.licence_of(pin.project, pin.version, pin.licence)
        if policy.licences and (why := policy.licences.refused(licence)):
            yield f"{pin}: {why}"
        if pin.built_from and not policy.build_sdists:
            yield f"{pin} was built from an sdist, which the settings refuse"


def ending(lock: Lock, policy: Policy) -> list[str]:
    """Return, in words, which releases of `lock` are approved for 30 days more at most, and until when."""
    today = policy.now.date()
    found = []
    for pin in lock.installed:
        until = [one.until for one in policy.approvals_of(pin.project, pin.version)]
        last = max((day for day in until if day is not None), default=None)
        if last is not None and None not in until and last <= today + EXPIRES_SOON:
            found.append(f"the approval of {pin} ends {last}, in {(last - today).days} days")
    return found


def _unwanted(lock: Lock) -> list[Pin]:
    reached = {item.project for item in parse_items(lock.request)}
    while more := {pin.project for pin in lock.pins if reached.intersection(pin.wanted_by)} - reached:
        reached |= more
    return [pin for pin in lock.pins if pin.project not in reached]


def _of_other_runtimes(lock: Lock) -> Iterator[str]:
    for file in (file for pin in lock.installed for file in pin.files):
        if lock.runtime.rank(parse_filename(file.filename).tags) is None:
            yield file.filename


def _satisfied(item: RequestItem, lock: Lock) -> bool:
    pin = lock.pin(item.project)
    return pin is not None and item.specifier.contains(pin.version, prereleases=True)


def _refused(release: Release, policy: Policy) -> str:
    project, version = release
    withdrawal = policy.allowlist.withdrawal(project, version)
    why = f"withdrawn {withdrawal.why}" if withdrawal else "not approved"
    return f"{project}=={version} is {why}"


def _wrong_source(pin: Pin) -> str:
    if pin.internal:
        return "was locked from our own releases, but the settings no longer list it as internal"
    return "was locked from the store, but the settings list it as internal: it may only come from us"


def require_usable(bundle: Bundle, lock: Lock, policy: Policy) -> None:
    """Raise NotApproved, naming every fault, unless settings and allow-list let jobs install `lock`."""
    if found := unusable(bundle, lock, policy):
        raise NotApproved(stale_text(bundle.name, found))


def stale_text(bundle: str, found: Sequence[str]) -> str:
    """Return the sentence for a lock that may not be used, one fault a line."""
    listed = "\n".join(f"  {fault}" for fault in found)
    return f"the lock of bundle {bundle!r} may not be used; approve or `glue-pkgmgr lock {bundle}`:\n{listed}"


def wanted_by(chain: Sequence[ProjectName]) -> str:
    """Return, in brackets, who wants the last project of `chain`; empty if the request itself does."""
    return f" (wanted by {' → '.join(chain[:-1])})" if len(chain) > 1 else ""
