"""Step Functions: a state machine that launches a job through a function and waits for its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from glue_pkgmgr.core.function_archive import HANDLER, MEMORY, RUNTIME, SECONDS
from glue_pkgmgr.infra.expressions import (
    Json,
    Resources,
    allow,
    arn,
    explained,
    get,
    ref,
    resource,
    s3_arn,
    service_trust,
    sub,
)
from glue_pkgmgr.infra.network import function_security_group, subnet_ids
from glue_pkgmgr.infra.plan import Place, StackPlan
from glue_pkgmgr.infra.roles import LAUNCHING, role_resource
from glue_pkgmgr.infra.state_machine import definition, function_name
from glue_pkgmgr.infra.watch import alarm, log_group

FUNCTION_ARCHIVE = "FunctionArchive"
"""The parameter that names the zip of the function, below `StackPlan.archive`: empty until it is there."""

_HAS_ARCHIVE = "HasFunctionArchive"
_NO_TIMEOUT = timedelta(hours=8)  # Source: AWS Glue Developer Guide, "Adding jobs": 480 minutes


def workflow_parameters(plan: StackPlan) -> Json:
    """Return the parameter of the workflow; none without a job."""
    if not plan.jobs:
        return {}
    told = (
        "File name of the function's zip, below functions/ in the staging folder of the first job. Empty: no "
        "workflow yet. The bucket it lies in is made by this stack, so it comes with a second change."
    )
    return {
        FUNCTION_ARCHIVE: {
            "Type": "String",
            "Default": "",
            "Description": told,
            "AllowedPattern": "([0-9a-f]{64}\\.zip)?",
        }
    }


def workflow_conditions(plan: StackPlan) -> Json:
    """Return the condition under which there is a workflow."""
    if not plan.jobs:
        return {}
    return {_HAS_ARCHIVE: {"Fn::Not": [{"Fn::Equals": [ref(FUNCTION_ARCHIVE), ""]}]}}


def workflow_resources(plan: StackPlan) -> Resources:
    """Return function and state machine, with their roles, logs and alarm; nothing without a job."""
    archive = plan.archive
    if archive is None:
        return {}
    made: Resources = {
        "FunctionLog": log_group(plan, f"/aws/lambda/{function_name(plan.name)}"),
        "FunctionRole": _function_role(plan),
        "Function": _function(plan, archive),
        "StateMachineLog": log_group(plan, f"/aws/vendedlogs/states/{plan.name}"),
        "StateMachineRole": _state_machine_role(plan),
        "StateMachine": _state_machine(plan),
        "FailedWorkflowsAlarm": alarm(
            plan,
            f"{plan.name}-workflows",
            "An execution of the state machine failed; its cause is in the execution",
            {
                "Namespace": "AWS/States",
                "MetricName": "ExecutionsFailed",
                "Dimensions": [{"Name": "StateMachineArn", "Value": ref("StateMachine")}],
            },
        ),
    }
    return {name: {"Type": one["Type"], "Condition": _HAS_ARCHIVE, **_but_type(one)} for name, one in made.items()}


def _but_type(one: Json) -> Json:
    return {name: value for name, value in one.items() if name != "Type"}


# --- the function


def _function(plan: StackPlan, archive: Place) -> Json:
    made = resource(
        "AWS::Lambda::Function",
        {
            "FunctionName": function_name(plan.name),
            "Description": "Checks a request, mints a token and starts a job run; returns no token",
            "Runtime": RUNTIME,
            "Architectures": ["x86_64"],
            "Handler": HANDLER,
            "Code": {"S3Bucket": archive.bucket, "S3Key": sub(f"{archive.prefix}${{{FUNCTION_ARCHIVE}}}")},
            "Role": get("FunctionRole", "Arn"),
            "Timeout": SECONDS,
            "MemorySize": MEMORY,
            "TracingConfig": {"Mode": "Active"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": ref("FunctionLog")},
            "VpcConfig": {"SubnetIds": subnet_ids(plan), "SecurityGroupIds": [function_security_group()]},
        },
    )
    return explained(
        made,
        CKV_AWS_115="The jobs limit how many runs there are at once; a reserve would be taken from others",
        CKV_AWS_116="The state machine calls it and waits for its answer: nothing is queued that could get lost",
    )


def _function_role(plan: StackPlan) -> Json:
    interfaces = arn("ec2", "*/*")
    statements = [
        *([] if plan.records else _records_below_staging(plan)),
        allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [get("FunctionLog", "Arn")]),
        _tracing(),
        # Source: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC".
        allow("Connect", ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"], [interfaces]),
        allow("LookAround", ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], ["*"]),
    ]
    trusted = service_trust("lambda.amazonaws.com")
    return role_resource(plan, plan.role_name("function"), trusted, statements, managed=[ref(LAUNCHING)])


def _records_below_staging(plan: StackPlan) -> list[Json]:
    """Return what keeps records where the function does by itself; staging is listed by others' leave."""
    places = sorted({job.staging.below("records/launches/*") for job in plan.jobs})
    return [allow("KeepRecords", ["s3:GetObject", "s3:PutObject"], [s3_arn(place) for place in places])]


def _tracing() -> Json:
    """Return what X-Ray needs; it knows no resources."""
    return allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])


# --- the state machine


def _state_machine(plan: StackPlan) -> Json:
    made = resource(
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineName": plan.name,
            "StateMachineType": "STANDARD",
            # Not as a text, whose quotes would be escaped: a template has a largest size.
            "Definition": _definition(plan),
            "DefinitionSubstitutions": {"Function": get("Function", "Arn")},
            "RoleArn": get("StateMachineRole", "Arn"),
            "TracingConfiguration": {"Enabled": True},
            "LoggingConfiguration": {
                "Level": "ALL",
                # Data of an execution may be anything that a caller gives.
                "IncludeExecutionData": False,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": get("StateMachineLog", "Arn")}}],
            },
        },
    )
    if plan.partition == "aws":
        return made
    return explained(
        made, E3601=f"It knows no ARN of another partition than aws, and this one is {plan.partition}"
    )


def _definition(plan: StackPlan) -> Json:
    longest = max((job.wanted.timeout or _NO_TIMEOUT for job in plan.jobs), default=_NO_TIMEOUT)
    return definition(plan.jobs[0].key, "${Function}", timeout=longest, partition=plan.partition)


def _state_machine_role(plan: StackPlan) -> Json:
    # Source: Step Functions Developer Guide, "Using CloudWatch Logs to log execution history": it delivers
    # through a service whose actions know no resources.
    delivery: list[Any] = [
        *(
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
        ),
        *("logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"),
    ]
    statements = [
        allow("Launch", ["lambda:InvokeFunction"], [get("Function", "Arn")]),
        allow("DeliverLogs", delivery, ["*"]),
        _tracing(),
    ]
    return role_resource(plan, plan.role_name("workflow"), service_trust("states.amazonaws.com"), statements)
