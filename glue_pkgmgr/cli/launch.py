"""`glue-pkgmgr launch`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from glue_pkgmgr.cli.follow import Followed, Waiting, follow, shortened
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import release_data, release_table
from glue_pkgmgr.cli.results import result_data, result_rows
from glue_pkgmgr.cli.runs import run_data
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.core.duration import parse_duration
from glue_pkgmgr.core.job import Delivery
from glue_pkgmgr.errors import EXIT_DONE, DeadlineExceeded, GluePkgmgrError, RemoteError

if TYPE_CHECKING:
    from datetime import timedelta

    from glue_pkgmgr.core.run_result import RunResult
    from glue_pkgmgr.run import Run
    from glue_pkgmgr.verbs.preflight import Preflight


_GLUE, _STEP_FUNCTIONS = "glue", "stepfunctions"


@click.command(
    "launch",
    short_help="Start a job with exactly the locked releases, and follow it.",
    epilog=examples(
        "glue-pkgmgr launch taxi",
        "glue-pkgmgr launch taxi --arg YEAR=2024 --no-wait",
        "glue-pkgmgr launch taxi --modules boto3,polars==1.30.0 --delivery wheels",
        "glue-pkgmgr launch taxi --via stepfunctions",
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
@click.option(
    "--via",
    type=click.Choice([_GLUE, _STEP_FUNCTIONS]),
    default=_GLUE,
    metavar="W",
    help="glue, or stepfunctions: the job's state machine launches it.",
)
@click.option("--arg", "given", multiple=True, metavar="K=V", help="Argument of the job; repeatable.")
@click.option(
    "--launch-id", metavar="TEXT", help="Names this launch: if it has a run already, that one is taken up."
)
@click.option(
    "--queue", metavar="DURATION", help="Wait so long, such as 30m, where the job runs as often as it may."
)
@click.option("--fix", is_flag=True, help="Make the job as the settings say; its script is uploaded.")
@click.option("--dry-run", is_flag=True, help="Show what is found; start and change nothing.")
@click.option("--no-wait", is_flag=True, help="Return once the run was accepted.")
@click.option("--timeout", metavar="DURATION", help="Stop waiting after that time, such as 30m; the run goes on.")
@click.option(
    "--retries", type=click.IntRange(0, 10), default=1, help="How often to start again what ran nothing."
)
@click.option("--stop-on-interrupt", is_flag=True, help="Ctrl-C ends the run too, not the following alone.")
@click.pass_obj
def command(
    session: Session,
    *,
    job: str,
    modules: str | None,
    delivery: str | None,
    via: str,
    given: tuple[str, ...],
    launch_id: str | None,
    queue: str | None,
    fix: bool,
    dry_run: bool,
    no_wait: bool,
    timeout: str | None,
    retries: int,
    stop_on_interrupt: bool,
) -> int:
    """Check the lock of JOB, start a run that installs exactly what it names, and follow it to its end.

    JOB is a job of the settings, by its key or its Glue name. Whatever can be known to go wrong is refused
    before anything costs money. Ctrl-C ends the following, not the run. A run that failed before its script began,
    for a reason that may pass, is started again with a new token.
    """
    if no_wait and (timeout or stop_on_interrupt):
        raise click.UsageError(
            "--timeout and --stop-on-interrupt are for a run that is followed: leave out --no-wait"
        )
    if via == _STEP_FUNCTIONS and (queue or fix or _is_given("retries")):
        raise click.UsageError(
            "--queue, --fix and --retries are not for a state machine, which waits and tries again by itself"
        )
    waiting = Waiting.of(timeout)
    wish: dict[str, Any] = {"modules": modules, "delivery": delivery, "arguments": _arguments(given), "fix": fix}
    once: dict[str, Any] = {"launch_id": launch_id, "queue": parse_duration(queue) if queue else None}
    project = session.project()
    if dry_run:
        return _findings(session, job, project.preflight(job, **wish, followed=not no_wait))
    began = time.monotonic()
    runs: Iterator[Run]
    if via == _STEP_FUNCTIONS:
        session.left_behind = "the execution goes on, if it was started"
        del wish["fix"]
        runs = project.workflow(job, **wish, launch_id=launch_id, deadline=waiting.left())
    elif no_wait:
        runs = iter([project.launch(job, **wish, **once, followed=False)])
    else:
        runs = project.attempts(job, retries=retries, **wish, **once)
    if no_wait:
        run = next(runs)
        session.output.result(_data(run, time.monotonic() - began), run.id)
        told = "accepted" if run.launched or via == _STEP_FUNCTIONS else "it is there already"
        session.output.progress(f"{told}; follow it with `glue-pkgmgr logs --follow {run.id}`")
        return EXIT_DONE
    for run in runs:
        accepted = time.monotonic() - began
        followed = _follow(session, run, waiting.left(), stop=stop_on_interrupt)
        began = time.monotonic()
    result = run.wait()
    for warning in result.warnings:
        session.output.progress(f"warning: {warning}")
    session.output.result(*_report(run, result, accepted))
    if result.cause:
        session.output.quote("the end of its log:", [shortened(line.text) for line in followed.unseen])
        session.output.conclude(result.sentence)
    return result.exit_status


def _is_given(option: str) -> bool:
    """Whether the option is on the command line of this call."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _follow(session: Session, run: Run, left: timedelta | None, *, stop: bool) -> Followed:
    session.left_behind = _left_behind(run)
    try:
        followed = follow(session.output, run.follow(left))
    except KeyboardInterrupt:
        if stop:
            session.left_behind = _stopped(run)
        raise
    except DeadlineExceeded as e:
        raise DeadlineExceeded("; ".join(filter(None, [str(e), _secret_left(run)]))) from e
    except RemoteError:  # of the following: what was started is there all the same
        session.output.progress(_left_behind(run))
        raise
    session.left_behind = ""
    return followed


def _findings(session: Session, job: str, found: Preflight) -> int:
    """Show everything that was found; the exit status is that of the gravest error."""
    data = {
        "job": job,
        "delivery": found.delivery.value,
        "findings": [
            {"check": one.check, "state": one.state.value, "told": one.told, "advice": one.advice or None}
            for one in found.findings
        ],
        "changes": [{"member": one.member, "there": one.there, "wanted": one.wanted} for one in found.differences],
    }
    rows = [(one.check, one.state.value, one.told, one.advice) for one in found.findings]
    parts: list[str | Table] = [Table(("check", "state", "what there is", "what to do"), rows)]
    if found.differences:
        changes = [(one.member, _shown(one.there), _shown(one.wanted)) for one in found.differences]
        parts += ["--fix would change:", Table(("member", "there", "wanted"), changes)]
    session.output.result(data, *parts)
    errors = found.errors
    if errors:
        things = "one thing keeps" if len(errors) == 1 else f"{len(errors)} things keep"
        session.output.conclude(f"{things} {job} from being launched")
    return errors[0].error.exit_code if errors else EXIT_DONE


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _stopped(run: Run) -> str:
    """Ask `run` to stop and return what to say about it."""
    try:
        run.stop()
    except GluePkgmgrError as e:
        return f"the run goes on: {e}"
    return f"the run was asked to stop; `glue-pkgmgr status {run.id}` shows it"


def _left_behind(run: Run) -> str:
    """Return what stays when nobody follows the run any more."""
    goes_on = (
        f"the run goes on; `glue-pkgmgr logs --follow {run.id}` follows it again, "
        f"`glue-pkgmgr stop {run.id}` ends it"
    )
    return "; ".join(filter(None, [goes_on, _secret_left(run)]))


def _secret_left(run: Run) -> str:
    launched = run.launched
    if launched is None or launched.delivery is not Delivery.REQUIREMENTS or launched.token_expires is None:
        return ""
    # Deleted now, it might be missing where the run is about to install from it.
    return (
        f"its requirements file with a token, good until {launched.token_expires:%H:%M:%S} UTC, stays until "
        "somebody follows it to its end"
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


def _report(
    run: Run, result: RunResult, accepted: float
) -> tuple[dict[str, object], Table] | tuple[dict[str, object], Table, Table]:
    data = {**_data(run, accepted, result), **run_data(result.run), **result_data(result)}
    rows = [
        ("run", run.id),
        ("job", run.job),
        ("state", result.run.state.value),
        *([("delivery", run.delivery.value), ("accepted after", f"{accepted:.1f} s")] if run.launched else []),
        *result_rows(result),
    ]
    table = Table(("what", "value"), rows)
    return (data, table) if result.cause or not run.launched else (data, table, release_table(run.lock.pins))


def _data(run: Run, accepted: float, result: RunResult | None = None) -> dict[str, object]:
    phases = result.phases.as_data() if result and result.phases else {}
    told = {"job": run.job, "run": run.id, "launch": run.launch, "found_again": run.launched is None}
    seconds = {name: round(value, 3) for name, value in {"accepted": accepted, **phases}.items()}
    if run.launched is None:  # what it was launched with is in the record of whoever did
        return {**told, "seconds": seconds}
    return {
        **told,
        "delivery": run.delivery.value,
        "glue_version": run.lock.runtime.version,
        "token_expires": run.token_expires.isoformat() if run.token_expires else None,
        "seconds_from_token_to_accepted": run.accept_seconds,
        "seconds": seconds,
        "releases": [release_data(pin) for pin in run.lock.pins],
    }
