"""`glue-pkgmgr mint`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session

_SHORTEST = 900


@click.command(
    "mint",
    short_help="Print a short-lived index URL: a secret.",
    epilog=examples(
        'PIP_INDEX_URL="$(glue-pkgmgr mint)" pip install glueutils', "glue-pkgmgr --json mint --ttl 3600"
    ),
)
@click.option(
    "--ttl",
    type=int,
    default=_SHORTEST,
    show_default=True,
    metavar="SECONDS",
    help="900 to 43200, or 0 for the rest of the role's session.",
)
@click.pass_obj
def command(session: Session, ttl: int) -> None:
    """Print the index URL of the approved repository with a new token in it: whoever has it can read.

    No other command prints a secret.
    """
    url = session.project().mint(ttl)
    session.output.result({"url": url.reveal(), "expires_at": url.token.expires_at.isoformat()}, url.reveal())
    session.output.detail(f"valid until {url.token.expires_at:%Y-%m-%d %H:%M:%S} UTC")
