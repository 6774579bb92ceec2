from __future__ import annotations

import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.wheel_archive import write_pure_wheel
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.errors import NotInstallable

SDIST = parse_filename("acme-1.0.tar.gz")
WHEEL = "acme-1.0-py3-none-any.whl"
INFO = "acme-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: Acme\nVersion: 1.0.0\n"
FILES = {
    f"{INFO}/RECORD": "what the backend wrote",
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\n",
    "acme/__init__.py": "",
    "acme/ä, b.txt": "x",
    "zebra.py": "y",
}


def raw(
    folder: Path,
    names: Sequence[str] = tuple(FILES),
    *,
    year: int = 2024,
    mode: int = 0o644,
    method: int = zipfile.ZIP_DEFLATED,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name, (year, 1, 2, 3, 4, 6))
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, FILES.get(name, ""))
    return folder / WHEEL


def test_files_are_sorted_with_the_metadata_and_then_record_at_the_end(tmp_path: Path) -> None:
    write_pure_wheel(raw(tmp_path / "raw", [*FILES, "acme/"]), tmp_path / WHEEL, SDIST)
    with zipfile.ZipFile(tmp_path / WHEEL) as archive:
        assert archive.namelist() == [
            "acme/__init__.py",
            "acme/ä, b.txt",
            "zebra.py",
            f"{INFO}/METADATA",
            f"{INFO}/WHEEL",
            f"{INFO}/RECORD",
        ]
        assert archive.read(f"{INFO}/RECORD").decode().splitlines() == [
            "acme/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0",
            '"acme/ä, b.txt",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1',
            "zebra.py,sha256=ofzkNjhU_4iM_0uOeHXWAMJoI5BBKoz3mzfQsRFIsPo,1",
            f"{INFO}/METADATA,sha256=rFWorn5ajZrrZ8f8B0S5Uv0v7v9imfe6r5lva4Vb4cU,48",
            f"{INFO}/WHEEL,sha256=hPnzolO11CFKQQfo-cfRSowPfsQIecdrr39HeOvVHcE,19",
            f"{INFO}/RECORD,,",
        ]
        assert archive.testzip() is None


@settings(max_examples=40, deadline=None)
@given(
    names=st.permutations(sorted(FILES)),
    year=st.integers(1980, 2100),
    mode=st.sampled_from([0o600, 0o644, 0o664, 0o666]),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
)
def test_equal_files_give_equal_bytes(
    names: list[str], year: int, mode: int, method: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("wheels")
    write_pure_wheel(raw(folder / "one"), folder / WHEEL, SDIST)
    first = describe(folder / WHEEL).sha256
    write_pure_wheel(raw(folder / "two", names, year=year, mode=mode, method=method), folder / WHEEL, SDIST)
    assert describe(folder / WHEEL).sha256 == first


def test_only_the_execute_bit_of_permissions_stays(tmp_path: Path) -> None:
    write_pure_wheel(raw(tmp_path / "raw", mode=0o4770), tmp_path / WHEEL, SDIST)
    with zipfile.ZipFile(tmp_path / WHEEL) as archive:
        modes = {info.filename: stat.S_IMODE(info.external_attr >> 16) for info in archive.infolist()}
    assert modes["zebra.py"] == 0o755
    assert modes[f"{INFO}/RECORD"] == 0o644


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([*FILES, "zebra.py"], "holds a file twice"),
        ([*FILES, "../zebra.py"], "leads outside"),
        ([*FILES, "/zebra.py"], "leads outside"),
        (["acme/__init__.py"], "has 0 .dist-info folders"),
        ([f"{INFO}/WHEEL"], "has 0 .dist-info folders"),
        ([*FILES, "other-1.0.dist-info/METADATA"], "has 2 .dist-info folders"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_that_installers_would_not_agree_about_is_refused(
    names: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(NotInstallable, match=WHEEL) as caught:
        write_pure_wheel(raw(tmp_path / "raw", names), tmp_path / WHEEL, SDIST)
    assert told in str(caught.value)


def test_a_wheel_of_more_bytes_than_allowed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotInstallable, match="has more than 10 bytes"):
        write_pure_wheel(raw(tmp_path / "raw"), tmp_path / WHEEL, SDIST, most_bytes=10)


@pytest.mark.parametrize("content", [b"", b"no zip", None], ids=["empty", "text", "cut"])
def test_a_damaged_wheel_is_refused(content: bytes | None, tmp_path: Path) -> None:
    built = raw(tmp_path / "raw")
    whole = built.read_bytes()
    built.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(NotInstallable, match=r"the build of acme-1\.0\.tar\.gz gave no readable wheel"):
        write_pure_wheel(built, tmp_path / WHEEL, SDIST)


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotInstallable, match=r"the build of acme-1\.0\.tar\.gz gave no wheel"):
        write_pure_wheel(tmp_path / "acme.whl", tmp_path / WHEEL, SDIST)
    with pytest.raises(NotInstallable, match="not pure Python"):
        write_pure_wheel(tmp_path / "acme-1.0.tar.gz", tmp_path / WHEEL, SDIST)
