"""The functions of templates (`Ref`, `Fn::Sub`, …): what a value becomes, and which resources it refers to.

Pure. What is known only when a resource is made is a `Later` until then: two templates are compared with it.

Source: CloudFormation, "Intrinsic function reference".
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError, invalid


class Later(str):
    """A text that stands for a value nobody knows yet. Equal ones stand for equal values."""

    __slots__ = ()


class _Nothing:
    """What `AWS::NoValue` is: whatever holds it is left out."""


NOTHING = _Nothing()

_VARIABLE = re.compile(r"\$\{(!?)([^${}]*)\}")
_ZONES = "abc"


class Names(Protocol):
    """What the names in a template stand for. Every method raises CloudFormationError for a name that is none."""

    def ref(self, name: str) -> Any:
        """Return what `Ref` of a parameter, resource or pseudo parameter is."""
        ...

    def attribute(self, resource: str, name: str) -> Any:
        """Return an attribute of a resource."""
        ...

    def condition(self, name: str) -> bool:
        """Return whether a condition holds."""
        ...

    def mapped(self, mapping: str, first: str, second: str) -> Any:
        """Return a value of a mapping."""
        ...


def resolve(value: Any, names: Names) -> Any:
    """Return `value` with every function in it replaced by its result. Raises: CloudFormationError."""
    match value:
        case dict():
            if (call := _call(value)) is not None:
                return _called(*call, names)
            items = {key: resolve(item, names) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not NOTHING}
        case list():
            found = [resolve(item, names) for item in value]
            return [item for item in found if item is not NOTHING]
        case _:
            return value


def _call(value: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return name and argument of the function that `value` is a call of; None if it is none."""
    if len(value) != 1:
        return None
    [(name, argument)] = value.items()
    known = name in ("Ref", "Condition") or name.startswith("Fn::")
    # An IAM statement may have nothing but a `Condition`, which is a table then.
    return (name, argument) if known and not (name == "Condition" and not isinstance(argument, str)) else None


def _called(name: str, argument: Any, names: Names) -> Any:
    looked_up = _LOOKED_UP.get(name)
    return looked_up(argument, names) if looked_up else _computed(name, argument, names)


def _zones(argument: Any, names: Names) -> list[str]:
    region = resolve(argument, names) or names.ref("AWS::Region")
    return [f"{region}{zone}" for zone in _ZONES]


def _computed(name: str, argument: Any, names: Names) -> Any:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise CloudFormationError("NotImplemented", f"The stand-in does not implement {name} of templates", 501)
    resolved = resolve(argument, names)
    if _holds_later(resolved):
        return Later(f"{name} {json.dumps(resolved, sort_keys=True)}")
    try:
        return function(resolved)
    except (ValueError, TypeError, IndexError, KeyError) as e:
        raise invalid(f"Template error: {name} cannot be computed of {json.dumps(argument)}: {e}") from e


def _holds_later(value: Any) -> bool:
    match value:
        case Later():
            return True
        case dict():
            return any(map(_holds_later, value.values()))
        case list():
            return any(map(_holds_later, value))
        case _:
            return False


def _attribute(argument: Any) -> tuple[str, str]:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):  # noqa: PLR2004
        raise invalid("Template error: every Fn::GetAtt has two text arguments, a resource and its attribute")
    return parts[0], parts[1]


def _if(argument: Any, names: Names) -> Any:
    if not isinstance(argument, list) or len(argument) != 3:  # noqa: PLR2004
        raise invalid("Template error: every Fn::If has three arguments: condition, value, other value")
    condition, then, otherwise = argument
    return resolve(then if names.condition(condition) else otherwise, names)


def _substituted(argument: Any, names: Names) -> Any:
    text, given = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})  # noqa: PLR2004
    if not isinstance(text, str) or not isinstance(given, dict):
        raise invalid("Template error: Fn::Sub takes a text, or a text and a table")
    own = {name: resolve(value, names) for name, value in given.items()}
    later = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal later
        name = found[2]
        if found[1]:
            return f"${{{name}}}"
        value = own[name] if name in own else _named(name.strip(), names)
        later = later or isinstance(value, Later)
        return _text(value)

    result = _VARIABLE.sub(replaced, text)
    return Later(result) if later else result


def _named(name: str, names: Names) -> Any:
    resource, dot, attribute = name.partition(".")
    return names.attribute(resource, attribute) if dot else names.ref(name)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(map(_text, value))
        case _:
            return str(value)


def _join(argument: Any) -> str:
    delimiter, items = argument
    return str(delimiter).join(map(_text, items))


def _select(argument: Any) -> Any:
    index, items = argument
    if int(index) < 0:
        raise IndexError("the index is negative")
    return items[int(index)]


def _split(argument: Any) -> list[str]:
    delimiter, text = argument
    return list(text.split(delimiter))


def _cidr(argument: Any) -> list[str]:
    block, count, bits = (*argument, 8) if len(argument) == 2 else argument  # noqa: PLR2004
    network = ipaddress.ip_network(block)
    parts = network.subnets(new_prefix=network.max_prefixlen - int(bits))
    return [str(part) for part, _ in zip(parts, range(int(count)), strict=False)]


def _equals(argument: Any) -> bool:
    first, second = argument
    return _text(first) == _text(second)


def _base64(argument: Any) -> str:
    return base64.b64encode(_text(argument).encode()).decode("ascii")


_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "Fn::And": all,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::Equals": _equals,
    "Fn::Join": _join,
    "Fn::Length": len,
    "Fn::Not": lambda argument: not argument[0],
    "Fn::Or": any,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::ToJsonString": lambda argument: json.dumps(argument, separators=(",", ":")),
}


_LOOKED_UP: Mapping[str, Callable[[Any, Names], Any]] = {
    "Condition": lambda argument, names: names.condition(argument),
    "Fn::FindInMap": lambda argument, names: names.mapped(*map(str, resolve(argument, names))),
    "Fn::GetAZs": _zones,
    "Fn::GetAtt": lambda argument, names: names.attribute(*_attribute(argument)),
    "Fn::If": _if,
    "Fn::Sub": _substituted,
    "Ref": lambda argument, names: names.ref(argument),
}


def references(value: Any) -> Iterator[str]:
    """Yield every name that `value` refers to: parameters, pseudo parameters, resources; conditions are not."""
    match value:
        case dict():
            call = _call(value)
            if call is None or call[0] not in _REFERRING:
                for item in value.values():
                    yield from references(item)
                return
            yield from _REFERRING[call[0]](call[1])
        case list():
            for item in value:
                yield from references(item)


def _refers(argument: Any) -> Iterator[str]:
    if not isinstance(argument, str):
        raise invalid("Template format error: every Ref is the name of a parameter or resource")
    yield argument


def _sub_refers(argument: Any) -> Iterator[str]:
    parts: Sequence[Any] = argument if isinstance(argument, list) else [argument]
    given = parts[1] if len(parts) > 1 and isinstance(parts[1], dict) else {}
    yield from references(list(given.values()))
    text = parts[0] if parts and isinstance(parts[0], str) else ""
    for literal, name in _VARIABLE.findall(text):
        if not literal and name not in given:
            yield name.strip().partition(".")[0]


_REFERRING: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "Ref": _refers,
    "Fn::GetAtt": lambda argument: iter([_attribute(argument)[0]]),
    "Fn::Sub": _sub_refers,
}
