"""AWS Step Functions: executions of state machines."""

from __future__ import annotations

import re
from typing import Any

from glue_pkgmgr.adapters.caller import caller_arn
from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.core.workflow import Execution, ExecutionStatus
from glue_pkgmgr.errors import RemoteError

_CALLER = re.compile(r"arn:(?P<partition>[a-z-]+):[a-z]+::(?P<account>\d{12}):")


class StepFunctions:
    """The executions of one account and region; satisfies `ports.StateMachines`.

    `client` is boto3's of Step Functions, `caller` that of STS: an ARN needs the account.
    """

    def __init__(self, client: Any, caller: Any, region: str) -> None:
        self._client = client
        self._caller = caller
        self._region = region

    def start(self, machine: str, content: str, name: str | None) -> str:
        """Start an execution of the state machine called `machine`, and return its ARN.

        Raises: RemoteError. Source: StartExecution, which gives a name to one execution only.
        """
        arn = self._arn(machine)
        called = {} if name is None else {"name": name}
        try:
            with aws_errors(f"could not start the state machine {machine}", needs="states:StartExecution"):
                return str(
                    self._client.start_execution(stateMachineArn=arn, input=content, **called)["executionArn"]
                )
        except RemoteRefusal as e:
            if e.code == "ExecutionAlreadyExists" and name is not None:
                return f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
            if e.code == "StateMachineDoesNotExist":
                raise RemoteError(f"there is no state machine {arn}; `glue-pkgmgr stack deploy` makes it") from e
            raise

    def describe(self, execution: str) -> Execution:
        """Return an execution as it is now. Raises: RemoteError."""
        with aws_errors(f"could not read execution {execution}", needs="states:DescribeExecution"):
            told = self._client.describe_execution(executionArn=execution)
            return Execution(
                arn=execution,
                status=_status(told["status"], execution),
                error=told.get("error") or "",
                cause=told.get("cause") or "",
            )

    def _arn(self, machine: str) -> str:
        caller = caller_arn(self._caller)
        found = _CALLER.match(caller)
        if not found:
            raise RemoteError(f"AWS says that {caller!r} is calling, which names no account")
        return f"arn:{found['partition']}:states:{self._region}:{found['account']}:stateMachine:{machine}"


def _status(text: str, execution: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(text)
    except ValueError as e:
        raise RemoteError(f"execution {execution} is {text!r}, a state that we do not know") from e
