from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.lockfile import LockedFile, Pin
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from glue_pkgmgr.ports import PackageIndex
from glue_pkgmgr.verbs.built import publish_built
from tests.fakes import FakeIndex, FakeRepository
from tests.unit.verbs.locks import APPROVED, pin, wheel_name

SDIST = "acme-1.0.tar.gz"
WHEEL = wheel_name("acme==1.0")
OPEN, CLOSED = "origin acme publish=True upstream=False", "origin acme publish=False upstream=False"


@dataclass
class FakeSdists:
    """Builds a wheel of fixed content from any sdist of the store."""

    folder: Path
    content: bytes = b"the wheel"

    def wheel_of(self, index: PackageIndex, sdist: IndexFile) -> BuiltFile:
        path = self.folder / WHEEL
        path.write_bytes(self.content)
        return BuiltFile(
            path=path,
            distribution=parse_filename(WHEEL),
            sha256=hashlib.sha256(self.content).hexdigest(),
            size=len(self.content),
        )


def built_pin(sdist: bytes = b"the sdist", wheel: bytes = b"the wheel") -> Pin:
    return replace(
        pin("acme==1.0"),
        files=(LockedFile(filename=WHEEL, sha256=hashlib.sha256(wheel).hexdigest()),),
        built_from=LockedFile(filename=SDIST, sha256=hashlib.sha256(sdist).hexdigest()),
    )


def run(
    locked: Pin,
    folder: Path,
    repository: FakeRepository,
    *,
    content: bytes = b"the wheel",
    sdist: bytes | None = None,
) -> None:
    publish_built(
        locked,
        address=APPROVED,
        store=FakeIndex({SDIST: b"the sdist"} if sdist is None else {SDIST: sdist}),
        builder=FakeSdists(folder, content),
        repositories=repository,
        mint=repository.mint,
        open_uploader=lambda url: repository,
        progress=lambda text: None,
    )


def test_the_project_is_open_for_publishing_during_the_upload_alone(tmp_path: Path) -> None:
    repository = FakeRepository()
    run(built_pin(), tmp_path, repository)
    assert repository.events == [OPEN, "mint", f"upload {WHEEL}", CLOSED]


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    repository = FakeRepository()
    run(built_pin(), tmp_path, repository)
    held = {name: dict(files) for name, files in repository.assets_by_release.items()}
    run(built_pin(), tmp_path, repository)
    assert repository.assets_by_release == held


def test_another_wheel_than_the_locked_one_is_not_published_and_both_digests_are_told(tmp_path: Path) -> None:
    repository = FakeRepository()
    with pytest.raises(NotInstallable, match="not reproducible here") as caught:
        run(built_pin(), tmp_path, repository, content=b"another build")
    assert hashlib.sha256(b"another build").hexdigest() in str(caught.value)
    assert hashlib.sha256(b"the wheel").hexdigest() in str(caught.value)
    assert "glue-pkgmgr lock" in str(caught.value)
    assert repository.events == []


def test_a_wheel_of_another_name_is_not_published(tmp_path: Path) -> None:
    repository = FakeRepository()
    named = LockedFile(filename=wheel_name("acme==1.0", "py2.py3-none-any"), sha256="a" * 64)
    with pytest.raises(NotInstallable, match=r"acme-1\.0-py2\.py3-none-any\.whl"):
        run(replace(built_pin(), files=(named,)), tmp_path, repository)
    assert repository.events == []


def test_another_sdist_in_the_store_than_the_locked_one_is_not_built(tmp_path: Path) -> None:
    repository = FakeRepository()
    with pytest.raises(NotInstallable, match=r"acme-1\.0\.tar\.gz is not what acme==1\.0 was built from"):
        run(built_pin(), tmp_path, repository, sdist=b"changed")
    assert list(tmp_path.iterdir()) == []
    assert repository.events == []


@pytest.mark.parametrize("held", [{}, {WHEEL: b""}], ids=["no page", "no sdist"])
def test_a_store_without_the_sdist_is_told(held: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(NotInstallable, match=r"the store has no acme-1\.0\.tar\.gz"):
        publish_built(
            built_pin(),
            address=APPROVED,
            store=FakeIndex(held),
            builder=FakeSdists(tmp_path),
            repositories=FakeRepository(),
            mint=FakeRepository().mint,
            open_uploader=lambda url: FakeRepository(),
            progress=lambda text: None,
        )


def test_an_upload_that_fails_closes_the_project_again(tmp_path: Path) -> None:
    repository = FakeRepository(fail_after=0)
    with pytest.raises(IndexAccessError):
        run(built_pin(), tmp_path, repository)
    assert repository.events == [OPEN, "mint", CLOSED]


def test_other_bytes_in_the_repository_are_told_and_the_project_is_closed(tmp_path: Path) -> None:
    repository = FakeRepository()
    repository.put(WHEEL, b"of somebody else")
    with pytest.raises(NotInstallable, match="other bytes"):
        run(built_pin(), tmp_path, repository)
    assert repository.events[-1] == CLOSED


def test_a_release_that_the_store_has_as_a_wheel_is_not_for_us_to_publish(tmp_path: Path) -> None:
    with pytest.raises(NotInstallable, match=r"does not say that acme==1\.0 was built by us"):
        run(pin("acme==1.0"), tmp_path, FakeRepository())
