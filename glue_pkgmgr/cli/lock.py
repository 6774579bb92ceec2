"""`glue-pkgmgr lock`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import release_data
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.verbs.lock import Locked


@click.command(
    "lock",
    short_help="Resolve bundles to exact releases with hashes.",
    epilog=examples("glue-pkgmgr lock", "glue-pkgmgr lock taxi", "glue-pkgmgr lock --check"),
)
@click.argument("bundles", nargs=-1, metavar="[BUNDLE...]")
@click.option("--check", is_flag=True, help="Only tell whether the locks may still be used; no network.")
@click.pass_obj
def command(session: Session, bundles: tuple[str, ...], check: bool) -> None:
    """Resolve each BUNDLE, by default all, and write its lock: every release and the hashes of its files.

    With --check nothing is written; exit status 3 if a lock no longer agrees with settings or allow-list.
    """
    project = session.project()
    locks = project.lock_check(bundles) if check else project.lock(bundles)
    session.output.result(
        {"locks": [_data(locked) for locked in locks]},
        _table(locks) if locks else "no bundles: the settings name none",
    )


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


def _data(locked: Locked) -> dict[str, object]:
    return {
        "bundle": locked.bundle,
        "glue_version": locked.lock.runtime.version,
        "path": str(locked.path),
        "changed": locked.changed,
        "request": list(locked.lock.request),
        "releases": [release_data(pin) for pin in locked.lock.pins],
    }
