"""The sample's template, deployed by a CloudFormation that is not ours: moto's, for the types that it has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.cloudformation.parsing import get_model_map
from moto.server import ThreadedMotoServer

from glue_pkgmgr.infra.plan import StackPlan
from glue_pkgmgr.infra.stack import template
from glue_pkgmgr.settings import load_settings
from glue_pkgmgr.verbs.stack_plan import stack_plan

Resources = Mapping[str, Mapping[str, Any]]
ROOT = Path(__file__).parents[2]
UNKNOWN_TO_MOTO = {
    "AWS::CloudWatch::Alarm",
    "AWS::CodeArtifact::Domain",
    "AWS::CodeArtifact::PackageGroup",
    "AWS::CodeArtifact::Repository",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::Glue::Connection",
    "AWS::Glue::Database",
    "AWS::Glue::Job",
    "AWS::Glue::SecurityConfiguration",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
}


@pytest.fixture(scope="module")
def plan() -> StackPlan:
    return stack_plan(load_settings(ROOT / "glue-pkgmgr.toml"))


@pytest.fixture(scope="module")
def known(plan: StackPlan) -> Resources:
    """Return the resources of types that moto has, by their logical ids."""
    return {name: one for name, one in template(plan)["Resources"].items() if one["Type"] in get_model_map()}


@pytest.fixture(scope="module")
def endpoint(plan: StackPlan, known: Resources) -> Iterator[str]:
    """Give the endpoint of a moto in which the stack is made."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    # What depends on a resource that is not there could not be ordered; outputs tell of such ones, too.
    resources = {name: {key: v for key, v in one.items() if key != "DependsOn"} for name, one in known.items()}
    text = {**template(plan), "Resources": resources, "Outputs": {}}
    try:
        client("cloudformation", url).create_stack(
            StackName="sample",
            TemplateBody=json.dumps(text, separators=(",", ":")),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        yield url
    finally:
        server.stop()


def client(service: str, url: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="key"
    )


def test_all_that_moto_knows_is_made(endpoint: str, known: Resources, plan: StackPlan) -> None:
    cloudformation = client("cloudformation", endpoint)
    (stack,) = cloudformation.describe_stacks(StackName="sample")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName="sample")
    made = {one["LogicalResourceId"]: one for page in pages for one in page["StackResourceSummaries"]}
    conditional = {name for name, one in known.items() if "Condition" in one}
    assert made.keys() >= known.keys() - conditional
    assert {one["Type"] for one in template(plan)["Resources"].values()} - {
        one["Type"] for one in known.values()
    } == UNKNOWN_TO_MOTO


def test_no_way_leads_to_the_internet(endpoint: str) -> None:
    ec2 = client("ec2", endpoint)
    (vpc,) = [one for one in ec2.describe_vpcs()["Vpcs"] if not one["IsDefault"]]
    here = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    assert len(ec2.describe_subnets(Filters=here)["Subnets"]) == 2
    assert ec2.describe_internet_gateways()["InternetGateways"] == []
    assert ec2.describe_nat_gateways()["NatGateways"] == []
    tables = ec2.describe_route_tables(Filters=here)["RouteTables"]
    routes = [route.get("DestinationCidrBlock") for table in tables for route in table["Routes"]]
    assert "0.0.0.0/0" not in routes
    services = {one["ServiceName"] for one in ec2.describe_vpc_endpoints(Filters=here)["VpcEndpoints"]}
    assert {name.removeprefix("com.amazonaws.us-east-1.") for name in services} >= {
        "s3", "codeartifact.api", "codeartifact.repositories", "glue", "logs", "kms", "sts",
    }  # fmt: skip


def test_each_role_of_the_plan_can_be_taken_up(endpoint: str, plan: StackPlan) -> None:
    roles = {one["RoleName"] for one in client("iam", endpoint).list_roles()["Roles"]}
    assert {role.rpartition("/")[2] for role in plan.roles} <= roles
