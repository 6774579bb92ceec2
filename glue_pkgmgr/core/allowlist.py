"""The allow-list: which releases people have approved, for which Glue versions, and until when."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeVar, overload

import tomli  # reads thousands of entries several times as fast as `tomllib`, and says the same of a wrong file
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.advisory import VulnerabilityException
from glue_pkgmgr.core.licence import canonical_licence
from glue_pkgmgr.core.names import ProjectName, Release, project_name
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime
from glue_pkgmgr.core.withdrawal import Withdrawal, make_withdrawal
from glue_pkgmgr.errors import SettingsError

T = TypeVar("T")

EMPTY = "# Approved releases. `glue-pkgmgr approve` adds entries; a review in git makes them count.\n"
"""The text of an allow-list without approvals."""

_WANTING = ("==", "===", "~=", ">=")
_KEYS = (
    "project",
    "versions",
    "approved-by",
    "reason",
    "until",
    "glue-versions",
    "allow-young",
    "allow-yanked",
    "licence",
)
_EXCEPTION_KEYS = ("vulnerability", "project", "approved-by", "reason", "until")
_WITHDRAWAL_KEYS = ("project", "versions", "withdrawn-by", "reason", "on")

KINDS = ("approvals", "exceptions", "withdrawn")
"""What an allow-list holds: the names of its lists."""

# What nearly all entries look like. There is no error in such a one: it need not be made to know that.
_PLAIN_TEXTS = ("project", "versions", "approved-by", "reason")
_NAME = r"(?=[a-z0-9-]{1,99}+(?![a-z0-9-]))[a-z0-9]++(?:-[a-z0-9]++)*+"
_ENDING = r"(?:(?:a|b|rc)[0-9]{1,9}+)?+(?:\.post[0-9]{1,9}+)?+(?:\.dev[0-9]{1,9}+)?+"
_ONE = rf"(?:(?:[=!<>]=|[<>])[0-9]{{1,9}}+|~=[0-9]{{1,9}}+\.[0-9]{{1,9}}+)(?:\.[0-9]{{1,9}}+)*+{_ENDING}"
_VERSIONS = rf"{_ONE}(?:,{_ONE})*+"
_PLAIN_NAME, _PLAIN_VERSIONS = re.compile(_NAME), re.compile(_VERSIONS)

# And what nearly all files look like: blank lines, comments, and plain entries as `approve` writes them. The check
# of a whole file takes a tenth of the time of reading it, and only what is asked for is then read.
_WORDS = r'"[^\s"\\\x00-\x1f\x7f][^"\\\x00-\x1f\x7f]*+"'
_GLUE = f'"(?:{"|".join(map(re.escape, RUNTIMES))})"'
_USUAL_FILE = re.compile(
    rf"""(?:
    \[\[approvals\]\]\n
    project\ =\ "{_NAME}"\n
    versions\ =\ "{_VERSIONS}"\n
    approved-by\ =\ {_WORDS}\n
    reason\ =\ {_WORDS}\n
    (?:until\ =\ [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\n)?+
    (?:glue-versions\ =\ \[{_GLUE}(?:,\ {_GLUE})*+\]\n)?+
    |\n|\#[^\x00-\x08\x0a-\x1f\x7f]*+\n)*+""",
    re.VERBOSE,
)
# Withdrawals as `withdraw` writes them. Taken out, they leave the rest as it is: no key follows that was theirs.
_USUAL_WITHDRAWAL = re.compile(
    rf"""^\[\[withdrawn\]\]\n
    project\ =\ "{_NAME}"\n
    versions\ =\ "{_VERSIONS}"\n
    withdrawn-by\ =\ {_WORDS}\n
    reason\ =\ {_WORDS}\n
    (?:on\ =\ [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\n)?+
    (?=[\n\#\[]|\Z)""",
    re.VERBOSE | re.MULTILINE,
)
_USUAL_HEADER = "\n[[approvals]]\n"
_USUAL_PROJECT = re.compile(r'\nproject = "([^"]*+)"')
_USUAL_DAY = re.compile(r"\nuntil = ([0-9-]*+)")

EXPIRES_SOON = timedelta(days=30)
"""How long before its end an approval is announced to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One reviewed decision: these versions of a project may be used, through `until`.

    `allow_young` and `allow_yanked` are the reasons why its one release may be used before the minimum age, or
    although it is yanked; empty if it may not. `licence` is the SPDX expression that a person established, which
    counts instead of what the release says of itself.
    """

    project: ProjectName
    versions: SpecifierSet
    approved_by: str
    reason: str
    until: date | None = None  # last valid day in UTC; None = open-ended
    glue_versions: frozenset[str] = frozenset()  # empty = every Glue version
    allow_young: str = ""
    allow_yanked: str = ""
    licence: str | None = None

    def in_force(self, today: date) -> bool:
        """Whether the approval still counts on `today` (UTC)."""
        return self.until is None or today <= self.until

    def ends_soon(self, today: date) -> bool:
        """Whether the approval still counts on `today` (UTC) and ends within the next 30 days."""
        return self.until is not None and today <= self.until <= today + EXPIRES_SOON

    def is_for(self, runtime: GlueRuntime) -> bool:
        """Whether the approval is for this Glue version, among others or not."""
        return not self.glue_versions or runtime.version in self.glue_versions

    def covers(self, version: Version, *, today: date, runtime: GlueRuntime) -> bool:
        """Whether `version` may be used for `runtime` on `today` (UTC) because of this approval."""
        return self.is_for(runtime) and self.in_force(today) and self.names(version)

    def names(self, version: Version) -> bool:
        """Whether `version` is among the approved ones, at whatever time and for whatever Glue version."""
        return names(self.versions, version)


def names(versions: SpecifierSet, version: Version) -> bool:
    """Whether `versions` mean `version`: a pre-release or a local version only if a specifier names one as wanted.

    Since packaging 26.0 `>=1` matches 2.0rc1 unless told otherwise, and PEP 440 lets `==1.0` match 1.0+local. The
    usual `<2.0.dev0`, which keeps the pre-releases of 2.0 out, must not let those of 1.9 in.
    """
    wanted = [one for one in versions if one.operator in _WANTING]
    if version.local is not None and not any("+" in one.version for one in wanted):
        return False
    return versions.contains(version, prereleases=any(map(_names_prerelease, wanted)))


def _names_prerelease(specifier: Specifier) -> bool:
    return bool(specifier.prereleases)


@dataclass(frozen=True, slots=True)
class AllowList:
    """All approvals, the exceptions of the vulnerability gate and the withdrawals, each in the file's order."""

    approvals: Sequence[Approval] = ()
    exceptions: tuple[VulnerabilityException, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    _positions: dict[ProjectName, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for position, project in enumerate(_projects(self.approvals)):
            self._positions.setdefault(project, []).append(position)

    @property
    def projects(self) -> Iterable[ProjectName]:
        """Every project that has an approval, each once, in the order of the file."""
        return self._positions.keys()

    def of(self, project: ProjectName) -> tuple[Approval, ...]:
        """Return the approvals of one project, those of withdrawn versions too."""
        return tuple(self.approvals[position] for position in self._positions.get(project, ()))

    def covering(
        self, project: ProjectName, version: Version, *, today: date, runtime: GlueRuntime
    ) -> list[Approval]:
        """Return the approvals that cover a release, in the order of the file.

        None if it is not approved, or withdrawn.
        """
        if self.withdrawal(project, version):
            return []
        return [one for one in self.of(project) if one.covers(version, today=today, runtime=runtime)]

    def allows(self, project: ProjectName, version: Version, *, today: date, runtime: GlueRuntime) -> bool:
        """Whether some approval covers the release, and it is not withdrawn."""
        return not self.withdrawal(project, version) and any(
            one.covers(version, today=today, runtime=runtime) for one in self.of(project)
        )

    def withdrawal(self, project: ProjectName, version: Version) -> Withdrawal | None:
        """Return the first withdrawal of a release; None if it is not withdrawn."""
        return next((one for one in self.withdrawn if one.covers(project, version)), None)

    def digest(self, releases: Iterable[Release], runtime: GlueRuntime) -> str:
        """Return the SHA-256, in hexadecimal digits, of what was decided about `releases` for `runtime`.

        It covers which versions are approved, for which Glue versions, with which exceptions and licence; not who
        decided, why and until when: prolonging an approval changes no lock. The order of the file does not count.
        """
        decisions = sorted(
            [
                project,
                str(one.versions),
                sorted(one.glue_versions),
                bool(one.allow_young),
                bool(one.allow_yanked),
                one.licence or "",
            ]
            for project, version in set(releases)
            for one in self.of(project)
            if one.is_for(runtime) and one.names(version)
        )
        return hashlib.sha256(json.dumps(decisions, separators=(",", ":")).encode()).hexdigest()

    def refused(self, releases: Iterable[Release], *, today: date, runtime: GlueRuntime) -> list[Release]:
        """Return every release that no approval in force on `today` covers, or that is withdrawn, in input order.

        An empty result means "all approved". Reports all at once: one review round is enough.
        """
        return [
            (name, version)
            for name, version in releases
            if not self.allows(name, version, today=today, runtime=runtime)
        ]


class _WrittenApprovals(Sequence[Approval]):
    """Approvals in the order of a file; one of a plain entry is made when it is first asked for.

    `entries` are approvals, plain entries, and texts of plain entries without their header. A command looks at a
    few of them, and making all of ten thousand takes longer than the rest of it.
    """

    __slots__ = ("_entries", "_projects")

    def __init__(self, entries: list[Approval | Mapping[str, Any] | str], projects: list[ProjectName]) -> None:
        self._entries = entries
        self._projects = projects

    @property
    def projects(self) -> Iterable[ProjectName]:
        """The project of each approval."""
        return self._projects

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, position: int) -> Approval: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Approval]: ...
    def __getitem__(self, position: int | slice) -> Approval | Sequence[Approval]:
        if isinstance(position, slice):
            return [self[one] for one in range(*position.indices(len(self)))]
        entry = self._entries[position]
        if isinstance(entry, str):
            entry = tomli.loads(entry)
        if not isinstance(entry, Approval):
            entry = self._entries[position] = _approval(entry, "")
        return entry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def _projects(approvals: Sequence[Approval]) -> Iterable[ProjectName]:
    if isinstance(approvals, _WrittenApprovals):
        return approvals.projects
    return [one.project for one in approvals]


def parse_allowlist(text: str, where: str) -> AllowList:
    """Return the allow-list in `text`, TOML. `where` names it in errors.

    Raises: SettingsError that says which entry and key is wrong; an unknown key is an error.
    """
    if (usual := _usual(text)) is not None:
        return usual
    try:
        content = tomli.loads(text)
    except (ValueError, RecursionError) as e:  # `TOMLDecodeError`, too, and a number or a depth nothing can hold
        raise SettingsError(f"{where} is not TOML: {e}") from e
    if unknown := set(content) - set(KINDS):
        *kinds, last = (f"[[{kind}]]" for kind in KINDS)
        raise SettingsError(
            f"{where}: unknown key {min(unknown)!r}; entries are written as {', '.join(kinds)} or {last}"
        )
    entries = list(_entries(content, "approvals", _KEYS, _plain_or_made, where))
    projects = [one.project if isinstance(one, Approval) else ProjectName(one["project"]) for one in entries]
    return AllowList(
        _WrittenApprovals([*entries], projects),
        tuple(_entries(content, "exceptions", _EXCEPTION_KEYS, _exception, where)),
        tuple(_entries(content, "withdrawn", _WITHDRAWAL_KEYS, _withdrawal, where)),
    )


def _usual(text: str) -> AllowList | None:
    """Return the allow-list of a file that is certain to hold no error; None if a closer look is needed."""
    taken_back = _USUAL_WITHDRAWAL.findall(text) if "[[withdrawn]]" in text else []
    if taken_back:
        text = _USUAL_WITHDRAWAL.sub("", text)
    if not _USUAL_FILE.fullmatch(text):
        return None
    try:
        for day in set(_USUAL_DAY.findall(text)):
            date.fromisoformat(day)
        content = tomli.loads("".join(taken_back))
    except ValueError:  # `TOMLDecodeError`, too: a day that does not exist
        return None
    _, *entries = f"\n{text}".split(_USUAL_HEADER)
    projects = [ProjectName(name) for name in _USUAL_PROJECT.findall(text)]
    withdrawn = _entries(content, "withdrawn", _WITHDRAWAL_KEYS, _withdrawal, "")
    return AllowList(_WrittenApprovals([*entries], projects), withdrawn=tuple(withdrawn))


def _entries(
    content: Mapping[str, Any],
    kind: str,
    keys: tuple[str, ...],
    make: Callable[[Mapping[str, Any], str], T],
    where: str,
) -> Iterator[T]:
    entries = content.get(kind, [])
    if not isinstance(entries, list):
        raise SettingsError(f"{where}: {kind} is not a list; entries are written as [[{kind}]]")
    for number, entry in enumerate(entries):
        place = f"{where}: {kind}[{number}]"
        if not isinstance(entry, Mapping):
            raise SettingsError(f"{place} is not a table; entries are written as [[{kind}]]")
        if unknown := entry.keys() - keys:
            raise SettingsError(f"{place}: unknown key {min(unknown)!r}; known are {', '.join(keys)}")
        try:
            yield make(entry, place)
        except SettingsError as e:
            message = str(e)
            raise SettingsError(message if message.startswith(place) else f"{place}: {message}") from e


def _plain_or_made(entry: Mapping[str, Any], where: str) -> Approval | Mapping[str, Any]:
    """Return a plain entry as it is, of another one the approval; raise SettingsError if it is wrong."""
    return entry if _is_plain(entry) else _approval(entry, where)


def _is_plain(entry: Mapping[str, Any]) -> bool:
    """Whether an approval can be made of `entry` for certain; told in a fraction of the time of making it."""
    texts: list[Any] = [entry.get(key) for key in _PLAIN_TEXTS]
    if not all(type(text) is str for text in texts):
        return False
    project, versions, approved_by, reason = texts
    until, glue_versions = entry.get("until"), entry.get("glue-versions", [])
    return (
        len(entry) == len(texts) + (until is not None) + ("glue-versions" in entry)
        and _PLAIN_NAME.fullmatch(project) is not None
        and _PLAIN_VERSIONS.fullmatch(versions) is not None
        and bool(approved_by.strip() and reason.strip())
        and (until is None or type(until) is date)
        and type(glue_versions) is list
        and all(type(one) is str and one in RUNTIMES for one in glue_versions)
    )


def _approval(entry: Mapping[str, Any], where: str) -> Approval:
    return make_approval(
        _text(entry, "project", where),
        _text(entry, "versions", where),
        approved_by=_text(entry, "approved-by", where),
        reason=_text(entry, "reason", where),
        until=_date(entry, where),
        glue_versions=_texts(entry, "glue-versions", where),
        allow_young=_text(entry, "allow-young", where) if "allow-young" in entry else None,
        allow_yanked=_text(entry, "allow-yanked", where) if "allow-yanked" in entry else None,
        licence=_text(entry, "licence", where) if "licence" in entry else None,
    )


def _exception(entry: Mapping[str, Any], where: str) -> VulnerabilityException:
    until = _date(entry, where)
    if until is None:
        raise SettingsError("'until' is missing: an exception ends some day, and is then looked at again")
    vulnerability, approved_by, reason = (
        _text(entry, key, where) for key in ("vulnerability", "approved-by", "reason")
    )
    if not (vulnerability.strip() and approved_by.strip() and reason.strip()):
        raise SettingsError("vulnerability, approved-by and reason may not be empty")
    return VulnerabilityException(
        vulnerability=vulnerability,
        project=project_name(_text(entry, "project", where)),
        approved_by=approved_by,
        reason=reason,
        until=until,
    )


def _withdrawal(entry: Mapping[str, Any], where: str) -> Withdrawal:
    project, versions, withdrawn_by, reason = (_text(entry, key, where) for key in _WITHDRAWAL_KEYS[:4])
    on = _date(entry, where, "on")
    return make_withdrawal(project, versions, withdrawn_by=withdrawn_by, reason=reason, on=on)


def make_approval(
    project: str,
    versions: str,
    *,
    approved_by: str,
    reason: str,
    until: date | None = None,
    glue_versions: Iterable[str] = (),
    allow_young: str | None = None,
    allow_yanked: str | None = None,
    licence: str | None = None,
) -> Approval:
    """Return an approval made of texts. `allow_young` and `allow_yanked` are reasons, None for no exception.

    Raises: SettingsError for a bad name, an empty or invalid specifier, an unknown Glue version, an empty author
    or reason, an exception that is not for one exact version, or a licence that is no SPDX expression.
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
    exceptions = {"allow-young": allow_young, "allow-yanked": allow_yanked}
    for key, why in exceptions.items():
        if why is not None and not why.strip():
            raise SettingsError(f"{key} is empty: it is the reason for the exception")
        if why is not None and exact_version(specifiers) is None:
            raise SettingsError(f"{key} is an exception for one release: write its version as '==1.2.3'")
    return Approval(
        project=project_name(project),
        versions=specifiers,
        approved_by=approved_by,
        reason=reason,
        until=until,
        glue_versions=frozenset(glue_versions),
        allow_young=allow_young or "",
        allow_yanked=allow_yanked or "",
        licence=None if licence is None else _spdx(licence),
    )


def exact_version(specifiers: SpecifierSet) -> Version | None:
    """Return the one version that `specifiers` pin, as `==` without a wildcard or `===`; None if they do not."""
    for one in specifiers:
        if one.operator in ("==", "===") and not one.version.endswith(".*"):
            try:
                return Version(one.version)
            except InvalidVersion:  # PEP 440 lets any text stand behind `===`
                return None
    return None


def _spdx(licence: str) -> str:
    canonical = canonical_licence(licence)
    if canonical is None:
        raise SettingsError(f"licence {licence!r} is no SPDX expression such as 'MIT' or 'Apache-2.0 OR MIT'")
    return canonical


def _date(entry: Mapping[str, Any], where: str, key: str = "until") -> date | None:
    day = entry.get(key)
    if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
        raise SettingsError(f"{where}.{key}: {day!r} is not a date such as 2027-06-30, without quotes")
    return day


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
