"""`glue-pkgmgr stack`: a group, and nothing of its own."""

from __future__ import annotations

import click

from glue_pkgmgr.cli.help_text import InOrder, examples
from glue_pkgmgr.cli.stack_deploy import deploy, destroy, diff
from glue_pkgmgr.cli.stack_lint import lint
from glue_pkgmgr.cli.stack_synth import synth


@click.group(
    "stack",
    cls=InOrder,
    epilog=examples("glue-pkgmgr stack synth", "glue-pkgmgr stack diff", "glue-pkgmgr stack deploy"),
    short_help="Show, deploy and remove the AWS infrastructure.",
    no_args_is_help=True,
)
def command() -> None:
    """Make the AWS infrastructure that the settings describe: one CloudFormation template, least privilege."""


for one in (synth, diff, deploy, destroy, lint):
    command.add_command(one)
