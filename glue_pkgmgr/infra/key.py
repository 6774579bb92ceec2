"""The key that encrypts everything: domain, buckets, logs, notices."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.infra.expressions import (
    ACCOUNT,
    Resources,
    allow,
    arn,
    get,
    lasting,
    policy,
    ref,
    resource,
    sub,
)
from glue_pkgmgr.infra.plan import StackPlan

_KEY = "Key"
_USE = ("kms:Decrypt", "kms:GenerateDataKey*")


def key_arn(plan: StackPlan) -> Any:
    """Return the ARN of the key: the one of the settings, else the one that is made."""
    return plan.stack.kms_key or get(_KEY, "Arn")


def key_resources(plan: StackPlan) -> Resources:
    """Return the key and its alias; nothing if the settings name one that is there."""
    if plan.stack.kms_key:
        return {}
    log_groups = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:*")}}
    statements = [
        # The owner of the key, without whom nobody could ever change it again; IAM policies decide who may use it.
        allow("AccountDecides", ["kms:*"], ["*"], principal={"AWS": ACCOUNT}),
        allow(
            "LogsEncrypt",
            ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            ["*"],
            log_groups,
            {"Service": sub("logs.${AWS::Region}.${AWS::URLSuffix}")},
        ),
        allow(
            "NoticesEncrypt",
            _USE,
            ["*"],
            principal={"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
        ),
    ]
    key = resource(
        "AWS::KMS::Key",
        {
            "Description": sub("Everything that ${AWS::StackName} keeps"),
            "EnableKeyRotation": True,
            "KeyPolicy": policy(statements),
            "PendingWindowInDays": 30,
        },
    )
    alias = resource("AWS::KMS::Alias", {"AliasName": sub("alias/${AWS::StackName}"), "TargetKeyId": ref(_KEY)})
    return {_KEY: lasting(key, keep=plan.stack.keep), "KeyAlias": alias}
