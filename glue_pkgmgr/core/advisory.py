"""Known vulnerabilities of releases, and the exceptions that people made for some of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from packaging.version import Version

# `Release` comes from `names`: the allow-list holds exceptions, so it imports this module.
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.errors import SettingsError

# Such as PYSEC-2024-1, GHSA-xxxx-xxxx-xxxx, SUSE-SU-2024:1-1. It is printed: nothing that a terminal obeys.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}", re.ASCII)
_FIRST_NAMES = ("PYSEC-", "CVE-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One known vulnerability: its id, other names of it, and the versions that no longer have it."""

    id: str
    aliases: tuple[str, ...] = ()
    fixed: tuple[Version, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Everything the vulnerability is called."""
        return frozenset({self.id, *self.aliases})

    def __str__(self) -> str:
        told = [", ".join(self.aliases), f"fixed in {', '.join(map(str, self.fixed))}" if self.fixed else ""]
        more = "; ".join(filter(None, told))
        return f"{self.id} ({more})" if more else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityException:
    """One reviewed decision: a vulnerability of a project is no reason to refuse its releases, through `until`."""

    vulnerability: str
    project: ProjectName
    approved_by: str
    reason: str
    until: date  # last valid day in UTC

    def covers(self, project: ProjectName, advisory: Advisory, today: date) -> bool:
        """Whether `advisory` is no reason to refuse releases of `project` on `today` (UTC).

        The exception may call the vulnerability by any of its names, in any case.
        """
        called = self.vulnerability.strip().casefold()
        return self.project == project and today <= self.until and called in map(str.casefold, advisory.names)


def make_advisory(names: Iterable[str], fixed: Iterable[Version], version: Version) -> Advisory:
    """Return the advisory of a release with this `version` from all names of the vulnerability.

    The id is the one of the Python advisory database, else the CVE, else the first by the alphabet: whoever tells
    of the vulnerability, it reads the same. Of the versions with a fix those after `version` are kept, sorted.

    Raises: SettingsError for no name, and one that is no identifier.
    """
    first, *others = sorted(set(names), key=_rank) or [""]
    for name in (first, *others):
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{name[:100]!r} is not the id of a vulnerability")
    later = {one for one in fixed if one > version}
    return Advisory(id=first, aliases=tuple(others), fixed=tuple(sorted(later)))


def merged(advisories: Iterable[Advisory], version: Version) -> tuple[Advisory, ...]:
    """Return the advisories of a release with this `version`, one a vulnerability, sorted by id.

    Two advisories that share a name are one, and so are two that share names with a third.
    Source: Open Source Vulnerability format, `aliases` (symmetric and transitive).
    """
    found: list[Advisory] = []
    for one in advisories:
        same = [one, *(other for other in found if other.names & one.names)]
        found = [other for other in found if other not in same]
        names = (name for it in same for name in it.names)
        found.append(make_advisory(names, (fix for it in same for fix in it.fixed), version))
    return tuple(sorted(found, key=lambda it: it.id))


def _rank(name: str) -> tuple[int, str]:
    ranks = (n for n, prefix in enumerate(_FIRST_NAMES) if name.startswith(prefix))
    return next(ranks, len(_FIRST_NAMES)), name
