"""Why a resource could not be made, in the words of CloudFormation.

Source: CloudFormation, "Handler error codes"; the texts as its resource handlers write them.
"""

from __future__ import annotations

import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.local.cloudformation.kinds.kind import Exists

_NOT_SERVED = frozenset({"NotImplemented", "NotImplementedException", "UnknownOperationException"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_LIMITS = ("limit", "quota", "toomany")
_CODES = {
    "Throttling": "Throttling",
    "ThrottlingException": "Throttling",
    "SlowDown": "Throttling",
    "InternalFailure": "ServiceInternalError",
    "InternalError": "ServiceInternalError",
    "InternalServerException": "ServiceInternalError",
    "InternalServiceException": "ServiceInternalError",
    "ServiceUnavailable": "ServiceInternalError",
    "ServiceUnavailableException": "ServiceInternalError",
    "ResourceNotFoundException": "NotFound",
    "NoSuchEntity": "NotFound",
    "EntityNotFoundException": "NotFound",
}


def is_not_served(error: Exception) -> bool:
    """Whether the stand-in has no such operation."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _NOT_SERVED


def reason_of(error: Exception, *, called: Any, caller: str, resource: str) -> str:
    """Return the reason that the event of a failed resource has.

    `called` is the client that was asked last; `caller` and `resource` are ARNs or names.
    """
    match error:
        case Exists():
            return _handled(f"{error.name} already exists", "AlreadyExists")
        case ClientError():
            return _refused(error, called, caller, resource)
        case BotoCoreError():
            return _handled(str(error), "NetworkFailure" if "endpoint" in str(error) else "InvalidRequest")
        case KeyError():
            return _handled(f"required key {error} not found", "InvalidRequest")
        case _:
            return _handled(f"{type(error).__name__}: {error}", "InternalFailure")


def _refused(error: ClientError, called: Any, caller: str, resource: str) -> str:
    told, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    code, message = told["Code"], str(told.get("Message") or "no reason given")
    model = called.meta.service_model
    if code in _DENIED and "is not authorized to perform" not in message:
        action = f"{model.signing_name}:{error.operation_name}"
        message = (
            f"User: {caller} is not authorized to perform: {action} on resource: {resource} because no "
            f"identity-based policy allows the {action} action"
        )
    service = model.metadata.get("serviceId", model.service_name)
    return _handled(
        f"{message} (Service: {service}, Status Code: {status}, Request ID: {uuid.uuid4()})", _handler_code(code)
    )


def _handler_code(code: str) -> str:
    if code in _DENIED:
        return "AccessDenied"
    if any(word in code.lower() for word in _LIMITS):
        return "ServiceLimitExceeded"
    return _CODES.get(code, "InvalidRequest")


def _handled(message: str, code: str) -> str:
    return (
        f'Resource handler returned message: "{message}" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: {code})'
    )
