"""The wire form of CodeArtifact: requests read and checked against the service's own model, errors in its shape.

The model is botocore's, so a parameter is required, limited and named here exactly as every AWS client has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

_BEYOND_THE_MODEL = {"NotImplementedException": 501, "UnknownOperationException": 404}


class AwsError(Exception):
    """An error an AWS client understands: `code` is the exception's name in the model, `status` that of HTTP."""

    def __init__(self, code: str, message: str, **members: str) -> None:
        super().__init__(message)
        self.code = code
        self.members = members

    @property
    def status(self) -> int:
        """The HTTP status, as the model gives it for its own exceptions."""
        if self.code in _BEYOND_THE_MODEL:
            return _BEYOND_THE_MODEL[self.code]
        return int(_service().shape_for(self.code).metadata["error"]["httpStatusCode"])

    def body(self) -> bytes:
        """Return the JSON body of the answer."""
        return json.dumps({"message": str(self), **self.members}).encode()


def invalid(message: str, reason: str = "FIELD_VALIDATION_FAILED") -> AwsError:
    """Return the error for a request that breaks a rule of the API."""
    return AwsError("ValidationException", message, reason=reason)


def not_found(kind: str, name: str, message: str | None = None) -> AwsError:
    """Return the error for a `kind` (domain, repository, package, …) that does not exist."""
    text = message or f"{kind} {name!r} does not exist"
    return AwsError("ResourceNotFoundException", text, resourceId=name, resourceType=kind)


def conflict(kind: str, name: str, message: str) -> AwsError:
    """Return the error for a change that what exists already does not allow."""
    return AwsError("ConflictException", message, resourceId=name, resourceType=kind)


def not_implemented(what: str) -> AwsError:
    """Return the error for what the stand-in lacks and AWS has."""
    return AwsError("NotImplementedException", f"the local stand-in for CodeArtifact does not implement {what}")


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("codeartifact", "service-2"), "codeartifact")


@cache
def routes() -> dict[tuple[str, str], OperationModel]:
    """Return every operation of the service, by HTTP method and path."""
    operations = map(_service().operation_model, _service().operation_names)
    return {(op.http["method"], op.http["requestUri"]): op for op in operations}


def parameters(operation: OperationModel, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the input of `operation` by member name, checked.

    Raises: AwsError (ValidationException) that names the member and the rule.
    """
    shape = operation.input_shape
    content = _json(body) if any("location" not in m.serialization for m in shape.members.values()) else {}
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        if member.serialization.get("location") == "querystring":
            text = query.get(member.serialization["name"])
            value: Any = None if text is None else _from_text(name, member, text)
        else:
            value = content.get(member.serialization.get("name", name))
        if value is not None:
            found[name] = _checked(name, member, value)
        elif name in shape.required_members:
            raise invalid(f"{name} is required")
    return found


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError as e:
        raise invalid(f"the body is not JSON: {e}", "CANNOT_PARSE") from e
    if not isinstance(content, dict):
        raise invalid("the body is not a JSON object", "CANNOT_PARSE")
    return content


def _from_text(name: str, shape: Shape, text: str) -> Any:
    if shape.type_name in ("integer", "long"):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise invalid(f"{name}: {text!r} is not a whole number", "CANNOT_PARSE")
        return int(text)
    if shape.type_name == "boolean":
        if text not in ("true", "false"):
            raise invalid(f"{name}: {text!r} is neither true nor false", "CANNOT_PARSE")
        return text == "true"
    return text


_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
}


def _checked(name: str, shape: Any, value: Any) -> Any:
    _check_type(name, shape, value)
    match shape.type_name:
        case "string":
            _check_text(name, shape, value)
        case "integer" | "long":
            _check_limits(name, shape, value, "")
        case "list":
            _check_limits(name, shape, len(value), " entries")
            for number, item in enumerate(value):
                _checked(f"{name}[{number}]", shape.member, item)
        case "map":
            for key, item in value.items():
                _checked(f"{name} key", shape.key, key)
                _checked(f"{name}[{key!r}]", shape.value, item)
        case "structure":
            for required in shape.required_members:
                if value.get(required) is None:
                    raise invalid(f"{name}.{required} is required")
            for key, member in shape.members.items():
                if value.get(key) is not None:
                    _checked(f"{name}.{key}", member, value[key])
    return value


def _check_type(name: str, shape: Any, value: object) -> None:
    if not isinstance(value, _TYPES[shape.type_name]):
        raise invalid(f"{name} is not a {shape.type_name}", "CANNOT_PARSE")


def _check_text(name: str, shape: Any, value: str) -> None:
    _check_limits(name, shape, len(value), " characters")
    if shape.enum and value not in shape.enum:
        raise invalid(f"{name}: {value!r} is none of {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    # The model's patterns are Java's: \P{C} is anything but a control character.
    if pattern and not re.fullmatch(pattern.replace(r"\P{C}", r"[^\x00-\x1f\x7f-\x9f]"), value, re.ASCII):
        raise invalid(f"{name}: {value!r} does not match {pattern}")


def _check_limits(name: str, shape: Any, size: int, unit: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        raise invalid(f"{name}: {size}{unit} is outside {least} to {most}")


def encoded(result: object) -> bytes:
    """Return `result` as the JSON of an answer: times in seconds since 1970, what is None left out."""
    return json.dumps(_plain(result)).encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
