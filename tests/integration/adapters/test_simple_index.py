from __future__ import annotations

import gzip
import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import JSON_TYPE
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.index_source import IndexSource
from tests.integration.adapters.distributions import wheel
from tests.integration.adapters.loopback import (
    NO_PROXY,
    CodeArtifactService,
    Scripted,
    Seen,
    codeartifact_service,
    index_url,
    reply,
    scripted,
)

ACME = project_name("acme-demo")
FILE = b"the bytes of a wheel" * 1000
SHA256 = hashlib.sha256(FILE).hexdigest()

Answer = Callable[[Seen, BaseHTTPRequestHandler], None]


def page(url: str = "acme.whl") -> bytes:
    file = {"filename": "acme_demo-1.0-py3-none-any.whl", "url": url, "hashes": {"sha256": SHA256}}
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "acme-demo", "files": [file]}).encode()


def serve_page(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
    reply(handler, 200, page(), Content_Type=JSON_TYPE)


def serve_file(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
    reply(handler, 200, FILE)


def refuse(status: int) -> Answer:
    return lambda seen, handler: reply(handler, status, b"no")


def with_token(server: Scripted) -> SimpleIndex:
    return SimpleIndex(index_url(server.url), NO_PROXY)


def plain(server: Scripted, ending: str = "simple/") -> SimpleIndex:
    return SimpleIndex(IndexSource(url=server.url + ending), NO_PROXY)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CodeArtifactService]:
    with codeartifact_service(tmp_path / "service") as running:
        yield running


# Against the stand-in


def test_an_uploaded_file_is_listed_and_downloaded(service: CodeArtifactService, tmp_path: Path) -> None:
    path = wheel(tmp_path, "acme-demo", "1.0")
    url = service.index_url()
    TwineUploader(url, NO_PROXY).upload(path)
    index = SimpleIndex(url, NO_PROXY)
    listed = index.page(ACME)
    assert listed is not None
    (file,) = listed.files
    assert file.filename == path.name
    index.download(file.url, tmp_path / "copy.whl", file.sha256 or "")
    assert (tmp_path / "copy.whl").read_bytes() == path.read_bytes()


def test_a_project_the_index_does_not_have_has_no_page(service: CodeArtifactService) -> None:
    assert SimpleIndex(service.index_url(), NO_PROXY).page(ACME) is None


def test_a_token_that_expired_on_the_server_is_explained(service: CodeArtifactService) -> None:
    index = SimpleIndex(service.index_url(), NO_PROXY)
    service.now += timedelta(seconds=901)
    with pytest.raises(IndexAccessError, match="answered 401: the token is expired"):
        index.page(ACME)


# Against servers that misbehave


def test_an_expired_token_is_not_even_sent() -> None:
    with scripted(serve_page) as server:
        index = SimpleIndex(index_url(server.url, lifetime=timedelta(seconds=-1)), NO_PROXY)
        with pytest.raises(IndexAccessError, match="expired at"):
            index.page(ACME)
    assert server.seen == []


def test_links_start_at_the_address_that_answered() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if seen.path.startswith("/simple/"):
            reply(handler, 302, Location="/moved/here/")
        else:
            reply(handler, 200, page("../acme.whl"), Content_Type=JSON_TYPE)

    with scripted(answer) as server:
        found = plain(server).page(ACME)
    assert found is not None
    assert found.files[0].url == f"{server.url}moved/acme.whl"


def test_json_is_asked_for_first() -> None:
    with scripted(serve_page) as server:
        plain(server).page(ACME)
    assert server.seen[0].headers["accept"].startswith(JSON_TYPE)
    assert server.seen[0].path == "/simple/acme-demo/"


def test_credentials_in_an_index_url_are_sent_as_a_header_and_appear_in_no_link() -> None:
    with scripted(serve_page) as server:
        address = server.url.replace("http://", "http://us%40er:p%2Fw@")
        found = SimpleIndex(IndexSource(url=address), NO_PROXY).page(ACME)
    assert found is not None
    assert found.files[0].url == f"{server.url}acme-demo/acme.whl"
    assert server.seen[0].headers["authorization"] == "Basic dXNAZXI6cC93"


def test_the_token_goes_to_the_index_alone(tmp_path: Path) -> None:
    with scripted(serve_file) as files, scripted(serve_page) as server:
        index = with_token(server)
        index.page(ACME)
        index.download(f"{files.url}acme.whl", tmp_path / "b", SHA256)
    assert "authorization" in server.seen[0].headers
    assert "authorization" not in files.seen[0].headers


@pytest.mark.parametrize(
    "link",
    ["http://{evil}\\@{ours}/acme.whl", "http://{evil}\\\\@{ours}/acme.whl", "http:\\\\{evil}/@{ours}/acme.whl"],
)
def test_a_link_that_may_be_read_in_two_ways_takes_no_token_along(link: str, tmp_path: Path) -> None:
    with scripted(serve_file) as server, scripted(serve_file) as files:
        ours, evil = (one.url.removeprefix("http://").rstrip("/") for one in (server, files))
        with suppress(IndexAccessError):
            with_token(server).download(link.format(ours=ours, evil=evil), tmp_path / "a", SHA256)
    assert [one for one in files.seen if "authorization" in one.headers] == []


def test_a_redirect_to_another_host_takes_no_token_along(tmp_path: Path) -> None:
    with scripted(serve_file) as files:

        def away(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
            reply(handler, 302, Location=f"{files.url}acme.whl")

        with scripted(away) as server:
            with_token(server).download(f"{server.url}acme.whl", tmp_path / "a", SHA256)
    assert "authorization" in server.seen[0].headers
    assert "authorization" not in files.seen[0].headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_what_is_wrong_without_the_token(status: int) -> None:
    with scripted(refuse(status)) as server, pytest.raises(IndexAccessError, match=f"answered {status}") as caught:
        with_token(server).page(ACME)
    assert_no_secret(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "place", ["http://[::1", "http://127.0.0.1:1/\xff", "file:///etc/passwd", "//", "data:,x"]
)
def test_being_sent_on_to_what_is_no_index_is_an_error_of_the_index(place: str) -> None:
    def sent_on(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 302, Location=place)

    with scripted(sent_on) as index, pytest.raises(IndexAccessError, match="cannot reach http://127"):
        SimpleIndex(IndexSource(url=f"{index.url}/"), NO_PROXY).page(ACME)


def test_busy_answers_are_tried_again() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        busy = {1: 500, 2: 429, 3: 503}.get(len(server.seen))
        reply(handler, busy) if busy else serve_page(seen, handler)

    with scripted(answer) as server:
        assert with_token(server).page(ACME) is not None
    assert len(server.seen) == 4


def test_a_server_that_stays_broken_is_given_up() -> None:
    with (
        scripted(refuse(502)) as server,
        pytest.raises(IndexAccessError, match="answered 502 again and again") as caught,
    ):
        with_token(server).page(ACME)
    assert 1 < len(server.seen) < 10
    assert_no_secret(caught.value)


def test_nobody_listening_is_told_without_the_token() -> None:
    with scripted(serve_page) as server:
        index = with_token(server)
    with pytest.raises(IndexAccessError, match=r"cannot reach .*refused") as caught:
        index.page(ACME)
    assert_no_secret(caught.value)


def test_a_server_that_closes_at_once_is_told() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.close()

    thread = Thread(target=hang_up, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with pytest.raises(IndexAccessError, match="cannot reach") as caught:
        SimpleIndex(index_url(url), NO_PROXY).page(ACME)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(timeout=10)
    assert_no_secret(caught.value)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"<html>", "application/pdf"), (b"{", JSON_TYPE), (b'{"files": 3}', JSON_TYPE), (b"[]", JSON_TYPE)],
)
def test_a_page_that_is_no_index_page_is_refused(body: bytes, content_type: str) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, body, Content_Type=content_type)

    with scripted(answer) as server, pytest.raises(IndexAccessError):
        with_token(server).page(ACME)


def test_a_page_that_breaks_off_is_an_error_not_a_short_page() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, page(), length=10**6, Content_Type=JSON_TYPE)

    with scripted(answer) as server, pytest.raises(IndexAccessError, match="broke off"):
        with_token(server).page(ACME)


def test_other_bytes_than_promised_are_not_kept(tmp_path: Path) -> None:
    target = tmp_path / "acme.whl"
    with (
        scripted(lambda seen, handler: reply(handler, 200, b"evil")) as server,
        pytest.raises(NotInstallable) as caught,
    ):
        with_token(server).download(f"{server.url}acme.whl", target, SHA256)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(b"evil").hexdigest() in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert len(server.seen) == 1


def test_what_stood_at_the_target_stays_when_the_download_fails(tmp_path: Path) -> None:
    target = tmp_path / "acme.whl"
    target.write_bytes(b"old")
    with scripted(refuse(404)) as server, pytest.raises(IndexAccessError, match="answered 404"):
        with_token(server).download(f"{server.url}acme.whl", target, SHA256)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_breaks_off_is_fetched_again(tmp_path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if len(server.seen) == 1:
            reply(handler, 200, FILE[:5000], length=len(FILE))
        else:
            serve_file(seen, handler)

    with scripted(answer) as server:
        with_token(server).download(f"{server.url}acme.whl", tmp_path / "acme.whl", SHA256.upper())
    assert (tmp_path / "acme.whl").read_bytes() == FILE


def test_a_file_that_always_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, FILE[:5000], length=len(FILE))

    with scripted(answer) as server, pytest.raises(IndexAccessError, match="broke off"):
        with_token(server).download(f"{server.url}acme.whl", tmp_path / "acme.whl", SHA256)
    assert len(server.seen) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_asked_for_uncompressed(tmp_path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if "gzip" in seen.headers.get("accept-encoding", ""):
            reply(handler, 200, gzip.compress(FILE), Content_Encoding="gzip")
        else:
            serve_file(seen, handler)

    with scripted(answer) as server:
        with_token(server).download(f"{server.url}acme.whl", tmp_path / "acme.whl", SHA256)
    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with scripted(serve_file) as server, pytest.raises(SettingsError, match="cannot write"):
        with_token(server).download(f"{server.url}acme.whl", tmp_path / "no-folder" / "acme.whl", SHA256)


def test_a_link_to_a_local_file_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(FILE)
    with scripted(serve_page) as server, pytest.raises(IndexAccessError):
        with_token(server).download(secret.as_uri(), tmp_path / "acme.whl", SHA256)
    assert not (tmp_path / "acme.whl").exists()


def test_the_proxy_of_the_environment_is_used_and_loopback_is_not_sent_there() -> None:
    with scripted(serve_page) as proxy, scripted(serve_page) as server:
        environ = {"http_proxy": proxy.url}
        SimpleIndex(IndexSource(url="http://index.invalid/simple/"), environ).page(ACME)
        SimpleIndex(IndexSource(url=server.url), environ).page(ACME)
        SimpleIndex(IndexSource(url="http://index.invalid/simple/", proxy=proxy.url), {}).page(ACME)
    assert [seen.path for seen in proxy.seen] == ["http://index.invalid/simple/acme-demo/"] * 2
    assert [seen.path for seen in server.seen] == ["/acme-demo/"]


def assert_no_secret(error: GluePkgmgrError) -> None:
    assert "s3cret" not in str(error) + repr(error) + repr(error.__cause__)
