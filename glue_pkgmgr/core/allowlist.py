"""The allow-list: which releases people have approved, for which Glue versions, and until when."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime
from glue_pkgmgr.errors import SettingsError

Release = tuple[ProjectName, Version]

EMPTY = "# Approved releases. `glue-pkgmgr approve` adds entries; a review in git makes them count.\n"
"""The text of an allow-list without approvals."""

_WANTING = ("==", "===", "~=", ">=")
_KEYS = ("project", "versions", "approved-by", "reason", "until", "glue-versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One reviewed decision: these versions of a project may be used, through `until`."""

    project: ProjectName
    versions: SpecifierSet
    approved_by: str
    reason: str
    until: date | None = None  # last valid day in UTC; None = open-ended
    glue_versions: frozenset[str] = frozenset()  # empty = every Glue version

    def in_force(self, today: date) -> bool:
        """Whether the approval still counts on `today` (UTC)."""
        return self.until is None or today <= self.until

    def covers(self, version: Version, *, today: date, runtime: GlueRuntime) -> bool:
        """Whether `version` may be used for `runtime` on `today` (UTC) because of this approval."""
        for_runtime = not self.glue_versions or runtime.version in self.glue_versions
        return for_runtime and self.in_force(today) and self._names(version)

    def _names(self, version: Version) -> bool:
        # Since packaging 26.0 `>=1` matches 2.0rc1 unless told otherwise, and PEP 440 lets `==1.0` match
        # 1.0+local. For us either is approved only by a specifier that names one as wanted: the usual
        # `<2.0.dev0`, which keeps the pre-releases of 2.0 out, must not let those of 1.9 in.
        wanted = [one for one in self.versions if one.operator in _WANTING]
        if version.local is not None and not any("+" in one.version for one in wanted):
            return False
        return self.versions.contains(version, prereleases=any(map(_names_prerelease, wanted)))


def _names_prerelease(specifier: Specifier) -> bool:
    return bool(specifier.prereleases)


@dataclass(frozen=True, slots=True)
class AllowList:
    """All approvals, in the order of the file."""

    approvals: tuple[Approval, ...] = ()
    _by_project: dict[ProjectName, list[Approval]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for approval in self.approvals:
            self._by_project.setdefault(approval.project, []).append(approval)

    def of(self, project: ProjectName) -> tuple[Approval, ...]:
        """Return the approvals of one project."""
        return tuple(self._by_project.get(project, ()))

    def allows(self, project: ProjectName, version: Version, *, today: date, runtime: GlueRuntime) -> bool:
        """Whether some approval covers the release."""
        return any(one.covers(version, today=today, runtime=runtime) for one in self.of(project))

    def refused(self, releases: Iterable[Release], *, today: date, runtime: GlueRuntime) -> list[Release]:
        """Return every release that no approval in force on `today` covers, in input order.

        An empty result means "all approved". Reports all at once: one review round is enough.
        """
        return [
            (name, version)
            for name, version in releases
            if not self.allows(name, version, today=today, runtime=runtime)
        ]


def parse_allowlist(text: str, where: str) -> AllowList:
    """Return the allow-list in `text`, TOML. `where` names it in errors.

    Raises: SettingsError that says which entry and key is wrong; an unknown key is an error.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise SettingsError(f"{where} is not TOML: {e}") from e
    if unknown := set(content) - {"approvals"}:
        raise SettingsError(f"{where}: unknown key {min(unknown)!r}; entries are written as [[approvals]]")
    entries = content.get("approvals", [])
    if not isinstance(entries, list):
        raise SettingsError(f"{where}: approvals is not a list; entries are written as [[approvals]]")
    return AllowList(tuple(_approval(entry, f"{where}: approvals[{n}]") for n, entry in enumerate(entries)))


def _approval(entry: Any, where: str) -> Approval:
    if not isinstance(entry, Mapping):
        raise SettingsError(f"{where} is not a table; entries are written as [[approvals]]")
    if unknown := sorted(set(entry) - set(_KEYS)):
        raise SettingsError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise SettingsError(f"{where}.until: {until!r} is not a date such as 2027-06-30, without quotes")
    try:
        return make_approval(
            _text(entry, "project", where),
            _text(entry, "versions", where),
            approved_by=_text(entry, "approved-by", where),
            reason=_text(entry, "reason", where),
            until=until,
            glue_versions=_texts(entry, "glue-versions", where),
        )
    except SettingsError as e:
        message = str(e)
        raise SettingsError(message if message.startswith(where) else f"{where}: {message}") from e


def make_approval(
    project: str,
    versions: str,
    *,
    approved_by: str,
    reason: str,
    until: date | None = None,
    glue_versions: Iterable[str] = (),
) -> Approval:
    """Return an approval made of texts.

    Raises: SettingsError for a bad name, an empty or invalid specifier, an unknown Glue version, or an empty
    author or reason.
    """
    try:
        specifiers = SpecifierSet(versions)
    except InvalidSpecifier as e:
        raise SettingsError(
            f"versions {versions!r} is not a version specifier of PEP 440 such as '==1.2.3'"
        ) from e
    if not specifiers:
        raise SettingsError("versions is empty: an approval names the versions it approves, such as '==1.2.3'")
    unknown = sorted(set(glue_versions) - set(RUNTIMES))
    if unknown:
        raise SettingsError(f"glue-versions: unknown Glue version {unknown[0]!r}; known are {', '.join(RUNTIMES)}")
    if not approved_by.strip() or not reason.strip():
        raise SettingsError("approved-by and reason may not be empty: an approval says who decided, and why")
    return Approval(
        project=project_name(project),
        versions=specifiers,
        approved_by=approved_by,
        reason=reason,
        until=until,
        glue_versions=frozenset(glue_versions),
    )


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise SettingsError(
            f"{where}: {key!r} is missing" if value is None else f"{where}.{key}: {value!r} is no text"
        )
    return value


def _texts(entry: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"{where}.{key}: {value!r} is not a list of texts")
    return value
