"""One at a time where a file is read, changed and written again."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glue_pkgmgr.errors import SettingsError


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Keep whoever else wants to change a file in the folder of `path` waiting while the block runs.

    Of two who read it, change it and write it, one would undo what the other did: a withdrawal, say. Not to be
    nested. Nothing is written for it, and a killed process keeps nobody waiting.

    Raises: SettingsError when the folder cannot be opened; what the block raises.
    """
    folder = path.resolve().parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise SettingsError(f"cannot write {path}: {folder}: {e.strerror}") from e
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
