from __future__ import annotations

import os
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.release_documents import DocumentFolder
from glue_pkgmgr.errors import SettingsError


def test_a_document_is_written_whole_and_read_again(tmp_path: Path) -> None:
    folder = DocumentFolder(tmp_path / "a" / "b")
    assert folder.read("x.json") is None
    for text in ("{}\n", '"größer"\n'):
        assert folder.write("x.json", text) == tmp_path / "a" / "b" / "x.json"
        assert folder.read("x.json") == text
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write .*x\.json: .*; make the folder writable"):
        DocumentFolder(tmp_path / "file").write("x.json", "{}")


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff")
    (tmp_path / "folder").mkdir()
    for name in ("x.json", "folder"):
        with pytest.raises(SettingsError, match=rf"cannot read .*{name}.*; check the file"):
            DocumentFolder(tmp_path).read(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="make the folder writable"):
        DocumentFolder(tmp_path).write("x.json", "{}")
