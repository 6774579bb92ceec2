"""Verb: the sdist and wheel of a project, reproducible to the byte, with everything that is wrong in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.built_project import BuiltProject
from glue_pkgmgr.core.release_checks import Finding, ReleaseRules, errors_of, release_findings
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import Builder, ReleaseReader


def build(
    path: Path,
    *,
    builder: Builder,
    reader: ReleaseReader,
    rules: ReleaseRules,
    out: Path | None = None,
    renew: bool = False,
) -> BuiltProject:
    """Build the project in folder `path` and return its files, the sdist first, and what is found in them.

    They lie in `out`, by default the project's own `dist`. `renew` pins its build requirements anew. Findings are
    in the answer, not raised: `require_releasable` does that.

    Raises: SettingsError when there is nothing to build, it cannot be built, or its pins no longer fit;
    NotInstallable when its build requirements cannot be pinned or have other bytes; IndexAccessError when they
    cannot be had.
    """
    if not path.is_dir():
        raise SettingsError(f"no project to build: {path} is not a folder")
    built = builder.build(path, path / "dist" if out is None else out, renew=renew)
    _require_one_release(built.files)
    return replace(built, findings=inspect(built.files, reader=reader, rules=rules))


def inspect(files: Sequence[BuiltFile], *, reader: ReleaseReader, rules: ReleaseRules) -> tuple[Finding, ...]:
    """Return everything that is found in `files`, built here or elsewhere; errors first."""
    return release_findings(reader.read(files), rules)


def require_releasable(findings: Sequence[Finding]) -> None:
    """Do nothing if no finding is an error. Raises: SettingsError that tells every one that is."""
    if errors := errors_of(findings):
        told = "\n".join(f"  {one}" for one in errors)
        raise SettingsError(f"not fit to be published:\n{told}")


def _require_one_release(files: Sequence[BuiltFile]) -> None:
    releases = {(file.distribution.project, file.distribution.version) for file in files}
    kinds = [file.distribution.is_wheel for file in files]
    if len(releases) != 1 or kinds != [False, True]:
        names = ", ".join(file.filename for file in files) or "nothing"
        raise SettingsError(
            f"the build gave {names}, not the sdist and wheel of one release; check the build backend"
        )
