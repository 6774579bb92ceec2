"""`glue-pkgmgr revoke`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.approvals import approval_data, approval_table
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session, today


@click.command(
    "revoke",
    short_help="Remove approvals from the allow-list.",
    epilog=examples("glue-pkgmgr revoke boto3==1.40.61", "glue-pkgmgr revoke polars"),
)
@click.argument("requests", nargs=-1, required=True, metavar="REQ...")
@click.pass_obj
def command(session: Session, requests: tuple[str, ...]) -> None:
    """Remove the approval of some versions (boto3==1.40.61), or every approval of a project (boto3)."""
    removed = session.project().revoke(requests)
    session.output.result(
        {"removed": [approval_data(one, today()) for one in removed]},
        "removed:",
        approval_table(removed, today()),
    )
