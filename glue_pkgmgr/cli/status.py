"""`glue-pkgmgr status`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.results import cost_data, cost_rows
from glue_pkgmgr.cli.runs import run_data, run_table
from glue_pkgmgr.cli.session import Session


@click.command("status", short_help="Show one job run.", epilog=examples("glue-pkgmgr status jr_0123456789abcdef"))
@click.argument("run")
@click.pass_obj
def command(session: Session, run: str) -> None:
    """Show the state of RUN, when it ran, what it costs, and what went wrong if anything did."""
    from glue_pkgmgr.core.cost import cost_of

    found = session.project().status(run)
    cost = cost_of(found)
    shown = run_table(found)
    session.output.result(
        {**run_data(found), **cost_data(cost)}, shown._replace(rows=[*shown.rows, *cost_rows(cost)])
    )
