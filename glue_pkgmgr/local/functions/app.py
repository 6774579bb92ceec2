"""The Lambda API of the stand-in as a WSGI application."""

from __future__ import annotations

import base64
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from botocore.model import OperationModel
from werkzeug.wrappers import Request, Response

from glue_pkgmgr.local.functions.service import Functions
from glue_pkgmgr.local.functions.wire import LambdaError, invalid, not_implemented, parameters, route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_logger = logging.getLogger(__name__)
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


def create_app(functions: Functions) -> WSGIApplication:
    """Return an application that speaks the REST and JSON of the Lambda API for `functions`."""

    @Request.application
    def answer(request: Request) -> Response:
        try:
            return _answered(functions, request)
        except LambdaError as e:
            return _error(e.code, str(e), e.status)
        except Exception as e:  # an AWS error, not a page of HTML that clients try again and again
            _logger.exception("%s %s failed", request.method, request.path)
            return _error("ServiceException", f"the stand-in failed: {type(e).__name__}: {e}", 500)

    return answer


def _answered(functions: Functions, request: Request) -> Response:
    found = route(request.method, request.path)
    if found is None:
        raise not_implemented(f"{request.method} {request.path}")
    operation, path = found
    if operation.name == "Invoke":
        return _invoked(functions, request, path)
    handler = getattr(functions, _WORDS.sub("_", operation.name).lower(), None)
    if handler is None:
        raise not_implemented(operation.name)
    params = parameters(operation, path, request.args, request.get_data())
    return _response(handler(params), _status(operation))


def _status(operation: OperationModel) -> int:
    return int(operation.http.get("responseCode", 200))


def _invoked(functions: Functions, request: Request, path: dict[str, str]) -> Response:
    kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
    if kind not in ("RequestResponse", "Event", "DryRun"):
        raise invalid(f"InvocationType: {kind!r} is none of RequestResponse, Event, DryRun")
    params = {**path, **({"Qualifier": request.args["Qualifier"]} if "Qualifier" in request.args else {})}
    if kind == "DryRun":
        functions.get_function(params)
        return Response(status=204)
    answer = functions.invoke(params, request.get_data(), wait=kind == "RequestResponse")
    if answer is None:
        return Response(status=202)
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    if answer.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    if request.headers.get("X-Amz-Log-Type") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(answer.log).decode()
    return Response(answer.payload, 200, headers, content_type="application/json")


def _error(code: str, message: str, status: int) -> Response:
    kind = "User" if status < 500 else "Service"  # noqa: PLR2004 - HTTP's line between the two
    response = _response({"Type": kind, "Message": message}, status)
    response.headers["x-amzn-ErrorType"] = code
    return response


def _response(body: dict[str, Any], status: int) -> Response:
    if status == 204:  # noqa: PLR2004 - no content
        return Response(status=status)
    return Response(json.dumps(body), status, content_type="application/json")
