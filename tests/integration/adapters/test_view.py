from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from glue_pkgmgr.adapters.view import View
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.simple_api import JSON_TYPE, IndexFile, IndexPage
from glue_pkgmgr.errors import IndexAccessError, SettingsError

WHEEL = "acme-1.0-py3-none-any.whl"
ACME = project_name("acme")


@dataclass
class Visible:
    """One project with one wheel; `fault` is raised instead of any answer."""

    fault: Exception | None = None
    asked: list[ProjectName] = field(default_factory=list)

    def page(self, project: ProjectName) -> IndexPage | None:
        self.asked.append(project)
        if self.fault:
            raise self.fault
        file = IndexFile(
            filename=WHEEL, url="https://elsewhere.invalid/x", hashes={"sha256": "0" * 64}, yanked="old"
        )
        return IndexPage(project=project, files=(file,)) if project == ACME else None

    def metadata(self, project: ProjectName, filename: str) -> bytes | None:
        if self.fault:
            raise self.fault
        return b"Name: acme" if (project, filename) == (ACME, WHEEL) else None


@pytest.fixture
def visible() -> Visible:
    return Visible()


@pytest.fixture
def view(visible: Visible) -> Iterator[View]:
    with View(visible).serving() as running:
        yield running


def get(view: View, path: str) -> tuple[int, str, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    base = view.url.removesuffix("/simple/")
    try:
        with opener.open(base + path, timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.headers["Content-Type"], e.read()


def test_a_page_links_to_the_view_only_and_offers_metadata(view: View) -> None:
    status, content_type, body = get(view, "/simple/acme/")
    assert (status, content_type) == (200, JSON_TYPE)
    (file,) = json.loads(body)["files"]
    assert (file["url"], file["yanked"], file["core-metadata"]) == (f"/files/acme/{WHEEL}", False, True)
    assert get(view, f"{file['url']}.metadata") == (200, "text/plain; charset=utf-8", b"Name: acme")


def test_every_spelling_of_a_name_is_one_project(view: View, visible: Visible) -> None:
    assert get(view, "/simple/ACME/")[0] == 200
    assert visible.asked == [ACME]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/simple/",
        "/simple/other/",
        "/simple/a%20b/",
        "/simple/%00/",
        "/simple/acme/extra/",
        f"/files/acme/{WHEEL}",
        "/files/acme/other.whl.metadata",
        "/files/a%20b/x.metadata",
        "/simple/../../etc/passwd",
    ],
)
def test_anything_else_is_not_there_and_no_failure(view: View, path: str) -> None:
    assert get(view, path)[0] == 404
    assert view.failures == []


@pytest.mark.parametrize(
    "fault", [IndexAccessError("500"), SettingsError("disk full"), KeyError("a fault of ours")]
)
@pytest.mark.parametrize("path", ["/simple/acme/", f"/files/acme/{WHEEL}.metadata"])
def test_whatever_fails_is_kept_and_never_answered_as_absence(
    view: View, visible: Visible, fault: Exception, path: str
) -> None:
    visible.fault = fault
    assert get(view, path)[0] == 502
    assert view.failures == [fault]


def test_a_client_that_hangs_up_is_not_spoken_of(
    view: View, visible: Visible, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(view.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
        connection.sendall(b"GET /simple/acme/ HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    assert get(view, "/simple/acme/")[0] == 200
    assert capfd.readouterr().err == ""


def test_nobody_listens_after_the_block(visible: Visible) -> None:
    with View(visible).serving() as running:
        port = int(running.url.split(":")[2].split("/")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
