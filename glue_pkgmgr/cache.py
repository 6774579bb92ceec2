"""A folder of this user's machine for what is costly to make: made once, used by every stand-in."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from glue_pkgmgr.errors import SettingsError

Say = Callable[[str], None]
"""Takes one line of progress for the user."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where the cache is: `$GLUE_PKGMGR_CACHE`, or `glue-pkgmgr` in the user's cache folder.

    Source: XDG Base Directory Specification.
    """
    if own := environ.get("GLUE_PKGMGR_CACHE"):
        return Path(own)
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "glue-pkgmgr"


def made_once(folder: Path, make: Callable[[Path], None], say: Say) -> Path:
    """Return `folder`, filled by `make` if it does not exist yet.

    `make` gets an empty folder beside it, which takes the final name only when `make` has returned: what
    exists is complete. Of several processes one makes it and the others wait. Leftovers of a killed one go.

    Raises: SettingsError when the cache cannot be written; whatever `make` raises.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("w") as lock:
            _acquire(lock.fileno(), folder, say)
            if not folder.is_dir():
                _make(folder, make)
    except OSError as e:
        raise SettingsError(
            f"cannot make {folder}: {e.strerror or e}; free some space, or choose another folder"
            " with GLUE_PKGMGR_CACHE"
        ) from e
    return folder


def _acquire(lock: int, folder: Path, say: Say) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process to make {folder.name}")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    prefix = f".{folder.name}.partial-"
    for leftover in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        make(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
