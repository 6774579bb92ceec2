"""S3: the buckets that the settings name, and one for the logs of who read them."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.infra.expressions import (
    Json,
    Resources,
    allow,
    deny,
    explained,
    lasting,
    policy,
    ref,
    resource,
    role_arn,
    s3_arn,
    word,
)
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.plan import Place, StackPlan

_LOGS = "AccessLogs"
_NO_PUBLIC = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
_OWNED = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
_SECRET_DAYS = 1  # a token lives twelve hours at most
_PARTS_DAYS = 7


def bucket_id(bucket: str) -> str:
    """Return the name of a bucket in the template."""
    return f"Bucket{word(bucket)}"


def storage_resources(plan: StackPlan) -> Resources:
    """Return the buckets with their policies, and the bucket of their access logs."""
    made: Resources = {}
    for bucket in plan.made_buckets:
        made[bucket_id(bucket)] = lasting(_bucket(plan, bucket), keep=plan.stack.keep)
        made[f"{bucket_id(bucket)}Policy"] = _policy(bucket_id(bucket), _bucket_statements(plan, bucket))
    return made | _log_bucket(plan) if made else made


def _bucket(plan: StackPlan, bucket: str) -> Json:
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn(plan)}
    return resource(
        "AWS::S3::Bucket",
        {
            "BucketName": bucket,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}
                ]
            },
            "LifecycleConfiguration": {"Rules": _rules(plan, bucket)},
            "LoggingConfiguration": {"DestinationBucketName": ref(_LOGS), "LogFilePrefix": f"{bucket}/"},
            "OwnershipControls": _OWNED,
            "PublicAccessBlockConfiguration": _NO_PUBLIC,
            "VersioningConfiguration": {"Status": "Enabled"},
        },
    )


def _rules(plan: StackPlan, bucket: str) -> list[Json]:
    """Return what S3 deletes by itself, in `bucket`.

    A requirements file is deleted when its run has installed; a rule is for those whose follower was killed.
    """
    rules: list[Json] = []
    for prefix in sorted({job.staging.prefix for job in plan.jobs if job.staging.bucket == bucket}):
        rules.append(
            {
                "Id": f"Requirements{word(prefix)}",
                "Status": "Enabled",
                "Prefix": f"{prefix}requirements/",
                "ExpirationInDays": _SECRET_DAYS,
                "NoncurrentVersionExpiration": {"NoncurrentDays": _SECRET_DAYS},
            }
        )
    if plan.records and plan.records.bucket == bucket:
        rules.append(
            {
                "Id": "Records",
                "Status": "Enabled",
                "Prefix": plan.records.prefix,
                # Records are never overwritten: what comes to be noncurrent was tampered with, and is evidence.
                "NoncurrentVersionExpiration": {"NoncurrentDays": max(plan.stack.log_days, 365)},
            }
        )
    rules.append(
        {
            "Id": "Unfinished",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _PARTS_DAYS},
        }
    )
    return rules


def _bucket_statements(plan: StackPlan, bucket: str) -> list[Json]:
    statements = [_tls_only(bucket)]
    if plan.records and plan.records.bucket == bucket:
        statements.append(_added_only(plan.records))
    for number, place in enumerate(sorted({(j.staging.bucket, j.staging.prefix) for j in plan.jobs}), start=1):
        if place[0] != bucket:
            continue
        readers = sorted({job.role for job in plan.jobs if (job.staging.bucket, job.staging.prefix) == place})
        statements.append(
            # The one object with a token in it: whoever else may read the bucket may not read this.
            deny(
                f"OnlyJobsReadTokens{number}",
                ["s3:GetObject", "s3:GetObjectVersion"],
                [s3_arn(f"{bucket}/{place[1]}requirements/*")],
                {"ArnNotEquals": {"aws:PrincipalArn": [role_arn(role) for role in readers]}},
                "*",
            )
        )
    return statements


def _added_only(records: Place) -> Json:
    """Return the statement by which no record takes the place of another, whoever writes it.

    Source: S3 User Guide, "Enforce conditional writes on Amazon S3 buckets".
    """
    unconditional = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    return deny("RecordsAreAdded", ["s3:PutObject"], [s3_arn(records.below("launches/*"))], unconditional, "*")


def _tls_only(bucket: str) -> Json:
    return deny(
        "TlsOnly",
        ["s3:*"],
        [s3_arn(bucket), s3_arn(f"{bucket}/*")],
        {"Bool": {"aws:SecureTransport": "false"}},
        "*",
    )


def _policy(bucket: str, statements: list[Json]) -> Json:
    properties: dict[str, Any] = {"Bucket": ref(bucket), "PolicyDocument": policy(statements)}
    return resource("AWS::S3::BucketPolicy", properties)


def log_bucket_name(plan: StackPlan) -> str:
    """Return the name of the bucket of access logs."""
    return f"{plan.name}-access-logs-${{AWS::AccountId}}-${{AWS::Region}}"


def _log_bucket(plan: StackPlan) -> Resources:
    name = log_bucket_name(plan)
    bucket = resource(
        "AWS::S3::Bucket",
        {
            "BucketName": {"Fn::Sub": name},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                ]
            },
            "LifecycleConfiguration": {
                "Rules": [{"Id": "Old", "Status": "Enabled", "ExpirationInDays": plan.stack.log_days}]
            },
            "OwnershipControls": _OWNED,
            "PublicAccessBlockConfiguration": _NO_PUBLIC,
            "VersioningConfiguration": {"Status": "Enabled"},
        },
    )
    bucket = explained(
        bucket,
        CKV_AWS_18="It is where access logs go; one that logs into itself never ends",
    )
    writer = allow(
        "S3WritesLogs",
        ["s3:PutObject"],
        [s3_arn(f"{name}/*")],
        {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}},
        {"Service": "logging.s3.amazonaws.com"},
    )
    return {
        _LOGS: lasting(bucket, keep=plan.stack.keep),
        f"{_LOGS}Policy": _policy(_LOGS, [_tls_only(name), writer]),
    }
