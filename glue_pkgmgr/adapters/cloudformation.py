"""AWS CloudFormation: stacks, and their change sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.core.stack_change import (
    Action,
    PropertyChange,
    ResourceChange,
    Stack,
    StackEvent,
    StackResource,
)
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.ports import ChangedMeanwhile, Proposal, Proposed, ProposedState

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_ABSENT = "does not exist"
# Source: CloudFormation, CreateChangeSet: the reasons of a change set that has nothing to do.
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed", "no updates are to be performed")
_LOST = frozenset({"InvalidChangeSetStatus", "ChangeSetNotFound"})
_PENDING = frozenset({"CREATE_PENDING", "CREATE_IN_PROGRESS"})
_ACTIONS = {
    "Add": Action.ADD,
    "Dynamic": Action.MAY_REPLACE,
    "Import": Action.IMPORT,
    "Modify": Action.MODIFY,
    "Remove": Action.REMOVE,
    "SyncWithActual": Action.MODIFY,
}
_REPLACEMENTS = {"True": Action.REPLACE, "Conditional": Action.MAY_REPLACE}
_KEPT = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})


class CloudFormationStacks:
    """The stacks of one account and region; satisfies `ports.StackService`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, stack: str) -> Stack | None:
        """Return the stack with that name or id, None if there is none. Raises: RemoteError."""
        try:
            with aws_errors(f"could not read stack {stack!r}", needs="cloudformation:DescribeStacks"):
                found = self._client.describe_stacks(StackName=stack)["Stacks"][0]
        except RemoteRefusal as e:
            if e.code == "ValidationError" and _ABSENT in str(e):
                return None
            raise
        return Stack(
            name=found["StackName"],
            id=found["StackId"],
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            protected=bool(found.get("EnableTerminationProtection")),
            parameters={one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())},
            outputs={one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())},
        )

    def resources(self, stack: str) -> Sequence[StackResource]:
        """Return the resources of a stack, with what its template says about their end. Raises: RemoteError."""
        with aws_errors(
            f"could not list the resources of stack {stack!r}", needs="cloudformation:ListStackResources"
        ):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=stack)
            found = [one for page in pages for one in page["StackResourceSummaries"]]
        kept = self._kept(stack) if found else frozenset()
        return [
            StackResource(
                logical_id=one["LogicalResourceId"],
                type=one["ResourceType"],
                status=one["ResourceStatus"],
                physical_id=one.get("PhysicalResourceId"),
                reason=one.get("ResourceStatusReason", ""),
                kept=one["LogicalResourceId"] in kept,
            )
            for one in found
        ]

    def _kept(self, stack: str) -> frozenset[str]:
        """Return the resources that outlive the stack, by its template as CloudFormation reads it."""
        with aws_errors(f"could not read the template of stack {stack!r}", needs="cloudformation:GetTemplate"):
            body = self._client.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        # botocore reads a body that is JSON; another one is YAML, where a line says as much.
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError as e:
                raise RemoteError(
                    f"the template of stack {stack!r} is not JSON, so not one of ours: delete the stack with what "
                    "made it"
                ) from e
        declared: Mapping[str, Any] = body.get("Resources", {})
        return frozenset(name for name, one in declared.items() if one.get("DeletionPolicy") in _KEPT)

    def propose(self, proposal: Proposal) -> str:
        """Ask what a template would change, and return the id of the change set. Raises: RemoteError."""
        failed = f"could not ask what would change in stack {proposal.stack!r}"
        body = {"TemplateURL": proposal.template_url} if proposal.template_url else {"TemplateBody": proposal.text}
        # A stack that cannot be made leaves nothing behind.
        end = {"OnStackFailure": "DELETE"} if proposal.creates else {}
        with _other_change(failed), aws_errors(failed, needs="cloudformation:CreateChangeSet"):
            reply = self._client.create_change_set(
                StackName=proposal.stack,
                ChangeSetName=proposal.name,
                ChangeSetType="CREATE" if proposal.creates else "UPDATE",
                Capabilities=_CAPABILITIES,
                Parameters=[_parameter(*one) for one in proposal.parameters.items()],
                Tags=[{"Key": key, "Value": value} for key, value in proposal.tags.items()],
                **body,
                **end,
            )
            return str(reply["Id"])

    def proposed(self, change_set: str) -> Proposed:
        """Return what is known of a change set. Raises: RemoteError."""
        changes: list[ResourceChange] = []
        following: dict[str, str] = {}
        with aws_errors("could not read a change set", needs="cloudformation:DescribeChangeSet"):
            while True:
                page = self._client.describe_change_set(
                    ChangeSetName=change_set, IncludePropertyValues=True, **following
                )
                changes += [_change(one["ResourceChange"]) for one in page["Changes"] if "ResourceChange" in one]
                if not page.get("NextToken"):
                    break
                following = {"NextToken": page["NextToken"]}
        reason = page.get("StatusReason", "")
        return Proposed(state=_state(page["Status"], reason), reason=reason, changes=tuple(changes))

    def withdraw(self, change_set: str) -> None:
        """Remove a change set; that it is not there is as good. Raises: RemoteError."""
        try:
            with aws_errors("could not remove a change set", needs="cloudformation:DeleteChangeSet"):
                self._client.delete_change_set(ChangeSetName=change_set)
        except RemoteRefusal as e:
            if e.code not in _LOST:
                raise

    def has_proposals(self, stack: str) -> bool:
        """Return whether a stack has change sets. Raises: RemoteError."""
        with aws_errors(f"could not list the change sets of {stack!r}", needs="cloudformation:ListChangeSets"):
            return bool(self._client.list_change_sets(StackName=stack)["Summaries"])

    def execute(self, stack: str, change_set: str, token: str) -> None:
        """Begin what a change set says; the same `token` twice is once. Raises: ChangedMeanwhile; RemoteError."""
        failed = f"could not begin to change stack {stack!r}"
        with _other_change(failed), aws_errors(failed, needs="cloudformation:ExecuteChangeSet"):
            self._client.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)

    def delete(self, stack: str, token: str) -> None:
        """Begin to remove a stack. Raises: RemoteError."""
        failed = f"could not begin to remove stack {stack!r}"
        with aws_errors(failed, needs="cloudformation:DeleteStack"):
            self._client.delete_stack(StackName=stack, ClientRequestToken=token)

    def continue_rollback(self, stack: str, token: str) -> None:
        """Begin once more to undo a change whose rollback has failed. Raises: RemoteError."""
        failed = f"could not continue the rollback of stack {stack!r}"
        with aws_errors(failed, needs="cloudformation:ContinueUpdateRollback"):
            self._client.continue_update_rollback(StackName=stack, ClientRequestToken=token)

    def last_event(self, stack: str) -> str | None:
        """Return the id of what has happened last, None if nothing has. Raises: RemoteError."""
        with aws_errors(
            f"could not read what happens to stack {stack!r}", needs="cloudformation:DescribeStackEvents"
        ):
            # The first page begins with it; a stack of years has many.
            found = self._client.describe_stack_events(StackName=stack)["StackEvents"]
        return str(found[0]["EventId"]) if found else None

    def events(self, stack: str, after: str | None) -> Sequence[StackEvent]:
        """Return what has happened since the event `after`, or ever, in the order of time. Raises: RemoteError."""
        found: list[StackEvent] = []
        with aws_errors(
            f"could not read what happens to stack {stack!r}", needs="cloudformation:DescribeStackEvents"
        ):
            pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack)
            for one in (event for page in pages for event in page["StackEvents"]):
                if one["EventId"] == after:
                    break
                found.append(_event(one))
        return found[::-1]


@contextmanager
def _other_change(failed: str) -> Iterator[None]:
    """Tell a refusal that comes of somebody else's change from others."""
    try:
        yield
    except RemoteRefusal as e:
        busy = e.code == "ValidationError" and ("can not be updated" in str(e) or "already exists and" in str(e))
        if busy or e.code in _LOST:
            raise ChangedMeanwhile(
                f"{failed}: somebody else has begun to change it meanwhile; look at `stack diff`, then deploy "
                "again"
            ) from e
        raise


def _parameter(name: str, value: str | None) -> dict[str, Any]:
    return {"ParameterKey": name, **({"UsePreviousValue": True} if value is None else {"ParameterValue": value})}


def _state(status: str, reason: str) -> ProposedState:
    if status in _PENDING:
        return ProposedState.PENDING
    if status == "CREATE_COMPLETE":
        return ProposedState.READY
    return ProposedState.UNCHANGED if any(text in reason for text in _NO_CHANGES) else ProposedState.FAILED


def _change(change: Mapping[str, Any]) -> ResourceChange:
    return ResourceChange(
        action=_action(change),
        logical_id=change["LogicalResourceId"],
        type=change["ResourceType"],
        physical_id=change.get("PhysicalResourceId"),
        properties=_properties(change),
    )


def _action(change: Mapping[str, Any]) -> Action:
    """Return what becomes of a resource. Source: ResourceChange, `Action`, `Replacement`, `PolicyAction`."""
    told = change["Action"]
    if told not in _ACTIONS:
        raise RemoteError(
            f"a change set says {told!r} of {change['LogicalResourceId']}, which this version does not know"
        )
    if told == "Remove" and change.get("PolicyAction") in ("Retain", "Snapshot"):
        return Action.KEEP
    return (
        _REPLACEMENTS.get(str(change.get("Replacement")), _ACTIONS[told]) if told == "Modify" else _ACTIONS[told]
    )


def _properties(change: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    """Return what changes in a resource, each property once: one change may have several sources."""
    found: dict[str, PropertyChange] = {}
    for detail in change.get("Details", ()):
        target = detail.get("Target", {})
        path = str(target.get("Path") or target.get("Name") or target.get("Attribute") or "")
        path = path.removeprefix("/Properties/").removeprefix("/")
        known = found.get(path)
        if path and (known is None or (known.before is None and known.after is None)):
            found[path] = PropertyChange(
                path=path, before=target.get("BeforeValue"), after=target.get("AfterValue")
            )
    return tuple(found.values())


def _event(event: Mapping[str, Any]) -> StackEvent:
    return StackEvent(
        id=event["EventId"],
        at=event["Timestamp"].astimezone(UTC),
        logical_id=event["LogicalResourceId"],
        type=event["ResourceType"],
        status=event["ResourceStatus"],
        physical_id=event.get("PhysicalResourceId") or None,
        reason=event.get("ResourceStatusReason", ""),
        of_stack=event.get("PhysicalResourceId") == event["StackId"],
    )
