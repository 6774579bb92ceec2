from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from glue_pkgmgr.adapters.archive import TarArchives
from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.core.allowlist import AllowList
from glue_pkgmgr.core.archive import CarriedLock
from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotApproved, NotInstallable, SettingsError
from glue_pkgmgr.settings import Settings, parse_settings
from glue_pkgmgr.verbs.carry import Change, Exported, Imported, Place, export_archive, import_archive
from tests.fakes import ENDPOINT, FakeIndex, FakeRepository, FakeTime
from tests.made_archives import ACME, ALLOWLIST, DEP, Made, carried_lock, made_archive, made_pin
from tests.unit.verbs.locks import APPROVED

LOCK = "taxi.glue-5.1.pylock.toml"
CLOSED = "origin {} publish=False upstream=False"


def settings(root: Path, internal: tuple[str, ...] = (), glue: str = "5.1") -> Settings:
    content = {
        "codeartifact": {
            "domain": "acme",
            "owner": "111122223333",
            "region": "us-east-1",
            "store": "store",
            "repository": "approved",
        },
        "policy": {"internal": list(internal)},
        "bundles": {"taxi": {"modules": ["acme"], "glue-version": glue}},
    }
    return parse_settings(content, root / "glue-pkgmgr.toml")


@dataclass
class Export:
    """An export from an index with the made wheels, into `folder`."""

    folder: Path
    index: FakeIndex = field(default_factory=lambda: FakeIndex(dict([ACME, DEP])))
    locks: tuple[CarriedLock, ...] = field(default_factory=lambda: made_archive().archive.locks)
    time: FakeTime = field(default_factory=FakeTime)
    minted: int = 0
    said: list[str] = field(default_factory=list)

    def mint(self, lifetime: timedelta) -> IndexUrl:
        self.minted += 1
        return IndexUrl(ENDPOINT, AuthorizationToken("fake-token", self.time.now + lifetime))

    def run(self, name: str = "made.tar", *, replace: bool = False) -> Exported:
        (self.folder / "allowlist.toml").write_bytes(ALLOWLIST)
        return export_archive(
            self.folder / name,
            allowlist=self.folder / "allowlist.toml",
            locks=self.locks,
            replace=replace,
            archives=TarArchives(),
            metadata=WheelMetadata(self.folder / "cache"),
            mint=self.mint,
            open_index=lambda url: self.index,
            clock=self.time.clock,
            progress=self.said.append,
        )

    @property
    def there(self) -> set[str]:
        return {one.name for one in self.folder.iterdir()}


class TestExport:
    def test_it_carries_what_the_locks_name(self, tmp_path: Path) -> None:
        export = Export(tmp_path)
        exported = export.run()
        content = made_archive().content
        assert exported.path.read_bytes() == content
        assert (exported.sha256, exported.size) == (hashlib.sha256(content).hexdigest(), len(content))
        assert [wheel.filename for wheel in exported.wheels] == [ACME[0], DEP[0]]
        assert export.said == [f"fetching {ACME[0]}", f"fetching {DEP[0]}", "writing made.tar"]
        assert export.there == {"allowlist.toml", "made.tar"}

    def test_the_order_of_the_bundles_does_not_show(self, tmp_path: Path) -> None:
        locks = (carried_lock(made_pin(ACME)), carried_lock(made_pin(DEP), bundle="trips", request=["dep"]))
        one = Export(tmp_path, locks=locks).run("one.tar")
        other = Export(tmp_path, locks=locks[::-1]).run("other.tar")
        assert one.sha256 == other.sha256

    def test_one_token_does_unless_it_ends_meanwhile(self, tmp_path: Path) -> None:
        export = Export(tmp_path)
        export.run("one.tar")
        assert export.minted == 1

        @dataclass
        class Slow(FakeIndex):
            def download(self, url: str, target: Path, sha256: str) -> None:
                super().download(url, target, sha256)
                export.time.sleep(500)

        export.index = Slow(export.index.files)
        export.run("two.tar")
        assert export.minted == 1 + 2

    def test_without_anything_to_install_no_token_is_minted(self, tmp_path: Path) -> None:
        export = Export(tmp_path, locks=(carried_lock(),))
        assert export.run().wheels == ()
        assert export.minted == 0

    def test_without_a_lock_there_is_nothing_to_export(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="`glue-pkgmgr lock`"):
            Export(tmp_path, locks=()).run()
        assert not (tmp_path / "made.tar").exists()

    def test_an_existing_file_is_replaced_only_when_told(self, tmp_path: Path) -> None:
        export = Export(tmp_path)
        (tmp_path / "made.tar").write_text("another one")
        with pytest.raises(SettingsError, match=r"made\.tar exists; .*--force"):
            export.run()
        assert (tmp_path / "made.tar").read_text() == "another one"
        assert export.minted == 0
        assert export.run(replace=True).path.read_bytes() == made_archive().content

    @pytest.mark.parametrize(
        ("name", "why"),
        [("absent/made.tar", "there is no folder"), (".", "is a folder"), ("a" * 300, "cannot write")],
    )
    def test_a_place_that_cannot_be_written_is_told_first(self, name: str, why: str, tmp_path: Path) -> None:
        export = Export(tmp_path)
        with pytest.raises(SettingsError, match=why):
            export.run(name, replace=True)
        assert export.minted == 0

    @pytest.mark.parametrize(
        ("files", "error", "why"),
        [
            (dict([ACME]), NotInstallable, r"does not list dep-2\.0.*mirror sync"),
            (dict([ACME, (DEP[0], ACME[1])]), NotInstallable, "not what was promised"),
            ({}, NotInstallable, r"does not list acme-1\.0"),
        ],
    )
    def test_a_wheel_that_cannot_be_had_leaves_nothing(
        self, files: dict[str, bytes], error: type[GluePkgmgrError], why: str, tmp_path: Path
    ) -> None:
        export = Export(tmp_path, FakeIndex(files))
        with pytest.raises(error, match=why):
            export.run()
        assert export.there == {"allowlist.toml"}

    def test_what_a_killed_export_has_fetched_is_taken_up_if_it_is_whole(self, tmp_path: Path) -> None:
        export = Export(tmp_path)
        for (name, content), project in ((ACME, "acme"), ((DEP[0], DEP[1][:-1]), "dep")):
            path = tmp_path / ".made.tar.parts" / project / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        assert export.run().sha256 == hashlib.sha256(made_archive().content).hexdigest()
        assert export.said[:-1] == [f"fetching {DEP[0]}"]
        assert export.there == {"allowlist.toml", "made.tar"}

    def test_an_archive_that_could_not_be_read_again_is_not_written(self, tmp_path: Path) -> None:
        pin = made_pin(ACME)
        (file,) = pin.files
        wrong = replace(pin, files=(replace(file, size=1),))
        with pytest.raises(NotInstallable, match="is not the locked wheel"):
            Export(tmp_path, locks=(carried_lock(wrong),)).run()
        assert not (tmp_path / "made.tar").exists()


@dataclass
class Import:
    """An import of the file `made.tar` in `folder` into a place that has nothing yet."""

    folder: Path
    repository: FakeRepository = field(default_factory=FakeRepository)
    made: Made = field(default_factory=made_archive)
    settings: Settings | None = None
    time: FakeTime = field(default_factory=FakeTime)

    def __post_init__(self) -> None:
        self.settings = self.settings or settings(self.folder)
        self.path.write_bytes(self.made.content)

    @property
    def path(self) -> Path:
        return self.folder / "made.tar"

    @property
    def allowlist(self) -> Path:
        return self.folder / "allowlist.toml"

    @property
    def lock(self) -> Path:
        return self.folder / "locks" / LOCK

    def policy(self, allowlist: AllowList, runtime: GlueRuntime) -> Policy:
        assert self.settings
        ours = self.settings.policy
        return Policy(
            allowlist=allowlist,
            internal=ours.internal,
            minimum_age=ours.minimum_age,
            runtime=runtime,
            now=self.time.now,
        )

    def run(self, *, sha256: str | None = None, replace: bool = False) -> Imported:
        assert self.settings
        policy = self.settings.policy
        return import_archive(
            self.path,
            sha256=sha256,
            replace=replace,
            place=Place(
                allowlist=policy.allowlist,
                locks=policy.locks,
                bundles=list(self.settings.bundles.values()),
                internal=policy.internal,
                policy=self.policy,
            ),
            address=APPROVED,
            repositories=self.repository,
            archives=TarArchives(),
            mint=self.repository.mint,
            open_uploader=lambda url: self.repository,
            clock=self.time.clock,
            progress=lambda text: None,
        )

    def refused(self, error: type[GluePkgmgrError], why: str, **options: object) -> None:
        """Run it: it has to fail for that reason, and to have changed nothing."""
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        with pytest.raises(error, match=why):
            self.run(**options)  # type: ignore[arg-type]
        assert {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()} == before
        assert self.repository.events == []


@pytest.fixture
def importing(tmp_path: Path) -> Import:
    return Import(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


class TestImport:
    def test_everything_comes_into_an_empty_place(self, importing: Import) -> None:
        imported = importing.run()
        assert importing.allowlist.read_bytes() == ALLOWLIST
        assert importing.lock.read_bytes() == importing.made.archive.locks[0].content
        assert [(file.path, file.change) for file in imported.files] == [
            (importing.lock, Change.WRITTEN),
            (importing.allowlist, Change.WRITTEN),
        ]
        assert [wheel.filename for wheel in imported.uploaded] == [ACME[0], DEP[0]]
        assert imported.already == ()
        assert imported.sha256 == hashlib.sha256(importing.made.content).hexdigest()
        assert importing.repository.events == [
            "origin acme publish=True upstream=False",
            "mint",
            f"upload {ACME[0]}",
            CLOSED.format("acme"),
            "origin dep publish=True upstream=False",
            f"upload {DEP[0]}",
            CLOSED.format("dep"),
        ]

    def test_a_project_of_ours_stays_open_for_publishing(self, tmp_path: Path) -> None:
        made = made_archive(locks=[carried_lock(made_pin(ACME, internal=True), made_pin(DEP, wanted_by=["acme"]))])
        importing = Import(tmp_path, made=made, settings=settings(tmp_path, internal=("acme",)))
        importing.run()
        acme = [event for event in importing.repository.events if event.startswith("origin acme")]
        assert set(acme) == {"origin acme publish=True upstream=False"}
        assert importing.repository.events[-1] == CLOSED.format("dep")

    def test_a_second_import_changes_nothing_and_mints_nothing(self, importing: Import) -> None:
        importing.run()
        importing.repository.events.clear()
        imported = importing.run()
        assert [file.change for file in imported.files] == [Change.UNCHANGED] * 2
        assert imported.uploaded == ()
        assert [wheel.filename for wheel in imported.already] == [ACME[0], DEP[0]]
        # Closed again all the same: a killed import may have left them open.
        assert importing.repository.events == [CLOSED.format("acme"), CLOSED.format("dep")]

    def test_an_import_that_broke_off_is_completed_by_the_next_one(self, importing: Import) -> None:
        importing.repository.fail_after = 1
        with pytest.raises(IndexAccessError):
            importing.run()
        assert importing.repository.events[-1] == CLOSED.format("dep")
        importing.repository.fail_after = None
        imported = importing.run()
        assert [wheel.filename for wheel in imported.uploaded] == [DEP[0]]
        assert [wheel.filename for wheel in imported.already] == [ACME[0]]

    def test_the_digest_the_caller_knows_has_to_be_that_of_the_archive(self, importing: Import) -> None:
        importing.refused(NotInstallable, "another archive than the one you expect", sha256="0" * 64)
        importing.refused(SettingsError, "is no SHA-256", sha256="0" * 63)
        importing.refused(SettingsError, "is no SHA-256", sha256="")
        importing.run(sha256=hashlib.sha256(importing.made.content).hexdigest().upper())

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: content[:-1],
            lambda content: content + b"\0",
            lambda content: content.replace(b"VERSION = '1.0'", b"VERSION = '1.1'", 1),
            lambda content: content.replace(b"Reviewed in git", b"Reviewed in Git", 1),
            lambda content: content.replace(b"0000644", b"0000755", 1),
            lambda content: b"",
        ],
        ids=["cut", "longer", "wheel", "allow-list", "header", "empty"],
    )
    def test_a_damaged_archive_is_refused_before_anything(
        self, damage: Callable[[bytes], bytes], importing: Import
    ) -> None:
        importing.path.write_bytes(damage(importing.made.content))
        importing.refused(NotInstallable, r"made\.tar is not a whole archive .* nothing was changed here")

    @settings_of_hypothesis(derandomize=True, deadline=None, database=None, max_examples=60)
    @given(st.data())
    def test_any_changed_byte_is_found_before_anything(self, folder: Path, data: st.DataObject) -> None:
        importing = Import(folder)
        content = bytearray(importing.made.content)
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        importing.path.write_bytes(content)
        importing.refused(NotInstallable, "is not a whole archive")

    def test_an_absent_archive_is_told(self, importing: Import) -> None:
        importing.path.unlink()
        importing.refused(SettingsError, "cannot read")


class TestFilesHere:
    def test_other_files_are_refused_all_at_once(self, importing: Import) -> None:
        importing.lock.parent.mkdir()
        importing.lock.write_text("another lock")
        importing.allowlist.write_text("# another list\n")
        importing.refused(NotApproved, rf"are here: {LOCK}, allowlist\.toml; .*--replace-files")

    def test_they_are_replaced_when_told_the_allow_list_last(self, importing: Import) -> None:
        importing.allowlist.write_text("# another list\n")
        imported = importing.run(replace=True)
        assert [(file.path.name, file.change) for file in imported.files] == [
            (LOCK, Change.WRITTEN),
            ("allowlist.toml", Change.REPLACED),
        ]
        assert importing.allowlist.read_bytes() == ALLOWLIST

    def test_a_linked_allow_list_stays_a_link(self, importing: Import) -> None:
        (real := importing.folder / "shared.toml").write_text("# another list\n")
        importing.allowlist.symlink_to(real)
        importing.run(replace=True)
        assert importing.allowlist.is_symlink()
        assert real.read_bytes() == ALLOWLIST

    def test_a_file_that_cannot_be_written_is_told_before_an_upload(self, importing: Import) -> None:
        importing.lock.parent.write_text("a file where the folder should be")
        importing.refused(SettingsError, "cannot read")

    def test_other_locks_here_stay(self, importing: Import) -> None:
        importing.lock.parent.mkdir()
        (other := importing.lock.with_name("other.glue-5.1.pylock.toml")).write_text("another bundle")
        importing.run(replace=True)
        assert other.read_text() == "another bundle"


class TestRulesHere:
    def test_a_lock_of_a_bundle_that_is_not_in_the_settings_is_refused(self, tmp_path: Path) -> None:
        importing = Import(tmp_path, settings=settings(tmp_path, glue="5.0"))
        importing.refused(NotApproved, r"bundle 'taxi' for Glue 5\.1, which the settings here do not name")

    def test_an_approval_that_has_ended_is_refused(self, tmp_path: Path) -> None:
        ended = ALLOWLIST.replace(b'reason = "why"', b'reason = "why"\nuntil = 2026-11-21')
        importing = Import(tmp_path, made=made_archive(allowlist=ended))
        importing.refused(NotApproved, r"acme==1\.0 is not approved")

    def test_a_release_that_only_ours_may_be_is_refused(self, tmp_path: Path) -> None:
        importing = Import(tmp_path, settings=settings(tmp_path, internal=("dep",)))
        importing.refused(
            NotApproved, r"dep==2\.0 was locked from the store, but the settings list it as internal"
        )

    def test_a_release_of_theirs_is_none_of_ours(self, tmp_path: Path) -> None:
        made = made_archive(locks=[carried_lock(made_pin(ACME, internal=True), made_pin(DEP, wanted_by=["acme"]))])
        Import(tmp_path, made=made).refused(NotApproved, r"acme==1\.0 was locked from our own releases")

    def test_a_lock_of_another_glue_version_than_its_name_is_refused(self, tmp_path: Path) -> None:
        lock = made_archive().archive.locks[0]
        importing = Import(
            tmp_path,
            made=made_archive(locks=[replace(lock, glue_version="5.0")]),
            settings=settings(tmp_path, glue="5.0"),
        )
        importing.refused(NotApproved, r"the bundle is for Glue 5\.0, the lock for 5\.1")

    def test_everything_is_told_at_once(self, tmp_path: Path) -> None:
        importing = Import(tmp_path, settings=settings(tmp_path, internal=("dep",)))
        importing.allowlist.write_text("# another list\n")
        importing.refused(NotApproved, r"(?s)other files than in the archive.*dep==2\.0.*nothing was changed here")


class TestRepositoryHere:
    def test_other_bytes_there_are_refused_with_both_digests(self, importing: Import) -> None:
        importing.repository.put(ACME[0], b"other bytes")
        digests = [hashlib.sha256(content).hexdigest() for content in (ACME[1], b"other bytes")]
        importing.refused(NotInstallable, rf"(?s){ACME[0]}\s+archive {digests[0]}\s+there   {digests[1]}")

    def test_only_what_is_lacking_is_uploaded(self, importing: Import) -> None:
        importing.repository.put(*ACME)
        imported = importing.run()
        assert [wheel.filename for wheel in imported.uploaded] == [DEP[0]]
        assert [event for event in importing.repository.events if event.startswith("upload")] == [
            f"upload {DEP[0]}"
        ]

    def test_a_wheel_that_is_not_listed_after_its_upload_is_told(self, tmp_path: Path) -> None:
        @dataclass
        class Forgetful(FakeRepository):
            def upload(self, path: Path, *, sha256: str | None = None) -> None:
                """Take it and lose it."""

        with pytest.raises(NotInstallable, match=rf"does not list {ACME[0]} after its upload"):
            Import(tmp_path, Forgetful()).run()

    def test_an_archive_that_is_changed_between_check_and_upload_is_not_uploaded(self, tmp_path: Path) -> None:
        @dataclass
        class Meddler(FakeRepository):
            def set_origin(self, *args: object, **controls: bool) -> None:
                content = made_archive().content.replace(b"VERSION = '1.0'", b"VERSION = '6.6'", 1)
                (tmp_path / "made.tar").write_bytes(content)

        importing = Import(tmp_path, Meddler())
        with pytest.raises(NotInstallable, match="changed after"):
            importing.run()
        assert importing.repository.assets(APPROVED, project_name("acme"), made_pin(ACME).version) == []


def test_a_token_that_ends_meanwhile_is_minted_anew_for_the_next_upload(tmp_path: Path) -> None:
    opened: list[IndexUrl] = []

    @dataclass
    class Slow(FakeRepository):
        def mint(self, lifetime: timedelta) -> IndexUrl:
            url = IndexUrl(ENDPOINT, AuthorizationToken("fake-token", importing.time.now + lifetime))
            opened.append(url)
            return url

        def upload(self, path: Path, *, sha256: str | None = None) -> None:
            super().upload(path)
            importing.time.sleep(500)

    importing = Import(tmp_path, Slow())
    importing.run()
    assert len(opened) == 2
