"""The words of a CloudFormation template: references, resources, statements of policies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", re.ASCII)

Json = dict[str, Any]
"""A part of a template: what `json.dumps` takes."""

Resources = dict[str, Json]
"""Resources by their name in the template."""

ACCOUNT = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}


def ref(name: str) -> Json:
    """Return a reference to a resource or a parameter."""
    return {"Ref": name}


def get(name: str, attribute: str) -> Json:
    """Return an attribute of a resource."""
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> Json:
    """Return `text` in which CloudFormation replaces every `${…}`."""
    return {"Fn::Sub": text}


def arn(service: str, rest: str) -> Json:
    """Return the ARN of something in the region and account of the stack."""
    return sub(f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")


def s3_arn(rest: str) -> Json:
    """Return the ARN of a bucket, or of objects in one: `bucket/prefix/*`."""
    return sub(f"arn:${{AWS::Partition}}:s3:::{rest}")


def role_arn(name: str) -> Json | str:
    """Return the ARN of the role `name`; an ARN stays what it is."""
    return (
        name if name.startswith("arn:") else sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{name}")
    )


def resource(kind: str, properties: Mapping[str, Any], **attributes: Any) -> Json:
    """Return a resource of `kind`; `attributes` such as `DependsOn`. A property that is None is left out."""
    given = {name: value for name, value in properties.items() if value is not None}
    return {"Type": kind, **attributes, "Properties": given}


def explained(made: Json, **findings: str) -> Json:
    """Return `made` with the reason why a check does not apply: `CKV_AWS_1="…"` of checkov, `W1="…"` of cfn-lint.

    The reasons stay in the template, where both tools look for them and whoever reads it finds them.
    """
    checkov = {check: why for check, why in findings.items() if check.startswith("CKV")}
    lint = {check: why for check, why in findings.items() if check not in checkov}
    metadata: Json = {}
    if checkov:
        metadata["checkov"] = {"skip": [{"id": check, "comment": why} for check, why in checkov.items()]}
    if lint:
        metadata["cfn-lint"] = {"config": {"ignore_checks": list(lint)}, "reasons": lint}
    return {
        "Type": made["Type"],
        "Metadata": metadata,
        **{k: v for k, v in made.items() if k not in ("Type", "Metadata")},
    }


def lasting(made: Json, *, keep: bool) -> Json:
    """Return `made`, which holds data: kept if a change would replace it, and with `keep` when the stack goes."""
    # Not plain `Retain`, by which a creation that fails leaves what is in the way of the next one.
    policies = {"DeletionPolicy": "RetainExceptOnCreate" if keep else "Delete", "UpdateReplacePolicy": "Retain"}
    return {"Type": made["Type"], **policies, **{k: v for k, v in made.items() if k != "Type"}}


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Any],
    condition: Json | None = None,
    principal: Any = None,
) -> Json:
    """Return a statement of a policy; `principal` where the policy is that of a resource."""
    made: Json = {"Sid": sid, "Effect": "Allow"}
    if principal is not None:
        made["Principal"] = principal
    made |= {"Action": list(actions), "Resource": list(resources)}
    return made | {"Condition": condition} if condition else made


def deny(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Any],
    condition: Json | None = None,
    principal: Any = None,
) -> Json:
    """Return a statement that forbids, whatever others allow."""
    return {**allow(sid, actions, resources, condition, principal), "Effect": "Deny"}


def policy(statements: Sequence[Json]) -> Json:
    """Return a policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(principal: Json, condition: Json | None = None) -> Json:
    """Return the policy that says who may take up a role."""
    made = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy([{**made, "Condition": condition} if condition else made])


def service_trust(service: str) -> Json:
    """Return the policy that lets an AWS service take up a role, for resources of this account only."""
    # Source: IAM User Guide, "The confused deputy problem".
    return trust({"Service": service}, {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}})


def word(text: str) -> str:
    """Return `text` as a part of a name in a template, which has letters and digits only: `a-b` is `AB`.

    Different texts have different words.
    """
    parts = "".join(c if c.isalnum() and c.isascii() else " " for c in text).split()
    made = "".join(part[0].upper() + part[1:] for part in parts)
    # Of `a-1` and `a1`, or `a_b` and `a-b`, the same would come.
    return made if _PLAIN.fullmatch(text) else made + hashlib.sha256(text.encode()).hexdigest()[:6]
