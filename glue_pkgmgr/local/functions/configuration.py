"""A function as its configuration describes it: what CreateFunction takes and GetFunctionConfiguration tells.

Source: AWS Lambda API, "CreateFunction"; Developer Guide, "Lambda quotas", "Defined runtime environment
variables".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from glue_pkgmgr.local.functions.wire import invalid, not_implemented

PythonVersion = tuple[int, int]

_RUNTIME = re.compile(r"python(3)\.(\d+)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z]\w+", re.ASCII)
_DEFAULT_SECONDS, _MOST_SECONDS = 3, 900
_DEFAULT_MEMORY, _LEAST_MEMORY, _MOST_MEMORY = 128, 128, 10_240
_MOST_VARIABLES = 4096  # bytes
_RESERVED = re.compile(
    r"_HANDLER|_X_AMZN_TRACE_ID|LAMBDA_(TASK_ROOT|RUNTIME_DIR)|AWS_(DEFAULT_REGION|REGION|EXECUTION_ENV|LAMBDA_\w+"
    r"|ACCESS_KEY|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)"
)
# Kept and told again; on one machine they change nothing.
_TOLD = ("Description", "DeadLetterConfig", "KMSKeyArn", "TracingConfig", "EphemeralStorage", "VpcConfig")
_LACKING = (
    "Layers",
    "ImageConfig",
    "FileSystemConfigs",
    "CapacityProviderConfig",
    "DurableConfig",
    "TenancyConfig",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The unpacked zip of a function, its size in bytes, and its SHA-256 in base64."""

    folder: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function. `seconds` is what a call may take, `memory` in MB; `python` the version that runs it."""

    name: str
    arn: str
    role: str
    handler: str
    python: PythonVersion
    code: Code
    modified: datetime
    revision: str
    seconds: int = _DEFAULT_SECONDS
    memory: int = _DEFAULT_MEMORY
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    architectures: tuple[str, ...] = ("x86_64",)
    log_group: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reserved: int | None = None

    @property
    def runtime(self) -> str:
        """Its runtime as Lambda calls it."""
        return f"python{self.python[0]}.{self.python[1]}"

    def as_api(self) -> dict[str, Any]:
        """Return the FunctionConfiguration of the API."""
        return {
            "FunctionName": self.name,
            "FunctionArn": self.arn,
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "CodeSize": self.code.size,
            "CodeSha256": self.code.sha256,
            "Timeout": self.seconds,
            "MemorySize": self.memory,
            "LastModified": self.modified.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "Version": "$LATEST",
            "RevisionId": self.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": list(self.architectures),
            "TracingConfig": {"Mode": "PassThrough"},
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": self.log_group},
            **({"Environment": {"Variables": dict(self.variables)}} if self.variables else {}),
            **self.told,
        }


def checked_name(name: str) -> str:
    """Return the name in `name`, which may be an ARN, whole or in part. Raises: LambdaError."""
    _, _, rest = name.rpartition("function:")
    name, _, qualifier = rest.partition(":")
    if qualifier not in ("", "$LATEST"):
        raise not_implemented("versions and aliases")
    if not _NAME.fullmatch(name):
        raise invalid(f"{name[:80]!r} is not the name of a function: letters, digits, - and _, at most 64")
    return name


def settings_of(request: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what a request to create or change a function says, as the fields of `Function`; checked.

    Raises: LambdaError.
    """
    if lacking := [one for one in _LACKING if request.get(one)]:
        raise not_implemented(" and ".join(lacking))
    found: dict[str, Any] = {}
    if "Runtime" in request:
        found["python"] = _python(request["Runtime"])
    if "Timeout" in request:
        found["seconds"] = _within("Timeout", request["Timeout"], 1, _MOST_SECONDS)
    if "MemorySize" in request:
        found["memory"] = _within("MemorySize", request["MemorySize"], _LEAST_MEMORY, _MOST_MEMORY)
    if "Environment" in request:
        found["variables"] = _variables(request["Environment"].get("Variables", {}))
    for member, attribute in (("Role", "role"), ("Handler", "handler"), ("Tags", "tags")):
        if member in request:
            found[attribute] = request[member]
    if "Architectures" in request:
        found["architectures"] = tuple(request["Architectures"])
    if "LoggingConfig" in request:
        found["log_group"] = request["LoggingConfig"].get("LogGroup") or default_log_group(name)
    found["told"] = {member: request[member] for member in _TOLD if member in request}
    return found


def default_log_group(name: str) -> str:
    """Return where a function logs that says nothing else."""
    return f"/aws/lambda/{name}"


def _python(runtime: str) -> PythonVersion:
    match = _RUNTIME.fullmatch(runtime)
    if not match:
        raise not_implemented(f"the runtime {runtime}; it runs Python's")
    return int(match[1]), int(match[2])


def _within(member: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise invalid(f"{member}: {value} is outside {least} to {most}")
    return value


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    for name in given:
        if _RESERVED.fullmatch(name):
            raise invalid(f"Lambda sets {name} itself: it cannot be a variable of a function")
        if not _VARIABLE.fullmatch(name):
            raise invalid(f"{name[:80]!r} cannot be a variable of a function")
    if sum(len(name.encode()) + len(value.encode()) for name, value in given.items()) > _MOST_VARIABLES:
        raise invalid(f"the variables of a function have {_MOST_VARIABLES} bytes together at most")
    return dict(given)
