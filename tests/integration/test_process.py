from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import ProcessTimeout, end_tree, run

SLEEP = "import time; time.sleep(60)"


def python(code: str) -> list[str | Path]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return gone(pid)


def test_a_process_gives_its_status_and_both_outputs() -> None:
    finished = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), timeout=30)
    assert (finished.returncode, finished.stdout, finished.stderr, finished.ok) == (3, "out\n", "err\n", False)


def test_a_process_gets_its_input_its_folder_and_nothing_but_its_environment(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read(), os.getcwd(), sorted(k for k in os.environ if k != 'LC_CTYPE'))"
    finished = run(python(code), env={"ONE": "1"}, cwd=tmp_path, input=b"hello", timeout=30)
    assert finished.stdout == f"hello {tmp_path} ['ONE']\n"


def test_without_input_there_is_none_to_wait_for() -> None:
    assert run(python("import sys; print(repr(sys.stdin.read()))"), timeout=30).stdout == "''\n"


def test_secrets_are_replaced_in_both_outputs_and_an_empty_one_changes_nothing() -> None:
    code = "import os, sys; print('a', os.environ['T']); print(os.environ['T'] * 2, file=sys.stderr)"
    finished = run(python(code), env={"T": "s3cret"}, secrets=["s3cret", ""], timeout=30)
    assert (finished.stdout, finished.stderr) == ("a ****\n", "********\n")


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run(python(r"import sys; sys.stdout.buffer.write(b'\xff!')"), timeout=30).stdout == "\ufffd!"


def test_a_lot_of_output_is_captured_whole() -> None:
    finished = run(python("import sys; print('x' * 10**6); print('y' * 10**6, file=sys.stderr)"), timeout=60)
    assert (len(finished.stdout), len(finished.stderr)) == (10**6 + 1, 10**6 + 1)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="cannot start 'no-such-program': No such file"):
        run(["/nowhere/no-such-program"], timeout=5)


def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(ProcessTimeout, match="did not finish within 3 s and was ended"):
        run(python(code), timeout=3)
    assert [pid for pid in map(int, pids.read_text().split()) if not wait_until_gone(pid)] == []


def test_an_orphan_that_holds_the_output_open_is_ended_and_the_answer_counts(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "print(len(sys.stdin.read()))\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
    )
    finished = run(python(code), input=b"x" * 10**6, timeout=50)
    assert (finished.returncode, finished.stdout) == (0, "1000000\n")
    assert wait_until_gone(int(pid_file.read_text()))


def test_an_orphan_in_another_session_is_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
    )
    with pytest.raises(ProcessTimeout):
        run(python(code), timeout=3)
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_an_interrupt_ends_the_process_and_travels_on(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(python(code), timeout=60)
    thread.join()
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_process_that_ignores_a_polite_request_is_killed() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); "
    with subprocess.Popen(python(deaf + SLEEP), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        end_tree(child.pid, grace=0.2)
        assert gone(child.pid)


def test_ending_what_has_ended_is_no_error() -> None:
    with subprocess.Popen(python("pass")) as child:
        child.wait(timeout=30)
    end_tree(child.pid)
