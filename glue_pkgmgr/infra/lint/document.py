"""A template as it was written: its values, and the line of each, whether it was JSON or YAML."""

from __future__ import annotations

import re
from typing import TypeAlias

from glue_pkgmgr.errors import SettingsError

Value: TypeAlias = "str | bool | Table | Items | None"
"""What stands in a document. Numbers are text, as written: Glue `5.10` is not Glue 5.1."""

Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and positions that lead to a value, from the top of its document."""

DEEPEST = 200  # levels: far above any real template, far below what the interpreter's stack holds
_LONGEST_SHOWN = 60  # characters of a key in a message


class Table(dict[str, "Value"]):
    """Members by key, in the order they were written; `lines` has the line of each key, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}

    def add(self, key: str, value: Value, line: int) -> None:
        """Add a member. Raises: SettingsError for a key that is there already: readers differ in which counts."""
        if key in self:
            raise bad_document(line, f"the key {shown(key)} is there twice, first in line {self.lines[key]}")
        self[key] = value
        self.lines[key] = line


class Items(list["Value"]):
    """Values in a row; `lines` has the line of each, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []

    def add(self, value: Value, line: int) -> None:
        """Add a value at the end."""
        self.append(value)
        self.lines.append(line)


def table(value: Value) -> Table:
    """Return `value` if it has members; an empty table if not."""
    return value if isinstance(value, Table) else Table()


def items(value: Value) -> Items:
    """Return `value` if it is a row of values, a row of itself alone if not; None is an empty row."""
    if isinstance(value, Items):
        return value
    alone = Items()
    if value is not None:
        alone.add(value, 1)
    return alone


def line_of(document: Value, path: Path) -> int:
    """Return the line where the value at `path` begins: that of the nearest part of the path that is there."""
    line, at = 1, document
    for step in path:
        match at, step:
            case Table(), str() if step in at:
                line, at = at.lines[step], at[step]
            case Items(), int() if step < len(at):
                line, at = at.lines[step], at[step]
            case _:
                break
    return line


def bad_document(line: int, why: str) -> SettingsError:
    """Return the error for a document that cannot be read, at `line`."""
    return SettingsError(f"line {line}: {why}")


def too_deep(line: int) -> SettingsError:
    """Return the error for a document with more levels than any template has."""
    return bad_document(line, f"more than {DEEPEST} levels deep: this is no template")


def shown(key: str) -> str:
    """Return a key as it is named in a message, cut if it is long."""
    return repr(key if len(key) <= _LONGEST_SHOWN else f"{key[:_LONGEST_SHOWN]}…")


_PLAIN_STEP = re.compile(r"[\w:-]+")


def path_text(path: Path) -> str:
    """Return `path` as people read it: `Properties.DefaultArguments.--modules`, `Statement[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_STEP.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{shown(step)}]"
    return text.removeprefix(".")
