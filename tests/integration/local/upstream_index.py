"""A package index on loopback that stands for the public one, and that can be told to misbehave."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from flask import Flask, Response, request, send_file
from packaging.utils import canonicalize_name
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as BaseResponse

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.simple_api import (
    JSON_TYPE,
    IndexFile,
    IndexPage,
    negotiate,
    render_html,
    render_json,
)
from glue_pkgmgr.index_source import IndexSource
from tests.integration.local.made_distributions import sha256

Fault = Literal["error", "truncate", "cut once", "lie", "silence", "gone", "pause midway"]


@dataclass
class Served:
    """A file and how the page lists it."""

    filename: str
    content: bytes | Path
    sha256: str | None
    uploaded: datetime = datetime(2024, 5, 29, 15, 37, 49, 123456, tzinfo=UTC)
    requires_python: str | None = ">=3.8"
    yanked: str | None = None


@dataclass
class UpstreamIndex:
    """The index: `faults` maps a file name, or a project for its page, to what goes wrong with it."""

    projects: dict[str, dict[str, Served]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    port: int = 0
    html: bool = False
    user: str | None = None
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, made: tuple[str, bytes], **listed: object) -> Served:
        """List a made distribution."""
        filename, content = made
        served = Served(filename, content, sha256(content))
        for name, value in listed.items():
            setattr(served, name, value)
        self.projects.setdefault(parse_filename(filename).project, {})[filename] = served
        return served

    @property
    def source(self) -> IndexSource:
        """Where it is, as pip would be configured for it."""
        user = f"{self.user}:secret-password@" if self.user else ""
        return IndexSource(url=f"http://{user}127.0.0.1:{self.port}/simple/")

    def app(self) -> Flask:
        app = Flask("upstream")

        @app.before_request
        def check_user() -> Response | None:
            given = request.authorization
            if self.user and (given is None or given.username != self.user):
                return Response(status=401)
            return None

        @app.get("/simple/<project>/")
        def page(project: str) -> Response:
            self.requests[project] += 1
            if self.faults.get(project) == "error":
                return Response(status=500)
            if self.faults.get(project) == "silence":
                self.released.wait(30)
            if self.faults.get(project) == "lie":
                return Response(b"<!doctype json>{", content_type=JSON_TYPE)
            served = self.projects.get(canonicalize_name(project))
            if served is None:
                return Response(status=404)
            listing = IndexPage(project=ProjectName(project), files=tuple(map(_listed, served.values())))
            kind = "text/html" if self.html else negotiate(request.headers.get("Accept"))
            body = render_json(listing) if kind == JSON_TYPE else render_html(listing)
            response = Response(body, content_type=kind)
            response.add_etag()
            response.make_conditional(request)
            return response

        @app.get("/files/<filename>")
        def file(filename: str) -> BaseResponse:
            self.requests[filename] += 1
            served = next(files[filename] for files in self.projects.values() if filename in files)
            return self._file(served, self.faults.get(filename))

        return app

    def _file(self, served: Served, fault: Fault | None) -> BaseResponse:
        content = served.content
        if isinstance(content, Path):
            return send_file(content, mimetype="application/octet-stream", conditional=True)
        if fault == "silence":
            self.released.wait(30)
        if fault == "cut once":
            fault = "truncate" if self.requests[served.filename] == 1 else None
        bodies: dict[Fault, Callable[[], Response]] = {
            "error": lambda: Response(status=500),
            "gone": lambda: Response(status=404),
            "lie": lambda: Response(content[:-1] + bytes([content[-1] ^ 1])),
            "truncate": lambda: Response(_broken_off(content[: len(content) // 2]), headers=length),
            "pause midway": lambda: Response(self._paused(content), headers=length),
        }
        length = {"Content-Length": str(len(content))}
        if fault in bodies:
            return bodies[fault]()
        response = Response(content)
        response.make_conditional(request, accept_ranges=True, complete_length=len(content))
        return response

    def _paused(self, content: bytes) -> Iterator[bytes]:
        yield content[: len(content) // 2]
        self.released.wait(30)
        yield content[len(content) // 2 :]


def _listed(served: Served) -> IndexFile:
    return IndexFile(
        filename=served.filename,
        url=f"../../files/{served.filename}",
        hashes={"sha256": served.sha256} if served.sha256 else {},
        requires_python=served.requires_python,
        size=len(served.content) if isinstance(served.content, bytes) else served.content.stat().st_size,
        upload_time=served.uploaded,
        yanked=served.yanked,
    )


def _broken_off(content: bytes) -> Iterator[bytes]:
    yield content
    raise ConnectionAbortedError("as told")


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # as the stand-in's own server speaks

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Be quiet."""


@contextmanager
def serving(app: Flask, tell_port: Callable[[int], None]) -> Iterator[None]:
    """Serve `app` on a free port of 127.0.0.1 while the block runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    tell_port(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_upstream() -> Iterator[UpstreamIndex]:
    """Give an empty index that answers while the block runs."""
    index = UpstreamIndex()
    with serving(index.app(), lambda port: setattr(index, "port", port)):
        try:
            yield index
        finally:
            index.released.set()
