"""`glue-pkgmgr launch`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click

from glue_pkgmgr.cli.follow import Followed, follow
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.logs import line_data
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import release_data, release_table
from glue_pkgmgr.cli.runs import run_data
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.job import Delivery, JobRun, Outcome
from glue_pkgmgr.errors import EXIT_DONE, JobRunFailed, JobRunStopped
from glue_pkgmgr.verbs.launch import Launched

_ACCEPTED = "accepted"  # the phase before the run has a state


@click.command(
    "launch",
    short_help="Start a job with exactly the locked releases, and follow it.",
    epilog=examples(
        "glue-pkgmgr launch taxi",
        "glue-pkgmgr launch taxi --arg YEAR=2024 --no-wait",
        "glue-pkgmgr launch taxi --modules boto3,polars==1.30.0 --delivery wheels",
    ),
)
@click.argument("job")
@click.option("--modules", metavar="REQUEST", help="Install this instead of the job's bundle.")
@click.option(
    "--delivery",
    type=click.Choice([delivery.value for delivery in Delivery]),
    metavar="D",
    help="requirements, wheels or index; by default the most private way that fits.",
)
@click.option("--arg", "given", multiple=True, metavar="K=V", help="Argument of the job; repeatable.")
@click.option("--no-wait", is_flag=True, help="Return once the run was accepted.")
@click.pass_obj
def command(
    session: Session,
    *,
    job: str,
    modules: str | None,
    delivery: str | None,
    given: tuple[str, ...],
    no_wait: bool,
) -> int:
    """Check the lock of JOB, start a run that installs exactly what it names, and follow it to its end.

    JOB is a job of the settings, by its key or its Glue name. Whatever can be known to go wrong is refused
    before anything costs money. Ctrl-C ends the following, not the run.
    """
    project = session.project()
    began = time.monotonic()
    launched = project.launch(
        job, modules=modules, delivery=delivery, arguments=_arguments(given), followed=not no_wait
    )
    accepted = time.monotonic() - began
    if no_wait:
        session.output.result(_data(launched, {_ACCEPTED: accepted}), launched.run)
        session.output.progress(f"accepted; follow it with `glue-pkgmgr logs --follow {launched.run}`")
        return EXIT_DONE
    session.left_behind = _left_behind(launched)
    followed = follow(session.output, project.follow(launched))
    session.left_behind = ""
    return _report(session, launched, followed, {_ACCEPTED: accepted, **followed.seconds})


def _left_behind(launched: Launched) -> str:
    """Return what stays when nobody follows the run any more."""
    goes_on = f"the run goes on; `glue-pkgmgr stop {launched.run}` ends it"
    if launched.delivery is not Delivery.REQUIREMENTS or launched.token_expires is None:
        return goes_on
    # Deleted now, it might be missing where the run is about to install from it.
    return (
        f"{goes_on}; its requirements file with a token, good until {launched.token_expires:%H:%M:%S} UTC, stays "
        f"until somebody looks again: `glue-pkgmgr logs --follow {launched.run}`"
    )


def _arguments(given: Sequence[str]) -> dict[str, str]:
    arguments: dict[str, str] = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{argument!r} is not of the form K=V", param_hint="--arg")
        if name in arguments:
            raise click.BadParameter(f"{name} is given twice", param_hint="--arg")
        arguments[name] = value
    return arguments


def _report(session: Session, launched: Launched, followed: Followed, seconds: dict[str, float]) -> int:
    run = followed.run
    summary = _summary(launched, run, seconds)
    data = {**_data(launched, seconds), **run_data(run)}
    match run.state.outcome:
        case Outcome.SUCCEEDED:
            session.output.result(data, summary, release_table(launched.lock.pins))
            return EXIT_DONE
        case Outcome.STOPPED:
            status = JobRunStopped.exit_code
        case _:
            status = JobRunFailed.exit_code
    data["log_tail"] = [line_data(line) for line in followed.tail]
    session.output.result(data, summary)
    session.output.quote("the end of its log:", [line.text for line in followed.unseen])
    cause = run.error_message or run.state_detail or "no reason given"
    session.output.conclude(f"run {run.id} of {run.job} ended in {run.state}: {cause}")
    return status


def _summary(launched: Launched, run: JobRun, seconds: Mapping[str, float]) -> Table:
    phases = [
        (f"{phase} after" if phase == _ACCEPTED else f"in {phase}", f"{spent:.1f} s")
        for phase, spent in seconds.items()
    ]
    rows = [
        ("run", run.id),
        ("job", run.job),
        ("state", run.state.value),
        ("delivery", launched.delivery.value),
        *phases,
    ]
    return Table(("what", "value"), rows)


def _data(launched: Launched, seconds: dict[str, float]) -> dict[str, object]:
    return {
        "job": launched.job,
        "run": launched.run,
        "delivery": launched.delivery.value,
        "glue_version": launched.lock.runtime.version,
        "token_expires": launched.token_expires.isoformat() if launched.token_expires else None,
        "seconds_from_token_to_accepted": launched.accept_seconds,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "releases": [release_data(pin) for pin in launched.lock.pins],
    }
