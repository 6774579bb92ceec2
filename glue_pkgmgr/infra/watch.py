"""What tells that something happened: log groups, flow logs, notices of failed runs and of changed packages."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.infra.expressions import (
    Json,
    Resources,
    allow,
    arn,
    get,
    lasting,
    policy,
    ref,
    resource,
    service_trust,
    word,
)
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.plan import StackPlan
from glue_pkgmgr.infra.roles import log_group_names, role_resource

_TOPIC = "Notices"
_FAILED_RUNS = "failed-runs"
_PERIOD = 300  # seconds


def log_group(plan: StackPlan, name: Any) -> Json:
    """Return a log group that is encrypted and forgets."""
    properties = {"LogGroupName": name, "KmsKeyId": key_arn(plan), "RetentionInDays": plan.stack.log_days}
    return lasting(resource("AWS::Logs::LogGroup", properties), keep=plan.stack.keep)


def watch_resources(plan: StackPlan) -> Resources:
    """Return log groups, flow logs, the topic of notices, and what writes to it."""
    made: Resources = {one: log_group(plan, name) for one, name in log_group_names(plan).items()}
    if not plan.stack.network:
        made |= _flow_logs(plan)
    return made | _notices(plan) | _package_changes(plan) | (_failed_runs(plan) if plan.jobs else {})


def _flow_logs(plan: StackPlan) -> Resources:
    name = f"/{plan.name}/flow"
    writing = allow(
        "WriteFlows",
        ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        [arn("logs", f"log-group:{name}:*")],
    )
    finding = allow("FindGroup", ["logs:DescribeLogGroups"], [arn("logs", "log-group:*")])
    role = role_resource(
        plan, plan.role_name("flow-logs"), service_trust("vpc-flow-logs.amazonaws.com"), [writing, finding]
    )
    flow = {
        "ResourceType": "VPC",
        "ResourceId": ref("Vpc"),
        "TrafficType": "ALL",
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": ref("LogFlow"),
        "DeliverLogsPermissionArn": get("RoleFlowLogs", "Arn"),
    }
    return {"LogFlow": log_group(plan, name), "RoleFlowLogs": role, "FlowLog": resource("AWS::EC2::FlowLog", flow)}


def _notices(plan: StackPlan) -> Resources:
    here = {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}
    publishing = [
        allow("AlarmsTell", ["sns:Publish"], [ref(_TOPIC)], here, {"Service": "cloudwatch.amazonaws.com"}),
        # Source: EventBridge User Guide, "Amazon SNS permissions": a condition here would stop its events.
        allow("RulesTell", ["sns:Publish"], [ref(_TOPIC)], None, {"Service": "events.amazonaws.com"}),
    ]
    made: Resources = {
        _TOPIC: resource("AWS::SNS::Topic", {"TopicName": plan.name, "KmsMasterKeyId": key_arn(plan)}),
        f"{_TOPIC}Policy": resource(
            "AWS::SNS::TopicPolicy", {"Topics": [ref(_TOPIC)], "PolicyDocument": policy(publishing)}
        ),
    }
    for address in plan.stack.notify:
        properties = {"Protocol": "email", "Endpoint": address, "TopicArn": ref(_TOPIC)}
        made[f"Notify{word(address)}"] = resource("AWS::SNS::Subscription", properties)
    return made


def _package_changes(plan: StackPlan) -> Resources:
    """Return the rule that tells of every release that comes into the approved repository, changes or goes.

    Source: CodeArtifact User Guide, "CodeArtifact event format and example".
    """
    pattern = {
        "source": ["aws.codeartifact"],
        "detail-type": ["CodeArtifact Package Version State Change"],
        "detail": {"domainName": [plan.domain], "repositoryName": [plan.repository]},
    }
    return {
        "PackageChanges": _rule(plan, "package-changes", "Releases in the approved repository change", pattern)
    }


def _failed_runs(plan: StackPlan) -> Resources:
    """Return the rule that tells of every run that failed, and the alarm that counts them.

    Source: AWS Glue Developer Guide, "Automating AWS Glue with EventBridge". Glue has no metric of failed runs:
    the rule's own is counted.
    """
    pattern = {
        "source": ["aws.glue"],
        "detail-type": ["Glue Job State Change"],
        "detail": {"jobName": [job.wanted.name for job in plan.jobs], "state": ["FAILED", "TIMEOUT"]},
    }
    rule = f"{plan.name}-{_FAILED_RUNS}"
    counted = alarm(
        plan,
        f"{plan.name}-job-runs",
        "A job run failed or took too long; the runs and their causes: glue-pkgmgr runs",
        {
            "Namespace": "AWS/Events",
            "MetricName": "TriggeredRules",
            "Dimensions": [{"Name": "RuleName", "Value": rule}],
        },
    )
    return {"FailedRuns": _rule(plan, _FAILED_RUNS, "Job runs that failed", pattern), "FailedRunsAlarm": counted}


def alarm(plan: StackPlan, name: str, description: str, metric: Json) -> Json:
    """Return an alarm as soon as there is one of `metric` in five minutes."""
    return resource(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": name,
            "AlarmDescription": description,
            **metric,
            "Statistic": "Sum",
            "Period": _PERIOD,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [ref(_TOPIC)],
        },
    )


def _rule(plan: StackPlan, name: str, description: str, pattern: Json) -> Json:
    return resource(
        "AWS::Events::Rule",
        {
            "Name": f"{plan.name}-{name}",
            "Description": description,
            "EventPattern": pattern,
            "State": "ENABLED",
            "Targets": [{"Arn": ref(_TOPIC), "Id": "notices"}],
        },
    )
