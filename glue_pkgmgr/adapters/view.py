"""A loopback package index that serves a `VisibleIndex`: what the resolver may see, and nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.simple_api import JSON_TYPE, IndexPage, render_json
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import VisibleIndex

_log = logging.getLogger(__name__)
_METADATA = ".metadata"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the resolver was ended in the middle of an answer."""


class View:
    """The server of one `VisibleIndex`. `failures` holds the errors met while answering, oldest first."""

    def __init__(self, index: VisibleIndex) -> None:
        self.failures: list[Exception] = []
        self._index = index
        try:
            self._server = _Server(("127.0.0.1", 0), self._handler())
        except OSError as e:
            raise SettingsError(f"cannot listen on 127.0.0.1: {e.strerror}") from e

    @property
    def url(self) -> str:
        """The URL of the simple index, ending in `/`."""
        return f"http://127.0.0.1:{self._server.server_port}/simple/"

    @contextmanager
    def serving(self) -> Iterator[View]:
        """Serve from a thread until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for a request of `path`.

        Paths are `/simple/<project>/` and `/files/<project>/<filename>.metadata`; files themselves are not
        served, a resolver needs none.
        """
        try:
            found = self._find([unquote(part) for part in urlsplit(path).path.strip("/").split("/")])
        except Exception as e:  # whatever it is: the caller must hear of it, not take it for "not there"
            self.failures.append(e)
            return HTTPStatus.BAD_GATEWAY, "text/plain", b"the index behind this view failed"
        return (HTTPStatus.OK, *found) if found else (HTTPStatus.NOT_FOUND, "text/plain", b"not here")

    def _find(self, parts: list[str]) -> tuple[str, bytes] | None:
        match parts:
            case ["simple", name] if project := _project(name):
                page = self._index.page(project)
                return (JSON_TYPE, render_json(_with_our_urls(page), core_metadata=True)) if page else None
            case ["files", name, filename] if filename.endswith(_METADATA) and (project := _project(name)):
                metadata = self._index.metadata(project, filename.removesuffix(_METADATA))
                return None if metadata is None else ("text/plain; charset=utf-8", metadata)
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        view = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30  # seconds an idle connection is kept

            def do_GET(self) -> None:
                status, content_type, body = view.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                # What is visible depends on the allow-list of today: never to be kept.
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                _log.debug(format, *args)

        return Handler


def _project(name: str) -> ProjectName | None:
    try:
        return project_name(name)
    except SettingsError:  # nothing of that name exists
        return None


def _with_our_urls(page: IndexPage) -> IndexPage:
    # Yanked files that the policy lets through are the user's decision; uv must not overrule it.
    files = (replace(file, url=f"/files/{page.project}/{file.filename}", yanked=None) for file in page.files)
    return IndexPage(project=page.project, files=tuple(files))
