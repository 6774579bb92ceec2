"""What a distribution says about itself, read from its bytes."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import IO

from packaging.metadata import RawMetadata, parse_email

_MOST_BYTES = 8 << 20  # metadata is text; more than this is no metadata


def read_metadata(path: Path, filename: str) -> RawMetadata:
    """Return the core metadata of the wheel or sdist at `path`, empty when it has none that can be read."""
    try:
        raw = _wheel(path) if filename.endswith(".whl") else _sdist(path, filename)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError):
        return {}
    return parse_email(raw)[0] if raw else {}


def _wheel(path: Path) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            folder, _, file = name.partition("/")
            if folder.endswith(".dist-info") and file == "METADATA":
                with archive.open(name) as member:
                    return member.read(_MOST_BYTES)
    return None


def _sdist(path: Path, filename: str) -> bytes | None:
    if filename.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            name = next((n for n in archive.namelist() if _is_pkg_info(n)), None)
            return archive.open(name).read(_MOST_BYTES) if name else None
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if _is_pkg_info(member.name) else None
            if content is not None:
                return _limited(content)
    return None


def _limited(content: IO[bytes]) -> bytes:
    return content.read(_MOST_BYTES)


def _is_pkg_info(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/PKG-INFO")
