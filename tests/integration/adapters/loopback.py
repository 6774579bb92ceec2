"""Servers on 127.0.0.1 for tests: one that answers as scripted, and the stand-in for CodeArtifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from werkzeug.serving import make_server

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.codeartifact.app import create_app
from glue_pkgmgr.local.packages.store import PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook

NO_PROXY = {"no_proxy": "*"}
APPROVED = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved")


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """A server whose `answer` writes each response; `seen` holds the requests in order."""

    answer: Callable[[Seen, BaseHTTPRequestHandler], None]
    seen: list[Seen] = field(default_factory=list)
    url: str = ""


@contextmanager
def scripted(answer: Callable[[Seen, BaseHTTPRequestHandler], None]) -> Iterator[Scripted]:
    script = Scripted(answer)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            script.seen.append(seen)
            script.answer(seen, self)

        do_GET = do_POST = _any

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _serving(server):
        script.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield script


def reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
) -> None:
    """Answer with `body`; a `length` above its own makes a body that breaks off."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def index_url(endpoint: str, secret: str = "s3cret/+=token", lifetime: timedelta = SHORTEST) -> IndexUrl:
    return IndexUrl(endpoint, AuthorizationToken(secret, datetime.now(UTC) + lifetime))


@dataclass
class CodeArtifactService:
    """A running stand-in with one domain and the repositories `store` and `approved`; `now` may be set."""

    url: str
    client: Any
    codeartifact: CodeArtifact
    now: datetime

    def index_url(self, lifetime: timedelta = SHORTEST) -> IndexUrl:
        token = self.codeartifact.issue(APPROVED.domain, APPROVED.owner, lifetime)
        return IndexUrl(self.codeartifact.endpoint(APPROVED), token)


def environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **NO_PROXY,
    }


@contextmanager
def codeartifact_service(folder: Path) -> Iterator[CodeArtifactService]:
    service: list[CodeArtifactService] = []

    def clock() -> datetime:
        return service[0].now if service else datetime.now(UTC)

    def no_upstream() -> IndexSource:
        # The discard port: nothing listens there, so an attempt to reach an upstream shows as an error.
        return IndexSource(url="http://127.0.0.1:9/simple/")

    store, tokens = PackageStore(folder / "packages"), TokenBook(folder / "tokens.sqlite", clock)
    app = create_app(
        store=store,
        tokens=tokens,
        upstream=no_upstream,
        account=APPROVED.owner,
        region=APPROVED.region,
        base_url=lambda: service[0].url,
        clock=clock,
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with _serving(server):
        url = f"http://127.0.0.1:{server.server_port}"
        client = Clients(environment(url), APPROVED.region).client("codeartifact")
        running = CodeArtifactService(url, client, CodeArtifact(client), datetime.now(UTC))
        service.append(running)
        client.create_domain(domain=APPROVED.domain)
        for repository in ("store", APPROVED.repository):
            client.create_repository(domain=APPROVED.domain, repository=repository)
        yield running
    tokens.close()
    store.close()


@contextmanager
def _serving(server: Any) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
