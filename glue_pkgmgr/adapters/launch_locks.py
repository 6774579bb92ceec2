"""Who is starting a launch on this machine: one file for each, locked for as long as the start takes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glue_pkgmgr.errors import SettingsError

_POLL = 0.05  # seconds


class LaunchLocks:
    """Lets one thread of one process at a time start a launch. Files are in `folder`, made when needed.

    The system frees the lock of a process that is killed. `sleep` is in seconds.
    """

    def __init__(self, folder: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._folder = folder
        self._sleep = sleep

    @contextmanager
    def held(self, launch: str, seconds: float) -> Iterator[None]:
        """Hold the lock of `launch` in the block; wait for up to `seconds` for another who holds it.

        Raises: SettingsError when that takes longer, or the folder cannot be written.
        """
        path = self._folder / f"{launch}.lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._acquired(path, seconds)
        except OSError as e:
            raise SettingsError(f"cannot write {path}: {e.strerror or e}; make the folder writable") from e
        try:
            yield
        finally:
            # Removed while it is held: whoever waits for it sees that, and makes a new one.
            path.unlink(missing_ok=True)
            os.close(file)

    def _acquired(self, path: Path, seconds: float) -> int:
        left = seconds
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(file, path):
                    return file
            except BlockingIOError:
                if left <= 0:
                    os.close(file)
                    raise SettingsError(
                        f"another process has been starting this launch for {seconds:g} s; try again, or end it"
                    ) from None
                left -= _POLL
                self._sleep(_POLL)
            os.close(file)


def _same(file: int, path: Path) -> bool:
    """Whether `path` still is the open `file`, and was not removed by whoever held it before."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
