from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import (
    ACCEPT,
    HTML_TYPE,
    JSON_TYPE,
    IndexFile,
    IndexPage,
    format_time,
    negotiate,
    parse_page,
    render_html,
    render_json,
)
from glue_pkgmgr.errors import IndexAccessError

BASE = "http://127.0.0.1/simple/acme/"
ACME = project_name("acme")
DIGEST = "0123456789abcdef" * 4

plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
filenames = st.from_regex(r"acme-[0-9]{1,3}(\.[0-9]){0,2}(-py3-none-any\.whl|\.tar\.gz)", fullmatch=True)
times = st.datetimes(timezones=st.just(UTC))


@st.composite
def files(draw: st.DrawFn) -> IndexFile:
    filename = draw(filenames)
    return IndexFile(
        filename=filename,
        url=f"http://127.0.0.1/files/{filename}",
        hashes=draw(st.sampled_from([{}, {"sha256": DIGEST}])),
        requires_python=draw(st.none() | st.sampled_from([">=3.8", "<4,>=3.8", '!=3.9 "&<>']) | plain),
        size=draw(st.none() | st.integers(0, 2**50)),
        upload_time=draw(st.none() | times),
        yanked=draw(st.none() | st.just("") | plain),
    )


pages = st.lists(files(), max_size=4).map(lambda found: IndexPage(project=ACME, files=tuple(found)))


@given(pages)
def test_a_page_rendered_as_json_is_read_back_equal(page: IndexPage) -> None:
    assert parse_page(render_json(page), JSON_TYPE, BASE) == page


@given(pages)
def test_a_page_rendered_as_html_is_read_back_equal_but_for_sizes(page: IndexPage) -> None:
    again = parse_page(render_html(page), "text/html; charset=utf-8", BASE)
    assert again == IndexPage(project=ACME, files=tuple(replace(file, size=None) for file in page.files))


@given(st.binary(max_size=80), st.sampled_from([JSON_TYPE, HTML_TYPE]))
def test_any_bytes_are_a_page_or_an_error_of_the_index(body: bytes, content_type: str) -> None:
    try:
        parse_page(body, content_type, BASE)
    except IndexAccessError as e:
        assert "http://127.0.0.1/simple/acme/" in str(e)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["filename", "url", "hashes", "requires-python", "size", "upload-time", "yanked"]


@given(
    st.dictionaries(st.sampled_from(KEYS), json_values),
    st.sampled_from([*KEYS, "files", "name", "meta"]),
    json_values,
)
def test_any_json_in_any_place_is_a_page_or_an_error_of_the_index(
    file: dict[str, object], place: str, value: object
) -> None:
    good = {"filename": "acme-1.0.tar.gz", "url": "../x", "hashes": {}}
    content = {"meta": {"api-version": "1.1"}, "name": "acme", "files": [{**good, **file}]}
    target = content if place in content else content["files"][0]  # type: ignore[index]
    target[place] = value  # type: ignore[index]
    try:
        page = parse_page(json.dumps(content).encode(), JSON_TYPE, BASE)
    except IndexAccessError:
        return
    render_json(page)
    render_html(page)


def one(**changes: object) -> bytes:
    file = {"filename": "acme-1.0.tar.gz", "url": "files/acme-1.0.tar.gz", "hashes": {"SHA256": DIGEST.upper()}}
    return json.dumps({"meta": {"api-version": "1.4"}, "name": "Acme", "files": [{**file, **changes}]}).encode()


def test_a_file_has_an_absolute_url_and_hashes_in_lower_case() -> None:
    page = parse_page(one(), JSON_TYPE, BASE)
    assert page.project == "acme"
    assert page.files[0].url == f"{BASE}files/acme-1.0.tar.gz"
    assert page.files[0].sha256 == DIGEST
    assert (page.files[0].yanked, page.files[0].size, page.files[0].upload_time) == (None, None, None)


@pytest.mark.parametrize(("told", "read"), [(False, None), (True, ""), ("broken", "broken"), (None, None)])
def test_what_yanked_means(told: object, read: str | None) -> None:
    assert parse_page(one(yanked=told), JSON_TYPE, BASE).files[0].yanked == read


def test_a_reason_may_be_told_in_any_characters() -> None:
    body = one(yanked="\N{SMILING FACE WITH HORNS}")
    assert b"\\ud83d\\ude08" in body
    assert parse_page(body, JSON_TYPE, BASE).files[0].yanked == "\N{SMILING FACE WITH HORNS}"


@pytest.mark.parametrize(
    "text", ["2026-11-22T12:00:00.000000Z", "2026-11-22T12:00:00", "2026-11-22T14:00:00+02:00"]
)
def test_upload_times_are_utc(text: str) -> None:
    read = parse_page(one(**{"upload-time": text}), JSON_TYPE, BASE).files[0].upload_time
    assert read == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert read is not None
    assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "../../etc/passwd"},
        {"filename": "a\\b"},
        {"filename": ".hidden"},
        {"filename": ""},
        {"filename": "a\0b"},
        {"url": 3},
        {"url": "http://[broken"},
        {"hashes": {"sha256": "../../x"}},
        {"hashes": {"sha256": DIGEST + "\n--extra-index-url http://127.0.0.1/"}},
        {"hashes": {"sha256": ""}},
        {"hashes": None},
        {"size": "large"},
        {"size": float("inf")},
        {"size": -1},
        {"upload-time": "yesterday"},
        {"upload-time": "0001-01-01T00:00:00+14:00"},
        {"upload-time": 3},
        {"requires-python": 3},
    ],
)
def test_a_malformed_file_is_an_error_that_names_it(changes: dict[str, object]) -> None:
    with pytest.raises(IndexAccessError, match=r"/simple/acme/: files\[0\]"):
        parse_page(one(**changes), JSON_TYPE, BASE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"meta": {"api-version": "1.1"}, "name": "acme"}',
        b'{"meta": {"api-version": "1.1"}, "name": "acme", "files": 3}',
        b'{"meta": {"api-version": "1.1"}, "name": "a b", "files": []}',
        b'{"meta": {"api-version": "1.1"}, "name": 3, "files": []}',
        b'{"meta": {"api-version": "2.0"}, "name": "acme", "files": []}',
        b'{"meta": {}, "name": "acme", "files": []}',
        b'{"meta": {"api-version": "1.1"}, "name": "acme", "files": [], "x": "\\uD800"}',
    ],
)
def test_json_that_is_no_page_is_an_error_of_the_index(body: bytes) -> None:
    with pytest.raises(IndexAccessError):
        parse_page(body, JSON_TYPE, BASE)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "application/vnd.pypi.simple.v2+json", "text/plain"]
)
def test_another_content_type_is_not_read(content_type: str) -> None:
    with pytest.raises(IndexAccessError, match="not a package index page"):
        parse_page(one(), content_type, BASE)


def test_errors_show_neither_credentials_nor_query() -> None:
    with pytest.raises(IndexAccessError) as caught:
        parse_page(b"{", JSON_TYPE, "http://user:pass@127.0.0.1/simple/acme/?token=secret")
    assert "http://127.0.0.1/simple/acme/" in str(caught.value)
    assert not {"pass", "secret"} & set(str(caught.value).replace("?", " ").replace(":", " ").split())


def test_html_links_start_at_the_base_element() -> None:
    body = b'<base href="/files/"><a href="acme-1.0.tar.gz#sha256=%s">x</a><a>no link</a>' % DIGEST.encode()
    (file,) = parse_page(body, HTML_TYPE, BASE).files
    assert file.url == "http://127.0.0.1/files/acme-1.0.tar.gz"
    assert file.sha256 == DIGEST


@pytest.mark.parametrize(
    "body",
    [
        b'<a href="../">up</a>',
        b'<a href="http://[x/acme-1.0.tar.gz">x</a>',
        b'<a href="acme-1.0.tar.gz#sha256=xy">x</a>',
        b"<![unknown[ x ]]>",
    ],
)
def test_html_that_is_no_page_of_files_is_an_error_of_the_index(body: bytes) -> None:
    with pytest.raises(IndexAccessError):
        parse_page(body, HTML_TYPE, BASE)


def test_versions_are_sorted_as_versions_and_unreadable_files_count_for_none() -> None:
    names = ["acme-1.10.tar.gz", "acme-1.9.tar.gz", "acme-1.9-py3-none-any.whl", "acme.exe", "acme-x.tar.gz"]
    page = IndexPage(project=ACME, files=tuple(IndexFile(filename=name, url=name) for name in names))
    assert page.versions == ("1.9", "1.10")


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, "text/html"),
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/*", "text/html"),
        (ACCEPT, JSON_TYPE),
        (JSON_TYPE.upper(), JSON_TYPE),
        (f"text/html;q=0.1, {JSON_TYPE};q=0.2", JSON_TYPE),
        (f"text/html, {JSON_TYPE}", "text/html"),
        (f"{JSON_TYPE}, text/html", JSON_TYPE),
        ("application/vnd.pypi.simple.latest+json", JSON_TYPE),
        ("application/vnd.pypi.simple.latest+html", HTML_TYPE),
        (f"application/json, {HTML_TYPE};q=x, */*;q=0.1", "text/html"),
        ("application/json", None),
        ("application/vnd.pypi.simple.v2+json", None),
        (f"{JSON_TYPE};q=0", None),
        (f"{JSON_TYPE};q=nan", None),
        (";;,,", None),
    ],
)
def test_the_answer_is_what_the_client_prefers_of_what_there_is(accept: str | None, answer: str | None) -> None:
    assert negotiate(accept) == answer


@given(st.text(max_size=40))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    assert negotiate(accept) in (None, JSON_TYPE, HTML_TYPE, "text/html")


def test_times_are_written_in_utc_with_microseconds() -> None:
    east = datetime(2026, 11, 22, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(east) == "2026-11-22T12:00:00.000005Z"


def test_core_metadata_is_announced_only_where_it_is_served() -> None:
    page = IndexPage(project=ACME, files=(IndexFile(filename="acme-1.0.tar.gz", url="x"),))
    assert b"core-metadata" not in render_json(page)
    assert json.loads(render_json(page, core_metadata=True))["files"][0]["core-metadata"] is True


parts = st.sampled_from(["a", "..", ".", "1.0", "a b", "%2e%2e", "x+y", "", "http:", "h:80", "#f", "?q", "é", "~"])
bases = st.sampled_from(
    [
        "https://example.com/simple/acme/",
        "https://example.com/a/../b//acme",
        "https://u:p@example.com",
        "/simple/acme/",
    ]
)


@given(st.lists(parts, min_size=1, max_size=5).map("/".join), bases)
def test_a_link_leads_where_a_browser_would_go(link: str, base: str) -> None:
    body = json.dumps(
        {"meta": {"api-version": "1.0"}, "name": "acme", "files": [{"filename": "a", "url": link, "hashes": {}}]}
    ).encode()
    assert parse_page(body, JSON_TYPE, base).files[0].url == urljoin(base, link)
