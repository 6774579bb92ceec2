"""Reads a command line: the options before the verb, then the verb, whose module is imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import takewhile

import click

from glue_pkgmgr import errors
from glue_pkgmgr.cli.help_page import OPTIONS, PROGRAM, VERBS, help_page
from glue_pkgmgr.cli.output import NORMAL, QUIET, VERBOSE, Failure, Output, ReaderGone
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, EXIT_INTERRUPTED, GluePkgmgrError

EXIT_BUG = 1
EXIT_USAGE = 2


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

    def get_help(self, ctx: click.Context) -> str:
        return help_page()


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--config", metavar="FILE", help=OPTIONS["--config FILE"])
@click.option("--json", "as_json", is_flag=True, help=OPTIONS["--json"])
@click.option("-v", "--verbose", is_flag=True, help=OPTIONS["-v, --verbose"])
@click.option("-q", "--quiet", is_flag=True, help=OPTIONS["-q, --quiet"])
@click.pass_obj
def cli(session: Session, config: str | None, as_json: bool, verbose: bool, quiet: bool) -> None:
    """Private, approved and pinned Python packages for AWS Glue jobs."""
    if verbose and quiet:
        raise click.UsageError("-v and -q exclude each other")
    if config:
        from pathlib import Path

        session.config = Path(config)
    session.output = Output(as_json=as_json, verbosity=VERBOSE if verbose else QUIET if quiet else NORMAL)


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit status. Raises: ReaderGone; no other error."""
    session = Session(output=Output(as_json=_asks_for_json(arguments)))
    try:
        status = cli.main(arguments, prog_name=PROGRAM, obj=session, standalone_mode=False)
    except ReaderGone:
        raise
    except SystemExit as e:  # click's way of saying that the reader of a help text is gone
        if e.code:
            raise ReaderGone from e
        return EXIT_DONE
    except (Exception, KeyboardInterrupt) as e:
        failure = _failure(e, session)
        session.output.error(failure)
        return failure.exit_status
    return status if isinstance(status, int) else EXIT_DONE


def _failure(error: BaseException, session: Session) -> Failure:
    """Return what to tell about `error`."""
    match error:
        case GluePkgmgrError():
            return Failure(_public_kind(error), str(error), error.exit_code)
        case KeyboardInterrupt() | click.Abort():
            message = "; ".join(filter(None, ["interrupted", session.left_behind]))
            return Failure("Interrupted", message, EXIT_INTERRUPTED)
        case click.exceptions.NoArgsIsHelpError():
            return Failure("UsageError", "the verb is missing", EXIT_USAGE, error.format_message())
        case click.UsageError():
            hint = f"Try: {error.ctx.command_path} --help" if error.ctx else ""
            return Failure("UsageError", _usage_message(error), EXIT_USAGE, hint)
        case click.ClickException():
            return Failure(type(error).__name__, error.format_message(), EXIT_USAGE)
        case _:
            return _bug(error, session)


def _public_kind(error: GluePkgmgrError) -> str:
    """Return the name of the class that programs know `error` by: those derived from it are our own affair."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)


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
