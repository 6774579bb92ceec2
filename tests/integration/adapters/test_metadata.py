from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import NotInstallable
from tests.fakes import FakeIndex
from tests.integration.local.made_distributions import wheel

NAME, CONTENT = wheel("acme", "1.0", requires=["dep>=1"])


def read(folder: Path, content: bytes, index: FakeIndex | None = None) -> bytes:
    index = index or FakeIndex({NAME: content})
    return WheelMetadata(folder).read(index, index.listed(NAME))


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_the_metadata_of_a_wheel_is_read(tmp_path: Path) -> None:
    assert b"Requires-Dist: dep>=1" in read(tmp_path, CONTENT)


def test_what_was_read_once_needs_no_second_download(tmp_path: Path) -> None:
    first = read(tmp_path, CONTENT)
    index = FakeIndex({NAME: CONTENT})
    listed = index.listed(NAME)
    index.files.clear()
    assert WheelMetadata(tmp_path).read(index, listed) == first
    assert [path.name for path in tmp_path.iterdir()] == [f"{hashlib.sha256(CONTENT).hexdigest()}.metadata"]


def test_a_cache_that_cannot_be_written_is_only_slow(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert read(tmp_path / "file" / "cache", CONTENT) == read(tmp_path / "file" / "cache", CONTENT)


def test_bytes_other_than_promised_are_not_read_and_not_kept(tmp_path: Path) -> None:
    index = FakeIndex({NAME: CONTENT})
    lied = IndexFile(filename=NAME, url=index.listed(NAME).url, hashes={"sha256": "0" * 64})
    with pytest.raises(NotInstallable, match="not what was promised"):
        WheelMetadata(tmp_path).read(index, lied)
    assert list(tmp_path.iterdir()) == []


DEFLATED = archive({"acme-1.0.dist-info/METADATA": b"Name: acme\n" * 100})
START = DEFLATED.index(b"METADATA") + len(b"METADATA")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        CONTENT[: len(CONTENT) // 2],
        DEFLATED[:START] + b"\xff" * 8 + DEFLATED[START + 8 :],
        DEFLATED.replace(
            b"PK\x01\x02" + DEFLATED[DEFLATED.index(b"PK\x01\x02") + 4 :][:4], b"PK\x01\x02" + b"\xff\xff\xff\x7f"
        ),
        archive({"acme/METADATA": b"x", "nested/acme-1.0.dist-info/METADATA": b"x"}),
    ],
    ids=["empty", "text", "cut", "damaged", "from the future", "without metadata"],
)
def test_a_wheel_without_readable_metadata_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotInstallable, match=r"acme-1\.0-py3-none-any\.whl"):
        read(tmp_path, content)


def test_metadata_as_large_as_no_real_one_is_not_read(tmp_path: Path) -> None:
    bomb = archive({"acme-1.0.dist-info/METADATA": b"\0" * (16 * 1024 * 1024 + 1)})
    assert len(bomb) < 100_000
    with pytest.raises(NotInstallable, match=r"the METADATA of acme-1\.0.* more than any real one"):
        read(tmp_path, bomb)


ACME, EVIL = (f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode() for name in ("acme", "evil"))


@pytest.mark.parametrize(
    "files",
    [
        [("acme-1.0.dist-info/METADATA", ACME), ("acme-1.0.dist-info/METADATA", ACME + b"Requires-Dist: evil\n")],
        [("acme-1.0.dist-info/METADATA", ACME), ("evil-1.0.dist-info/METADATA", EVIL)],
        [("acme-1.0.dist-info/METADATA", ACME), ("evil-1.0.dist-info/RECORD", b"")],
        [("big-1.0.dist-info/METADATA", b"\0" * (16 * 1024 * 1024 + 1)), ("acme-1.0.dist-info/METADATA", ACME)],
    ],
    ids=["one name twice", "two folders", "a folder without", "one too large"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_two_sets_of_metadata_is_refused(tmp_path: Path, files: list[tuple[str, bytes]]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files:
            made.writestr(name, content)
    with pytest.raises(NotInstallable, match=r"acme-1\.0.* holds more than one \.dist-info"):
        read(tmp_path, buffer.getvalue())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "told",
    [
        EVIL,
        ACME.replace(b"1.0", b"2.0"),
        ACME.replace(b"Version: 1.0\n", b""),
        b"Name: evil\n" + ACME,
        ACME + b"Version: 2.0\n",
        b"\n" + ACME,
        ACME.replace(b"1.0", b"one"),
        ACME.replace(b"acme", "\uff41cme".encode()),
    ],
)
def test_metadata_of_another_release_is_refused(tmp_path: Path, told: bytes) -> None:
    with pytest.raises(NotInstallable, match=r"the METADATA of acme-1\.0.* is of another release"):
        read(tmp_path, archive({"acme-1.0.dist-info/METADATA": told}))
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_were_read_once_are_not_believed_under_another_name(tmp_path: Path) -> None:
    read(tmp_path, CONTENT)
    index = FakeIndex({"acme-2.0-py3-none-any.whl": CONTENT})
    with pytest.raises(NotInstallable, match=r"the METADATA of acme-2\.0.* is of another release: 'acme 1\.0'"):
        WheelMetadata(tmp_path).read(index, index.listed("acme-2.0-py3-none-any.whl"))
