"""What the policies of a template allow, judged as IAM judges them: for the words that our statements use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Call:
    """A call as IAM sees it: `context` holds the values of condition keys."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True)
class Statement:
    """A statement with its expressions resolved."""

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def covers(self, call: Call) -> bool:
        """Whether it is about `call`."""
        return (
            call.action in self.actions
            and any(fnmatchcase(call.resource, resource) for resource in self.resources)
            and all(_holds(call, *condition) for condition in self.conditions)
        )


@dataclass(frozen=True)
class Role:
    """The statements of a role."""

    statements: tuple[Statement, ...]

    def allows(self, call: Call) -> bool:
        """Whether a statement allows `call` and none forbids it."""
        about = [one for one in self.statements if one.covers(call)]
        return bool(about) and all(one.allows for one in about)

    def idle(self, calls: set[Call]) -> Iterator[str]:
        """Yield every action, and every resource, of a statement that allows what none of `calls` needs."""
        for one in self.statements:
            if not one.allows:
                continue
            used = [call for call in calls if one.covers(call)]
            for action in one.actions:
                if not any(call.action == action for call in used):
                    yield f"{one.sid}: {action}"
            for resource in one.resources:
                if not any(fnmatchcase(call.resource, resource) for call in used):
                    yield f"{one.sid}: on {resource}"


def role(template: Mapping[str, Any], name: str, *, region: str, account: str) -> Role:
    """Return the role `name` of a template that was deployed to `region` of `account`."""
    properties = template["Resources"][name]["Properties"]
    managed = [template["Resources"][one["Ref"]]["Properties"] for one in properties.get("ManagedPolicyArns", ())]
    resolve = _Resolver(template, {"AWS::Partition": "aws", "AWS::Region": region, "AWS::AccountId": account})
    documents = [one["PolicyDocument"] for one in (*properties["Policies"], *managed)]
    return Role(tuple(_statement(one, resolve) for document in documents for one in document["Statement"]))


def _statement(one: Mapping[str, Any], resolve: _Resolver) -> Statement:
    conditions = [
        (operator, key, tuple(resolve(value) for value in (values if isinstance(values, list) else [values])))
        for operator, keys in one.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return Statement(
        sid=one["Sid"],
        allows=one["Effect"] == "Allow",
        actions=tuple(one["Action"]),
        resources=tuple(resolve(resource) for resource in one["Resource"]),
        conditions=tuple(conditions),
    )


def _holds(call: Call, operator: str, key: str, values: tuple[str, ...]) -> bool:
    assert operator in ("StringEquals", "ForAllValues:StringEquals"), operator
    return call.context.get(key) in values


class _Resolver:
    """Resolves the expressions of a template; what a resource tells only when it is made is its name here."""

    def __init__(self, template: Mapping[str, Any], known: Mapping[str, str]) -> None:
        self._resources = template["Resources"]
        self._known = {"AWS::URLSuffix": "amazonaws.com", **known}

    def __call__(self, value: Any) -> str:
        match value:
            case str():
                return value
            case {"Fn::Sub": text}:
                return _VARIABLE.sub(lambda found: self._variable(found[1]), text)
            case {"Ref": name}:
                return self._variable(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return self._variable(f"{name}.{attribute}")
            case _:
                raise AssertionError(f"no such expression here: {value}")

    def _variable(self, name: str) -> str:
        if name in self._known:
            return self._known[name]
        assert name.partition(".")[0] in self._resources, name
        return f"<{name}>"
