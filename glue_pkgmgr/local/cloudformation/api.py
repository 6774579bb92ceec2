"""The operations of CloudFormation on stacks and change sets.

Source: CloudFormation API reference; the messages are those that tools look for.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.local.cloudformation.changes import changes
from glue_pkgmgr.local.cloudformation.engine import Engine
from glue_pkgmgr.local.cloudformation.maker import Inventory
from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError, invalid
from glue_pkgmgr.local.cloudformation.stacks import ChangeSet, Resource, Stack, StackBook
from glue_pkgmgr.local.cloudformation.template import (
    MOST_BY_URL,
    MOST_INLINE,
    Blueprint,
    Declared,
    Pseudo,
    Template,
)

Params = Mapping[str, Any]
Result = dict[str, Any]

_PAGE = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
_UPDATABLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "IMPORT_COMPLETE"}
)


class StackOperations:
    """The operations of one stand-in, each a method with its name: CreateChangeSet is `create_change_set`."""

    def __init__(
        self,
        *,
        account: str,
        region: str,
        clients: Callable[[str], Any],
        inventory: Inventory,
        clock: Callable[[], datetime],
    ) -> None:
        self._account = account
        self._region = region
        self._clients = clients
        self._clock = clock
        self._lock = threading.RLock()
        self._book = StackBook()
        self._engine = Engine(self._lock, clients=clients, inventory=inventory)

    def close(self) -> None:
        """End what is being done, after the resource that is being made."""
        self._engine.close()

    def answer(self, action: str, params: Params) -> Result:
        """Return the result of an operation. Raises: CloudFormationError."""
        operations: Mapping[str, Callable[[Params], Result]] = {
            "ContinueUpdateRollback": self._continue_update_rollback,
            "CreateChangeSet": self._create_change_set,
            "DeleteChangeSet": self._delete_change_set,
            "DeleteStack": self._delete_stack,
            "DescribeChangeSet": self._describe_change_set,
            "DescribeStackEvents": self._describe_stack_events,
            "DescribeStackResources": self._describe_stack_resources,
            "DescribeStacks": self._describe_stacks,
            "ExecuteChangeSet": self._execute_change_set,
            "GetTemplate": self._get_template,
            "ListChangeSets": self._list_change_sets,
            "ListStackResources": self._list_stack_resources,
            "ListStacks": self._list_stacks,
            "UpdateTerminationProtection": self._update_termination_protection,
            "ValidateTemplate": self._validate_template,
        }
        if action not in operations:
            raise CloudFormationError(
                "NotImplemented", f"The stand-in does not implement cloudformation:{action}", 501
            )
        template = self._template_of(params) if action in ("CreateChangeSet", "ValidateTemplate") else None
        with self._lock:
            return operations[action]({**params, "template": template})

    # --- change sets

    def _create_change_set(self, params: Params) -> Result:
        name, set_name, kind = params["StackName"], params["ChangeSetName"], params.get("ChangeSetType", "UPDATE")
        stack = self._target(name, kind)
        if set_name in stack.change_sets:
            raise CloudFormationError("AlreadyExistsException", f"ChangeSet {set_name} already exists")
        blueprint = self._blueprint(stack, params)
        before: Mapping[str, Declared] = stack.blueprint.resources if stack.blueprint else {}
        physical = {name: resource.physical for name, resource in stack.resources.items()}
        change_set = ChangeSet(
            name=set_name,
            id=self._arn(f"changeSet/{set_name}/{uuid.uuid4()}"),
            type=kind,
            blueprint=blueprint,
            created=self._clock(),
            tags=params.get("Tags", []),
            description=params.get("Description"),
            capabilities=params.get("Capabilities", []),
            on_failure=params.get("OnStackFailure", "ROLLBACK"),
            changes=changes(before, blueprint.resources, physical),
        )
        if stack.blueprint and not change_set.changes and _alike(stack, change_set):
            change_set.status, change_set.execution = "FAILED", "UNAVAILABLE"
            change_set.reason = _NO_CHANGES
        if self._book.find(name) is None:
            self._book.add(stack)
            stack.turn("REVIEW_IN_PROGRESS", "User Initiated")
        stack.change_sets[set_name] = change_set
        return {"Id": change_set.id, "StackId": stack.id}

    def _target(self, name: str, kind: str) -> Stack:
        """Return the stack a change set is for. Raises: CloudFormationError if it is not in the state for that."""
        found = self._book.find(name)
        if kind == "CREATE":
            if found is None:
                return self._new_stack(name)
            if found.status != "REVIEW_IN_PROGRESS":
                raise invalid(f"Stack [{name}] already exists and cannot be created again with the changeSet.")
            return found
        if kind != "UPDATE":
            raise CloudFormationError("NotImplemented", f"The stand-in makes no change sets of type {kind}", 501)
        if found is None:
            raise invalid(f"Stack [{name}] does not exist")
        if found.status not in _UPDATABLE:
            raise invalid(f"Stack:{found.id} is in {found.status} state and can not be updated.")
        return found

    def _new_stack(self, name: str) -> Stack:
        if not _NAME.fullmatch(name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member "
                "must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        return Stack(
            name=name, id=self._arn(f"stack/{name}/{uuid.uuid4()}"), created=self._clock(), clock=self._clock
        )

    def _blueprint(self, stack: Stack, params: Params) -> Blueprint:
        template = params["template"] or (stack.blueprint.template if stack.blueprint else None)
        if template is None:
            raise invalid("UsePreviousTemplate: the stack has no template yet")
        given = {
            one["ParameterKey"]: None if one.get("UsePreviousValue") else one.get("ParameterValue", "")
            for one in params.get("Parameters", [])
        }
        before = stack.blueprint.parameters if stack.blueprint else {}
        needed = template.capabilities
        if needed and not {*needed, "CAPABILITY_NAMED_IAM"} & set(params.get("Capabilities", [])):
            raise CloudFormationError(
                "InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(needed)}]"
            )
        pseudo = Pseudo(account=self._account, region=self._region, stack=stack.name, stack_id=stack.id)
        blueprint = Blueprint(template=template, pseudo=pseudo, parameters=template.values(given, before))
        _ = blueprint.resources  # whatever is wrong with it is told now
        return blueprint

    def _describe_change_set(self, params: Params) -> Result:
        stack, found = self._book.change_set(params["ChangeSetName"], params.get("StackName"))
        page, following = _page(found.changes, params)
        if not params.get("IncludePropertyValues"):
            page = [_without_values(change) for change in page]
        return {
            "ChangeSetName": found.name,
            "ChangeSetId": found.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": found.description,
            "Parameters": _parameters(found.blueprint),
            "CreationTime": found.created,
            "ExecutionStatus": found.execution,
            "Status": found.status,
            "StatusReason": found.reason,
            "Capabilities": found.capabilities,
            "Tags": found.tags,
            "Changes": page,
            "NextToken": following,
            "OnStackFailure": found.on_failure,
            "IncludeNestedStacks": False,
        }

    def _execute_change_set(self, params: Params) -> Result:
        stack, found = self._book.change_set(params["ChangeSetName"], params.get("StackName"))
        if found.execution != "AVAILABLE":
            raise CloudFormationError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{found.id}] cannot be executed in its current execution status of "
                f"[{found.execution}]",
            )
        if stack.busy:
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        for other in stack.change_sets.values():
            other.execution = "OBSOLETE"
        found.execution = "EXECUTE_COMPLETE"
        stack.token = params.get("ClientRequestToken")
        self._engine.execute(stack, found)
        return {}

    def _delete_change_set(self, params: Params) -> Result:
        stack, found = self._book.change_set(params["ChangeSetName"], params.get("StackName"))
        del stack.change_sets[found.name]
        return {}

    def _list_change_sets(self, params: Params) -> Result:
        stack = self._book.get(params["StackName"])
        summaries = [
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "ChangeSetId": one.id,
                "ChangeSetName": one.name,
                "ExecutionStatus": one.execution,
                "Status": one.status,
                "StatusReason": one.reason,
                "CreationTime": one.created,
                "Description": one.description,
            }
            for one in stack.change_sets.values()
        ]
        page, following = _page(summaries, params)
        return {"Summaries": page, "NextToken": following}

    # --- stacks

    def _describe_stacks(self, params: Params) -> Result:
        if name := params.get("StackName"):
            return {"Stacks": [_described(self._book.get(name))]}
        living = [stack for stack in self._book.all() if stack.status != "DELETE_COMPLETE"]
        page, following = _page([_described(stack) for stack in living], params)
        return {"Stacks": page, "NextToken": following}

    def _list_stacks(self, params: Params) -> Result:
        wanted = params.get("StackStatusFilter")
        summaries = [
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "CreationTime": stack.created,
                "LastUpdatedTime": stack.updated,
                "DeletionTime": stack.deleted,
                "StackStatus": stack.status,
                "StackStatusReason": stack.reason or None,
            }
            for stack in self._book.all()
            if not wanted or stack.status in wanted
        ]
        page, following = _page(summaries, params)
        return {"StackSummaries": page, "NextToken": following}

    def _describe_stack_events(self, params: Params) -> Result:
        # Newest first; a token counts from the oldest, so that what happens meanwhile is not told twice.
        events = self._book.get(params["StackName"]).events
        end = min(_start(params, len(events)), len(events))
        start = max(0, end - _PAGE)
        return {"StackEvents": events[start:end][::-1], "NextToken": str(start) if start else None}

    def _list_stack_resources(self, params: Params) -> Result:
        stack = self._book.get(params["StackName"])
        page, following = _page([_summary(one) for one in stack.resources.values()], params)
        return {"StackResourceSummaries": page, "NextToken": following}

    def _describe_stack_resources(self, params: Params) -> Result:
        if "StackName" not in params:
            raise invalid("StackName is required: the stand-in does not look for a physical id in all stacks")
        stack = self._book.get(params["StackName"])
        wanted = params.get("LogicalResourceId")
        return {
            "StackResources": [
                {
                    "StackName": stack.name,
                    "StackId": stack.id,
                    "Timestamp": one.at,
                    **_summary(one),
                }
                for name, one in stack.resources.items()
                if wanted in (None, name)
            ]
        }

    def _get_template(self, params: Params) -> Result:
        if name := params.get("ChangeSetName"):
            _, found = self._book.change_set(name, params.get("StackName"))
            return {"TemplateBody": found.blueprint.template.text}
        stack = self._book.get(params.get("StackName", ""))
        blueprint = stack.last_blueprint
        if blueprint is None:
            raise invalid(f"Stack {stack.name} has no template")
        return {"TemplateBody": blueprint.template.text, "StagesAvailable": ["Original", "Processed"]}

    def _delete_stack(self, params: Params) -> Result:
        stack = self._book.find(params["StackName"])
        if stack is None or stack.status == "DELETE_COMPLETE":
            return {}  # as AWS: what is not there is deleted
        if stack.protected:
            raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        if stack.busy:
            raise invalid(f"Stack [{stack.id}] is in {stack.status} state and can not be deleted")
        stack.token = params.get("ClientRequestToken")
        self._engine.delete(stack, params.get("RetainResources", []))
        return {}

    def _continue_update_rollback(self, params: Params) -> Result:
        stack = self._book.get(params["StackName"])
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not continue update rollback.")
        stack.token = params.get("ClientRequestToken")
        self._engine.continue_rollback(stack, params.get("ResourcesToSkip", []))
        return {}

    def _update_termination_protection(self, params: Params) -> Result:
        stack = self._book.get(params["StackName"])
        stack.protected = params["EnableTerminationProtection"]
        return {"StackId": stack.id}

    def _validate_template(self, params: Params) -> Result:
        template: Template = params["template"]
        declared = [
            {
                "ParameterKey": name,
                "DefaultValue": parameter.get("Default"),
                "NoEcho": bool(parameter.get("NoEcho")),
                "Description": parameter.get("Description"),
            }
            for name, parameter in template.parameters.items()
        ]
        needed = template.capabilities
        return {
            "Parameters": declared,
            "Description": template.content.get("Description"),
            "Capabilities": needed,
            "CapabilitiesReason": f"The following resource(s) require capabilities: {needed}" if needed else None,
        }

    # --- what several need

    def _template_of(self, params: Params) -> Template | None:
        """Return the template of a request; None for that of the stack. Not under the lock: S3 is asked."""
        if params.get("UsePreviousTemplate"):
            return None
        if (body := params.get("TemplateBody")) is not None:
            if len(body.encode()) > MOST_INLINE:
                raise invalid(
                    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member "
                    f"must have length less than or equal to {MOST_INLINE}"
                )
            return Template(body)
        if url := params.get("TemplateURL"):
            return Template(self._fetched(url))
        raise invalid("Either Template URL or Template Body must be specified.")

    def _fetched(self, url: str) -> str:
        """Return the object of S3 at `url`, of whatever host: here there is one S3."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
        of_host = re.match(r"(.+)\.s3[.-]", host)
        bucket, _, key = (of_host[1], "", path) if of_host else path.partition("/")
        try:
            reply = self._clients("s3").get_object(Bucket=bucket, Key=key)
            if reply["ContentLength"] > MOST_BY_URL:
                raise invalid(f"Template may not exceed {MOST_BY_URL} bytes in size.")
            return str(reply["Body"].read().decode())
        except (ClientError, BotoCoreError, UnicodeDecodeError) as e:
            raise invalid(f"S3 error: {e}") from e

    def _arn(self, resource: str) -> str:
        partition = Pseudo(account="", region=self._region, stack="", stack_id="").value("AWS::Partition")
        return f"arn:{partition}:cloudformation:{self._region}:{self._account}:{resource}"


def _alike(stack: Stack, change_set: ChangeSet) -> bool:
    """Whether what surrounds the resources is the same: outputs and tags."""
    assert stack.blueprint is not None  # noqa: S101 - asked of a stack that was made
    before, after = stack.blueprint, change_set.blueprint
    return (
        before.template.content.get("Outputs") == after.template.content.get("Outputs")
        and before.template.content.get("Description") == after.template.content.get("Description")
        and stack.tags == change_set.tags
    )


def _described(stack: Stack) -> Result:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": stack.blueprint.template.content.get("Description") if stack.blueprint else None,
        "Parameters": _parameters(stack.blueprint) if stack.blueprint else [],
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason or None,
        "Capabilities": stack.capabilities,
        "Outputs": stack.outputs,
        "Tags": stack.tags,
        "EnableTerminationProtection": stack.protected,
        "DisableRollback": False,
        "NotificationARNs": [],
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def _parameters(blueprint: Blueprint) -> list[Result]:
    return [
        {
            "ParameterKey": name,
            "ParameterValue": "****" if blueprint.template.parameters[name].get("NoEcho") else str(value),
        }
        for name, value in blueprint.parameters.items()
    ]


def _summary(resource: Resource) -> Result:
    return {
        "LogicalResourceId": resource.declared.id,
        "PhysicalResourceId": resource.physical or None,
        "ResourceType": resource.declared.type,
        "LastUpdatedTimestamp": resource.at,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


_VALUES = ("BeforeValue", "AfterValue", "Path", "AttributeChangeType")


def _without_values(change: Result) -> Result:
    resource = change["ResourceChange"]
    details = [
        {**one, "Target": {name: value for name, value in one["Target"].items() if name not in _VALUES}}
        for one in resource["Details"]
    ]
    plain = {**resource, "Details": details, "BeforeContext": None, "AfterContext": None}
    return {**change, "ResourceChange": plain}


def _page(items: Sequence[Any], params: Params) -> tuple[list[Any], str | None]:
    """Return a page of `items`, and the token of the next one if there is one."""
    start = _start(params, 0)
    end = start + _PAGE
    return list(items[start:end]), str(end) if end < len(items) else None


def _start(params: Params, first: int) -> int:
    """Return the number that the token of a request is; without one, `first`."""
    token = params.get("NextToken")
    if token is None:
        return first
    if not token.isdecimal():
        raise invalid(f"NextToken: {token!r} is none of ours")
    return int(token)
