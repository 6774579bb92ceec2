"""CloudFormation of a stand-in, asked by boto3 and the AWS command line: resources are really made."""

from __future__ import annotations

import json
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
from tests.stacks import template
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
    assert told["Alarm"] == "skipped: the stand-in has no AWS::CloudWatch::Alarm"
    assert told["Bucket"] == "the stand-in does nothing with VersioningConfiguration"
