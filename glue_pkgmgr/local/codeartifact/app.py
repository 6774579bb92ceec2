"""The stand-in for CodeArtifact: its API and its package index in one Flask application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any

from botocore.model import OperationModel
from flask import Blueprint, Flask, Request, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.codeartifact.domains import (
    DomainOperations,
    Params,
    Places,
    RepositoryOperations,
    Result,
)
from glue_pkgmgr.local.codeartifact.packages import PackageOperations
from glue_pkgmgr.local.codeartifact.protocol import AwsError, encoded, not_implemented, parameters, routes
from glue_pkgmgr.local.codeartifact.versions import VersionOperations
from glue_pkgmgr.local.packages.index import Index
from glue_pkgmgr.local.packages.publishing import Publisher
from glue_pkgmgr.local.packages.reach import Reach
from glue_pkgmgr.local.packages.store import PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook
from glue_pkgmgr.local.packages.upstream import Upstream, UpstreamFailed

Operation = Callable[[Params], Result | BaseResponse]

_log = logging.getLogger(__name__)

_LARGEST_UPLOAD = 5 * 10**9 + (16 << 20)  # an asset of 5 GB (CodeArtifact's quota) and the form around it
_LARGEST_FIELDS = 16 << 20  # a README is a form field
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
_NOT_FOUND = 404


def create_app(
    *,
    store: PackageStore,
    tokens: TokenBook,
    upstream: Callable[[], IndexSource],
    account: str,
    region: str,
    base_url: Callable[[], str],
    clock: Callable[[], datetime],
    upstream_timeout: float = 30.0,
) -> Flask:
    """Return the application that serves CodeArtifact's API (`/v1/…`) and the package index (`/pypi/d/…`).

    `upstream` names the index behind the external connection `public:pypi`, asked anew for every request;
    `upstream_timeout` is in seconds without a byte. `base_url` is where clients reach the application;
    `clock` returns aware UTC.
    """
    reach = Reach(store, Upstream(upstream, store, clock, timeout=upstream_timeout), clock)
    places = Places(store, account, region)
    app = Flask("glue_pkgmgr.local", static_folder=None)
    app.request_class = _request_class(store)
    app.config.update(MAX_CONTENT_LENGTH=_LARGEST_UPLOAD, MAX_FORM_MEMORY_SIZE=_LARGEST_FIELDS)
    operations = {
        **_bound(DomainOperations(places, tokens, clock)),
        **_bound(RepositoryOperations(places, base_url, clock)),
        **_bound(PackageOperations(places)),
        **_bound(VersionOperations(places, reach)),
    }
    app.register_blueprint(_api(operations))
    index = Index(store=store, tokens=tokens, reach=reach, publisher=Publisher(store, reach, clock))
    app.register_blueprint(index.blueprint())
    app.register_error_handler(Exception, _unexpected)
    return app


def _bound(operations: object) -> dict[str, Operation]:
    """Return the operations of one group by the name the API gives them: `create_domain` is CreateDomain."""
    names = [name for name in vars(type(operations)) if not name.startswith("_")]
    return {"".join(map(str.capitalize, name.split("_"))): getattr(operations, name) for name in names}


def _api(operations: dict[str, Operation]) -> Blueprint:
    api = Blueprint("api", __name__)

    def answer(path: str) -> BaseResponse:
        if "Authorization" not in request.headers:
            raise AwsError("AccessDeniedException", "the request is not signed: it has no Authorization header")
        model = routes().get((request.method, f"/v1/{path}"))
        if model is None:
            raise AwsError("UnknownOperationException", f"CodeArtifact has no {request.method} /v1/{path}")
        operation = operations.get(model.name)
        if operation is None:
            raise not_implemented(model.name)
        return _answered(operation, model)

    api.add_url_rule("/v1/<path:path>", "operation", answer, methods=_METHODS)
    api.register_error_handler(AwsError, _aws_error)
    api.register_error_handler(UpstreamFailed, _upstream_failure)
    return api


def _answered(operation: Operation, model: OperationModel) -> BaseResponse:
    result = operation(parameters(model, request.args, request.get_data()))
    if isinstance(result, BaseResponse):
        return result
    return Response(encoded(result), content_type="application/json")


def _aws_error(error: AwsError) -> Response:
    headers = {"x-amzn-ErrorType": error.code}
    return Response(error.body(), error.status, headers, content_type="application/json")


def _upstream_failure(error: UpstreamFailed) -> Response:
    _log.warning("%s", error)
    if error.status == _NOT_FOUND:
        return _aws_error(AwsError("ResourceNotFoundException", str(error)))
    return _aws_error(AwsError("InternalServerException", str(error)))


def _unexpected(error: Exception) -> BaseResponse | HTTPException:
    """Answer with one sentence, not a page: what reads it is pip or an AWS client."""
    if isinstance(error, HTTPException):
        return Response(f"{error.description}\n", error.code, content_type="text/plain; charset=utf-8")
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _aws_error(AwsError("InternalServerException", f"the stand-in failed: {type(error).__name__}: {error}"))


def _request_class(store: PackageStore) -> type[Request]:
    class UploadRequest(Request):
        """A request whose file goes to the store's disk, where there is room for it, and never to memory."""

        def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
            return store.blobs.scratch()

    return UploadRequest
