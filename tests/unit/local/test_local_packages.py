from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, Status
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.packages.blobs import Digests
from glue_pkgmgr.local.packages.releases import (
    FIRST_BROUGHT_IN,
    FIRST_PUBLISHED,
    Asset,
    Origin,
    Repository,
)
from glue_pkgmgr.local.packages.store import Occupied, PackageStore
from glue_pkgmgr.local.packages.upstream import credentials_for

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
PUBLISHED_HERE = Origin(external=False, name="approved")
PROJECT = ProjectName("glueutils")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PackageStore]:
    made = PackageStore(tmp_path)
    made.create_domain("team", "111122223333", None, NOW)
    yield made
    made.close()


@pytest.fixture
def approved(store: PackageStore) -> Repository:
    return store.create_repository("team", "approved", None, [], NOW)


def put(store: PackageStore, content: bytes) -> Digests:
    """Bring `content` in as an upload does."""
    digests, path = store.blobs.copy_in(io.BytesIO(content))
    store.add_blob(path, digests)
    return digests


def publish(store: PackageStore, repository: Repository, version: str, content: bytes) -> Asset:
    with store.transaction():
        digests = put(store, content)
        asset = Asset(filename=f"glueutils-{version}.tar.gz", sha256=digests.sha256, size=digests.size)
        store.add_release(repository, PROJECT, version, PUBLISHED_HERE, [asset], controls=FIRST_PUBLISHED, now=NOW)
    return asset


def test_what_is_added_is_found_again_after_reopening(tmp_path: Path) -> None:
    store = PackageStore(tmp_path)
    store.create_domain("team", "111122223333", "arn:aws:kms:key", NOW)
    pypi = store.create_repository("team", "pypi-store", "public", [], NOW)
    store.set_connection(pypi, "public:pypi")
    approved = store.create_repository("team", "approved", None, [pypi], NOW)
    asset = publish(store, approved, "0.1", b"content")
    store.close()
    store = PackageStore(tmp_path)
    domain = store.domain("team")
    assert domain is not None
    assert (domain.owner, domain.encryption_key, domain.created) == ("111122223333", "arn:aws:kms:key", NOW)
    assert store.repositories("team") == [
        approved,
        Repository(
            id=pypi.id,
            domain="team",
            owner="111122223333",
            name="pypi-store",
            description="public",
            created=NOW,
            upstreams=(),
            connection="public:pypi",
        ),
    ]
    assert store.releases(approved, PROJECT)["0.1"].assets == {asset.filename: asset}
    assert asset.sha256 is not None
    assert store.blobs.path(asset.sha256).read_bytes() == b"content"
    store.close()


def test_a_name_is_taken_once(store: PackageStore, approved: Repository) -> None:
    with pytest.raises(Occupied, match="team"):
        store.create_domain("team", "111122223333", None, NOW)
    with pytest.raises(Occupied, match="approved"):
        store.create_repository("team", "approved", None, [], NOW)
    with pytest.raises(Occupied, match="still holds repositories"):
        store.delete_domain("team")


def test_a_file_name_keeps_its_content_and_a_refused_change_changes_nothing(
    store: PackageStore, approved: Repository
) -> None:
    publish(store, approved, "0.1", b"first")
    before = store.releases(approved, PROJECT)
    with pytest.raises(Occupied, match="other content"):
        publish(store, approved, "0.1", b"second")
    assert store.releases(approved, PROJECT) == before


def test_the_revision_changes_with_the_files_and_only_with_them(store: PackageStore, approved: Repository) -> None:
    publish(store, approved, "0.1", b"first")
    first = store.releases(approved, PROJECT)["0.1"].revision
    publish(store, approved, "0.1", b"first")
    store.set_status(approved, PROJECT, ["0.1"], Status.UNLISTED)
    assert store.releases(approved, PROJECT)["0.1"].revision == first
    wheel = Asset(filename="glueutils-0.1-py3-none-any.whl", sha256="0" * 64)
    store.add_release(approved, PROJECT, "0.1", PUBLISHED_HERE, [wheel], controls=FIRST_PUBLISHED, now=NOW)
    assert store.releases(approved, PROJECT)["0.1"].revision != first


def test_a_failure_in_the_outer_transaction_undoes_the_inner_ones(
    store: PackageStore, approved: Repository
) -> None:
    publish(store, approved, "0.1", b"first")
    blob = next(iter(store.blobs.names()))
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.delete_package(approved, PROJECT)
        raise ZeroDivisionError
    assert list(store.releases(approved, PROJECT)) == ["0.1"]
    assert store.blobs.path(blob).exists()


def test_bytes_go_with_their_last_release(store: PackageStore, approved: Repository) -> None:
    for version, content in (("0.1", b"shared"), ("0.2", b"shared"), ("0.3", b"own")):
        publish(store, approved, version, content)
    assert len(store.blobs.names()) == 2
    store.set_status(approved, PROJECT, ["0.3"], Status.DISPOSED)
    assert len(store.blobs.names()) == 1
    assert store.releases(approved, PROJECT)["0.3"].assets == {}
    store.set_status(approved, PROJECT, ["0.1"], Status.DELETED)
    assert len(store.blobs.names()) == 1
    store.delete_repository(approved)
    assert store.blobs.names() == set()


def test_content_replaced_in_one_transaction_by_itself_stays(store: PackageStore, approved: Repository) -> None:
    publish(store, approved, "0.1", b"content")
    with store.transaction():
        store.set_status(approved, PROJECT, ["0.1"], Status.DELETED)
        publish(store, approved, "0.1", b"content")
    (sha256,) = store.blobs.names()
    assert store.blob(sha256) is not None


def test_origin_controls_are_those_of_the_first_release(store: PackageStore, approved: Repository) -> None:
    asset = Asset(filename="six-1.0.tar.gz", sha256="0" * 64)
    six, public = ProjectName("six"), Origin(external=True, name="public:pypi")
    store.add_release(approved, six, "1.0", public, [asset], controls=FIRST_BROUGHT_IN, now=NOW)
    store.add_release(approved, six, "2.0", public, [], controls=FIRST_PUBLISHED, now=NOW)
    assert store.packages(approved) == {six: FIRST_BROUGHT_IN}
    closed = OriginControls(publish=False, upstream=False)
    store.set_controls(approved, six, closed)
    store.add_release(approved, six, "3.0", public, [], controls=FIRST_BROUGHT_IN, now=NOW)
    assert store.controls(approved, six) == closed


def test_an_upstream_that_is_deleted_is_lost_to_those_below(store: PackageStore, approved: Repository) -> None:
    below = store.create_repository("team", "below", None, [approved], NOW)
    assert below.upstreams == ("approved",)
    store.delete_repository(approved)
    found = store.repository("team", "below")
    assert found is not None
    assert found.upstreams == ()


def test_the_size_of_a_domain_counts_content_once(store: PackageStore, approved: Repository) -> None:
    publish(store, approved, "0.1", b"12345")
    publish(store, approved, "0.2", b"12345")
    publish(store, approved, "0.3", b"123")
    assert store.size_of("team") == 8


def test_what_a_killed_process_left_is_removed_on_opening(tmp_path: Path) -> None:
    store = PackageStore(tmp_path)
    unfinished, path = store.blobs.new_file()
    unfinished.close()
    _, nameless = store.blobs.copy_in(io.BytesIO(b"placed but never named"))
    store.blobs.keep(nameless, "ab" * 32)
    store.close()
    store = PackageStore(tmp_path)
    assert not path.exists()
    assert store.blobs.names() == set()
    store.close()


def test_a_folder_is_open_once(store: PackageStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="in use by another process"):
        PackageStore(tmp_path)
    store.create_domain("still-works", "111122223333", None, NOW)


def test_a_copy_that_fails_leaves_no_file(store: PackageStore, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        store.blobs.copy_in(Broken())
    assert not list((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("https://index.example.com/files/a.whl", True),
        ("http://index.example.com/files/a.whl", False),
        ("https://index.example.com:444/a.whl", False),
        ("https://other.example.com\\@index.example.com/a.whl", False),
        ("https://index.example.com@other.example.com/a.whl", False),
    ],
)
def test_the_credentials_of_the_public_index_go_to_its_own_address_only(link: str, told: bool) -> None:
    source = IndexSource(url="https://reader:hidden@index.example.com/simple/")
    assert credentials_for(source, link) == (("reader", "hidden") if told else None)
