"""What a project of ours is built with: its build requirements, pinned, to and from `pylock.build.toml`.

Source: PEP 751 (format, and `pylock.NAME.toml` as the name), read back through `packaging.pylock`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from packaging.markers import Marker
from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.lockfile import LockedFile
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import SettingsError

FILENAME = "pylock.build.toml"
"""The file's name; it lies beside the project's pyproject.toml, in git."""

OLDEST_PYTHON = "3.11"
"""Pins are resolved for this Python and every later one, so that they do not depend on who makes them."""

_LOCK_VERSION = "1.0"
_CREATED_BY = _TOOL = "glue-pkgmgr"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPin:
    """One exact release that builds use. `files` are its wheels for all machines, sorted by name.

    `marker` says on which Pythons and machines it is used; empty for all.
    """

    project: ProjectName
    version: Version
    files: tuple[LockedFile, ...]
    marker: str = ""

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLock:
    """The whole closure of what a build needs. `pins` are sorted by project, then marker.

    `requires` is what `[build-system]` of pyproject.toml says, `asked` what the backend asks for beside it; both
    are requirements as `build_requirement` writes them, sorted. `minimum_age_days` is the rule for young releases
    that was in force.
    """

    requires: tuple[str, ...]
    asked: tuple[str, ...] = ()
    pins: tuple[BuildPin, ...] = ()
    minimum_age_days: int = 0

    @property
    def wanted(self) -> frozenset[str]:
        """Every requirement that the pins satisfy."""
        return frozenset(self.requires) | frozenset(self.asked)

    def misfit(self, requires: Collection[str]) -> str:
        """Return how `[build-system]` differs from what was pinned, in words; empty if it does not."""
        new, gone = sorted({*requires} - {*self.requires}), sorted({*self.requires} - {*requires})
        told = [f"{', '.join(map(repr, new))} was not pinned"] if new else []
        told += [f"{', '.join(map(repr, gone))} is pinned and no longer required"] if gone else []
        return "; ".join(told)


def build_requirement(text: str) -> str:
    """Return a build requirement in one form: normalised name, extras, specifier, marker.

    Raises: SettingsError when it is more than names and versions of an index.
    Source: PEP 508, PEP 518.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as e:
        raise SettingsError(f"{text!r} is not a build requirement: {e}") from e
    if requirement.url:
        raise SettingsError(
            f"the build requirement {text!r} is an address, and what lies there cannot be pinned; "
            "name a release of the index"
        )
    requirement.name = project_name(requirement.name)
    named = str(requirement)
    if (
        not named.isprintable()
    ):  # a line break in a marker would begin a line of an installer's input: an option, say
        raise SettingsError(f"the build requirement {text!r} holds control characters")
    return named


def build_requirements(texts: Iterable[str]) -> tuple[str, ...]:
    """Return build requirements in one form, sorted. Raises: SettingsError as `build_requirement` does."""
    return tuple(sorted({build_requirement(text) for text in texts}))


def requirements_lines(lock: BuildLock) -> list[str]:
    """Return the lines of a requirements file that installs exactly `lock`, every file by hash."""
    return [
        " ".join(
            [
                f"{pin} ; {pin.marker}" if pin.marker else str(pin),
                *(f"--hash=sha256:{digest}" for digest in sorted({file.sha256 for file in pin.files})),
            ]
        )
        for pin in lock.pins
    ]


def pins_from_pylock(text: str) -> tuple[BuildPin, ...]:
    """Return the pins of a pylock file as a resolver writes it; where files lie is left out.

    Raises: SettingsError for a file that pins no exact release, or names a file without hash.
    """
    try:
        return _pins(Pylock.from_dict(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, PylockValidationError, ValueError, SettingsError) as e:
        raise SettingsError(f"the resolver answered with something that cannot be pinned: {e}") from e


def build_lock_to_toml(lock: BuildLock) -> str:
    """Return `lock` as the text of a pylock file: same lock, same bytes; no host and no date in it."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("What this project is built with: keep it in git, review its changes."))
    document.add(tomlkit.comment("`glue-pkgmgr build --lock` writes it anew."))
    document["lock-version"] = _LOCK_VERSION
    document["requires-python"] = f">={OLDEST_PYTHON}"
    document["created-by"] = _CREATED_BY
    packages = tomlkit.aot()
    for pin in lock.pins:
        packages.append(_package(pin))
    document["packages"] = packages if lock.pins else tomlkit.array()
    own = tomlkit.table()
    own["build-requires"] = list(lock.requires)
    own["backend-asks"] = list(lock.asked)
    own["minimum-age-days"] = lock.minimum_age_days
    document["tool"] = tomlkit.table(is_super_table=True)
    document["tool"][_TOOL] = own
    return tomlkit.dumps(document)


def build_lock_from_toml(text: str, where: str) -> BuildLock:
    """Return the lock in `text`. `where` names it in errors.

    Raises: SettingsError that says where the file is not such a lock: not TOML, not PEP 751, no hash.
    """
    try:
        pylock = Pylock.from_dict(tomllib.loads(text))
        own = (pylock.tool or {})[_TOOL]
        return BuildLock(
            requires=build_requirements(own["build-requires"]),
            asked=build_requirements(own["backend-asks"]),
            pins=_pins(pylock),
            minimum_age_days=int(own["minimum-age-days"]),
        )
    except (
        tomllib.TOMLDecodeError,
        PylockValidationError,
        LookupError,
        TypeError,
        ValueError,
        SettingsError,
    ) as e:
        raise SettingsError(
            f"{where} is not a lock of build requirements ({type(e).__name__}: {e}); "
            "`glue-pkgmgr build --lock` writes it anew"
        ) from e


def _pins(pylock: Pylock) -> tuple[BuildPin, ...]:
    pins = [_pin(package) for package in pylock.packages]
    repeated = [key for key, times in Counter((pin.project, pin.marker) for pin in pins).items() if times > 1]
    if repeated:
        raise ValueError(f"{repeated[0][0]} is pinned twice")
    return tuple(sorted(pins, key=lambda pin: (pin.project, pin.marker)))


def _pin(package: Package) -> BuildPin:
    project = project_name(package.name)
    if package.version is None or not package.wheels:
        raise ValueError(f"packages: {project} has no version or no wheels")
    files = {}
    for wheel in package.wheels:
        distribution = parse_filename(wheel.filename)
        if (distribution.project, distribution.version) != (project, package.version) or not distribution.is_wheel:
            raise ValueError(f"{wheel.filename} is not a wheel of {project} {package.version}")
        sha256 = wheel.hashes.get("sha256", "")
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{wheel.filename}: no sha256 of 64 lower-case hexadecimal digits")
        files[wheel.filename] = LockedFile(filename=wheel.filename, sha256=sha256, size=wheel.size)
    return BuildPin(
        project=project,
        version=package.version,
        files=tuple(files[name] for name in sorted(files)),
        marker=_marker(package.marker, project),
    )


def _marker(marker: Marker | None, project: ProjectName) -> str:
    text = "" if marker is None else str(marker)
    if not text.isprintable():
        raise ValueError(f"the marker of {project} holds control characters")
    return text


def _package(pin: BuildPin) -> Any:
    import tomlkit

    table = tomlkit.table()
    table["name"] = str(pin.project)
    table["version"] = str(pin.version)
    if pin.marker:
        table["marker"] = pin.marker
    wheels = tomlkit.array().multiline(True)
    for file in pin.files:
        wheel = tomlkit.inline_table()
        wheel["name"] = file.filename
        wheel["path"] = f"{pin.project}/{file.filename}"
        if file.size is not None:
            wheel["size"] = file.size
        hashes = tomlkit.inline_table()
        hashes["sha256"] = file.sha256
        wheel["hashes"] = hashes
        wheels.append(wheel)
    table["wheels"] = wheels
    return table
