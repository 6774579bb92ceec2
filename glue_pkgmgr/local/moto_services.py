"""The AWS services that moto answers for, each as a WSGI application in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from glue_pkgmgr.local.gateway import MotoBackend, aws_error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def moto_services(account: str, port: int) -> Callable[[MotoBackend], WSGIApplication]:
    """Return a function from the name of a moto backend to its application, made when first asked for.

    Everything happens in the account `account`. State machines are really executed; they call the services
    behind `port` of this machine. moto is told both through the environment and reads it once: one call per
    process, before moto is imported by anybody.
    """
    os.environ["MOTO_ACCOUNT_ID"] = account
    os.environ["MOTO_PORT"] = str(port)
    from moto.core.config import default_user_config

    default_user_config["stepfunctions"]["execute_state_machine"] = True
    made: dict[MotoBackend, WSGIApplication] = {}
    making = threading.Lock()

    def application(backend: MotoBackend) -> WSGIApplication:
        with making:
            if backend not in made:
                made[backend] = _application(backend)
            return made[backend]

    return application


def _application(backend: MotoBackend) -> WSGIApplication:
    from flask import Response, request
    from moto.moto_server.werkzeug_app import create_backend_app

    if backend == "stepfunctions":
        from glue_pkgmgr.local import step_functions

        step_functions.correct()
    if backend == "glue":
        from glue_pkgmgr.local import glue_connections, job_definitions

        job_definitions.correct()
        glue_connections.correct()
    if backend == "logs":
        from glue_pkgmgr.local import log_events

        log_events.correct()
    app = create_backend_app(backend)

    def not_implemented(error: NotImplementedError) -> Response:
        answer = aws_error(request.environ, 501, "NotImplemented", f"{error} in the stand-in ({backend}).")
        return Response(answer.body, answer.status, content_type=answer.content_type)

    # Otherwise an operation that moto lacks is an HTML page with status 500, which clients try again and again.
    app.register_error_handler(NotImplementedError, not_implemented)
    application: WSGIApplication = app
    return application
