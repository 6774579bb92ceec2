"""Verb: the sdist and wheel of a project, reproducible to the byte."""

from __future__ import annotations

from pathlib import Path

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import Builder


def build(path: Path, *, builder: Builder, out: Path | None = None) -> list[BuiltFile]:
    """Build the project in folder `path` and return its files: the sdist, then the wheel made of it.

    They lie in `out`, by default the project's own `dist`.

    Raises: SettingsError when there is nothing to build or it cannot be built; IndexAccessError when the
    build requirements cannot be had.
    """
    if not path.is_dir():
        raise SettingsError(f"no project to build: {path} is not a folder")
    files = list(builder.build(path, path / "dist" if out is None else out))
    _require_one_release(files)
    return files


def _require_one_release(files: list[BuiltFile]) -> None:
    releases = {(file.distribution.project, file.distribution.version) for file in files}
    kinds = [file.distribution.is_wheel for file in files]
    if len(releases) != 1 or kinds != [False, True]:
        names = ", ".join(file.filename for file in files) or "nothing"
        raise SettingsError(
            f"the build gave {names}, not the sdist and wheel of one release; check the build backend"
        )
