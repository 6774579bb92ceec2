"""Archive files as they are written and read, by us and by others' tar."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glue_pkgmgr.adapters.archive import TarArchives
from glue_pkgmgr.core.archive import SUMS, Archive, header, parse_archive
from glue_pkgmgr.errors import NotInstallable, SettingsError
from tests.integration.local.made_distributions import wheel
from tests.made_archives import ACME, Made, carried_lock, made_archive, made_pin

MADE = made_archive()
CONTENT = MADE.content
ARCHIVES = TarArchives()

WRITE = """
import os, sys, time
from pathlib import Path
os.umask(int(sys.argv[2], 8))
time.tzset()
from glue_pkgmgr.adapters.archive import TarArchives
from tests.integration.adapters.test_archive import MADE, unpacked
folder = Path(sys.argv[1])
print(TarArchives().write(folder / "made.tar", MADE.archive.files, unpacked(MADE, folder / "wheels")))
"""


def unpacked(made: Made, folder: Path) -> Path:
    """Store the wheels of an archive in `folder` by their names in it."""
    for one in made.archive.wheels:
        path = folder / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.wheels[one.filename])
    return folder


def written(folder: Path, made: Made = MADE) -> Path:
    target = folder / "made.tar"
    ARCHIVES.write(target, made.archive.files, unpacked(made, folder / "wheels"))
    return target


def read(path: Path) -> Archive:
    return parse_archive(ARCHIVES.read(path).files)


class TestWriting:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        assert path.read_bytes() == CONTENT
        contents = ARCHIVES.read(path)
        assert contents.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert parse_archive(contents.files) == MADE.archive

    def test_the_digest_is_that_of_the_file(self, tmp_path: Path) -> None:
        told = ARCHIVES.write(tmp_path / "a.tar", MADE.archive.files, unpacked(MADE, tmp_path / "wheels"))
        assert told == hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()

    @pytest.mark.parametrize(("umask", "zone"), [("077", "Asia/Tokyo"), ("000", "America/Lima"), ("022", "UTC")])
    def test_neither_umask_nor_time_zone_nor_folder_shows(self, umask: str, zone: str, tmp_path: Path) -> None:
        folder = tmp_path / f"{umask} {zone}".replace("/", "-")
        folder.mkdir()
        env = {**os.environ, "TZ": zone, "LC_ALL": "C", "PYTHONHASHSEED": umask.lstrip("0") or "1"}
        told = subprocess.run(
            [sys.executable, "-c", WRITE, folder, umask], env=env, check=True, capture_output=True, text=True
        ).stdout
        assert told.strip() == hashlib.sha256(CONTENT).hexdigest()

    def test_the_tools_of_others_unpack_and_check_it(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        (folder := tmp_path / "unpacked").mkdir()
        subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True, capture_output=True, text=True
        )
        assert checked.stdout.count(": OK\n") == len(MADE.archive.files) - 1
        assert not checked.stderr
        there = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
        assert there == {file.name for file in MADE.archive.files}
        with tarfile.open(path) as archive:
            assert archive.getnames() == [file.name for file in MADE.archive.files]

    def test_names_beyond_a_hundred_characters_are_kept_by_other_tools(self, tmp_path: Path) -> None:
        _, content = wheel("acme", "1.0")
        one = (f"acme-1.0-{'.'.join(['cp311'] * 20)}-none-any.whl", content)
        made = made_archive(one, locks=[carried_lock(made_pin(one))])
        path = written(tmp_path, made)
        assert read(path) == made.archive
        (folder := tmp_path / "unpacked").mkdir()
        subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
        assert (folder / "acme" / one[0]).read_bytes() == content

    def test_a_wheel_that_is_not_the_one_told_leaves_nothing(self, tmp_path: Path) -> None:
        wheels = unpacked(MADE, tmp_path / "wheels")
        (wheels / "acme" / ACME[0]).write_bytes(ACME[1][:-1] + b"x")
        (tmp_path / "made.tar").write_text("the one before")
        with pytest.raises(NotInstallable, match=f"{ACME[0]} was changed while"):
            ARCHIVES.write(tmp_path / "made.tar", MADE.archive.files, wheels)
        assert (tmp_path / "made.tar").read_text() == "the one before"
        assert not list(tmp_path.rglob("*.part"))

    def test_a_folder_that_may_not_be_written_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"cannot write .*made\.tar"):
            ARCHIVES.write(tmp_path / "absent" / "made.tar", MADE.archive.files, unpacked(MADE, tmp_path))

    def test_a_full_disk_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        wheels = unpacked(MADE, tmp_path / "wheels")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (len(CONTENT) // 2, hard)
        )  # what a full disk does, but here only
        try:
            with pytest.raises(SettingsError, match=r"cannot write .*made\.tar: File too large; .*free space"):
                ARCHIVES.write(tmp_path / "made.tar", MADE.archive.files, wheels)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(tmp_path.rglob("*.tar"))
        assert not list(tmp_path.rglob("*.part"))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("damaged") / "made.tar"


class TestDamage:
    @settings(derandomize=True, deadline=None, database=None, max_examples=150)
    @given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
    def test_any_changed_byte_is_found(self, damaged: Path, position: int, change: int) -> None:
        content = bytearray(CONTENT)
        content[position] ^= change
        damaged.write_bytes(content)
        with pytest.raises(NotInstallable):
            read(damaged)

    @settings(derandomize=True, deadline=None, database=None, max_examples=60)
    @given(st.integers(0, len(CONTENT) - 1))
    def test_any_cut_is_found(self, damaged: Path, length: int) -> None:
        damaged.write_bytes(CONTENT[:length])
        with pytest.raises(NotInstallable, match="ends within"):
            read(damaged)

    @settings(derandomize=True, deadline=None, database=None, max_examples=40)
    @given(st.binary(min_size=1, max_size=2048))
    def test_whatever_follows_is_found(self, damaged: Path, more: bytes) -> None:
        damaged.write_bytes(CONTENT + more)
        with pytest.raises(NotInstallable, match="something follows its end"):
            read(damaged)

    @settings(derandomize=True, deadline=None, database=None, max_examples=60)
    @given(st.integers(0, len(CONTENT)), st.binary(min_size=1, max_size=600), st.integers(0, 600))
    def test_any_piece_put_in_or_left_out_is_found(
        self, damaged: Path, position: int, more: bytes, without: int
    ) -> None:
        content = CONTENT[:position] + more + CONTENT[position + without :]
        if content != CONTENT:
            damaged.write_bytes(content)
            with pytest.raises(NotInstallable):
                read(damaged)

    def test_the_changed_file_is_named(self, damaged: Path) -> None:
        damaged.write_bytes(CONTENT.replace(b"VERSION = '1.0'", b"VERSION = '6.6'", 1))
        with pytest.raises(NotInstallable, match=r"^acme/acme-1\.0-py3-none-any\.whl was changed"):
            read(damaged)

    def test_the_file_it_ends_within_is_named(self, damaged: Path) -> None:
        damaged.write_bytes(CONTENT[: CONTENT.index(ACME[1]) + 10])
        with pytest.raises(NotInstallable, match=r"ends within acme/acme-1\.0-py3-none-any\.whl"):
            read(damaged)


def others_tar(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "other.tar"
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member)
    return path


class TestReadingOthers:
    def test_what_tar_writes_of_the_unpacked_files_is_refused(self, tmp_path: Path) -> None:
        """With its owner and times: such a file is not the one that was exported."""
        path = written(tmp_path)
        (folder := tmp_path / "unpacked").mkdir()
        subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
        names = [file.name for file in MADE.archive.files]
        subprocess.run(["tar", "-cf", tmp_path / "other.tar", "-C", folder, *names], check=True)
        with pytest.raises(NotInstallable, match="the header of 'SHA256SUMS'"):
            ARCHIVES.read(tmp_path / "other.tar")

    @pytest.mark.parametrize("name", ["../evil", "/etc/evil", "acme/../../evil"])
    def test_a_name_that_leads_out_is_refused(self, name: str, tmp_path: Path) -> None:
        first, evil = tarfile.TarInfo(SUMS), tarfile.TarInfo(name)
        path = others_tar(tmp_path, first, evil)
        with pytest.raises(NotInstallable):
            ARCHIVES.read(path)
        assert [one.name for one in tmp_path.iterdir()] == ["other.tar"]

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
    def test_a_link_folder_or_device_is_refused(self, kind: bytes, tmp_path: Path) -> None:
        member = tarfile.TarInfo(SUMS)
        member.type, member.linkname = kind, "/etc/passwd"
        with pytest.raises(NotInstallable, match="the header of"):
            ARCHIVES.read(others_tar(tmp_path, member))

    @pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(600), b"\x1f\x8b" + bytes(600), b"text" * 300])
    def test_what_is_no_archive_is_refused(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(NotInstallable):
            ARCHIVES.read(tmp_path / "x")

    def test_an_archive_that_does_not_begin_with_its_digests_is_refused(self, tmp_path: Path) -> None:
        made = made_archive()
        target = tmp_path / "made.tar"
        ARCHIVES.write(target, made.archive.files[1:], unpacked(made, tmp_path / "wheels"))
        with pytest.raises(NotInstallable, match="an archive of glue-pkgmgr with SHA256SUMS"):
            ARCHIVES.read(target)

    def test_a_text_as_large_as_no_real_one_is_not_read(self, tmp_path: Path) -> None:
        target = tmp_path / "made.tar"
        target.write_bytes(header(SUMS, 2**33 - 1))
        with pytest.raises(NotInstallable, match=r"no such file of an archive has more"):
            ARCHIVES.read(target)

    def test_what_is_no_file_is_told(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(SettingsError, match="is no file"):
                ARCHIVES.read(path)
        for path in (tmp_path / "absent", tmp_path / ("a" * 300), tmp_path / "pipe" / "made.tar"):
            with pytest.raises(SettingsError, match="cannot read"):
                ARCHIVES.read(path)


class TestExtracting:
    def test_a_wheel_comes_out_as_it_went_in(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        for one in MADE.archive.wheels:
            target = tmp_path / one.filename
            ARCHIVES.extract(path, one.name, one.sha256, target)
            assert target.read_bytes() == MADE.wheels[one.filename]

    def test_what_was_changed_after_the_check_is_not_used(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        path.write_bytes(CONTENT.replace(b"VERSION = '1.0'", b"VERSION = '6.6'", 1))
        one = MADE.archive.wheels[0]
        with pytest.raises(NotInstallable, match="changed after"):
            ARCHIVES.extract(path, one.name, one.sha256, tmp_path / one.filename)
        assert not (tmp_path / one.filename).exists()

    def test_what_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(NotInstallable, match=r"other\.whl was changed after"):
            ARCHIVES.extract(written(tmp_path), "a/other.whl", "0" * 64, tmp_path / "other.whl")


def test_a_large_wheel_never_lies_in_memory(tmp_path: Path) -> None:
    script = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from glue_pkgmgr.adapters.archive import TarArchives
from glue_pkgmgr.core.archive import ArchivedFile, parse_archive
from tests.integration.adapters.test_archive import MADE
import hashlib
folder = Path(sys.argv[1])
wheel = folder / "acme" / "acme-1.0-py3-none-any.whl"
wheel.parent.mkdir()
with wheel.open("wb") as file:
    file.truncate(2**28)
with wheel.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
sums, *rest = MADE.archive.files
files = [sums, ArchivedFile(name="acme/acme-1.0-py3-none-any.whl", sha256=digest, size=2**28)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
TarArchives().write(folder / "a.tar", files, folder)
TarArchives().read(folder / "a.tar")
TarArchives().extract(folder / "a.tar", files[1].name, digest, wheel)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert int(grown) < 32 * 1024  # KiB
