from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from glue_pkgmgr.local.packages.metadata import read_metadata

TEXT = b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nRequires-Dist: other>=1\n\nThe readme.\n"


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_wheel_tells_its_metadata(tmp_path: Path) -> None:
    path = zipped(tmp_path / "blob", {"six.py": b"", "six-1.0.dist-info/METADATA": TEXT})
    metadata = read_metadata(path, "six-1.0-py3-none-any.whl")
    assert metadata.get("requires_dist") == ["other>=1"]
    assert metadata.get("description") == "The readme.\n"


def test_an_sdist_tells_that_of_its_top_folder(tmp_path: Path) -> None:
    files = {"six-1.0/vendored/PKG-INFO": b"Name: vendored\n", "six-1.0/PKG-INFO": TEXT}
    tar = tarred(tmp_path / "tar", files)
    assert read_metadata(tar, "six-1.0.tar.gz").get("name") == "six"
    archive = zipped(tmp_path / "zip", files)
    assert read_metadata(archive, "six-1.0.zip").get("name") == "six"


@pytest.mark.parametrize("filename", ["six-1.0-py3-none-any.whl", "six-1.0.tar.gz", "six-1.0.zip"])
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, filename: str) -> None:
    broken = tmp_path / "blob"
    broken.write_bytes(b"not an archive")
    assert read_metadata(broken, filename) == {}
    empty = zipped(tmp_path / "zip", {}) if not filename.endswith("gz") else tarred(tmp_path / "tar", {})
    assert read_metadata(empty, filename) == {}
