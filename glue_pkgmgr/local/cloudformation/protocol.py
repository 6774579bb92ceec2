"""The wire form of CloudFormation: the AWS Query protocol, read and written by the service's own model.

The model is botocore's, so parameters and answers have the names that every AWS client gives them.

Source: AWS Query protocol: a form whose keys are paths (`Tags.member.1.Key`), answered with XML.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


class CloudFormationError(Exception):
    """An error an AWS client understands: `code` is the one of the service, such as `ValidationError`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def body(self) -> bytes:
        """Return the XML of the answer."""
        answer = Element("ErrorResponse", xmlns=_NAMESPACE)
        error = SubElement(answer, "Error")
        SubElement(error, "Type").text = "Sender"
        SubElement(error, "Code").text = self.code
        SubElement(error, "Message").text = str(self)
        SubElement(answer, "RequestId").text = str(uuid.uuid4())
        return bytes(tostring(answer, encoding="utf-8"))


def invalid(message: str) -> CloudFormationError:
    """Return the error for a request or a template that breaks a rule."""
    return CloudFormationError("ValidationError", message)


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("cloudformation", "service-2"), "cloudformation")


def request_of(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the operation that a form asks for, and its parameters by member name.

    Raises: CloudFormationError for an operation that is none, or a parameter that is missing or unreadable.
    """
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError as e:
        raise invalid("the request is not UTF-8") from e
    action = form.get("Action", "")
    if action not in _service().operation_names:
        raise CloudFormationError("InvalidAction", f"CloudFormation has no operation {action!r}")
    shape = _model(action).input_shape
    given = _structure(shape, "", form) if shape is not None else {}
    for name in shape.required_members if shape is not None else ():
        if name not in given:
            raise invalid(f"{name} is required")
    return action, given


def _model(action: str) -> OperationModel:
    return _service().operation_model(action)


def _structure(shape: Any, prefix: str, form: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        value = _value(member, f"{prefix}{name}", form)
        if value is not None:
            found[name] = value
    return found


def _value(shape: Any, path: str, form: Mapping[str, str]) -> Any:
    """Return what the form has at `path`; None for nothing."""
    match shape.type_name:
        case "structure":
            return _structure(shape, f"{path}.", form) or None
        case "list":
            items: list[Any] = []
            while (item := _value(shape.member, f"{path}.member.{len(items) + 1}", form)) is not None:
                items.append(item)
            return items or ([] if path in form else None)
        case "boolean":
            return None if path not in form else form[path] == "true"
        case "integer" | "long":
            text = form.get(path)
            if text is not None and not text.removeprefix("-").isdecimal():
                raise invalid(f"{path}: {text!r} is not a whole number")
            return None if text is None else int(text)
        case _:
            return form.get(path)


def answer_to(action: str, result: Mapping[str, Any]) -> bytes:
    """Return the XML of the answer of an operation; members of `result` that are None are left out."""
    answer = Element(f"{action}Response", xmlns=_NAMESPACE)
    shape = _model(action).output_shape
    if shape is not None:
        _write(SubElement(answer, f"{action}Result"), shape, result)
    metadata = SubElement(answer, "ResponseMetadata")
    SubElement(metadata, "RequestId").text = str(uuid.uuid4())
    return bytes(tostring(answer, encoding="utf-8"))


def _write(element: Element, shape: Any, value: Any) -> None:
    match shape.type_name:
        case "structure":
            _write_structure(element, shape, value)
        case "list":
            _write_list(element, shape, value)
        case "boolean":
            element.text = "true" if value else "false"
        case "timestamp":
            element.text = _time(value)
        case _:
            element.text = _xml_text(str(value))


def _write_structure(element: Element, shape: Any, value: Mapping[str, Any]) -> None:
    for name, member in shape.members.items():
        if value.get(name) is not None:
            _write(SubElement(element, name), member, value[name])


def _write_list(element: Element, shape: Any, value: Sequence[Any]) -> None:
    for item in value:
        _write(SubElement(element, "member"), shape.member, item)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _xml_text(text: str) -> str:
    """Return `text` without the characters that XML 1.0 cannot hold, even escaped."""
    return "".join(letter for letter in text if letter >= " " or letter in "\t\n\r")
