"""A lock: a request resolved to exact releases with hashes for one Glue version, to and from `pylock.toml`.

Source: PEP 751 (format), read back through `packaging.pylock`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.version import Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.request import parse_items
from glue_pkgmgr.core.runtime import GlueRuntime, glue_runtime
from glue_pkgmgr.errors import SettingsError

_LOCK_VERSION = "1.0"
_CREATED_BY = "glue-pkgmgr"
_TOOL = "glue-pkgmgr"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A wheel a job may get: SHA-256 as 64 hexadecimal digits, size in bytes if the index told."""

    filename: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One exact release of a lock.

    `files` are the wheels the Glue version accepts, the best first; empty for a release that is in the Glue
    image already. `wanted_by` names the projects that require it, sorted; empty if the request itself does.
    `internal` tells a release of our own from one of the store. `licence` is the SPDX expression that counted
    when it was locked, None where none could be told. `built_from` is the sdist of the store that its only
    wheel was built from, by us.
    """

    project: ProjectName
    version: Version
    files: tuple[LockedFile, ...] = ()
    wanted_by: tuple[ProjectName, ...] = ()
    internal: bool = False
    licence: str | None = None
    built_from: LockedFile | None = None

    @property
    def preinstalled(self) -> bool:
        """Whether the Glue image brings the release, so that nothing is installed."""
        return not self.files

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A resolved request. `request` keeps the order it was written in, `pins` is sorted by project.

    `allowlist_sha256` is the digest of the approvals that let its releases in (`AllowList.digest`),
    `minimum_age_days` the rule for young releases that was in force.
    """

    runtime: GlueRuntime
    request: tuple[str, ...]
    pins: tuple[Pin, ...]
    allowlist_sha256: str = ""
    minimum_age_days: int = 0

    @property
    def installed(self) -> tuple[Pin, ...]:
        """The releases a job installs: those that the Glue image does not bring."""
        return tuple(pin for pin in self.pins if not pin.preinstalled)

    def pin(self, project: ProjectName) -> Pin | None:
        """Return the pin of one project, if the lock has it."""
        return next((pin for pin in self.pins if pin.project == project), None)

    def reason(self, project: ProjectName) -> tuple[ProjectName, ...]:
        """Return the shortest chain from a requested project to `project`, both included."""
        chains: list[tuple[ProjectName, ...]] = [(project,)]
        seen = {project}
        while chains:
            chain = chains.pop(0)
            pin = self.pin(chain[0])
            if pin is None or not pin.wanted_by:
                return chain
            for parent in pin.wanted_by:
                if parent not in seen:
                    seen.add(parent)
                    chains.append((parent, *chain))
        return (project,)


def requirements_text(lock: Lock, index_url: str) -> str:
    """Return a requirements file that installs exactly `lock` from `index_url`, every file by hash.

    `index_url` may hold a token; the text is then a secret.
    Source: pip, "Requirements File Format" and "Secure installs"; understood by pip 23.0.1 and later.
    """
    lines = [f"--index-url {index_url}", "--only-binary :all:", "--require-hashes"]
    for pin in lock.installed:
        hashes = sorted({file.sha256 for file in pin.files})
        lines.append(" \\\n".join([str(pin), *(f"    --hash=sha256:{digest}" for digest in hashes)]))
    return "\n".join(lines) + "\n"


def lock_to_toml(lock: Lock) -> str:
    """Return `lock` as the text of a pylock file: same lock, same bytes; no host, date or secret in it."""
    import tomlkit

    document = tomlkit.document()
    document["lock-version"] = _LOCK_VERSION
    document["requires-python"] = f"=={lock.runtime.python_text}.*"
    document["created-by"] = _CREATED_BY
    packages = tomlkit.aot()
    for pin in lock.installed:
        packages.append(_package(pin, lock.reason(pin.project)))
    if packages:
        document["packages"] = packages
    else:
        document["packages"] = tomlkit.array()
    document["tool"] = _tool(lock)
    return tomlkit.dumps(document)


def _file_table(file: LockedFile, path: str = "") -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    table["name"] = file.filename
    if path:
        table["path"] = path
    if file.size is not None:
        table["size"] = file.size
    hashes = tomlkit.inline_table()
    hashes["sha256"] = file.sha256
    table["hashes"] = hashes
    return table


def _package(pin: Pin, chain: Iterable[ProjectName]) -> Any:
    import tomlkit

    table = tomlkit.table()
    table["name"] = str(pin.project)
    table["version"] = str(pin.version)
    wheels = tomlkit.array().multiline(True)
    for file in pin.files:
        wheels.append(_file_table(file, path=f"{pin.project}/{file.filename}"))
    table["wheels"] = wheels
    own = tomlkit.table()
    own["wanted-by"] = [str(parent) for parent in pin.wanted_by]
    own["chain"] = [str(project) for project in chain]
    own["internal"] = pin.internal
    if pin.licence is not None:
        own["licence"] = pin.licence
    if pin.built_from is not None:
        own["built-from"] = _file_table(pin.built_from)
    table["tool"] = tomlkit.table(is_super_table=True)
    table["tool"][_TOOL] = own
    return table


def _tool(lock: Lock) -> Any:
    import tomlkit

    own = tomlkit.table()
    own["glue-version"] = lock.runtime.version
    own["allowlist-sha256"] = lock.allowlist_sha256
    own["minimum-age-days"] = lock.minimum_age_days
    own["request"] = list(lock.request)
    preinstalled = tomlkit.array().multiline(True)
    for pin in lock.pins:
        if pin.preinstalled:
            entry = tomlkit.inline_table()
            entry["name"] = str(pin.project)
            entry["version"] = str(pin.version)
            entry["wanted-by"] = [str(parent) for parent in pin.wanted_by]
            preinstalled.append(entry)
    own["preinstalled"] = preinstalled
    tool = tomlkit.table(is_super_table=True)
    tool[_TOOL] = own
    return tool


def lock_from_toml(text: str, where: str) -> Lock:
    """Return the lock in `text`. `where` names it in errors.

    Raises: SettingsError that says where the file is not a lock of ours: not TOML, not PEP 751, no hash.
    """
    try:
        return _lock(Pylock.from_dict(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, PylockValidationError) as e:
        raise SettingsError(f"{where} is not a pylock file: {e}; `glue-pkgmgr lock` writes it anew") from e
    except (KeyError, TypeError, ValueError, AttributeError, SettingsError) as e:
        raise SettingsError(
            f"{where} is not a lock written by glue-pkgmgr ({type(e).__name__}: {e}); "
            "`glue-pkgmgr lock` writes it anew"
        ) from e


def _lock(pylock: Pylock) -> Lock:
    own = (pylock.tool or {})[_TOOL]
    pins = [_pin(package) for package in pylock.packages]
    pins += [_preinstalled(entry) for entry in own["preinstalled"]]
    if repeated := [project for project, times in Counter(pin.project for pin in pins).items() if times > 1]:
        raise ValueError(f"{repeated[0]} is locked twice")
    if not isinstance(own["request"], list):
        raise TypeError("request is not a list")
    return Lock(
        runtime=glue_runtime(own["glue-version"]),
        request=tuple(str(item) for item in parse_items(own["request"])),
        pins=tuple(sorted(pins, key=lambda pin: pin.project)),
        allowlist_sha256=_text(own["allowlist-sha256"]),
        minimum_age_days=int(own["minimum-age-days"]),
    )


def _pin(package: Package) -> Pin:
    own = (package.tool or {})[_TOOL]
    if package.version is None or not package.wheels:
        raise ValueError(f"packages: {package.name} has no version or no wheels")
    project = project_name(package.name)
    files = tuple(
        _locked_file(wheel.name or "", wheel.hashes, wheel.size, project, package.version)
        for wheel in package.wheels
    )
    return Pin(
        project=project,
        version=package.version,
        files=files,
        wanted_by=_names(own["wanted-by"]),
        internal=bool(own["internal"]),
        licence=_text(own["licence"]) if "licence" in own else None,
        built_from=_built_from(own["built-from"], project, package.version) if "built-from" in own else None,
    )


def _built_from(entry: Mapping[str, Any], project: ProjectName, version: Version) -> LockedFile:
    sdist = parse_filename(entry["name"])
    if (sdist.project, sdist.version) != (project, version) or sdist.is_wheel:
        raise ValueError(f"built-from: {entry['name']} is not an sdist of {project} {version}")
    return LockedFile(
        filename=sdist.filename, sha256=_sha256(entry["hashes"], sdist.filename), size=entry.get("size")
    )


def _locked_file(
    filename: str, hashes: Mapping[str, str], size: int | None, project: ProjectName, version: Version
) -> LockedFile:
    distribution = parse_filename(filename)
    if (distribution.project, distribution.version) != (project, version) or not distribution.is_wheel:
        raise ValueError(f"{filename} is not a wheel of {project} {version}")
    return LockedFile(filename=filename, sha256=_sha256(hashes, filename), size=size)


def _sha256(hashes: Mapping[str, str], filename: str) -> str:
    sha256 = hashes.get("sha256", "")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{filename}: no sha256 of 64 lower-case hexadecimal digits")
    return sha256


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _preinstalled(entry: Mapping[str, Any]) -> Pin:
    return Pin(
        project=project_name(entry["name"]),
        version=Version(entry["version"]),
        wanted_by=_names(entry["wanted-by"]),
    )


def _names(texts: Iterable[str]) -> tuple[ProjectName, ...]:
    return tuple(project_name(text) for text in texts)
