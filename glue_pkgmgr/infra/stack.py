"""The CloudFormation template of a plan: a pure function, the same plan giving the same bytes."""

from __future__ import annotations

import json
from typing import Any

from glue_pkgmgr.infra.expressions import Json, Resources, get, ref
from glue_pkgmgr.infra.glue import glue_resources
from glue_pkgmgr.infra.key import key_arn, key_resources
from glue_pkgmgr.infra.network import network_resources
from glue_pkgmgr.infra.packages import package_resources
from glue_pkgmgr.infra.plan import StackPlan
from glue_pkgmgr.infra.roles import role_resources
from glue_pkgmgr.infra.storage import storage_resources
from glue_pkgmgr.infra.watch import watch_resources
from glue_pkgmgr.infra.workflow import workflow_conditions, workflow_parameters, workflow_resources

LARGEST_BODY = 51_200
"""Bytes of a template that CloudFormation takes in a request; a larger one it reads from S3."""


def template(plan: StackPlan) -> Json:
    """Return the template of `plan`, for `json.dumps`; sections and resources always in the same order."""
    made: Json = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Approved Python packages for AWS Glue: domain {plan.domain}, made by glue-pkgmgr",
    }
    sections = {
        "Parameters": workflow_parameters(plan),
        "Conditions": workflow_conditions(plan),
        "Resources": _resources(plan),
        "Outputs": _outputs(plan),
    }
    return made | {name: section for name, section in sections.items() if section}


def template_text(plan: StackPlan, *, compact: bool = False) -> str:
    """Return the template as JSON text: for people, or `compact` as it is sent to CloudFormation."""
    if compact:
        return json.dumps(template(plan), separators=(",", ":"))
    return json.dumps(template(plan), indent=2) + "\n"


def _resources(plan: StackPlan) -> Resources:
    return {
        **key_resources(plan),
        **network_resources(plan),
        **package_resources(plan),
        **storage_resources(plan),
        **role_resources(plan),
        **glue_resources(plan),
        **watch_resources(plan),
        **workflow_resources(plan),
    }


def _outputs(plan: StackPlan) -> Json:
    values: dict[str, tuple[str, Any]] = {
        "DomainArn": ("The domain", get("Domain", "Arn")),
        "ApprovedRepositoryArn": ("The repository that jobs install from", get("ApprovedRepository", "Arn")),
        "KeyArn": ("What everything is encrypted with", key_arn(plan)),
        "NoticesArn": ("Where failed runs and package changes are told", ref("Notices")),
    }
    for name in _resources(plan):
        if name in ("RolePublisher", "RoleMirror", "RoleLauncher", "RoleReader"):
            values[f"{name}Arn"] = (f"Taken up to work as {name.removeprefix('Role').lower()}", get(name, "Arn"))
    made = {name: {"Description": told, "Value": value} for name, (told, value) in values.items()}
    if plan.jobs:
        machine = {"Description": "Launches a job and waits for its end", "Value": ref("StateMachine")}
        made["StateMachineArn"] = {"Condition": "HasFunctionArchive", **machine}
    return made
