"""AWS Glue: databases, the security configuration, and the jobs."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.core.job_definition import definition_of
from glue_pkgmgr.infra.expressions import Json, Resources, get, ref, resource, role_arn, word
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.network import connection_id, connection_names
from glue_pkgmgr.infra.plan import PlannedJob, StackPlan

# What every job of ours has; an argument of the settings of the same name counts instead.
_DEFAULTS = {"--enable-metrics": "true", "--job-bookmark-option": "job-bookmark-enable"}


def security_name(plan: StackPlan) -> str:
    """Return the name of the security configuration."""
    return f"{plan.name}-encrypted"


def role_id(role: str) -> str:
    """Return the name of a job's role in the template."""
    return f"Role{word(role.rpartition('/')[2])}"


def glue_resources(plan: StackPlan) -> Resources:
    """Return databases, security configuration and jobs."""
    if not plan.jobs:
        return {}
    made: Resources = {"SecurityConfiguration": _security_configuration(plan)}
    for database in plan.databases:
        properties = {"CatalogId": ref("AWS::AccountId"), "DatabaseInput": {"Name": database}}
        made[f"Database{word(database)}"] = resource("AWS::Glue::Database", properties)
    for job in plan.jobs:
        made[job.id] = _job(plan, job)
    return made


def _security_configuration(plan: StackPlan) -> Json:
    key = key_arn(plan)
    encryption = {
        "CloudWatchEncryption": {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": key},
        "JobBookmarksEncryption": {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": key},
        "S3Encryptions": [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": key}],
    }
    return resource(
        "AWS::Glue::SecurityConfiguration", {"Name": security_name(plan), "EncryptionConfiguration": encryption}
    )


def _job(plan: StackPlan, job: PlannedJob) -> Json:
    definition: dict[str, Any] = definition_of(job.wanted)
    definition["Role"] = get(role_id(job.role), "Arn") if job.makes_role else role_arn(job.role)
    definition["DefaultArguments"] = {**_DEFAULTS, **definition["DefaultArguments"]}
    definition["SecurityConfiguration"] = ref("SecurityConfiguration")
    attributes: Json = {}
    if job.wanted.connections is None:
        definition["Connections"] = {"Connections": connection_names(plan)}
        attributes["DependsOn"] = [connection_id(number) for number in range(1, len(connection_names(plan)) + 1)]
    return resource("AWS::Glue::Job", definition, **attributes)
