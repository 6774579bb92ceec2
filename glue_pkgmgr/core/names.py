"""Project names, normalised in one place."""

from __future__ import annotations

import re
from typing import NewType

from packaging.utils import canonicalize_name
from packaging.version import Version

from glue_pkgmgr.errors import SettingsError

ProjectName = NewType("ProjectName", str)
"""A project's name in the normal form of PEP 503: lower case, runs of `-_.` as one `-`."""

Release = tuple[ProjectName, Version]
"""One version of a project."""

_VALID = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]", re.ASCII)
_LONGEST = 255  # CodeArtifact's limit for a package name


def project_name(text: str) -> ProjectName:
    """Return `text` as a normalised project name.

    Raises: SettingsError for anything but ASCII letters, digits and inner `-_.`.
    Source: PEP 508 (names), PEP 503 (normal form), CodeArtifact API reference (length).
    """
    if not _VALID.fullmatch(text) or len(text) > _LONGEST:
        shown = text if len(text) <= _LONGEST else f"{text[:40]}…"
        raise SettingsError(
            f"{shown!r} is not a project name: ASCII letters and digits, with '-', '_' or '.' between them"
        )
    return ProjectName(canonicalize_name(text))
