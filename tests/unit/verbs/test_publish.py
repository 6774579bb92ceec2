from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.verbs.publish import PublishRecord, plan, publish
from tests.fakes import ENDPOINT, FakeRepository, FakeTime

ADDRESS = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved")
ACME = project_name("acme")
SDIST, WHEEL = "acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"


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


def run(files: list[BuiltFile], repository: FakeRepository, time: FakeTime | None = None) -> PublishRecord:
    time = time or FakeTime()
    return publish(
        files,
        address=ADDRESS,
        internal=frozenset({ACME}),
        repositories=repository,
        mint=repository.mint,
        open_index=lambda url: repository,
        open_uploader=lambda url: repository,
        clock=time.clock,
        progress=lambda text: None,
        sleep=time.sleep,
    )


def test_a_first_publish_closes_the_project_to_upstreams_before_it_uploads(files: list[BuiltFile]) -> None:
    repository = FakeRepository()
    record = run(files, repository)
    assert repository.events == [
        "origin acme publish=True upstream=False",
        "mint",
        f"upload {SDIST}",
        f"upload {WHEEL}",
        "page",
    ]
    assert record.uploaded == tuple(files)
    assert record.already == ()
    assert record.index == f"{ENDPOINT}simple/"


def test_a_second_publish_of_the_same_bytes_does_nothing_and_mints_nothing(files: list[BuiltFile]) -> None:
    repository = FakeRepository()
    run(files, repository)
    repository.events.clear()
    record = run(files, repository)
    assert repository.events == []
    assert record.uploaded == ()
    assert record.already == tuple(files)
    assert record.index == f"{ENDPOINT}simple/"


def test_only_the_file_that_is_not_there_is_uploaded(files: list[BuiltFile]) -> None:
    repository = FakeRepository()
    repository.put(SDIST, b"sdist")
    record = run(files, repository)
    assert [event for event in repository.events if event.startswith("upload")] == [f"upload {WHEEL}"]
    assert record.already == (files[0],)
    assert record.files == (files[1], files[0])


def test_other_bytes_under_one_name_stop_everything_and_both_digests_are_told(files: list[BuiltFile]) -> None:
    repository = FakeRepository()
    repository.put(WHEEL, b"another build")
    with pytest.raises(NotInstallable) as caught:
        run(files, repository)
    assert files[1].sha256 in str(caught.value)
    assert hashlib.sha256(b"another build").hexdigest() in str(caught.value)
    assert "raise the version" in str(caught.value)
    assert repository.events == []


def test_an_interrupted_upload_is_finished_by_running_again(files: list[BuiltFile]) -> None:
    repository = FakeRepository(fail_after=1)
    with pytest.raises(IndexAccessError):
        run(files, repository)
    repository.fail_after = None
    record = run(files, repository)
    assert [file.filename for file in record.uploaded] == [WHEEL]
    assert [file.filename for file in record.already] == [SDIST]


def test_a_project_that_is_not_internal_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    repository = FakeRepository()
    with pytest.raises(SettingsError, match="requests is not listed as internal"):
        run([built(tmp_path, "requests-9.0.tar.gz")], repository)
    assert repository.events == []


def test_an_index_that_shows_the_files_late_is_waited_for(files: list[BuiltFile]) -> None:
    time = FakeTime()
    start = time.now
    repository = FakeRepository(lag=6)
    record = run(files, repository, time)
    assert repository.events.count("page") == 7
    assert 0 < (record.time - start).total_seconds() < 10


def test_an_index_that_never_shows_the_files_is_given_up(files: list[BuiltFile]) -> None:
    time = FakeTime()
    start = time.now
    with pytest.raises(IndexAccessError, match=WHEEL):
        run(files, FakeRepository(lag=10**6), time)
    assert 60 <= (time.now - start).total_seconds() < 65


def test_an_index_that_serves_other_bytes_than_uploaded_is_an_error_at_once(files: list[BuiltFile]) -> None:
    time = FakeTime()
    start = time.now
    with pytest.raises(NotInstallable, match=f"serves {WHEEL} with SHA-256 {'f' * 64}"):
        run(files, FakeRepository(lie={WHEEL: "f" * 64}), time)
    assert time.now == start


def test_files_of_two_releases_are_not_one_publish(tmp_path: Path) -> None:
    two = [built(tmp_path, SDIST), built(tmp_path, "acme-1.1.tar.gz")]
    with pytest.raises(SettingsError, match=r"acme==1\.0, acme==1\.1"):
        run(two, FakeRepository())


def test_no_files_at_all_are_refused() -> None:
    with pytest.raises(SettingsError, match="they are of: none"):
        run([], FakeRepository())


def test_what_is_published_beside_the_built_files_is_left_alone(files: list[BuiltFile]) -> None:
    repository = FakeRepository()
    repository.put("acme-1.0-cp311-cp311-linux_x86_64.whl", b"of another machine")
    todo = plan(files, repository.assets(ADDRESS, ACME, Version("1.0")))
    assert todo.new == tuple(files)
    assert todo.held == ()
