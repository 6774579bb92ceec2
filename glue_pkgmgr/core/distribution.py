"""A wheel or sdist, as its file name tells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One distribution file of a release. `tags` is empty for an sdist.

    `build` is the build number of a wheel, as it is compared: a higher one is preferred; empty where it has none.
    """

    filename: str
    project: ProjectName
    version: Version
    tags: frozenset[Tag] = frozenset()
    build: tuple[()] | tuple[int, str] = ()

    @property
    def is_wheel(self) -> bool:
        """Whether the file is a wheel; otherwise it is an sdist."""
        return bool(self.tags)


# What projects, versions and tags are written with. Names end up in arguments of jobs, which are split at commas,
# and in paths; and between dots, tags and build numbers could hold anything.
_CHARACTERS = re.compile(r"[A-Za-z0-9_.+!-]*", re.ASCII)


class InvalidFilename(SettingsError):
    """A file name is neither that of a wheel nor that of an sdist."""


def parse_filename(filename: str) -> Distribution:
    """Return what `filename` says: project, version and, for a wheel, its tags.

    Raises: InvalidFilename.
    Source: PEP 427 (wheels), PEP 625 (sdists).
    """
    if not _CHARACTERS.fullmatch(filename):
        raise InvalidFilename(
            f"{filename!r} is not the file name of a wheel or an sdist: it holds other characters than those have"
        )
    try:
        if filename.endswith(".whl"):
            name, version, build, tags = parse_wheel_filename(filename)
            return Distribution(
                filename=filename, project=ProjectName(name), version=version, tags=tags, build=build
            )
        name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as e:
        raise InvalidFilename(f"{filename!r} is not the file name of a wheel or an sdist: {e}") from e
    return Distribution(filename=filename, project=ProjectName(name), version=version)


def written_version(filename: str) -> str:
    """Return what stands in a file name where `parse_filename` looks for the version; it may be none.

    A page with thousands of files is gone through in this way first.
    """
    if filename.endswith(".whl"):
        _, _, rest = filename.partition("-")
        return rest.partition("-")[0]
    return filename.removesuffix(".zip").removesuffix(".tar.gz").rpartition("-")[2]


@lru_cache(maxsize=1 << 14)
def version_or_none(text: str) -> Version | None:
    """Return `text` as a version; None if it is none."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def sha256_hex(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of all `chunks` in order, as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
