"""`glue-pkgmgr approve`."""

from __future__ import annotations

import os
from datetime import datetime

import click

from glue_pkgmgr.cli.approvals import approval_data, approval_table
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session, today
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import run

_ANSWER_SECONDS = 5.0


@click.command(
    "approve",
    short_help="Add approvals to the allow-list.",
    epilog=examples(
        'glue-pkgmgr approve boto3==1.40.61 --reason "matches the Glue 5.1 image"',
        'glue-pkgmgr approve "polars>=1.30,<2" --reason "case 42" --until 2027-06-30',
    ),
)
@click.argument("requests", nargs=-1, required=True, metavar="REQ...")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown wherever the approval counts.")
@click.option("--by", metavar="NAME", help="Who decides; by default git's user.name, else the login name.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Last day it counts, UTC.")
@click.option(
    "--glue-version",
    "glue_versions",
    multiple=True,
    metavar="V",
    help="Only for this Glue version; repeatable.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    requests: tuple[str, ...],
    reason: str,
    by: str | None,
    until: datetime | None,
    glue_versions: tuple[str, ...],
) -> None:
    """Approve releases: a project with its versions, such as boto3==1.40.61.

    The file's comments, order and layout stay. All of REQ... are added, or none.
    """
    added = session.project().approve(
        requests,
        by=by or _somebody(),
        reason=reason,
        until=until.date() if until else None,
        glue_versions=glue_versions,
    )
    session.output.result(
        {"added": [approval_data(one, today()) for one in added]},
        approval_table(added, today()) if added else "nothing added: the allow-list holds these approvals already",
    )


def _somebody() -> str:
    """Return the name that git gives this user, else the login name. Raises: SettingsError if there is none."""
    try:
        name = run(["git", "config", "user.name"], timeout=_ANSWER_SECONDS).stdout.strip()
    except SettingsError:  # no git on this machine
        name = ""
    name = name or os.environ.get("USER", "")
    if not name:
        raise SettingsError("nobody to name as the one who approves; say it with --by NAME")
    return name
