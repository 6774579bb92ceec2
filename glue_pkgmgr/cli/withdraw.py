"""`glue-pkgmgr withdraw`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.approvals import withdrawal_data
from glue_pkgmgr.cli.author import author
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.launches import launch_data
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.record import LaunchRecord
    from glue_pkgmgr.verbs.withdraw import OwnRelease, Uses, Withdrawn

_LAUNCHES_SHOWN = 20


@click.command(
    "withdraw",
    short_help="Take back a release of our own.",
    epilog=examples('glue-pkgmgr withdraw glueutils==0.2.0 --reason "deletes the table"'),
)
@click.argument("release", metavar="PROJECT==VERSION")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever is refused reads it.")
@click.option("--by", metavar="NAME", help="Who decides; by default git's user.name, else the login name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(session: Session, /, *, release: str, reason: str, by: str | None, yes: bool) -> None:
    """Take back a release of our own: nobody can install it any more, by pip or any other way.

    First the locks and recorded runs that use it are shown; after a yes it is archived in the approved repository,
    and who withdrew it and why is noted in the allow-list: commit that. Then `check`, `lock` and `launch` refuse
    it. Runs under way go on. `restore` reverses it. Exit status 4 if the approved repository does not hold it.
    """
    project, output = session.project(), session.output
    by = by or author()
    found, uses = project.own_release(release), project.uses(release)
    if not output.as_json:
        output.show(_uses_shown(found, uses))
    if not yes and not _agreed(found, session):
        output.show(f"{found} was not withdrawn")
        return
    done = project.withdraw(release, by=by, reason=reason)
    output.result(_data(done, uses), *_concluded(done, uses))


def _agreed(found: OwnRelease, session: Session) -> bool:
    """Return what a person says. Raises: SettingsError where nobody can be asked."""
    if session.output.as_json:
        raise SettingsError("with --json nobody is asked: look at the uses without it, then pass --yes")
    if not sys.stdin.isatty():
        raise SettingsError(f"{found} was not withdrawn: there is no terminal to ask at; pass --yes")
    return click.confirm(f"withdraw {found}?", err=True)


def _uses_shown(found: OwnRelease, uses: Uses) -> Table | str:
    if not uses.bundles and not uses.launches:
        return f"no lock and no recorded run here uses {found}"
    locks = [("lock", bundle, "", "", "") for bundle in uses.bundles]
    latest = list(reversed(uses.launches))
    runs = [_row(launch) for launch in latest[:_LAUNCHES_SHOWN]]
    more = len(latest) - _LAUNCHES_SHOWN
    earlier = [("earlier runs", str(more), "", "", "")] if more > 0 else []
    return Table(("used by", "which", "job", "by", "time (UTC)"), [*locks, *runs, *earlier])


def _row(launch: LaunchRecord) -> tuple[str, str, str, str, str]:
    known = ("run", launch.run) if launch.run else ("launch", launch.launch)
    return (*known, launch.job, launch.by, f"{launch.time:%Y-%m-%d %H:%M}")


def _concluded(done: Withdrawn, uses: Uses) -> list[str]:
    how = "withdrawn" if done.archived or done.noted else "was withdrawn already,"
    parts = [f"{done.release} {how} {done.withdrawal.why}"]
    if uses.bundles:
        parts.append(f"their locks may not be used any more: {', '.join(uses.bundles)}; lock another release")
    if uses.launches:
        parts.append("runs under way go on; `glue-pkgmgr stop RUN` ends one")
    return parts


def _data(done: Withdrawn, uses: Uses) -> dict[str, object]:
    return {
        "release": str(done.release),
        "repository": str(done.release.repository),
        "withdrawal": withdrawal_data(done.withdrawal),
        "archived": done.archived,
        "noted": done.noted,
        "locks": list(uses.bundles),
        "launches": [launch_data(launch) for launch in uses.launches],
    }
