"""The command `glue-pkgmgr`: reads the options before the verb, runs the verb, returns its exit status.

Only click is imported here: the module of a verb is imported when that verb runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile

import click

from glue_pkgmgr.cli.output import NORMAL, QUIET, VERBOSE, Failure, Output, ReaderGone
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, EXIT_INTERRUPTED, GluePkgmgrError

VERBS: Mapping[str, str] = {
    "init": "Write the settings file and an empty allow-list.",
    "build": "Build a project's wheel and sdist, reproducibly.",
    "publish": "Build, upload and verify an internal project.",
    "approve": "Add approvals to the allow-list.",
    "revoke": "Remove approvals from the allow-list.",
    "approvals": "Show the allow-list.",
    "check": "Tell whether a request is approved and installable.",
    "lock": "Resolve bundles to exact releases with hashes.",
    "mirror": "Fill the approved repository from the locks, or compare them.",
    "mint": "Print a short-lived index URL: a secret.",
    "launch": "Start a job with exactly the locked releases, and follow it.",
    "runs": "List job runs, newest first.",
    "status": "Show one job run.",
    "logs": "Print the log of a job run.",
    "stop": "Stop a job run.",
    "local": "Run the stand-in for AWS on this machine.",
    "doctor": "Show what is set up, what is missing, what to do.",
}
"""Every verb and its line of help, here so that `--help` imports none of them."""

PROGRAM = "glue-pkgmgr"

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_READER_GONE = 141  # 128 + SIGPIPE, as shells report it


class _Verbs(click.Group):
    """A group whose commands live in `glue_pkgmgr.cli.<verb>`, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            module = importlib.import_module(f"{__package__}.{cmd_name}")
            command: click.Command = module.command
            return command
        if ctx.resilient_parsing:
            return None
        import difflib

        close = difflib.get_close_matches(cmd_name, VERBS)
        hint = f"did you mean {' or '.join(close)}?" if close else f"the verbs are {', '.join(VERBS)}"
        raise click.UsageError(f"no verb {cmd_name!r}; {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every verb explains itself: glue-pkgmgr VERB --help",
)
@click.option(
    "--config",
    metavar="FILE",
    help="Settings file; by default glue-pkgmgr.toml here or in a folder above.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Tell more on stderr.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr, only errors.")
@click.pass_obj
def cli(session: Session, config: str | None, as_json: bool, verbose: bool, quiet: bool) -> None:
    """Private, approved and pinned Python packages for AWS Glue jobs."""
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other")
    if config:
        from pathlib import Path

        session.config = Path(config)
    session.output = Output(as_json=as_json, verbosity=VERBOSE if verbose else QUIET if quiet else NORMAL)


def run() -> None:
    """Run the command line of this process and end it: the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A locale that cannot show a company's name is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, by default that of this process, and return its exit status.

    Nothing is raised: every error has become a sentence on stderr (with `--json`, an object on stdout).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    session = Session(output=Output(as_json=_asks_for_json(arguments)))
    try:
        return _invoke(arguments, session)
    except ReaderGone:
        return EXIT_READER_GONE


def _invoke(arguments: list[str], session: Session) -> int:
    try:
        status = cli.main(arguments, prog_name=PROGRAM, obj=session, standalone_mode=False)
    except ReaderGone:
        raise
    except SystemExit as e:  # click's way of saying that the reader of a help text is gone
        return EXIT_READER_GONE if e.code else EXIT_DONE
    except (Exception, KeyboardInterrupt) as e:
        failure = _failure(e, session)
        session.output.error(failure)
        return failure.exit_status
    return status if isinstance(status, int) else EXIT_DONE


def _failure(error: BaseException, session: Session) -> Failure:
    """Return what to tell about `error`."""
    kind = type(error).__name__
    match error:
        case GluePkgmgrError():
            return Failure(kind, str(error), error.exit_code)
        case KeyboardInterrupt() | click.Abort():
            message = "; ".join(filter(None, ["interrupted", session.left_behind]))
            return Failure("Interrupted", message, EXIT_INTERRUPTED)
        case click.exceptions.NoArgsIsHelpError():
            return Failure("UsageError", "the verb is missing", EXIT_USAGE, error.format_message())
        case click.UsageError():
            hint = f"Try: {error.ctx.command_path} --help" if error.ctx else ""
            return Failure("UsageError", _usage_message(error), EXIT_USAGE, hint)
        case click.ClickException():
            return Failure(kind, error.format_message(), EXIT_USAGE)
        case _:
            return _bug(error, session)


def _bug(error: BaseException, session: Session) -> Failure:
    if session.output.verbosity >= VERBOSE:
        import traceback

        session.output.detail("".join(traceback.format_exception(error)))
    message = f"{type(error).__name__}: {error}; this is a bug in {PROGRAM}, please report it"
    return Failure("Bug", message, EXIT_BUG, "with -v before the verb it shows where it happened")


def _usage_message(error: click.UsageError) -> str:
    in_a_verb = error.ctx is not None and error.ctx.parent is not None
    if isinstance(error, click.NoSuchOption) and in_a_verb and error.option_name in _before_the_verb():
        return f"{error.option_name} is written before the verb: {PROGRAM} {error.option_name} VERB ..."
    return error.format_message()


def _before_the_verb() -> set[str]:
    return {name for parameter in cli.params for name in parameter.opts} - {"--help"}


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` stands before the verb; known even where the command line cannot be parsed."""
    return "--json" in takewhile(lambda word: word not in VERBS, arguments)
