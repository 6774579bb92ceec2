"""moto's Step Functions interpreter: what it cannot do by itself, and can with our corrections.

Each runs in a process of its own, as the corrections hold for a whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.local.state import without_aws

ROOT = Path(__file__).parents[3]
# Runs one state machine on a moto server of its own and prints what DescribeExecution says of its end.
EXECUTE = """
import json, os, sys, time
import boto3
from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

default_user_config["stepfunctions"]["execute_state_machine"] = True
if sys.argv[1] == "corrected":
    from glue_pkgmgr.local import step_functions
    step_functions.correct()
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
os.environ["MOTO_PORT"] = str(port)

def client(service):
    return boto3.client(service, endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                        aws_access_key_id="test", aws_secret_access_key="test")

role = "arn:aws:iam::123456789012:role/test"
client("glue").create_job(Name="job", Role=role, Command={"Name": "glueetl"})
states = client("stepfunctions")
task = {"Type": "Task", "Resource": sys.argv[2], "Parameters": json.loads(sys.argv[3]), "End": True}
definition = json.dumps({"StartAt": "Task", "States": {"Task": task}})
machine = states.create_state_machine(name="machine", definition=definition, roleArn=role)["stateMachineArn"]
execution = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
try:
    again = states.start_execution(stateMachineArn=machine, input='{"again": true}')["executionArn"]
except ClientError as e:
    again = e.response["Error"]["Code"]
while True:
    try:
        end = states.describe_execution(executionArn=execution)
    except ClientError as e:
        end = {"status": "UNREADABLE", "error": str(e)}
    if end["status"] != "RUNNING":
        break
    time.sleep(0.05)
print(json.dumps({"status": end["status"], "output": end.get("output"), "error": end.get("error"),
                  "execution": execution, "again": again}))
server.stop()
"""
A_MACHINE = {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:machine"}


def execute(how: str, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-c", EXECUTE, how, f"arn:aws:states:::{resource}", json.dumps(parameters)],
        cwd=ROOT,
        env=without_aws(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    end: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return end


@pytest.mark.parametrize(
    ("resource", "parameters"),
    [("aws-sdk:sfn:describeStateMachine", A_MACHINE), ("glue:startJobRun.sync", {"JobName": "job"})],
)
def test_moto_still_needs_the_correction(resource: str, parameters: dict[str, Any]) -> None:
    # When this fails, moto has learnt it: take the correction out.
    assert execute("as it is", resource, parameters)["status"] != "SUCCEEDED"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return execute("corrected", "aws-sdk:sfn:describeStateMachine", A_MACHINE)


def test_an_aws_sdk_task_speaks_pascal_case_both_ways(described: dict[str, Any]) -> None:
    assert described["status"] == "SUCCEEDED", described
    machine = json.loads(described["output"])
    assert machine["StateMachineArn"] == A_MACHINE["StateMachineArn"]
    assert machine["CreationDate"][:2] == "20"  # a time, as text


def test_moto_still_calls_an_execution_without_a_name_none() -> None:
    end = execute("as it is", "aws-sdk:sfn:describeStateMachine", A_MACHINE)
    assert (end["execution"].rpartition(":")[2], end["again"]) == ("None", "ExecutionAlreadyExists")


def test_every_execution_without_a_name_gets_one(described: dict[str, Any]) -> None:
    names = {described[key].rpartition(":")[2] for key in ("execution", "again")}
    assert len(names) == 2
    assert all(len(name) == 36 for name in names)


def test_a_glue_task_waits_for_the_end_of_its_run() -> None:
    end = execute("corrected", "glue:startJobRun.sync", {"JobName": "job"})
    assert end["status"] == "SUCCEEDED", end
    run = json.loads(end["output"])
    assert (run["JobName"], run["JobRunState"]) == ("job", "SUCCEEDED")


def test_a_refused_task_fails_with_the_words_of_the_service() -> None:
    end = execute("corrected", "glue:startJobRun.sync", {"JobName": "nothing"})
    assert (end["status"], end["error"]) == ("FAILED", "Glue.EntityNotFoundException")
