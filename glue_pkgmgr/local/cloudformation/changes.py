"""What a change set would do: one blueprint compared with another, as DescribeChangeSet tells it.

Pure. Source: CloudFormation API, "ResourceChange" and "ResourceTargetDefinition".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from glue_pkgmgr.local.cloudformation.kinds import KINDS
from glue_pkgmgr.local.cloudformation.template import Declared


def changes(
    before: Mapping[str, Declared], after: Mapping[str, Declared], physical: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the resource changes, those that are new or modified first, in the order they are made in.

    `physical` has the physical ids of what is there.
    """
    found = []
    for name, declared in after.items():
        if name not in before:
            found.append(_change("Add", declared, physical, after=declared))
        elif is_changed(before[name], declared):
            found.append(_modify(before[name], declared, physical))
    removed = [declared for name, declared in before.items() if name not in after]
    found += [_change("Remove", declared, physical, before=declared) for declared in reversed(removed)]
    return found


def is_changed(before: Declared, after: Declared) -> bool:
    """Whether a resource has to be touched. A policy for its deletion is only noted."""
    return before.type != after.type or before.planned != after.planned


def replaces(before: Declared, after: Declared) -> bool:
    """Whether another resource takes the place of this one."""
    if before.type != after.type:
        return True
    kind = KINDS.get(after.type)
    return kind is not None and kind.needs_replacement(changed_names(before.planned, after.planned))


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the properties that differ."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _modify(before: Declared, after: Declared, physical: Mapping[str, str]) -> dict[str, Any]:
    kind = KINDS.get(after.type)
    details = [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": path[0],
                "RequiresRecreation": "Always"
                if kind and kind.needs_replacement(frozenset(path[:1]))
                else "Never",
                "Path": "/Properties/" + "/".join(path),
                "BeforeValue": _text(old),
                "AfterValue": _text(new),
                "AttributeChangeType": "Add" if old is None else "Remove" if new is None else "Modify",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for path, old, new in _differences(before.planned, after.planned)
    ]
    change = _change("Modify", after, physical, before=before, after=after)
    replacement = "True" if replaces(before, after) else "False"
    change["ResourceChange"] |= {"Replacement": replacement, "Scope": ["Properties"], "Details": details}
    return change


def _change(
    action: str,
    declared: Declared,
    physical: Mapping[str, str],
    *,
    before: Declared | None = None,
    after: Declared | None = None,
) -> dict[str, Any]:
    change: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": declared.id,
        "PhysicalResourceId": physical.get(declared.id) if before else None,
        "ResourceType": declared.type,
        "Scope": [],
        "Details": [],
        "BeforeContext": _context(before),
        "AfterContext": _context(after),
    }
    if action == "Remove":
        change["PolicyAction"] = "Retain" if declared.kept else "Delete"
    return {"Type": "Resource", "ResourceChange": change}


def _context(declared: Declared | None) -> str | None:
    return json.dumps({"Properties": declared.planned}) if declared else None


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield where two tables differ, with both values: tables are looked into, lists are compared as a whole."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, (*path, name))
        else:
            yield (*path, name), old, new


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)
