"""State machines, functions, rules of EventBridge and log groups."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import (
    Exists,
    Kind,
    Made,
    Wanted,
    absent_is_fine,
    camel,
    document,
    exists,
    is_there,
    tag_list,
    tag_map,
)


class LogGroup(Kind):
    """AWS::Logs::LogGroup."""

    named_by = "LogGroupName"
    keeps = frozenset({"KmsKeyId", "RetentionInDays"})
    replacing = frozenset({"LogGroupName"})
    longest_name = 512

    def create(self, wanted: Wanted) -> Made:
        """Make a log group."""
        tags = tag_map(wanted.properties)
        with exists(wanted, "ResourceAlreadyExistsException"):
            wanted.client("logs").create_log_group(logGroupName=wanted.name, **({"tags": tags} if tags else {}))
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change how long it keeps events."""
        logs, days = wanted.client("logs"), wanted.properties.get("RetentionInDays")
        if days is None:
            logs.delete_retention_policy(logGroupName=physical)
        else:
            logs.put_retention_policy(logGroupName=physical, retentionInDays=int(days))
        return Made(id=physical, attributes={"Arn": wanted.arn("logs", f"log-group:{physical}:*")})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a log group with what is in it."""
        with absent_is_fine():
            wanted.client("logs").delete_log_group(logGroupName=physical)


_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


class StateMachine(Kind):
    """AWS::StepFunctions::StateMachine."""

    named_by = "StateMachineName"
    keeps = frozenset(
        {
            *("Definition", "DefinitionString", "DefinitionSubstitutions", "LoggingConfiguration", "RoleArn"),
            *("StateMachineType", "TracingConfiguration"),
        }
    )
    replacing = frozenset({"StateMachineName", "StateMachineType"})
    longest_name = 80

    def create(self, wanted: Wanted) -> Made:
        """Make a state machine; moto answers with the one that is there if it is alike."""
        states = wanted.client("stepfunctions")
        arn = wanted.arn("states", f"stateMachine:{wanted.name}")
        if is_there(states.describe_state_machine, stateMachineArn=arn):
            raise Exists(wanted.name)
        with exists(wanted, "StateMachineAlreadyExists"):
            arn = states.create_state_machine(
                name=wanted.name,
                type=wanted.properties.get("StateMachineType", "STANDARD"),
                tags=tag_list(wanted.properties, "key", "value"),
                **self._definition(wanted),
            )["stateMachineArn"]
        return self._made(arn, wanted)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change definition, role, logging and tracing."""
        wanted.client("stepfunctions").update_state_machine(stateMachineArn=physical, **self._definition(wanted))
        return self._made(physical, wanted)

    def _made(self, arn: str, wanted: Wanted) -> Made:
        return Made(id=arn, attributes={"Arn": arn, "Name": wanted.name})

    def _definition(self, wanted: Wanted) -> dict[str, Any]:
        properties = wanted.properties
        text = properties.get("DefinitionString") or json.dumps(properties.get("Definition"))
        given = properties.get("DefinitionSubstitutions", {})
        # What is not among the substitutions stays: an ASL text may hold the same signs.
        text = _SUBSTITUTION.sub(lambda found: str(given.get(found[1], found[0])), text)
        kept = {
            name: camel(properties[template])
            for name, template in (
                ("loggingConfiguration", "LoggingConfiguration"),
                ("tracingConfiguration", "TracingConfiguration"),
            )
            if template in properties
        }
        return {"definition": text, "roleArn": properties["RoleArn"], **kept}

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a state machine."""
        with absent_is_fine():
            wanted.client("stepfunctions").delete_state_machine(stateMachineArn=physical)


class Function(Kind):
    """AWS::Lambda::Function. Its properties are the members of CreateFunction."""

    named_by = "FunctionName"
    replacing = frozenset({"FunctionName", "PackageType"})

    def left_out(self, properties: Any) -> list[str]:
        """Return nothing: the service says what it does not do."""
        return []

    def create(self, wanted: Wanted) -> Made:
        """Make a function."""
        function = wanted.client("lambda")
        if is_there(function.get_function, FunctionName=wanted.name):
            raise Exists(wanted.name)
        arguments = wanted.only(
            "lambda",
            "CreateFunctionRequest",
            FunctionName=wanted.name,
            Code=_code(wanted.properties["Code"]),
            Tags=tag_map(wanted.properties),
        )
        return self._made(function.create_function(**arguments)["FunctionArn"], wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change code and configuration."""
        function = wanted.client("lambda")
        code = function.update_function_code(FunctionName=physical, **_code(wanted.properties["Code"]))
        arguments = wanted.only("lambda", "UpdateFunctionConfigurationRequest", FunctionName=physical)
        function.update_function_configuration(**arguments)
        return self._made(code["FunctionArn"], physical)

    def _made(self, arn: str, name: str) -> Made:
        return Made(id=name, attributes={"Arn": arn})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a function."""
        with absent_is_fine():
            wanted.client("lambda").delete_function(FunctionName=physical)


def _code(code: dict[str, Any]) -> dict[str, Any]:
    """Return the code as the API takes it: a template may hold the source text of one module."""
    if "ZipFile" not in code:
        return code
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("index.py"), code["ZipFile"])
    return {"ZipFile": archive.getvalue()}


class Rule(Kind):
    """AWS::Events::Rule. Nothing in the stand-in sends events to targets."""

    named_by = "Name"
    keeps = frozenset({"Description", "EventPattern", "RoleArn", "ScheduleExpression", "State", "Targets"})
    replacing = frozenset({"Name", "EventBusName"})

    def create(self, wanted: Wanted) -> Made:
        """Make a rule; PutRule would replace one of that name."""
        if is_there(wanted.client("events").describe_rule, Name=wanted.name):
            raise Exists(wanted.name)
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Replace the rule and its targets."""
        events, properties = wanted.client("events"), wanted.properties
        arguments = wanted.only("events", "PutRuleRequest", Name=physical, Tags=tag_list(properties))
        if "EventPattern" in properties:
            arguments["EventPattern"] = document(properties["EventPattern"])
        arn = events.put_rule(**arguments)["RuleArn"]
        _remove_targets(events, physical)
        if targets := properties.get("Targets"):
            events.put_targets(Rule=physical, Targets=targets)
        return Made(id=physical, attributes={"Arn": arn})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a rule with its targets."""
        with absent_is_fine():
            events = wanted.client("events")
            _remove_targets(events, physical)
            events.delete_rule(Name=physical)


def _remove_targets(events: Any, rule: str) -> None:
    targets = [one["Id"] for one in events.list_targets_by_rule(Rule=rule)["Targets"]]
    if targets:
        events.remove_targets(Rule=rule, Ids=targets)
