"""Who may start a launch: one thread of one process at a time, whatever becomes of the others."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.launch_locks import LaunchLocks
from glue_pkgmgr.errors import SettingsError

HOLDER = """
import sys
from pathlib import Path
from glue_pkgmgr.adapters.launch_locks import LaunchLocks
with LaunchLocks(Path(sys.argv[1])).held("a", 30):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_thread_at_a_time_holds_a_launch(tmp_path: Path) -> None:
    locks, inside, most = LaunchLocks(tmp_path), 0, 0
    counting = threading.Lock()

    def start() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locks.held("a", 60):
                with counting:
                    inside += 1
                    most = max(most, inside)
                with counting:
                    inside -= 1

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_other_launches_do_not_wait(tmp_path: Path) -> None:
    locks = LaunchLocks(tmp_path)
    with locks.held("a", 0), locks.held("b", 0):
        pass


def test_another_process_is_waited_for_and_one_that_was_killed_is_not(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = LaunchLocks(tmp_path, sleep=lambda seconds: None).held("a", 0.2)
        with pytest.raises(SettingsError, match="another process has been starting this launch"), waiting:
            pass
    finally:
        holder.kill()
        holder.communicate()
    with LaunchLocks(tmp_path).held("a", 30):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write"), LaunchLocks(tmp_path / "file").held("a", 0):
        pass
