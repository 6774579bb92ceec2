"""A workflow: an execution of a Step Functions state machine that launches a job and follows its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from glue_pkgmgr import errors
from glue_pkgmgr.core.job import Delivery
from glue_pkgmgr.errors import GluePkgmgrError, SettingsError

MODULES, ARGUMENTS, DELIVERY, JOB = "pythonmodules", "arguments", "delivery", "job"

LONGEST_CAUSE = 10_000
"""Characters of a cause that is told: as JSON, whose signs may take twice as many, with room for what Lambda adds.
Source: Step Functions API, `SendTaskFailure`: a cause has 32,768."""

_MOST_BYTES = 250_000  # of 262,144 that a state's data may have, with room for what the states add
_KEYS = (MODULES, ARGUMENTS, DELIVERY, JOB)


class ExecutionStatus(StrEnum):
    """The states of an execution. Source: Step Functions API, DescribeExecution, `status`."""

    RUNNING = "RUNNING"
    PENDING_REDRIVE = "PENDING_REDRIVE"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self not in (ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An execution as DescribeExecution tells. `error` and `cause` are empty unless it failed."""

    arn: str
    status: ExecutionStatus
    error: str = ""
    cause: str = ""

    def failure(self) -> GluePkgmgrError:
        """Return how it failed as the error to raise: by its own name where that is one of ours."""
        told = self.cause or self.error or f"the execution ended in {self.status}"
        return error_named(self.error)(f"execution {self.arn} ended in {self.status}: {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowInput:
    """What an execution is asked for.

    `modules` is None for the job's bundle, `job` (its key in the settings, or its name in Glue) for the job the
    state machine was made for.
    """

    modules: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery | None = None
    job: str | None = None

    def as_json(self) -> str:
        """Return the input of an execution. Raises: SettingsError when it is longer than an execution takes."""
        content: dict[str, object] = {}
        if self.modules is not None:
            content[MODULES] = self.modules
        if self.arguments:
            content[ARGUMENTS] = dict(self.arguments)
        if self.delivery is not None:
            content[DELIVERY] = self.delivery.value
        if self.job is not None:
            content[JOB] = self.job
        text = json.dumps(content)
        if len(text.encode()) > _MOST_BYTES:
            raise SettingsError(
                f"modules and arguments have more than {_MOST_BYTES} bytes: no execution takes them"
            )
        return text


def parse_workflow_input(content: object) -> WorkflowInput:
    """Return the input of an execution, such as `{"pythonmodules": "boto3,glueutils==0.2.0"}`.

    Raises: SettingsError that names the key and the rule. What a request may hold is looked at elsewhere.
    """
    if not isinstance(content, Mapping):
        raise SettingsError(f"the input of an execution is a JSON object with {_listed()}, not {content!r:.80}")
    for key in content:
        if key not in _KEYS:
            raise SettingsError(f"input: unknown key {key!r:.80}; known are {_listed()}")
    return WorkflowInput(
        modules=_text(content, MODULES, "boto3,glueutils==0.2.0"),
        arguments=_arguments(content.get(ARGUMENTS)),
        delivery=_delivery(content.get(DELIVERY)),
        job=_text(content, JOB, "taxi"),
    )


def _text(content: Mapping[str, Any], key: str, example: str) -> str | None:
    value = content.get(key)
    if value is None or isinstance(value, str):
        return value
    raise SettingsError(f'input.{key}: {value!r:.80} is not a text such as "{example}"')


def _arguments(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"input.{ARGUMENTS}: {value!r:.80} is not an object of names and texts")
    for name, item in value.items():
        if not isinstance(item, str):
            raise SettingsError(f"input.{ARGUMENTS}.{name}: {item!r:.80} is not a text; Glue arguments are texts")
    return dict(value)


def _delivery(value: Any) -> Delivery | None:
    if value is None:
        return None
    if value in tuple(Delivery):
        return Delivery(value)
    raise SettingsError(f"input.{DELIVERY}: {value!r:.80} is none of {', '.join(Delivery)}")


def _listed() -> str:
    return ", ".join(map(repr, _KEYS))


def error_named(name: str) -> type[GluePkgmgrError]:
    """Return the error of ours that is called `name`; RemoteError for the names of others."""
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, GluePkgmgrError):
        return found
    return errors.RemoteError


def plain(error: GluePkgmgrError) -> GluePkgmgrError:
    """Return `error` as one of those on the page of errors, which is what a state machine knows it by."""
    kind = next(one for one in type(error).__mro__ if one.__module__ == errors.__name__)
    made: GluePkgmgrError = kind(str(error)[:LONGEST_CAUSE])
    return made
