"""`glue-pkgmgr local`: the stand-in for AWS on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import InOrder, examples
from glue_pkgmgr.cli.output import Failure, Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.local.lifecycle import StandInStatus
    from glue_pkgmgr.local.state import StandIn

EXIT_CANNOT_EXECUTE = 126  # as shells report it
EXIT_NOT_FOUND = 127

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Its state folder; by default .glue-pkgmgr/local beside the settings file.",
)


@click.group(
    "local",
    cls=InOrder,
    epilog=examples("glue-pkgmgr local up", "glue-pkgmgr local exec -- aws s3 ls", "glue-pkgmgr local down"),
    short_help="Run the stand-in for AWS on this machine.",
    no_args_is_help=True,
)
def command() -> None:
    """Run the stand-in for AWS: CodeArtifact, the package index, Glue job runs, S3 and more, on loopback only."""


@command.command(
    "up",
    short_help="Start it, or find it running, and make what the settings name.",
    epilog=examples("glue-pkgmgr local up", "glue-pkgmgr local up --state ../second --port 8123"),
)
@_state
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Its port; by default, or 0, a free one."
)
@click.option(
    "--nearest-python",
    is_flag=True,
    help="Run jobs on the nearest Python where the Glue version's is absent.",
)
@click.pass_obj
def up(session: Session, state: Path | None, port: int, nearest_python: bool) -> None:
    """Start the stand-in in the background, or find it running, and make what the settings name in it.

    Type it again after editing a job script or the settings: runs take what was there at the last `up`.
    Packages and S3 objects survive `local down`.
    """
    from glue_pkgmgr.local import lifecycle

    settings = session.project().settings
    folder = state or lifecycle.default_state(settings)
    stand_in = lifecycle.up(
        settings, state=folder, port=port, nearest_python=nearest_python, progress=session.output.progress
    )
    session.output.result(
        _data(stand_in, folder),
        _table(stand_in, folder),
        "use it: glue-pkgmgr local exec -- COMMAND",
    )


@command.command("down", short_help="Stop it.", epilog=examples("glue-pkgmgr local down"))
@_state
@click.pass_obj
def down(session: Session, state: Path | None) -> None:
    """Stop the stand-in and every job run in it. Its packages and S3 objects stay."""
    from glue_pkgmgr.local import lifecycle

    folder = _folder(session, state)
    stopped = lifecycle.down(folder)
    session.output.result(
        {"stopped": stopped, "state": str(folder)},
        "stopped" if stopped else f"no stand-in is running in {folder}",
    )


@command.command("status", short_help="Show whether it runs.", epilog=examples("glue-pkgmgr local status"))
@_state
@click.pass_obj
def status(session: Session, state: Path | None) -> None:
    """Show whether a stand-in runs, where its services listen, and which faults it was told to have."""
    from glue_pkgmgr.local import lifecycle

    found = lifecycle.status(_folder(session, state))
    if found.stand_in is None:
        session.output.result(_condition_data(found), f"no stand-in was started in {found.state}")
    else:
        data = {**_data(found.stand_in, found.state), **_condition_data(found), "faults": list(found.faults)}
        table = _table(found.stand_in, found.state, found.faults)
        session.output.result(data, f"{found.condition}", table)


_FAULT_HELP = """Let the stand-in do wrong, so that you see what your code does then.

    The RULEs take the place of those before; without one, show what is in force. All end with `local down`.
    A rule is TOPIC[:KEY]=VALUE; with *N at its end it happens N times only. A time is 250ms, 30s or 5m.

    \b
    Calls: SERVICE[:OPERATION]=ANSWER; index:page, index:file; all
      glue:StartJobRun=503   a status, in the service's own shape: 403, 429, 500,
                             502, 503; the index has 401 and 404 too
      sts=ExpiredToken       an error code of the service
      s3:PutObject=lost      it is done, and the connection ends unanswered
      s3:PutObject=dropped   nothing is done, and the connection ends
      all=50ms               it takes so much longer
      glue:GetJob=ok*3       as usual: the rules after this one begin later

    \b
    Job runs that are started from now on
      run:waiting=5m         WAITING for so long, or `ever`
      run:starting=5s        STARTING for so long, or `ever`
      run:end=EXPIRED        execute nothing, and end in this state
      run:running=5s         execute nothing, and be RUNNING for so long
      run:line=TEXT          execute nothing, and have this line in the log;
                             also error-line=TEXT, lines=N, huge-line=BYTES
      run:end-after-script=TIMEOUT
                             execute all, and end in this state
      run:message=TEXT       the error message at either end
      run:state=PAUSED       tell this state instead of RUNNING
      run:seconds=600        tell this execution time

    \b
    Tokens of the index
      token:dies=install     all die when a run begins; also now, or 30s: so long
                             after each was minted
      token:answer=404       how the index refuses a token, instead of 401

    \b
    Logs of runs
      logs:missing=30        no log group until so long after the next run begins
      logs:late=5s           lines arrive so much later
      logs:mixed=500ms       every second line arrives so much later
      logs:endings=crlf      lines end with CR LF
    """


@command.command(
    "fault",
    help=_FAULT_HELP,
    short_help="Let it do wrong, to see what your code does then.",
    epilog=examples(
        "glue-pkgmgr local fault glue:StartJobRun=503*2 all=50ms",
        "glue-pkgmgr local fault run:end=FAILED 'run:message=exit code 10'",
        "glue-pkgmgr local fault --clear",
    ),
)
@_state
@click.option("--clear", is_flag=True, help="End every fault.")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.pass_obj
def fault(session: Session, state: Path | None, clear: bool, rules: tuple[str, ...]) -> None:
    """Set, show or clear what the stand-in does wrong."""
    switches = _running(_folder(session, state)).switches
    if clear and not rules:
        switches.clear()
    in_force = switches.set(*rules) if rules else switches.in_force()
    session.output.result(
        {"faults": [{"rule": one.rule, "used": one.used} for one in in_force]},
        Table(("fault", "used"), [(one.rule, str(one.used)) for one in in_force]) if in_force else "no faults",
    )


@command.command(
    "exec",
    short_help="Run a command with its endpoints and credentials.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "glue-pkgmgr local exec -- aws s3 ls",
        "glue-pkgmgr local exec -- python my_orchestration.py",
    ),
)
@_state
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@click.pass_obj
def execute(session: Session, state: Path | None, words: tuple[str, ...]) -> int:
    """Run CMD with the endpoints and credentials of the stand-in in its environment.

    CMD takes this process's place: its input, output, signals and exit status are its own.
    """
    stand_in = _running(_folder(session, state))
    try:
        os.execvpe(words[0], words, stand_in.environment(os.environ))  # noqa: S606 - no shell is the point
    except FileNotFoundError:
        return _not_run(session, f"no command {words[0]!r} on PATH", EXIT_NOT_FOUND)
    except OSError as e:
        return _not_run(session, f"cannot run {words[0]!r}: {e.strerror}", EXIT_CANNOT_EXECUTE)


def _not_run(session: Session, message: str, status: int) -> int:
    session.output.error(Failure("CommandNotRun", message, status))
    return status


def _running(folder: Path) -> StandIn:
    from glue_pkgmgr.local.state import StateFolder

    stand_in = StateFolder(folder).read()
    if stand_in is None or not stand_in.alive:
        raise SettingsError(f"no stand-in is running in {folder}; start it with `glue-pkgmgr local up`")
    return stand_in


def _folder(session: Session, state: Path | None) -> Path:
    if state is not None:
        return state
    from glue_pkgmgr.local.lifecycle import default_state

    return default_state(session.project().settings)


def _condition_data(status: StandInStatus) -> dict[str, object]:
    return {"running": status.running, "condition": status.condition.value, "state": str(status.state)}


def _data(stand_in: StandIn, folder: Path) -> dict[str, object]:
    return {
        "endpoint": stand_in.endpoint,
        "s3_endpoint": stand_in.s3_endpoint,
        "account": stand_in.account,
        "region": stand_in.region,
        "nearest_python": stand_in.nearest_python,
        "pid": stand_in.pid,
        "started": stand_in.started.isoformat(),
        "state": str(folder),
    }


def _table(stand_in: StandIn, folder: Path, faults: Sequence[str] = ()) -> Table:
    rows = [
        ("AWS and package index", stand_in.endpoint),
        ("S3", stand_in.s3_endpoint),
        ("account", f"{stand_in.account} {stand_in.region}"),
        ("process", f"{stand_in.pid} since {stand_in.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("state", str(folder)),
        *(("fault", fault) for fault in faults),
    ]
    return Table(("stand-in", "where"), rows)
