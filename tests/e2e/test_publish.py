"""`publish` by the command line: plans, several projects, failures half way, and every kind of credentials."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.command import ROOT, Command
from tests.integration.adapters.distributions import wheel

SETTINGS = """
[codeartifact]
domain = "the-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[policy]
internal = ["acme", "base", "zebra", "big", "other"]

[publish]
projects = ["zebra", "base"]
"""
METADATA = "License-Expression: MIT\nRequires-Python: >=3.10\nDescription-Content-Type: text/markdown\n"
LONG = "\n# A library\n\nWhat it is for.\n"


def described(text: str, *requires: str) -> str:
    lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
    return text.replace("Metadata-Version: 2.1", "Metadata-Version: 2.4") + METADATA + lines + LONG


def make(folder: Path, name: str, *requires: str, version: str = "1.0", code: str = "x = 1\n") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    return wheel(folder, name, version, code, metadata=lambda text: described(text, *requires))


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    (folder / "glue-pkgmgr.toml").write_text(SETTINGS)
    (folder / "allowlist.toml").write_text("")
    command = Command.in_folder(folder, home)
    started = command.run("-q", "local", "up")
    assert started.returncode == 0, started.stderr
    yield command
    assert command.run("local", "down").returncode == 0


def ours(command: Command, *arguments: str, around: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return command.run("local", "exec", "--", *around, *command.words(*arguments))


def told(finished: subprocess.CompletedProcess[str], status: int = 0):
    assert finished.returncode == status, finished.stdout + finished.stderr
    return json.loads(finished.stdout)


def record_of(command: Command, name: str):
    return json.loads((command.folder / ".glue-pkgmgr" / "records" / "published" / f"{name}.json").read_text())


def test_a_dry_run_shows_everything_and_changes_nothing(command):
    make(command.folder / "dry", "acme", version="0.1")
    for _ in range(2):
        (plan,) = told(ours(command, "--json", "publish", "--dist", "dry", "--dry-run"))["plans"]
        assert [file["what"] for file in plan["files"]] == ["to upload"]
        assert (plan["refusals"], plan["warnings"]) == ([], [])
    shown = ours(command, "publish", "--dist", "dry", "--dry-run")
    assert "acme-0.1-py3-none-any.whl  to upload" in shown.stdout


def test_several_libraries_are_published_in_order_and_the_first_failure_says_the_state(command):
    dist = command.folder / "several"
    make(dist, "acme", "base>=1", code="import base\n")
    make(dist, "base")
    make(dist, "other", "acme", code="import nowhere_to_be_found\n")
    make(dist, "zebra", "other")
    stopped = ours(command, "publish", "--dist", "several")
    assert stopped.returncode == 4
    assert "stopped at other==1.0; done before: base==1.0, acme==1.0; not begun: zebra==1.0" in stopped.stderr
    assert record_of(command, "acme-1.0")["proof"]["complete"] is True
    assert record_of(command, "other-1.0")["proof"] is None
    again = told(ours(command, "--json", "publish", "--dist", "several"), 4)
    assert "import other" in again["error"]["message"]


def test_the_same_again_is_published_already_and_other_bytes_are_refused(command):
    dist = command.folder / "again"
    first = make(dist, "acme", version="2.0")
    (record,) = told(ours(command, "--json", "publish", "--dist", "again"))["published"]
    assert record["proof"]["proven"] == "imported"
    assert record["actor"].startswith("arn:aws:")
    (same,) = told(ours(command, "--json", "publish", "--dist", "again"))["published"]
    assert (same["uploaded"], len(same["already"]), same["time"]) == ([], 1, record["time"])
    before = record["uploaded"][0]["sha256"]
    first.unlink()
    make(dist, "acme", version="2.0", code="x = 2\n")
    for words in (["publish", "--dist", "again"], ["publish", "--dist", "again", "--dry-run"]):
        refused = ours(command, *words)
        assert refused.returncode == 4
        assert before in refused.stderr
        assert "the next free one is 2.1" in refused.stderr


def test_a_ci_job_with_keys_in_its_environment_and_a_laptop_with_a_profile_do_the_same(command, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text("[laptop]\naws_access_key_id = test\naws_secret_access_key = test\n")
    unset = ("env", "-u", "AWS_ACCESS_KEY_ID", "-u", "AWS_SECRET_ACCESS_KEY", "-u", "AWS_SESSION_TOKEN")
    profile = ("AWS_PROFILE=laptop", f"AWS_SHARED_CREDENTIALS_FILE={credentials}")
    make(command.folder / "laptop", "acme", version="3.0")
    around = (*unset, *profile)
    (record,) = told(ours(command, "--json", "publish", "--dist", "laptop", around=around))["published"]
    assert len(record["uploaded"]) == 1
    (record,) = told(ours(command, "--json", "publish", "--dist", "laptop"))["published"]
    assert len(record["already"]) == 1


@pytest.mark.parametrize(
    ("name", "words", "status", "message"),
    [
        ("no credentials", ["publish", "--dist", "ok"], 2, "sign in"),
        ("no pyproject", ["publish", "empty"], 2, "it has no pyproject.toml"),
        ("no folder", ["publish", "absent"], 2, "absent"),
        ("no files", ["publish", "--dist", "empty"], 2, "holds no wheel"),
        ("both", ["publish", "ok", "--dist", "ok"], 2, "--dist takes the place of PATH"),
        ("backend fails", ["publish", "failing"], 2, "this backend fails on purpose"),
        ("not internal", ["publish", "--dist", "stranger"], 2, "stranger is not listed as internal"),
        ("no domain", ["--config", "elsewhere.toml", "publish", "--dist", "ok"], 6, "check the domain, and owner"),
        (
            "no repository",
            ["--config", "nowhere.toml", "publish", "--dist", "ok"],
            6,
            "check the repository, and owner",
        ),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_is_published(command, name, words, status, message):
    folder = command.folder
    make(folder / "ok", "acme", version="9.0")
    make(folder / "stranger", "stranger")
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "failing").mkdir(exist_ok=True)
    (folder / "failing" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "failing" / "backend.py").write_text(
        "def build_sdist(*args):\n    raise SystemExit('this backend fails on purpose')\n"
    )
    (folder / "elsewhere.toml").write_text(SETTINGS.replace("the-domain", "no-such-domain"))
    (folder / "nowhere.toml").write_text(SETTINGS.replace('"approved"', '"no-such-repository"'))
    around = ("env", "-u", "AWS_ACCESS_KEY_ID", "-u", "AWS_SECRET_ACCESS_KEY") if name == "no credentials" else ()
    failed = ours(command, *words, around=around)
    assert failed.returncode == status, failed.stderr
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (folder / ".glue-pkgmgr" / "records" / "published" / "acme-9.0.json").exists()


def test_killed_while_it_uploads_and_run_again_it_ends_complete(command):
    make(command.folder / "big", "big", code=f"x = '{os.urandom(24_000_000).hex()}'\n")
    words = command.words("local", "exec", "--", *command.words("publish", "--dist", "big"))
    running = subprocess.Popen(
        words,
        cwd=command.folder,
        env=dict(command.environment),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    for line in running.stderr:
        if line.startswith("uploading big"):
            break
    time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(30)
    running.stderr.close()
    assert record_of(command, "big-1.0")["proof"] is None
    (record,) = told(ours(command, "--json", "publish", "--dist", "big"))["published"]
    assert record["proof"]["proven"] == "imported"
    assert record_of(command, "big-1.0")["proof"]["proven"] == "imported"


def test_the_projects_of_the_settings_are_built_and_published_by_their_requirements(command):
    for name, requires in (("zebra", ["base"]), ("base", [])):
        folder = command.folder / name
        shutil.copytree(ROOT / "glueutils", folder, ignore=shutil.ignore_patterns("dist"))
        (folder / "src" / "glueutils").rename(folder / "src" / name)
        project = (folder / "pyproject.toml").read_text().replace("glueutils", name)
        project = project.replace(
            'dependencies = ["boto3>=1.24", "more-itertools>=10"]', f"dependencies = {requires}"
        )
        (folder / "pyproject.toml").write_text(project)
    git = ("git", "-c", "user.name=ann", "-c", "user.email=ann@example.com")
    for words in (["init", "-q"], ["add", "zebra", "base"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], cwd=command.folder, check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], cwd=command.folder, check=True, capture_output=True)
    commit = head.stdout.decode().strip()
    records = told(ours(command, "--json", "publish"))["published"]
    assert [(one["project"], len(one["uploaded"])) for one in records] == [("base", 2), ("zebra", 2)]
    for one in records:
        assert one["commit"]["id"] == commit
        assert one["index"].endswith("/approved/simple/")
        assert datetime.fromisoformat(one["time"]).utcoffset() == timedelta(0)
        for file in one["uploaded"]:
            content = (command.folder / file["path"]).read_bytes()
            assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        statement = record_of(command, f"{one['project']}-{one['version']}.intoto")
        inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        assert {"gitCommit": commit} in [one["digest"] for one in inputs]
