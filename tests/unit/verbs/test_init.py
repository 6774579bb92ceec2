"""The rules of `init`."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.settings import load_settings
from glue_pkgmgr.verbs.allowlist_file import read_allowlist
from glue_pkgmgr.verbs.init import Beginnings, init, settings_text


def test_what_is_written_can_be_read(tmp_path):
    settings, allowlist = init(tmp_path / "glue-pkgmgr.toml", Beginnings(internal=("my-library",)))
    assert load_settings(settings).codeartifact.owner == "111122223333"
    assert load_settings(settings).policy.internal == {"my-library"}
    assert load_settings(settings).policy.allowlist == allowlist
    assert read_allowlist(allowlist).approvals == ()


def test_the_commented_sample_is_valid_once_uncommented(tmp_path):
    text = settings_text(Beginnings())
    kept, sample = text[: text.index("# Folders of")], text[text.index("# Folders of") :]
    samples = [line[2:] for line in sample.splitlines() if "=" in line or line.startswith("# [")]
    path = tmp_path / "glue-pkgmgr.toml"
    path.write_text(kept + "\n".join(samples))
    assert load_settings(path).job("example").bundle.modules[0].project == "boto3"


@pytest.mark.parametrize("present", ["glue-pkgmgr.toml", "allowlist.toml"])
def test_nothing_is_ever_overwritten(tmp_path, present):
    (tmp_path / present).write_text("mine")
    with pytest.raises(SettingsError, match=f"{present} exists already"):
        init(tmp_path / "glue-pkgmgr.toml", Beginnings())
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_text() == "mine"


@pytest.mark.parametrize(
    ("beginnings", "told"),
    [
        (Beginnings(owner="12"), "owner '12' is not an account number"),
        (Beginnings(domain='x"]'), "domain"),
        (Beginnings(region="mars"), "region 'mars'"),
        (Beginnings(store="same", repository="same"), "must differ"),
        (Beginnings(internal=("no name",)), "no name"),
    ],
)
def test_a_value_the_settings_would_refuse_writes_nothing(tmp_path, beginnings, told):
    with pytest.raises(SettingsError, match=told):
        init(tmp_path / "glue-pkgmgr.toml", beginnings)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot write .*absent/glue-pkgmgr\.toml: No such file"):
        init(tmp_path / "absent" / "glue-pkgmgr.toml", Beginnings())


def test_a_disk_that_fills_up_between_the_files_leaves_none(tmp_path, monkeypatch):
    really_open = Path.open

    def open_on_a_full_disk(path, *args, **options):
        if path.name == "allowlist.toml":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return really_open(path, *args, **options)

    monkeypatch.setattr(Path, "open", open_on_a_full_disk)
    with pytest.raises(SettingsError, match=r"allowlist\.toml: No space left"):
        init(tmp_path / "glue-pkgmgr.toml", Beginnings())
    assert list(tmp_path.iterdir()) == []
