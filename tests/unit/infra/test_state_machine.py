"""State machines are data: what leads where, what is tried again, and that no secret is ever data of a state."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from glue_pkgmgr.infra.state_machine import definition, token_definition

HOUR = timedelta(hours=1)
MACHINE = definition("taxi", "stack-launch", timeout=HOUR)
WITH_TOKEN = token_definition(
    "taxi-job",
    domain="acme",
    owner="111122223333",
    endpoint="https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/approved/",
    timeout=HOUR,
    token_seconds=1800,
)


def leads_to(state: dict[str, Any]) -> set[str]:
    """Return the names of the states that may come after one."""
    names = {state.get("Next"), state.get("Default")}
    names |= {one["Next"] for one in [*state.get("Catch", ()), *state.get("Choices", ())]}
    return {name for name in names if name}


@pytest.mark.parametrize("machine", [MACHINE, WITH_TOKEN], ids=["with the function", "with a token"])
class TestBoth:
    def test_every_state_is_there_and_can_be_reached(self, machine: dict[str, Any]) -> None:
        reached: set[str] = set()
        new = {machine["StartAt"]}
        while new:
            reached |= new
            new = {name for state in new for name in leads_to(machine["States"][state])} - reached
        assert reached == set(machine["States"])

    def test_it_is_json_of_a_size_that_step_functions_takes(self, machine: dict[str, Any]) -> None:
        assert json.loads(json.dumps(machine)) == machine
        assert len(json.dumps(machine)) < 10_000

    def test_every_call_is_tried_again_with_growing_pauses_and_its_end_is_caught(
        self, machine: dict[str, Any]
    ) -> None:
        tasks = [state for state in machine["States"].values() if state["Type"] == "Task"]
        assert tasks
        for task in tasks:
            tried = [retry for retry in task["Retry"] if retry.get("MaxAttempts")]
            assert all(retry["BackoffRate"] > 1 and retry["JitterStrategy"] == "FULL" for retry in tried)
            assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]

    def test_it_does_not_wait_for_ever(self, machine: dict[str, Any]) -> None:
        assert machine["TimeoutSeconds"] > HOUR.total_seconds()


def test_the_function_alone_touches_codeartifact_and_glue() -> None:
    resources = {state["Resource"] for state in MACHINE["States"].values() if "Resource" in state}
    assert resources == {"arn:aws:states:::lambda:invoke"}
    states = {name: {**state, "Comment": ""} for name, state in MACHINE["States"].items()}
    assert not re.search("token|index-url", json.dumps(states).replace("Broken", ""), re.IGNORECASE)


def test_the_input_of_an_execution_reaches_the_function_as_it_is() -> None:
    begin, launch = MACHINE["States"]["Begin"], MACHINE["States"]["Launch"]
    assert begin["Parameters"] == {"input.$": "$", "attempt": 1}
    payload = launch["Parameters"]["Payload"]
    assert payload == {
        "do": "launch",
        "job": "taxi",
        "execution.$": "$$.Execution.Id",
        "input.$": "$.input",
        "attempt.$": "$.attempt",
    }


def test_the_job_that_was_launched_is_looked_at() -> None:
    payload = MACHINE["States"]["Look"]["Parameters"]["Payload"]
    assert payload == {"do": "look", "job.$": "$.launched.told.job", "run.$": "$.launched.told.run"}


def test_a_refusal_fails_at_once_under_its_own_name() -> None:
    launch = MACHINE["States"]["Launch"]
    final, *_ = launch["Retry"]
    assert final == {"ErrorEquals": ["SettingsError", "NotApproved", "NotInstallable"], "MaxAttempts": 0}
    assert launch["Catch"][0]["Next"] == "Reasons"
    refused = MACHINE["States"]["Refused"]
    assert (refused["ErrorPath"], refused["CausePath"]) == ("$.error", "$.told.errorMessage")


def test_a_run_is_only_started_again_as_often_as_asked_for() -> None:
    def most(retries: int) -> int:
        choices = definition("taxi", "f", timeout=HOUR, retries=retries)["States"]["Ended?"]["Choices"]
        return int(choices[-1]["And"][1]["NumericLessThanEquals"])

    assert (most(0), most(1), most(3)) == (0, 1, 3)


@pytest.mark.parametrize(("minutes", "pause"), [(1, 30), (480, 30), (24 * 60, 80), (7 * 24 * 60, 546)])
def test_the_history_of_the_longest_execution_stays_below_its_limit(minutes: int, pause: int) -> None:
    machine = definition("taxi", "f", timeout=timedelta(minutes=minutes))
    assert machine["States"]["Wait"]["Seconds"] == pause
    # Entered and left: Wait, Look, Ended?; scheduled, begun, ended: the call.
    assert machine["TimeoutSeconds"] / pause * 9 < 25_000


def test_another_partition_has_other_resources() -> None:
    china = definition("taxi", "f", timeout=HOUR, partition="aws-cn")["States"]["Launch"]
    assert china["Resource"] == "arn:aws-cn:states:::lambda:invoke"


def test_the_token_goes_no_further_than_it_has_to() -> None:
    run = WITH_TOKEN["States"]["Run"]
    option = run["Parameters"]["Arguments"]["--python-modules-installer-option.$"]
    assert option == (
        "States.Format('--index-url=https://aws:{}@acme-111122223333.d.codeartifact.us-east-1.amazonaws.com"
        "/pypi/approved/simple/', $.minted.token)"
    )
    assert (run["ResultSelector"], run["OutputPath"]) == ({"run.$": "$.Id", "state.$": "$.JobRunState"}, "$.ended")
    # The cause of a failed run would have its arguments.
    assert "CausePath" not in WITH_TOKEN["States"]["Failed"]


def test_who_waits_for_a_place_gets_a_new_token() -> None:
    caught = WITH_TOKEN["States"]["Run"]["Catch"][0]
    assert caught["ErrorEquals"] == ["Glue.ConcurrentRunsExceededException"]
    assert WITH_TOKEN["States"][caught["Next"]] == {"Type": "Wait", "Seconds": 60, "Next": "Mint"}
