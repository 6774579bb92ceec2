"""The wire form of the Lambda API: which operation a request asks for, its parameters, its errors.

The model is botocore's, so a parameter is required, limited and named here exactly as every AWS client has it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator


class LambdaError(Exception):
    """An error of the Lambda API; `code` is the exception's name in the service's model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status, as the model gives it."""
        if self.code not in service().shape_names:
            return 501
        return int(service().shape_for(self.code).metadata["error"]["httpStatusCode"])


def invalid(message: str) -> LambdaError:
    """Return the error for a request that breaks a rule."""
    return LambdaError("InvalidParameterValueException", message)


def not_implemented(what: str) -> LambdaError:
    """Return the error for what the stand-in lacks and AWS has."""
    return LambdaError("NotImplementedException", f"the stand-in for Lambda does not implement {what}")


@cache
def service() -> ServiceModel:
    """Return the model of the service."""
    return ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")


@cache
def _routes() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    found = []
    for name in service().operation_names:
        http = service().operation_model(name).http
        uri = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(uri))
        found.append((http["method"], re.compile(f"{pattern}/?"), name))
    return tuple(found)


def route(method: str, path: str) -> tuple[OperationModel, dict[str, str]] | None:
    """Return the operation of a request, and what its path says; None if there is none."""
    for wanted, pattern, name in _routes():
        if wanted == method and (match := pattern.fullmatch(path)):
            return service().operation_model(name), match.groupdict()
    return None


def parameters(
    operation: OperationModel, path: Mapping[str, str], query: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the input of an operation with a body of JSON, checked. Raises: LambdaError."""
    shape = operation.input_shape
    found: dict[str, Any] = {**path, **_content(body)}
    for name, member in shape.members.items():
        if member.serialization.get("location") == "querystring":
            text = query.get(member.serialization["name"])
            if text is not None:
                found[name] = int(text) if member.type_name == "integer" and text.isdecimal() else text
    _decode_zip(found)
    report = ParamValidator().validate(found, shape)
    if report.has_errors():
        raise invalid(" ".join(report.generate_report().split()))
    return {name: value for name, value in found.items() if name in shape.members}


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError as e:
        raise LambdaError("InvalidRequestContentException", f"the body is not JSON: {e}") from e
    if not isinstance(content, dict):
        raise LambdaError("InvalidRequestContentException", "the body is not a JSON object")
    return content


def _decode_zip(found: dict[str, Any]) -> None:
    for place in (found, found.get("Code")):
        if isinstance(place, dict) and isinstance(place.get("ZipFile"), str):
            try:
                place["ZipFile"] = base64.b64decode(place["ZipFile"], validate=True)
            except binascii.Error as e:
                raise invalid(f"ZipFile is not base64: {e}") from e
