"""The package index of the stand-in: the pages and files of a repository, and the upload form.

Source: CodeArtifact User Guide, "Python compatibility" and "Configure and use twine"; PEP 503, 691, 700; the
upload form of the public index, as twine and uv send it.
"""

from __future__ import annotations

import logging
from base64 import b64decode
from binascii import Error as Base64Error
from typing import BinaryIO, cast
from urllib.parse import quote

from flask import Blueprint, Response, redirect, request, send_file
from packaging.version import Version
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as BaseResponse

from glue_pkgmgr.core.index_url import USER
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.core.simple_api import (
    JSON_TYPE,
    IndexFile,
    IndexPage,
    negotiate,
    render_html,
    render_json,
)
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.packages.blobs import CHUNK
from glue_pkgmgr.local.packages.publishing import Publisher, PublishRefused, Upload
from glue_pkgmgr.local.packages.reach import Offer, Reach
from glue_pkgmgr.local.packages.releases import Asset, Repository
from glue_pkgmgr.local.packages.store import PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook
from glue_pkgmgr.local.packages.upstream import Download, UpstreamFailed

_log = logging.getLogger(__name__)

_PREFIX = "/pypi/d/<place>/<repository>"
_BINARY = "application/octet-stream"
_FORM_HASHES = {"sha256_digest": "sha256", "md5_digest": "md5"}


def endpoint_path(domain: str, owner: str, repository: str) -> str:
    """Return the path of a repository's endpoint, as GetRepositoryEndpoint tells it for format `pypi`."""
    return f"/pypi/d/{domain}-{owner}/{repository}/"


class _Refused(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class Index:
    """The HTTP side of the repositories in `store`."""

    def __init__(self, *, store: PackageStore, tokens: TokenBook, reach: Reach, publisher: Publisher) -> None:
        self._store = store
        self._tokens = tokens
        self._reach = reach
        self._publisher = publisher

    def blueprint(self) -> Blueprint:
        """Return the routes, to be registered with a Flask application."""
        routes = Blueprint("index", __name__)
        routes.add_url_rule(f"{_PREFIX}/simple/<project>/", "page", self.page)
        routes.add_url_rule(f"{_PREFIX}/simple/<project>/<version>/<filename>", "file", self.file)
        for name, rule in (("upload", f"{_PREFIX}/"), ("upload_bare", _PREFIX)):
            routes.add_url_rule(rule, name, self.upload, methods=["POST"], strict_slashes=False)
        routes.register_error_handler(_Refused, _refusal)
        routes.register_error_handler(UpstreamFailed, _upstream_failure)
        routes.register_error_handler(PublishRefused, _publish_refusal)
        routes.register_error_handler(OSError, _disk_failure)
        return routes

    def page(self, place: str, repository: str, project: str) -> BaseResponse:
        """Answer with the page of one project."""
        known = self._admitted(place, repository)
        name = _project(project)
        if name != project:
            return redirect(f"../{name}/", 301)
        content_type = negotiate(request.headers.get("Accept"))
        if content_type is None:
            raise _Refused(406, "no served content type suits the Accept header; ask for JSON or HTML of PEP 691")
        offers = self._reach.offers(known, name)
        listed = [offer for offer in offers.values() if offer.status is Status.PUBLISHED]
        if not listed:
            raise _Refused(404, f"{repository} offers no release of {name}")
        page = IndexPage(project=name, files=tuple(_files(listed)))
        body = render_json(page) if content_type == JSON_TYPE else render_html(page)
        response = Response(body, content_type=content_type)
        response.vary.add("Accept")
        response.cache_control.no_cache = True
        response.add_etag()
        return response.make_conditional(request)

    def file(self, place: str, repository: str, project: str, version: str, filename: str) -> BaseResponse:
        """Answer with a file; one that is offered from upstream is brought in first."""
        known = self._admitted(place, repository)
        name = _project(project)
        if request.method == "HEAD":
            asset = self._reach.find(known, name, version, filename)
        else:
            asset = self._reach.bring_in(known, name, version, filename)
        if asset is None:
            raise _Refused(404, f"{repository} has no file {filename} in {name} {version}")
        if request.method == "HEAD" and asset.size is not None and asset.sha256 is not None:
            return _head(asset.sha256, asset.size)
        return sent(self._reach, name, asset)

    def upload(self, place: str, repository: str) -> Response:
        """Take in the file of an upload form."""
        known = self._admitted(place, repository)
        form = request.form
        if form.get(":action") != "file_upload":
            raise _Refused(400, "the upload form needs ':action=file_upload'")
        content: FileStorage | None = request.files.get("content")
        if content is None or not content.filename:
            raise _Refused(400, "the upload form needs the file in 'content'")
        upload = Upload(
            filename=content.filename,
            name=form.get("name", ""),
            version=form.get("version", ""),
            content=cast(BinaryIO, content.stream),
            hashes={algorithm: form[key] for key, algorithm in _FORM_HASHES.items() if form.get(key)},
            requires_python=form.get("requires_python") or None,
        )
        self._publisher.publish(known, upload)
        return Response(f"{content.filename} is published to {repository}\n", content_type="text/plain")

    def _admitted(self, place: str, name: str) -> Repository:
        """Return the repository of the path, if the request has a good token for its domain."""
        domain, _, owner = place.rpartition("-")
        if not self._tokens.accepts(domain, _presented_token(request.headers.get("Authorization", ""))):
            raise _Refused(
                401,
                f"no valid token for domain {domain}: it is missing, wrong or expired",
                {"WWW-Authenticate": 'Basic realm="CodeArtifact"'},
            )
        repository = self._store.repository(domain, name)
        if repository is None or repository.owner != owner:
            raise _Refused(404, f"there is no repository {name} in domain {domain} of account {owner}")
        return repository


def sent(reach: Reach, project: ProjectName, asset: Asset, headers: dict[str, str] | None = None) -> BaseResponse:
    """Return the response that hands out `asset`, while it comes in if it is not here yet.

    Raises: UpstreamFailed.
    """
    content = reach.content(project, asset)
    if isinstance(content, Download):
        # A part of the file, or its absence, can only be answered about a whole one.
        length = None if "Range" in request.headers or request.method == "HEAD" else content.begun()
        if length is not None:
            response: BaseResponse = Response(content.chunks(), mimetype=_BINARY)
            response.content_length = length
            response.headers.update(headers or {})
            return response
        digests = content.wait()
        content = reach.kept(digests)
        etag = digests.sha256
    else:
        etag = content.name
    response = send_file(content, mimetype=_BINARY, etag=etag, conditional=True)
    response.headers.update(headers or {})
    return response


def _head(sha256: str, size: int) -> Response:
    response = Response(mimetype=_BINARY)
    response.content_length = size
    response.accept_ranges = "bytes"
    response.set_etag(sha256)
    return response


def _files(offers: list[Offer]) -> list[IndexFile]:
    return [
        IndexFile(
            filename=asset.filename,
            url=f"{quote(offer.version)}/{quote(asset.filename)}",
            hashes={name: digest for name, digest in (("sha256", asset.sha256), ("md5", asset.md5)) if digest},
            requires_python=asset.requires_python,
            size=asset.size,
            upload_time=asset.upload_time,
            yanked=asset.yanked,
        )
        for offer in sorted(offers, key=lambda offer: Version(offer.version))
        for _, asset in sorted(offer.assets.items())
    ]


def _project(text: str) -> ProjectName:
    try:
        return project_name(text)
    except SettingsError as e:
        raise _Refused(404, str(e)) from e


def _presented_token(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError, ValueError):
        return ""
    return password if user == USER else ""


def _refusal(error: _Refused) -> Response:
    return _plain(str(error), error.status, error.headers)


def _upstream_failure(error: UpstreamFailed) -> Response:
    _log.warning("%s", error)
    return _plain(str(error), error.status)


def _publish_refusal(error: PublishRefused) -> Response:
    return _plain(str(error), error.status)


def _disk_failure(error: OSError) -> Response:
    _log.error("%s %s: %s", request.method, request.path, error)
    return _plain(f"the stand-in cannot keep the file: {error.strerror or error}; free some disk space", 507)


def _plain(message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    # An upload refused before its body was read: read it, or the client sees a reset instead of the answer.
    while request.stream.read(CHUNK):
        pass
    return Response(f"{message}\n", status, headers, content_type="text/plain; charset=utf-8")
