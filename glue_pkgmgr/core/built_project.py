"""What a build of one of our own projects gave, and what went into it."""

from __future__ import annotations

from dataclasses import dataclass

from glue_pkgmgr.core.build_lock import BuildPin
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.release_checks import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInputs:
    """What a build was made with, beside the project's own sources.

    `lock_sha256` is the digest of the project's `pylock.build.toml`, None for a project that needs nothing to be
    built; `pins` are the releases it names, those for other machines included. `python` is the version of the
    Python that ran the backend.
    """

    lock_sha256: str | None
    pins: tuple[BuildPin, ...]
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltProject:
    """The sdist of a project, the wheel made of it, what they were made with, and what is found in them."""

    files: tuple[BuiltFile, ...]
    inputs: BuildInputs
    findings: tuple[Finding, ...] = ()
