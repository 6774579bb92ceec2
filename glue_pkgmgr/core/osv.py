"""Records of the Open Source Vulnerability format: which releases of Python projects they are about.

Source: Open Source Vulnerability format 1.x ("affected fields", "Evaluation"), PEP 440 (the order of versions).
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.advisory import Advisory, make_advisory, merged
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.errors import SettingsError

_ECOSYSTEM = "pypi"
_SCHEMA = "1."
_ORDERED = ("ECOSYSTEM", "SEMVER")  # what semantic versioning orders, PEP 440 orders alike
_FIRST = Version("0.dev0")  # no version of epoch 0 sorts before it: what "0" stands for in `introduced`

# Where two events name one version, the later in this list decides. [1, 1] is one affected version; a fix and a
# new introduction at once is a contradiction, and the release may be vulnerable.
_EVENTS = ("fixed", "introduced", "last_affected", "limit")


def osv_projects(record: object) -> frozenset[ProjectName]:
    """Return the Python projects that a record, parsed JSON, is about.

    Raises: SettingsError for what is no record of the format, or is one of another major version.
    """
    return frozenset(project for project, _, _ in _affected(_checked(record)))


def osv_advisories(records: Iterable[object], releases: Iterable[Release]) -> dict[Release, tuple[Advisory, ...]]:
    """Return the advisories of each release that some of `records`, parsed JSON, is about, sorted by id.

    Records that were withdrawn do not count, nor do ranges of Git commits. Where nothing else says which versions
    of a project are affected, all are: a record that cannot be evaluated must not look like a clean release.
    The local part of a version (`+cpu`) counts only against versions that have one.

    Raises: SettingsError that says which record is malformed, and where.
    """
    versions: dict[ProjectName, set[Version]] = {}
    for project, version in releases:
        versions.setdefault(project, set()).add(version)
    found: dict[Release, list[Advisory]] = {}
    for record in records:
        for release, advisory in _evaluated(_checked(record), versions):
            found.setdefault(release, []).append(advisory)
    return {release: merged(advisories, release[1]) for release, advisories in found.items()}


def _evaluated(
    record: Mapping[str, Any], versions: Mapping[ProjectName, set[Version]]
) -> Iterator[tuple[Release, Advisory]]:
    if record.get("withdrawn") is not None:
        return
    names = [record["id"], *_texts(record, "aliases", _place(record))]
    for project, where, entry in _affected(record):
        if project not in versions:
            continue
        affected = _parse_affected(entry, where)
        for version in sorted(versions[project]):
            if affected.includes(version):
                yield (project, version), make_advisory(names, affected.fixed, version)


@dataclass(frozen=True, slots=True)
class _Range:
    """Events in the order of their versions, and the limits: a version must be before one of them, if any."""

    events: tuple[tuple[str, Version], ...]
    limits: tuple[Version, ...]

    def includes(self, version: Version) -> bool:
        if not any(at.local for _, at in self.events):
            version = _public(version)
        if self.limits and not any(version < limit for limit in self.limits):
            return False
        affected = False
        for kind, at in self.events:
            if kind == "last_affected":
                affected = affected and version <= at
            elif version >= at:
                affected = kind == "introduced"
        return affected


@dataclass(frozen=True, slots=True)
class _Affected:
    """Which versions of a project are affected: those listed and those in a range, all where neither is given."""

    listed: frozenset[Version] | None
    ranges: tuple[_Range, ...]

    def includes(self, version: Version) -> bool:
        if self.listed is None and not self.ranges:
            return True
        listed = self.listed or frozenset()
        return bool({version, _public(version)} & listed) or any(one.includes(version) for one in self.ranges)

    @property
    def fixed(self) -> list[Version]:
        return [at for one in self.ranges for kind, at in one.events if kind == "fixed"]


def _public(version: Version) -> Version:
    return Version(version.public) if version.local else version


def _checked(record: object) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise SettingsError(f"{reprlib.repr(record)} is no vulnerability record: a JSON object")
    if not isinstance(record.get("id"), str):
        raise SettingsError("a vulnerability record without an id")
    # A record that does not say is of 1.0.0, the format says.
    schema = record.get("schema_version", "1.0.0")
    if not isinstance(schema, str) or not schema.startswith(_SCHEMA):
        raise SettingsError(f"{_place(record)} is of schema version {reprlib.repr(schema)}; 1.x is understood")
    return record


def _affected(record: Mapping[str, Any]) -> Iterator[tuple[ProjectName, str, Mapping[str, Any]]]:
    """Yield each Python project a record is about, with the place and the entry that says what is affected."""
    for where, entry in _objects(record, "affected", _place(record)):
        package = entry.get("package")
        if package is None:  # known by its Git commits only
            continue
        if not isinstance(package, Mapping) or not all(
            isinstance(package.get(key), str) for key in ("ecosystem", "name")
        ):
            raise SettingsError(f"{where}.package: {reprlib.repr(package)} is no package with ecosystem and name")
        if package["ecosystem"].casefold() == _ECOSYSTEM:
            yield ProjectName(canonicalize_name(package["name"])), where, entry


def _parse_affected(entry: Mapping[str, Any], where: str) -> _Affected:
    ranges = tuple(
        _parse_range(one, place) for place, one in _objects(entry, "ranges", where) if one.get("type") != "GIT"
    )
    texts = _texts(entry, "versions", where)
    # Versions older than PEP 440 are listed too; no release we ask about can have one.
    listed = frozenset(version for text in texts if (version := _version(text)))
    return _Affected(listed if texts else None, ranges)


def _parse_range(entry: Mapping[str, Any], where: str) -> _Range:
    if entry.get("type") not in _ORDERED:
        raise SettingsError(
            f"{where}.type: {reprlib.repr(entry.get('type'))} is none of {', '.join(_ORDERED)}, GIT"
        )
    events = [_parse_event(event, place) for place, event in _objects(entry, "events", where)]
    if not any(kind == "introduced" for kind, _ in events):
        raise SettingsError(f"{where}.events: none says where the vulnerability was introduced")
    limits = [at for kind, at in events if kind == "limit"]
    ordered = sorted(
        ((kind, at) for kind, at in events if at is not None and kind != "limit"),
        key=lambda event: (event[1], _EVENTS.index(event[0])),
    )
    bounded = tuple(at for at in limits if at is not None) if None not in limits else ()
    return _Range(tuple(ordered), bounded)


def _parse_event(event: Mapping[str, Any], where: str) -> tuple[str, Version | None]:
    """Return the kind and the version of an event, None for the limit `*`."""
    kinds = [kind for kind in _EVENTS if kind in event]
    if len(kinds) != 1:
        raise SettingsError(f"{where}: {reprlib.repr(event)} must hold one of {', '.join(_EVENTS)}")
    text = event[kinds[0]]
    if (kinds[0], text) == ("introduced", "0"):
        return kinds[0], _FIRST
    if (kinds[0], text) == ("limit", "*"):
        return kinds[0], None
    version = _version(text) if isinstance(text, str) else None
    if version is None:
        raise SettingsError(f"{where}.{kinds[0]}: {reprlib.repr(text)} is no version of PEP 440")
    return kinds[0], version


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _place(record: Mapping[str, Any]) -> str:
    return f"vulnerability record {record['id'][:100]!r}"


def _list(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = entry.get(key)
    if value is None:  # absent: the format makes nearly all keys optional
        return []
    if not isinstance(value, list):
        raise SettingsError(f"{where}.{key}: {reprlib.repr(value)} is not a list")
    return value


def _texts(entry: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = _list(entry, key, where)
    for number, item in enumerate(value):
        if not isinstance(item, str):
            raise SettingsError(f"{where}.{key}[{number}]: {reprlib.repr(item)} is not a text")
    return value


def _objects(entry: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, item in enumerate(_list(entry, key, where)):
        place = f"{where}.{key}[{number}]"
        if not isinstance(item, Mapping):
            raise SettingsError(f"{place}: {reprlib.repr(item)} is not an object")
        yield place, item
