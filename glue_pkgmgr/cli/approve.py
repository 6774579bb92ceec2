"""`glue-pkgmgr approve`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from glue_pkgmgr.cli.approvals import approval_data, approval_table
from glue_pkgmgr.cli.author import author
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.refusals import missing_data, missing_table
from glue_pkgmgr.cli.session import Session, today
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.project import Project
    from glue_pkgmgr.verbs.resolve import MissingApproval


@click.command(
    "approve",
    short_help="Add approvals to the allow-list.",
    epilog=examples(
        'glue-pkgmgr approve boto3==1.40.61 --reason "matches the Glue 5.1 image"',
        'glue-pkgmgr approve "polars>=1.30,<2" --reason "case 42" --until 2027-06-30',
        'glue-pkgmgr approve rich==15.1.0 --reason "case 43" --allow-young "a CVE"',
        'glue-pkgmgr approve --closure awswrangler,pandas --reason "case 44"',
    ),
)
@click.argument("requests", nargs=-1, required=True, metavar="REQ...")
@click.option("--closure", is_flag=True, help="Approve everything REQ needs: show it first, then ask.")
@click.option("--reason", metavar="TEXT", help="Why; shown wherever the approval counts. Required.")
@click.option("--by", metavar="NAME", help="Who decides; by default git's user.name, else the login name.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Last day it counts, UTC.")
@click.option(
    "--glue-version",
    "glue_versions",
    multiple=True,
    metavar="V",
    help="Only for this Glue version; repeatable.",
)
@click.option("--allow-young", metavar="TEXT", help="Why this release may be used before its minimum age.")
@click.option("--allow-yanked", metavar="TEXT", help="Why this release may be used although it is yanked.")
@click.option("--licence", metavar="SPDX", help="What a person found its licence to be.")
@click.option("--yes", is_flag=True, help="With --closure: do not ask.")
@click.pass_obj
def command(session: Session, /, *, requests: tuple[str, ...], closure: bool, yes: bool, **given: Any) -> None:
    """Approve releases: a project with its versions, such as boto3==1.40.61.

    The file's comments, order and layout stay. All of REQ... are added, or none. With --closure, REQ is a request
    as `check` takes it: what it needs and nobody approved is shown as a table, and added after a yes.
    """
    if not given["reason"]:
        raise click.UsageError("Missing option '--reason'.")
    terms = {**given, "by": given["by"] or author(), "until": given["until"] and given["until"].date()}
    project = session.project()
    if not closure:
        added = project.approve(requests, **terms)
        session.output.result(
            {"added": [approval_data(one, today()) for one in added]},
            approval_table(added, today()) if added else "nothing added: the allow-list holds these already",
        )
        return
    missing = _closure(project, requests, given["glue_versions"])
    shown = missing_table(missing) if missing else "nothing to approve: all of it is approved already"
    wanted = bool(missing) and (yes or _asked(session, shown))
    added = project.approve([str(one) for one in missing], **terms) if wanted else []
    session.output.result(
        {
            "missing": [missing_data(one) for one in missing],
            "added": [approval_data(one, today()) for one in added],
        },
        *([shown] if yes or not missing else []),  # otherwise it stands above the question
        *([approval_table(added, today()) if added else "nothing was approved"] if missing else []),
    )


def _closure(project: Project, requests: Sequence[str], glue_versions: Sequence[str]) -> list[MissingApproval]:
    """Return what `requests` need and nobody approved, for every one of `glue_versions`, once."""
    request = ",".join(requests)
    found = {
        str(one): one
        for version in glue_versions or (None,)
        for one in project.closure(request, glue_version=version)
    }
    return [found[key] for key in sorted(found)]


def _asked(session: Session, shown: Table | str) -> bool:
    """Show what would be approved and return what a person says.

    Raises: SettingsError where nobody can be asked.
    """
    if session.output.as_json:
        raise SettingsError("with --json nobody is asked: look at the table without it, then pass --yes")
    session.output.show(shown)
    if not sys.stdin.isatty():
        raise SettingsError(
            "nothing was approved: there is no terminal to ask at; pass --yes if all of it is wanted"
        )
    return click.confirm("approve all of these?", err=True)
