"""A folder of wheels and sdists that were built elsewhere."""

from __future__ import annotations

from pathlib import Path

from glue_pkgmgr.adapters.build import describe
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.errors import SettingsError

_ENDINGS = (".whl", ".tar.gz")


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
