from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from glue_pkgmgr.local import warden
from tests.stand_in import still_alive

# Starts daemons that leave session and parent behind, as badly behaved jobs do, then tells it is ready.
DAEMONS = """
import os, subprocess, sys, time
for _ in range(3):
    subprocess.Popen(["sh", "-c", "setsid sh -c 'sleep 603 & sleep 603' &"], start_new_session=True).wait()
print("ready", flush=True)
time.sleep(600)
"""
# Python, and for each daemon two sleeps, one of which may have taken the place of its shell.
DAEMONS_AT_LEAST = 7
# Does not end when asked to.
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


def start(script: str) -> subprocess.Popen[bytes]:
    return warden.start([sys.executable, "-c", script], env=os.environ, stdout=subprocess.PIPE)


def started(script: str, count: int) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """Return the warden and everything below it, once `script` is ready and has at least `count` processes."""
    process = start(script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    # The daemons' own children may still be about to start: nobody waits for them.
    deadline = time.monotonic() + 30
    while len(below := psutil.Process(process.pid).children(recursive=True)) < count:
        assert time.monotonic() < deadline, below
        time.sleep(0.02)
    return process, below


def close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_passed_through(status: int) -> None:
    with start(f"raise SystemExit({status})") as process:
        assert process.wait(30) == status


def test_a_signal_becomes_128_and_its_number() -> None:
    with start("import os; os.kill(os.getpid(), 9)") as process:
        assert process.wait(30) == 128 + signal.SIGKILL


def test_output_is_the_commands_own_and_input_is_empty() -> None:
    with start("import sys; print(repr(sys.stdin.read()))") as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"''\n"


def test_closing_its_input_ends_the_tree_daemons_included() -> None:
    process, below = started(DAEMONS, DAEMONS_AT_LEAST)

    with process:
        close(process)
        assert process.wait(30) == 128 + signal.SIGHUP

    assert not still_alive(below, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_warden_ends_the_tree(number: signal.Signals) -> None:
    process, below = started(DAEMONS, DAEMONS_AT_LEAST)

    with process:
        process.send_signal(number)
        assert process.wait(30) == 128 + number

    assert not still_alive(below, 0)


def test_what_a_command_leaves_behind_is_ended_with_it() -> None:
    with start("import subprocess; print(subprocess.Popen(['sleep', '604']).pid)") as process:
        assert process.stdout is not None
        left = int(process.stdout.readline())
        assert process.wait(30) == 0

    assert not psutil.pid_exists(left)


def test_what_does_not_end_when_asked_is_killed() -> None:
    process, below = started(DEAF, 1)

    with process:
        close(process)
        process.wait(30)

    assert not still_alive(below, 0)


def test_everything_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    parent = f"""
import os, sys, time
from glue_pkgmgr.local import warden
process = warden.start([sys.executable, "-c", {DAEMONS!r}], env=os.environ, stdout=-1)
process.stdout.readline()
open({str(pids)!r} + ".part", "w").write(str(process.pid))
os.rename({str(pids)!r} + ".part", {str(pids)!r})
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", parent], env=environment) as process:
        deadline = time.monotonic() + 30
        while not pids.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        of_warden = psutil.Process(int(pids.read_text()))
        below = [of_warden, *of_warden.children(recursive=True)]
        process.kill()

    assert not still_alive(below)


def test_ending_holds_while_parents_end_and_children_change_parents() -> None:
    churn = "setsid sh -c 'setsid sleep 605 & sleep 605' & setsid sleep 605 & sleep 605"
    for delay in range(20):
        process = warden.start(["sh", "-c", churn], env=os.environ)
        time.sleep(delay / 500)
        below = psutil.Process(process.pid).children(recursive=True)
        with process:
            close(process)
            process.wait(30)
        assert not still_alive(below, 0)


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        ([], 2, "usage"),
        (["--"], 2, "usage"),
        (["--", "/no/such/program"], 127, "cannot start"),
        (["--", "/"], 126, "/"),
    ],
)
def test_a_command_that_cannot_be_started_is_told(arguments: list[str], status: int, word: str) -> None:
    command = [sys.executable, "-m", "glue_pkgmgr.local.warden", *arguments]

    finished = subprocess.run(
        command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=30, check=False
    )

    assert finished.returncode == status
    assert word in finished.stderr
    assert "Traceback" not in finished.stderr


def test_it_imports_little() -> None:
    code = f"import sys; exec(open({warden.__file__!r}).read(), {{'__name__': 'warden'}}); print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code]

    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    loaded = set(finished.stdout.split())
    assert "subprocess" in loaded
    assert not {"typing", "pathlib", "asyncio", "psutil", "glue_pkgmgr"} & loaded
