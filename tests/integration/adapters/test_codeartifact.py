from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients, RemoteRefusal
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.repository import OriginControls, Status
from glue_pkgmgr.errors import NoCapacity, RemoteError, SettingsError
from glue_pkgmgr.ports import CopyRefusal
from tests.integration.adapters.distributions import wheel
from tests.integration.adapters.loopback import (
    APPROVED,
    NO_PROXY,
    CodeArtifactService,
    Seen,
    codeartifact_service,
    environment,
    reply,
    scripted,
)

ACME = project_name("acme-demo")
STORE = replace(APPROVED, repository="store")
ONE = Version("1.0")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CodeArtifactService]:
    with codeartifact_service(tmp_path / "service") as running:
        yield running


def published(service: CodeArtifactService, path: Path) -> str:
    """Upload a wheel to the approved repository and return its SHA-256."""
    TwineUploader(service.index_url(), NO_PROXY).upload(path)
    (asset,) = service.codeartifact.assets(APPROVED, ACME, ONE)
    return asset.sha256


def test_a_token_tells_when_it_expires_in_utc(service: CodeArtifactService) -> None:
    token = service.codeartifact.issue("acme", APPROVED.owner, timedelta(seconds=900))
    assert token.expires_at.tzinfo is UTC
    assert abs(token.expires_at - service.now - timedelta(seconds=900)) < timedelta(seconds=2)
    assert len(token.reveal()) > 100


def test_the_endpoint_ends_in_a_slash_and_names_domain_owner_and_repository(service: CodeArtifactService) -> None:
    endpoint = service.codeartifact.endpoint(APPROVED)
    assert endpoint.startswith(service.url)
    assert endpoint.endswith("/acme-111122223333/approved/")


def test_the_files_of_a_release_come_with_size_and_digest(service: CodeArtifactService, tmp_path: Path) -> None:
    path = wheel(tmp_path, "acme-demo", "1.0")
    published(service, path)
    (asset,) = service.codeartifact.assets(APPROVED, ACME, ONE)
    assert asset.filename == path.name
    assert asset.size == path.stat().st_size


def test_what_is_not_there_has_no_files_and_no_versions(service: CodeArtifactService, tmp_path: Path) -> None:
    assert list(service.codeartifact.assets(APPROVED, ACME, ONE)) == []
    assert service.codeartifact.versions(APPROVED, ACME) == {}
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    assert list(service.codeartifact.assets(APPROVED, ACME, Version("2.0"))) == []


def test_a_repository_that_does_not_exist_is_an_error_not_an_empty_answer(service: CodeArtifactService) -> None:
    absent = replace(APPROVED, repository="no-such")
    with pytest.raises(RemoteRefusal, match="no-such") as caught:
        service.codeartifact.assets(absent, ACME, ONE)
    assert caught.value.absent
    with pytest.raises(RemoteRefusal, match="no-such"):
        service.codeartifact.versions(absent, ACME)
    with pytest.raises(RemoteRefusal, match="no-such"):
        service.codeartifact.endpoint(absent)


def test_versions_come_lowest_first_with_their_status(service: CodeArtifactService, tmp_path: Path) -> None:
    uploader = TwineUploader(service.index_url(), NO_PROXY)
    for version in ("1.10", "1.9", "1.0"):
        uploader.upload(wheel(tmp_path, "acme-demo", version))
    assert service.codeartifact.versions(APPROVED, ACME) == {
        Version("1.0"): "Published",
        Version("1.9"): "Published",
        Version("1.10"): "Published",
    }
    assert list(map(str, service.codeartifact.versions(APPROVED, ACME))) == ["1.0", "1.9", "1.10"]


def test_every_status_of_a_release_is_told(service: CodeArtifactService, tmp_path: Path) -> None:
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    package = {"domain": "acme", "repository": "approved", "format": "pypi", "package": ACME, "versions": ["1.0"]}
    for status in (Status.ARCHIVED, Status.UNLISTED):
        service.client.update_package_versions_status(**package, targetStatus=status)
        assert service.codeartifact.versions(APPROVED, ACME) == {ONE: status}
    service.client.dispose_package_versions(**package)
    assert service.codeartifact.versions(APPROVED, ACME) == {ONE: Status.DISPOSED}


def test_a_status_that_is_not_known_is_an_error() -> None:
    body = b'{"versions": [{"version": "1.0", "status": "Melted"}]}'
    with (
        scripted(lambda seen, handler: reply(handler, 200, body)) as server,
        pytest.raises(RemoteError, match="'Melted'"),
    ):
        _codeartifact(server.url).versions(APPROVED, ACME)


def test_packages_come_sorted_with_their_origin_controls(service: CodeArtifactService, tmp_path: Path) -> None:
    assert service.codeartifact.packages(APPROVED) == {}
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    service.codeartifact.set_origin(APPROVED, project_name("zoo"), publish=False, upstream=True)
    service.codeartifact.set_origin(APPROVED, project_name("aardvark"), publish=False, upstream=False)
    assert list(service.codeartifact.packages(APPROVED).items()) == [
        ("aardvark", OriginControls(publish=False, upstream=False)),
        ("acme-demo", OriginControls(publish=True, upstream=False)),
        ("zoo", OriginControls(publish=False, upstream=True)),
    ]


def test_a_package_without_origin_controls_is_open() -> None:
    body = b'{"packages": [{"package": "old", "format": "pypi"}]}'
    with scripted(lambda seen, handler: reply(handler, 200, body)) as server:
        found = _codeartifact(server.url).packages(APPROVED)
    assert found == {"old": OriginControls(publish=True, upstream=True)}


def test_a_long_list_is_read_to_its_end() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        page = int(parse_qs(urlsplit(seen.path).query).get("next-token", ["0"])[0])
        following = {"nextToken": str(page + 1)} if page < 2 else {}
        reply(handler, 200, json.dumps({"packages": [{"package": f"p{page}"}], **following}).encode())

    with scripted(answer) as server:
        assert list(_codeartifact(server.url).packages(APPROVED)) == ["p0", "p1", "p2"]
    assert [seen.path.count("max-results=1000") for seen in server.seen] == [1, 1, 1]


def test_a_copy_brings_the_same_bytes_and_may_be_repeated(service: CodeArtifactService, tmp_path: Path) -> None:
    sha256 = published(service, wheel(tmp_path, "acme-demo", "1.0"))
    for _ in range(2):
        assert service.codeartifact.copy(APPROVED, STORE, ACME, [ONE]) == {}
    (copied,) = service.codeartifact.assets(STORE, ACME, ONE)
    assert copied.sha256 == sha256


def test_a_copy_over_other_bytes_is_refused(service: CodeArtifactService, tmp_path: Path) -> None:
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    service.codeartifact.copy(APPROVED, STORE, ACME, [ONE])
    service.codeartifact.delete(APPROVED, ACME, ONE)
    published(service, wheel(tmp_path, "acme-demo", "1.0", code="x = 2\n"))
    refused = service.codeartifact.copy(APPROVED, STORE, ACME, [ONE])[ONE]
    assert refused.reason is CopyRefusal.OCCUPIED
    assert re.search(
        r"acme-demo==1\.0 from acme/approved: .*ALREADY_EXISTS.*delete it there first", refused.detail
    )


def test_each_release_of_a_copy_stands_for_itself(service: CodeArtifactService, tmp_path: Path) -> None:
    uploader = TwineUploader(service.index_url(), NO_PROXY)
    for version in ("1.0", "2.0", "3.0"):
        uploader.upload(wheel(tmp_path, "acme-demo", version))
    archived = {"domain": "acme", "repository": "approved", "format": "pypi", "package": ACME, "versions": ["2.0"]}
    service.client.update_package_versions_status(**archived, targetStatus="Archived")
    wanted = [Version(text) for text in ("1.0", "2.0", "3.0", "4.0")]
    refused = service.codeartifact.copy(APPROVED, STORE, ACME, wanted)
    assert {str(version): it.reason for version, it in refused.items()} == {
        "2.0": CopyRefusal.OTHER,
        "4.0": CopyRefusal.ABSENT,
    }
    assert list(map(str, service.codeartifact.versions(STORE, ACME))) == ["1.0", "3.0"]


def test_more_releases_than_a_call_takes_are_copied_in_several() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b'{"successfulVersions": {}, "failedVersions": {}}')

    with scripted(answer) as server:
        wanted = [Version(f"1.{number}") for number in range(250)]
        assert _codeartifact(server.url).copy(STORE, APPROVED, ACME, wanted) == {}
    assert [len(json.loads(seen.body)["versions"]) for seen in server.seen] == [100, 100, 50]


def test_a_copy_of_what_is_not_there_names_the_release(service: CodeArtifactService) -> None:
    refused = service.codeartifact.copy(APPROVED, STORE, ACME, [ONE])[ONE]
    assert refused.reason is CopyRefusal.ABSENT
    assert "could not copy acme-demo==1.0 from acme/approved" in refused.detail


def test_a_source_that_does_not_exist_is_an_error(service: CodeArtifactService) -> None:
    with pytest.raises(RemoteRefusal, match=r"could not copy acme-demo 1\.0 from acme/no-such"):
        service.codeartifact.copy(replace(APPROVED, repository="no-such"), STORE, ACME, [ONE])


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (404, "ResourceNotFoundException", {"message": "no", "resourceType": "package"}, CopyRefusal.ABSENT),
        (404, "ResourceNotFoundException", {"message": "no"}, CopyRefusal.ABSENT),
        (200, "", {"failedVersions": {"1.0": {"errorCode": "NOT_ALLOWED"}}}, CopyRefusal.BLOCKED),
        (200, "", {"failedVersions": {"1.0": {"errorCode": "MISMATCHED_STATUS"}}}, CopyRefusal.OTHER),
        (200, "", {"successfulVersions": {"1.0": {"status": "Unlisted"}}}, CopyRefusal.OTHER),
    ],
)
def test_whatever_way_a_copy_is_refused_its_reason_is_told(
    status: int, kind: str, body: dict[str, object], reason: CopyRefusal
) -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, status, json.dumps(body).encode(), x_amzn_ErrorType=kind)

    with scripted(answer) as server:
        assert _codeartifact(server.url).copy(STORE, APPROVED, ACME, [ONE])[ONE].reason is reason


def test_a_call_that_skips_everything_is_an_error_and_no_endless_loop() -> None:
    body = json.dumps({"failedVersions": {"1.0": {"errorCode": "SKIPPED"}}}).encode()
    with (
        scripted(lambda seen, handler: reply(handler, 200, body)) as server,
        pytest.raises(RemoteError, match="skipped all of them"),
    ):
        _codeartifact(server.url).copy(STORE, APPROVED, ACME, [ONE])


def test_deleting_a_release_may_be_repeated(service: CodeArtifactService, tmp_path: Path) -> None:
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    for _ in range(2):
        service.codeartifact.delete(APPROVED, ACME, ONE)
    assert list(service.codeartifact.assets(APPROVED, ACME, ONE)) == []


def test_origin_controls_are_set_before_the_project_exists(service: CodeArtifactService) -> None:
    service.codeartifact.set_origin(APPROVED, ACME, publish=True, upstream=False)
    service.codeartifact.set_origin(APPROVED, ACME, publish=False, upstream=False)


def test_upstreams_and_external_connections_are_told(service: CodeArtifactService) -> None:
    service.client.update_repository(domain="acme", repository="approved", upstreams=[{"repositoryName": "store"}])
    service.client.associate_external_connection(
        domain="acme", repository="store", externalConnection="public:pypi"
    )
    assert service.codeartifact.links(APPROVED).upstreams == ("store",)
    assert service.codeartifact.links(STORE).external_connections == ("public:pypi",)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDeniedException", "codeartifact:GetAuthorizationToken and sts:GetServiceBearerToken"),
        (403, "ExpiredTokenException", "sign in again"),
        (403, "InvalidSignatureException", "check this machine's clock"),
        (403, "RequestTimeTooSkewed", "check this machine's clock"),
        (403, "UnrecognizedClientException", "check AWS_ACCESS_KEY_ID"),
        (400, "ValidationException", "No"),
    ],
)
def test_a_refusal_says_what_failed_why_and_what_to_do(status: int, code: str, told: str) -> None:
    with scripted(_error(status, code)) as server, pytest.raises(RemoteRefusal) as caught:
        _codeartifact(server.url).issue("acme", APPROVED.owner, timedelta(seconds=900))
    assert "could not mint a token for CodeArtifact domain 'acme' (111122223333)" in str(caught.value)
    assert code in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.code == code


def test_a_quota_is_no_capacity() -> None:
    with scripted(_error(402, "ServiceQuotaExceededException")) as server, pytest.raises(NoCapacity):
        _codeartifact(server.url).endpoint(APPROVED)


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.issue("acme", APPROVED.owner, timedelta(seconds=900)),
        lambda service: service.endpoint(APPROVED),
        lambda service: service.controls(APPROVED, ACME),
        lambda service: service.versions(APPROVED, ACME),
        lambda service: service.links(APPROVED),
    ],
)
def test_the_page_of_a_proxy_is_no_answer_of_aws(ask: Callable[[CodeArtifact], object]) -> None:
    page = b"<html>Please sign in</html>"
    with (
        scripted(lambda seen, handler: reply(handler, 200, page, Content_Type="text/html")) as server,
        pytest.raises(RemoteError, match=r"the answer has no .*, so it is not of AWS; check the proxy"),
    ):
        ask(_codeartifact(server.url))


def test_a_server_error_is_tried_again() -> None:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if len(server.seen) < 3:
            reply(handler, 500, b'{"message": "oops"}', x_amzn_ErrorType="InternalServerException")
        else:
            reply(handler, 200, b'{"repositoryEndpoint": "http://127.0.0.1:9/pypi/approved/"}')

    with scripted(answer) as server:
        assert _codeartifact(server.url).endpoint(APPROVED) == "http://127.0.0.1:9/pypi/approved/"
    assert len(server.seen) == 3


def test_nobody_listening_is_told_with_the_endpoint() -> None:
    with scripted(lambda seen, handler: None) as server:
        url = server.url
    with pytest.raises(RemoteError, match=rf"could not find the endpoint .*{url}.*AWS_ENDPOINT_URL"):
        _codeartifact(url).endpoint(APPROVED)


def test_no_credentials_at_all_tell_how_to_sign_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    client = Clients({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "us-east-1").client("codeartifact")
    with pytest.raises(SettingsError, match="sign in"):
        CodeArtifact(client).endpoint(APPROVED)


def test_a_profile_that_does_not_exist_is_named(tmp_path: Path) -> None:
    environ = {"AWS_PROFILE": "no-such-profile", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with pytest.raises(SettingsError, match="no-such-profile"):
        Clients(environ, "us-east-1").client("sts")


def test_the_profile_of_the_environment_handed_in_counts_not_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    config = tmp_path / "config"
    config.write_text("[profile ours]\naws_access_key_id = OURS\naws_secret_access_key = secret\n")
    with scripted(_error(403, "AccessDeniedException")) as server:
        environ = {"AWS_ENDPOINT_URL": server.url, "AWS_PROFILE": "ours", "AWS_CONFIG_FILE": str(config)}
        with pytest.raises(RemoteRefusal):
            CodeArtifact(Clients(environ, "us-east-1").client("codeartifact")).endpoint(APPROVED)
        with pytest.raises(RemoteRefusal):
            _codeartifact(server.url).endpoint(APPROVED)
    assert ["Credential=OURS/" in seen.headers["authorization"] for seen in server.seen] == [True, False]


def test_a_service_may_have_an_endpoint_of_its_own() -> None:
    clients = Clients({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"}, "x")
    assert clients.endpoint_url("s3") == "http://127.0.0.1:2"
    assert clients.endpoint_url("glue") == "http://127.0.0.1:1"
    assert (
        Clients({"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "x").endpoint_url(
            "glue"
        )
        is None
    )


def test_a_client_is_made_once() -> None:
    clients = Clients(environment("http://127.0.0.1:9"), "us-east-1")
    assert clients.client("codeartifact") is clients.client("codeartifact")


def _codeartifact(url: str) -> CodeArtifact:
    return CodeArtifact(Clients(environment(url), "us-east-1").client("codeartifact"))


def _error(status: int, code: str) -> Callable[[Seen, BaseHTTPRequestHandler], None]:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, status, b'{"message": "No."}', x_amzn_ErrorType=code)

    return answer
