"""`glue-pkgmgr check`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.refusals import refusal_data, refusal_parts
from glue_pkgmgr.cli.releases import origin, release_data, release_table
from glue_pkgmgr.cli.session import Session

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

    Exit status 3 if an item, or something it needs, is not approved; 4 if it cannot be installed.
    """
    checked = session.project().check(request, glue_version=glue_version)
    session.output.result(_data(checked), *_parts(checked))
    for warning in checked.warnings:
        session.output.progress(f"warning: {warning}")
    if not checked.allowed:
        session.output.conclude(_why_not(checked))
    return checked.exit_code


def _parts(checked: Checked) -> list[str | Table]:
    parts: list[str | Table] = [_table(checked)]
    if checked.lock:
        parts += [f"for Glue {checked.runtime.version} that makes:", release_table(checked.lock.pins)]
    if checked.replaced:
        replaced = [(one.project, str(one.before), str(one.after)) for one in checked.replaced]
        parts += ["it replaces in the Glue image:", Table(("project", "image", "closure"), replaced)]
    if checked.refusal:
        parts += refusal_parts(checked.refusal)
    if any(item.problem and item.pin is None for item in checked.items):
        request = ",".join(_meant(item) for item in checked.items)
        parts.append(f"what it all needs: glue-pkgmgr approve --closure {shlex.quote(request)} --reason …")
    if checked.failure:
        parts.append(f"the other items could not be looked at: {checked.failure}")
    return parts


def _meant(item: CheckedItem) -> str:
    """Return the item as it can be approved: one whose name is taken for ours never can."""
    return item.alternative if item.taken_for_ours else str(item.item)


def _why_not(checked: Checked) -> str:
    refused = sum(bool(item.problem) for item in checked.items)
    if refused:
        return f"{refused} of {len(checked.items)} items refused for Glue {checked.runtime.version}"
    if checked.refusal and checked.refusal.missing:
        missing = len(checked.refusal.missing)
        lacking = "1 release lacks" if missing == 1 else f"{missing} releases lack"
        return f"{lacking} an approval for Glue {checked.runtime.version}"
    if checked.refusal and checked.refusal.not_approved:
        return f"the name of something it needs is refused for Glue {checked.runtime.version}"
    return f"approved, but not installable on Glue {checked.runtime.version}"


def _table(checked: Checked) -> Table:
    rows = [
        (
            str(item.item),
            "no" if item.problem else "yes",
            str(item.pin.version) if item.pin else "",
            origin(item.pin) if item.pin else "",
            item.problem or item.note,
            item.alternative,
        )
        for item in checked.items
    ]
    return Table(("item", "approved", "release", "from", "note", "instead"), rows)


def _data(checked: Checked) -> dict[str, object]:
    return {
        "glue_version": checked.runtime.version,
        "allowed": checked.allowed,
        "items": [_item_data(item, checked) for item in checked.items],
        "releases": [release_data(pin) for pin in checked.lock.pins] if checked.lock else None,
        "replaces": [
            {"project": one.project, "image": str(one.before), "closure": str(one.after)}
            for one in checked.replaced
        ],
        "refusal": refusal_data(checked.refusal) if checked.refusal else None,
        "warnings": list(checked.warnings),
        "failure": str(checked.failure) if checked.failure else None,
    }


def _item_data(item: CheckedItem, checked: Checked) -> dict[str, object]:
    in_image = checked.runtime.preinstalled.get(item.item.project)
    return {
        "item": str(item.item),
        "approved": not item.problem,
        "release": str(item.pin) if item.pin else None,
        "from": origin(item.pin) if item.pin else None,
        "in_image": str(in_image) if in_image else None,
        "problem": item.problem or None,
        "alternative": item.alternative or None,
        "note": item.note or None,
    }
