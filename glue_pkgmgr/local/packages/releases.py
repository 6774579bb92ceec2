"""What a repository holds, as values. A release is what CodeArtifact calls a package version."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, Status
from glue_pkgmgr.core.simple_api import IndexFile

PUBLIC_INDEX = "public:pypi"
"""The one external connection for the format `pypi` (CodeArtifact User Guide, "external connections")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain: repositories that share their assets. `owner` has 12 digits, `created` is aware UTC."""

    name: str
    owner: str
    created: datetime
    encryption_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository. `upstreams` are names of the same domain, first searched first; `connection` is external."""

    id: int
    domain: str
    owner: str
    name: str
    description: str | None
    created: datetime
    upstreams: tuple[str, ...]
    connection: str | None


# The controls of a package by the way of its first release.
# Source: CodeArtifact User Guide, "Default package origin control settings".
FIRST_PUBLISHED = OriginControls(publish=True, upstream=False)
FIRST_BROUGHT_IN = OriginControls(publish=False, upstream=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a release entered the domain: the repository it was published to, or the external connection."""

    external: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of a release. `sha256` is None only before a file of an index without hashes was read.

    `yanked` is the reason, `""` when none was given, None when the file is not yanked.
    """

    filename: str
    sha256: str | None
    md5: str | None = None
    size: int | None = None
    upload_time: datetime | None = None
    requires_python: str | None = None
    yanked: str | None = None

    @classmethod
    def of(cls, file: IndexFile) -> Asset:
        """Return `file` as another index lists it."""
        return cls(
            filename=file.filename,
            sha256=file.sha256,
            md5=file.hashes.get("md5"),
            size=file.size,
            upload_time=file.upload_time,
            requires_python=file.requires_python,
            yanked=file.yanked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a project in one repository, with its assets by file name."""

    project: ProjectName
    version: str
    status: Status
    origin: Origin
    published: datetime
    revision: str
    assets: dict[str, Asset]


def revision_of(assets: Iterable[Asset]) -> str:
    """Return a text that changes whenever the set of files, or the bytes of one, do."""
    listing = sorted(f"{asset.filename}\0{asset.sha256}" for asset in assets)
    return base64.b64encode(hashlib.sha256("\n".join(listing).encode()).digest()).decode()
