"""`glue-pkgmgr lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import release_data
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.core.lock_changes import Change
    from glue_pkgmgr.core.lockfile import Pin
    from glue_pkgmgr.verbs.lock import Locked

_ALL = "*"  # no project has such a name


@click.command(
    "lock",
    short_help="Resolve bundles to exact releases with hashes.",
    epilog=examples(
        "glue-pkgmgr lock",
        "glue-pkgmgr lock --check",
        "glue-pkgmgr lock --check --sbom sboms",
        "glue-pkgmgr lock taxi --upgrade",
        "glue-pkgmgr lock --upgrade boto3 --upgrade botocore --dry-run",
        "glue-pkgmgr lock --glue-version 6.0 --dry-run",
    ),
)
@click.argument("bundles", nargs=-1, metavar="[BUNDLE...]")
@click.option("--check", is_flag=True, help="Only tell whether the locks may still be used; no network.")
@click.option(
    "--upgrade",
    multiple=True,
    is_flag=False,
    flag_value=_ALL,
    metavar="[PROJECT]",
    help="Take the newest allowed version of PROJECT, or of all, instead of the locked one; repeatable.",
)
@click.option("--glue-version", metavar="V", help="Resolve for this Glue version; with --dry-run.")
@click.option("--dry-run", is_flag=True, help="Only show what would change; nothing is written.")
@click.option(
    "--sbom",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a bill of materials of each lock into FOLDER, as CycloneDX 1.6.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    bundles: tuple[str, ...],
    check: bool,
    upgrade: tuple[str, ...],
    glue_version: str | None,
    dry_run: bool,
    sbom: Path | None,
) -> None:
    """Resolve each BUNDLE, by default all, and write its lock: every release and the hashes of its files.

    Locked versions stay where they fit. With --check nothing is written; exit status 3 if a lock no longer agrees
    with settings or allow-list.
    """
    if check and (upgrade or glue_version or dry_run):
        raise click.UsageError("--check goes with no other option: it resolves nothing")
    if sbom and dry_run:
        raise click.UsageError("--sbom tells what is locked, and --dry-run locks nothing: leave one of them out")
    project = session.project()
    if check:
        locks = project.lock_check(bundles)
    else:
        projects = None if not upgrade else () if _ALL in upgrade else upgrade
        locks = project.lock(bundles, upgrade=projects, glue_version=glue_version, dry_run=dry_run)
    bills = {locked.bundle: project.write_sbom(locked.bundle, sbom) for locked in locks} if sbom else {}
    parts: list[str | Table] = [_table(locks) if locks else "no bundles: the settings name none"]
    for locked in locks:
        # Of a new lock everything is new: the table would only repeat it.
        if any(change.before for change in locked.changes):
            parts += [f"{'would change' if dry_run else 'changed'} in {locked.path.name}:", _changes(locked)]
    parts += [f"bill of materials: {path}" for path in bills.values()]
    told = [{**_data(locked), "sbom": str(bills[locked.bundle]) if sbom else None} for locked in locks]
    session.output.result({"dry_run": dry_run, "locks": told}, *parts)


def _table(locks: list[Locked]) -> Table:
    rows = [
        (
            locked.bundle,
            locked.lock.runtime.version,
            str(len(locked.lock.pins)),
            str(len(locked.lock.installed)),
            "yes" if locked.changed else "no",
            locked.path.name,
        )
        for locked in locks
    ]
    return Table(("bundle", "glue", "releases", "to install", "changed", "lock"), rows)


def _changes(locked: Locked) -> Table:
    rows = [(one.project, _version(one.before), _version(one.after), one.told) for one in locked.changes]
    return Table(("project", "before", "after", "change"), rows)


def _version(pin: Pin | None) -> str:
    if pin is None:
        return ""
    return f"{pin.version} (image)" if pin.preinstalled else str(pin.version)


def _data(locked: Locked) -> dict[str, object]:
    return {
        "bundle": locked.bundle,
        "glue_version": locked.lock.runtime.version,
        "path": str(locked.path),
        "changed": locked.changed,
        "changes": [_change_data(one) for one in locked.changes],
        "request": list(locked.lock.request),
        "releases": [release_data(pin) for pin in locked.lock.pins],
    }


def _change_data(change: Change) -> dict[str, object]:
    return {
        "project": change.project,
        "before": str(change.before.version) if change.before else None,
        "after": str(change.after.version) if change.after else None,
        "change": change.told,
    }
