"""The state folder, its record, and the environment that leads clients to a stand-in."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.state import StandIn, StateFolder, without_aws


def stand_in(pid: int = 1, process_started: float = 0.0) -> StandIn:
    return StandIn(
        pid=pid,
        process_started=process_started,
        endpoint="http://127.0.0.1:1111",
        s3_endpoint="http://127.0.0.1:2222",
        account="111122223333",
        region="eu-west-1",
        nearest_python=False,
        started=datetime(2026, 11, 22, 14, 0, tzinfo=UTC),
    )


def test_the_environment_names_the_endpoints_and_hides_the_users_aws() -> None:
    users = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_GLUE": "http://elsewhere",
        "AWS_CONFIG_FILE": "/home/me/.aws/config",
        "AWS_PAGER": "",
        "PATH": "/bin",
    }
    environ = stand_in().environment(users)
    assert environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1111"
    assert environ["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:2222"
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environ["AWS_CONFIG_FILE"] == environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environ["AWS_PAGER"] == ""
    assert environ["PATH"] == "/bin"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_GLUE"} & environ.keys()


def test_loopback_is_never_reached_through_a_proxy() -> None:
    environ = without_aws({"HTTP_PROXY": "http://proxy:8080", "no_proxy": "example.org"})
    assert environ["HTTP_PROXY"] == "http://proxy:8080"
    assert environ["NO_PROXY"] == environ["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write(stand_in())
    assert folder.read() == stand_in()
    folder.forget()
    assert folder.read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1, "surprise": 2, "started": "2026-11-22"}'])
def test_a_damaged_record_is_said_to_be_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "stand-in.json").write_text(content)
    with pytest.raises(SettingsError, match=r"stand-in\.json is damaged"):
        StateFolder(tmp_path).read()


def test_a_process_is_known_by_its_id_and_its_start() -> None:
    started = psutil.Process().create_time()
    assert stand_in(os.getpid(), started).alive
    assert not stand_in(os.getpid(), started - 60).alive


def test_what_is_kept_is_ignored_by_git(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    assert (folder.root / ".gitignore").read_text() == "*\n"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write the stand-in's state folder .*file/state"):
        StateFolder(tmp_path / "file" / "state").prepare()


def test_a_folder_in_use_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with (
        folder.starting(timeout=1),
        pytest.raises(SettingsError, match="another `local up` or `local down`"),
        folder.starting(timeout=0.1),
    ):
        pass
    with folder.starting(timeout=0):
        pass
