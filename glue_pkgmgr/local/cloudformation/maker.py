"""Makes, changes and removes single resources, and remembers which of them outlive the stand-in's process."""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.local.cloudformation.failures import is_not_served, reason_of
from glue_pkgmgr.local.cloudformation.kinds import KINDS
from glue_pkgmgr.local.cloudformation.kinds.kind import Exists, Kind, Made, Wanted
from glue_pkgmgr.local.cloudformation.stacks import Resource
from glue_pkgmgr.local.cloudformation.template import Declared, Pseudo

_ALPHABET = string.ascii_uppercase + string.digits
_RANDOM = 12


class Failed(Exception):
    """A resource could not be made, changed or removed; the text is the reason of its event."""


class Inventory:
    """The resources that were made before and may still be there: by `local up`, or by stacks.

    Both outlive the process in a file each; `local up` writes the one, this the other.
    """

    def __init__(self, seeded: Path, made: Path) -> None:
        self._seeded = seeded
        self._made = made
        self._lock = threading.Lock()

    def holds(self, kind: str, identity: str) -> bool:
        """Whether a resource of that type was made before."""
        return any([kind, identity] in _entries(file) for file in (self._seeded, self._made))

    def add(self, kind: str, identity: str) -> None:
        """Note that a resource was made."""
        with self._lock:
            entries = _entries(self._made)
            if [kind, identity] not in entries:
                _write(self._made, [*entries, [kind, identity]])

    def remove(self, kind: str, identity: str) -> None:
        """Note that a resource was removed."""
        with self._lock:
            _write(self._made, [entry for entry in _entries(self._made) if entry != [kind, identity]])


def _entries(file: Path) -> list[list[str]]:
    with suppress(FileNotFoundError, ValueError):
        return list(json.loads(file.read_text(encoding="utf-8")))
    return []


def _write(file: Path, entries: list[list[str]]) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.write_text(json.dumps(entries), encoding="utf-8")
    unfinished.replace(file)


class Maker:
    """Makes the resources of one operation on a stack. `clients` returns boto3 clients of the stand-in."""

    def __init__(self, pseudo: Pseudo, clients: Callable[[str], Any], inventory: Inventory) -> None:
        self._pseudo = pseudo
        self._clients = clients
        self._inventory = inventory
        self._called: Any = None

    def create(self, resource: Resource) -> str:
        """Make `resource`, and note in it what it is; return what is to be told of it. Raises: Failed."""
        kind = KINDS.get(resource.declared.type)
        if kind is None:
            return self._skip(resource)
        wanted = self._wanted(resource, kind)
        resource.name = wanted.name
        try:
            made, note = kind.create(wanted), ""
        except Exists as e:
            if not self._inventory.holds(resource.declared.type, kind.identity(wanted)):
                raise self._failed(e, resource) from e
            made, note = self._adopt(resource, kind, wanted), "adopted: it was there before the stack"
        except Exception as e:
            if is_not_served(e):
                return self._skip(resource)
            raise self._failed(e, resource) from e
        if kind.survives:
            self._inventory.add(resource.declared.type, kind.identity(wanted))
        return _told(resource, kind, made, note)

    def _adopt(self, resource: Resource, kind: Kind, wanted: Wanted) -> Made:
        resource.adopted = True
        try:
            return kind.update(wanted, kind.physical(wanted))
        except (ClientError, BotoCoreError, KeyError) as e:
            raise self._failed(e, resource) from e

    def update(self, resource: Resource) -> str:
        """Change what is there to what `resource` says; return what is to be told of it. Raises: Failed."""
        kind = KINDS.get(resource.declared.type)
        if kind is None or resource.skipped:
            return self._skip(resource)
        try:
            return _told(resource, kind, kind.update(self._wanted(resource, kind), resource.physical), "")
        except Exception as e:
            raise self._failed(e, resource) from e

    def delete(self, resource: Resource) -> None:
        """Remove `resource`. Raises: Failed."""
        kind = KINDS.get(resource.declared.type)
        if kind is None or resource.skipped or not resource.physical:
            return
        wanted = self._wanted(resource, kind)
        try:
            kind.delete(wanted, resource.physical)
        except Exception as e:
            raise self._failed(e, resource) from e
        if kind.survives:
            self._inventory.remove(resource.declared.type, kind.identity(wanted))

    def _skip(self, resource: Resource) -> str:
        resource.skipped = True
        if not resource.physical:
            resource.physical = resource.name = generated_name(self._pseudo.stack, resource.declared.id)
        return f"skipped: the stand-in has no {resource.declared.type}"

    def _wanted(self, resource: Resource, kind: Kind) -> Wanted:
        name = resource.name or kind.name_of(resource.properties) or self._new_name(resource.declared, kind)
        return Wanted(
            name=name,
            properties=resource.properties,
            account=self._pseudo.account,
            region=self._pseudo.region,
            partition=self._pseudo.value("AWS::Partition"),
            client=self._client,
        )

    def _client(self, service: str) -> Any:
        self._called = self._clients(service)
        return self._called

    def _new_name(self, declared: Declared, kind: Kind) -> str:
        name = generated_name(self._pseudo.stack, declared.id, kind.longest_name)
        return name.lower() if kind.lower_case else name

    def _failed(self, error: Exception, resource: Resource) -> Failed:
        caller = f"arn:{self._pseudo.value('AWS::Partition')}:iam::{self._pseudo.account}:user/stand-in"
        kind = KINDS[resource.declared.type]
        what = _arn(resource.declared.type, kind.identity(self._wanted(resource, kind)), self._pseudo)
        return Failed(reason_of(error, called=self._called, caller=caller, resource=what))


_GLOBAL = ("iam", "s3")


def _arn(kind: str, identity: str, pseudo: Pseudo) -> str:
    """Return the ARN of a resource by its type, as far as ARNs are regular; some services' are not."""
    _, service, what = kind.lower().split("::")
    partition = pseudo.value("AWS::Partition")
    if kind == "AWS::S3::Bucket":
        return f"arn:{partition}:s3:::{identity}"
    region = "" if service in _GLOBAL else pseudo.region
    return f"arn:{partition}:{service}:{region}:{pseudo.account}:{what}/{identity}"


def _told(resource: Resource, kind: Kind, made: Made, note: str) -> str:
    resource.physical, resource.attributes = made.id, made.attributes
    left_out = kind.left_out(resource.properties)
    lacks = f"the stand-in does nothing with {', '.join(left_out)}" if left_out else ""
    return "; ".join(filter(None, [note, made.note, lacks]))


def generated_name(stack: str, logical: str, longest: int = 64) -> str:
    """Return a name as CloudFormation makes one: of stack and resource, and what tells it from others."""
    end = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    room = longest - len(end) - 2
    return f"{stack[: max(1, room - len(logical))]}-{logical[: max(1, room // 2)]}-{end}"[:longest]


def attribute_of(resource: Resource, name: str, pseudo: Pseudo) -> Any:
    """Return an attribute of a resource; one that the stand-in does not know has a made-up value."""
    if name in resource.attributes:
        return resource.attributes[name]
    if name.endswith("Arn"):
        partition = pseudo.value("AWS::Partition")
        service = resource.declared.type.split("::")[1].lower()
        return f"arn:{partition}:{service}:{pseudo.region}:{pseudo.account}:{resource.physical}"
    return f"{resource.physical}-{name}"
