"""A template read, and what it asks for with given parameters: its resources in the order they are made in.

Pure. Source: CloudFormation, "Template sections".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from glue_pkgmgr.local.cloudformation.intrinsics import NOTHING, Later, references, resolve
from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError, invalid

MOST_INLINE = 51_200
"""Bytes of a template in a request (CloudFormation, "Quotas")."""

MOST_BY_URL = 1_048_576
"""Bytes of a template in S3 (CloudFormation, "Quotas")."""

_SECTIONS = frozenset(
    {
        *("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings"),
        *("Conditions", "Transform", "Resources", "Outputs", "Hooks"),
    }
)
_NAMED_IAM = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A resource as a template declares it.

    `properties` are as written; `planned` with everything resolved that is known before a resource is made.
    `after` are the resources it has to be made after. `kept` says whether it outlives its stack.
    """

    id: str
    type: str
    properties: Mapping[str, Any]
    planned: Mapping[str, Any]
    after: frozenset[str]
    deletion_policy: str

    @property
    def kept(self) -> bool:
        """Whether the end of its stack leaves it as it is."""
        return self.deletion_policy in ("Retain", "RetainExceptOnCreate", "Snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudo:
    """The pseudo parameters of a stack (CloudFormation, "Pseudo parameters reference")."""

    account: str
    region: str
    stack: str
    stack_id: str

    def value(self, name: str) -> Any:
        """Return the pseudo parameter `name`; None if there is none of that name."""
        return {
            "AWS::AccountId": self.account,
            "AWS::NoValue": NOTHING,
            "AWS::NotificationARNs": [],
            "AWS::Partition": _partition(self.region),
            "AWS::Region": self.region,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com",
        }.get(name)


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


class Template:
    """A template. Raises: CloudFormationError when `text` is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.content = _read(text)
        self.parameters = _table(self.content, "Parameters")
        self.resources = _table(self.content, "Resources")
        if not self.resources:
            raise invalid("Template format error: At least one Resources member must be defined.")
        for name, resource in self.resources.items():
            if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
                raise invalid(f"Template format error: [/Resources/{name}] has no Type")

    @property
    def capabilities(self) -> list[str]:
        """The capability that whoever deploys it has to name; empty without IAM resources."""
        types = [resource["Type"] for resource in self.resources.values() if resource["Type"] in _NAMED_IAM]
        if not types:
            return []
        named = any(
            _NAMED_IAM.get(resource["Type"], "-") in resource.get("Properties", {})
            for resource in self.resources.values()
        )
        return ["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"]

    def values(self, given: Mapping[str, str | None], before: Mapping[str, str]) -> dict[str, str]:
        """Return the value of each parameter: given, of the stack `before` where that is None, or the default.

        Raises: CloudFormationError for one that is unknown, or has no value.
        """
        if unknown := sorted(given.keys() - self.parameters.keys()):
            raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        found = {}
        for name, parameter in self.parameters.items():
            value = given.get(name)
            if name in given and value is None:
                value = before.get(name)
            found[name] = parameter.get("Default") if value is None else value
        if lacking := sorted(name for name, value in found.items() if value is None):
            raise invalid(f"Parameters: [{', '.join(lacking)}] must have values")
        for name, value in found.items():
            allowed = self.parameters[name].get("AllowedValues")
            if allowed and value not in allowed:
                raise invalid(f"Parameter '{name}' must be one of AllowedValues")
        return found


def _read(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as e:
        content = _yaml(text, e)
    if not isinstance(content, dict):
        raise invalid("Template format error: unsupported structure.")
    if unknown := sorted(map(str, content.keys() - _SECTIONS)):
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    return content


def _yaml(text: str, not_json: ValueError) -> Any:
    if text.lstrip().startswith("{"):
        raise invalid(f"Template format error: JSON not well-formed. ({not_json})")
    raise CloudFormationError("NotImplemented", "The stand-in reads templates in JSON only, not in YAML", 501)


def _table(content: Mapping[str, Any], section: str) -> dict[str, Any]:
    found = content.get(section, {})
    if not isinstance(found, dict):
        raise invalid(f"Template format error: [/{section}] is not a table")
    return found


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A template with its parameters: what a stack is to consist of."""

    template: Template
    pseudo: Pseudo
    parameters: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def resources(self) -> Mapping[str, Declared]:
        """The resources whose condition holds, by logical id, in the order they are made in.

        Raises: CloudFormationError for references that lead nowhere or in a circle.
        """
        scope = _Scope(self, _later, _later_attribute)
        present = {
            name: resource
            for name, resource in self.template.resources.items()
            if "Condition" not in resource or scope.condition(resource["Condition"])
        }
        self._require_known(present)
        declared = {name: self._declared(name, present, scope) for name in present}
        return {name: declared[name] for name in _in_order(declared)}

    def resolved(self, value: Any, ref: Callable[[str], Any], attribute: Callable[[str, str], Any]) -> Any:
        """Return `value` of the template with all that is in it resolved: resources by these two functions."""
        return resolve(value, _Scope(self, ref, attribute))

    def outputs(
        self, ref: Callable[[str], Any], attribute: Callable[[str, str], Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the outputs whose condition holds, as DescribeStacks tells them."""
        scope = _Scope(self, ref, attribute)
        for name, output in _table(self.template.content, "Outputs").items():
            if "Condition" in output and not scope.condition(output["Condition"]):
                continue
            export = output.get("Export", {}).get("Name")
            yield {
                "OutputKey": name,
                "OutputValue": str(resolve(output.get("Value"), scope)),
                "Description": output.get("Description"),
                "ExportName": resolve(export, scope) if export is not None else None,
            }

    def _require_known(self, present: Mapping[str, Any]) -> None:
        known = {*self.template.resources, *self.template.parameters}
        used = set(references([resource.get("Properties", {}) for resource in present.values()]))
        unknown = sorted(name for name in used if name not in known and self.pseudo.value(name) is None)
        if unknown:
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the Resources "
                "block of the template"
            )

    def _declared(self, name: str, present: Mapping[str, Any], scope: _Scope) -> Declared:
        resource = present[name]
        properties = resource.get("Properties", {})
        # Only the branches that are taken count, as elsewhere.
        taken = set(references(_taken(properties, scope)))
        depends = resource.get("DependsOn", [])
        explicit = {depends} if isinstance(depends, str) else set(depends)
        if unknown := sorted(explicit - self.template.resources.keys()):
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the Resources "
                "block of the template"
            )
        return Declared(
            id=name,
            type=resource["Type"],
            properties=properties,
            planned=resolve(properties, scope),
            after=frozenset((taken | explicit) & present.keys()),
            deletion_policy=str(resource.get("DeletionPolicy", "Delete")),
        )


def _taken(value: Any, scope: _Scope) -> Any:
    """Return `value` without the branches of `Fn::If` that are not taken."""
    match value:
        case {"Fn::If": [condition, then, otherwise]} if len(value) == 1:
            return _taken(then if scope.condition(condition) else otherwise, scope)
        case dict():
            return {key: _taken(item, scope) for key, item in value.items()}
        case list():
            return [_taken(item, scope) for item in value]
        case _:
            return value


def _in_order(declared: Mapping[str, Declared]) -> list[str]:
    """Return the ids so that each comes after those it needs; otherwise in the order of the template."""
    done: dict[str, None] = {}
    while len(done) < len(declared):
        ready = [name for name, one in declared.items() if name not in done and one.after <= done.keys()]
        if not ready:
            left = sorted(declared.keys() - done.keys())
            raise invalid(f"Circular dependency between resources: [{', '.join(left)}]")
        done.update(dict.fromkeys(ready))
    return list(done)


def _later(name: str) -> Later:
    return Later(f"{{{name}}}")


def _later_attribute(resource: str, name: str) -> Later:
    return Later(f"{{{resource}.{name}}}")


class _Scope:
    """The names of a blueprint; resources by two functions."""

    def __init__(
        self, blueprint: Blueprint, ref: Callable[[str], Any], attribute: Callable[[str, str], Any]
    ) -> None:
        self._blueprint = blueprint
        self._ref = ref
        self._attribute = attribute

    def ref(self, name: str) -> Any:
        pseudo = self._blueprint.pseudo.value(name)
        if pseudo is not None:
            return pseudo
        if name in self._blueprint.parameters:
            value, kind = self._blueprint.parameters[name], self._blueprint.template.parameters[name]["Type"]
            return str(value).split(",") if kind == "CommaDelimitedList" or kind.startswith("List<") else value
        return self._ref(self._known(name))

    def attribute(self, resource: str, name: str) -> Any:
        return self._attribute(self._known(resource), name)

    def _known(self, name: str) -> str:
        if name not in self._blueprint.template.resources:
            raise invalid(f"Template format error: Unresolved resource dependencies [{name}] in the template")
        return name

    def condition(self, name: str) -> bool:
        conditions = _table(self._blueprint.template.content, "Conditions")
        if name not in conditions:
            raise invalid(f"Template error: unresolved condition dependency {name}")
        return bool(resolve(conditions[name], self))

    def mapped(self, mapping: str, first: str, second: str) -> Any:
        try:
            return _table(self._blueprint.template.content, "Mappings")[mapping][first][second]
        except KeyError as e:
            raise invalid(f"Template error: Unable to get mapping for {mapping}::{first}::{second}") from e
