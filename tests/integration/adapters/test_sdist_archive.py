from __future__ import annotations

import errno
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glue_pkgmgr.adapters.sdist_archive import unpack
from glue_pkgmgr.errors import NotInstallable

NAME = "acme-1.0.tar.gz"


def file(name: str, content: bytes = b"x", mode: int = 0o600) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    return member, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def tar(folder: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]], name: str = NAME) -> Path:
    path = folder / name
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_one_folder_of_a_tar_is_given_with_readable_files(tmp_path: Path) -> None:
    made = tar(
        tmp_path,
        [
            special("./acme-1.0", tarfile.DIRTYPE),
            file("./acme-1.0/setup.py", b"one"),
            file("acme-1.0/deep/tool.sh", b"two", 0o700),
        ],
    )
    source = unpack(made, tmp_path / "out")
    assert source == tmp_path / "out" / "acme-1.0"
    assert contents(source) == {"setup.py": b"one", "deep/tool.sh": b"two"}
    assert stat.S_IMODE((source / "setup.py").stat().st_mode) == 0o644
    assert stat.S_IMODE((source / "deep" / "tool.sh").stat().st_mode) == 0o755


def test_a_zip_is_unpacked_as_well(tmp_path: Path) -> None:
    path = tmp_path / "acme-1.0.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("acme-1.0")
        archive.writestr("acme-1.0/setup.py", "one")
        tool = zipfile.ZipInfo("acme-1.0/tool.sh")
        tool.external_attr = 0o755 << 16
        archive.writestr(tool, "two")
    source = unpack(path, tmp_path / "out")
    assert contents(source) == {"setup.py": b"one", "tool.sh": b"two"}
    assert stat.S_IMODE((source / "tool.sh").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "link",
    [
        special("acme-1.0/docs/copy", tarfile.SYMTYPE, "../README"),
        special("acme-1.0/docs/copy", tarfile.LNKTYPE, "acme-1.0/README"),
    ],
    ids=["symbolic", "hard"],
)
@pytest.mark.parametrize("first", [True, False], ids=["link first", "file first"])
def test_a_link_to_a_file_of_the_archive_becomes_a_copy(
    link: tuple[tarfile.TarInfo, bytes], first: bool, tmp_path: Path
) -> None:
    members = [link, file("acme-1.0/README", b"read me")]
    source = unpack(tar(tmp_path, members if first else members[::-1]), tmp_path / "out")
    assert contents(source) == {"README": b"read me", "docs/copy": b"read me"}
    assert not (source / "docs" / "copy").is_symlink()


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (file("/etc/acme"), "leads outside"),
        (file("../acme"), "leads outside"),
        (file("acme-1.0/../../acme"), "leads outside"),
        (special("..", tarfile.DIRTYPE), "leads outside"),
        (special("acme-1.0/a", tarfile.SYMTYPE, "/etc/passwd"), "leads outside"),
        (special("acme-1.0/a", tarfile.SYMTYPE, "../../outside"), "leads outside"),
        (special("acme-1.0/a", tarfile.LNKTYPE, "../outside"), "leads outside"),
        (special("acme-1.0/a", tarfile.LNKTYPE, "/etc/passwd"), "leads outside"),
        (special("acme-1.0/a", tarfile.SYMTYPE, "."), "acme-1.0/a is a link to acme-1.0, no file"),
        (special("acme-1.0/a", tarfile.SYMTYPE, "nothing"), "is a link to acme-1.0/nothing, no file"),
        (special("acme-1.0/a", tarfile.SYMTYPE, "a"), "is a link to acme-1.0/a, no file"),
        (special("acme-1.0/a", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (special("acme-1.0/a", tarfile.CHRTYPE), "neither a file nor a folder"),
        (special("acme-1.0/a", tarfile.BLKTYPE), "neither a file nor a folder"),
        (file("other/setup.py"), "2 files and folders at its top"),
        (file("pyproject.toml"), "2 files and folders at its top"),
        (file("acme-1.0/setup.py/inner"), "cannot be unpacked: "),
        (file("acme-1.0"), "cannot be unpacked: "),
        (file("acme-1.0/" + "n" * 300), "cannot be unpacked: File name too long"),
    ],
)
def test_a_member_that_could_do_harm_is_refused(
    member: tuple[tarfile.TarInfo, bytes], told: str, tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(NotInstallable, match=r"acme-1\.0\.tar\.gz") as caught:
        unpack(tar(inside, [file("acme-1.0/setup.py"), member]), inside / "out")
    assert told in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


def test_a_chain_of_links_leads_nowhere(tmp_path: Path) -> None:
    members = [
        special("acme-1.0/a", tarfile.SYMTYPE, "."),
        special("acme-1.0/b", tarfile.SYMTYPE, "a/.."),
        file("acme-1.0/b/outside"),
    ]
    with pytest.raises(NotInstallable, match=r"is a link to acme-1\.0, no file"):
        unpack(tar(tmp_path, members), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "out"]


@pytest.mark.parametrize(("name", "mode"), [("../acme", 0o644), ("/acme", 0o644), ("acme-1.0/a", stat.S_IFLNK)])
def test_a_zip_is_refused_for_the_same_reasons(name: str, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "acme-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "target")
    with pytest.raises(NotInstallable, match=r"acme-1\.0\.zip is not unpacked"):
        unpack(path, tmp_path / "out")


def zip_of_zeros(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("acme-1.0/zeros", bytes(size))


def tar_of_zeros(path: Path, size: int) -> None:
    tar(path.parent, [file("acme-1.0/zeros", bytes(size))], path.name)


def tar_of_headers(path: Path, size: int) -> None:
    member, content = file("acme-1.0/setup.py")
    member.pax_headers = {"comment": "0" * size}
    tar(path.parent, [(member, content)], path.name)


def tar_of_holes(path: Path, size: int) -> None:
    """Write a sparse file: all of `size` is a hole, the archive holds nothing of it."""
    header = tarfile.TarInfo("acme-1.0/holes").tobuf(tarfile.GNU_FORMAT)
    fields = bytearray(header)
    fields[156:157] = tarfile.GNUTYPE_SPARSE
    fields[386:398] = f"{size:011o}".encode() + b"\0"
    fields[398:410] = b"00000000000\0"
    fields[483:495] = f"{size:011o}".encode() + b"\0"
    fields[148:156] = b" " * 8
    fields[148:156] = f"{sum(fields):06o}\0 ".encode()
    path.write_bytes(gzip.compress(bytes(fields) + bytes(1024)))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (tar_of_zeros, NAME),
        (tar_of_headers, NAME),
        (tar_of_holes, NAME),
        (zip_of_zeros, "acme-1.0.zip"),
    ],
)
def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(
    make: Callable[[Path, int], None], name: str, tmp_path: Path
) -> None:
    make(tmp_path / name, 10_000_000)
    with pytest.raises(NotInstallable, match="it unpacks to more than 1000000 bytes"):
        unpack(tmp_path / name, tmp_path / "out", most_bytes=1_000_000)
    assert sum(len(content) for content in contents(tmp_path / "out").values()) <= 1_000_000


def test_links_count_for_what_they_copy(tmp_path: Path) -> None:
    links = [special(f"acme-1.0/{n}", tarfile.SYMTYPE, "file") for n in range(20)]
    made = tar(tmp_path, [file("acme-1.0/file", bytes(100_000)), *links])
    with pytest.raises(NotInstallable, match="it unpacks to more than 1000000 bytes"):
        unpack(made, tmp_path / "out", most_bytes=1_000_000)


def test_more_members_than_allowed_are_refused(tmp_path: Path) -> None:
    made = tar(tmp_path, [special(f"acme-1.0/{n}", tarfile.DIRTYPE) for n in range(11)])
    with pytest.raises(NotInstallable, match="more than 10 members"):
        unpack(made, tmp_path / "out", most_members=10)


@pytest.mark.parametrize("name", [NAME, "acme-1.0.zip"])
@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar", mtime=0)])
def test_what_is_no_archive_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotInstallable, match=name):
        unpack(tmp_path / name, tmp_path / "out")


def test_a_full_disk_is_not_the_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(tar(tmp_path, [file("acme-1.0/setup.py")]), tmp_path / "out")


_GOOD = io.BytesIO()
with tarfile.open(fileobj=_GOOD, mode="w") as _archive:
    for _member, _content in (file("acme-1.0/setup.py", b"x" * 700), special("acme-1.0/a", b"2", "setup.py")):
        _archive.addfile(_member, io.BytesIO(_content))


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 3000), byte=st.integers(0, 255), cut=st.integers(0, 3000))
def test_any_damage_ends_in_a_refusal_or_within_the_folder(
    place: int, byte: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    damaged = bytearray(_GOOD.getvalue())
    damaged[place] = byte
    (folder / NAME).write_bytes(gzip.compress(bytes(damaged[: len(damaged) - cut])))
    with suppress(NotInstallable):
        assert unpack(folder / NAME, folder / "out").parent == folder / "out"
    assert {path.name for path in folder.iterdir()} <= {NAME, "out"}
