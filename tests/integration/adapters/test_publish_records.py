"""Records of publications, and folders of built files, on a real disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.dist_folder import distributions_in
from glue_pkgmgr.adapters.publish_records import PublishRecordFolder
from glue_pkgmgr.errors import SettingsError
from tests.integration.adapters.distributions import sdist, wheel
from tests.unit.core.test_publish_record import RECORD


def test_a_record_is_found_and_replaced(tmp_path: Path) -> None:
    records = PublishRecordFolder(tmp_path / "a" / "b")
    assert records.find(RECORD.project, RECORD.version) is None
    records.add(replace(RECORD, proof=None))
    records.add(RECORD)
    assert records.find(RECORD.project, RECORD.version) == RECORD
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["acme-1.0.json"]


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    records = PublishRecordFolder(tmp_path)
    for content in (b"{", b"\xff\xfe"):
        (tmp_path / "acme-1.0.json").write_bytes(content)
        with pytest.raises(SettingsError, match=r"acme-1\.0\.json"):
            records.find(RECORD.project, RECORD.version)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="nothing is published without one"):
        PublishRecordFolder(tmp_path / "file" / "records").add(RECORD)


def test_the_wheels_and_sdists_of_a_folder_are_found_and_nothing_else(tmp_path: Path) -> None:
    paths = [wheel(tmp_path, "acme-demo", "1.0"), sdist(tmp_path, "acme-demo", "1.0")]
    for name in (".gitignore", "SHA256SUMS", "acme_demo-1.0-py3-none-any.whl.asc"):
        (tmp_path / name).touch()
    (tmp_path / "folder.whl").mkdir()
    assert [file.path for file in distributions_in(tmp_path)] == sorted(paths)


def test_a_folder_without_any_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no wheel"):
        distributions_in(tmp_path)
    with pytest.raises(SettingsError, match="cannot read the folder"):
        distributions_in(tmp_path / "absent")
    (tmp_path / "acme.whl").touch()
    with pytest.raises(SettingsError, match=r"acme\.whl"):
        distributions_in(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    wheel(tmp_path, "acme-demo", "1.0").chmod(0)
    with pytest.raises(SettingsError, match="cannot read"):
        distributions_in(tmp_path)
