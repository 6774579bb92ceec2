"""The road up to a job, through the command line only: stand-in, publish, approve, lock, mirror, mint, install."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.command import LONGEST, ROOT, Command
from tests.stand_in import naming

SETTINGS = """
[codeartifact]
domain = "the-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[policy]
minimum-age-days = 7
internal = ["glueutils"]

[publish]
projects = ["glueutils"]

[bundles.taxi]
modules = ["boto3", "glueutils==0.2.0"]
glue-version = "5.1"

[jobs.taxi]
name = "taxi-job"
script = "taxi.py"
bundle = "taxi"
staging = "s3://staging-area/glue-pkgmgr/"
arguments = { S3_BUCKET = "taxi-data", GLUE_DATABASE = "taxi_db" }
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return the command in a project with a running stand-in, which is ended with every process it has."""
    folder, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    (folder / "glue-pkgmgr.toml").write_text(SETTINGS)
    (folder / "allowlist.toml").write_text("# Reviewed by the platform team.\n")
    (folder / "taxi.py").write_text("print('hello')\n")
    shutil.copytree(ROOT / "glueutils", folder / "glueutils", ignore=shutil.ignore_patterns("dist"))
    command = Command.in_folder(folder, home)
    started = command.run("-q", "local", "up")
    assert started.returncode == 0, started.stderr
    yield command
    stopped = command.run("local", "down")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert naming(folder) == []


def ours(command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run our command with the stand-in's endpoints: `local exec` around it."""
    return command.run("local", "exec", "--", *command.words(*arguments))


def result(finished: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, object]:
    """Return the JSON object that a command has printed; it must have ended with `status`."""
    assert finished.returncode == status, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def published(command):
    """Publish the sample library and approve what the bundle needs."""
    record = result(ours(command, "--json", "publish"))["published"][0]
    assert [file["filename"] for file in record["uploaded"]] == [
        "glueutils-0.2.0.tar.gz",
        "glueutils-0.2.0-py3-none-any.whl",
    ]
    for request in ("glueutils==0.2.0", "more-itertools==10.8.0"):
        words = ["approve", request, "--by", "ann", "--reason", "reviewed"]
        assert command.run(*words).returncode == 0
    return command


@pytest.fixture(scope="module")
def locked(published):
    """Lock the bundle."""
    result(ours(published, "--json", "lock"))
    return published


@pytest.fixture(scope="module")
def mirrored(locked):
    """Fill the approved repository."""
    told = {
        one["release"]: one["presence"] for one in result(ours(locked, "--json", "mirror", "sync"))["releases"]
    }
    assert told == {"glueutils==0.2.0": "present", "more-itertools==10.8.0": "copied"}
    return locked


def test_status_tells_where_it_listens(command):
    status = result(command.run("--json", "local", "status"))
    assert status["running"] is True
    for endpoint in ("endpoint", "s3_endpoint"):
        assert status[endpoint].startswith("http://127.0.0.1:")


def test_faults_are_set_shown_and_cleared(command):
    fault = ("--json", "local", "fault")
    assert result(command.run(*fault)) == {"faults": []}
    rules = ["glue:StartJobRun=503*2", "run:line=a b"]
    in_force = {"faults": [{"rule": rule, "used": 0} for rule in rules]}
    assert result(command.run(*fault, *rules)) == in_force
    wrong = command.run("local", "fault", "run:end=EXPIRD")
    assert (wrong.returncode, "did you mean 'EXPIRED'?" in wrong.stderr) == (2, True)
    assert result(command.run(*fault)) == in_force
    assert result(command.run("--json", "local", "status"))["faults"] == rules
    assert result(command.run(*fault, "--clear")) == {"faults": []}


def test_up_again_finds_it_running(command):
    before = result(command.run("--json", "local", "status"))
    assert result(command.run("--json", "local", "up"))["pid"] == before["pid"]


def test_exec_passes_input_output_and_the_exit_status_through(command):
    finished = command.run("local", "exec", "--", "sh", "-c", 'echo "$AWS_ENDPOINT_URL"; echo oops >&2; exit 41')
    endpoint = result(command.run("--json", "local", "status"))["endpoint"]
    assert (finished.returncode, finished.stdout, finished.stderr) == (41, f"{endpoint}\n", "oops\n")


@pytest.mark.parametrize(("word", "status"), [("no-such-command", 127), ("/", 126)])
def test_exec_of_what_cannot_run_has_the_status_of_a_shell(command, word, status):
    finished = command.run("local", "exec", "--", word)
    assert finished.returncode == status
    assert word in finished.stderr


def test_exec_hands_signals_to_the_command(command):
    # Not a shell: it may lose a signal that comes just before it waits.
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(43))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    running = command.start("local", "exec", "--", sys.executable, "-c", script)
    assert running.stdout.readline() == "up\n"
    running.terminate()
    running.communicate(timeout=60)
    assert running.returncode == 43


def test_doctor_finds_the_stand_in_complete(command):
    checks = result(ours(command, "--json", "doctor"))["checks"]
    assert {one["check"]: one["state"] for one in checks if one["state"] == "wrong"} == {}
    assert {"repository approved", "repository pypi-store", "job taxi"} <= {one["check"] for one in checks}


def test_publishing_again_uploads_nothing(published):
    record = result(ours(published, "--json", "publish"))["published"][0]
    assert (record["uploaded"], len(record["already"])) == ([], 2)


def test_approve_keeps_the_comments_of_the_file(published):
    text = (published.folder / "allowlist.toml").read_text()
    assert text.startswith("# Reviewed by the platform team.\n")
    assert len(tomllib.loads(text)["approvals"]) == 2


def test_check_refuses_what_nobody_approved_without_asking_the_network(published):
    told = result(published.run("--json", "check", "boto3,polars"), status=3)
    assert {item["item"]: item["approved"] for item in told["items"]} == {"boto3": True, "polars": False}


def test_the_lock_holds_the_closure_with_hashes_and_no_secret(locked):
    assert result(locked.run("--json", "lock", "--check"))["locks"][0]["bundle"] == "taxi"
    text = (locked.folder / "locks" / "taxi.glue-5.1.pylock.toml").read_text()
    files = {package["name"]: package["wheels"] for package in tomllib.loads(text)["packages"]}
    assert set(files) == {"glueutils", "more-itertools"}
    assert all(len(wheel["hashes"]["sha256"]) == 64 for wheels in files.values() for wheel in wheels)
    assert "127.0.0.1" not in text


def test_check_tells_from_the_lock_where_each_release_comes_from(locked):
    told = result(locked.run("--json", "check", "boto3,glueutils==0.2.0"))
    origins = {release["project"]: release["from"] for release in told["releases"]}
    assert (origins["boto3"], origins["glueutils"], origins["more-itertools"]) == (
        "Glue image",
        "our own",
        "store",
    )


def test_verify_finds_what_sync_has_brought(mirrored):
    told = result(ours(mirrored, "--json", "mirror", "verify"))
    assert {one["presence"] for one in told["releases"]} == {"present"}


def test_pip_installs_with_the_minted_url_and_the_secret_is_nowhere_else(mirrored, tmp_path):
    minted = ours(mirrored, "--json", "-v", "mint", "--ttl", "900")
    url = result(minted)["url"]
    target = tmp_path / "target"
    install = ["-m", "pip", "install", "--isolated", "--quiet", "--index-url", url, "--target", str(target)]
    installed = subprocess.run(
        [sys.executable, *install, "glueutils==0.2.0", "--no-deps", "more-itertools==10.8.0"],
        env={**mirrored.environment, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    assert (target / "glueutils" / "__init__.py").is_file()
    secret = url.split("aws:")[1].split("@")[0]
    assert secret not in minted.stderr
    for folder in (mirrored.folder, Path(mirrored.environment["HOME"])):
        assert [
            path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
        ] == []


def test_a_time_that_codeartifact_does_not_grant_is_refused(command):
    finished = ours(command, "mint", "--ttl", "60")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "900 to 43200" in finished.stderr


def test_a_release_that_is_not_approved_any_more_makes_the_lock_unusable(locked):
    allowlist = locked.folder / "allowlist.toml"
    before = allowlist.read_text()
    try:
        assert locked.run("revoke", "more-itertools").returncode == 0
        finished = locked.run("lock", "--check")
    finally:
        allowlist.write_text(before)
    assert finished.returncode == 3
    assert "more-itertools==10.8.0 is not approved (wanted by glueutils)" in finished.stderr


def test_a_run_or_a_job_that_does_not_exist_is_named(command):
    assert "jr_absent" in ours(command, "status", "jr_absent").stderr
    assert ours(command, "status", "jr_absent").returncode == 2
    assert ours(command, "launch", "nothing").returncode == 2
    assert ours(command, "runs").stdout == "no runs yet\n"


def test_a_port_that_is_taken_is_one_sentence(command, tmp_path):
    taken = result(command.run("--json", "local", "status"))["endpoint"].rpartition(":")[2]
    finished = command.run("local", "up", "--state", str(tmp_path / "second"), "--port", taken)
    assert finished.returncode == 2
    assert f"port {taken}" in finished.stderr.splitlines()[-1]
    assert naming(tmp_path) == []


def test_exec_without_a_stand_in_says_how_to_start_one(command, tmp_path):
    finished = command.run("local", "exec", "--state", str(tmp_path), "--", "true")
    assert finished.returncode == 2
    assert "`glue-pkgmgr local up`" in finished.stderr
