from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.upload import TwineUploader, check_upload
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.process import Finished, run
from tests.integration.adapters.distributions import sdist, wheel
from tests.integration.adapters.loopback import (
    APPROVED,
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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CodeArtifactService]:
    with codeartifact_service(tmp_path / "service") as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return wheel(tmp_path, "acme-demo", "1.0")


def uploader(server: Scripted) -> TwineUploader:
    return TwineUploader(index_url(server.url), NO_PROXY, sleep=lambda seconds: None)


# Against the stand-in


def test_wheel_and_sdist_arrive_with_their_bytes(service: CodeArtifactService, tmp_path: Path) -> None:
    paths = [sdist(tmp_path, "acme-demo", "1.0"), wheel(tmp_path, "acme-demo", "1.0")]
    for path in paths:
        TwineUploader(service.index_url(), NO_PROXY).upload(path)
    held = service.codeartifact.assets(APPROVED, ACME, Version("1.0"))
    assert {asset.filename: asset.sha256 for asset in held} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def test_the_same_bytes_again_are_no_error(service: CodeArtifactService, path: Path) -> None:
    for _ in range(2):
        TwineUploader(service.index_url(), NO_PROXY).upload(path)


def test_other_bytes_under_the_same_name_are_refused(service: CodeArtifactService, tmp_path: Path) -> None:
    TwineUploader(service.index_url(), NO_PROXY).upload(wheel(tmp_path, "acme-demo", "1.0"))
    with pytest.raises(NotInstallable, match="other bytes"):
        TwineUploader(service.index_url(), NO_PROXY).upload(wheel(tmp_path, "acme-demo", "1.0", code="x = 2\n"))


def test_a_project_closed_for_publishing_is_refused_with_the_reason(
    service: CodeArtifactService, path: Path
) -> None:
    service.codeartifact.set_origin(APPROVED, ACME, publish=False, upstream=True)
    with pytest.raises(GluePkgmgrError, match="origin"):
        TwineUploader(service.index_url(), NO_PROXY).upload(path)


def test_a_token_that_expired_is_explained(service: CodeArtifactService, path: Path) -> None:
    url = service.index_url()
    service.now += timedelta(seconds=901)
    with pytest.raises(IndexAccessError, match=r"401 .*the token is expired") as caught:
        TwineUploader(url, NO_PROXY).upload(path)
    assert url.token.reveal() not in str(caught.value)


# Against servers that misbehave


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "mint a new one"),
        (403, "codeartifact:PublishPackageVersion"),
        (404, "check the domain"),
        (413, "5 GB"),
    ],
)
def test_a_refusal_is_told_once_with_the_servers_words(status: int, told: str, path: Path) -> None:
    with (
        scripted(lambda seen, handler: reply(handler, status, b"because I say so")) as server,
        pytest.raises(IndexAccessError, match="because I say so") as caught,
    ):
        uploader(server).upload(path)
    assert told in str(caught.value)
    assert_no_secret(caught.value)
    assert len(server.seen) == 1


def test_a_server_that_repeats_the_token_does_not_get_it_into_the_error(path: Path) -> None:
    def parrot(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.headers["Authorization"].encode()
        reply(handler, 400, b"bad password s3cret/+=token or s3cret%2F%2B%3Dtoken of " + sent)

    with scripted(parrot) as server, pytest.raises(IndexAccessError, match=r"bad password \*\*\*\*") as caught:
        uploader(server).upload(path)
    assert_no_secret(caught.value)
    assert "of Basic ****" in str(caught.value)


def test_a_page_of_html_is_not_told(path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 403, b"<html><body>hello</body></html>", Content_Type="text/html")

    with scripted(answer) as server, pytest.raises(IndexAccessError) as caught:
        uploader(server).upload(path)
    assert "<html>" not in str(caught.value)


def test_a_conflict_names_its_three_causes(path: Path) -> None:
    with scripted(lambda seen, handler: reply(handler, 409)) as server, pytest.raises(NotInstallable) as caught:
        uploader(server).upload(path)
    for cause in ("other bytes", "upstream", "origin configuration"):
        assert cause in str(caught.value)


def test_busy_answers_are_tried_again_with_the_whole_file(path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, {1: 500, 2: 429}.get(len(server.seen), 200))

    with scripted(answer) as server:
        uploader(server).upload(path)
    assert len(server.seen) == 3
    assert all(path.read_bytes() in seen.body for seen in server.seen)


def test_the_pauses_between_tries_grow_and_end(path: Path) -> None:
    pauses: list[float] = []
    with (
        scripted(lambda seen, handler: reply(handler, 503)) as server,
        pytest.raises(IndexAccessError, match="tried 4 times"),
    ):
        TwineUploader(index_url(server.url), NO_PROXY, sleep=pauses.append).upload(path)
    assert len(server.seen) == 4
    assert len(pauses) == 3
    assert 0 < pauses[0] < pauses[2] < 10


@pytest.mark.parametrize(
    ("asked", "least", "most"), [("7", 7, 7), ("9999", 30, 30), ("soon", 0, 8), ("-3", 0, 8), ("1e9", 0, 8)]
)
def test_a_server_may_ask_for_a_longer_pause_within_reason(
    asked: str, least: float, most: float, path: Path
) -> None:
    pauses: list[float] = []

    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 429 if len(server.seen) == 1 else 200, Retry_After=asked)

    with scripted(answer) as server:
        TwineUploader(index_url(server.url), NO_PROXY, sleep=pauses.append).upload(path)
    assert least <= pauses[0] <= most


def test_an_answer_that_breaks_off_is_tried_again(path: Path) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if len(server.seen) == 1:
            handler.connection.close()
        else:
            reply(handler, 200)

    with scripted(answer) as server:
        uploader(server).upload(path)
    assert len(server.seen) == 2


def test_a_redirect_is_not_followed_with_the_token(path: Path) -> None:
    with scripted(lambda seen, handler: reply(handler, 200)) as other:

        def away(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
            reply(handler, 307, Location=other.url)

        with scripted(away) as server, pytest.raises(IndexAccessError, match="307") as caught:
            uploader(server).upload(path)
    assert other.seen == []
    assert "it sends the upload elsewhere" in str(caught.value)


def test_nobody_listening_is_told_without_the_token(path: Path) -> None:
    with scripted(lambda seen, handler: None) as server:
        target = uploader(server)
    with pytest.raises(IndexAccessError, match="run again to go on") as caught:
        target.upload(path)
    assert_no_secret(caught.value)


def test_the_form_is_the_one_of_the_public_index(path: Path) -> None:
    with scripted(lambda seen, handler: reply(handler, 200)) as server:
        uploader(server).upload(path)
    (seen,) = server.seen
    assert seen.method == "POST"
    assert seen.path == "/"
    assert b'name=":action"\r\n\r\nfile_upload' in seen.body
    assert hashlib.sha256(path.read_bytes()).hexdigest().encode() in seen.body
    assert seen.headers["authorization"].startswith("Basic ")


def test_nothing_is_printed(path: Path) -> None:
    # In a process of its own: the handlers of pytest would take what Python prints where there are none.
    program = (
        "import sys; from pathlib import Path; from glue_pkgmgr.adapters.upload import TwineUploader\n"
        "from tests.integration.adapters.loopback import NO_PROXY, index_url\n"
        "TwineUploader(index_url(sys.argv[1]), NO_PROXY, sleep=lambda _: None).upload(Path(sys.argv[2]))\n"
    )

    def busy(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 500 if len(server.seen) == 1 else 200)

    with scripted(busy) as server:
        finished = run(
            [sys.executable, "-c", program, server.url, path],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            timeout=60,
        )
    assert finished == Finished(returncode=0, stdout="", stderr="")
    assert len(server.seen) == 2


def test_settings_of_twine_and_netrc_are_not_read(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".pypirc").write_text("[pypi]\nusername = wrong\npassword = wrong\n")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login wrong password wrong\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TWINE_PASSWORD", "wrong")
    with scripted(lambda seen, handler: reply(handler, 200)) as server:
        uploader(server).upload(path)
    assert server.seen[0].headers["authorization"] == "Basic YXdzOnMzY3JldC8rPXRva2Vu"


@pytest.mark.parametrize("name", ["acme_demo-1.0-py3-none-any.whl", "acme_demo-1.0.tar.gz", "acme.txt"])
def test_a_file_that_is_no_distribution_is_refused_before_anything_is_sent(name: str, tmp_path: Path) -> None:
    broken = tmp_path / name
    broken.write_bytes(b"not an archive")
    with scripted(lambda seen, handler: reply(handler, 200)) as server, pytest.raises(SettingsError, match=name):
        uploader(server).upload(broken)
    assert server.seen == []


@pytest.mark.parametrize("make", [wheel, sdist])
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("A demonstration", "caf\udce9", r"not UTF-8: byte 0xe9 in line 4"),
        ("Name: acme-demo", "Name: other", r"its metadata is of other 1\.0"),
        ("Version: 1.0", "Version: 1.0.post1", r"its metadata is of acme-demo 1\.0\.post1"),
        ("Version: 1.0", "Version: one", "version"),
        ("Summary", "Sumary", "sumary"),
    ],
)
def test_metadata_that_no_index_accepts_is_told_before_anything_is_sent(
    old: str, new: str, told: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    path = make(tmp_path, "acme-demo", "1.0", metadata=lambda text: text.replace(old, new))
    with pytest.raises(SettingsError, match=rf"{re.escape(path.name)} is not a distribution .*{told}"):
        check_upload(path)


def test_a_good_file_passes_and_is_read_again_once_it_changed(path: Path) -> None:
    check_upload(path)
    path.write_bytes(b"not an archive any more")
    with pytest.raises(SettingsError, match="not a distribution"):
        check_upload(path)


def test_a_file_that_was_changed_after_it_was_checked_is_not_uploaded(path: Path) -> None:
    checked = hashlib.sha256(path.read_bytes()).hexdigest()
    with scripted(lambda seen, handler: reply(handler, 200)) as server:
        uploader(server).upload(path, sha256=checked)
        wheel(path.parent, "acme-demo", "1.0", code="x = 2\n")
        with pytest.raises(NotInstallable, match=rf"was changed after it was checked: .* checked was {checked}"):
            uploader(server).upload(path, sha256=checked)
    assert len(server.seen) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with scripted(lambda seen, handler: reply(handler, 200)) as server, pytest.raises(SettingsError, match="gone"):
        uploader(server).upload(tmp_path / "gone-1.0-py3-none-any.whl")


def assert_no_secret(error: GluePkgmgrError) -> None:
    text = str(error) + repr(error) + repr(error.__cause__)
    assert "s3cret" not in text
