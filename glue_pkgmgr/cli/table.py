"""Tables on a terminal: columns as wide as the terminal allows, and no word of them broken."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

_GAP = "   "
_SHORT = 19  # characters, such as a time
_BELOW = 3  # characters that a cell below its row is indented by

Paint = Callable[[str, str, str], str]
"""Colours a text, given first, by the column and the cell it is part of."""


def terminal_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, paint: Paint = lambda text, *_: text
) -> Iterator[str]:
    """Yield the lines of a table for a terminal of `width` characters; columns without a cell are left out.

    Long cells are wrapped between words. One with a word for which there is no room, such as the id of a run or a
    SHA-256, comes below its row, whole, with the name of its column if no cell is left in that: broken in two it
    could not be copied.
    """
    used = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    longest = _longest_word(columns, rows, used, width)

    def fits(cell: str) -> bool:
        return _least(cell) <= longest

    shown = [n for n in used if any(row[n] and fits(row[n]) for row in rows)]
    cells = [[row[n] if fits(row[n]) else "" for n in shown] for row in rows]
    names = [columns[n] for n in shown]
    widths = _widths([names, *cells], width)
    yield ""
    if shown:
        yield from _row(names, names, widths)
        yield " " + "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    for row, kept in zip(rows, cells, strict=True):
        if any(kept):
            yield from _row(names, kept, widths, paint)
        long = [n for n in used if row[n] and not fits(row[n])]
        yield from _below([("" if n in shown else f"{columns[n]}  ") + row[n] for n in long], width)
    yield ""


def _below(cells: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines below a row: its long cells, several in a line where they fit."""
    line = ""
    for cell in cells:
        joined = f"{line}{_GAP}{cell}"
        if line and _length(joined) > width:
            yield line
            joined = " " * _BELOW + cell
        line = joined
    if line:
        yield line


def _longest_word(columns: Sequence[str], rows: Sequence[Sequence[str]], used: Sequence[int], width: int) -> int:
    """Return how long a word may be, so that the columns of all cells without a longer one fit."""
    limits = sorted({word for row in rows for n in used if (word := _least(row[n])) > _SHORT}, reverse=True)
    for limit in limits:
        kept = {n: [_least(row[n]) for row in rows if row[n] and _least(row[n]) <= limit] for n in used}
        if _total([max(_least(columns[n]), *words) for n, words in kept.items() if words]) <= width:
            return limit
    return _SHORT


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths of columns: what their cells need, the widest made narrower until all of them fit."""
    widths = [max(map(_length, column)) for column in zip(*cells, strict=True)]
    for need in (_least, _longest):  # short cells are wrapped only if nothing else helps
        least = [max(map(need, column)) for column in zip(*cells, strict=True)]
        while _total(widths) > width and (wide := [n for n in range(len(widths)) if widths[n] > least[n]]):
            widths[max(wide, key=lambda n: widths[n])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return 1 + sum(widths) + len(_GAP) * (len(widths) - 1)


def _row(
    columns: Sequence[str], cells: Sequence[str], widths: Sequence[int], paint: Paint = lambda text, *_: text
) -> Iterator[str]:
    wrapped = [
        textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        padded = [part + " " * (width - _length(part)) for part, width in zip(parts, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        yield (" " + _GAP.join(map(paint, padded, columns, cells))).rstrip()


def _least(cell: str) -> int:
    """Return how much room a cell should have at least: a short one is not to be wrapped."""
    return whole if (whole := _length(cell)) <= _SHORT else _longest(cell)


def _longest(cell: str) -> int:
    return max(map(_length, cell.split()), default=0)


def _length(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
