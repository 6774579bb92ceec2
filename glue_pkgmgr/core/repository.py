"""Where a CodeArtifact repository is: domain, owner account, region, name."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
