"""CloudFormation of a stand-in, asked by boto3 and the AWS command line: resources are really made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.state import StandIn
from tests.stacks import ROLE, resources, template
from tests.stand_in import sample_settings

ACCOUNT = "111122223333"
AWS = Path(sys.executable).parent / "aws"
LONG = 120.0


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    home = tmp_path_factory.mktemp("project")
    yield up(sample_settings(home), state=home / "state", progress=lambda _: None)
    down(home / "state")


@pytest.fixture(scope="module")
def api(stand_in: StandIn) -> Clients:
    return Clients(stand_in)


@pytest.fixture
def stacks(api: Clients) -> Any:
    return api("cloudformation")


@pytest.fixture
def name(request: pytest.FixtureRequest, stacks: Any) -> Iterator[str]:
    """Return a name for a stack of this test, which is deleted after it."""
    made = f"s{abs(hash(request.node.name)) % 10**8}"
    yield made
    stacks.delete_stack(StackName=made)
    until(lambda: "IN_PROGRESS" not in (status(stacks, made) or ""))


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LONG
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def status(stacks: Any, name: str) -> str | None:
    try:
        return str(stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as e:
        assert "does not exist" in str(e)
        return None


def change_set(stacks: Any, name: str, body: str, kind: str = "CREATE", **more: Any) -> dict[str, Any]:
    made = stacks.create_change_set(
        StackName=name,
        ChangeSetName=f"set-{time.monotonic_ns()}",
        ChangeSetType=kind,
        TemplateBody=body,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        **more,
    )
    described = stacks.describe_change_set(ChangeSetName=made["Id"], IncludePropertyValues=True)
    return dict(described)


def deploy(stacks: Any, name: str, body: str, kind: str = "CREATE", **more: Any) -> str:
    """Deploy, and return the status in which the stack is then."""
    made = change_set(stacks, name, body, kind, **more)
    stacks.execute_change_set(ChangeSetName=made["ChangeSetId"])
    return finished(stacks, made["StackId"])


def finished(stacks: Any, stack: str) -> str:
    return str(until(lambda: (found := status(stacks, stack)) and not found.endswith("_IN_PROGRESS") and found))


def events(stacks: Any, stack: str) -> list[dict[str, Any]]:
    """Return the events, oldest first."""
    pages = stacks.get_paginator("describe_stack_events").paginate(StackName=stack)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def reasons(stacks: Any, stack: str, ending: str) -> dict[str, str]:
    """Return the reasons of the events with a status of that ending, by logical id."""
    return {
        event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
        for event in events(stacks, stack)
        if event["ResourceStatus"].endswith(ending)
    }


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_a_stack_is_made_of_what_other_services_then_have(stacks: Any, api: Clients, name: str) -> None:
    assert deploy(stacks, name, template(name), Tags=[{"Key": "team", "Value": "data"}]) == "CREATE_COMPLETE"
    stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}-role"
    assert outputs == {"Role": role, "Bucket": f"{name}-bucket"}
    assert stack["Tags"] == [{"Key": "team", "Value": "data"}]
    api("s3").head_bucket(Bucket=f"{name}-bucket")
    repository = api("codeartifact").describe_repository(domain=f"{name}-domain", repository="store")
    assert repository["repository"]["externalConnections"][0]["externalConnectionName"] == "public:pypi"
    job = api("glue").get_job(JobName=f"{name}-job")["Job"]
    assert (job["Role"], job["Command"]["ScriptLocation"]) == (role, f"s3://{name}-bucket/job.py")
    assert api("glue").get_database(Name=f"{name}_db")["Database"]["Name"] == f"{name}_db"
    policy = api("iam").get_role_policy(RoleName=f"{name}-role", PolicyName="own")["PolicyDocument"]
    assert policy["Statement"][0]["Resource"] == f"arn:aws:s3:::{name}-bucket/*"
    group = api("logs").describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"][0]
    assert group["retentionInDays"] == 30
    machine = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:{name}-machine"
    definition = api("stepfunctions").describe_state_machine(stateMachineArn=machine)["definition"]
    assert json.loads(definition)["States"]["Done"]["Result"] == f"{name}-job"


def test_what_the_stand_in_lacks_is_told_as_skipped_and_left_out(stacks: Any, name: str) -> None:
    deploy(stacks, name, template(name))
    told = reasons(stacks, name, "_COMPLETE")
    assert told["Broker"] == "skipped: the stand-in has no AWS::AmazonMQ::Broker"
    assert told["Bucket"] == "the stand-in does nothing with VersioningConfiguration"


def test_the_same_template_again_changes_nothing(stacks: Any, name: str) -> None:
    deploy(stacks, name, template(name))
    again = change_set(stacks, name, template(name), "UPDATE")
    assert (again["Status"], again["ExecutionStatus"], again["Changes"]) == ("FAILED", "UNAVAILABLE", [])
    assert "didn't contain changes" in again["StatusReason"]
    with pytest.raises(ClientError) as raised:
        stacks.execute_change_set(ChangeSetName=again["ChangeSetId"])
    assert code(raised) == "InvalidChangeSetStatus"


def test_an_update_adds_changes_replaces_and_removes(stacks: Any, api: Clients, name: str) -> None:
    deploy(stacks, name, template(name))
    old = resources(name)
    job = changed(old["Job"], Timeout=99)
    logs = changed(old["Logs"], LogGroupName=f"/{name}/other")
    later = template(name, without=("Database",), Job=job, Logs=logs, More=old["Logs"])
    found = change_set(stacks, name, later, "UPDATE")
    told = {one["ResourceChange"]["LogicalResourceId"]: one["ResourceChange"] for one in found["Changes"]}
    assert {name: one["Action"] for name, one in told.items()} == {
        "Database": "Remove",
        "Job": "Modify",
        "Logs": "Modify",
        "More": "Add",
    }
    assert (told["Job"]["Replacement"], told["Logs"]["Replacement"]) == ("False", "True")
    [target] = [one["Target"] for one in told["Job"]["Details"]]
    assert (target["Path"], target["AfterValue"]) == ("/Properties/Timeout", "99")
    # The name that the old log group has is free only when it is gone.
    assert deploy(stacks, name, later, "UPDATE") == "UPDATE_ROLLBACK_COMPLETE"
    later = template(name, without=("Database",), Job=job, Logs=logs)
    assert deploy(stacks, name, later, "UPDATE") == "UPDATE_COMPLETE"
    assert api("glue").get_job(JobName=f"{name}-job")["Job"]["Timeout"] == 99
    groups = api("logs").describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"]
    assert [one["logGroupName"] for one in groups] == [f"/{name}/other"]
    with pytest.raises(ClientError, match="not found"):
        api("glue").get_database(Name=f"{name}_db")


def test_a_creation_that_fails_takes_back_what_was_made(stacks: Any, api: Clients, name: str) -> None:
    api("iam").create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument="{}")
    try:
        assert deploy(stacks, name, template(name)) == "ROLLBACK_COMPLETE"
    finally:
        api("iam").delete_role(RoleName=f"{name}-role")
    assert "already exists" in reasons(stacks, name, "CREATE_FAILED")["Role"]
    assert "HandlerErrorCode: AlreadyExists" in reasons(stacks, name, "CREATE_FAILED")["Role"]
    with pytest.raises(ClientError):
        api("s3").head_bucket(Bucket=f"{name}-bucket")
    with pytest.raises(ClientError) as raised:
        change_set(stacks, name, template(name), "UPDATE")
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in str(raised.value)
    with pytest.raises(ClientError, match="already exists and cannot be created again"):
        change_set(stacks, name, template(name))


def test_a_creation_may_be_told_to_leave_nothing_when_it_fails(stacks: Any, stand_in: StandIn, name: str) -> None:
    with stand_in.switches.faults("iam:CreateRole=403"):
        made = change_set(stacks, name, template(name), OnStackFailure="DELETE")
        stacks.execute_change_set(ChangeSetName=made["ChangeSetId"])
        assert finished(stacks, made["StackId"]) == "DELETE_COMPLETE"
    reason = reasons(stacks, made["StackId"], "CREATE_FAILED")["Role"]
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}-role"
    assert f"is not authorized to perform: iam:CreateRole on resource: {role} because" in reason
    assert status(stacks, name) is None


def test_a_rollback_that_fails_can_be_continued(stacks: Any, api: Clients, stand_in: StandIn, name: str) -> None:
    deploy(stacks, name, template(name))
    old = resources(name)
    body = template(name, Logs=changed(old["Logs"], RetentionInDays=60), Job=changed(old["Job"], Timeout=99))
    with stand_in.switches.faults("glue:UpdateJob=403"):
        assert deploy(stacks, name, body, "UPDATE") == "UPDATE_ROLLBACK_FAILED"
        stacks.continue_update_rollback(StackName=name)
        assert finished(stacks, name) == "UPDATE_ROLLBACK_FAILED"
    stacks.continue_update_rollback(StackName=name)
    assert finished(stacks, name) == "UPDATE_ROLLBACK_COMPLETE"
    group = api("logs").describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"][0]
    assert group["retentionInDays"] == 30


def test_a_bucket_with_objects_and_what_it_needs_stay_until_it_is_empty(
    stacks: Any, api: Clients, name: str
) -> None:
    deploy(stacks, name, template(name, without=("Job", "Machine")))
    api("s3").put_object(Bucket=f"{name}-bucket", Key="x", Body=b"x")
    stacks.delete_stack(StackName=name)
    assert finished(stacks, name) == "DELETE_FAILED"
    assert "BucketNotEmpty" in reasons(stacks, name, "DELETE_FAILED")["Bucket"]
    left = {one["LogicalResourceId"] for one in listed(stacks, name) if one["ResourceStatus"] != "DELETE_COMPLETE"}
    assert left == {"Bucket"}
    api("s3").delete_object(Bucket=f"{name}-bucket", Key="x")
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    stacks.delete_stack(StackName=name)
    assert finished(stacks, arn) == "DELETE_COMPLETE"


def test_what_is_to_be_kept_outlives_its_stack(stacks: Any, api: Clients, name: str) -> None:
    kept = {**resources(name)["Bucket"], "DeletionPolicy": "Retain"}
    deploy(stacks, name, template(name, Bucket=kept))
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    stacks.delete_stack(StackName=name)
    assert finished(stacks, arn) == "DELETE_COMPLETE"
    api("s3").head_bucket(Bucket=f"{name}-bucket")
    # As it was made by a stack of this stand-in, the next one takes it over.
    assert deploy(stacks, name, template(name)) == "CREATE_COMPLETE"
    assert "adopted" in reasons(stacks, name, "_COMPLETE")["Bucket"]


def test_one_change_at_a_time(stacks: Any, stand_in: StandIn, name: str) -> None:
    with stand_in.switches.faults("iam:CreateRole=1s"):
        made = change_set(stacks, name, template(name))
        other = change_set(stacks, name, template(name))
        stacks.execute_change_set(ChangeSetName=made["ChangeSetId"])
        for refused in (
            lambda: stacks.execute_change_set(ChangeSetName=other["ChangeSetId"]),
            lambda: change_set(stacks, name, template(name), "UPDATE"),
            lambda: stacks.delete_stack(StackName=name),
        ):
            with pytest.raises(ClientError) as raised:
                refused()
            assert code(raised) in ("InvalidChangeSetStatus", "ValidationError")
        assert finished(stacks, name) == "CREATE_COMPLETE"


def test_what_local_up_has_made_is_taken_over_and_spared_by_a_rollback(
    stacks: Any, api: Clients, stand_in: StandIn, name: str
) -> None:
    bucket = changed(resources(name)["Bucket"], BucketName="staging-area")
    with stand_in.switches.faults("states:CreateStateMachine=403"):
        assert deploy(stacks, name, template(name, Bucket=bucket)) == "ROLLBACK_COMPLETE"
    assert "adopted" in reasons(stacks, name, "CREATE_COMPLETE")["Bucket"]
    api("s3").head_bucket(Bucket="staging-area")


def test_pages_of_events_are_told_once_and_in_order(stacks: Any, name: str) -> None:
    many = {f"Log{n:03}": {"Type": "AWS::Logs::LogGroup"} for n in range(60)}
    deploy(stacks, name, template(name, **many))
    found = events(stacks, name)
    assert len({one["EventId"] for one in found}) == len(found) > 130
    assert [one["Timestamp"] for one in found] == sorted(one["Timestamp"] for one in found)
    assert len(listed(stacks, name)) == len(resources(name)) + 60


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TemplateBody": "{"}, "ValidationError"),
        ({"TemplateBody": "x" * 51_201}, "ValidationError"),
        ({"TemplateURL": "https://s3.amazonaws.com/no-such-bucket/x"}, "ValidationError"),
        ({"TemplateBody": template("x"), "Capabilities": []}, "InsufficientCapabilitiesException"),
        ({"TemplateBody": template("x"), "StackName": "-x"}, "ValidationError"),
        ({"TemplateBody": template("x"), "ChangeSetType": "UPDATE"}, "ValidationError"),
        ({"TemplateBody": template("x"), "Parameters": [{"ParameterKey": "no"}]}, "ValidationError"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once_and_leaves_no_stack(
    stacks: Any, given: dict[str, Any], expected: str
) -> None:
    arguments = {"StackName": "refused", "ChangeSetName": "x", "ChangeSetType": "CREATE", **given}
    with pytest.raises(ClientError) as raised:
        stacks.create_change_set(**{"Capabilities": ["CAPABILITY_NAMED_IAM"], **arguments})
    assert code(raised) == expected
    assert status(stacks, "refused") is None


def test_a_template_of_up_to_a_megabyte_comes_from_s3(stacks: Any, api: Clients, name: str) -> None:
    body = template(name, Bucket=changed(resources(name)["Bucket"], Note="x" * 60_000))
    api("s3").put_object(Bucket="staging-area", Key="t/a b.json", Body=body.encode())
    for url in (
        "https://s3.eu-west-1.amazonaws.com/staging-area/t/a%20b.json",
        "https://staging-area.s3.amazonaws.com/t/a%20b.json",
    ):
        told = stacks.validate_template(TemplateURL=url)
        assert [one["ParameterKey"] for one in told["Parameters"]] == ["Minutes"]
        assert told["Capabilities"] == ["CAPABILITY_NAMED_IAM"]


def test_a_protected_stack_is_not_deleted(stacks: Any, name: str) -> None:
    deploy(stacks, name, template(name))
    stacks.update_termination_protection(StackName=name, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection"):
        stacks.delete_stack(StackName=name)
    stacks.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def test_the_aws_command_reads_what_is_told(stand_in: StandIn, stacks: Any, name: str, tmp_path: Path) -> None:
    # Not `deploy`: it looks at a stack every thirty seconds.
    (tmp_path / "t.json").write_text(template(name))
    environ = {**stand_in.environment(os.environ), "HOME": str(tmp_path), "AWS_PAGER": ""}

    def aws(*arguments: str) -> Any:
        done = subprocess.run(
            [AWS, "cloudformation", *arguments, "--stack-name", name],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    words = ("--change-set-name", "aws", "--change-set-type", "CREATE", "--capabilities", "CAPABILITY_NAMED_IAM")
    aws("create-change-set", *words, "--template-body", f"file://{tmp_path / 't.json'}")
    assert len(aws("describe-change-set", "--change-set-name", "aws")["Changes"]) == len(resources(name))


def listed(stacks: Any, stack: str) -> list[dict[str, Any]]:
    pages = stacks.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [one for page in pages for one in page["StackResourceSummaries"]]


def changed(resource: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return a resource of a template with other properties."""
    return {**resource, "Properties": {**resource["Properties"], **properties}}


# --- the kinds of resources that the small template has not

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Bucket.Arn}/*"}}],
}
KINDS: dict[str, Any] = {
    "Key": {"Type": "AWS::KMS::Key", "Properties": {"Description": "d", "KeyPolicy": {"Statement": []}}},
    "Alias": {
        "Type": "AWS::KMS::Alias",
        "Properties": {"AliasName": "alias/a-key", "TargetKeyId": {"Ref": "Key"}},
    },
    "Managed": {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": POLICY, "Roles": [{"Ref": "Role"}]},
    },
    "Inline": {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "inline",
            "PolicyDocument": POLICY,
            "Roles": [{"Ref": "Role"}],
        },
    },
    "Role": ROLE,
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Net": {
        "Type": "AWS::Glue::Connection",
        "Properties": {
            "CatalogId": "1",
            "ConnectionInput": {
                "Name": "net",
                "ConnectionType": "NETWORK",
                "PhysicalConnectionRequirements": {"SubnetId": {"Ref": "Subnet"}},
            },
        },
    },
    "Encrypted": {
        "Type": "AWS::Glue::SecurityConfiguration",
        "Properties": {
            "Name": "enc",
            "EncryptionConfiguration": {"S3Encryptions": [{"S3EncryptionMode": "SSE-S3"}]},
        },
    },
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/24", "EnableDnsSupport": True}},
    "Subnet": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {
            "VpcId": {"Ref": "Vpc"},
            "CidrBlock": {"Fn::Select": [0, {"Fn::Cidr": [{"Fn::GetAtt": "Vpc.CidrBlock"}, 2, 7]}]},
        },
    },
    "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
    "Group": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": "d",
            "VpcId": {"Ref": "Vpc"},
            "SecurityGroupEgress": [
                {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.9.0.0/24"}
            ],
        },
    },
    "Gateway": {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {
            "VpcId": {"Ref": "Vpc"},
            "ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
            "RouteTableIds": [{"Ref": "Routes"}],
        },
    },
    "Rule": {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": ["aws.codeartifact"]},
            "Targets": [{"Id": "t", "Arn": {"Ref": "Topic"}}],
        },
    },
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "notices"}},
    "Alarm": {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "Namespace": "AWS/Events",
            "MetricName": "m",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": [{"Ref": "Topic"}],
        },
    },
}


def test_other_kinds_are_made_changed_replaced_with_what_refers_to_them_and_removed(
    stacks: Any, api: Clients, name: str
) -> None:
    made = deploy(stacks, name, json.dumps({"Resources": KINDS}))
    assert made == "CREATE_COMPLETE", reasons(stacks, name, "_FAILED")
    before = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed(stacks, name)}
    subnet = api("ec2").describe_subnets(SubnetIds=[before["Subnet"]])["Subnets"][0]
    assert (subnet["VpcId"], subnet["CidrBlock"]) == (before["Vpc"], "10.9.0.0/25")
    connection = api("glue").get_connection(Name="net")["Connection"]
    assert connection["PhysicalConnectionRequirements"]["SubnetId"] == before["Subnet"]
    attached = api("iam").list_attached_role_policies(RoleName=f"{name}-role")["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == [before["Managed"]]
    later = {
        **KINDS,
        "Vpc": changed(KINDS["Vpc"], CidrBlock="10.8.0.0/24"),
        "Group": changed(KINDS["Group"], SecurityGroupEgress=[]),
        "Alarm": changed(KINDS["Alarm"], Threshold=9),
        "Key": changed(KINDS["Key"], Description="other"),
        "Managed": changed(KINDS["Managed"], Roles=[]),
        "Rule": changed(KINDS["Rule"], Targets=[]),
    }
    made = deploy(stacks, name, json.dumps({"Resources": later}), "UPDATE")
    assert made == "UPDATE_COMPLETE", reasons(stacks, name, "_FAILED")
    after = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed(stacks, name)}
    replaced = {name for name in before if before[name] != after[name]}
    assert replaced == {"Vpc", "Subnet", "Routes", "Group", "Gateway"}
    assert api("cloudwatch").describe_alarms(AlarmNames=[after["Alarm"]])["MetricAlarms"][0]["Threshold"] == 9
    connection = api("glue").get_connection(Name="net")["Connection"]
    assert connection["PhysicalConnectionRequirements"]["SubnetId"] == after["Subnet"]
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    stacks.delete_stack(StackName=name)
    assert finished(stacks, arn) == "DELETE_COMPLETE", reasons(stacks, arn, "_FAILED")
    vpcs = api("ec2").describe_vpcs()["Vpcs"]
    assert {before["Vpc"], after["Vpc"]}.isdisjoint(one["VpcId"] for one in vpcs)
    assert api("glue").get_connections()["ConnectionList"] == []
