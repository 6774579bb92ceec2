"""CloudFormation as a WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from glue_pkgmgr.local.cloudformation.api import StackOperations
from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError, answer_to, request_of
from glue_pkgmgr.local.gateway import FixedAnswer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

_LARGEST_FORM = 4 << 20
_XML = "text/xml"


def create_app(operations: StackOperations) -> WSGIApplication:
    """Return the application that answers requests to CloudFormation."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return _answer(operations, environ)(environ, start_response)

    return app


def _answer(operations: StackOperations, environ: WSGIEnvironment) -> FixedAnswer:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        if length > _LARGEST_FORM:
            raise CloudFormationError("ValidationError", f"the request is larger than {_LARGEST_FORM} bytes", 413)
        action, params = request_of(environ["wsgi.input"].read(length))
        return FixedAnswer(200, answer_to(action, operations.answer(action, params)).decode(), content_type=_XML)
    except CloudFormationError as e:
        return FixedAnswer(e.status, e.body().decode(), error_type=e.code, content_type=_XML)
    except Exception as e:  # or the client gets a page of HTML, and tries again and again
        _log.exception("cloudformation")
        failed = CloudFormationError("InternalFailure", f"the stand-in failed: {type(e).__name__}: {e}", 500)
        return FixedAnswer(failed.status, failed.body().decode(), error_type=failed.code, content_type=_XML)
