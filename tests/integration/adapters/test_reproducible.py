from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glue_pkgmgr.adapters.reproducible import StoredGzip, normalise_sdist, normalise_wheel
from glue_pkgmgr.errors import SettingsError


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=50), max_size=5), st.sampled_from([0, 1, 65534, 65535, 65536, 131070, 200_000]))
def test_what_is_stored_is_read_by_any_gzip(tmp_path: Path, parts: list[bytes], more: int) -> None:
    data = [*parts, b"x" * more]
    with StoredGzip(tmp_path / "a.gz") as file:
        for part in data:
            assert file.write(part) == len(part)
    whole = b"".join(data)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == whole


def test_how_it_was_written_does_not_show(tmp_path: Path) -> None:
    data = bytes(range(256)) * 700
    with StoredGzip(tmp_path / "a.gz") as file:
        file.write(data)
    with StoredGzip(tmp_path / "b.gz") as file:
        for n in range(0, len(data), 1000):
            file.write(data[n : n + 1000])
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def sdist(path: Path, level: int, mtime: float) -> bytes:
    with (
        gzip.GzipFile(path, "wb", compresslevel=level, mtime=mtime) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name in ("acme-1.0/b.py", "acme-1.0/a.py") if level == 9 else ("acme-1.0/a.py", "acme-1.0/b.py"):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = 1000, mtime, f"user{level}"
            archive.addfile(member, io.BytesIO(b"x" * 1000))
    normalise_sdist(path)
    return path.read_bytes()


def test_how_an_sdist_was_compressed_does_not_show(tmp_path: Path) -> None:
    assert sdist(tmp_path / "acme-1.0.tar.gz", 9, 10**9) == sdist(tmp_path / "acme-1.0.tar.gz", 1, 2 * 10**9)


def wheel(path: Path, compression: int, *, link: bool = False) -> bytes:
    with zipfile.ZipFile(path, "w", compression) as archive:
        names = ["acme.py", "acme-1.0.dist-info/METADATA", "acme-1.0.dist-info/RECORD"]
        for name in names if compression == zipfile.ZIP_STORED else reversed(names):
            info = zipfile.ZipInfo(name, (2020 + compression, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFLNK if link and name == "acme.py" else stat.S_IFREG | 0o640) << 16
            archive.writestr(info, "text" * 100, compress_type=compression)
    normalise_wheel(path)
    return path.read_bytes()


def test_how_a_wheel_was_compressed_does_not_show(tmp_path: Path) -> None:
    path = tmp_path / "acme-1.0-py3-none-any.whl"
    assert wheel(path, zipfile.ZIP_DEFLATED) == wheel(path, zipfile.ZIP_STORED) == wheel(path, zipfile.ZIP_LZMA)


def test_an_archive_that_cannot_be_read_is_the_backends_fault(tmp_path: Path) -> None:
    for name in ("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"\x1f\x8b nonsense")
    with pytest.raises(SettingsError, match=r"unusable sdist acme-1\.0"):
        normalise_sdist(tmp_path / "acme-1.0.tar.gz")
    with pytest.raises(SettingsError, match="unusable wheel"):
        normalise_wheel(tmp_path / "acme-1.0-py3-none-any.whl")
    with pytest.raises(SettingsError, match="a link"):
        wheel(tmp_path / "acme-1.0-py3-none-any.whl", zipfile.ZIP_STORED, link=True)
