"""Runs a command and ends it, with everything it started, as soon as the one who asked for it is gone.

    python -m glue_pkgmgr.local.warden -- CMD ARGUMENT…

The warden's standard input is a pipe held by its parent. The pipe closes when the parent closes it or
dies, even by SIGKILL: no process of the stand-in outlives the stand-in. The command runs in a session of
its own, reads nothing and inherits stdout and stderr; its exit status becomes the warden's, 128 + N when
signal N ended it. What it leaves behind when it ends is ended too.

Only the standard library, and little of it: a warden starts in a few dozen milliseconds.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

GRACE_SECONDS = 5.0
"""How long a process has between SIGTERM and SIGKILL."""

_POLL_SECONDS = 0.02
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_USAGE = "usage: warden -- COMMAND [ARGUMENT…]"


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` under a warden and return the warden's process.

    Close its `stdin`, or send it SIGTERM, to end the whole tree; its `returncode` is the command's.
    `stdout` and `stderr` are as for `subprocess.Popen`; the command inherits the descriptors of `pass_fds`.
    """
    # By path, isolated and without `site`: importing our package and the environment's `.pth` files costs
    # more than the warden itself.
    warden = [sys.executable, "-I", "-S", __file__, "--", *(os.fspath(part) for part in command)]
    return subprocess.Popen(
        warden,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def main(argv: Sequence[str]) -> int:
    """Run the command after `--` and return its exit status; 129 if the parent went away first."""
    if list(argv[:1]) != ["--"] or not argv[1:]:
        print(_USAGE, file=sys.stderr)
        return 2
    _adopt_orphans()
    events = _signal_pipe()
    try:
        # Descriptors are closed on exec unless our parent made them inheritable on purpose.
        child = subprocess.Popen(argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False)
    except OSError as e:
        print(f"warden: cannot start {argv[1]!r}: {e.strerror or e}", file=sys.stderr)
        return 127 if isinstance(e, FileNotFoundError) else 126
    status = _await_end(child, events)
    _end_descendants(child.pid)
    return status


def _await_end(child: subprocess.Popen[bytes], events: int) -> int:
    """Wait for the child's end, a signal to us, or the parent's death, and return the status that tells."""
    parent = sys.stdin.fileno()
    while True:
        readable, _, _ = select.select([events, parent], [], [])
        if events in readable:
            for number in os.read(events, 64):
                if number != signal.SIGCHLD:
                    return 128 + number
            if (status := _reap(child)) is not None:
                return status
        if parent in readable and not os.read(parent, 4096):
            return 128 + signal.SIGHUP


def _reap(child: subprocess.Popen[bytes]) -> int | None:
    """Collect every child that has ended; the status of `child` if it is among them."""
    status = None
    for pid, code in _ended_children():
        if pid == child.pid:
            child.returncode = code  # or Popen would wait for a process that is gone
            status = code if code >= 0 else 128 - code
    return status


def _ended_children() -> Iterator[tuple[int, int]]:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _adopt_orphans() -> None:
    """On Linux, become the parent of descendants that lose theirs, so that daemons cannot slip away."""
    if sys.platform == "linux":
        import ctypes  # 10 ms that other systems need not spend

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _signal_pipe() -> int:
    """Have signals written to a pipe, one byte each with its number, and return the end to read."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return readable


def _end_descendants(session: int) -> None:
    """End all our descendants and the process group `session`: SIGTERM once each, SIGKILL after the grace."""
    deadline = time.monotonic() + GRACE_SECONDS
    told: set[int] = set()
    _signal_group(session, signal.SIGTERM)
    while _has_children():
        alive = _descendants()
        if time.monotonic() < deadline:
            _signal(alive - told, signal.SIGTERM)
            told |= alive
        elif time.monotonic() < deadline + GRACE_SECONDS:
            _signal(alive, signal.SIGKILL)
        else:
            return  # stuck in the kernel: nobody can end it
        time.sleep(_POLL_SECONDS)
    _signal_group(session, signal.SIGKILL)


def _has_children() -> bool:
    """Whether any process is below this one.

    The kernel answers, not a look around: while we look, a parent ends and its children change parents. Since
    orphans become ours, no child means no descendant.
    """
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _descendants() -> set[int]:
    """Return the ids of all processes below this one; it may miss some of those that just changed parents."""
    parents = dict(_parents_by_proc() if sys.platform == "linux" else _parents_by_ps())
    found: set[int] = set()
    generation = {os.getpid()}
    while generation := {pid for pid, parent in parents.items() if parent in generation} - found:
        found |= generation
    return found


def _parents_by_proc() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs more than the rest of the warden
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
                # "pid (name) state ppid …", where the name may hold blanks and parentheses.
                yield int(entry), int(stat.read().rpartition(b")")[2].split()[1])


def _parents_by_ps() -> Iterator[tuple[int, int]]:
    with subprocess.Popen(["ps", "-axo", "pid=,ppid="], stdout=subprocess.PIPE) as ps:
        table = ps.communicate()[0].decode()
    for line in table.splitlines():
        pid, parent = map(int, line.split())
        if pid != ps.pid:
            yield pid, parent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
