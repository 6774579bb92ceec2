"""`glue-pkgmgr restore`."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.approvals import withdrawal_data
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session


@click.command(
    "restore",
    short_help="Let a withdrawn release be used again.",
    epilog=examples("glue-pkgmgr restore glueutils==0.2.0"),
)
@click.argument("release", metavar="PROJECT==VERSION")
@click.pass_obj
def command(session: Session, release: str) -> None:
    """Reverse `withdraw`: the allow-list refuses the release no more, and it can be installed again.

    Approvals count as before: a lock that names it is good again. What was not withdrawn stays as it is.
    """
    done = session.project().restore(release)
    changed = done.published or done.withdrawals
    session.output.result(
        {
            "release": str(done.release),
            "repository": str(done.release.repository),
            "withdrawals": [withdrawal_data(one) for one in done.withdrawals],
            "published": done.published,
        },
        f"{done.release} may be used again" if changed else f"{done.release} is not withdrawn: nothing to restore",
    )
