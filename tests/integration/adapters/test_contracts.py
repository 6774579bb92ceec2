"""What the ports promise, asked of every fake and of the adapter it stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.glue import GlueJobs
from glue_pkgmgr.adapters.record_bucket import RecordBucket
from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.adapters.s3 import S3Staging
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.job import LAUNCH_ID, Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, recorded_launch
from glue_pkgmgr.core.repository import OriginControls, RepositoryLinks, Status
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, RemoteError
from glue_pkgmgr.ports import (
    CopyRefusal,
    JobService,
    LaunchRecords,
    PackageIndex,
    Repositories,
    Staging,
    TokenIssuer,
)
from tests.fakes import FakeCodeArtifact, FakeIndex, FakeJobs, FakeRecords, FakeStaging
from tests.integration.adapters.loopback import APPROVED, NO_PROXY, codeartifact_service, environment
from tests.integration.local.made_distributions import wheel
from tests.integration.local.upstream_index import running_upstream

ACME, ONE = project_name("acme"), Version("1.0")
STORE = replace(APPROVED, repository="store")
NAME, CONTENT = wheel("acme", "1.0")
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def aws() -> Iterator[Clients]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield Clients(environment(f"http://{host}:{port}"), "us-east-1")
    moto.stop()


# Repositories and TokenIssuer


@dataclass
class CodeArtifactWorld:
    repositories: Repositories
    tokens: TokenIssuer
    put: Callable[[str, bytes], None]  # a file of acme into the approved repository


@pytest.fixture(params=["fake", "adapter"])
def codeartifact(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CodeArtifactWorld]:
    if request.param == "fake":
        fake = FakeCodeArtifact()
        yield CodeArtifactWorld(
            fake, fake, lambda name, content: fake.put("approved", name, hashlib.sha256(content).hexdigest())
        )
        return
    with codeartifact_service(tmp_path / "service") as service:

        def put(name: str, content: bytes) -> None:
            (tmp_path / name).write_bytes(content)
            TwineUploader(service.index_url(), NO_PROXY).upload(tmp_path / name)

        yield CodeArtifactWorld(service.codeartifact, service.codeartifact, put)


def test_an_endpoint_ends_with_a_slash_and_a_token_has_an_end(codeartifact: CodeArtifactWorld) -> None:
    assert codeartifact.repositories.endpoint(APPROVED).endswith("/")
    token = codeartifact.tokens.issue(APPROVED.domain, APPROVED.owner, SHORTEST)
    assert token.reveal()
    assert token.expires_at.utcoffset() is not None


def test_an_absent_release_has_no_files_and_may_be_deleted(codeartifact: CodeArtifactWorld) -> None:
    assert list(codeartifact.repositories.assets(APPROVED, ACME, ONE)) == []
    codeartifact.repositories.delete(APPROVED, ACME, ONE)


def test_a_copy_has_the_same_files_and_may_be_repeated(codeartifact: CodeArtifactWorld) -> None:
    codeartifact.put(NAME, CONTENT)
    for _ in range(2):
        assert codeartifact.repositories.copy(APPROVED, STORE, ACME, [ONE]) == {}
    (asset,) = codeartifact.repositories.assets(STORE, ACME, ONE)
    assert (asset.filename, asset.sha256) == (NAME, DIGEST)


def test_a_copy_over_other_files_is_refused(codeartifact: CodeArtifactWorld) -> None:
    codeartifact.put(NAME, CONTENT)
    codeartifact.repositories.copy(APPROVED, STORE, ACME, [ONE])
    codeartifact.repositories.delete(APPROVED, ACME, ONE)
    assert list(codeartifact.repositories.assets(APPROVED, ACME, ONE)) == []
    codeartifact.put(*wheel("acme", "1.0", payload=b"other = 1\n"))
    refused = codeartifact.repositories.copy(APPROVED, STORE, ACME, [ONE])
    assert refused[ONE].reason is CopyRefusal.OCCUPIED


def test_a_copy_of_what_is_not_there_is_refused_and_the_others_are_copied(codeartifact: CodeArtifactWorld) -> None:
    codeartifact.put(NAME, CONTENT)
    refused = codeartifact.repositories.copy(APPROVED, STORE, ACME, [ONE, Version("2.0")])
    assert {version: it.reason for version, it in refused.items()} == {Version("2.0"): CopyRefusal.ABSENT}
    assert codeartifact.repositories.copy(APPROVED, STORE, project_name("absent"), [ONE])[ONE].detail
    assert list(codeartifact.repositories.versions(STORE, ACME)) == [ONE]


def test_origin_controls_can_be_set_before_there_is_a_release(codeartifact: CodeArtifactWorld) -> None:
    closed = OriginControls(publish=False, upstream=False)
    codeartifact.repositories.set_origin(APPROVED, ACME, publish=closed.publish, upstream=closed.upstream)
    assert codeartifact.repositories.packages(APPROVED) == {ACME: closed}
    assert codeartifact.repositories.controls(APPROVED, ACME) == closed
    assert codeartifact.repositories.controls(STORE, ACME) is None
    assert codeartifact.repositories.packages(STORE) == {}
    assert codeartifact.repositories.versions(APPROVED, ACME) == {}


def test_a_release_is_published_and_its_project_told(codeartifact: CodeArtifactWorld) -> None:
    codeartifact.put(NAME, CONTENT)
    assert codeartifact.repositories.versions(APPROVED, ACME) == {ONE: Status.PUBLISHED}
    assert list(codeartifact.repositories.packages(APPROVED)) == [ACME]


def test_a_status_is_set_where_it_is_the_expected_one_and_left_otherwise(codeartifact: CodeArtifactWorld) -> None:
    codeartifact.put(NAME, CONTENT)
    repositories = codeartifact.repositories
    for expected, status in ((Status.PUBLISHED, Status.ARCHIVED), (Status.ARCHIVED, Status.PUBLISHED)):
        repositories.set_status(APPROVED, ACME, ONE, status, expected=expected)
        assert repositories.versions(APPROVED, ACME) == {ONE: status}
    for version in (ONE, Version("9")):
        with pytest.raises(RemoteError):
            repositories.set_status(APPROVED, ACME, version, Status.ARCHIVED, expected=Status.UNLISTED)
    assert repositories.versions(APPROVED, ACME) == {ONE: Status.PUBLISHED}


def test_a_repository_by_itself_looks_nowhere_else(codeartifact: CodeArtifactWorld) -> None:
    nowhere = RepositoryLinks(upstreams=(), external_connections=())
    assert codeartifact.repositories.links(APPROVED) == nowhere


# PackageIndex


@pytest.fixture(params=["fake", "adapter"])
def index(request: pytest.FixtureRequest) -> Iterator[PackageIndex]:
    if request.param == "fake":
        yield FakeIndex({NAME: CONTENT})
        return
    with running_upstream() as upstream:
        upstream.add((NAME, CONTENT))
        yield SimpleIndex(upstream.source, NO_PROXY)


def test_a_page_lists_files_that_can_be_downloaded(index: PackageIndex, tmp_path: Path) -> None:
    page = index.page(ACME)
    assert page is not None
    (file,) = page.files
    assert (file.filename, file.sha256, file.size) == (NAME, DIGEST, len(CONTENT))
    assert file.upload_time is not None
    index.download(file.url, tmp_path / NAME, DIGEST)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_an_unknown_project_has_no_page(index: PackageIndex) -> None:
    assert index.page(project_name("absent")) is None


def test_a_file_with_another_hash_is_not_kept(index: PackageIndex, tmp_path: Path) -> None:
    page = index.page(ACME)
    assert page is not None
    with pytest.raises(NotInstallable):
        index.download(page.files[0].url, tmp_path / NAME, "0" * 64)
    assert list(tmp_path.iterdir()) == []


# Staging


@dataclass
class StagingWorld:
    staging: Staging
    read: Callable[[str], bytes | None]


@pytest.fixture(params=["fake", "adapter"])
def stage(request: pytest.FixtureRequest, aws: Clients) -> StagingWorld:
    if request.param == "fake":
        fake = FakeStaging()
        return StagingWorld(fake, fake.objects.get)
    client = aws.client("s3")
    client.create_bucket(Bucket="staging")

    def read(url: str) -> bytes | None:
        try:
            body: bytes = client.get_object(Bucket="staging", Key=url.removeprefix("s3://staging/"))["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
        return body

    return StagingWorld(S3Staging(client), read)


def test_an_object_is_replaced_and_deleted_and_deleting_may_be_repeated(stage: StagingWorld) -> None:
    url = "s3://staging/secret"
    for content in (b"one", b"two"):
        stage.staging.put(url, content)
        assert stage.read(url) == content
    for _ in range(2):
        stage.staging.delete(url)
        assert stage.read(url) is None


def test_an_object_has_its_size_and_an_absent_one_none(stage: StagingWorld) -> None:
    stage.staging.put("s3://staging/sized", b"four")
    assert stage.staging.size("s3://staging/sized") == 4
    assert stage.staging.size("s3://staging/absent") is None


def test_a_file_that_is_there_with_its_size_is_not_sent_again(stage: StagingWorld, tmp_path: Path) -> None:
    url = "s3://staging/wheels/x.whl"
    for content, there in ((b"one", b"one"), (b"two", b"one"), (b"three", b"three")):
        (tmp_path / "x").write_bytes(content)
        stage.staging.put_file(url, tmp_path / "x")
        assert stage.read(url) == there


# JobService


@pytest.fixture(params=["fake", "adapter"])
def jobs(request: pytest.FixtureRequest, aws: Clients) -> Iterator[JobService]:
    if request.param == "fake":
        yield FakeJobs(definitions={"taxi": {"Name": "taxi", "GlueVersion": "5.1"}})
        return
    client = aws.client("glue")
    client.create_job(Name="taxi", Role="r", Command={"Name": "glueetl"}, GlueVersion="5.1")
    yield GlueJobs(client)
    client.delete_job(JobName="taxi")


def test_a_job_is_there_or_none(jobs: JobService) -> None:
    definition = jobs.definition("taxi")
    assert definition is not None
    assert definition["GlueVersion"] == "5.1"
    assert jobs.definition("absent") is None
    assert jobs.find("absent", JobRunId("jr_9")) is None


def test_a_created_job_is_there(jobs: JobService) -> None:
    name = f"made-{id(jobs)}"
    jobs.create({"Name": name, "Role": "r", "Command": {"Name": "glueetl"}, "GlueVersion": "5.0"})
    definition = jobs.definition(name)
    assert definition is not None
    assert definition["GlueVersion"] == "5.0"


def test_the_runs_of_a_launch_are_found_by_its_id(jobs: JobService) -> None:
    launch = "0123456789abcdef" * 2
    assert jobs.launched("taxi", launch, 10) == []
    runs = [jobs.start("taxi", {LAUNCH_ID: one}) for one in (launch, "f" * 32, f"{launch}-2")]
    assert [run.id for run in jobs.launched("taxi", launch, 10)] == [runs[2], runs[0]]
    assert [run.id for run in jobs.launched("taxi", f"{launch}-2", 10)] == [runs[2]]


def test_a_started_run_can_be_read(jobs: JobService) -> None:
    run = jobs.start("taxi", {"--day": "1"})
    found = jobs.run("taxi", run)
    assert (found.job, found.id) == ("taxi", run)
    with pytest.raises(RemoteError):
        jobs.runs("absent", 5)


def test_an_index_that_refuses_is_no_empty_page() -> None:
    with pytest.raises(IndexAccessError):
        FakeIndex(broken=True).page(ACME)
    with running_upstream() as upstream:
        upstream.user = "somebody"
        with pytest.raises(IndexAccessError):
            SimpleIndex(
                replace(upstream.source, url=upstream.source.url.replace("somebody", "other")), NO_PROXY
            ).page(ACME)


# LaunchRecords


@pytest.fixture(params=["fake", "folder", "bucket"])
def records(request: pytest.FixtureRequest, aws: Clients, tmp_path: Path) -> LaunchRecords:
    match request.param:
        case "fake":
            return FakeRecords()
        case "folder":
            return RecordFolder(tmp_path / "records")
        case _:
            client = aws.client("s3")
            client.create_bucket(Bucket=f"records-{tmp_path.name.replace('_', '-')[-50:]}")
            return RecordBucket(f"s3://records-{tmp_path.name.replace('_', '-')[-50:]}/a/", client, tmp_path)


END = LaunchEnd(
    time=datetime(2026, 11, 22, 4, tzinfo=UTC), state=JobRunState.FAILED, cause="no space", usd=Decimal("0.44")
)


def test_records_come_back_as_they_were_added_and_the_same_launch_is_one_record(records: LaunchRecords) -> None:
    assert list(records.all()) == []
    first, second = launched("b", hour=2), launched("a", hour=1)
    accepted = replace(first, run=JobRunId("jr_1"))
    for record in (first, second, accepted, replace(accepted, end=END)):
        records.add(record)
    assert list(records.all()) == [replace(accepted, end=END), second]
    assert records.read().warnings == ()


def test_a_launch_is_completed_by_whoever_knows_its_id(records: LaunchRecords) -> None:
    begun = launched("b", hour=2)
    records.add(begun)
    records.complete(begun.launch, None)
    assert list(records.all()) == [begun]
    records.complete(begun.launch, JobRunId("jr_1"))
    records.complete(begun.launch, JobRunId("jr_1"), END)
    records.complete("f" * 32, JobRunId("jr_2"), END)  # begun where its record was kept elsewhere
    assert list(records.all()) == [replace(begun, run=JobRunId("jr_1"), end=END)]
    assert records.read().warnings == ()


def test_launches_are_chosen_by_their_releases(records: LaunchRecords) -> None:
    records.add(launched("b", hour=2))
    records.complete("b" * 32, JobRunId("jr_1"))
    (found,) = records.read(lambda release: release.project == ACME).launches
    assert (found.launch, found.run) == ("b" * 32, "jr_1")
    assert records.read(lambda release: release.project != ACME).launches == ()


def launched(digit: str, hour: int) -> LaunchRecord:
    lock = Lock(runtime=glue_runtime("5.1"), request=("acme",), pins=(Pin(project=ACME, version=ONE),))
    time = datetime(2026, 11, 22, hour, tzinfo=UTC)
    return recorded_launch(digit * 32, "taxi", lock, by="ann", time=time, delivery=Delivery.WHEELS)
