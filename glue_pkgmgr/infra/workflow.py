"""Step Functions: a state machine that launches a job through a function and waits for its end."""

from __future__ import annotations

import json
from typing import Any

from glue_pkgmgr.infra.expressions import (
    Json,
    Resources,
    allow,
    arn,
    explained,
    get,
    ref,
    resource,
    service_trust,
    sub,
)
from glue_pkgmgr.infra.network import function_security_group, subnet_ids
from glue_pkgmgr.infra.plan import Place, PlannedJob, StackPlan
from glue_pkgmgr.infra.roles import launching_statements, role_resource
from glue_pkgmgr.infra.watch import alarm, log_group

FUNCTION_ARCHIVE = "FunctionArchive"
"""The parameter that names the zip of the function, below `StackPlan.archive`: empty until it is there."""

_HAS_ARCHIVE = "HasFunctionArchive"
_TIMEOUT = 300  # seconds
_MEMORY = 1024  # MB


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
        "FunctionLog": log_group(plan, f"/aws/lambda/{function_name(plan)}"),
        "FunctionRole": _function_role(plan),
        "Function": _function(plan, archive),
        "StateMachineLog": log_group(plan, f"/aws/vendedlogs/states/{plan.name}"),
        "StateMachineRole": _state_machine_role(plan),
        "StateMachine": _state_machine(plan, plan.jobs[0]),
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


def function_name(plan: StackPlan) -> str:
    """Return the name of the function."""
    return f"{plan.name}-launch"


def _function(plan: StackPlan, archive: Place) -> Json:
    made = resource(
        "AWS::Lambda::Function",
        {
            "FunctionName": function_name(plan),
            "Description": "Checks a request, mints a token and starts a job run; returns no token",
            "Runtime": "python3.13",
            "Architectures": ["x86_64"],
            "Handler": "glue_pkgmgr.functions.launch.handler",
            "Code": {"S3Bucket": archive.bucket, "S3Key": sub(f"{archive.prefix}${{{FUNCTION_ARCHIVE}}}")},
            "Role": get("FunctionRole", "Arn"),
            "Timeout": _TIMEOUT,
            "MemorySize": _MEMORY,
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
        *launching_statements(plan),
        allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], [get("FunctionLog", "Arn")]),
        _tracing(),
        # Source: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC".
        allow("Connect", ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"], [interfaces]),
        allow("LookAround", ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], ["*"]),
    ]
    return role_resource(plan, plan.role_name("function"), service_trust("lambda.amazonaws.com"), statements)


def _tracing() -> Json:
    """Return what X-Ray needs; it knows no resources."""
    return allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])


# --- the state machine


def _state_machine(plan: StackPlan, job: PlannedJob) -> Json:
    return resource(
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineName": plan.name,
            "StateMachineType": "STANDARD",
            "DefinitionString": json.dumps(_definition(job, plan.partition), separators=(",", ":")),
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


def _definition(job: PlannedJob, partition: str) -> Json:
    """Return a small definition: launch, wait, look, end."""
    look: Json = {
        "Type": "Task",
        "Resource": f"arn:{partition}:states:::aws-sdk:glue:getJobRun",
        "Parameters": {"JobName": job.wanted.name, "RunId.$": "$.JobRunId"},
        # No more than this: the arguments of a run may hold a token.
        "ResultSelector": {"State.$": "$.JobRun.JobRunState"},
        "ResultPath": "$.Run",
        "Next": "Ended?",
    }
    running = [
        {"Variable": "$.Run.State", "StringEquals": state}
        for state in ("STARTING", "RUNNING", "STOPPING", "WAITING")
    ]
    return {
        "StartAt": "Launch",
        "States": {
            "Launch": {"Type": "Task", "Resource": "${Function}", "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 20, "Next": "Look"},
            "Look": look,
            "Ended?": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.Run.State", "StringEquals": "SUCCEEDED", "Next": "Succeeded"},
                    {"Or": running, "Next": "Wait"},
                ],
                "Default": "Failed",
            },
            "Succeeded": {"Type": "Succeed"},
            "Failed": {"Type": "Fail", "Error": "JobRunFailed", "Cause": "see glue-pkgmgr runs"},
        },
    }


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
        allow("Look", ["glue:GetJobRun"], [arn("glue", f"job/{job.wanted.name}") for job in plan.jobs]),
        allow("DeliverLogs", delivery, ["*"]),
        _tracing(),
    ]
    return role_resource(plan, plan.role_name("workflow"), service_trust("states.amazonaws.com"), statements)
