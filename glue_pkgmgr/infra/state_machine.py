"""State machines that run a Glue job with approved packages, in the Amazon States Language (JSONPath).

`definition` keeps every secret out of the execution's history: a function checks, mints and starts, and tells
the states nothing that opens anything. `token_definition` does with AWS's own integrations what can be done with
them: then the history holds a token, and nothing is checked before the run.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

State = dict[str, Any]

POLL_SECONDS = 30
"""Between two looks at a run, at least: a look costs two state transitions and one short call."""

_EVENTS_OF_A_LOOK = 9  # three of its states are entered and left, and the call is scheduled, begun and ended
# Source: Step Functions Developer Guide, "Quotas related to state machine executions": an execution fails at its
# 25,000th event. The rest is for launching, and for calls that are made again.
_MOST_EVENTS = 20_000

_GLUE_ITSELF = timedelta(minutes=30)  # that a run may wait, start, and be stopped in, beside its own time-out
_FINAL = ["SettingsError", "NotApproved", "NotInstallable"]
_REFUSED = [*_FINAL, "IndexAccessError", "RemoteError", "NoCapacity"]
_INVOKE = "arn:{partition}:states:::lambda:invoke"

# Growing pauses, and not the same for all who met the same trouble.
_TROUBLE = {"IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 4, "JitterStrategy": "FULL"}
_PLACE = {**_TROUBLE, "IntervalSeconds": 30, "BackoffRate": 1.5, "MaxAttempts": 12, "MaxDelaySeconds": 300}


def function_name(stack: str) -> str:
    """Return the name of the function that the state machine of a stack calls."""
    return f"{stack}-launch"


def definition(
    job: str,
    function: str,
    *,
    timeout: timedelta,
    partition: str = "aws",
    poll_seconds: int = POLL_SECONDS,
    retries: int = 1,
) -> State:
    """Return the state machine that launches jobs and follows their runs to their end.

    `function` names the function made of `functions.launch`, by name or ARN. `job` is launched where an execution
    names none, a key of the settings; `timeout` is the longest of all jobs; `retries` is how often a run that
    failed without having begun its script is started again. A run is looked at every `poll_seconds`, less often
    the longer it may take: a history has a largest size. The input is that of `core.workflow.WorkflowInput`, such
    as `{"pythonmodules": "boto3,glueutils==0.2.0"}`.

    Where it fails, its error is the name of one of ours, and its cause a sentence.
    """
    invoke = _INVOKE.format(partition=partition)

    def call(do: str, payload: State, result: str, then: str) -> State:
        return {
            "Type": "Task",
            "Resource": invoke,
            "Parameters": {"FunctionName": function, "Payload": {"do": do, **payload}},
            "ResultSelector": {"told.$": "$.Payload"},
            "ResultPath": f"$.{result}",
            # Who is called again finds what was done before: whatever is not a refusal may be tried again.
            "Retry": [
                {"ErrorEquals": _FINAL, "MaxAttempts": 0},
                *([{"ErrorEquals": ["NoCapacity"], **_PLACE}] if do == "launch" else []),
                {"ErrorEquals": ["States.ALL"], **_TROUBLE},
            ],
            "Catch": [
                {"ErrorEquals": _REFUSED, "ResultPath": "$.failed", "Next": "Reasons"},
                {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failed", "Next": "Broken"},
            ],
            "Next": then,
        }

    launch = {"job": job, "execution.$": "$$.Execution.Id", "input.$": "$.input", "attempt.$": "$.attempt"}
    seconds = _whole(timeout + _GLUE_ITSELF) * (retries + 1)
    pause = max(poll_seconds, math.ceil(seconds * _EVENTS_OF_A_LOOK / _MOST_EVENTS))
    look = {"job.$": "$.launched.told.job", "run.$": "$.launched.told.run"}
    states: State = {
        "Begin": {"Type": "Pass", "Parameters": {"input.$": "$", "attempt": 1}, "Next": "Launch"},
        # In one step: no token is ever data of a state.
        "Launch": call("launch", launch, "launched", "Wait"),
        "Wait": {"Type": "Wait", "Seconds": pause, "Next": "Look"},
        "Look": call("look", look, "seen", "Ended?"),
        "Ended?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.seen.told.ended", "BooleanEquals": False, "Next": "Wait"},
                {"Variable": "$.seen.told.succeeded", "BooleanEquals": True, "Next": "Tell"},
                {
                    "And": [
                        {"Variable": "$.seen.told.ran_nothing", "BooleanEquals": True},
                        {"Variable": "$.attempt", "NumericLessThanEquals": retries},
                    ],
                    "Next": "Again",
                },
            ],
            "Default": "Failed",
        },
        "Again": {
            "Type": "Pass",
            "Parameters": {"input.$": "$.input", "attempt.$": "States.MathAdd($.attempt, 1)"},
            "Next": "Launch",
        },
        "Tell": {
            "Type": "Pass",
            "Parameters": {"launched.$": "$.launched.told", "ended.$": "$.seen.told"},
            "Next": "Succeeded",
        },
        "Succeeded": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.seen.told.error", "CausePath": "$.seen.told.cause"},
        # What Lambda tells of an error is JSON in a text.
        "Reasons": {
            "Type": "Pass",
            "Parameters": {"error.$": "$.failed.Error", "told.$": "States.StringToJson($.failed.Cause)"},
            "Next": "Refused",
        },
        "Refused": {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.told.errorMessage"},
        "Broken": {"Type": "Fail", "ErrorPath": "$.failed.Error", "CausePath": "$.failed.Cause"},
    }
    return {
        "Comment": "Runs Glue jobs with approved packages; no token is in its history.",
        "StartAt": "Begin",
        "TimeoutSeconds": seconds,
        "States": states,
    }


def token_definition(
    job_name: str,
    *,
    domain: str,
    owner: str,
    endpoint: str,
    timeout: timedelta,
    token_seconds: int,
    partition: str = "aws",
) -> State:
    """Return the state machine without a function: GetAuthorizationToken, then the index URL, then the run.

    `endpoint` is what GetRepositoryEndpoint tells of the approved repository, with a slash at its end;
    `job_name` the name of the job in Glue, `token_seconds` how long the token lives: it has to outlive waiting,
    starting and installing. The input is `{"pythonmodules": "boto3,glueutils==0.2.0"}`.

    The token and the URL are in the history of every execution, and in the arguments of the run: whoever may
    read one of them may read the repository until the token ends. Nothing is checked before the run costs money.
    """
    scheme, _, place = endpoint.partition("://")
    # Braces, quotes and backslashes would be read by States.Format; no domain, host or repository has one.
    url = f"--index-url={scheme}://aws:{{}}@{place}simple/"
    failed = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failed", "Next": "Failed"}]
    states: State = {
        "Mint": {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::aws-sdk:codeartifact:getAuthorizationToken",
            "Parameters": {"Domain": domain, "DomainOwner": owner, "DurationSeconds": token_seconds},
            "ResultSelector": {"token.$": "$.AuthorizationToken"},
            "ResultPath": "$.minted",
            # Error names begin with this word, not with `CodeArtifact`.
            "Retry": [
                {
                    "ErrorEquals": [
                        "Codeartifact.ThrottlingException",
                        "Codeartifact.InternalServerException",
                        "Codeartifact.SdkClientException",
                    ],
                    **_TROUBLE,
                }
            ],
            "Catch": failed,
            "Next": "Run",
        },
        "Run": {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::glue:startJobRun.sync",
            "Parameters": {
                "JobName": job_name,
                "Arguments": {
                    "--additional-python-modules.$": "$.pythonmodules",
                    "--python-modules-installer-option.$": f"States.Format('{url}', $.minted.token)",
                },
            },
            # Its result has the arguments of the run: they go no further.
            "ResultSelector": {"run.$": "$.Id", "state.$": "$.JobRunState"},
            "ResultPath": "$.ended",
            "Retry": [{"ErrorEquals": ["Glue.ThrottlingException"], **_TROUBLE}],
            "Catch": [
                {
                    "ErrorEquals": ["Glue.ConcurrentRunsExceededException"],
                    "ResultPath": None,
                    "Next": "Wait for a place",
                },
                *failed,
            ],
            "OutputPath": "$.ended",
            "Next": "Succeeded",
        },
        # A token that has waited here may end too early: a new one is minted.
        "Wait for a place": {"Type": "Wait", "Seconds": 60, "Next": "Mint"},
        "Succeeded": {"Type": "Succeed"},
        # The cause of a failed run has its arguments, and so the token: it is not told again.
        "Failed": {"Type": "Fail", "ErrorPath": "$.failed.Error", "Cause": "see the runs of the job in AWS Glue"},
    }
    return {
        "Comment": f"Runs {job_name} with a token that stays in the history of the execution.",
        "StartAt": "Mint",
        "TimeoutSeconds": _whole(timeout + _GLUE_ITSELF),
        "States": states,
    }


def _whole(time: timedelta) -> int:
    return int(time.total_seconds())
