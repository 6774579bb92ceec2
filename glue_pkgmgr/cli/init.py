"""`glue-pkgmgr init`."""

from __future__ import annotations

from pathlib import Path

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.settings import FILENAME
from glue_pkgmgr.verbs.init import Beginnings, init

_DEFAULT = Beginnings()


@click.command(
    "init",
    short_help="Write the settings file and an empty allow-list.",
    epilog=examples("glue-pkgmgr init", "glue-pkgmgr init --domain acme --owner 123456789012 --internal acme-etl"),
)
@click.option("--domain", metavar="NAME", default=_DEFAULT.domain, show_default=True, help="CodeArtifact domain.")
@click.option(
    "--owner", metavar="ACCOUNT", default=_DEFAULT.owner, show_default=True, help="Account that owns it."
)
@click.option("--region", metavar="NAME", default=_DEFAULT.region, show_default=True, help="AWS region.")
@click.option(
    "--store",
    metavar="NAME",
    default=_DEFAULT.store,
    show_default=True,
    help="Repository with the public index behind it.",
)
@click.option(
    "--repository",
    metavar="NAME",
    default=_DEFAULT.repository,
    show_default=True,
    help="Repository jobs install from.",
)
@click.option("--internal", multiple=True, metavar="PROJECT", help="Project that only comes from you; repeatable.")
@click.pass_obj
def command(
    session: Session,
    *,
    domain: str,
    owner: str,
    region: str,
    store: str,
    repository: str,
    internal: tuple[str, ...],
) -> None:
    """Write glue-pkgmgr.toml and an empty allowlist.toml into this folder.

    The defaults work with the stand-in (`glue-pkgmgr local up`) as they are. Nothing is ever overwritten.
    """
    beginnings = Beginnings(
        domain=domain, owner=owner, region=region, store=store, repository=repository, internal=internal
    )
    written = init(session.config or Path(FILENAME), beginnings)
    session.output.result(
        {"written": [str(path) for path in written]},
        *(f"wrote {path}" for path in written),
    )
