"""`glue-pkgmgr doctor`."""

from __future__ import annotations

import os

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, SettingsError
from glue_pkgmgr.verbs.doctor import Health


@click.command(
    "doctor",
    short_help="Show what is set up, what is missing, what to do.",
    epilog=examples("glue-pkgmgr doctor", "glue-pkgmgr local exec -- glue-pkgmgr doctor"),
)
@click.pass_obj
def command(session: Session) -> int:
    """Look at this machine, the settings, and AWS or the stand-in, and say what is missing and what to do.

    Exit status 2 if something is wrong; a warning is none.
    """
    from glue_pkgmgr.check_up import check_up

    findings = check_up(session.config, os.environ)
    rows = [(one.check, one.verdict.health.value, one.verdict.detail, one.verdict.advice) for one in findings]
    data = [
        {"check": check, "state": state, "detail": detail, "advice": advice or None}
        for check, state, detail, advice in rows
    ]
    session.output.result({"checks": data}, Table(("check", "state", "what there is", "what to do"), rows))
    wrong = sum(one.verdict.health is Health.WRONG for one in findings)
    if not wrong:
        return EXIT_DONE
    session.output.conclude(f"{wrong} of {len(findings)} checks found something wrong")
    return SettingsError.exit_code
