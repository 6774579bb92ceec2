"""The template that we make ourselves is one that the rules find nothing in, and they do look at it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from glue_pkgmgr import Project

_SETTINGS = Path(__file__).parents[4] / "glue-pkgmgr.toml"


@pytest.fixture(scope="module")
def ours():
    return Project.load(_SETTINGS).stack_template()


@pytest.fixture
def found(found):
    """Return the ids of the rules that find something in a template that is data."""
    return lambda data: {one.split()[0] for one in found(json.dumps(data), internal=["glueutils"], file="t.json")}


def of_kind(data, kind):
    return {name: one for name, one in data["Resources"].items() if one["Type"] == kind}


def statements(data):
    for one in of_kind(data, "AWS::IAM::Role").values():
        for policy in one["Properties"].get("Policies", []):
            yield from policy["PolicyDocument"]["Statement"]


def without_bearer(data):
    for statement in statements(data):
        if "sts:GetServiceBearerToken" in str(statement["Action"]):
            statement["Effect"] = "Deny"


def without_condition(data):
    for statement in statements(data):
        statement.pop("Condition", None)


def wide_actions(data):
    next(statements(data))["Action"] = ["s3:*", "codeartifact:*"]


def wide_pass(data):
    for statement in statements(data):
        if "iam:PassRole" in str(statement["Action"]):
            statement["Resource"] = "*"


def without_groups(data):
    for name in of_kind(data, "AWS::CodeArtifact::PackageGroup"):
        del data["Resources"][name]


def without_endpoints(data):
    for name in of_kind(data, "AWS::EC2::VPCEndpoint"):
        del data["Resources"][name]


def with_upstream(data):
    made = of_kind(data, "AWS::CodeArtifact::Repository").values()
    [store] = [one["Properties"] for one in made if "ExternalConnections" in one["Properties"]]
    [ours] = [one["Properties"] for one in made if "ExternalConnections" not in one["Properties"]]
    ours["Upstreams"] = [store["RepositoryName"]]


def old_job(data):
    for one in of_kind(data, "AWS::Glue::Job").values():
        one["Properties"]["GlueVersion"] = "2.0"


def open_job(data):
    for one in of_kind(data, "AWS::Glue::Job").values():
        one["Properties"]["DefaultArguments"] |= {
            "--additional-python-modules": "boto3",
            "--python-modules-installer-option": "--extra-index-url=https://aws:abc@host/simple/",
        }


def test_nothing_is_found_in_it(ours, found):
    assert found(ours) == set()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (without_bearer, {"GPK301"}),
        (without_condition, {"GPK302"}),
        (wide_actions, {"GPK303", "GPK304"}),
        (wide_pass, {"GPK305"}),
        (without_groups, {"GPK402"}),
        (without_endpoints, {"GPK501"}),
        (with_upstream, {"GPK401"}),
        (old_job, {"GPK601"}),
        (open_job, {"GPK101", "GPK201", "GPK202"}),
    ],
)
def test_what_is_made_worse_is_found(ours, found, change, rules):
    changed = copy.deepcopy(ours)
    change(changed)
    assert changed != ours
    assert found(changed) >= rules
