"""`glue-pkgmgr approvals`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session, today

if TYPE_CHECKING:
    from glue_pkgmgr.core.advisory import VulnerabilityException
    from glue_pkgmgr.core.allowlist import Approval
    from glue_pkgmgr.core.withdrawal import Withdrawal


@click.command(
    "approvals",
    short_help="Show the allow-list.",
    epilog=examples("glue-pkgmgr approvals", "glue-pkgmgr approvals | grep expired"),
)
@click.pass_obj
def command(session: Session) -> None:
    """Show every approval, in the order of the file; those that no longer count are marked expired.

    Below them stand the releases that were withdrawn, which no approval covers, and the exceptions for known
    vulnerabilities.
    """
    allowlist = session.project().approvals()
    approvals, withdrawn, exceptions = allowlist.approvals, allowlist.withdrawn, allowlist.exceptions
    below: list[str | Table] = ["", _withdrawn_table(withdrawn)] if withdrawn else []
    below += ["", _exception_table(exceptions, today())] if exceptions else []
    session.output.result(
        {
            "approvals": [approval_data(one, today()) for one in approvals],
            "withdrawn": [withdrawal_data(one) for one in withdrawn],
            "exceptions": [_exception_data(one, today()) for one in exceptions],
        },
        approval_table(approvals, today()) if approvals else "nothing is approved yet; see `approve --help`",
        *below,
    )


def withdrawal_data(withdrawal: Withdrawal) -> dict[str, object]:
    """Return a withdrawal as programs read it."""
    return {
        "project": withdrawal.project,
        "versions": str(withdrawal.versions),
        "withdrawn_by": withdrawal.withdrawn_by,
        "reason": withdrawal.reason,
        "on": withdrawal.on.isoformat() if withdrawal.on else None,
    }


def _withdrawn_table(withdrawn: Sequence[Withdrawal]) -> Table:
    rows = [(one.project, str(one.versions), one.withdrawn_by, str(one.on or ""), one.reason) for one in withdrawn]
    return Table(("withdrawn", "versions", "by", "on", "reason"), rows)


def _exception_table(exceptions: Sequence[VulnerabilityException], today: date) -> Table:
    rows = [
        (
            one.vulnerability,
            one.project,
            one.approved_by,
            f"{one.until}{'' if today <= one.until else ' expired'}",
            one.reason,
        )
        for one in exceptions
    ]
    return Table(("exception for", "project", "by", "until", "reason"), rows)


def _exception_data(exception: VulnerabilityException, today: date) -> dict[str, object]:
    return {
        "vulnerability": exception.vulnerability,
        "project": exception.project,
        "approved_by": exception.approved_by,
        "reason": exception.reason,
        "until": exception.until.isoformat(),
        "expired": today > exception.until,
    }


def approval_table(approvals: Sequence[Approval], today: date) -> Table:
    """Return approvals as people read them."""
    rows = [
        (
            one.project,
            str(one.versions),
            one.approved_by,
            _until(one, today),
            ", ".join(sorted(one.glue_versions)) or "all",
            one.reason,
            _exceptions(one),
        )
        for one in approvals
    ]
    return Table(("project", "versions", "by", "until", "glue", "reason", "exceptions"), rows)


def approval_data(approval: Approval, today: date) -> dict[str, object]:
    """Return an approval as programs read it; an empty `glue_versions` means all of them."""
    return {
        "project": approval.project,
        "versions": str(approval.versions),
        "approved_by": approval.approved_by,
        "reason": approval.reason,
        "until": approval.until.isoformat() if approval.until else None,
        "expired": not approval.in_force(today),
        "ends_soon": approval.ends_soon(today),
        "glue_versions": sorted(approval.glue_versions),
        "allow_young": approval.allow_young or None,
        "allow_yanked": approval.allow_yanked or None,
        "licence": approval.licence,
    }


def _exceptions(approval: Approval) -> str:
    told = {"young": approval.allow_young, "yanked": approval.allow_yanked, "licence": approval.licence}
    return "; ".join(f"{what}: {why}" for what, why in told.items() if why)


def _until(approval: Approval, today: date) -> str:
    if approval.until is None:
        return ""
    if not approval.in_force(today):
        return f"{approval.until} expired"
    days = f", in {(approval.until - today).days} days" if approval.ends_soon(today) else ""
    return f"{approval.until}{days}"
