"""`glue-pkgmgr status`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.runs import run_data, run_table
from glue_pkgmgr.cli.session import Session


@click.command("status", short_help="Show one job run.", epilog=examples("glue-pkgmgr status jr_0123456789abcdef"))
@click.argument("run")
@click.pass_obj
def command(session: Session, run: str) -> None:
    """Show the state of RUN, when it ran, and what went wrong if anything did."""
    found = session.project().status(run)
    session.output.result(run_data(found), run_table(found))
