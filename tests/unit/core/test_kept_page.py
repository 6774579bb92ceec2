from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.kept_page import keep_page, read_kept_page
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from tests.unit.core.test_simple_api import pages

URL = "https://example.com/simple/acme/"
ACME = project_name("acme")
ODD = ("acme.exe", "acme-1.0-py3-none-any.whl", "acme-1.0.0.tar.gz", "acme-1.0.tar.gz", "x.whl", "acme-.zip")


def read(content: bytes, url: str = URL) -> IndexPage | None:
    found = read_kept_page(content, url)
    return found[1] if found else None


@given(pages, st.text(max_size=9))
def test_a_kept_page_is_read_back_equal_with_its_entity_tag(page: IndexPage, etag: str) -> None:
    found = read_kept_page(keep_page(page, URL, etag), URL)
    assert found == (etag, page)


@given(st.lists(st.sampled_from(ODD), max_size=8))
def test_a_kept_page_has_the_same_groups_in_the_same_order(names: list[str]) -> None:
    page = IndexPage(project=ACME, files=tuple(IndexFile(filename=n, url=str(k)) for k, n in enumerate(names)))
    kept = read(keep_page(page, URL, "e"))
    assert kept is not None
    assert {name: list(group) for name, group in kept.by_version().items()} == page.by_version()
    assert (len(kept.files), list(kept.files)) == (len(names), list(page.files))
    assert kept.files[1:] == page.files[1:]


def made() -> bytes:
    return keep_page(IndexPage(project=ACME, files=(IndexFile(filename=ODD[1], url="u"),)), URL, "e")


@given(st.data())
def test_what_was_cut_off_or_changed_is_not_taken_for_a_page(data: st.DataObject) -> None:
    content = made()
    position = data.draw(st.integers(0, len(content) - 1))
    assert read(content[:position]) is None
    changed = bytes([content[position] ^ data.draw(st.integers(1, 255))])
    found = read_kept_page(content[:position] + changed + content[position + 1 :], URL)
    # Of its first line only what names the page counts; the files are checked as a whole.
    assert found is None or list(found[1].files) == list(read(content).files)  # type: ignore[union-attr]


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff"])
def test_anything_else_is_not_taken_for_a_page(line: bytes) -> None:
    assert read(line) is None
    assert read(line + b"\n[]") is None


def test_a_page_counts_for_its_own_url_and_this_format_only() -> None:
    assert read(made(), "https://example.com/other/acme/") is None
    head, _, body = made().partition(b"\n")
    assert read(json.dumps({**json.loads(head), "format": 2}).encode() + b"\n" + body) is None
