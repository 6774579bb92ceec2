"""A CodeArtifact repository: where it is, where else it looks, and what the service says of what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from glue_pkgmgr.errors import SettingsError

_RULES = {
    "domain": (r"[a-z][a-z0-9-]{0,48}[a-z0-9]", "2 to 50 lower-case letters, digits and '-', a letter first"),
    "owner": (r"[0-9]{12}", "an account number of 12 digits"),
    "region": (r"[a-z]{2}(-[a-z]+)+-[0-9]", "a region such as us-east-1"),
    "repository": (r"[A-Za-z0-9][A-Za-z0-9._-]{1,99}", "2 to 100 letters, digits and '._-'"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAddress:
    """A repository of a CodeArtifact domain. Checked when made.

    Raises: SettingsError that names the wrong part.
    Source: CodeArtifact API reference (CreateDomain, CreateRepository).
    """

    domain: str
    owner: str
    region: str
    repository: str

    def __post_init__(self) -> None:
        for part, (pattern, rule) in _RULES.items():
            value = getattr(self, part)
            if not re.fullmatch(pattern, value, re.ASCII):
                raise SettingsError(f"codeartifact {part} {value!r} is not {rule}")

    def __str__(self) -> str:
        return f"{self.domain}/{self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryLinks:
    """Where else a repository looks: upstreams in the order they are searched, external connections."""

    upstreams: tuple[str, ...]
    external_connections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginControls:
    """How new files and versions of a project may come into a repository: by publishing, from upstream.

    Source: CodeArtifact User Guide, "Editing package origin controls".
    """

    publish: bool
    upstream: bool

    def __str__(self) -> str:
        ways = {"publish": self.publish, "upstream": self.upstream}
        return ", ".join(f"{way} {'allowed' if allowed else 'blocked'}" for way, allowed in ways.items())


class Status(StrEnum):
    """What may be done with a release. Source: CodeArtifact User Guide, "Package version status"."""

    PUBLISHED = "Published"
    UNFINISHED = "Unfinished"  # its upload goes on; other formats than `pypi` only
    UNLISTED = "Unlisted"  # downloadable, but on no page
    ARCHIVED = "Archived"  # not downloadable, can come back
    DISPOSED = "Disposed"  # its assets are deleted for good
    DELETED = "Deleted"  # the release is gone

    @property
    def downloadable(self) -> bool:
        """Whether the files of such a release are handed out."""
        return self in (Status.PUBLISHED, Status.UNLISTED)

    @property
    def gone(self) -> bool:
        """Whether such a release has no files any more."""
        return self in (Status.DISPOSED, Status.DELETED)
