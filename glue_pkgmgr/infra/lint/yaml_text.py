"""YAML to a document, as CloudFormation reads it: short forms such as `!Sub` become `{"Fn::Sub": …}`.

Nothing is constructed from tags. Aliases are followed, within bounds: a few lines can name a billion values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from glue_pkgmgr.infra.lint.document import DEEPEST, Items, Table, Value, bad_document, shown, too_deep

_MOST_VALUES = 500_000  # with aliases followed; the largest template CloudFormation takes has 1 MB
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, with libyaml where there is one
_MERGE = "<<"
_AS_THEY_ARE = ("Ref", "Condition")
_WORDS: dict[str, Value] = {"": None, "~": None, "null": None, "true": True, "false": False}


def parse_yaml(text: str) -> Value:
    """Return what the one document in `text` says; None if there is none.

    A plain scalar is text, a word for true, false or nothing: dates and numbers stay as they are written.

    Raises: SettingsError naming the line, for what is not YAML, a second document, a key that is there twice or is
    no text, an alias that leads back to itself, more levels than `DEEPEST`, or more values than a template has.
    Source: YAML 1.1; CloudFormation User Guide, "Intrinsic function reference" (short forms).
    """
    try:
        return _Composer(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        raise bad_document(line, f"not YAML: {e.problem or e.context}") from e
    except yaml.YAMLError as e:  # a character that YAML does not allow
        raise bad_document(1, f"not YAML: {' '.join(str(e).split())}") from e


class _Composer:
    """Turns the events of a parser, which are read one by one, into values."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._values = 0
        # What each anchor stands for, and how many values that is; None while it is being read.
        self._anchors: dict[str, tuple[Value, int] | None] = {}

    def document(self) -> Value:
        found: Value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise bad_document(_line(event), "a second document begins: give each a file of its own")
                found = self._value(next(self._events), 0)
        return found

    def _value(self, event: Any, depth: int) -> Value:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._values
        self._count(1, event)
        if event.anchor:
            self._anchors[event.anchor] = None
        value = self._tagged(event, self._bare(event, depth))
        if event.anchor:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _bare(self, event: Any, depth: int) -> Value:
        if isinstance(event, yaml.ScalarEvent):
            text = str(event.value)
            plain = event.implicit[0] and not event.style
            return _WORDS.get(text.lower(), text) if plain else text
        if depth >= DEEPEST:
            raise too_deep(_line(event))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(depth + 1)
        return self._table(depth + 1)

    def _items(self, depth: int) -> Items:
        found = Items()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.add(self._value(event, depth), _line(event))
        return found

    def _table(self, depth: int) -> Table:
        found = Table()
        merged: list[Table] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, line = self._key(event), _line(event)
            value = self._value(next(self._events), depth)
            if key == _MERGE:
                merged += [
                    one for one in (value if isinstance(value, Items) else [value]) if isinstance(one, Table)
                ]
            else:
                found.add(key, value, line)
        for other in merged:  # what is written here counts more, then what is merged first
            for key in other.keys() - found.keys():
                found.add(key, other[key], other.lines[key])
        return found

    def _key(self, event: Any) -> str:
        key = self._alias(event) if isinstance(event, yaml.AliasEvent) else None
        if isinstance(event, yaml.ScalarEvent):
            self._count(1, event)
            key = str(event.value)
            if event.anchor:
                self._anchors[event.anchor] = (key, 1)
        if not isinstance(key, str):
            raise bad_document(_line(event), "a key that is no text")
        return key

    def _alias(self, event: Any) -> Value:
        if event.anchor not in self._anchors:
            raise bad_document(_line(event), f"no anchor {shown(event.anchor)} before its alias")
        known = self._anchors[event.anchor]
        if known is None:
            raise bad_document(_line(event), f"the alias {shown(event.anchor)} leads back to itself")
        value, size = known
        self._count(size, event)
        return value

    def _count(self, more: int, event: Any) -> None:
        self._values += more
        if self._values > _MOST_VALUES:
            raise bad_document(
                _line(event), f"more than {_MOST_VALUES} values, its aliases followed: this is no template"
            )

    def _tagged(self, event: Any, value: Value) -> Value:
        tag = event.tag or ""
        if not tag.startswith("!") or tag == "!":
            return value
        name = tag.removeprefix("!")
        found = Table()
        if name == "GetAtt" and isinstance(value, str):
            resource, _, attribute = value.partition(".")
            parts = Items()
            for part in (resource, attribute):
                parts.add(part, _line(event))
            value = parts
        found.add(name if name in _AS_THEY_ARE else f"Fn::{name}", value, _line(event))
        return found


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
