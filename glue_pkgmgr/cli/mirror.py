"""`glue-pkgmgr mirror`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.carry import export, import_
from glue_pkgmgr.cli.help_text import InOrder, examples
from glue_pkgmgr.cli.launches import launch_data
from glue_pkgmgr.cli.output import Output, Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, NotApproved, NotInstallable, SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.record import LaunchRecord
    from glue_pkgmgr.verbs.mirrored import MirrorReport, Unlocked

_LAUNCHES_SHOWN = 3


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
    short_help="Bring what the locks name, checked by hash.",
    epilog=examples("glue-pkgmgr mirror sync", "glue-pkgmgr mirror sync --prune"),
)
@click.option("--prune", is_flag=True, help="Then delete what no lock names, after a question.")
@click.option("--yes", is_flag=True, help="Prune without a question.")
@click.pass_obj
def sync(session: Session, *, prune: bool, yes: bool) -> int:
    """Bring every locked release from the store into the approved repository, checked file by file.

    Other bytes than locked are removed again. Safe to repeat and to interrupt. --prune deletes releases of others
    that no lock names, and shows which recorded runs used them; an approval can bring them back later.
    Exit status 4 if a release is missing or its bytes differ, 3 if the repository looks elsewhere.
    """
    output = session.output
    if yes and not prune:
        raise click.UsageError("--yes answers the question of --prune; say --prune too")
    if prune and not yes and not sys.stdin.isatty():
        raise SettingsError("--prune asks before it deletes, and there is no terminal to ask on; pass --yes")
    project = session.project()
    report = project.mirror_sync(every_bundle=prune)
    if not output.as_json:
        output.result({}, *_shown(report))
    pruned = report.extra if prune and report.extra and (yes or _agreed(report.extra, output)) else ()
    if pruned:
        project.mirror_prune(pruned)
    elif prune:
        output.progress("nothing was removed")
    if output.as_json:
        output.result(_data(report, pruned))
    return _concluded(report, output)


@command.command(
    "verify", short_help="Compare it with the locks.", epilog=examples("glue-pkgmgr --json mirror verify")
)
@click.pass_obj
def verify(session: Session) -> int:
    """Compare the approved repository with the locks; nothing is changed.

    Exit status 3 for anything that is not as locks and settings want it: a release that is missing, withdrawn,
    in no lock, or has other bytes; origin controls; a repository that looks elsewhere.
    """
    report = session.project().mirror_verify()
    session.output.result(_data(report), *_shown(report))
    if not (wrong := len(report.deviations)):
        return EXIT_DONE
    remedy = "mirror sync --prune" if report.extra else "mirror sync"
    if report.unpublished:
        remedy = f"publish, {remedy}"
    session.output.conclude(f"{_count(wrong, 'deviation')} from locks and settings; see {remedy}")
    return NotApproved.exit_code


command.add_command(export)
command.add_command(import_)


def _agreed(releases: Sequence[Unlocked], output: Output) -> bool:
    if output.as_json:  # the table is not shown then
        output.progress(f"in no lock: {', '.join(map(str, releases))}")
    return click.confirm(f"Delete {_count(len(releases), 'release')} that no lock names?", err=True)


def _concluded(report: MirrorReport, output: Output) -> int:
    """Say why all is not well, and return the exit status."""
    lacking, incidents = len(report.lacking), len(report.incidents)
    failures = [one.failure for one in report.lacking if one.failure]
    if incidents or len(failures) < lacking:
        told = [f"{lacking} of {_count(len(report.entries), 'release')} not there as locked"] if lacking else []
        told += [f"{_count(incidents, 'incident')} of other bytes than locked"] if incidents else []
        told += ["`glue-pkgmgr publish` brings what is our own"] if report.unpublished else []
        output.conclude("; ".join(told))
        return NotInstallable.exit_code
    if failures:
        output.conclude(f"{_count(len(failures), 'release')} could not be seen to; run mirror sync again")
        return failures[0].exit_code
    if report.faults:
        output.conclude("the approved repository does not keep out what nobody approved; see above")
        return NotApproved.exit_code
    return EXIT_DONE


def _shown(report: MirrorReport) -> list[Table | str]:
    parts: list[Table | str] = ["no locked release is to be installed; see glue-pkgmgr lock"]
    if report.entries:
        rows = [(str(one.pin), one.presence.value, one.detail) for one in report.entries]
        parts = [Table(("release", "approved repository", "detail"), rows)]
    if report.incidents:
        incidents = [(str(one.pin), one.outcome, one.detail) for one in report.incidents]
        parts += ["", Table(("incident", "what became of it", "other bytes than locked"), incidents)]
    if report.faults:
        faults = [(one.where, one.what, one.detail) for one in report.faults]
        parts += ["", Table(("where", "what is wrong", "detail"), faults)]
    if report.unlocked:
        unlocked = [(str(one), _whose(one), _uses(one.used_by)) for one in report.unlocked]
        parts += ["", Table(("in no lock", "whose", "recorded launches, latest first"), unlocked)]
    return parts


def _whose(one: Unlocked) -> str:
    return "our own" if one.internal else "others"


def _uses(launches: Sequence[LaunchRecord]) -> str:
    latest = [f"{one.run or one.launch} of {one.job}, {one.time:%Y-%m-%d}" for one in reversed(launches)]
    more = len(latest) - _LAUNCHES_SHOWN
    return "; ".join([*latest[:_LAUNCHES_SHOWN], *([f"{more} more"] if more > 0 else [])])


def _data(report: MirrorReport, pruned: Sequence[Unlocked] = ()) -> dict[str, object]:
    return {
        "releases": [
            {"release": str(one.pin), "presence": one.presence.value, "detail": one.detail or None}
            for one in report.entries
        ],
        "incidents": [
            {"release": str(one.pin), "detail": one.detail, "outcome": one.outcome} for one in report.incidents
        ],
        "unlocked": [
            {
                "release": str(one),
                "internal": one.internal,
                "used_by": [launch_data(launch) for launch in one.used_by],
                "pruned": one in pruned,
            }
            for one in report.unlocked
        ],
        "deviations": [
            {"where": one.where, "what": one.what, "detail": one.detail or None} for one in report.deviations
        ],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
