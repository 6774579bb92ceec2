"""Verbs: approve, revoke and show approvals, in the allow-list file that people review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from glue_pkgmgr.core.allowlist import (
    EMPTY,
    AllowList,
    Approval,
    exact_version,
    make_approval,
    parse_allowlist,
)
from glue_pkgmgr.core.allowlist_text import with_approval, without_approvals
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.policy import taken_for
from glue_pkgmgr.core.request import Request, parse_item
from glue_pkgmgr.errors import NotApproved, SettingsError
from glue_pkgmgr.settings import PolicySettings
from glue_pkgmgr.verbs.allowlist_file import read_text, write_text
from glue_pkgmgr.verbs.alone import alone_at
from glue_pkgmgr.verbs.resolve import MissingApproval, Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Who approves, why, and on what terms. See `core.allowlist.Approval`."""

    by: str
    reason: str
    until: date | None = None
    glue_versions: tuple[str, ...] = ()
    allow_young: str | None = None
    allow_yanked: str | None = None
    licence: str | None = None


def approve(
    requests: Sequence[str], path: Path, *, terms: Terms, policy: PolicySettings, today: date
) -> list[Approval]:
    """Add one approval for each of `requests`, such as `boto3==1.40.61`, and return the added ones.

    An equal approval that is there already is not added again. The file's comments, order and layout stay.

    Raises: SettingsError for a request without versions or with extras, for terms that have ended before `today`
    (UTC), or a file that cannot be written; NotApproved for a name that is easily taken for an internal one, and
    a release that is withdrawn.
    Nothing is changed then.
    """
    if terms.until is not None and terms.until < today:
        raise SettingsError(f"--until {terms.until} is in the past: such an approval would never count")
    with alone_at(path):
        text = read_text(path) if path.exists() else EMPTY
        held = parse_allowlist(text, path.name)
        present = set(held.approvals)
        added = []
        for request in requests:
            approval = _approval(request, terms, policy)
            _refuse_withdrawn(approval, held)
            if approval not in present:
                text = with_approval(text, approval)
                present.add(approval)
                added.append(approval)
        if added:
            write_text(path, text)
    return added


def _approval(request: str, terms: Terms, policy: PolicySettings) -> Approval:
    item = parse_item(request, policy.internal)
    if item.extras:
        raise SettingsError(f"{request!r}: extras are requested, not approved; approve {item.project} alone")
    if not item.specifier:
        raise SettingsError(f"{request!r} names no versions; approve for example '{item.project}==1.2.3'")
    ours = taken_for(item.project, internal=policy.internal, distinct=policy.distinct)
    if ours is not None:
        raise NotApproved(
            f"{item.project} is easily taken for our own {ours}; is that what you mean? If both are wanted, list "
            f"{item.project} as `distinct` under [policy] in the settings"
        )
    return make_approval(
        item.project,
        str(item.specifier),
        approved_by=terms.by,
        reason=terms.reason,
        until=terms.until,
        glue_versions=terms.glue_versions,
        allow_young=terms.allow_young,
        allow_yanked=terms.allow_yanked,
        licence=terms.licence,
    )


def _refuse_withdrawn(approval: Approval, held: AllowList) -> None:
    exact = exact_version(approval.versions)
    if exact is not None and (withdrawal := held.withdrawal(approval.project, exact)):
        release = f"{approval.project}=={exact}"
        raise NotApproved(
            f"{release} is withdrawn {withdrawal.why}; an approval would not count: "
            f"`glue-pkgmgr restore {release}` first"
        )


def missing(request: Request, resolution: Resolution) -> tuple[MissingApproval, ...]:
    """Return the approvals with which `request` could be locked, the fewest that were found; empty if it can be.

    Raises: NotInstallable when approvals are not what is missing; IndexAccessError.
    """
    outcome = resolution.attempt(request)
    if isinstance(outcome, Lock):
        return ()
    if not outcome.missing:
        raise outcome.error()
    return outcome.missing


def revoke(requests: Sequence[str], path: Path) -> list[Approval]:
    """Remove approvals and return them: all of a project (`boto3`), or one by its versions (`boto3==1.2`).

    Raises: SettingsError when a request matches no approval; nothing is changed then.
    """
    with alone_at(path):
        text = read_text(path)
        approvals = parse_allowlist(text, path.name).approvals
        positions: set[int] = set()
        for request in requests:
            item = parse_item(request)
            matching = {
                position
                for position, approval in enumerate(approvals)
                if approval.project == item.project and (not item.specifier or approval.versions == item.specifier)
            }
            if not matching:
                known = [f"{one.project}{one.versions}" for one in approvals if one.project == item.project]
                raise SettingsError(
                    f"no approval matches {request!r}; "
                    + (f"approved are {', '.join(known)}" if known else f"{item.project} has no approval")
                )
            positions |= matching
        write_text(path, without_approvals(text, positions))
    return [approvals[position] for position in sorted(positions)]
