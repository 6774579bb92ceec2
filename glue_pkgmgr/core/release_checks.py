"""What must not be published: rules on the files of one of our own releases, each judged by what is in it.

Findings are values, and all of them come at once. An adapter reads the archives; nothing here does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from packaging.metadata import Metadata, RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.distribution import Distribution
from glue_pkgmgr.core.licence import licence_of
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.release_contents import FileContents, Kind
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime

_NAMES_TOLD = 4


class Level(StrEnum):
    """How grave a finding is: an error keeps a release from being published."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing, in `files` (names). `rule` names the rule, for programs."""

    files: tuple[str, ...]
    rule: str
    level: Level
    told: str
    hint: str

    def __str__(self) -> str:
        return f"{', '.join(self.files)}: {self.told}; {self.hint}"


def errors_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those findings that keep a release from being published."""
    return tuple(one for one in findings if one.level is Level.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """`internal` are the projects that may only come from us, None to ask nothing about that.

    `allow_dev` lets development and local versions pass.
    """

    internal: frozenset[ProjectName] | None = None
    allow_dev: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One file under examination. `fields` are the metadata that could be read."""

    contents: FileContents
    rules: ReleaseRules
    fields: RawMetadata
    unread: tuple[str, ...]

    @property
    def distribution(self) -> Distribution:
        return self.contents.distribution

    @property
    def paths(self) -> list[str]:
        """The names of all files, in an sdist below its folder."""
        names = [member.name for member in self.contents.members if member.kind is not Kind.FOLDER]
        return names if self.distribution.is_wheel else [name.partition("/")[2] for name in names]

    def found(self, rule: str, level: Level, told: str, hint: str) -> Finding:
        return Finding(files=(self.distribution.filename,), rule=rule, level=level, told=told, hint=hint)


def release_findings(files: Iterable[FileContents], rules: ReleaseRules) -> tuple[Finding, ...]:
    """Return everything that is found in the files of a release, errors first; nothing if all is well.

    What is true of several files is told once.
    """
    merged: dict[tuple[str, Level, str, str], list[str]] = {}
    for contents in files:
        for one in _findings(contents, rules):
            merged.setdefault((one.rule, one.level, one.told, one.hint), []).extend(one.files)
    found = [
        Finding(files=tuple(names), rule=rule, level=level, told=told, hint=hint)
        for (rule, level, told, hint), names in merged.items()
    ]
    return tuple(sorted(found, key=lambda one: list(Level).index(one.level)))


def _findings(contents: FileContents, rules: ReleaseRules) -> Iterator[Finding]:
    fields, unread = _parsed(contents.metadata)
    asked = _Asked(contents=contents, rules=rules, fields=fields, unread=unread)
    for check in _CHECKS:
        yield from check(asked)


def _parsed(metadata: bytes | None) -> tuple[RawMetadata, tuple[str, ...]]:
    if metadata is None:
        return {}, ()
    try:
        fields, unread = parse_email(metadata)
    except Exception as e:  # the parsers promise nothing for any bytes
        return {}, (f"all of it ({type(e).__name__})",)
    return fields, tuple(sorted(unread))


# --- the archive


def _damaged(asked: _Asked) -> Iterator[Finding]:
    if asked.contents.damage:
        told = f"cannot be read: {asked.contents.damage}"
        yield asked.found("archive", Level.ERROR, told, "build it again")


def _shape(asked: _Asked) -> Iterator[Finding]:
    """Source: PEP 427 (wheels), PEP 625 (sdists): what file and folders are called."""
    distribution, members = asked.distribution, asked.contents.members
    name = distribution.project.replace("-", "_")
    stem = f"{name}-{distribution.version}"
    normal = f"{stem}-" if distribution.is_wheel else f"{stem}.tar.gz"
    if not distribution.filename.startswith(normal):
        told = f"the file name is not in normal form, which begins {stem!r}"
        yield asked.found("name", Level.ERROR, told, "build with a backend that follows PEP 625 and PEP 427")
    if asked.contents.damage:
        return
    tops = {member.name.partition("/")[0] for member in members}
    if not distribution.is_wheel:
        if tops != {_without_suffix(distribution.filename)}:
            told = f"has {_listed(tops)} at its top, not one folder called like the file"
            yield asked.found("archive", Level.ERROR, told, "build it with a backend that follows PEP 625")
        return
    folders = {top for top in tops if top.endswith(".dist-info")}
    if len(folders) != 1 or _normal(next(iter(folders)).partition("-")[0]) != distribution.project:
        told = f"has {_listed(folders) or 'no folder'} for its metadata, not {stem}.dist-info alone"
        yield asked.found("archive", Level.ERROR, told, "build it with a backend that follows PEP 427")


def _paths(asked: _Asked) -> Iterator[Finding]:
    members = asked.contents.members
    hint = "leave it out in the configuration of the build backend"
    if astray := [member.name for member in members if not _stays_inside(member.name)]:
        yield asked.found("path", Level.ERROR, f"names lead outside, or are none: {_listed(astray)}", hint)
    if links := [member.name for member in members if member.kind is Kind.LINK]:
        yield asked.found("link", Level.ERROR, f"links: {_listed(links)}", "put the file itself there")
    if others := [member.name for member in members if member.kind is Kind.OTHER]:
        yield asked.found("link", Level.ERROR, f"neither files nor folders: {_listed(others)}", hint)
    counted = Counter(member.name for member in members if member.kind is not Kind.FOLDER)
    if twice := [name for name, times in counted.items() if times > 1]:
        told = f"more than once in the archive: {_listed(twice)}"
        yield asked.found("path", Level.ERROR, told, "installers differ in which one they take; keep one")


def _stays_inside(name: str) -> bool:
    parts = name.removesuffix("/").split("/")  # of a folder
    return (
        name.isprintable()
        and "\\" not in name
        and ":" not in parts[0]  # a drive of Windows
        and not {"", ".", ".."} & set(parts)
    )


# --- metadata


def _metadata(asked: _Asked) -> Iterator[Finding]:
    """Source: core metadata specification, through `packaging.metadata`."""
    hint = "correct [project] in pyproject.toml"
    if asked.contents.metadata is None:
        if not asked.contents.damage:
            what = "METADATA" if asked.distribution.is_wheel else "PKG-INFO"
            yield asked.found("metadata", Level.ERROR, f"has no {what}", "build it with another build backend")
        return
    if asked.unread:
        told = f"metadata that cannot be read (twice there, unknown, or not UTF-8): {_listed(asked.unread)}"
        yield asked.found("metadata", Level.ERROR, told, hint)
    try:
        Metadata.from_raw(asked.fields)
    except ExceptionGroup as e:
        for fault in e.exceptions:
            told = f"metadata: {' '.join(str(fault).split())}"
            yield asked.found("metadata", Level.ERROR, told, hint)


def _name(asked: _Asked) -> Iterator[Finding]:
    name = asked.fields.get("name")
    if name is None:
        return
    normal = _normal(name)
    if normal != asked.distribution.project:
        told = f"the metadata are of {name!r}, the file name says {asked.distribution.project!r}"
        yield asked.found("name", Level.ERROR, told, "build it again")
    elif name != normal:
        told = f"the project calls itself {name!r}, its normal form (PEP 503) is {normal!r}"
        yield asked.found("name", Level.WARNING, told, f"write name = {normal!r} in pyproject.toml")
    internal = asked.rules.internal
    if internal is not None and normal not in internal:
        told = f"{normal} is not internal, so it cannot be published"
        hint = f"add {normal!r} to `internal` under [policy] in the settings: then it can come from nowhere else"
        yield asked.found("internal", Level.WARNING, told, hint)


def _version(asked: _Asked) -> Iterator[Finding]:
    """Source: PEP 440."""
    version = asked.distribution.version
    text = asked.fields.get("version", str(version))
    try:
        stated = Version(text)
    except InvalidVersion:
        told, hint = f"the version {text!r} is none", "write one of PEP 440, such as 1.2.0"
        yield asked.found("version", Level.ERROR, told, hint)
        return
    if stated != version:
        told = f"the metadata say version {text}, the file name {version}"
        yield asked.found("version", Level.ERROR, told, "build it again")
    elif text != str(stated):
        told = f"the version is written {text!r}, its normal form (PEP 440) is {str(stated)!r}"
        yield asked.found("version", Level.WARNING, told, f"write {str(stated)!r}")
    kinds = [*(["development"] if version.is_devrelease else []), *(["local"] if version.local else [])]
    if kinds and not asked.rules.allow_dev:
        told = f"{version} is a {' and '.join(kinds)} version"
        yield asked.found(
            "version",
            Level.ERROR,
            told,
            "give it a final version, or a pre-release such as 1.2.0rc1, or pass --allow-dev",
        )


def _requirements(asked: _Asked) -> Iterator[Finding]:
    """Source: PEP 508 (direct references); an index for the public takes no release that has one."""
    elsewhere = []
    for text in asked.fields.get("requires_dist", []):
        with suppress(InvalidRequirement):  # told with the other metadata
            requirement = Requirement(text)
            elsewhere += [requirement.name] if requirement.url else []
    if elsewhere:
        # Without the addresses: credentials may be in them.
        told = f"requires what lies at an address, which nobody approves and no lock pins: {_listed(elsewhere)}"
        yield asked.found("requirement", Level.ERROR, told, "require a release of the index, by name and version")


def _runtimes(asked: _Asked) -> Iterator[Finding]:
    text = asked.fields.get("requires_python", "")
    try:
        pythons = SpecifierSet(text)
    except InvalidSpecifier:
        return  # told with the other metadata
    if not text:
        told, hint = "does not say which Pythons it is for", 'write requires-python, such as ">=3.10"'
        yield asked.found("requires-python", Level.WARNING, told, hint)
    shut_out = [one for one in RUNTIMES.values() if not pythons.contains(one.python_text)]
    named = ", ".join(f"{one.version} (Python {one.python_text})" for one in shut_out)
    if len(shut_out) == len(RUNTIMES):
        told = f"Requires-Python {text} shuts out every Glue version: {named}"
        yield asked.found("requires-python", Level.ERROR, told, "widen requires-python in pyproject.toml")
        return
    if shut_out:
        told = f"Requires-Python {text} shuts out Glue {named}"
        yield asked.found("requires-python", Level.NOTE, told, "nothing to do if no job of yours runs there")
    if asked.distribution.is_wheel:
        yield from _tags(asked, [one for one in RUNTIMES.values() if one not in shut_out])


def _tags(asked: _Asked, admitted: Sequence[GlueRuntime]) -> Iterator[Finding]:
    tags = asked.distribution.tags
    if not any(one.rank(tags) is not None for one in admitted):
        told = f"a wheel tagged {_listed(map(str, tags))} fits no Glue version that Requires-Python admits"
        hint = "build on Linux for x86-64 with the Python of the Glue version, or make it pure Python"
        yield asked.found("wheel-tags", Level.ERROR, told, hint)


def _description(asked: _Asked) -> Iterator[Finding]:
    if asked.contents.rendering and asked.contents.metadata is not None and not asked.unread:
        told = f"the long description: {asked.contents.rendering}"
        hint = "write a readme in pyproject.toml, in Markdown or in reStructuredText without errors"
        yield asked.found("description", Level.ERROR, told, hint)


_LICENCE_FILE = re.compile(r"(licen[cs]es?|copying|unlicen[cs]e)([.-].*)?", re.IGNORECASE)


def _licence(asked: _Asked) -> Iterator[Finding]:
    """Source: PEP 639 (expression, files); core metadata specification, "License" and "Classifier"."""
    fields, paths = asked.fields, asked.paths
    hint = 'write license = "MIT", or "LicenseRef-Proprietary", and license-files in pyproject.toml'
    named = fields.get("license_files", [])
    if missing := [path for path in named if not any(_is_licence_file(one, path) for one in paths)]:
        told = f"the metadata name licence files that are not there: {_listed(missing)}"
        yield asked.found("licence", Level.ERROR, told, "correct license-files in pyproject.toml")
    stated = fields.get("license_expression") or fields.get("license")
    classified = any(one.startswith("License ::") for one in fields.get("classifiers", ()))
    shipped = named or any(_LICENCE_FILE.fullmatch(PurePosixPath(path).name) for path in paths)
    if not (stated or classified or shipped):
        yield asked.found("licence", Level.ERROR, "states no licence and has no licence file", hint)
    elif licence_of(asked.contents.metadata or b"") is None:
        yield asked.found("licence", Level.WARNING, "states no licence that programs can read", hint)


def _is_licence_file(path: str, named: str) -> bool:
    """Whether a file is the one that the metadata name: as it is in an sdist, below .dist-info in a wheel."""
    folder, _, rest = path.partition("/")
    below = rest.removeprefix("licenses/") if folder.endswith(".dist-info") else ""
    return named in (path, below)


# --- what lies about

_TOOL_FOLDERS = frozenset(
    {
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".eggs",
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "node_modules",
        ".idea",
        ".vscode",
        ".ipynb_checkpoints",
        ".glue-pkgmgr",
        ".aws",
        ".ssh",
        "__MACOSX",
    }
)
_TOOL_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".coverage"})
_TOOL_SUFFIXES = (".pyc", ".pyo", ".swp", ".orig", ".rej", "~")
_BUILT = re.compile(r"dist/[^/]+\.(whl|tar\.gz|zip)|build/(lib|bdist|temp)[^/]*/.+")
_TESTS = frozenset({"test", "tests"})
_TEST_FILE = re.compile(r"conftest\.py|test_.*\.py|.*_test\.py")
_MODULES = (".py", ".pyi", ".so", ".pyd")
# Names that nobody means to import, and everybody's packaging mistakes install.
_NO_PACKAGES = frozenset(
    {
        "doc",
        "docs",
        "example",
        "examples",
        "script",
        "scripts",
        "benchmark",
        "benchmarks",
        "src",
        "build",
        "dist",
        "tools",
        "notebooks",
        "setup.py",
        "noxfile.py",
        "fabfile.py",
        "tasks.py",
    }
)


def _left_behind(asked: _Asked) -> Iterator[Finding]:
    hint = "delete it, or leave it out in the configuration of the build backend"
    if left := [path for path in asked.paths if _is_left_behind(path, wheel=asked.distribution.is_wheel)]:
        yield asked.found("cache", Level.ERROR, f"caches and leavings of programs: {_listed(left)}", hint)


def _is_left_behind(path: str, *, wheel: bool) -> bool:
    *folders, name = path.split("/")
    return (
        bool(_TOOL_FOLDERS & {*folders})
        or name.lower() in _TOOL_FILES
        or name.endswith(_TOOL_SUFFIXES)
        or (not wheel and _BUILT.fullmatch(path) is not None)
    )


def _tests(asked: _Asked) -> Iterator[Finding]:
    """Tests inside a package are its author's choice; beside it, a wheel would install them as `tests`."""
    paths = _importable(asked.paths) if asked.distribution.is_wheel else asked.paths
    found = [path for path in paths if path.partition("/")[0] in _TESTS or _TEST_FILE.fullmatch(path)]
    if found:
        level = Level.ERROR if asked.distribution.is_wheel else Level.WARNING
        hint = "leave them out in the configuration of the build backend"
        yield asked.found("tests", level, f"tests outside the package: {_listed(found)}", hint)


def _strays(asked: _Asked) -> Iterator[Finding]:
    if not asked.distribution.is_wheel or asked.contents.damage:
        return
    paths = [path for path in _importable(asked.paths) if not _is_left_behind(path, wheel=True)]
    tops: dict[str, list[str]] = {}
    for path in paths:
        tops.setdefault(path.partition("/")[0], []).append(path)
    if not any(path.endswith(_MODULES) for path in paths):
        told, hint = (
            "holds no module: nothing of it can be imported",
            "tell the build backend where the package is",
        )
        yield asked.found("stray", Level.WARNING, told, hint)
    own = asked.distribution.project
    strays = [top for top, below in tops.items() if _is_stray(top, below) and _normal(top) != own]
    if strays := [top for top in strays if top not in _TESTS and not _TEST_FILE.fullmatch(top)]:
        told = f"would lie beside everybody's packages in site-packages: {_listed(strays)}"
        hint = "put it into the package, or leave it out in the configuration of the build backend"
        yield asked.found("stray", Level.ERROR, told, hint)
    if started := [path for path in paths if "/" not in path and path.endswith(".pth")]:
        told, hint = f"runs at every start of Python: {_listed(started)}", "do it when the package is imported"
        yield asked.found("stray", Level.ERROR, told, hint)


def _is_stray(top: str, below: Sequence[str]) -> bool:
    if top in _NO_PACKAGES:
        return True
    if below == [top]:
        return not top.endswith((*_MODULES, ".pth"))
    return not any(path.endswith(_MODULES) for path in below)


def _importable(paths: Iterable[str]) -> list[str]:
    """Return the files of a wheel that get into site-packages beside its metadata, under their names there."""
    found = []
    for path in paths:
        top, _, rest = path.partition("/")
        if top.endswith(".data"):
            scheme, _, below = rest.partition("/")
            if scheme in ("purelib", "platlib"):
                found.append(below)
        elif not top.endswith(".dist-info"):
            found.append(path)
    return found


# --- secrets


def _secrets(asked: _Asked) -> Iterator[Finding]:
    hint = "leave the file out of the release; what was in an earlier one has to be revoked"
    told = [f"{member.name}: {', '.join(member.secrets)}" for member in asked.contents.members if member.secrets]
    for one in told:
        yield asked.found("secret", Level.ERROR, one, hint)


def _normal(name: str) -> ProjectName:
    return ProjectName(canonicalize_name(name))


def _listed(names: Collection[str] | Iterable[str]) -> str:
    """Return names for a sentence, the first few of many; what a terminal would obey is shown escaped."""
    ordered = sorted(name if name.isprintable() else ascii(name) for name in names)
    more = len(ordered) - _NAMES_TOLD
    return ", ".join([*ordered[:_NAMES_TOLD], *([f"and {more} more"] if more > 0 else [])])


def _without_suffix(filename: str) -> str:
    return filename.removesuffix(".zip").removesuffix(".tar.gz")


_Check = Callable[[_Asked], Iterator[Finding]]
_CHECKS: tuple[_Check, ...] = (
    _damaged,
    _shape,
    _paths,
    _metadata,
    _name,
    _version,
    _requirements,
    _runtimes,
    _description,
    _licence,
    _secrets,
    _left_behind,
    _tests,
    _strays,
)
