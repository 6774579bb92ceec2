"""The only place that prints: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

QUIET, NORMAL, VERBOSE = -1, 0, 1

_EMPTY_CELL = "-"  # keeps the columns of plain text countable for awk
_GAP = "  "
_WIDEST = 64  # characters, a SHA-256: a longer text pushes its own row aside, not all the others


class Table(NamedTuple):
    """Rows of text under column names; every row has as many cells as there are columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Failure(NamedTuple):
    """Why a command ends without a result. `hint` is for people, what to type next."""

    kind: str
    message: str
    exit_status: int
    hint: str = ""


class ReaderGone(Exception):
    """Whoever read our stdout has closed it: there is nobody left to print for."""


class Output:
    """Prints for people, or with `as_json` one JSON object for programs.

    `verbosity` is QUIET (results and errors only), NORMAL, or VERBOSE.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        verbosity: int = NORMAL,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    def result(self, data: Mapping[str, object], *parts: str | Table) -> None:
        """Print `parts` one below the other, or `data` as JSON. Called once by a command.

        Raises: ReaderGone when stdout is closed.
        """
        if self.as_json:
            self._object(data)
            return
        self.show(*parts)

    def show(self, *parts: str | Table) -> None:
        """Print `parts` one below the other, before a question that they are about; never with `as_json`.

        Raises: ReaderGone when stdout is closed.
        """
        for part in parts:
            if isinstance(part, Table):
                self._table(part)
            else:
                self._write(harmless(part))

    def line(self, text: str) -> None:
        """Print one line of a result that grows while it is read, such as a log; never with `as_json`."""
        if not self.as_json:
            self._write(harmless(text))

    def progress(self, text: str) -> None:
        """Tell on stderr that something has happened, unless QUIET."""
        if self.verbosity > QUIET:
            self._tell(harmless(text))

    def detail(self, text: str) -> None:
        """Tell on stderr what is worth knowing only when VERBOSE."""
        if self.verbosity >= VERBOSE:
            self._tell(harmless(text))

    def error(self, failure: Failure) -> None:
        """Print `error: message` on stderr, or with `as_json` an object on stdout."""
        if self.as_json:
            told = {"kind": failure.kind, "message": failure.message, "exit_status": failure.exit_status}
            self._object({"error": told})
            return
        self.conclude(failure.message)
        if failure.hint:
            self._tell(harmless(failure.hint))

    def conclude(self, sentence: str) -> None:
        """Say on stderr why the exit status is not 0 although there is a result, which tells it as JSON."""
        if not self.as_json:
            self._tell(f"{self._red('error:')} {harmless(sentence)}")

    def quote(self, heading: str, lines: Sequence[str]) -> None:
        """Show lines of others on stderr, below `heading`; they belong to an error that follows."""
        if lines and not self.as_json:
            self._tell(heading)
            for line in lines:
                self._tell(f"  {harmless(line)}")

    @property
    def live(self) -> bool:
        """Whether progress goes to a terminal, where lines may be drawn over."""
        return self.verbosity > QUIET and self._stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def stderr(self) -> TextIO:
        """The stream of progress and errors, for a live view to draw on."""
        return self._stderr

    def _object(self, data: Mapping[str, object]) -> None:
        import json  # here, like rich below: `--help` needs neither

        self._write(json.dumps(data, indent=2, ensure_ascii=False))

    def _table(self, table: Table) -> None:
        rows = [[harmless(" ".join(cell.split())) for cell in row] for row in table.rows]
        if self._stdout.isatty():
            self._drawn_table(table.columns, rows)
            return
        self._write("\n".join(plain_lines(table.columns, rows)))

    def _drawn_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        import shutil

        from glue_pkgmgr.cli.table import terminal_lines

        coloured = _coloured(self._stdout)

        def paint(text: str, column: str, cell: str) -> str:
            style = _STYLES.get(cell, _STYLES_IN.get((column, cell))) if coloured else None
            return f"\x1b[{style}m{text}\x1b[0m" if style else text

        self._write("\n".join(terminal_lines(columns, rows, shutil.get_terminal_size().columns, paint)))

    def _red(self, text: str) -> str:
        return f"\x1b[{_BOLD_RED}m{text}\x1b[0m" if _coloured(self._stderr) else text

    def _write(self, text: str) -> None:
        try:
            print(text, file=self._stdout, flush=True)
        except BrokenPipeError as e:
            _forget(self._stdout)
            raise ReaderGone from e

    def _tell(self, text: str) -> None:
        # Progress that nobody reads is no reason to give up the work it tells of.
        with suppress(BrokenPipeError):
            # At once: `print` writes the end of a line by itself, and another thread may be between the two.
            self._stderr.write(f"{text}\n")
            self._stderr.flush()


_GREEN, _YELLOW, _BOLD_RED = "32", "33", "1;31"
_STYLES = {
    "ok": _GREEN,
    "SUCCEEDED": _GREEN,
    "warning": _YELLOW,
    "STOPPED": _YELLOW,
    "TIMEOUT": _YELLOW,
    "wrong": _BOLD_RED,
    "error": _BOLD_RED,
    "FAILED": _BOLD_RED,
    "ERROR": _BOLD_RED,
}
# In other columns, such as whether a lock has changed, neither is better.
_STYLES_IN = {("approved", "yes"): _GREEN, ("approved", "no"): _BOLD_RED}


def _coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def plain_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as aligned lines, its header first, for pipes: one row a line, no cell empty."""
    table = [list(columns), *([cell or _EMPTY_CELL for cell in row] for row in rows)]
    widths = [min(_WIDEST, max(len(row[n]) for row in table)) for n in range(len(columns))]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def harmless(text: str) -> str:
    """Return `text` with everything that could steer a terminal shown as an escape such as `\\x1b`.

    Line ends and tabs stay. Log lines, error messages and package names come from others.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _forget(stream: TextIO) -> None:
    """Make the interpreter's own flush at exit quiet: what is still buffered goes nowhere."""
    with suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
