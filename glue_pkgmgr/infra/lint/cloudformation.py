"""A CloudFormation template, as the CDK synthesises them too, to what the rules look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from glue_pkgmgr.infra.lint.document import Items, Path, Table, Value, items, line_of, path_text, table
from glue_pkgmgr.infra.lint.intrinsics import Scope, function
from glue_pkgmgr.infra.lint.policy import statements
from glue_pkgmgr.infra.lint.view import (
    Connection,
    Directory,
    Job,
    ManagedPolicy,
    PackageGroup,
    Place,
    Repository,
    Resource,
    Setting,
    StateMachine,
    Statement,
    Suppression,
    View,
)

_Made = TypeVar("_Made")

METADATA = "glue-pkgmgr"
"""The member of `Metadata` where rules are suppressed, in the shape that cfn_nag and cdk-nag read theirs in."""

_SUPPRESSED = "rules_to_suppress"
_PROPERTIES = "Properties"
_NAME, _VALUE = ("Name", "name"), ("Value", "value")
# What is a text once it is deployed; in other functions texts are looked for one by one.
_TEXTUAL = frozenset(
    (
        "Ref",
        *(
            f"Fn::{name}"
            for name in ["GetAtt", "Sub", "Join", "Select", "FindInMap", "Base64", "ImportValue", "Split"]
        ),
    )
)
_BLOCKING = ("BLOCK", "ALLOW_SPECIFIC_REPOSITORIES")
_PRINCIPALS = ("Roles", "Users", "Groups", "RoleName", "UserName", "GroupName")


def is_cloudformation(document: Value) -> bool:
    """Whether `document` is a template: it has resources, and each that is a table says its type."""
    resources = table(document).get("Resources")
    return isinstance(resources, Table)


def cloudformation(document: Table, file: str) -> View:
    """Return what the rules look at in a template that was read from `file`."""
    return _Template(document, file).view()


class _Template:
    def __init__(self, document: Table, file: str) -> None:
        self._document = document
        self._file = file
        self._scope = Scope.of(document)

    def view(self) -> View:
        resources = [
            (resource, table(declared.get(_PROPERTIES))) for resource, declared in self._resources_with_bodies()
        ]
        return View(
            resources=tuple(resource for resource, _ in resources),
            jobs=tuple(self._all(resources, {"AWS::Glue::Job": self._job})),
            arguments=tuple(self._given(resources)),
            connections=tuple(self._all(resources, {"AWS::Glue::Connection": self._connection})),
            statements=tuple(self._statements(resources)),
            managed=tuple(self._managed(resources)),
            repositories=tuple(self._all(resources, {"AWS::CodeArtifact::Repository": self._repository})),
            domains=tuple(resource for resource, _ in resources if resource.kind == "AWS::CodeArtifact::Domain"),
            package_groups=tuple(self._all(resources, {"AWS::CodeArtifact::PackageGroup": self._group})),
            endpoints=tuple(self._endpoints(resources)),
            networks=tuple(resource for resource, _ in resources if resource.kind == "AWS::EC2::VPC"),
            exits=tuple(resource for resource, _ in resources if resource.kind in _EXITS),
            environments=tuple(self._environments(resources)),
            state_machines=tuple(self._all(resources, dict.fromkeys(_STATE_MACHINES, self._state_machine))),
            texts=(*self._defaults(), *(text for one in resources for text in self._texts(*one))),
            hidden=self._scope.hidden,
            suppressions=tuple(self._suppressions(self._document, (), "")),
        )

    def _resources_with_bodies(self) -> Iterator[tuple[Resource, Table]]:
        for path, name, body in _declared(table(self._document.get("Resources")), ("Resources",)):
            kind = body.get("Type")
            yield (
                Resource(
                    name=name,
                    kind=kind if isinstance(kind, str) else "",
                    file=self._file,
                    root=(*path, _PROPERTIES),
                    document=self._document,
                    suppressions=tuple(self._suppressions(body, path, name)),
                ),
                body,
            )

    def _suppressions(self, body: Table, path: Path, name: str) -> Iterator[Suppression]:
        steps = ("Metadata", METADATA, _SUPPRESSED)
        told = table(table(body.get("Metadata")).get(METADATA)).get(_SUPPRESSED)
        for position, one in enumerate(items(told)):
            rule, reason = table(one).get("id"), table(one).get("reason")
            whole = (*path, *steps, position)
            place = Place(
                file=self._file, line=line_of(self._document, whole), resource=name, path=path_text(whole)
            )
            yield Suppression(
                rule=rule if isinstance(rule, str) else "",
                reason=reason.strip() if isinstance(reason, str) else "",
                place=place,
            )

    def _all(
        self, resources: list[tuple[Resource, Table]], makers: dict[str, Callable[[Resource, Table], _Made]]
    ) -> Iterator[_Made]:
        for resource, properties in resources:
            if resource.kind in makers:
                yield makers[resource.kind](resource, properties)

    def _job(self, resource: Resource, properties: Table) -> Job:
        command = table(next(self._scope.alternatives(properties.get("Command")), None))
        connections = (
            text
            for _, listed in self._scope.members(properties.get("Connections"))
            for _, one in self._scope.each(listed)
            for text in self._scope.texts(one)
        )
        return Job(
            resource=resource,
            kind=self._first(command.get("Name")),
            python_version=self._setting(resource, command, "PythonVersion", "Command"),
            glue_version=self._setting(resource, properties, "GlueVersion"),
            arguments=tuple(
                setting
                for member in ("DefaultArguments", "NonOverridableArguments")
                for setting in self._settings(resource, properties, member)
            ),
            connections=tuple(connections),
        )

    def _connection(self, resource: Resource, properties: Table) -> Connection:
        given = table(next(self._scope.alternatives(properties.get("ConnectionInput")), None))
        physical = table(next(self._scope.alternatives(given.get("PhysicalConnectionRequirements")), None))
        return Connection(
            resource=resource,
            called=self._scope.texts(given.get("Name")),
            in_network="NETWORK" in self._scope.texts(given.get("ConnectionType")) or "SubnetId" in physical,
            properties=tuple(self._settings(resource, given, "ConnectionProperties", "ConnectionInput")),
        )

    def _repository(self, resource: Resource, properties: Table) -> Repository:
        return Repository(
            resource=resource,
            called=self._scope.texts(properties.get("RepositoryName")),
            external=self._listed(properties.get("ExternalConnections")),
            upstreams=self._listed(properties.get("Upstreams")),
            path=("ExternalConnections",) if properties.get("ExternalConnections") else ("Upstreams",),
        )

    def _group(self, resource: Resource, properties: Table) -> PackageGroup:
        restrictions = table(table(properties.get("OriginConfiguration")).get("Restrictions"))
        mode = self._scope.texts(table(restrictions.get("ExternalUpstream")).get("RestrictionMode"))
        return PackageGroup(
            resource=resource,
            patterns=self._scope.texts(properties.get("Pattern")),
            blocks_external=bool(mode) and all(one in _BLOCKING for one in mode),
        )

    def _state_machine(self, resource: Resource, properties: Table) -> StateMachine:
        found = []
        if "DefinitionString" in properties:
            found.append(self._setting(resource, properties, "DefinitionString"))
        if (definition := properties.get("Definition")) is not None:
            told = json.dumps(self._plain(definition))
            found.append(Setting(name="Definition", texts=(told,), resource=resource, path=("Definition",)))
        return StateMachine(resource=resource, definitions=tuple(found))

    def _plain(self, value: Value) -> object:
        """Return `value` with each function replaced by the first text it may become."""
        if function(value) is not None:
            return next(iter(self._scope.texts(value)), None)
        if isinstance(value, Table):
            return {name: self._plain(one) for name, one in value.items()}
        if isinstance(value, Items):
            return [self._plain(one) for one in value]
        return value

    def _statements(self, resources: list[tuple[Resource, Table]]) -> Iterator[Statement]:
        holders = _Holders(resources, self._listed)
        for resource, properties in resources:
            for path, document, own in self._documents(resource, properties):
                principals = holders.of(resource, properties) if own else frozenset[str]()
                yield from statements(
                    document, scope=self._scope, resource=resource, path=path, principals=principals
                )

    def _documents(self, resource: Resource, properties: Table) -> Iterator[tuple[Path, Value, bool]]:
        """Yield each policy with its path, and whether it is one of principals rather than of a resource."""
        if resource.kind in _WITH_POLICIES:
            for position, one in self._scope.each(properties.get("Policies")):
                # A function of SAM has the document itself there.
                inner = table(one).get("PolicyDocument")
                path: Path = ("Policies", *position)
                yield (path, one, True) if inner is None else ((*path, "PolicyDocument"), inner, True)
        elif resource.kind in _POLICIES:
            yield ("PolicyDocument",), properties.get("PolicyDocument"), True
        elif resource.kind in _RESOURCE_POLICIES:
            member = _RESOURCE_POLICIES[resource.kind]
            yield (member,), properties.get(member), False

    def _managed(self, resources: list[tuple[Resource, Table]]) -> Iterator[ManagedPolicy]:
        for resource, properties in resources:
            if resource.kind in _WITH_POLICIES:
                for member in ("ManagedPolicyArns", "Policies"):
                    for position, one in self._scope.each(properties.get(member)):
                        for text in self._scope.texts(one):
                            yield ManagedPolicy(
                                name=text,
                                resource=resource,
                                path=(member, *position),
                                principals=frozenset((resource.name,)),
                            )

    def _given(self, resources: list[tuple[Resource, Table]]) -> Iterator[Setting]:
        for resource, properties in resources:
            if resource.kind == "AWS::Glue::Trigger":
                for position, one in self._scope.each(properties.get("Actions")):
                    for setting in self._settings(resource, table(one), "Arguments"):
                        yield replace(setting, path=("Actions", *position, *setting.path))

    def _endpoints(self, resources: list[tuple[Resource, Table]]) -> Iterator[str]:
        for resource, properties in resources:
            if resource.kind == "AWS::EC2::VPCEndpoint":
                yield from self._scope.texts(properties.get("ServiceName"))

    def _environments(self, resources: list[tuple[Resource, Table]]) -> Iterator[Setting]:
        for resource, properties in resources:
            if resource.kind in _FUNCTIONS:
                given = table(next(self._scope.alternatives(properties.get("Environment")), None))
                yield from self._settings(resource, given, "Variables", "Environment")

    def _defaults(self) -> Iterator[Setting]:
        """Yield the default of each secret parameter: it is told by the template itself."""
        for name in self._scope.hidden:
            declared = table(self._document.get("Parameters"))
            texts = self._scope.texts(table(declared.get(name)).get("Default"))
            resource = Resource(
                name=name,
                kind="Parameter",
                file=self._file,
                root=("Parameters", name),
                document=self._document,
            )
            yield Setting(name=name, texts=texts, resource=resource, path=("Default",))

    def _settings(self, resource: Resource, properties: Table, member: str, *above: str) -> Iterator[Setting]:
        for name, value in self._scope.members(properties.get(member)):
            texts = self._scope.texts(value)
            yield Setting(name=name, texts=texts, resource=resource, path=(*above, member, name))

    def _setting(self, resource: Resource, properties: Table, member: str, *above: str) -> Setting:
        texts = self._scope.texts(properties.get(member))
        return Setting(name=member, texts=texts, resource=resource, path=(*above, member))

    def _texts(self, resource: Resource, properties: Table) -> Iterator[Setting]:
        yield from _every_text(properties, self._scope, resource, ())

    def _listed(self, value: Value) -> tuple[str, ...]:
        return tuple(text for _, one in self._scope.each(value) for text in self._scope.texts(one))

    def _first(self, value: Value) -> str:
        return next(iter(self._scope.texts(value)), "")


class _Holders:
    """Which roles, users and groups have a policy."""

    def __init__(
        self, resources: list[tuple[Resource, Table]], listed: Callable[[Value], tuple[str, ...]]
    ) -> None:
        self._listed = listed
        holding = [(resource, properties) for resource, properties in resources if resource.kind in _WITH_POLICIES]
        self._directory = Directory((resource, self._named(properties)) for resource, properties in holding)
        policies = Directory((resource, ()) for resource, _ in resources)
        self._attached: dict[str, set[str]] = {}
        for resource, properties in holding:
            for text in listed(properties.get("ManagedPolicyArns")):
                for policy in policies.meant(text):
                    self._attached.setdefault(policy.name, set()).add(resource.name)

    def of(self, policy: Resource, properties: Table) -> frozenset[str]:
        """Return the names of those that have `policy`; its own if nothing here has it, or it is one of them."""
        if policy.kind in _WITH_POLICIES:
            return frozenset((policy.name,))
        named = {one.name for text in self._named(properties) for one in self._directory.meant(text)}
        return frozenset((named | self._attached.get(policy.name, set())) or {policy.name})

    def _named(self, properties: Table) -> list[str]:
        return [text for member in _PRINCIPALS for text in self._listed(properties.get(member))]


def _declared(resources: Table, path: Path) -> Iterator[tuple[Path, str, Table]]:
    """Yield each resource with its path; the body of a loop (`Fn::ForEach`) counts once."""
    for name, body in resources.items():
        here = (*path, name)
        if name.startswith("Fn::ForEach") and isinstance(body, Items) and body:
            yield from _declared(table(body[-1]), (*here, len(body) - 1))
        elif isinstance(body, Table):
            yield here, name, body


def _every_text(value: Value, scope: Scope, resource: Resource, path: Path, name: str = "") -> Iterator[Setting]:
    """Yield every text in `value`, each under the key above it, or under the `Name` that stands beside it."""
    called = function(value)
    if isinstance(value, str) or (called and called[0] in _TEXTUAL):
        yield Setting(name=name, texts=scope.texts(value), resource=resource, path=path)
    elif called:
        yield from _every_text(called[1], scope, resource, (*path, called[0]), name)
    elif isinstance(value, Items):
        for position, one in enumerate(value):
            yield from _every_text(one, scope, resource, (*path, position), name)
    elif isinstance(value, Table):
        beside = next((value[key] for key in _NAME if key in value), None)
        named = isinstance(beside, str) and any(key in value for key in _VALUE)
        for key, one in value.items():
            if named and key in _NAME:
                continue  # it is the name of what stands beside it
            told = str(beside) if named and key in _VALUE else key
            yield from _every_text(one, scope, resource, (*path, key), told)


def every_text(value: Value, resource: Resource) -> Iterator[Setting]:
    """Yield every text in the properties of `resource`, which hold no functions."""
    return _every_text(value, Scope(), resource, ())


_WITH_POLICIES = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group", "AWS::Serverless::Function")
_POLICIES = (
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::UserPolicy",
    "AWS::IAM::GroupPolicy",
)
_RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::CodeArtifact::Domain": "PermissionsPolicyDocument",
    "AWS::CodeArtifact::Repository": "PermissionsPolicyDocument",
}
_FUNCTIONS = ("AWS::Lambda::Function", "AWS::Serverless::Function")
_STATE_MACHINES = ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine")
_EXITS = ("AWS::EC2::NatGateway", "AWS::EC2::InternetGateway")
