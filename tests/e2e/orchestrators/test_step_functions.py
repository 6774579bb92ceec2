"""A state machine starts our jobs as the README tells, with the arguments that a Lambda handler makes."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.conftest import needs_python_of_glue_5
from tests.e2e.orchestrators.started import INSTALLED, Started, tokens_in
from tests.e2e.readme import block
from tests.e2e.workspace import until

pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5]

# AWS gives a handler its event and keeps what it returns as JSON.
IN_LAMBDA = """
import json, sys
exec(sys.argv[1])
print(json.dumps(handler(json.loads(sys.argv[2]), None)))
"""


def test_a_state_machine_starts_what_a_handler_asks_for(road):
    event = {"job": "probe", "arguments": {"WEEK": "12"}}
    handled = road.workspace.client(sys.executable, "-c", IN_LAMBDA, block("python lambda"), json.dumps(event))
    assert handled.returncode == 0, handled.stderr
    assert not tokens_in(handled.stdout.encode(), [])

    states = road.workspace.api("stepfunctions")
    definition = {"StartAt": "Run", "States": {"Run": json.loads(block("json step-functions"))}}
    machine = states.create_state_machine(
        name="probe", definition=json.dumps(definition), roleArn="arn:aws:iam::111122223333:role/states"
    )["stateMachineArn"]
    try:
        execution = states.start_execution(stateMachineArn=machine, input=handled.stdout)["executionArn"]

        def ended() -> bool:
            return states.describe_execution(executionArn=execution)["status"] != "RUNNING"

        until(ended, "the execution ends")
        told = states.describe_execution(executionArn=execution)
    finally:
        states.delete_state_machine(stateMachineArn=machine)
    assert told["status"] == "SUCCEEDED", told.get("cause")
    started = Started.of(road, json.loads(told["output"])["Id"])
    assert started.run["Arguments"]["--WEEK"] == "12"
    assert started.delivery == "wheels"
    assert started.versions == INSTALLED
