"""What the rules look at: the same values whether CloudFormation or Terraform says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from glue_pkgmgr.infra.lint.document import Path, Value, line_of, path_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands: the file as it was named, the line from 1, the resource, the path below its file."""

    file: str
    line: int
    resource: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """One rule that somebody has switched off, and why; an empty `reason` is none."""

    rule: str
    reason: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of a template. `name` is its logical id or Terraform address; `document` its whole file."""

    name: str
    kind: str
    file: str
    root: Path
    document: Value = field(repr=False, compare=False)
    suppressions: tuple[Suppression, ...] = ()

    def at(self, *path: str | int) -> Place:
        """Return the place of what stands at `path` below the resource's properties."""
        whole = (*self.root, *path)
        return Place(file=self.file, line=line_of(self.document, whole), resource=self.name, path=path_text(whole))


class Directory:
    """Finds the resources that a text means: by a reference, or by a name that they are called by."""

    def __init__(self, called: Iterable[tuple[Resource, Iterable[str]]]) -> None:
        self._by_name: dict[str, list[Resource]] = {}
        self._by_reference: dict[str, list[Resource]] = {}
        for resource, names in called:
            self._by_reference.setdefault(resource.name, []).append(resource)
            for name in names:
                self._by_name.setdefault(name, []).append(resource)

    def meant(self, text: str) -> list[Resource]:
        """Return the resources that `text` means: `name`, `${Logical}`, `${Logical.Arn}`, `${aws_x.y[0].arn}`."""
        if not (text.startswith("${") and text.endswith("}")):
            return self._by_name.get(text, [])
        name = text[2:-1]
        while name and name not in self._by_reference:
            name = name.rpartition(".")[0]
        return self._by_reference.get(name, [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A named text in a resource, and what it may become; `path` leads to it from the resource's properties."""

    name: str
    texts: tuple[str, ...]
    resource: Resource
    path: Path

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.resource.at(*self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Glue job. `kind` is its command's name, such as `glueetl`; a setting without texts is not set."""

    resource: Resource
    kind: str
    python_version: Setting
    glue_version: Setting
    arguments: tuple[Setting, ...]
    connections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Glue connection; `in_network` tells whether its jobs run in a VPC."""

    resource: Resource
    called: tuple[str, ...]
    in_network: bool
    properties: tuple[Setting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of an IAM policy.

    `principals` are the resources that have it (roles, users, groups), empty in the policy of a resource.
    `conditions` maps a condition's key in lower case to its values. `other_actions` tells that `actions` are
    those excepted (`NotAction`), `other_resources` the same of `resources`.
    """

    resource: Resource
    path: Path
    principals: frozenset[str]
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, tuple[str, ...]]
    other_actions: bool = False
    other_resources: bool = False

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.resource.at(*self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy:
    """A policy by its ARN or name, where it is attached, and the names of the resources that have it so."""

    name: str
    resource: Resource
    path: Path
    principals: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A CodeArtifact repository. `upstreams` are names or references."""

    resource: Resource
    called: tuple[str, ...]
    external: tuple[str, ...]
    upstreams: tuple[str, ...]
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageGroup:
    """A CodeArtifact package group: its pattern, and whether it keeps releases of external repositories out."""

    resource: Resource
    patterns: tuple[str, ...]
    blocks_external: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine:
    """A Step Functions state machine: the texts its definition may be."""

    resource: Resource
    definitions: tuple[Setting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything in one or more templates that some rule looks at.

    `arguments` are those that something else than a job, such as a trigger, gives to one;
    `endpoints` are the services of VPC endpoints, `networks` the VPCs, `exits` what leads out of one to the
    internet, `texts` every text of every resource, `hidden` the names of secret parameters, `unseen` the places of
    policies that only a deployment knows.
    """

    resources: tuple[Resource, ...] = ()
    jobs: tuple[Job, ...] = ()
    arguments: tuple[Setting, ...] = ()
    connections: tuple[Connection, ...] = ()
    statements: tuple[Statement, ...] = ()
    managed: tuple[ManagedPolicy, ...] = ()
    repositories: tuple[Repository, ...] = ()
    domains: tuple[Resource, ...] = ()
    package_groups: tuple[PackageGroup, ...] = ()
    endpoints: tuple[str, ...] = ()
    networks: tuple[Resource, ...] = ()
    exits: tuple[Resource, ...] = ()
    environments: tuple[Setting, ...] = ()
    state_machines: tuple[StateMachine, ...] = ()
    texts: tuple[Setting, ...] = ()
    hidden: frozenset[str] = frozenset()
    suppressions: tuple[Suppression, ...] = ()
    unseen: tuple[Place, ...] = ()


def together(views: Iterable[View]) -> View:
    """Return one view of everything in `views`: stacks that are given together are judged together."""
    known = list(views)
    hidden = frozenset(name for view in known for name in view.hidden)
    rows = {
        one.name: tuple(part for view in known for part in getattr(view, one.name))
        for one in fields(View)
        if one.name != "hidden"
    }
    return View(**rows, hidden=hidden)


def job_arguments(view: View) -> tuple[Setting, ...]:
    """Return the arguments that jobs get, by their definitions and by what starts them."""
    return (*(argument for job in view.jobs for argument in job.arguments), *view.arguments)
