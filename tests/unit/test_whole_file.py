"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glue_pkgmgr.whole_file import write_whole


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lock.toml"
    for content in (b"one", b"", b"two\r\n"):
        write_whole(path, content)
        assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (content, ["lock.toml"])


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    (path := tmp_path / "lock.toml").write_bytes(b"one")
    with pytest.raises(TypeError):
        write_whole(path, "no bytes")  # type: ignore[arg-type]
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (b"one", ["lock.toml"])


def test_a_link_stays_and_the_file_keeps_its_mode(tmp_path: Path) -> None:
    (real := tmp_path / "real.toml").write_bytes(b"one")
    real.chmod(0o640)
    (link := tmp_path / "link.toml").symlink_to(real)
    write_whole(link, b"two")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"two", 0o640)


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "absent" / "new", b"")
