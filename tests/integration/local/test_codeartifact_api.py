"""The API through boto3: every operation, its answers in the model's shape, its errors by their codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from glue_pkgmgr.local.codeartifact import versions
from glue_pkgmgr.local.codeartifact.protocol import routes
from tests.integration.local.made_distributions import sdist, sha256, wheel
from tests.integration.local.package_service import (
    ACCOUNT,
    DOMAIN,
    REGION,
    Service,
    error_code,
    running_service,
)
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

STREAMED = {"GetPackageVersionAsset"}
LACKING = {
    "CreatePackageGroup",
    "DeleteDomainPermissionsPolicy",
    "DeletePackageGroup",
    "DeleteRepositoryPermissionsPolicy",
    "DescribePackageGroup",
    "GetAssociatedPackageGroup",
    "GetDomainPermissionsPolicy",
    "GetRepositoryPermissionsPolicy",
    "ListAllowedRepositoriesForGroup",
    "ListAssociatedPackages",
    "ListPackageGroups",
    "ListSubPackageGroups",
    "PublishPackageVersion",
    "PutDomainPermissionsPolicy",
    "PutRepositoryPermissionsPolicy",
    "UpdatePackageGroup",
    "UpdatePackageGroupOriginConfiguration",
}


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        index.add(wheel("six", "1.16.0"))
        index.add(sdist("six", "1.16.0"))
        index.add(wheel("six", "1.17.0"))
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path) as running:
        running.usual_repositories(upstream)
        yield running


def _versions(service: Service, repository: str, project: str, **options: Any) -> list[str]:
    told = service.client.list_package_versions(
        domain=DOMAIN, repository=repository, format="pypi", package=project, **options
    )
    return [version["version"] for version in told["versions"]]


def test_every_operation_answers_in_the_shape_of_the_model(service: Service) -> None:
    client = service.client
    arn = client.describe_domain(domain=DOMAIN)["domain"]["arn"]
    assert arn == f"arn:aws:codeartifact:{REGION}:{ACCOUNT}:domain/{DOMAIN}"
    client.tag_resource(resourceArn=arn, tags=[{"key": "team", "value": "data"}, {"key": "old", "value": ""}])
    client.untag_resource(resourceArn=arn, tagKeys=["old"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "team", "value": "data"}]
    assert service.upload("approved", wheel("Glue-Utils", "0.2.0", requires=["six>=1.16"])).ok
    assert service.upload("approved", sdist("glue-utils", "0.2.0")).ok

    assert [d["name"] for d in client.list_domains()["domains"]] == [DOMAIN]
    named = [r["name"] for r in client.list_repositories()["repositories"]]
    assert named == ["approved", "open", "pypi-store"]
    assert client.get_repository_endpoint(domain=DOMAIN, repository="open", format="pypi")[
        "repositoryEndpoint"
    ] == (f"{service.url}/pypi/d/{DOMAIN}-{ACCOUNT}/open/")
    in_domain = client.list_repositories_in_domain(domain=DOMAIN, repositoryPrefix="py")
    assert [r["name"] for r in in_domain["repositories"]] == ["pypi-store"]

    where = {"domain": DOMAIN, "repository": "approved", "format": "pypi"}
    which = {**where, "package": "glue-utils"}
    version = {**which, "packageVersion": "0.2.0"}
    package = client.describe_package(**which)["package"]
    assert package["originConfiguration"]["restrictions"] == {"publish": "ALLOW", "upstream": "BLOCK"}
    assert [p["package"] for p in client.list_packages(**where)["packages"]] == ["glue-utils"]
    listed = client.list_package_versions(**which)
    assert listed["defaultDisplayVersion"] == "0.2.0"
    described = client.describe_package_version(**version)["packageVersion"]
    assert described["summary"] == "Glue-Utils made for a test"
    assert described["origin"] == {
        "originType": "INTERNAL",
        "domainEntryPoint": {"repositoryName": "approved"},
    }
    assert client.get_package_version_readme(**version)["readme"].startswith("# Glue-Utils")
    dependencies = client.list_package_version_dependencies(**version)["dependencies"]
    assert dependencies == [{"package": "six", "versionRequirement": ">=1.16"}]
    assets = {a["name"]: a for a in client.list_package_version_assets(**version)["assets"]}
    filename, content = wheel("Glue-Utils", "0.2.0", requires=["six>=1.16"])
    assert set(assets) == {filename, "glue_utils-0.2.0.tar.gz"}
    assert set(assets[filename]["hashes"]) == {"MD5", "SHA-1", "SHA-256", "SHA-512"}
    assert assets[filename]["hashes"]["SHA-256"] == sha256(content)
    asset = client.get_package_version_asset(**version, asset=filename)
    assert asset["asset"].read() == content
    assert (asset["assetName"], asset["packageVersion"]) == (filename, "0.2.0")
    assert asset["packageVersionRevision"] == described["revision"]

    client.copy_package_versions(
        domain=DOMAIN,
        sourceRepository="approved",
        destinationRepository="pypi-store",
        format="pypi",
        package="glue-utils",
        versions=["0.2.0"],
    )
    client.put_package_origin_configuration(**which, restrictions={"publish": "BLOCK", "upstream": "BLOCK"})
    client.update_package_versions_status(**which, versions=["0.2.0"], targetStatus="Archived")
    client.dispose_package_versions(**which, versions=["0.2.0"])
    client.delete_package_versions(**which, versions=["0.2.0"])
    assert client.delete_package(**which)["deletedPackage"]["package"] == "glue-utils"
    client.update_repository(domain=DOMAIN, repository="open", description="wide", upstreams=[])
    assert client.describe_repository(domain=DOMAIN, repository="open")["repository"]["description"] == "wide"
    client.disassociate_external_connection(
        domain=DOMAIN, repository="pypi-store", externalConnection="public:pypi"
    )
    for repository in named:
        client.delete_repository(domain=DOMAIN, repository=repository)
    assert client.delete_domain(domain=DOMAIN)["domain"]["status"] == "Deleted"
    assert service.operations | STREAMED == {model.name for model in routes().values()} - LACKING


@pytest.mark.parametrize("name", sorted(LACKING))
def test_an_operation_that_is_lacking_says_so(service: Service, name: str) -> None:
    (method, path) = next(key for key, model in routes().items() if model.name == name)
    answer = requests.request(method, service.url + path, headers={"Authorization": "signed"}, timeout=10)
    assert answer.status_code == 501
    assert name in answer.json()["message"]
    assert answer.headers["x-amzn-ErrorType"] == "NotImplementedException"


def test_a_path_that_is_no_operation_is_told_so(service: Service) -> None:
    answer = requests.get(f"{service.url}/v1/nothing", headers={"Authorization": "signed"}, timeout=10)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (404, "UnknownOperationException")


def test_an_unsigned_request_is_refused(service: Service) -> None:
    answer = requests.post(f"{service.url}/v1/domains", timeout=10)
    assert answer.status_code == 403
    assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


@pytest.mark.parametrize("seconds", [1, 899, 43_201, 10**17])
def test_a_token_lives_0_or_900_to_43200_seconds(service: Service, seconds: int) -> None:
    def call() -> None:
        service.client.get_authorization_token(domain=DOMAIN, durationSeconds=seconds)

    assert error_code(call) == "ValidationException"


@pytest.mark.parametrize(
    ("asked", "given"), [({}, 43_200), ({"durationSeconds": 900}, 900), ({"durationSeconds": 0}, 3600)]
)
def test_a_token_tells_when_it_expires(service: Service, asked: dict[str, int], given: int) -> None:
    told = service.client.get_authorization_token(domain=DOMAIN, **asked)
    expiration: datetime = told["expiration"]
    assert given - 5 <= (expiration - service.now()).total_seconds() <= given
    assert len(told["authorizationToken"]) > 900


def test_errors_have_the_codes_of_the_model(service: Service) -> None:
    client = service.client
    missing = {"domain": DOMAIN, "repository": "nowhere"}
    package = {"domain": DOMAIN, "repository": "approved", "format": "pypi", "package": "no-such"}
    assert error_code(lambda: client.create_domain(domain=DOMAIN)) == "ConflictException"
    assert error_code(lambda: client.delete_domain(domain=DOMAIN)) == "ConflictException"
    assert error_code(lambda: client.describe_domain(domain="other")) == "ResourceNotFoundException"
    other = {"domain": DOMAIN, "domainOwner": "999999999999"}
    assert error_code(lambda: client.describe_domain(**other)) == "ResourceNotFoundException"
    assert error_code(lambda: client.get_authorization_token(**other)) == "ResourceNotFoundException"
    assert error_code(lambda: client.describe_repository(**missing)) == "ResourceNotFoundException"
    assert error_code(lambda: client.describe_package(**package)) == "ResourceNotFoundException"
    assert error_code(lambda: client.list_package_versions(**package)) == "ResourceNotFoundException"
    assert error_code(lambda: client.create_domain(domain="UPPER")) == "ValidationException"
    assert error_code(lambda: client.describe_package(**{**package, "format": "npm"})) == "NotImplementedException"
    bad = {"domain": DOMAIN, "nextToken": "x"}
    assert error_code(lambda: client.list_repositories_in_domain(**bad)) == "ValidationException"


def test_upstreams_are_at_most_ten_exist_and_make_no_cycle(service: Service) -> None:
    client = service.client
    names = [f"r{number}" for number in range(11)]
    for name in names:
        client.create_repository(domain=DOMAIN, repository=name)

    def set_upstreams(repository: str, upstreams: list[str]) -> object:
        wanted = [{"repositoryName": name} for name in upstreams]
        return client.update_repository(domain=DOMAIN, repository=repository, upstreams=wanted)

    assert error_code(lambda: set_upstreams("approved", names)) == "ServiceQuotaExceededException"
    set_upstreams("approved", names[:10])
    told = client.describe_repository(domain=DOMAIN, repository="approved")["repository"]["upstreams"]
    assert [upstream["repositoryName"] for upstream in told] == names[:10]
    assert error_code(lambda: set_upstreams("r0", ["approved"])) == "ValidationException"
    assert error_code(lambda: set_upstreams("r0", ["r0"])) == "ValidationException"
    assert error_code(lambda: set_upstreams("r0", ["nowhere"])) == "ResourceNotFoundException"
    assert error_code(lambda: set_upstreams("pypi-store", ["r0"])) == "ConflictException"

    def connect() -> None:
        client.associate_external_connection(domain=DOMAIN, repository="open", externalConnection="public:pypi")

    assert error_code(connect) == "ConflictException"


def test_lists_come_in_pages(service: Service) -> None:
    for number in range(5):
        assert service.upload("approved", wheel("glueutils", f"0.{number}")).ok
    pages = service.client.get_paginator("list_package_versions").paginate(
        domain=DOMAIN,
        repository="approved",
        format="pypi",
        package="glueutils",
        PaginationConfig={"PageSize": 2},
    )
    found = [[version["version"] for version in page["versions"]] for page in pages]
    assert found == [["0.0", "0.1"], ["0.2", "0.3"], ["0.4"]]
    latest_first = _versions(service, "approved", "glueutils", sortBy="PUBLISHED_TIME")
    assert latest_first == ["0.4", "0.3", "0.2", "0.1", "0.0"]


def test_listed_versions_can_be_chosen_by_status_and_origin(service: Service) -> None:
    for version in ("0.1", "0.2"):
        assert service.upload("approved", wheel("glueutils", version)).ok
    service.client.update_package_versions_status(
        domain=DOMAIN,
        repository="approved",
        format="pypi",
        package="glueutils",
        versions=["0.1"],
        targetStatus="Archived",
    )
    assert _versions(service, "approved", "glueutils") == ["0.1", "0.2"]
    assert _versions(service, "approved", "glueutils", status="Archived") == ["0.1"]
    assert _versions(service, "approved", "glueutils", originType="EXTERNAL") == []


def test_only_the_normalised_name_names_a_package(service: Service) -> None:
    assert service.upload("approved", wheel("Glue.Utils", "0.1")).ok
    which = {"domain": DOMAIN, "repository": "approved", "format": "pypi"}
    assert service.client.describe_package(**which, package="glue-utils")["package"]["name"] == "glue-utils"
    assert error_code(lambda: service.client.describe_package(**which, package="Glue.Utils")) == (
        "ResourceNotFoundException"
    )


class TestStatus:
    def change(self, service: Service, operation: str, versions: list[str], **options: Any) -> dict[str, Any]:
        told: dict[str, Any] = getattr(service.client, operation)(
            domain=DOMAIN,
            repository="approved",
            format="pypi",
            package="glueutils",
            versions=versions,
            **options,
        )
        return told

    @pytest.fixture(autouse=True)
    def released(self, service: Service) -> None:
        for version in ("0.1", "0.2"):
            assert service.upload("approved", wheel("glueutils", version)).ok

    def test_a_fault_of_one_skips_the_others(self, service: Service) -> None:
        told = self.change(service, "update_package_versions_status", ["0.1", "9.9"], targetStatus="Archived")
        codes = {version: fault["errorCode"] for version, fault in told["failedVersions"].items()}
        assert codes == {"0.1": "SKIPPED", "9.9": "NOT_FOUND"}
        assert told["successfulVersions"] == {}
        assert _versions(service, "approved", "glueutils", status="Archived") == []

    def test_an_unexpected_status_or_revision_is_a_fault(self, service: Service) -> None:
        told = self.change(service, "dispose_package_versions", ["0.1"], expectedStatus="Unlisted")
        assert told["failedVersions"]["0.1"]["errorCode"] == "MISMATCHED_STATUS"
        told = self.change(service, "dispose_package_versions", ["0.1"], versionRevisions={"0.1": "other"})
        assert told["failedVersions"]["0.1"]["errorCode"] == "MISMATCHED_REVISION"

    def test_unlisted_is_on_no_page_but_downloads_and_archived_does_not(self, service: Service) -> None:
        path = "simple/glueutils/0.1/glueutils-0.1-py3-none-any.whl"
        self.change(service, "update_package_versions_status", ["0.1"], targetStatus="Unlisted")
        assert "glueutils-0.1-" not in service.get("approved", "simple/glueutils/").text
        assert service.get("approved", path).status_code == 200
        self.change(service, "update_package_versions_status", ["0.1"], targetStatus="Archived")
        assert service.get("approved", path).status_code == 404
        self.change(service, "update_package_versions_status", ["0.1"], targetStatus="Published")
        assert "glueutils-0.1-" in service.get("approved", "simple/glueutils/").text

    def test_disposed_stays_disposed_and_its_bytes_are_gone(self, service: Service) -> None:
        before = sum(1 for _ in (service.folder / "blobs").glob("*/*"))
        told = self.change(service, "dispose_package_versions", ["0.1"])
        assert told["successfulVersions"]["0.1"]["status"] == "Disposed"
        assert sum(1 for _ in (service.folder / "blobs").glob("*/*")) == before - 1
        told = self.change(service, "update_package_versions_status", ["0.1"], targetStatus="Published")
        assert told["failedVersions"]["0.1"]["errorCode"] == "NOT_ALLOWED"
        assert service.upload("approved", wheel("glueutils", "0.1")).status_code == 409

    def test_a_deleted_version_can_be_published_again_with_other_content(self, service: Service) -> None:
        other = wheel("glueutils", "0.1", payload=b"# other\n")
        assert service.upload("approved", other).status_code == 409
        self.change(service, "delete_package_versions", ["0.1"])
        assert _versions(service, "approved", "glueutils") == ["0.2"]
        assert service.upload("approved", other).status_code == 200


class TestCopy:
    def copy(self, service: Service, source: str = "pypi-store", **options: Any) -> dict[str, Any]:
        told: dict[str, Any] = service.client.copy_package_versions(
            domain=DOMAIN,
            sourceRepository=source,
            destinationRepository="approved",
            format="pypi",
            package="six",
            **options,
        )
        return told

    def test_versions_not_yet_fetched_need_include_from_upstream(self, service: Service) -> None:
        told = self.copy(service, versions=["1.16.0"])
        assert told["failedVersions"]["1.16.0"]["errorCode"] == "NOT_FOUND"
        told = self.copy(service, source="open", versions=["1.16.0"], includeFromUpstream=True)
        assert told["successfulVersions"]["1.16.0"]["status"] == "Published"
        assert _versions(service, "approved", "six") == ["1.16.0"]
        # Retained where the external connection is, and not in between.
        assert _versions(service, "pypi-store", "six") == ["1.16.0"]
        assert error_code(lambda: _versions(service, "open", "six")) == "ResourceNotFoundException"

    def test_a_copy_has_all_files_their_origin_and_hashes(self, service: Service, upstream: UpstreamIndex) -> None:
        self.copy(service, versions=["1.16.0"], includeFromUpstream=True)
        which = {"domain": DOMAIN, "repository": "approved", "format": "pypi", "package": "six"}
        assets = service.client.list_package_version_assets(**which, packageVersion="1.16.0")["assets"]
        hashes = {asset["name"]: asset["hashes"] for asset in assets}
        served = upstream.projects["six"]
        assert set(hashes) == {"six-1.16.0-py3-none-any.whl", "six-1.16.0.tar.gz"}
        assert all(len(four) == 4 and four["SHA-256"] == served[name].sha256 for name, four in hashes.items())
        described = service.client.describe_package_version(**which, packageVersion="1.16.0")
        assert described["packageVersion"]["origin"] == {
            "originType": "EXTERNAL",
            "domainEntryPoint": {"externalConnectionName": "public:pypi"},
        }

    def test_files_beyond_the_limit_are_listed_unfetched_with_the_hash_of_the_index(
        self, service: Service, upstream: UpstreamIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(versions, "FETCH_LIMIT", 10)
        self.copy(service, versions=["1.17.0"], includeFromUpstream=True)
        (asset,) = service.client.list_package_version_assets(
            domain=DOMAIN, repository="approved", format="pypi", package="six", packageVersion="1.17.0"
        )["assets"]
        served = upstream.projects["six"][asset["name"]]
        assert asset["hashes"] == {"SHA-256": served.sha256}
        assert sha256(served.content) == served.sha256
        assert upstream.requests[asset["name"]] == 0

    def test_one_fault_skips_all(self, service: Service) -> None:
        told = self.copy(service, versions=["1.16.0", "9.9"], includeFromUpstream=True)
        codes = {version: fault["errorCode"] for version, fault in told["failedVersions"].items()}
        assert codes == {"1.16.0": "SKIPPED", "9.9": "NOT_FOUND"}
        assert error_code(lambda: _versions(service, "approved", "six")) == "ResourceNotFoundException"

    def test_an_identical_version_is_a_success_that_is_not_listed(self, service: Service) -> None:
        self.copy(service, versions=["1.16.0"], includeFromUpstream=True)
        told = self.copy(service, versions=["1.16.0", "1.17.0"], includeFromUpstream=True)
        assert list(told["successfulVersions"]) == ["1.17.0"]
        assert told["failedVersions"] == {}

    def test_other_content_is_refused_unless_overwriting(self, service: Service) -> None:
        assert service.upload("approved", wheel("six", "1.16.0", payload=b"# patched\n")).ok
        told = self.copy(service, versions=["1.16.0"], includeFromUpstream=True)
        assert told["failedVersions"]["1.16.0"]["errorCode"] == "ALREADY_EXISTS"
        told = self.copy(service, versions=["1.16.0"], includeFromUpstream=True, allowOverwrite=True)
        assert list(told["successfulVersions"]) == ["1.16.0"]
        page = service.get("approved", "simple/six/", headers={"Accept": "text/html"}).text
        assert "six-1.16.0.tar.gz" in page

    def test_a_revision_must_match(self, service: Service) -> None:
        told = self.copy(service, versionRevisions={"1.16.0": "other"}, includeFromUpstream=True)
        assert told["failedVersions"]["1.16.0"]["errorCode"] == "MISMATCHED_REVISION"
        revision = told["failedVersions"]["1.16.0"]["errorMessage"].split()[2].rstrip(",")
        told = self.copy(service, versionRevisions={"1.16.0": revision}, includeFromUpstream=True)
        assert told["successfulVersions"]["1.16.0"]["revision"] == revision

    @pytest.mark.parametrize("versions", [{}, {"versions": ["1"], "versionRevisions": {"1": "x"}}])
    def test_versions_or_revisions_and_not_both(self, service: Service, versions: dict[str, Any]) -> None:
        assert error_code(lambda: self.copy(service, **versions)) == "ValidationException"

    def test_at_most_100_versions(self, service: Service) -> None:
        many = {f"1.{n}": "r" for n in range(101)}
        assert error_code(lambda: self.copy(service, versionRevisions=many)) == "ValidationException"

    def test_an_upstream_that_is_down_is_an_error_and_not_an_absence(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        upstream.faults["six"] = "error"

        def copy() -> None:
            self.copy(service, versions=["1.16.0"], includeFromUpstream=True)

        assert error_code(copy) == "InternalServerException"
        del upstream.faults["six"]
        copy()


def test_state_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    made = wheel("glueutils", "0.2.0")
    with running_service(tmp_path) as first:
        first.usual_repositories()
        token = first.token()
        assert first.upload("approved", made).ok
        first.client.put_package_origin_configuration(
            domain=DOMAIN,
            repository="approved",
            format="pypi",
            package="held",
            restrictions={"publish": "BLOCK", "upstream": "BLOCK"},
        )
    with running_service(tmp_path) as second:
        url = f"{second.endpoint('approved')}simple/glueutils/0.2.0/{made[0]}"
        assert requests.get(url, auth=("aws", token), timeout=10).content == made[1]
        packages = second.client.list_packages(domain=DOMAIN, repository="approved", publish="BLOCK")
        assert [package["package"] for package in packages["packages"]] == ["held"]
        upstreams = second.client.describe_repository(domain=DOMAIN, repository="open")["repository"]["upstreams"]
        assert upstreams == [{"repositoryName": "pypi-store"}]
        store = second.client.describe_repository(domain=DOMAIN, repository="pypi-store")["repository"]
        assert store["externalConnections"][0]["externalConnectionName"] == "public:pypi"


def test_a_token_is_nowhere_on_the_disk(service: Service) -> None:
    token = service.token()
    assert service.upload("approved", wheel("glueutils", "0.2.0"), token=token).ok
    files = [path for path in service.folder.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if token.encode() in path.read_bytes()]


def test_a_body_that_is_not_json_is_told_so(service: Service) -> None:
    headers = {"Authorization": "signed"}
    answer = requests.post(f"{service.url}/v1/domains", data=b"{", headers=headers, timeout=10)
    assert answer.status_code == 400
    assert json.loads(answer.content)["reason"] == "CANNOT_PARSE"
