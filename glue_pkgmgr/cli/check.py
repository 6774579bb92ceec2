"""`glue-pkgmgr check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import origin, release_data, release_table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, NotApproved

if TYPE_CHECKING:
    from glue_pkgmgr.verbs.check import Checked, CheckedItem


@click.command(
    "check",
    short_help="Tell whether a request is approved and installable.",
    epilog=examples("glue-pkgmgr check boto3,glueutils==0.2.0", "glue-pkgmgr check polars --glue-version 5.1"),
)
@click.argument("request")
@click.option("--glue-version", metavar="V", help="By default that of the bundles, the newest of several.")
@click.pass_obj
def command(session: Session, request: str, glue_version: str | None) -> int:
    """Tell whether REQUEST would be allowed and what it would install. Nothing is changed or started.

    Exit status 3 if an item is refused by the allow-list, 4 if it cannot be installed.
    """
    checked = session.project().check(request, glue_version=glue_version)
    parts: list[str | Table] = [_table(checked)]
    if checked.lock:
        parts += [f"for Glue {checked.runtime.version} that makes:", release_table(checked.lock)]
    session.output.result(_data(checked), *parts)
    if checked.allowed:
        return EXIT_DONE
    refused = sum(bool(item.problem) for item in checked.items)
    session.output.conclude(f"{refused} of {len(checked.items)} items refused for Glue {checked.runtime.version}")
    return NotApproved.exit_code


def _table(checked: Checked) -> Table:
    rows = [
        (
            str(item.item),
            "no" if item.problem else "yes",
            str(item.pin.version) if item.pin else "",
            origin(item.pin) if item.pin else "",
            item.problem or item.note,
        )
        for item in checked.items
    ]
    return Table(("item", "approved", "release", "from", "note"), rows)


def _data(checked: Checked) -> dict[str, object]:
    return {
        "glue_version": checked.runtime.version,
        "allowed": checked.allowed,
        "items": [_item_data(item) for item in checked.items],
        "releases": [release_data(pin) for pin in checked.lock.pins] if checked.lock else None,
    }


def _item_data(item: CheckedItem) -> dict[str, object]:
    return {
        "item": str(item.item),
        "approved": not item.problem,
        "release": str(item.pin) if item.pin else None,
        "from": origin(item.pin) if item.pin else None,
        "problem": item.problem or None,
        "note": item.note or None,
    }
