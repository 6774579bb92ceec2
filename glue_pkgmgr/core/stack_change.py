"""A CloudFormation stack: in what state it is, what would change in it, what has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

MOST_INLINE = 51_200
"""Bytes of a template in a request (CloudFormation, "Quotas")."""

MOST_BY_URL = 1_048_576
"""Bytes of a template in S3 (CloudFormation, "Quotas")."""


class Condition(Enum):
    """What can be done with a stack, as far as it depends on its status."""

    READY = "it can be changed"
    EMPTY = "it has change sets, and nothing was made yet"
    BUSY = "something is being done to it"
    NEVER_MADE = "its creation failed and was undone: it can only be deleted"
    HALF_ROLLED_BACK = "the rollback of a change has failed and can be continued"
    LEFT_OVER = "resources are left that could not be removed: it can only be deleted"
    GONE = "it was deleted"


# Source: CloudFormation User Guide, "Stack status codes".
_CONDITIONS: Mapping[str, Condition] = {
    "CREATE_COMPLETE": Condition.READY,
    "CREATE_FAILED": Condition.LEFT_OVER,
    "CREATE_IN_PROGRESS": Condition.BUSY,
    "DELETE_COMPLETE": Condition.GONE,
    "DELETE_FAILED": Condition.LEFT_OVER,
    "DELETE_IN_PROGRESS": Condition.BUSY,
    "IMPORT_COMPLETE": Condition.READY,
    "IMPORT_IN_PROGRESS": Condition.BUSY,
    "IMPORT_ROLLBACK_COMPLETE": Condition.READY,
    "IMPORT_ROLLBACK_FAILED": Condition.LEFT_OVER,
    "IMPORT_ROLLBACK_IN_PROGRESS": Condition.BUSY,
    "REVIEW_IN_PROGRESS": Condition.EMPTY,
    "ROLLBACK_COMPLETE": Condition.NEVER_MADE,
    "ROLLBACK_FAILED": Condition.LEFT_OVER,
    "ROLLBACK_IN_PROGRESS": Condition.BUSY,
    "UPDATE_COMPLETE": Condition.READY,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Condition.BUSY,
    "UPDATE_FAILED": Condition.READY,
    "UPDATE_IN_PROGRESS": Condition.BUSY,
    "UPDATE_ROLLBACK_COMPLETE": Condition.READY,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Condition.BUSY,
    "UPDATE_ROLLBACK_FAILED": Condition.HALF_ROLLED_BACK,
    "UPDATE_ROLLBACK_IN_PROGRESS": Condition.BUSY,
}

_DEPLOYED = frozenset({"CREATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack as it is; `id` is its ARN, which names it also once it is deleted.

    `outputs` and `parameters` are by their keys. `protected` means that nobody may delete it.
    """

    name: str
    id: str
    status: str
    reason: str = ""
    protected: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def condition(self) -> Condition | None:
        """What can be done with it; None for a status that is none we know."""
        return _CONDITIONS.get(self.status)

    @property
    def busy(self) -> bool:
        """Whether something is being done to it. A status we do not know says so by its ending."""
        condition = self.condition
        return condition is Condition.BUSY or (condition is None and self.status.endswith("_IN_PROGRESS"))

    @property
    def deployed(self) -> bool:
        """Whether the change that was made last has succeeded."""
        return self.status in _DEPLOYED


class Action(StrEnum):
    """What becomes of a resource."""

    ADD = "add"
    MODIFY = "modify"
    REPLACE = "replace"
    MAY_REPLACE = "modify or replace"
    REMOVE = "remove"
    KEEP = "leave to itself"  # no longer part of the stack, but not deleted
    IMPORT = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChange:
    """A property that changes: its path, such as `Command/ScriptLocation`, and its text before and after.

    None is a value that is not there, or that CloudFormation does not tell.
    """

    path: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChange:
    """A resource that a change touches. `physical_id` is None for one that does not exist yet."""

    action: Action
    logical_id: str
    type: str
    physical_id: str | None = None
    properties: tuple[PropertyChange, ...] = ()

    @property
    def destroys(self) -> bool:
        """Whether something that exists may be gone afterwards."""
        return self.action in (Action.REPLACE, Action.MAY_REPLACE, Action.REMOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackChange:
    """What a deployment would do to a stack. `template_bytes` is what is sent.

    `unchanged` says that it would do nothing at all: without resources, tags or outputs may still change.
    """

    stack: str
    creates: bool
    unchanged: bool
    template_bytes: int
    resources: tuple[ResourceChange, ...] = ()

    @property
    def destroyed(self) -> tuple[ResourceChange, ...]:
        """The resources that may be gone afterwards."""
        return tuple(one for one in self.resources if one.destroys)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResource:
    """A resource of a stack as it is. `kept` says that it outlives its stack."""

    logical_id: str
    type: str
    status: str
    physical_id: str | None = None
    reason: str = ""
    kept: bool = False

    @property
    def exists(self) -> bool:
        """Whether it is there, as far as CloudFormation knows."""
        return self.physical_id is not None and self.status != "DELETE_COMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEvent:
    """Something that has happened to a stack or a resource of it; `at` is in UTC."""

    id: str
    at: datetime
    logical_id: str
    type: str
    status: str
    physical_id: str | None = None
    reason: str = ""
    of_stack: bool = False

    @property
    def failed(self) -> bool:
        """Whether it tells of a failure."""
        return self.status.endswith("_FAILED")

    @property
    def ends(self) -> bool:
        """Whether the resource is done with, well or not."""
        return not self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What CloudFormation tells about a resource although it is well."""

    logical_id: str
    type: str
    text: str


def notes(events: tuple[StackEvent, ...]) -> tuple[Note, ...]:
    """Return what was told about resources that were made, changed or removed well, in that order."""
    return tuple(
        Note(logical_id=one.logical_id, type=one.type, text=one.reason)
        for one in events
        if one.ends and not one.failed and not one.of_stack and one.reason
    )
