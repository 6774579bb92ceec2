"""CloudFormation's intrinsic functions, without deploying: the texts that a value may become.

What only a deployment knows stays as a placeholder: `${Name}` for a reference, `${Name.Attribute}` for one of its
attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product

from glue_pkgmgr.infra.lint.document import Items, Table, Value, items, table

_MOST = 16  # alternatives of one value: conditions multiply
_LONGEST = 1_000_000  # characters of one text: substitutions multiply, too
_NO_VALUE = "AWS::NoValue"
_PLACE = re.compile(r"\$\{(!?)([^{}]*)\}")
_POSITION = re.compile("[0-9]{1,6}")
_UNKNOWN = "${?}"

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the functions of one template refer to: its parameters and mappings."""

    parameters: Mapping[str, Value] = field(default_factory=dict)
    mappings: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, template: Table) -> Scope:
        """Return the scope of `template`."""
        return cls(parameters=table(template.get("Parameters")), mappings=table(template.get("Mappings")))

    @property
    def hidden(self) -> frozenset[str]:
        """The parameters that CloudFormation does not show, as they are secret (`NoEcho`)."""
        return frozenset(name for name, one in self.parameters.items() if _is_true(table(one).get("NoEcho")))

    def texts(self, value: Value) -> Texts:
        """Return every text that `value` may become, at most 16; none for what is no text, or is left out.

        A parameter is its default, if it has one and is not hidden.
        """
        if isinstance(value, bool):
            return ("true" if value else "false",)
        if isinstance(value, str):
            return (value,)
        call = function(value)
        if call is None:
            return ()
        return _some(self._called(*call))

    def alternatives(self, value: Value) -> Iterator[Value]:
        """Yield what `value` may be after its conditions: itself, or each branch of `Fn::If`, at any depth."""
        call = function(value)
        if call is None or call[0] not in ("Fn::If", "Ref"):
            yield value
        elif call[0] == "Fn::If":
            for branch in items(call[1])[1:3]:
                yield from self.alternatives(branch)
        elif call[1] != _NO_VALUE:
            yield value

    def members(self, value: Value) -> Iterator[tuple[str, Value]]:
        """Yield the members of `value` in every alternative; a key may come more than once."""
        for one in self.alternatives(value):
            if isinstance(one, Table) and function(one) is None:
                yield from one.items()

    def each(self, value: Value) -> Iterator[tuple[tuple[int, ...], Value]]:
        """Yield the values in a row, or one that stands alone, in every alternative, each with its position."""
        for one in self.alternatives(value):
            if not isinstance(one, Items):
                if one is not None:
                    yield (), one
                continue
            for position, part in enumerate(one):
                for alternative in self.alternatives(part):
                    yield (position,), alternative

    def _called(self, name: str, argument: Value) -> Iterable[str]:
        calls: Mapping[str, Callable[[Value], Iterable[str]]] = {
            "Ref": self._reference,
            "Fn::Sub": self._substituted,
            "Fn::If": lambda given: (text for branch in items(given)[1:3] for text in self.texts(branch)),
            "Fn::FindInMap": self._found_in_map,
            "Fn::Join": self._joined,
            "Fn::Select": self._selected,
            "Fn::Base64": lambda given: self.texts(given) or (_UNKNOWN,),
            "Fn::GetAtt": _attribute,
            "Fn::ImportValue": lambda given: (f"${{import {text}}}" for text in self.texts(given) or ("?",)),
        }
        return calls[name](argument) if name in calls else (_UNKNOWN,)

    def _reference(self, name: Value) -> Texts:
        if not isinstance(name, str):
            return (_UNKNOWN,)
        if name == _NO_VALUE:
            return ()
        default = table(self.parameters.get(name)).get("Default")
        if isinstance(default, str | bool) and name not in self.hidden:
            return self.texts(default)
        return (f"${{{name}}}",)

    def _substituted(self, argument: Value) -> Iterable[str]:
        parts = items(argument)
        text, names = (parts[0] if parts else None), table(parts[1] if len(parts) > 1 else None)
        if not isinstance(text, str):
            return (_UNKNOWN,)
        pieces: list[Texts] = []
        told: dict[str, Texts] = {}  # a name may stand there often, and what it is may be told by another Sub
        end = 0
        for place in _PLACE.finditer(text):
            literal, name = place[1], place[2].strip()
            if not literal and name not in told:
                told[name] = self._named(name, names)
            pieces += [(text[end : place.start()],), (f"${{{name}}}",) if literal else told[name]]
            end = place.end()
        return _combined([*pieces, (text[end:],)])

    def _named(self, name: str, names: Table) -> Texts:
        if name in names:
            return self.texts(names[name]) or ("",)
        return self._reference(name) or ("",)

    def _joined(self, argument: Value) -> Iterable[str]:
        delimiter, parts = _two(argument)
        between = delimiter if isinstance(delimiter, str) else ""
        rows = self._rows(parts)
        return (_UNKNOWN,) if rows is None else (_joined(row, between) for row in rows)

    def _selected(self, argument: Value) -> Iterable[str]:
        position, parts = _two(argument)
        at = next(iter(self.texts(position)), "")
        rows = self._rows(parts)
        if rows is None or not _POSITION.fullmatch(at):
            return (_UNKNOWN,)
        return (row[int(at)] if int(at) < len(row) else _UNKNOWN for row in rows)

    def _rows(self, value: Value) -> Iterable[Texts] | None:
        """Return every row of texts that `value` may become; None if that is not known."""
        if isinstance(value, Items):
            # A part that is left out is no part; one that is no text is not known.
            texts = [self.texts(part) or (() if _left_out(part) else (_UNKNOWN,)) for part in value]
            return islice(product(*filter(None, texts)), _MOST)
        call = function(value)
        if call is None:
            return None
        name, argument = call
        parts = items(argument)
        if name == "Fn::Split" and len(parts) > 1 and isinstance(parts[0], str) and parts[0]:
            delimiter = parts[0]
            return (tuple(text.split(delimiter)) for text in self.texts(parts[1]))
        if name == "Fn::If":
            found = [self._rows(branch) for branch in parts[1:3]]
            return islice((row for rows in found for row in rows or ()), _MOST)
        if name == "Ref" and isinstance(argument, str):
            default = table(self.parameters.get(argument)).get("Default")
            return (
                [tuple(default.split(","))] if isinstance(default, str) and argument not in self.hidden else None
            )
        return None

    def _found_in_map(self, argument: Value) -> Iterable[str]:
        """Yield what may be found: every value of the mapping that the keys which are known lead to."""
        known = [self.texts(part) for part in items(argument)[:3]]
        found = _below(self.mappings, known)
        return [text for one in found for text in self.texts(one)] or (_UNKNOWN,)


def _attribute(argument: Value) -> Texts:
    return (f"${{{'.'.join(part for part in items(argument) if isinstance(part, str))}}}",)


def _two(argument: Value) -> tuple[Value, Value]:
    """Return the two arguments of a function; None for each that it lacks."""
    given = [*items(argument), None, None]
    return given[0], given[1]


def function(value: Value) -> tuple[str, Value] | None:
    """Return the name and the argument of an intrinsic function; None if `value` is none."""
    if isinstance(value, Table) and len(value) == 1:
        [(name, argument)] = value.items()
        if name == "Ref" or (name.startswith("Fn::") and not name.startswith("Fn::ForEach")):
            return name, argument
    return None


def is_placeholder(text: str) -> bool:
    """Whether `text` is, as a whole, what only a deployment knows."""
    return bool(_PLACE.fullmatch(text))


def shortened(text: str) -> str:
    """Return `text` with `$` for each placeholder."""
    return _PLACE.sub("$", text)


def placeholders(text: str) -> list[str]:
    """Return the names in the placeholders of `text`, without their attributes."""
    return [place[2].partition(".")[0] for place in _PLACE.finditer(text)]


def _below(mapping: Mapping[str, Value], keys: list[Texts]) -> list[Value]:
    level: list[Value] = [one for name, one in mapping.items() if not keys or name in keys[0]]
    for texts in keys[1:]:
        sure = {text for text in texts if not _PLACE.search(text)}
        level = [
            one for part in level for name, one in table(part).items() if name in sure or len(sure) < len(texts)
        ]
    return level


def _combined(pieces: list[Texts]) -> Iterable[str]:
    return (_joined(choice) for choice in islice(product(*pieces), _MOST))


def _some(texts: Iterable[str]) -> Texts:
    """Return the first few of `texts`, each once."""
    return tuple(dict.fromkeys(islice(texts, _MOST)))


def _joined(parts: Iterable[str], between: str = "") -> str:
    """Return `parts` with `between` them, cut at a length that no text of a template has."""
    found: list[str] = []
    length = 0
    for part in parts:
        if length > _LONGEST:
            break
        found.append(part)
        length += len(part) + len(between)
    return between.join(found)[:_LONGEST]


def _left_out(value: Value) -> bool:
    return value is None or function(value) == ("Ref", _NO_VALUE)


def _is_true(value: Value) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
