"""A small S3 on 127.0.0.1 for tests of what several writers do at once, and of what can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Fail = Callable[[str, str], int | None]
"""Takes method and key before an answer; returns the status to answer with instead, None for the usual one."""

_CODES = {403: "AccessDenied", 404: "NoSuchKey", 409: "ConditionalRequestConflict", 412: "PreconditionFailed"}


@dataclass
class ObjectStore:
    """Objects by key, of one bucket; `seen` holds method, key and headers of each request."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    before: Fail = lambda method, key: None
    after: Fail = lambda method, key: None
    lock: Lock = field(default_factory=Lock)

    def asked(self, method: str) -> list[str]:
        """Return the keys that requests of `method` were for."""
        return [key for how, key, _ in self.seen if how == method]


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve an empty store until the block ends."""
    store = ObjectStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key, query = self._begin()
            if status := store.before("GET", key):
                self._error(status)
            elif "list-type" in query:
                self._list(query)
            elif (content := store.objects.get(key)) is None:
                self._error(404)
            else:
                self._answer(200, content)

        def do_PUT(self) -> None:
            key, _ = self._begin()
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if status := store.before("PUT", key):
                return self._error(status)
            with store.lock:
                taken = self.headers.get("If-None-Match") == "*" and key in store.objects
                if not taken:
                    store.objects[key] = content
            if taken:
                return self._error(412)
            if status := store.after("PUT", key):
                return self._error(status)
            return self._answer(200, b"")

        def _begin(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            key = unquote(parts.path).lstrip("/").partition("/")[2]
            store.seen.append((self.command, key, {name.lower(): value for name, value in self.headers.items()}))
            return key, {name: values[0] for name, values in parse_qs(parts.query).items()}

        def _list(self, query: dict[str, str]) -> None:
            begin, after, most = query.get("prefix", ""), query.get("start-after", ""), int(query["max-keys"])
            found = sorted(key for key in list(store.objects) if key.startswith(begin) and key > after)
            listed = "".join(
                f'<Contents><Key>{escape(key)}</Key><ETag>"{hashlib.md5(store.objects[key]).hexdigest()}"</ETag>'
                "</Contents>"
                for key in found[:most]
            )
            more = "true" if len(found) > most else "false"
            text = f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{listed}</ListBucketResult>"
            self._answer(200, text.encode())

        def _error(self, status: int) -> None:
            code = _CODES.get(status, "InternalError")
            self._answer(status, f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode())

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
