"""The command as a process: what it loads, and how it ends when something around it goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import LONGEST, Command

# Prints which modules a command line has loaded, on a line of its own after what the command prints.
LOADED = """
import sys
from glue_pkgmgr.cli.main import main
status = main(sys.argv[1:])
print("\\n" + " ".join(sys.modules))
sys.exit(status)
"""


@pytest.fixture
def command(tmp_path):
    """Return the command in a folder with settings and an empty allow-list."""
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    command = Command.in_folder(folder, home)
    assert command.run("-q", "init").returncode == 0
    return command


@pytest.fixture
def silent_server():
    """Return the URL of a server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


def loaded(command: Command, *arguments: str) -> set[str]:
    """Return the modules that the command line `arguments` loads."""
    finished = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=command.folder,
        env=dict(command.environment),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.splitlines()[-1].split())


def test_help_loads_next_to_nothing(command):
    modules = loaded(command, "--help")
    assert {name for name in modules if name.startswith("glue_pkgmgr")} == {
        "glue_pkgmgr",
        "glue_pkgmgr.errors",
        "glue_pkgmgr.cli",
        "glue_pkgmgr.cli.help_page",
        "glue_pkgmgr.cli.main",
        "glue_pkgmgr.cli.output",
    }
    assert not modules & {
        "click",
        "rich",
        "boto3",
        "botocore",
        "requests",
        "packaging",
        "tomllib",
        "json",
        "dataclasses",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["approvals"],
        ["approve", "six==1.17.0", "--by", "ann", "--reason", "reviewed"],
        ["--json", "lock", "--check"],
        ["local", "status"],
        ["local", "down"],
    ],
)
def test_a_verb_without_need_of_aws_loads_no_boto3(command, arguments):
    assert not loaded(command, *arguments) & {"boto3", "botocore", "moto", "requests"}


def test_no_settings_file_is_one_sentence(tmp_path):
    finished = Command.in_folder(tmp_path, tmp_path).run("approvals")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert "`glue-pkgmgr init` writes a new one" in finished.stderr


def test_a_named_settings_file_that_is_not_there(command):
    finished = command.run("--config", "elsewhere.toml", "approvals")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "elsewhere.toml" in finished.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[codeartifact\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[codeartifac]\n", "codeartifact"),
        (b'[codeartifact]\ndomain = "d"\n', "'owner' is missing"),
    ],
)
def test_broken_settings_are_one_sentence_that_says_where(command, content, told):
    (command.folder / "glue-pkgmgr.toml").write_bytes(content)
    finished = command.run("approvals")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("error: ")
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


def test_settings_are_found_from_a_folder_below(command):
    below = command.folder / "a" / "b"
    below.mkdir(parents=True)
    finished = Command(below, command.environment).run("approvals")
    assert (finished.returncode, finished.stdout) == (0, "nothing is approved yet; see `approve --help`\n")


def test_a_request_that_is_none_is_refused_before_anything_is_contacted(command, silent_server):
    server, url = silent_server
    server.settimeout(0)
    told = Command(command.folder, {**command.environment, **_credentials(url)}).run("check", "--", "-e .")
    assert told.returncode == 2
    assert "is not a request item" in told.stderr
    with pytest.raises(BlockingIOError):
        server.accept()


def test_aws_that_cannot_be_reached_is_status_6(command):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    finished = Command(command.folder, {**command.environment, **_credentials(url)}).run("mint")
    assert (finished.returncode, finished.stdout) == (6, "")
    assert url in finished.stderr


def test_no_credentials_is_status_2_and_says_what_to_do(command):
    finished = command.run("mint")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "aws sso login" in finished.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_is_130_with_one_sentence(command, silent_server, number):
    server, url = silent_server
    waiting = Command(command.folder, {**command.environment, **_credentials(url)}).start("mint")
    server.settimeout(60)
    with server.accept()[0]:  # now it waits for an answer
        waiting.send_signal(number)
        out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (130, "")
    assert err.strip() == "error: interrupted"


def _credentials(url: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@pytest.mark.parametrize("arguments", [["approvals"], ["--json", "approvals"], ["--help"], ["approve", "--help"]])
def test_a_reader_that_has_gone_is_no_error_to_talk_about(command, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        finished = command.start(*arguments, stdout=writing)
    finally:
        os.close(writing)
    _, err = finished.communicate(timeout=60)
    assert (finished.returncode, err) == (141, "")


def test_without_a_terminal_nothing_steers_one(command):
    assert command.run("approve", "six==1.17.0", "--by", "ann", "--reason", "\x1b[31mred").returncode == 0
    told = [command.run("approvals"), command.run("doctor"), command.run("non\x1b[31msense")]
    assert r"\x1b[31mred" in told[0].stdout
    assert not [one for one in told if "\x1b" in one.stdout + one.stderr]


def test_a_locale_that_cannot_show_a_name_is_no_reason_to_fail(command):
    words = ["approve", "six==1.17.0", "--by", "Søren 東京", "--reason", "reviewed"]
    plain = Command(command.folder, {**command.environment, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert command.run(*words).returncode == 0
    finished = plain.run("approvals")
    assert finished.returncode == 0
    assert r"S\xf8ren" in finished.stdout


def test_doctor_names_every_part_and_status_2_where_aws_is_not_set_up(command):
    finished = command.run("--json", "doctor")
    checks = {one["check"]: one for one in json.loads(finished.stdout)["checks"]}
    assert finished.returncode == 2
    assert {"Python", "uv", "package index", "stand-in", "Java", "job runs here", "settings", "AWS"} <= set(checks)
    assert checks["settings"]["state"] == "ok"
    assert checks["AWS"]["state"] == "wrong"
    assert checks["repository enterprise-repo"]["state"] == "unknown"


def test_doctor_looks_at_the_machine_even_without_settings(tmp_path):
    finished = Command.in_folder(tmp_path, tmp_path).run("--json", "doctor")
    checks = {one["check"]: one["state"] for one in json.loads(finished.stdout)["checks"]}
    assert checks["settings"] == "wrong"
    assert checks["Python"] == "ok"


def test_approve_names_whom_git_names(command):
    (Path(command.environment["HOME"]) / ".gitconfig").write_text("[user]\n\tname = Ann Example\n")
    finished = command.run("--json", "approve", "six==1.17.0", "--reason", "reviewed")
    assert json.loads(finished.stdout)["added"][0]["approved_by"] == "Ann Example"


HEAVY = ("boto3", "botocore", "rich", "click", "requests", "uv", "twine")


def test_the_python_api_is_imported_without_aws_and_without_a_terminal() -> None:
    code = (
        "import sys, glue_pkgmgr, glue_pkgmgr.run, glue_pkgmgr.verbs.follow, glue_pkgmgr.verbs.retry;"
        f"glue_pkgmgr.Project; print([name for name in {HEAVY} if name in sys.modules], 'asyncio' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[] False\n"
