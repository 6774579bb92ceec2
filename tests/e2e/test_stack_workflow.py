"""From `stack deploy` to a run: the function and the state machine of the stack, in a stand-in of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import APPROVED, BUCKET, needs_python_of_glue_5
from tests.e2e.test_workflow import FUNCTION, MACHINE, needs_python_of_the_function
from tests.e2e.workspace import MARK, Workspace, ended

pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5, needs_python_of_the_function]

# Six jobs make a template that does not fit into a request.
STAGING = ("--staging", f"s3://{BUCKET}/templates/")


def test_a_stack_is_deployed_with_its_workflow_which_launches_jobs(tmp_path: Path) -> None:
    workspace = Workspace.make(tmp_path, glue_versions={})
    try:
        assert workspace.run("local", "up").returncode == 0
        workspace.told("publish")
        workspace.told("approve", *APPROVED, "--by", "ann", "--reason", "reviewed")
        without = workspace.ours("stack", "deploy", "--yes", *STAGING)
        assert without.returncode == 0, without.stderr
        assert (
            "the workflow stays as it is, as its function cannot be made: bundle 'taxi' has no lock"
            in without.stderr
        )
        assert workspace.api("lambda").list_functions()["Functions"] == []

        workspace.told("lock")
        workspace.told("mirror", "sync")
        assert MACHINE in str(workspace.told("stack", "diff", *STAGING))
        workspace.told("stack", "deploy", "--yes", *STAGING)
        assert workspace.told("stack", "diff", *STAGING)["changes"] == []

        function = workspace.api("lambda").get_function_configuration(FunctionName=FUNCTION)
        assert function["Runtime"] == "python3.13"
        states = workspace.api("stepfunctions")
        (machine,) = states.list_state_machines()["stateMachines"]
        definition = json.loads(
            states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])["definition"]
        )
        definition["States"]["Wait"]["Seconds"] = 1
        states.update_state_machine(stateMachineArn=machine["stateMachineArn"], definition=json.dumps(definition))
        assert workspace.told("launch", "probe", "--via", "stepfunctions")["state"] == "SUCCEEDED"
    finally:
        workspace.run("local", "down")
    assert ended(workspace.environment[MARK]) == []
