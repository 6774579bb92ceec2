"""One operation on a stack: its resources made in order, changed, rolled back, removed.

Source: CloudFormation User Guide, "Stack status codes", "Stack failure options", "Continue update rollback".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from glue_pkgmgr.local.cloudformation.changes import changed_names, is_changed, replaces
from glue_pkgmgr.local.cloudformation.kinds import KINDS
from glue_pkgmgr.local.cloudformation.maker import Failed, Maker, attribute_of
from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError
from glue_pkgmgr.local.cloudformation.stacks import ChangeSet, Resource, Stack
from glue_pkgmgr.local.cloudformation.template import Blueprint, Declared

_REPLACED = "Requested update requires the creation of a new physical resource; hence creating one."
_SAME_NAME = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
    "Rename {} and update the stack again."
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done to a stack: `now` was made, or took the place of `before`."""

    now: Resource
    before: Resource | None = None

    @property
    def in_place(self) -> bool:
        """Whether it is the same resource, only changed."""
        return self.before is not None and self.before.physical == self.now.physical


@dataclass(kw_only=True)
class Work:
    """An operation on `stack`, towards `blueprint`. What is seen from outside is changed under `lock`.

    A stack that never had a template has neither blueprint nor `maker`. When `closing` is set, nothing further
    is made.
    """

    stack: Stack
    blueprint: Blueprint | None
    maker: Maker | None
    lock: threading.RLock
    closing: threading.Event
    steps: list[Step] = field(default_factory=list)

    # --- making

    def create(self, change_set: ChangeSet) -> None:
        """Make all resources of a new stack, or none."""
        try:
            self._make()
        except Failed as e:
            self._undo_creation(change_set.on_failure, str(e))
        else:
            self._complete(change_set, "CREATE_COMPLETE")

    def update(self, change_set: ChangeSet) -> None:
        """Make a stack what the blueprint says, or leave it as it was."""
        before = dict(self.stack.resources)
        try:
            self._make()
        except Failed as e:
            self._turn("UPDATE_ROLLBACK_IN_PROGRESS", str(e))
            self.undo_update()
            return
        # What is not needed any more goes last, when nothing can fail that would have to be undone.
        removed = [one for name, one in before.items() if name not in change_set.blueprint.resources]
        replaced = [step.before for step in self.steps if step.before is not None and not step.in_place]
        if removed or replaced:
            self._turn("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            for resource in [*reversed(removed), *reversed(replaced)]:
                if resource.declared.kept:
                    self._tell(resource, "DELETE_SKIPPED")
                else:
                    self._removed(resource)
        self._complete(change_set, "UPDATE_COMPLETE")

    def _complete(self, change_set: ChangeSet, status: str) -> None:
        stack, blueprint = self.stack, change_set.blueprint
        with self.lock:
            order = blueprint.resources
            for name, declared in order.items():
                stack.resources[name].declared = declared
            stack.resources = {name: stack.resources[name] for name in order}
            stack.blueprint, stack.tags = blueprint, change_set.tags
            stack.capabilities = change_set.capabilities
            stack.outputs = list(blueprint.outputs(self._ref, self._attribute))
            stack.turn(status)

    def _make(self) -> None:
        """Make or change every resource in order, and note each step. Raises: Failed, the reason of the stack."""
        assert self.blueprint is not None  # noqa: S101 - a change set has one
        for declared in self.blueprint.resources.values():
            existing = self.stack.resources.get(declared.id)
            try:
                if self.closing.is_set():
                    raise Failed("the stand-in is stopping")
                self._realise(declared, existing)
            except Failed as e:
                word = "update" if existing else "create"
                raise Failed(f"The following resource(s) failed to {word}: [{declared.id}]. ") from e

    def _realise(self, declared: Declared, existing: Resource | None) -> None:
        resource = Resource(declared=declared, physical="", status="", at=self.stack.clock())
        resource.properties = self._properties(resource)
        if existing is None:
            self._made(resource)
        elif replaces(existing.declared, declared) or _depends_on_replaced(existing, resource):
            self._require_another_name(existing, resource)
            self._made(resource, existing)
        elif is_changed(existing.declared, declared) or existing.properties != resource.properties:
            changed = replace(existing, declared=declared, properties=resource.properties)
            self.steps.append(Step(changed, existing))
            with self.lock:
                self.stack.resources[declared.id] = changed
            self._do(changed, "UPDATE", self._required_maker.update)

    def _properties(self, resource: Resource) -> Mapping[str, Any]:
        assert self.blueprint is not None  # noqa: S101 - a change set has one
        try:
            resolved = self.blueprint.resolved(resource.declared.properties, self._ref, self._attribute)
        except CloudFormationError as e:
            self._tell(resource, "CREATE_FAILED", str(e))
            raise Failed(str(e)) from e
        return dict(resolved)

    def _made(self, resource: Resource, before: Resource | None = None) -> None:
        self.steps.append(Step(resource, before))
        with self.lock:
            self.stack.resources[resource.declared.id] = resource
        word, why = ("UPDATE", _REPLACED) if before else ("CREATE", "")
        self._do(resource, word, self._required_maker.create, why)

    def _do(self, resource: Resource, word: str, act: Callable[[Resource], str], why: str = "") -> None:
        self._tell(resource, f"{word}_IN_PROGRESS", why)
        try:
            told = act(resource)
        except Failed as e:
            self._tell(resource, f"{word}_FAILED", str(e))
            raise
        self._tell(resource, f"{word}_COMPLETE", told)

    def _require_another_name(self, existing: Resource, resource: Resource) -> None:
        """Refuse to make a resource beside one of the same name. Raises: Failed."""
        kind = KINDS.get(resource.declared.type)
        if kind is None or existing.declared.type != resource.declared.type:
            return
        name = kind.name_of(resource.properties)
        if name is not None and name == kind.name_of(existing.properties):
            self._tell(existing, "UPDATE_FAILED", _SAME_NAME.format(name))
            raise Failed(_SAME_NAME.format(name))

    # --- undoing

    def _undo_creation(self, on_failure: str, reason: str) -> None:
        if on_failure == "DO_NOTHING":
            self._turn("CREATE_FAILED", reason)
            return
        word = "ROLLBACK"
        if on_failure == "DELETE":
            word = "DELETE"
            self._turn("CREATE_FAILED", f"{reason}Delete requested by user.")
        self._turn(f"{word}_IN_PROGRESS", f"{reason}{word.capitalize()} requested by user.")
        failed = []
        for resource in [step.now for step in reversed(self.steps)]:
            if resource.declared.deletion_policy == "Retain" and resource.status == "CREATE_COMPLETE":
                self._tell(resource, "DELETE_SKIPPED")
            elif resource.adopted:
                self._tell(resource, "DELETE_SKIPPED", "it was there before the stack")
            elif not self._removed(resource):
                failed.append(resource.declared.id)
        self._end_removal(word, failed)

    def undo_update(self) -> None:
        """Take back what was done, the last first."""
        while self.steps:
            step = self.steps[-1]
            if step.before is not None and step.in_place:
                if not self._change_back(step.before):
                    with self.lock:
                        self.stack.left = self.steps
                    failed = step.now.declared.id
                    self._turn(
                        "UPDATE_ROLLBACK_FAILED", f"The following resource(s) failed to update: [{failed}]. "
                    )
                    return
            else:
                self._put_back(step)
            self.steps.pop()
        self._turn("UPDATE_ROLLBACK_COMPLETE")

    def _put_back(self, step: Step) -> None:
        """Remove what was made, and have again what it took the place of."""
        if not step.now.adopted:
            self._removed(step.now)
        with self.lock:
            if step.before is None:
                self.stack.resources.pop(step.now.declared.id, None)
            else:
                self.stack.resources[step.now.declared.id] = step.before

    def _change_back(self, before: Resource) -> bool:
        with self.lock:
            self.stack.resources[before.declared.id] = before
        try:
            self._do(before, "UPDATE", self._required_maker.update)
        except Failed:
            return False
        return True

    # --- removing

    def delete(self, retained: frozenset[str]) -> None:
        """Remove all resources, the last made first; what others that could not be removed need stays."""
        failed: list[str] = []
        needed: set[str] = set()
        for resource in reversed(list(self.stack.resources.values())):
            declared = resource.declared
            if resource.status in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
                continue
            if declared.kept or declared.id in retained:
                self._tell(resource, "DELETE_SKIPPED")
                continue
            if declared.id not in needed and self._removed(resource):
                continue
            if declared.id not in needed:
                failed.append(declared.id)
            needed |= declared.after
        self._end_removal("DELETE", failed)

    def _end_removal(self, word: str, failed: list[str]) -> None:
        if failed:
            names = ", ".join(failed)
            self._turn(f"{word}_FAILED", f"The following resource(s) failed to delete: [{names}]. ")
            return
        with self.lock:
            self.stack.deleted = self.stack.clock() if word == "DELETE" else None
            self.stack.turn(f"{word}_COMPLETE")

    def _removed(self, resource: Resource) -> bool:
        """Remove a resource; return whether that went well."""
        if not resource.physical:
            return True  # it was never made
        self._tell(resource, "DELETE_IN_PROGRESS")
        try:
            self._required_maker.delete(resource)
        except Failed as e:
            self._tell(resource, "DELETE_FAILED", str(e))
            return False
        self._tell(resource, "DELETE_COMPLETE")
        return True

    # --- what is in the stack

    @property
    def _required_maker(self) -> Maker:
        assert self.maker is not None  # noqa: S101 - without resources nobody asks
        return self.maker

    def _ref(self, name: str) -> Any:
        return self.stack.resources[name].physical

    def _attribute(self, resource: str, name: str) -> Any:
        assert self.blueprint is not None  # noqa: S101 - who refers to something has a template
        return attribute_of(self.stack.resources[resource], name, self.blueprint.pseudo)

    def _turn(self, status: str, reason: str = "") -> None:
        with self.lock:
            self.stack.turn(status, reason)

    def _tell(self, resource: Resource, status: str, reason: str = "") -> None:
        with self.lock:
            self.stack.tell(resource, status, reason)


def _depends_on_replaced(existing: Resource, resource: Resource) -> bool:
    """Whether a resource has to be replaced because one is that it refers to."""
    kind = KINDS.get(resource.declared.type)
    changed = changed_names(existing.properties, resource.properties)
    return kind is not None and kind.needs_replacement(changed)
