"""Pages that are kept, and asked for again only if they have changed."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.kept_pages import KeptPages
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.simple_api import JSON_TYPE
from glue_pkgmgr.errors import IndexAccessError
from tests.integration.adapters.distributions import wheel
from tests.integration.adapters.loopback import (
    NO_PROXY,
    Scripted,
    Seen,
    codeartifact_service,
    index_url,
    reply,
    scripted,
)
from tests.integration.adapters.test_simple_index import ACME, page


class Tagged:
    """Answers with a page and its entity tag, if it has one, with 304, or with the `status` it is told to."""

    def __init__(self) -> None:
        self.etag: str | None = '"one"'
        self.link = "one.whl"
        self.status = 0
        self.sent: list[int] = []

    def __call__(self, seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        unchanged = self.etag is not None and seen.headers.get("if-none-match") == self.etag
        status = self.status or (304 if unchanged else 200)
        self.sent.append(status)
        body = page(self.link) if status == 200 else b""
        if self.etag:
            reply(handler, status, body, Content_Type=JSON_TYPE, ETag=self.etag)
        else:
            reply(handler, status, body, Content_Type=JSON_TYPE)


def index(server: Scripted, folder: Path) -> SimpleIndex:
    return SimpleIndex(index_url(server.url), NO_PROXY, pages=KeptPages(folder / "pages"))


def link(server: Scripted, folder: Path) -> str:
    found = index(server, folder).page(ACME)
    assert found is not None
    return found.files[0].url.rpartition("/")[2]


def test_a_page_is_sent_again_only_after_it_has_changed(tmp_path: Path) -> None:
    tagged = Tagged()
    with scripted(tagged) as server:
        assert [link(server, tmp_path) for _ in range(3)] == 3 * ["one.whl"]
        tagged.etag, tagged.link = '"two"', "two.whl"
        assert [link(server, tmp_path) for _ in range(2)] == 2 * ["two.whl"]
    assert tagged.sent == [200, 304, 304, 200, 304]


def test_an_index_without_entity_tags_is_read_each_time_and_nothing_is_kept(tmp_path: Path) -> None:
    tagged = Tagged()
    tagged.etag = None
    with scripted(tagged) as server:
        assert [link(server, tmp_path) for _ in range(2)] == 2 * ["one.whl"]
    assert tagged.sent == [200, 200]
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize("status", [401, 403, 500])
def test_what_was_kept_is_not_shown_to_a_token_that_the_index_refuses(tmp_path: Path, status: int) -> None:
    tagged = Tagged()
    with scripted(tagged) as server:
        link(server, tmp_path)
        tagged.status = status
        with pytest.raises(IndexAccessError, match=f"answered {status}"):
            link(server, tmp_path)


def test_a_project_that_is_gone_is_gone_although_its_page_was_kept(tmp_path: Path) -> None:
    tagged = Tagged()
    with scripted(tagged) as server:
        link(server, tmp_path)
        tagged.status = 404
        assert index(server, tmp_path).page(ACME) is None


def test_a_damaged_page_is_read_anew(tmp_path: Path) -> None:
    tagged = Tagged()
    with scripted(tagged) as server:
        link(server, tmp_path)
        (kept,) = (tmp_path / "pages").iterdir()
        kept.write_bytes(kept.read_bytes()[:-1])
        assert link(server, tmp_path) == "one.whl"
    assert tagged.sent == [200, 200]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("a file")
    with scripted(Tagged()) as server:
        assert link(server, tmp_path) == "one.whl"


def test_no_token_is_kept_and_nobody_else_may_look(tmp_path: Path) -> None:
    with scripted(Tagged()) as server:
        link(server, tmp_path)
    (kept,) = (tmp_path / "pages").iterdir()
    assert b"s3cret" not in kept.read_bytes()
    assert (tmp_path / "pages").stat().st_mode & 0o077 == 0
    assert kept.stat().st_mode & 0o077 == 0


def test_the_pages_kept_longest_ago_go_first(tmp_path: Path) -> None:
    pages = KeptPages(tmp_path / "pages")
    with scripted(Tagged()) as server:
        found = index(server, tmp_path / "other").page(ACME)
    assert found is not None
    for number in range(301):
        pages.keep(f"http://127.0.0.1/{number}/", "e", found)
        for path in (tmp_path / "pages").iterdir():
            if path.stat().st_mtime > 1000:
                os.utime(path, (number, number))
    assert pages.get("http://127.0.0.1/0/") is None
    assert pages.get("http://127.0.0.1/1/") is not None
    assert pages.get("http://127.0.0.1/300/") is not None


def test_the_stand_in_says_when_a_page_has_not_changed(tmp_path: Path) -> None:
    with codeartifact_service(tmp_path / "service") as service:
        url = service.index_url()
        for version in ("1.0", "2.0"):
            TwineUploader(url, NO_PROXY).upload(wheel(tmp_path, "acme-demo", version))
            for _ in range(2):
                opened = SimpleIndex(service.index_url(), NO_PROXY, pages=KeptPages(tmp_path / "pages"))
                found, fresh = opened.page(ACME), SimpleIndex(url, NO_PROXY).page(ACME)
                assert found is not None
                assert found == fresh
                assert version in found.versions
