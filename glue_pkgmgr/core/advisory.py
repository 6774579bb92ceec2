"""Known vulnerabilities of releases, and the exceptions that people made for some of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from packaging.version import Version

# `Release` comes from `names`: the allow-list holds exceptions, so it imports this module.
from glue_pkgmgr.core.names import ProjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One known vulnerability: its id, other names of it, and the versions that no longer have it."""

    id: str
    aliases: tuple[str, ...] = ()
    fixed: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityException:
    """One reviewed decision: a vulnerability of a project is no reason to refuse its releases, through `until`."""

    vulnerability: str
    project: ProjectName
    approved_by: str
    reason: str
    until: date  # last valid day in UTC
