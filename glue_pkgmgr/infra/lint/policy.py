"""IAM policy documents: their statements, and what a statement allows."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from glue_pkgmgr.infra.lint.document import Path, Table, Value, table
from glue_pkgmgr.infra.lint.intrinsics import Scope, shortened
from glue_pkgmgr.infra.lint.view import Resource, Statement


def statements(
    document: Value,
    *,
    scope: Scope,
    resource: Resource,
    path: Path,
    principals: frozenset[str] = frozenset(),
    located: bool = True,
) -> Iterator[Statement]:
    """Yield the statements of a policy, which stands at `path` in `resource`.

    With `located` false the document was a text, and each statement's place is that of the text.
    """
    for alternative in scope.alternatives(document):
        for position, one in scope.each(table(alternative).get("Statement")):
            members = table(one)
            yield Statement(
                resource=resource,
                path=(*path, "Statement", *position) if located else path,
                principals=principals,
                allows=members.get("Effect") != "Deny",
                actions=_texts(members, scope, "Action", "NotAction"),
                resources=_texts(members, scope, "Resource", "NotResource"),
                conditions=conditions(members.get("Condition"), scope),
                other_actions="NotAction" in members,
                other_resources="NotResource" in members,
            )


def conditions(value: Value, scope: Scope) -> Mapping[str, tuple[str, ...]]:
    """Return the values that each condition key, in lower case, must have; `StringNotEquals` and such left out."""
    found: dict[str, tuple[str, ...]] = {}
    for operator, keys in scope.members(value):
        if "not" not in operator.lower():
            for key, wanted in scope.members(keys):
                found[key.lower()] = tuple(text for _, one in scope.each(wanted) for text in scope.texts(one))
    return found


def _texts(members: Table, scope: Scope, *names: str) -> tuple[str, ...]:
    return tuple(text for name in names for _, one in scope.each(members.get(name)) for text in scope.texts(one))


def grants(statement: Statement, action: str) -> bool:
    """Whether `statement` allows `action`, such as `sts:GetServiceBearerToken`, on something."""
    named = any(matches(pattern, action) for pattern in statement.actions)
    return statement.allows and named != statement.other_actions


def wide(statement: Statement, grave: Iterable[str]) -> list[str]:
    """Return the patterns with a wildcard that allow one of the `grave` actions; `NotAction` counts as one."""
    if not statement.allows:
        return []
    if statement.other_actions:
        return ["NotAction"] if any(grants(statement, action) for action in grave) else []
    return [one for one in statement.actions if "*" in one and any(matches(one, action) for action in grave)]


def of_service(statement: Statement, service: str) -> list[str]:
    """Return the actions that `statement` allows of `service`, such as `s3`, as they are written."""
    if not statement.allows or statement.other_actions:
        return []
    return [one for one in statement.actions if one.lower().startswith(f"{service}:")]


def everywhere(statement: Statement, service: str) -> bool:
    """Whether the resources of `statement` are all of `service`: `*`, or an ARN that ends in nothing else."""
    return statement.other_resources or any(_is_all(one, service) for one in statement.resources)


_ARN_PARTS = 6


def _is_all(arn: str, service: str) -> bool:
    # A placeholder such as ${AWS::Partition} has colons of its own.
    parts = shortened(arn).split(":", _ARN_PARTS - 1)
    if parts == ["*"]:
        return True
    if len(parts) < _ARN_PARTS or parts[2] not in (service, "*"):
        return False
    _, slash, rest = parts[-1].partition("/")
    if service == "s3" or not slash:
        return not parts[-1].strip("*/")
    return not rest.strip("*/")  # `role/*`, `domain/*`, `repository/*/*`: all of a kind


_LONGEST_ACTION = 256  # characters


def matches(pattern: str, action: str) -> bool:
    """Whether an action pattern of a policy covers `action`; case does not count. Source: IAM, element Action."""
    return len(pattern) <= _LONGEST_ACTION and _pattern(pattern).match(action) is not None


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    # The same wildcards as in file names, but for brackets; and never slow, however many stars there are.
    return re.compile(fnmatch.translate(text.replace("[", "[[]")), re.IGNORECASE)
