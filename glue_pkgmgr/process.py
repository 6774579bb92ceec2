"""The one way to start a process: bounded in time, ended with its whole tree, its output redacted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from glue_pkgmgr.errors import SettingsError

_LOOK_SECONDS = 1.0  # between looks whether a process that still has its output open has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a process left behind: exit status and its two outputs as text, secrets replaced."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the process ended with status 0."""
        return self.returncode == 0


class ProcessTimeout(SettingsError):
    """A process was ended because it did not finish in the time it was given."""


def run(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float,
    input: bytes | None = None,  # noqa: A002 - the word of `subprocess`
    secrets: Sequence[str] = (),
) -> Finished:
    """Run `args` to its end in a session of its own and return what it printed.

    `timeout` is in seconds. Every text of `secrets` is replaced by `****` in the captured output; a
    secret itself belongs in `env` or `input`, never in `args`, which other users can read.

    What the process leaves running in its session is ended once it has ended itself: a server that a build
    starts would hold the output open for as long as it lives.

    Raises: SettingsError when the program cannot be started; ProcessTimeout after `timeout`, with the
    whole process tree ended. An interrupt ends the tree too before it travels on.
    """
    name = Path(args[0]).name
    try:
        child = subprocess.Popen(
            [os.fspath(a) for a in args],
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as e:
        raise SettingsError(f"cannot start {name!r}: {e.strerror or e}") from e
    try:
        out, err = _outputs(child, input, time.monotonic() + timeout)
    except subprocess.TimeoutExpired as e:
        raise ProcessTimeout(f"{name!r} did not finish within {timeout:g} s and was ended") from e
    finally:
        if child.returncode is None:
            end_tree(child.pid)
            _end_session(child.pid)
            child.wait()
        # Not read to their end: who left the session may hold them open still.
        for stream in filter(None, (child.stdin, child.stdout, child.stderr)):
            with suppress(OSError):
                stream.close()
    return Finished(returncode=child.returncode, stdout=_text(out, secrets), stderr=_text(err, secrets))


def _outputs(child: subprocess.Popen[bytes], given: bytes | None, deadline: float) -> tuple[bytes, bytes]:
    """Return what `child` printed. Raises: TimeoutExpired at `deadline`, a time of the monotonic clock."""
    while True:
        left = deadline - time.monotonic()
        try:
            # Again and again: nothing that was read is lost, and only in between is it seen that it has ended.
            return child.communicate(given, max(0.0, min(left, _LOOK_SECONDS)))
        except subprocess.TimeoutExpired:
            given = None  # it goes on being written, and may be given only once
            if left <= _LOOK_SECONDS:
                raise
            if child.poll() is not None:
                _end_session(child.pid)


def end_tree(pid: int, grace: float = 5.0) -> None:
    """End process `pid` and all its descendants: SIGTERM, then after `grace` seconds SIGKILL.

    A process that is already gone is no error. Descendants that left the session are found too.
    """
    import psutil  # here: setting up runs this module before anything is installed

    def descendants(process: psutil.Process) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return process.children(recursive=True)
        return []

    def signal_all(processes: Sequence[psutil.Process], number: int) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        tree = [*descendants(parent), parent]
        signal_all(tree, signal.SIGTERM)
        _, alive = psutil.wait_procs(tree, timeout=grace)
        # Children born while we waited belong to the tree as well.
        alive += [child for process in alive for child in descendants(process)]
        signal_all(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=grace)


def _end_session(leader: int) -> None:
    """Kill what is left of a session whose leader may be gone: its orphans are in no tree, but in the group."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _text(raw: bytes, secrets: Sequence[str]) -> str:
    text = raw.decode("utf-8", "replace")
    for secret in filter(None, secrets):
        text = text.replace(secret, "****")
    return text
