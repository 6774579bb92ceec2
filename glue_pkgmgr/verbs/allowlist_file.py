"""The allow-list file: read and written whole, its line ends untouched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from glue_pkgmgr.core.allowlist import AllowList, parse_allowlist
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.whole_file import write_whole


def read_text(path: Path) -> str:
    """Return the text of the allow-list at `path`. Raises: SettingsError when it is absent or unreadable."""
    try:
        # Not as text: line ends are to stay as they are. The byte order mark of some editors may go.
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as e:
        raise SettingsError(f"no allow-list {path}; `glue-pkgmgr init` writes one") from e
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read the allow-list {path}: {e}") from e


def read_allowlist(path: Path) -> AllowList:
    """Return the allow-list at `path`.

    Raises: SettingsError when it is absent, unreadable, or not an allow-list.
    """
    return parse_allowlist(read_text(path), path.name)


def digest(path: Path) -> str:
    """Return the SHA-256 of the allow-list at `path`. Raises: SettingsError when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise SettingsError(f"cannot read the allow-list {path}: {e.strerror}") from e


def write_text(path: Path, text: str) -> None:
    """Write `text`, an allow-list, whole or not at all. Raises: SettingsError when that is not possible."""
    parse_allowlist(text, path.name)  # what we write must be readable again
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as e:  # bytes of a command line that were no characters
        raise SettingsError(f"{path.name} is UTF-8; {text[e.start : e.end]!r} cannot be written there") from e
    try:
        write_whole(path, content)
    except OSError as e:
        raise SettingsError(f"cannot write the allow-list {path}: {e.strerror}") from e
