"""What moto's Step Functions interpreter needs so that a state machine can mint a token and run a Glue job.

Corrections of moto 5.2.5, each with a test that fails when moto no longer needs it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import botocore.session
from botocore.model import OperationModel
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

_TASKS = "moto.stepfunctions.parser.asl.component.state.exec.state_task.service"
_WAIT_FOR_TASK_TOKEN = "waitForTaskToken"  # noqa: S105 - the name of a pattern


def correct() -> None:
    """Put the corrections in force in this process. Doing it again changes nothing."""
    # Any: what is replaced here is not meant to be, and moto's types say so.
    aws_sdk: Any = import_module(f"{_TASKS}.state_task_service_aws_sdk")
    aws_sdk.StateTaskServiceAwsSdk._normalise_parameters = _request_in_model_case
    aws_sdk.StateTaskServiceAwsSdk._normalise_response = _response_in_pascal_case
    # Source: Step Functions, "AWS SDK service integrations": error names begin with this word, not another case.
    aws_sdk._SERVICE_ERROR_NAMES["codeartifact"] = "Codeartifact"

    glue: Any = import_module(f"{_TASKS}.state_task_service_glue")
    # The end of a `.sync` task interrupts whoever waits for its task token, also when it has none.
    glue._SUPPORTED_INTEGRATION_PATTERNS.add(_WAIT_FOR_TASK_TOKEN)
    glue.StateTaskServiceGlue._build_sync_resolver = _job_run_as_json

    models: Any = import_module("moto.stepfunctions.parser.models")
    backend = models.StepFunctionsParserBackend
    # An execution without a name is called `None`, and the second one is refused.
    if not hasattr(backend.start_execution, "names"):
        backend.start_execution = _naming(backend.start_execution)


def _naming(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return what starts an execution as `start` does, with a name made for one that has none."""

    @wraps(start)
    def named(backend: Any, machine: str, name: str | None = None, *rest: Any, **more: Any) -> Any:
        return start(backend, machine, name or str(uuid.uuid4()), *rest, **more)

    named.names = True  # type: ignore[attr-defined]
    return named


def _request_in_model_case(task: Any, parameters: dict[str, Any], *_: Any) -> None:
    """Rename the PascalCase parameters of a state machine to the members of the service's model, in place."""
    if operation := _operation(task):
        task._to_boto_request(parameters, operation.input_shape)


def _response_in_pascal_case(task: Any, response: Any, *_: Any) -> None:
    """Rename the members of a reply to PascalCase, in place; times become ISO 8601 text."""
    operation = _operation(task)
    if operation and isinstance(response, dict):
        task._from_boto_response(response, operation.output_shape)
        plain = _plain(response)
        response.clear()
        response.update(plain)


def _job_run_as_json(
    task: Any,
    env: Any,
    resource_runtime_part: Any,
    normalised_parameters: dict[str, Any],
    state_credentials: Any,
) -> Callable[[], Any]:
    """Return what asks for a job run's end; the run would hold times, and DescribeExecution fails on them."""
    build = task._get_api_action_sync_builder_handler()
    ask = build(env, resource_runtime_part, normalised_parameters, state_credentials)
    return lambda: _plain(ask())


def _plain(value: Any) -> Any:
    return json.loads(to_json_str(value))


def _operation(task: Any) -> OperationModel | None:
    """Return the model of the operation a task calls; None for one that does not exist, which fails later."""
    model = botocore.session.get_session().get_service_model(task._get_boto_service_name())
    wanted = task.resource.api_action.lower()
    name = next((name for name in model.operation_names if name.lower() == wanted), None)
    return model.operation_model(name) if name else None
