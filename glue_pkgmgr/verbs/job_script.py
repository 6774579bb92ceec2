"""The script of a job as it is on this machine, before it is brought to where Glue reads it."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path

from glue_pkgmgr.errors import SettingsError


def script_content(path: Path, root: Path, job: str) -> bytes:
    """Return what is in the script at `path` of `job`, a key of the settings, whose folder is `root`.

    Raises: SettingsError when it cannot be read, is a link out of `root`, is empty, or no Python could read it.
    """
    correct = f"correct jobs.{job}.script"
    try:
        if path.is_relative_to(root) and not path.resolve().is_relative_to(root.resolve()):
            # Others read what is uploaded: a link, easily overlooked, must not bring them a file of this machine.
            raise SettingsError(
                f"the script of job {job!r}, {path}, is a link out of the project, to {path.resolve()}; name that "
                f"file as jobs.{job}.script if it is meant"
            )
        if path.exists() and not path.is_file():  # to read a pipe would take for ever
            raise SettingsError(f"the script of job {job!r}, {path}, is no file; {correct}")
        content = path.read_bytes()
    except (OSError, RuntimeError) as e:  # RuntimeError: a link to itself, up to Python 3.12
        why = e.strerror if isinstance(e, OSError) else "it is a link to itself"
        raise SettingsError(f"cannot read the script of job {job!r}, {path}: {why}; {correct}") from e
    if not content.strip():
        raise SettingsError(f"the script of job {job!r}, {path}, is empty: its runs would do nothing; {correct}")
    _decoded(content, f"the script of job {job!r}, {path}")
    return content


def _decoded(content: bytes, script: str) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as e:
        raise SettingsError(
            f"{script}, is neither UTF-8 nor of the encoding that it names; save it as UTF-8"
        ) from e
