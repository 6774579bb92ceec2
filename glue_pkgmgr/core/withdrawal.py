"""Withdrawals: releases of our own that may not be used any more, whatever is approved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One decision to take back versions of a project: who took it, why, and on which day (UTC) if told."""

    project: ProjectName
    versions: SpecifierSet
    withdrawn_by: str
    reason: str
    on: date | None = None

    def covers(self, project: ProjectName, version: Version) -> bool:
        """Whether that release is withdrawn.

        Unlike an approval it means pre-releases and local versions as well: nobody has to name what is harmful.
        """
        return project == self.project and self.versions.contains(version, prereleases=True)

    @property
    def why(self) -> str:
        """Who withdrew it, and the reason, as told behind a release."""
        return f"by {self.withdrawn_by}: {' '.join(self.reason.split())}"


def make_withdrawal(
    project: str, versions: str, *, withdrawn_by: str, reason: str, on: date | None = None
) -> Withdrawal:
    """Return a withdrawal made of texts.

    Raises: SettingsError for a bad name, an empty or invalid specifier, an empty author or reason.
    """
    try:
        specifiers = SpecifierSet(versions)
    except InvalidSpecifier as e:
        raise SettingsError(
            f"versions {versions!r} is not a version specifier of PEP 440 such as '==1.2.3'"
        ) from e
    if not specifiers:
        raise SettingsError("versions is empty: a withdrawal names the versions it means, such as '==1.2.3'")
    if not withdrawn_by.strip() or not reason.strip():
        raise SettingsError("withdrawn-by and reason may not be empty: whoever is refused wants to know them")
    return Withdrawal(
        project=project_name(project), versions=specifiers, withdrawn_by=withdrawn_by, reason=reason, on=on
    )
