"""`glue-pkgmgr stack synth`."""

from __future__ import annotations

import json

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session


@click.command(
    "synth",
    short_help="Print the CloudFormation template.",
    epilog=examples("glue-pkgmgr stack synth", "glue-pkgmgr stack synth --region eu-west-1"),
)
@click.option("--region", metavar="REGION", help="One of the regions of the settings; by default the first.")
@click.pass_obj
def synth(session: Session, region: str | None) -> None:
    """Print the template of the infrastructure as JSON; nothing is contacted.

    The same settings and job scripts give the same bytes. With or without --json, it is the template alone.
    """
    template = session.project().stack_template(region)
    session.output.result(template, json.dumps(template, indent=2))
    size = len(json.dumps(template, separators=(",", ":")).encode())
    session.output.progress(f"{len(template['Resources'])} resources, {size:,} bytes as they are sent")
