from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients, RemoteRefusal
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import NoCapacity, NotInstallable, RemoteError, SettingsError
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
    assert service.codeartifact.projects(APPROVED) == [ACME]


def test_a_copy_brings_the_same_bytes_and_may_be_repeated(service: CodeArtifactService, tmp_path: Path) -> None:
    sha256 = published(service, wheel(tmp_path, "acme-demo", "1.0"))
    for _ in range(2):
        service.codeartifact.copy(APPROVED, STORE, ACME, ONE)
    (copied,) = service.codeartifact.assets(STORE, ACME, ONE)
    assert copied.sha256 == sha256


def test_a_copy_over_other_bytes_is_refused(service: CodeArtifactService, tmp_path: Path) -> None:
    published(service, wheel(tmp_path, "acme-demo", "1.0"))
    service.codeartifact.copy(APPROVED, STORE, ACME, ONE)
    service.codeartifact.delete(APPROVED, ACME, ONE)
    published(service, wheel(tmp_path, "acme-demo", "1.0", code="x = 2\n"))
    with pytest.raises(
        NotInstallable, match=r"acme-demo==1\.0 from acme/approved to acme/store: .*ALREADY_EXISTS"
    ):
        service.codeartifact.copy(APPROVED, STORE, ACME, ONE)


def test_a_copy_of_what_is_not_there_names_the_release(service: CodeArtifactService) -> None:
    with pytest.raises(RemoteError, match=r"could not copy acme-demo==1\.0"):
        service.codeartifact.copy(APPROVED, STORE, ACME, ONE)


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
