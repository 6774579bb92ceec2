"""`glue-pkgmgr stop`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.runs import run_data, run_table
from glue_pkgmgr.cli.session import Session


@click.command("stop", short_help="Stop a job run.", epilog=examples("glue-pkgmgr stop jr_0123456789abcdef"))
@click.argument("run")
@click.pass_obj
def command(session: Session, run: str) -> None:
    """Ask RUN to stop and show it as it is then; a run that has ended is left as it is."""
    found = session.project().stop(run)
    session.output.result(run_data(found), run_table(found))
