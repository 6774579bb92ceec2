"""The command `glue-pkgmgr`: where a process enters it.

Help is printed at once. Everything else is read by `command_line`, whose library of options takes longer to
import than Python itself takes to start.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from glue_pkgmgr.cli.help_page import help_page
from glue_pkgmgr.cli.output import Output, ReaderGone
from glue_pkgmgr.errors import EXIT_DONE, EXIT_INTERRUPTED

EXIT_READER_GONE = 141  # 128 + SIGPIPE, as shells report it
_OBJECTS_BEFORE_COLLECTION = 100_000
_HELP = (["--help"], ["-h"])


def run() -> None:
    """Run the command line of this process and end it: the console script."""
    # What is loaded stays: to look through it for garbage takes a twentieth of the time of a short command.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    for stream in (sys.stdout, sys.stderr):
        # A locale that cannot show a company's name is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are TextIOWrapper
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())


def _interrupt(number: int, frame: object) -> NoReturn:
    """End the command as Ctrl-C does, with the processes it started: a CI job that is cancelled gets SIGTERM."""
    signal.signal(number, signal.SIG_DFL)  # who says it twice means at once
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, by default that of this process, and return its exit status.

    Nothing is raised: every error has become a sentence on stderr (with `--json`, an object on stdout).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments in _HELP:
            Output().line(help_page())
            return EXIT_DONE
        from glue_pkgmgr.cli.command_line import invoke

        return invoke(arguments)
    except KeyboardInterrupt:  # while it was loaded; `invoke` tells of later ones
        Output().conclude("interrupted")
        return EXIT_INTERRUPTED
    except ReaderGone:
        return EXIT_READER_GONE
