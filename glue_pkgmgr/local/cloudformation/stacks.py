"""Stacks, their resources, events and change sets, as they are held for as long as the stand-in lives."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError, invalid
from glue_pkgmgr.local.cloudformation.template import Blueprint, Declared

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(slots=True, kw_only=True)
class Resource:
    """A resource of a stack as it is.

    `properties` are resolved; `skipped` resources exist on paper only, `adopted` ones were there before.
    """

    declared: Declared
    physical: str
    status: str
    at: datetime
    name: str = ""
    reason: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    skipped: bool = False
    adopted: bool = False


@dataclass(slots=True, kw_only=True)
class ChangeSet:
    """What is to become of a stack."""

    name: str
    id: str
    type: str
    blueprint: Blueprint
    created: datetime
    tags: list[dict[str, str]]
    description: str | None
    capabilities: list[str]
    on_failure: str
    changes: list[dict[str, Any]]
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class Stack:
    """A stack. `blueprint` is what it consists of once it was made; changed under the lock of `Stacks`."""

    name: str
    id: str
    created: datetime
    clock: Callable[[], datetime]
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = "User Initiated"
    updated: datetime | None = None
    deleted: datetime | None = None
    blueprint: Blueprint | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[Mapping[str, Any]] = field(default_factory=list)
    protected: bool = False
    token: str | None = None
    left: list[Any] = field(default_factory=list)  # what a rollback that failed has not undone

    @property
    def last_blueprint(self) -> Blueprint | None:
        """What the stack consists of, or was to consist of where it was never completed."""
        return self.blueprint or next((one.blueprint for one in reversed(self.change_sets.values())), None)

    @property
    def busy(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def turn(self, status: str, reason: str = "") -> None:
        """Give the stack another status, and tell it."""
        self.status, self.reason = status, reason
        self.updated = self.clock()
        self._tell(self.name, self.id, STACK_TYPE, status)

    def tell(self, resource: Resource, status: str, reason: str = "") -> None:
        """Give a resource another status, and tell it."""
        resource.status, resource.reason, resource.at = status, reason, self.clock()
        declared = resource.declared
        self._tell(declared.id, resource.physical, declared.type, status)
        event = self.events[-1]
        event["ResourceStatusReason"] = reason or None
        event["ResourceProperties"] = json.dumps(resource.properties) if resource.properties else None

    def _tell(self, logical: str, physical: str, kind: str, status: str) -> None:
        self.events.append(
            {
                "StackId": self.id,
                "StackName": self.name,
                "EventId": f"{logical}-{uuid.uuid4()}",
                "LogicalResourceId": logical,
                "PhysicalResourceId": physical,
                "ResourceType": kind,
                "Timestamp": self.clock(),
                "ResourceStatus": status,
                "ResourceStatusReason": self.reason or None,
                "ClientRequestToken": self.token,
            }
        )


class StackBook:
    """All stacks, those that were deleted too: by their id they are still found."""

    def __init__(self) -> None:
        self._stacks: list[Stack] = []

    def add(self, stack: Stack) -> None:
        """Remember a stack."""
        self._stacks.append(stack)

    def all(self) -> list[Stack]:
        """Return all stacks, newest first."""
        return list(reversed(self._stacks))

    def find(self, wanted: str) -> Stack | None:
        """Return the stack with that name, or that id; None if there is none. A deleted one has no name."""
        for stack in self.all():
            if wanted == stack.id or (wanted == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        return None

    def get(self, wanted: str) -> Stack:
        """Return the stack with that name or id. Raises: CloudFormationError."""
        stack = self.find(wanted)
        if stack is None:
            raise invalid(f"Stack with id {wanted} does not exist")
        return stack

    def change_set(self, wanted: str, stack: str | None) -> tuple[Stack, ChangeSet]:
        """Return a change set and its stack; by its id, or by its name and the stack's. Raises as `get`."""
        for one in [self.get(stack)] if stack else self.all():
            for change_set in one.change_sets.values():
                if wanted in (change_set.id, change_set.name if stack else None):
                    return one, change_set
        raise CloudFormationError("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist", 404)
