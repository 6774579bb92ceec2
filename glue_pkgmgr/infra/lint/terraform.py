"""What `terraform show -json` tells of a plan or a state, to what the rules look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.cloudformation import every_text
from glue_pkgmgr.infra.lint.document import Items, Path, Table, Value, items, table
from glue_pkgmgr.infra.lint.intrinsics import Scope, is_placeholder
from glue_pkgmgr.infra.lint.json_text import parse_json
from glue_pkgmgr.infra.lint.policy import statements
from glue_pkgmgr.infra.lint.view import (
    Connection,
    Directory,
    Job,
    ManagedPolicy,
    PackageGroup,
    Repository,
    Resource,
    Setting,
    StateMachine,
    Statement,
    View,
)

_SENSITIVE = "sensitive"
_UNKNOWN = "${?}"
_POLICY_DATA = "aws_iam_policy_document"
_BLOCKING = ("BLOCK", "ALLOW_SPECIFIC_REPOSITORIES")


def is_terraform(document: Value) -> bool:
    """Whether `document` is a plan or a state as `terraform show -json` tells it."""
    return isinstance(_values(table(document)).get("root_module"), Table)


def terraform(document: Table, file: str) -> View:
    """Return what the rules look at in a plan or a state that was read from `file`.

    A value that is known only after apply is the reference that the configuration has there, as a placeholder.
    """
    return _Plan(document, file).view()


def _values(document: Table) -> Table:
    return table(document.get("planned_values") or document.get("values"))


class _Plan:
    def __init__(self, document: Table, file: str) -> None:
        self._document = document
        self._file = file
        self._resources: list[tuple[Resource, Table, Table]] = []  # with their values, and which are sensitive
        root = "planned_values" if "planned_values" in document else "values"
        configuration = table(table(document.get("configuration")).get("root_module"))
        self._read(table(_values(document).get("root_module")), (root, "root_module"), configuration, "")
        self._principals = Directory(
            (one, _texts(values.get("name"))) for one, values, _ in self._of(*_PRINCIPALS)
        )
        self._data = dict(self._policy_data())

    def view(self) -> View:
        return View(
            resources=tuple(resource for resource, _, _ in self._resources),
            jobs=tuple(self._job(*one) for one in self._of("aws_glue_job")),
            arguments=tuple(self._given()),
            connections=tuple(self._connection(*one) for one in self._of("aws_glue_connection")),
            statements=tuple(self._statements()),
            managed=tuple(self._managed()),
            repositories=tuple(self._repository(*one) for one in self._of("aws_codeartifact_repository")),
            domains=tuple(resource for resource, _, _ in self._of("aws_codeartifact_domain")),
            package_groups=tuple(self._group(*one) for one in self._of("awscc_codeartifact_package_group")),
            endpoints=tuple(_text(values, "service_name") for _, values, _ in self._of("aws_vpc_endpoint")),
            networks=tuple(resource for resource, _, _ in self._of("aws_vpc")),
            exits=tuple(resource for resource, _, _ in self._of("aws_nat_gateway", "aws_internet_gateway")),
            environments=tuple(self._environments()),
            state_machines=tuple(self._state_machine(*one) for one in self._of("aws_sfn_state_machine")),
            texts=tuple(text for one in self._resources for text in self._texts(*one)),
            hidden=frozenset((_SENSITIVE,)),
            unseen=tuple(resource.at(*path) for resource, path, text, _ in self._policies() if self._unseen(text)),
        )

    def _read(self, module: Table, path: Path, configuration: Table, prefix: str) -> None:
        """Keep every resource of `module` and of the modules below it."""
        expressions = {
            declared["address"]: table(declared.get("expressions"))
            for one in items(configuration.get("resources"))
            if isinstance((declared := table(one)).get("address"), str)
        }
        for position, one in enumerate(items(module.get("resources"))):
            declared, values = table(one), table(table(one).get("values"))
            address, kind = _text(declared, "address"), _text(declared, "type")
            if declared.get("mode") == "data":
                continue
            here = address.removeprefix(prefix).partition("[")[0]
            _fill(values, expressions.get(here, Table()), prefix)
            resource = Resource(
                name=address,
                kind=kind,
                file=self._file,
                root=(*path, "resources", position, "values"),
                document=self._document,
            )
            self._resources.append((resource, values, table(declared.get("sensitive_values"))))
        calls = table(configuration.get("module_calls"))
        for position, one in enumerate(items(module.get("child_modules"))):
            child = table(one)
            address = _text(child, "address")
            called = address.removeprefix(prefix).removeprefix("module.").partition("[")[0]
            below = table(table(calls.get(called)).get("module"))
            self._read(child, (*path, "child_modules", position), below, f"{address}.")

    def _of(self, *kinds: str) -> Iterator[tuple[Resource, Table, Table]]:
        return (one for one in self._resources if one[0].kind in kinds)

    def _job(self, resource: Resource, values: Table, sensitive: Table) -> Job:
        command = _block(values, "command")
        return Job(
            resource=resource,
            kind=_text(command, "name") or "glueetl",
            python_version=_setting(resource, command, "python_version", "command", 0),
            glue_version=_setting(resource, values, "glue_version"),
            arguments=tuple(
                setting
                for member in ("default_arguments", "non_overridable_arguments")
                for setting in _settings(resource, values, sensitive, member)
            ),
            connections=_texts(values.get("connections")),
        )

    def _connection(self, resource: Resource, values: Table, sensitive: Table) -> Connection:
        return Connection(
            resource=resource,
            called=_texts(values.get("name")),
            in_network=_text(values, "connection_type") == "NETWORK"
            or bool(_text(_block(values, "physical_connection_requirements"), "subnet_id")),
            # Terraform takes all of them for sensitive; where one is a secret, its name tells.
            properties=tuple(_settings(resource, values, Table(), "connection_properties")),
        )

    def _repository(self, resource: Resource, values: Table, _: Table) -> Repository:
        external = [
            _text(table(one), "external_connection_name") for one in items(values.get("external_connections"))
        ]
        upstreams = [_text(table(one), "repository_name") for one in items(values.get("upstream"))]
        return Repository(
            resource=resource,
            called=_texts(values.get("repository")),
            external=tuple(filter(None, external)),
            upstreams=tuple(filter(None, upstreams)),
            path=("external_connections",) if any(external) else ("upstream",),
        )

    def _group(self, resource: Resource, values: Table, _: Table) -> PackageGroup:
        restrictions = table(table(values.get("origin_configuration")).get("restrictions"))
        mode = _text(table(restrictions.get("external_upstream")), "restriction_mode")
        return PackageGroup(
            resource=resource, patterns=_texts(values.get("pattern")), blocks_external=mode in _BLOCKING
        )

    def _state_machine(self, resource: Resource, values: Table, _: Table) -> StateMachine:
        return StateMachine(resource=resource, definitions=(_setting(resource, values, "definition"),))

    def _given(self) -> Iterator[Setting]:
        for resource, values, sensitive in self._of("aws_glue_trigger"):
            marks = [*items(sensitive.get("actions")), *[None] * len(items(values.get("actions")))]
            for position, (one, marked) in enumerate(zip(items(values.get("actions")), marks, strict=False)):
                for setting in _settings(resource, table(one), table(marked), "arguments"):
                    yield replace(setting, path=("actions", position, *setting.path))

    def _environments(self) -> Iterator[Setting]:
        for resource, values, sensitive in self._of("aws_lambda_function"):
            marked = _block(sensitive, "environment")
            yield from _settings(resource, _block(values, "environment"), marked, "variables")

    def _texts(self, resource: Resource, values: Table, _: Table) -> Iterator[Setting]:
        return every_text(values, resource)

    # --- policies

    def _statements(self) -> Iterator[Statement]:
        for resource, path, text, principals in self._policies():
            if text in self._data:
                yield from _policy_statements(self._data[text], resource, path, principals)
            elif not is_placeholder(text):
                with suppress(SettingsError):  # what is no policy AWS refuses by itself
                    document = parse_json(text)
                    yield from statements(
                        document, scope=Scope(), resource=resource, path=path, principals=principals, located=False
                    )

    def _unseen(self, text: str) -> bool:
        return is_placeholder(text) and text not in self._data

    def _policies(self) -> Iterator[tuple[Resource, Path, str, frozenset[str]]]:
        """Yield every policy: where its text stands, the text, and the resources that have it."""
        for resource, values, _ in self._of(*_PRINCIPALS):
            for position, one in enumerate(items(values.get("inline_policy"))):
                yield (
                    resource,
                    ("inline_policy", position, "policy"),
                    _text(table(one), "policy"),
                    frozenset((resource.name,)),
                )
        for resource, values, _ in self._of(*(f"{kind}_policy" for kind in _PRINCIPALS)):
            holders = self._holders(values) or {resource.name}
            yield resource, ("policy",), _text(values, "policy"), frozenset(holders)
        policies = Directory((one, _texts(values.get("arn"))) for one, values, _ in self._of("aws_iam_policy"))
        attached: dict[str, set[str]] = {}
        for _, values, _ in self._of(*_ATTACHMENTS):
            for policy in policies.meant(_text(values, "policy_arn")):
                attached.setdefault(policy.name, set()).update(self._holders(values))
        for resource, values, _ in self._of("aws_iam_policy"):
            holders = attached.get(resource.name) or {resource.name}
            yield resource, ("policy",), _text(values, "policy"), frozenset(holders)
        for resource, values, _ in self._of(*_RESOURCE_POLICIES):
            member = _RESOURCE_POLICIES[resource.kind]
            yield resource, (member,), _text(values, member), frozenset()

    def _holders(self, values: Table) -> set[str]:
        """Return the names of the roles, users and groups that a policy or an attachment names."""
        texts = [text for member in ("role", "user", "group") for text in _texts(values.get(member))]
        return {one.name for text in texts for one in self._principals.meant(text)}

    def _managed(self) -> Iterator[ManagedPolicy]:
        for resource, values, _ in self._of(*_PRINCIPALS):
            for text in _texts(values.get("managed_policy_arns")):
                holders = frozenset((resource.name,))
                yield ManagedPolicy(
                    name=text, resource=resource, path=("managed_policy_arns",), principals=holders
                )
        for resource, values, _ in self._of(*_ATTACHMENTS):
            yield ManagedPolicy(
                name=_text(values, "policy_arn"),
                resource=resource,
                path=("policy_arn",),
                principals=frozenset(self._holders(values)),
            )

    def _policy_data(self) -> Iterator[tuple[str, Table]]:
        """Yield what is known of each policy document that is made only during apply, by the reference to it."""
        for one in items(self._document.get("resource_changes")):
            change = table(one)
            if change.get("mode") == "data" and change.get("type") == _POLICY_DATA:
                after = table(table(change.get("change")).get("after"))
                yield f"${{{_text(change, 'address')}.json}}", after


def _policy_statements(
    document: Table, resource: Resource, path: Path, principals: frozenset[str]
) -> Iterator[Statement]:
    for one in items(document.get("statement")):
        told = table(one)
        yield Statement(
            resource=resource,
            path=path,
            principals=principals,
            allows=told.get("effect") != "Deny",
            actions=_texts(told.get("actions") or told.get("not_actions")),
            # What is not told is known after apply, when it is the ARN of something: it is not `*`.
            resources=_texts(told.get("resources") or told.get("not_resources")) or (_UNKNOWN,),
            conditions={
                _text(condition, "variable").lower(): _texts(condition.get("values"))
                for condition in map(table, items(told.get("condition")))
                if "not" not in _text(condition, "test").lower()
            },
            other_actions=bool(told.get("not_actions")),
            other_resources=bool(told.get("not_resources")),
        )


def _settings(resource: Resource, values: Table, sensitive: Table, member: str) -> Iterator[Setting]:
    marked = sensitive.get(member)
    for name, value in table(values.get(member)).items():
        hidden = marked is True or table(marked).get(name) is True
        yield Setting(
            name=name,
            texts=(f"${{{_SENSITIVE}}}",) if hidden else _texts(value),
            resource=resource,
            path=(member, name) if member != "variables" else ("environment", 0, member, name),
        )


def _setting(resource: Resource, values: Table, member: str, *above: str | int) -> Setting:
    return Setting(name=member, texts=_texts(values.get(member)), resource=resource, path=(*above, member))


def _fill(values: Table, expressions: Table, prefix: str) -> None:
    """Put a placeholder wherever `values` lacks what an expression of the configuration gives."""
    for name, expression in expressions.items():
        there = values.get(name)
        if isinstance(expression, Items):
            for value, inner in zip(items(there), expression, strict=False):
                _fill(table(value), table(inner), prefix)
        elif there is None or there == "":
            references = _texts(table(expression).get("references"))
            if references:
                # The first is the most precise: `aws_iam_role.job.arn` before `aws_iam_role.job`.
                values[name] = f"${{{prefix}{references[0]}}}"
                values.lines.setdefault(name, 1)


def _block(values: Table, member: str) -> Table:
    return table(next(iter(items(values.get(member))), None))


def _text(values: Table, member: str) -> str:
    value = values.get(member)
    return value if isinstance(value, str) else ""


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(
        one if isinstance(one, str) else json.dumps(one) for one in items(value) if isinstance(one, str | bool)
    )


_PRINCIPALS = ("aws_iam_role", "aws_iam_user", "aws_iam_group")
_ATTACHMENTS = tuple(f"{kind}_policy_attachment" for kind in _PRINCIPALS)
_RESOURCE_POLICIES = {
    "aws_s3_bucket_policy": "policy",
    "aws_codeartifact_domain_permissions_policy": "policy_document",
    "aws_codeartifact_repository_permissions_policy": "policy_document",
}
