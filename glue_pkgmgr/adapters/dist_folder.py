"""Wheels and sdists on disk: one file, or a folder of those that were built elsewhere."""

from __future__ import annotations

from pathlib import Path

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename, sha256_hex
from glue_pkgmgr.errors import SettingsError

_ENDINGS = (".whl", ".tar.gz")
_CHUNK = 1024 * 1024  # bytes


def distributions_in(folder: Path) -> list[BuiltFile]:
    """Return the wheels and sdists in `folder`, sorted by name; what else lies there is left aside.

    Raises: SettingsError when there are none, or one has a name that tells no release.
    Source: PEP 427 (wheels), PEP 625 (sdists).
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(_ENDINGS) and path.is_file())
    except OSError as e:
        raise SettingsError(
            f"cannot read the folder {folder}: {e.strerror or e}; name one with built files"
        ) from e
    if not paths:
        raise SettingsError(f"nothing to publish in {folder}: it holds no wheel (.whl) and no sdist (.tar.gz)")
    return [describe(path) for path in paths]


def describe(path: Path) -> BuiltFile:
    """Return the distribution file at `path` with its digest. Raises: SettingsError for any other file."""
    distribution = parse_filename(path.name)
    try:
        with path.open("rb") as file:
            sha256 = sha256_hex(iter(lambda: file.read(_CHUNK), b""))
        return BuiltFile(path=path, distribution=distribution, sha256=sha256, size=path.stat().st_size)
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror}") from e
