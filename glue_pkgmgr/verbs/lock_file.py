"""The file of a bundle's lock: read and written whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.lockfile import Lock, lock_from_toml
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.whole_file import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """A lock and the SHA-256 of the file it was read from, as `sha256sum` tells it."""

    lock: Lock
    sha256: str


def read_lock(bundle: Bundle, folder: Path) -> Lock:
    """Return the lock of `bundle` from `folder`. Raises: SettingsError when absent or unreadable."""
    return held_lock(bundle, folder).lock


def held_lock(bundle: Bundle, folder: Path) -> HeldLock:
    """Return the lock of `bundle` from `folder`, with its digest. Raises: as `read_lock`."""
    path = folder / bundle.lock_filename
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except FileNotFoundError as e:
        raise SettingsError(
            f"bundle {bundle.name!r} has no lock for Glue {bundle.runtime.version}; "
            f"run `glue-pkgmgr lock {bundle.name}`"
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read {path}: {e}") from e
    # As a file opened for text: locks of a checkout may have other line ends.
    lock = lock_from_toml(text.replace("\r\n", "\n"), path.name)
    return HeldLock(lock=lock, sha256=hashlib.sha256(content).hexdigest())


def existing_lock(bundle: Bundle, folder: Path) -> Lock | None:
    """Return the lock of `bundle` from `folder`; None where there is none that can be read."""
    try:
        return read_lock(bundle, folder)
    except SettingsError:  # it is made anew
        return None


def written_text(path: Path) -> str | None:
    """Return the text at `path`, with any line ends; None where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all. Raises: SettingsError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as e:
        raise SettingsError(f"cannot write {path}: {e.strerror}") from e
