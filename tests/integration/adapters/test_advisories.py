"""The vulnerability gate against servers on 127.0.0.1 that speak the services' interfaces."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.advisories import PipAuditAdvisories, open_advisories
from glue_pkgmgr.core.advisory import Advisory
from glue_pkgmgr.core.names import Release, project_name
from glue_pkgmgr.errors import IndexAccessError, SettingsError
from glue_pkgmgr.settings import SERVICES, VulnerabilitySettings
from tests.integration.adapters.loopback import NO_PROXY, Scripted, Seen, reply, scripted

Answer = Callable[[Seen, BaseHTTPRequestHandler], None]


def release(text: str) -> Release:
    name, _, version = text.partition("==")
    return project_name(name), Version(version)


ACME = release("acme-demo==1.0")
OTHER = release("other==2.0")

VULNERABILITY = {
    "schema_version": "1.7.0",
    "id": "GHSA-1",
    "aliases": ["CVE-2026-1", "PYSEC-2026-1"],
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "acme-demo"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}
FOUND = {ACME: "PYSEC-2026-1 (CVE-2026-1, GHSA-1; fixed in 1.1)"}


def told(found: Mapping[Release, Any]) -> dict[Release, str]:
    return {release: ", ".join(map(str, advisories)) for release, advisories in found.items()}


def send(handler: BaseHTTPRequestHandler, content: object, status: int = 200, **headers: str) -> None:
    reply(handler, status, json.dumps(content).encode(), Content_Type="application/json", **headers)


def osv(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
    """Answer as the service does: an empty object where it knows no vulnerability."""
    query = json.loads(seen.body)
    known = query == {"package": {"name": "acme-demo", "ecosystem": "PyPI"}, "version": "1.0"}
    send(handler, {"vulns": [VULNERABILITY]} if known else {})


def pypi(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
    one = {
        "id": "PYSEC-2026-1",
        "aliases": ["CVE-2026-1", "GHSA-1"],
        "fixed_in": ["1.1"],
        "summary": None,
        "details": "Bad",
        "withdrawn": None,
    }
    known = {"/pypi/acme-demo/1.0/json": [one], "/pypi/other/2.0/json": []}
    if seen.path in known:
        send(handler, {"info": {}, "vulnerabilities": known[seen.path]})
    else:
        send(handler, {"message": "Not Found"}, 404)


def esms_advisory(name: str = "Acme-Demo", number: int = 1) -> dict[str, Any]:
    versions = [{"vulnerable_version_range": "< 1.1", "first_patched_version": "1.1"}]
    return {
        "identifiers": [f"GHSA-{number}", f"CVE-2026-{number}"],
        "withdrawn_at": None,
        "title": "Bad",
        "packages": [{"ecosystem": "pypi", "package_name": name, "versions": versions}],
    }


def esms(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
    asked = parse_qs(urlsplit(seen.path).query)
    assert asked["ecosystem"] == ["pypi"]
    send(handler, [esms_advisory()] if asked["package_name"] == ["acme-demo"] else [])


ANSWERS: dict[str, Answer] = {"osv": osv, "pypi": pypi, "esms": esms}
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES)


def ask(
    server: Scripted, service: str = "osv", *releases: Release, seconds: float = 5, ending: str = ""
) -> Mapping[Release, Any]:
    advisories = PipAuditAdvisories(service, f"{server.url}{ending}", NO_PROXY, seconds=seconds)
    return advisories.of(releases or (ACME, OTHER))


def refusal(answer: Answer, service: str = "osv", seconds: float = 5) -> str:
    with scripted(answer) as server, pytest.raises(IndexAccessError) as caught:
        ask(server, service, seconds=seconds)
    message = str(caught.value)
    assert re.match(rf"cannot ask the vulnerability service {service} at http://127.0.0.1:\d+/ about ", message)
    assert message.endswith("or name a file of records instead")
    return message


# What services say


@EVERY_SERVICE
def test_a_service_tells_the_vulnerabilities_of_a_release(service: str) -> None:
    with scripted(ANSWERS[service]) as server:
        found = ask(server, service)
    ids = {"esms": "CVE-2026-1 (GHSA-1; fixed in 1.1)"}
    assert told(found) == {ACME: ids.get(service, FOUND[ACME])}


@pytest.mark.parametrize(
    ("service", "ending"),
    [("osv", "v1/query"), ("osv", "v1/query/"), ("pypi", "pypi"), ("esms", "api/v1/advisories")],
)
@pytest.mark.parametrize("prefix", ["", "behind/a/proxy/"])
def test_the_address_may_have_a_prefix_and_name_the_services_own_path(
    service: str, ending: str, prefix: str
) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        assert seen.path.startswith(f"/{prefix}")
        path = seen.path.removeprefix(f"/{prefix}")
        assert path.startswith(ending.rstrip("/"))
        ANSWERS[service](Seen(seen.method, f"/{path}", seen.headers, seen.body), handler)

    with scripted(answer) as server:
        assert ACME in ask(server, service, ending=prefix)
        assert ACME in ask(server, service, ending=prefix + ending)


def test_a_release_is_asked_about_once() -> None:
    with scripted(osv) as server:
        advisories = PipAuditAdvisories("osv", server.url, NO_PROXY)
        first = advisories.of([ACME, ACME, OTHER])
        assert advisories.of([OTHER, ACME]) == first
        assert len(server.seen) == 2
        assert advisories.of([OTHER]) == {}
    assert len(server.seen) == 2
    assert advisories.of([]) == {}


def test_the_local_part_of_a_version_is_not_asked_about() -> None:
    build = release("acme-demo==1.0+cpu")
    with scripted(osv) as server:
        assert told(ask(server, "osv", build)) == {build: FOUND[ACME]}


def test_many_releases_are_asked_about_at_once() -> None:
    def slow(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        osv(seen, handler)

    releases = [release(f"acme-demo==1.{n}") for n in range(32)]
    with scripted(slow) as server:
        start = time.monotonic()
        found = ask(server, "osv", *releases)
        assert time.monotonic() - start < 3
    assert set(found) == {ACME}
    assert len(server.seen) == 32


def test_records_that_are_one_vulnerability_are_one_advisory() -> None:
    both = [VULNERABILITY, {**VULNERABILITY, "id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"]}]
    with scripted(lambda seen, handler: send(handler, {"vulns": both})) as server:
        assert told(ask(server, "osv", ACME)) == FOUND


def test_withdrawn_records_do_not_count() -> None:
    gone = {**VULNERABILITY, "withdrawn": "2026-02-01T00:00:00Z"}
    with scripted(lambda seen, handler: send(handler, {"vulns": [gone]})) as server:
        assert ask(server, "osv", ACME) == {}


def test_no_credentials_are_sent_where_none_are_given() -> None:
    with scripted(osv) as server:
        assert ACME in ask(server, "osv", ACME, ending="v1/query")
    assert "authorization" not in server.seen[0].headers


def test_credentials_are_sent_and_shown_nowhere() -> None:
    def denied(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 401 if seen.headers["authorization"] == "Basic dXM6czNjcmV0Lys=" else 500)

    with scripted(denied) as server, pytest.raises(IndexAccessError, match="it answered 401; check") as caught:
        PipAuditAdvisories("osv", server.url.replace("//", "//us:s3cret%2F%2B@"), NO_PROXY).of([ACME])
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_redirect_takes_no_credentials_to_another_host() -> None:
    with scripted(pypi) as other:

        def away(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
            reply(handler, 302, Location=other.url.rstrip("/").replace("127.0.0.1", "localhost") + seen.path)

        with scripted(away) as server:
            found = PipAuditAdvisories("pypi", server.url.replace("//", "//us:pw@"), NO_PROXY).of([ACME])
    assert told(found) == FOUND
    assert "authorization" in server.seen[0].headers
    assert "authorization" not in other.seen[0].headers


def test_a_compressed_answer_is_read() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        body = gzip.compress(json.dumps({"vulns": [VULNERABILITY]}).encode())
        reply(handler, 200, body, Content_Encoding="gzip")

    with scripted(answer) as server:
        assert told(ask(server, "osv", ACME)) == FOUND


@EVERY_SERVICE
def test_nothing_is_kept_and_nothing_is_said(
    service: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(ANSWERS[service]) as server:
        environ = {**NO_PROXY, "GLUE_PKGMGR_CACHE": str(tmp_path / "cache")}
        assert PipAuditAdvisories(service, server.url, environ).of([ACME, OTHER, release("none==1")])
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


def test_the_proxy_of_the_environment_that_is_handed_in_is_used() -> None:
    def proxy(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        assert seen.path == "http://advisories.example.com/v1/query"
        osv(seen, handler)

    with scripted(proxy) as server:
        environ = {"http_proxy": server.url}
        found = PipAuditAdvisories("osv", "http://advisories.example.com", environ).of([ACME])
    assert told(found) == FOUND


# Answers that pip-audit alone would take for "no vulnerability"


def test_further_pages_of_osv_are_read() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        query = json.loads(seen.body)
        assert query["package"]["name"] == "acme-demo"
        pages = {
            None: {"next_page_token": "a"},
            "a": {"vulns": [], "next_page_token": "b"},
            "b": {"vulns": [VULNERABILITY]},
        }
        send(handler, pages[query.get("page_token")])

    with scripted(answer) as server:
        assert told(ask(server, "osv", ACME)) == FOUND


def test_further_pages_of_esms_are_read() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        page = int(parse_qs(urlsplit(seen.path).query).get("page", ["1"])[0])
        following = f"https://advisories.example.com{seen.path.partition('&page')[0]}&page={page + 1}"
        more = {"Link": f'<{following}>; rel="next"'} if page < 3 else {}
        send(handler, [esms_advisory(number=page)], **more)

    with scripted(answer) as server:
        (found,) = ask(server, "esms", ACME).values()
    assert [one.id for one in found] == ["CVE-2026-1", "CVE-2026-2", "CVE-2026-3"]


@pytest.mark.parametrize("service", ["osv", "esms"])
def test_pages_without_end_are_refused(service: str) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if service == "osv":
            send(handler, {"vulns": [], "next_page_token": "more"})
        else:
            send(handler, [], Link=f'<{seen.path}>; rel="next"')

    assert "more than 50 pages" in refusal(answer, service)


def test_a_record_without_affected_counts_since_the_service_gave_it_for_this_release() -> None:
    one = {key: value for key, value in VULNERABILITY.items() if key != "affected"}
    with scripted(lambda seen, handler: send(handler, {"vulns": [one]})) as server:
        assert told(ask(server, "osv", ACME)) == {ACME: "PYSEC-2026-1 (CVE-2026-1, GHSA-1)"}


def test_a_record_of_another_schema_is_refused() -> None:
    newer = {**VULNERABILITY, "schema_version": "2.0.0"}
    assert "schema version '2.0.0'" in refusal(lambda seen, handler: send(handler, {"vulns": [newer]}))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"0", b"false", b'""', b"[{}]"])
@EVERY_SERVICE
def test_an_answer_of_another_kind_is_refused(service: str, body: bytes) -> None:
    if (service, body) == ("esms", b"[]"):
        return  # its way to say "none"
    assert "not how such a service answers" in refusal(lambda seen, handler: reply(handler, 200, body), service)


def test_a_mirror_that_says_nothing_about_vulnerabilities_is_refused() -> None:
    message = refusal(lambda seen, handler: send(handler, {"info": {}}), "pypi")
    assert "it says nothing about vulnerabilities" in message


def test_a_release_the_package_index_does_not_have_has_no_advisory() -> None:
    with scripted(pypi) as server:
        assert ask(server, "pypi", release("none==1")) == {}


@pytest.mark.parametrize("body", [b"<html>Not Found</html>", b'{"errors": []}', b'{"message": "no"}', b"[]", b""])
def test_404_of_something_else_is_refused(body: bytes) -> None:
    assert "not how such a service answers" in refusal(lambda seen, handler: reply(handler, 404, body), "pypi")


@pytest.mark.parametrize("service", ["osv", "esms"])
def test_404_of_a_service_that_never_says_so_is_refused(service: str) -> None:
    message = refusal(lambda seen, handler: send(handler, {"message": "Not Found"}, 404), service)
    assert "it answered 404; check the service's url" in message


# Services that fail


@EVERY_SERVICE
def test_a_service_nobody_listens_at_is_an_error_that_says_what_to_do(service: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(
            IndexAccessError, match=r"cannot reach it: ConnectionRefusedError: .*check the network"
        ):
            PipAuditAdvisories(service, url, NO_PROXY).of([ACME, OTHER])


@EVERY_SERVICE
def test_a_slow_service_is_given_up(service: str) -> None:
    def slow(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(3)
        ANSWERS[service](seen, handler)

    start = time.monotonic()
    message = refusal(slow, service, seconds=0.3)
    assert time.monotonic() - start < 3
    assert "cannot reach it" in message


def test_an_answer_that_drips_is_given_up() -> None:
    def drip(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    start = time.monotonic()
    assert "took longer than 0.5 s" in refusal(drip, seconds=0.5)
    assert time.monotonic() - start < 4


@EVERY_SERVICE
def test_a_refusal_says_the_status(service: str) -> None:
    message = refusal(lambda seen, handler: reply(handler, 403, b"no"), service)
    assert "it answered 403; check the service's url and its credentials" in message


def test_a_failing_service_is_asked_again_and_given_up() -> None:
    assert "it answered 500 again and again; try later" in refusal(lambda seen, handler: reply(handler, 500))


def test_busy_answers_are_tried_again() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        busy = {1: 503, 2: 429}.get(len(server.seen))
        reply(handler, busy) if busy else osv(seen, handler)

    with scripted(answer) as server:
        assert told(ask(server, "osv", ACME)) == FOUND
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b'{"vulns": 1}',
        b'{"vulns": [1]}',
        b'{"vulns": [{}]}',
        b'{"vulns": [{"id": 1}]}',
        b'{"vulns": [{"id": "CVE-1\\u001b[2J"}]}',
        b'{"vulns": [{"id": "CVE-1", "aliases": [1]}]}',
        b'{"vulns": [{"id": "CVE-1", "affected": [1]}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({"vulns": [{"id": "x" * 100_000}]}).encode(),
        json.dumps({"vulns": [{"id": "CVE-1", "schema_version": "1." + "x" * 100_000}]}).encode(),
    ],
)
def test_nonsense_is_refused(body: bytes) -> None:
    message = refusal(lambda seen, handler: reply(handler, 200, body))
    assert "that is not how such a service answers" in message
    assert message.isprintable()
    assert len(message) < 500


def test_an_answer_that_breaks_off_is_refused() -> None:
    def broken(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b'{"vulns": []}', length=100)

    assert "cannot reach it: IncompleteRead" in refusal(broken)


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glue_pkgmgr.adapters.advisories._LARGEST_ANSWER", 1000)
    assert "more than 1000 bytes" in refusal(lambda seen, handler: reply(handler, 200, b" " * 2000))


def test_redirects_in_a_circle_are_refused() -> None:
    message = refusal(lambda seen, handler: reply(handler, 302, Location=seen.path), "pypi")
    assert "Exceeded 5 redirects" in message


# Opening


@pytest.mark.parametrize(
    "url",
    [
        "",
        "advisories",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "http://127.0.0.1/?a=b",
        "https://us:s3cret@/#x",
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(SettingsError, match="the url of the vulnerability service is none") as caught:
        open_advisories(VulnerabilitySettings(service="osv", url=url), NO_PROXY)
    assert "s3cret" not in str(caught.value)


def test_the_settings_say_who_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    file.write_text(json.dumps(VULNERABILITY))
    with scripted(osv) as server:
        for asked in (VulnerabilitySettings(file=file), VulnerabilitySettings(service="osv", url=server.url)):
            advisories: Mapping[Release, Any] = open_advisories(asked, NO_PROXY).of([ACME, OTHER])
            assert told(advisories) == FOUND
            assert all(isinstance(one, Advisory) for one in advisories[ACME])


OPENING = """
import sys
from pathlib import Path
from glue_pkgmgr.adapters.advisories import open_advisories
from glue_pkgmgr.settings import VulnerabilitySettings
if sys.argv[1:]:
    sys.modules[sys.argv[1]] = None
open_advisories(VulnerabilitySettings(file=Path("records.json")), {})
try:
    open_advisories(VulnerabilitySettings(service="osv"), {})
except Exception as e:
    print(type(e).__name__, e)
"""


def opened(*missing: str, **environ: str) -> str:
    command = [sys.executable, "-c", OPENING, *missing]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=True
    ).stdout


def test_only_a_service_needs_pip_audit() -> None:
    assert opened() == ""
    assert opened("pip_audit") == (
        'SettingsError the vulnerability gate needs pip-audit: pip install "glue-pkgmgr[audit]"\n'
    )


def test_a_pip_audit_without_pip_is_explained(tmp_path: Path) -> None:
    told = opened(PIPAPI_PYTHON_LOCATION=str(tmp_path / "none"))
    assert told.startswith("SettingsError pip-audit cannot start pip: ")
