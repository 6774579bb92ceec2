from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.publish_record import Commit, Proof, Proven, PublishRecord
from glue_pkgmgr.core.release_checks import Finding, Level
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.ports import Asset, PackageIndex
from glue_pkgmgr.verbs.publish import Candidate, Publisher, candidates_of
from tests.fakes import ENDPOINT, FakeMetadata, FakeRepository, FakeTime

ADDRESS = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved")
STORE = replace(ADDRESS, repository="store")
ACME, BASE, CORE = map(project_name, ("acme", "base", "core"))
SDIST, WHEEL = "acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"
PROOF = Proof(proven=Proven.IMPORTED, python="3.11.9", modules=("acme",), complete=True)
COMMIT = Commit(id="c" * 40, dirty=False)


@dataclass
class Repository(FakeRepository):
    """A repository with an upstream, origin controls, and releases of others; `conflict` refuses one upload."""

    closed: dict[ProjectName, OriginControls] = field(default_factory=dict)
    behind: RepositoryLinks = field(default_factory=lambda: RepositoryLinks(upstreams=(), external_connections=()))
    others: dict[str, list[Version]] = field(default_factory=dict)
    upstream_files: list[str] = field(default_factory=list)
    conflict: str = ""
    arrives_all_the_same: bool = False

    def packages(self, address: RepositoryAddress) -> Mapping[ProjectName, OriginControls]:
        return {**super().packages(address), **self.closed}

    def links(self, address: RepositoryAddress) -> RepositoryLinks:
        return self.behind

    def brought_in(self, address: RepositoryAddress, project: ProjectName) -> Collection[Version]:
        found = self.others.get(address.repository, [])
        if found is FORBIDDEN:
            raise RemoteError("no permission to look there")
        return found

    def upload(self, path: Path, *, sha256: str | None = None) -> None:
        assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        if path.name == self.conflict:
            if self.arrives_all_the_same:
                self.put(path.name, path.read_bytes())
            raise NotInstallable("409")
        super().upload(path)

    def page(self, project: ProjectName) -> IndexPage | None:
        page = super().page(project)
        more = tuple(IndexFile(filename=name, url=f"{ENDPOINT}{name}") for name in self.upstream_files)
        return IndexPage(project=project, files=(*(page.files if page else ()), *more)) if page or more else None


FORBIDDEN: list[Version] = []


@dataclass
class Prover:
    """Proves, or raises `failure`; `asked` counts."""

    failure: Exception | None = None
    asked: int = 0

    def prove(self, files: Sequence[BuiltFile], url: IndexUrl, index: PackageIndex) -> Proof:
        self.asked += 1
        if self.failure:
            raise self.failure
        return PROOF


@dataclass
class Records:
    """Records of publications by release, and every one that was ever added."""

    held: dict[tuple[ProjectName, Version], PublishRecord] = field(default_factory=dict)
    added: list[PublishRecord] = field(default_factory=list)
    broken: bool = False

    def add(self, record: PublishRecord) -> None:
        if self.broken:
            raise SettingsError("the folder of the records is read-only")
        self.held[record.project, record.version] = record
        self.added.append(record)

    def find(self, project: ProjectName, version: Version) -> PublishRecord | None:
        return self.held.get((project, version))


@dataclass
class World:
    """Everything a publisher asks, in memory."""

    repository: Repository = field(default_factory=Repository)
    time: FakeTime = field(default_factory=FakeTime)
    prover: Prover = field(default_factory=Prover)
    records: Records = field(default_factory=Records)
    metadata: FakeMetadata = field(default_factory=FakeMetadata)
    findings: Sequence[Finding] = ()
    told: list[str] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    check: Callable[[Path], object] = lambda path: None
    mint: Callable[[timedelta], IndexUrl] | None = None

    @property
    def publisher(self) -> Publisher:
        return Publisher(
            approved=ADDRESS,
            store=STORE,
            internal=frozenset({ACME, BASE, CORE}),
            repositories=self.repository,
            mint=self.mint or self.repository.mint,
            open_index=lambda url: self.repository,
            open_uploader=lambda url: self.repository,
            inspect=lambda files: self.findings,
            check_upload=self.check,
            metadata=self.metadata,
            prover=self.prover,
            records=self.records,
            commit_of=lambda folder: COMMIT,
            actor=lambda: "ann",
            clock=self.time.clock,
            progress=self.told.append,
            sleep=self.time.sleep,
            describe=lambda candidate: self.described.append(candidate.project),
        )

    def run(self, *files: BuiltFile) -> list[PublishRecord]:
        publisher = self.publisher
        return publisher.publish(publisher.plan(candidates_of(files, Path())))

    @property
    def events(self) -> list[str]:
        return self.repository.events


def built(folder: Path, name: str, content: bytes = b"content") -> BuiltFile:
    path = folder / name
    path.write_bytes(content)
    return BuiltFile(
        path=path,
        distribution=parse_filename(name),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


@pytest.fixture
def files(tmp_path: Path) -> list[BuiltFile]:
    return [built(tmp_path, SDIST, b"sdist"), built(tmp_path, WHEEL, b"wheel")]


@pytest.fixture
def three(tmp_path: Path) -> list[BuiltFile]:
    return [built(tmp_path, f"{name}-1.0-py3-none-any.whl") for name in ("acme", "base", "core")]


@pytest.fixture
def world() -> World:
    return World()


def test_a_first_publish_closes_the_project_to_upstreams_before_it_uploads(
    world: World, files: list[BuiltFile]
) -> None:
    (record,) = world.run(*files)
    assert world.events == [
        "origin acme publish=True upstream=False",
        "mint",
        f"upload {SDIST}",
        f"upload {WHEEL}",
        "page",
    ]
    assert record == PublishRecord(
        project=ACME,
        version=Version("1.0"),
        repository=ADDRESS,
        index=f"{ENDPOINT}simple/",
        uploaded=tuple(files),
        already=(),
        time=world.time.now,
        commit=COMMIT,
        actor="ann",
        proof=PROOF,
    )


def test_who_may_not_close_the_project_uploads_nothing(
    world: World, files: list[BuiltFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RemoteError("the caller needs codeartifact:PutPackageOriginConfiguration")

    monkeypatch.setattr(world.repository, "set_origin", refuse)
    with pytest.raises(RemoteError, match="PutPackageOriginConfiguration"):
        world.run(*files)
    assert world.events == []
    assert world.records.added == []


def test_a_second_publish_of_the_same_bytes_does_nothing_and_mints_nothing(
    world: World, files: list[BuiltFile]
) -> None:
    world.run(*files)
    world.events.clear()
    before = list(world.records.added)
    (record,) = world.run(*files)
    assert world.events == []
    assert (record.uploaded, record.already) == ((), tuple(files))
    assert record.index == f"{ENDPOINT}simple/"
    assert world.records.added == before
    assert world.prover.asked == 1
    assert world.told[-1] == "acme==1.0 is already published in acme/approved"


def test_only_the_file_that_is_not_there_is_uploaded(world: World, files: list[BuiltFile]) -> None:
    world.repository.put(SDIST, b"sdist")
    (record,) = world.run(*files)
    assert [event for event in world.events if event.startswith("upload")] == [f"upload {WHEEL}"]
    assert record.already == (files[0],)
    assert record.files == (files[1], files[0])


def test_other_bytes_under_one_name_stop_everything_and_both_digests_are_told(
    world: World, files: list[BuiltFile]
) -> None:
    world.repository.put(WHEEL, b"another build")
    with pytest.raises(NotInstallable) as caught:
        world.run(*files)
    assert files[1].sha256 in str(caught.value)
    assert hashlib.sha256(b"another build").hexdigest() in str(caught.value)
    assert "raise the version" in str(caught.value)
    assert world.events == []
    assert world.records.added == []


def test_an_interrupted_upload_is_finished_by_running_again(world: World, files: list[BuiltFile]) -> None:
    world.repository.fail_after = 1
    with pytest.raises(IndexAccessError):
        world.run(*files)
    assert world.prover.asked == 0
    world.repository.fail_after = None
    (record,) = world.run(*files)
    assert [file.filename for file in record.uploaded] == [WHEEL]
    assert [file.filename for file in record.already] == [SDIST]
    assert record.proof == PROOF


def test_a_run_that_ended_between_upload_and_proof_is_brought_to_its_end(
    world: World, files: list[BuiltFile]
) -> None:
    world.prover.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.run(*files)
    world.prover.failure = None
    world.events.clear()
    (record,) = world.run(*files)
    assert world.events == ["mint", "page"]
    assert (record.uploaded, record.proof) == (tuple(files), PROOF)
    assert world.records.held[ACME, Version("1.0")] == record
    world.run(*files)
    assert world.prover.asked == 2


@pytest.mark.parametrize("proof", [PROOF, None])
def test_a_record_of_another_repository_tells_nothing_about_this_one(
    world: World, files: list[BuiltFile], proof: Proof | None
) -> None:
    (record,) = world.run(*files)
    elsewhere = replace(record, repository=replace(ADDRESS, domain="elsewhere"), proof=proof)
    world.records.held[ACME, Version("1.0")] = elsewhere
    world.events.clear()
    (told,) = world.run(*files)
    assert (told.repository, told.commit, told.proof) == (ADDRESS, None, None)
    assert (world.events, world.prover.asked) == ([], 1)


def test_a_release_that_cannot_be_used_is_an_error_each_time_until_it_can(
    world: World, files: list[BuiltFile]
) -> None:
    world.prover.failure = NotInstallable("`import acme` fails")
    for _ in range(2):
        with pytest.raises(NotInstallable, match="import acme"):
            world.run(*files)
    assert world.records.held[ACME, Version("1.0")].proof is None


def test_without_a_place_for_the_record_nothing_is_uploaded(world: World, files: list[BuiltFile]) -> None:
    world.records.broken = True
    with pytest.raises(SettingsError, match="read-only"):
        world.run(*files)
    assert not [event for event in world.events if event.startswith("upload")]


def test_a_project_that_is_not_internal_is_refused_before_anything_is_asked(world: World, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="requests is not listed as internal"):
        world.run(built(tmp_path, "requests-9.0.tar.gz"))
    assert world.events == []


def test_a_plan_changes_nothing(world: World, files: list[BuiltFile]) -> None:
    (planned,) = world.publisher.plan(candidates_of(files, Path()))
    assert planned.plan.new == tuple(files)
    assert world.events == []
    assert world.records.added == []


def test_a_file_that_no_index_accepts_stops_everything_before_the_first_upload(
    world: World, files: list[BuiltFile]
) -> None:
    def check(path: Path) -> None:
        if path.name == WHEEL:
            raise SettingsError("its metadata is not UTF-8")

    world.check = check
    with pytest.raises(SettingsError, match="not UTF-8"):
        world.run(*files)
    assert world.events == []


def test_everything_that_is_wrong_is_told_at_once(world: World, files: list[BuiltFile]) -> None:
    def check(path: Path) -> None:
        raise SettingsError(f"{path.name} is damaged")

    world.check = check
    world.findings = [Finding(files=(WHEEL,), rule="x", level=Level.ERROR, told="holds .env", hint="delete it")]
    world.repository.closed[ACME] = OriginControls(publish=False, upstream=False)
    with pytest.raises(SettingsError) as caught:
        world.publisher.plan(candidates_of(files, Path()))
    for reason in (f"{SDIST} is damaged", f"{WHEEL} is damaged", "holds .env", "publish=BLOCK"):
        assert reason in str(caught.value)


def test_what_is_found_in_the_files_refuses_or_warns(world: World, files: list[BuiltFile]) -> None:
    def finding(level: Level, told: str) -> Finding:
        return Finding(files=(WHEEL,), rule="x", level=level, told=told, hint="do something")

    world.findings = [finding(Level.ERROR, "holds .env"), finding(Level.WARNING, "no tests")]
    with pytest.raises(NotInstallable, match=r"holds \.env; do something"):
        world.run(*files)
    assert world.events == []
    world.findings = world.findings[1:]
    world.run(*files)
    assert f"warning: {WHEEL}: no tests; do something" in world.told


def test_what_the_build_found_is_not_looked_for_again(world: World, files: list[BuiltFile]) -> None:
    world.findings = [Finding(files=(WHEEL,), rule="x", level=Level.ERROR, told="y", hint="z")]
    candidate = Candidate(files=tuple(files), folder=Path(), findings=())
    assert world.publisher.plan([candidate])[0].plan.refusals == ()


def test_a_name_that_an_upstream_offers_is_refused_and_published_once_it_is_closed(
    world: World, files: list[BuiltFile]
) -> None:
    world.repository.behind = RepositoryLinks(upstreams=("pypi-store",), external_connections=())
    world.repository.upstream_files = ["acme-99.tar.gz", "acme-99.exe"]
    with pytest.raises(NotInstallable, match=r"offers acme 99 from upstream \(pypi-store\)"):
        world.run(*files)
    assert world.events == ["mint", "page"]
    world.repository.closed[ACME] = OriginControls(publish=True, upstream=False)
    (record,) = world.run(*files)
    assert record.uploaded == tuple(files)


def test_without_an_upstream_nobody_is_asked_for_a_name_of_ours(world: World, files: list[BuiltFile]) -> None:
    world.publisher.plan(candidates_of(files, Path()))
    assert world.events == []


def test_what_the_store_holds_is_a_warning_and_not_being_allowed_to_look_is_nothing(
    world: World, files: list[BuiltFile]
) -> None:
    world.repository.others["store"] = [Version("2.0")]
    (planned,) = world.publisher.plan(candidates_of(files, Path()))
    assert "the store holds acme 2.0" in planned.plan.warnings[0]
    world.repository.others["store"] = FORBIDDEN
    (planned,) = world.publisher.plan(candidates_of(files, Path()))
    assert planned.plan.warnings == ()


def test_releases_of_others_in_the_repository_are_refused(world: World, files: list[BuiltFile]) -> None:
    world.repository.put("acme-9-py3-none-any.whl", b"theirs")
    world.repository.others["approved"] = [Version("9")]
    with pytest.raises(NotInstallable, match="acme 9 from the public index"):
        world.run(*files)


def test_a_conflict_passes_if_the_very_bytes_have_arrived(world: World, files: list[BuiltFile]) -> None:
    world.repository.conflict = WHEEL
    with pytest.raises(NotInstallable, match="409"):
        world.run(*files)
    world.repository.arrives_all_the_same = True
    (record,) = world.run(*files)
    assert record.proof == PROOF


@pytest.fixture
def ten(tmp_path: Path) -> list[BuiltFile]:
    return [built(tmp_path, f"acme-1.0-{n}-py3-none-any.whl", b"%d" % n) for n in range(10)]


def test_many_files_are_uploaded_at_the_same_time_the_first_one_alone(world: World, ten: list[BuiltFile]) -> None:
    (record,) = world.run(*ten)
    uploads = [event for event in world.events if event.startswith("upload")]
    assert uploads[0] == f"upload {ten[0].filename}"
    assert sorted(uploads) == [f"upload {file.filename}" for file in ten]
    assert record.uploaded == tuple(ten)


def test_what_keeps_the_first_file_from_being_taken_is_told_before_others_are_sent(
    world: World, ten: list[BuiltFile]
) -> None:
    world.repository.conflict = ten[0].filename
    with pytest.raises(NotInstallable, match="409"):
        world.run(*ten)
    assert not [event for event in world.events if event.startswith("upload")]


def test_a_failure_among_many_is_an_error_and_running_again_uploads_the_rest(
    world: World, ten: list[BuiltFile]
) -> None:
    world.repository.conflict = ten[6].filename
    with pytest.raises(NotInstallable, match="409"):
        world.run(*ten)
    world.repository.conflict = ""
    (record,) = world.run(*ten)
    assert {file.filename for file in record.files} == {file.filename for file in ten}
    assert ten[6] in record.uploaded
    assert ten[0] in record.already


def test_an_index_that_shows_the_files_late_is_waited_for(world: World, files: list[BuiltFile]) -> None:
    start = world.time.now
    world.repository.lag = 6
    world.run(*files)
    assert world.events.count("page") == 7
    assert 0 < (world.time.now - start).total_seconds() < 10


def test_an_index_that_never_shows_the_files_is_given_up(world: World, files: list[BuiltFile]) -> None:
    start = world.time.now
    world.repository.lag = 10**6
    with pytest.raises(IndexAccessError, match=WHEEL):
        world.run(*files)
    assert 60 <= (world.time.now - start).total_seconds() < 65


def test_an_index_that_serves_other_bytes_than_uploaded_is_an_error_at_once(
    world: World, files: list[BuiltFile]
) -> None:
    start = world.time.now
    world.repository.lie = {WHEEL: "f" * 64}
    with pytest.raises(NotInstallable, match=f"serves {WHEEL} with SHA-256 {'f' * 64}"):
        world.run(*files)
    assert world.time.now == start


def test_a_clock_that_is_ahead_is_told_before_anything_is_uploaded(world: World, files: list[BuiltFile]) -> None:
    def mint(lifetime: timedelta) -> IndexUrl:
        return IndexUrl(ENDPOINT, AuthorizationToken("fake", world.time.now - timedelta(hours=1)))

    world.mint = mint
    with pytest.raises(SettingsError, match="this machine's clock is wrong"):
        world.run(*files)
    assert not [event for event in world.events if event.startswith("upload")]


def test_a_token_lives_longer_for_a_long_upload(world: World, files: list[BuiltFile]) -> None:
    asked: list[timedelta] = []

    def mint(lifetime: timedelta) -> IndexUrl:
        asked.append(lifetime)
        return world.repository.mint(lifetime)

    world.mint = mint
    world.run(files[0])
    world.run(replace(files[1], size=2 * 1024**3))
    assert [one.total_seconds() for one in asked] == [900, 2048 + 450]


def test_files_of_two_releases_are_not_one_release(world: World, tmp_path: Path) -> None:
    two = (built(tmp_path, SDIST), built(tmp_path, "acme-1.1.tar.gz"))
    with pytest.raises(SettingsError, match=r"acme==1\.0, acme==1\.1"):
        world.publisher.plan([Candidate(files=two, folder=Path())])


def test_no_files_at_all_are_refused(world: World) -> None:
    with pytest.raises(SettingsError, match="they are of: none"):
        world.publisher.plan([Candidate(files=(), folder=Path())])


def test_a_release_given_twice_is_refused(world: World, files: list[BuiltFile]) -> None:
    one = Candidate(files=tuple(files), folder=Path())
    with pytest.raises(SettingsError, match="given twice"):
        world.publisher.plan([one, one])


def test_a_file_given_twice_is_refused_whatever_is_in_it(world: World, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    twice = [built(folder, SDIST) for folder in folders]
    with pytest.raises(SettingsError, match=r"acme-1\.0\.tar\.gz is given twice, as .*one.* and as .*other"):
        world.publisher.plan(candidates_of(twice, tmp_path))
    assert world.events == []


def requiring(world: World, **requires: str) -> None:
    for name, other in requires.items():
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {other}>=1\n"
        world.metadata.held[f"{name}-1.0-py3-none-any.whl"] = text.encode()


def test_several_projects_are_published_in_the_order_of_their_requirements(
    world: World, three: list[BuiltFile]
) -> None:
    requiring(world, acme="core", core="base")
    assert [record.project for record in world.run(*three)] == [BASE, CORE, ACME]


def test_a_circle_is_refused_before_anything_is_asked(world: World, three: list[BuiltFile]) -> None:
    requiring(world, acme="core", core="acme")
    with pytest.raises(SettingsError, match="circle"):
        world.run(*three)
    assert world.events == []


def test_the_first_failure_ends_it_and_the_state_is_said(world: World, three: list[BuiltFile]) -> None:
    world.repository.fail_after = 1
    with pytest.raises(IndexAccessError) as caught:
        world.run(*three)
    assert str(caught.value) == (
        "the connection broke\nstopped at base==1.0; done before: acme==1.0; not begun: core==1.0"
    )
    assert world.described == ["acme"]
    world.repository.fail_after = None
    records = world.run(*three)
    assert [bool(record.uploaded) for record in records] == [False, True, True]


def test_nothing_is_uploaded_while_one_of_several_is_refused(world: World, three: list[BuiltFile]) -> None:
    world.repository.put("core-1.0-py3-none-any.whl", b"other")
    with pytest.raises(NotInstallable, match=re.escape("core==1.0 is published already, with other bytes")):
        world.run(*three)
    assert world.events == []


def test_two_versions_of_a_project_are_published_the_lower_first(world: World, tmp_path: Path) -> None:
    files = [built(tmp_path, f"acme-{version}-py3-none-any.whl") for version in ("2.0", "1.0")]
    assert [str(record) for record in world.run(*files)] == ["acme==1.0", "acme==2.0"]


def test_the_time_of_a_record_is_aware(world: World, files: list[BuiltFile]) -> None:
    (record,) = world.run(*files)
    assert isinstance(record.time, datetime)
    assert record.time.tzinfo is not None


def test_the_assets_are_those_uploaded(world: World, files: list[BuiltFile]) -> None:
    world.run(*files)
    held: Sequence[Asset] = world.repository.assets(ADDRESS, ACME, Version("1.0"))
    assert {asset.filename: asset.sha256 for asset in held} == {file.filename: file.sha256 for file in files}
