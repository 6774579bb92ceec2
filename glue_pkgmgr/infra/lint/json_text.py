"""JSON to a document: strict, with the line of every member, which `json` does not tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from json import decoder

from glue_pkgmgr.infra.lint.document import DEEPEST, Items, Table, Value, bad_document, too_deep

_BLANKS = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# The library's own reader of strings, escapes and all; it has no other name, and its stubs lack this one.
_READ_STRING: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_MOST_VALUES = 2_000_000  # a plan of some thousand resources has a tenth of them
_WORDS: tuple[tuple[str, Value], ...] = (("true", True), ("false", False), ("null", None))


def parse_json(text: str) -> Value:
    """Return what `text` says. The time taken grows with its length only.

    Raises: SettingsError naming the line, for anything but one JSON value, a key that is there twice, and more
    levels or values than any template has. Source: RFC 8259.
    """
    reader = _Reader(text)
    value = reader.value(0)
    reader.end()
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = 0
        self._line = 1
        self._values = 0

    def value(self, depth: int) -> Value:
        first = self._next()
        self._values += 1
        if self._values > _MOST_VALUES:
            raise bad_document(self._here(), f"more than {_MOST_VALUES} values: give a plan of fewer resources")
        if first == '"':
            return self._string()
        if first in ("{", "["):
            if depth >= DEEPEST:
                raise too_deep(self._here())
            return self._table(depth + 1) if first == "{" else self._items(depth + 1)
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return number[0]
        for word, value in _WORDS:
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        raise self._error("a value")

    def end(self) -> None:
        if self._next():
            raise self._error("the end of the file")

    def _table(self, depth: int) -> Table:
        found = Table()
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return found
        while True:
            if self._next() != '"':
                raise self._error("a key in double quotes")
            line, key = self._here(), self._string()
            if self._next() != ":":
                raise self._error("a colon")
            self._at += 1
            found.add(key, self.value(depth), line)
            if not self._goes_on("}"):
                return found

    def _items(self, depth: int) -> Items:
        found = Items()
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return found
        while True:
            self._next()
            line = self._here()
            found.add(self.value(depth), line)
            if not self._goes_on("]"):
                return found

    def _goes_on(self, end: str) -> bool:
        found = self._next()
        if found not in (",", end):
            raise self._error(f"a comma or {end}")
        self._at += 1
        return found == ","

    def _string(self) -> str:
        try:
            text, self._at = _READ_STRING(self._text, self._at + 1, True)
        except decoder.JSONDecodeError as e:
            self._at = e.pos
            raise bad_document(self._here(), f"not JSON: {e.msg[0].lower()}{e.msg[1:]}") from e
        return text

    def _next(self) -> str:
        """Return the next character that is no blank, without passing it; empty at the end."""
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        return self._text[self._at : self._at + 1]

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = max(self._counted, self._at)
        return self._line

    def _error(self, wanted: str) -> Exception:
        found = self._text[self._at : self._at + 1]
        return bad_document(
            self._here(), f"not JSON: {wanted} expected, {repr(found) if found else 'the end'} found"
        )
