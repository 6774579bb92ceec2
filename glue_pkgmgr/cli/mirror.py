"""`glue-pkgmgr mirror`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import InOrder, examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, NotInstallable

if TYPE_CHECKING:
    from glue_pkgmgr.verbs.mirror import Mirrored


@click.group(
    "mirror",
    cls=InOrder,
    epilog=examples("glue-pkgmgr mirror sync", "glue-pkgmgr mirror verify"),
    short_help="Fill the approved repository from the locks, or compare them.",
    no_args_is_help=True,
)
def command() -> None:
    """Keep the approved repository, which jobs install from, equal to the locks."""


@command.command(
    "sync",
    short_help="Copy what the locks name, checked by hash.",
    epilog=examples("glue-pkgmgr mirror sync"),
)
@click.pass_obj
def sync(session: Session) -> None:
    """Copy every locked release from the store into the approved repository, checked file by file.

    Safe to repeat and to interrupt. Exit status 4 if a release is missing or its bytes differ.
    """
    mirrored = session.project().mirror_sync()
    session.output.result(_data(mirrored), _shown(mirrored))


@command.command(
    "verify", short_help="Compare it with the locks.", epilog=examples("glue-pkgmgr --json mirror verify")
)
@click.pass_obj
def verify(session: Session) -> int:
    """Compare the approved repository with the locks; nothing is changed.

    Exit status 4 if a release is missing or its bytes differ.
    """
    from glue_pkgmgr.verbs.mirror import Presence

    mirrored = session.project().mirror_verify()
    session.output.result(_data(mirrored), _shown(mirrored))
    lacking = sum(one.presence in (Presence.MISSING, Presence.DIFFERENT) for one in mirrored)
    if not lacking:
        return EXIT_DONE
    session.output.conclude(f"{lacking} of {len(mirrored)} releases are not there as locked; see mirror sync")
    return NotInstallable.exit_code


def _shown(mirrored: Sequence[Mirrored]) -> Table | str:
    if not mirrored:
        return "no locked release is to be installed; see glue-pkgmgr lock"
    rows = [(str(one.pin), one.presence.value, one.detail) for one in mirrored]
    return Table(("release", "approved repository", "detail"), rows)


def _data(mirrored: Sequence[Mirrored]) -> dict[str, object]:
    return {
        "releases": [
            {"release": str(one.pin), "presence": one.presence.value, "detail": one.detail or None}
            for one in mirrored
        ]
    }
