"""A lock: a request resolved to exact releases with hashes for one Glue version, to and from `pylock.toml`.

Source: PEP 751 (format), read back through `packaging.pylock`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.version import Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import ProjectName, Release, project_name
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
    def release(self) -> Release:
        """Project and version."""
        return self.project, self.version

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

    @property
    def versions(self) -> dict[ProjectName, Version]:
        """The version of every pin, by project."""
        return {pin.project: pin.version for pin in self.pins}

    def pin(self, project: ProjectName) -> Pin | None:
        """Return the pin of one project, if the lock has it."""
        return next((pin for pin in self.pins if pin.project == project), None)

    def reason(self, project: ProjectName) -> tuple[ProjectName, ...]:
        """Return the shortest chain from a requested project to `project`, both included."""
        pins = {pin.project: pin for pin in self.pins}
        chains: deque[tuple[ProjectName, ...]] = deque([(project,)])
        seen = {project}
        while chains:
            chain = chains.popleft()
            pin = pins.get(chain[0])
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

    content = _content(lock)
    document = tomlkit.document()
    for key in ("lock-version", "requires-python", "created-by"):
        document[key] = content[key]
    packages = tomlkit.aot()
    for package in content["packages"]:
        packages.append(_table_of(package))
    document["packages"] = packages or tomlkit.array()
    document["tool"] = _tool_table(content["tool"])
    return tomlkit.dumps(document)


def _table_of(content: Mapping[str, Any]) -> Any:
    """Return a table whose lists of tables have one entry a line, and whose `tool` has a header of its own."""
    import tomlkit

    table = tomlkit.table()
    for key, value in content.items():
        table[key] = _tool_table(value) if key == "tool" else _inline(value)
    return table


def _tool_table(content: Mapping[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.table(is_super_table=True)
    for key, value in content.items():
        table[key] = _table_of(value)
    return table


def _inline(value: Any) -> Any:
    import tomlkit

    if isinstance(value, _Entries):
        array = tomlkit.array().multiline(True)
        for entry in value:
            array.append(_inline(entry))
        return array
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update({key: _inline(one) for key, one in value.items()})
        return inline
    return value


class _Entries(list[dict[str, Any]]):
    """A list of which each entry is written on a line of its own."""


def _content(lock: Lock) -> dict[str, Any]:
    """Return what the file of `lock` says, all of it, in the order it is written."""
    return {
        "lock-version": _LOCK_VERSION,
        "requires-python": f"=={lock.runtime.python_text}.*",
        "created-by": _CREATED_BY,
        "packages": [_package(pin, lock.reason(pin.project)) for pin in lock.installed],
        "tool": {_TOOL: _own(lock)},
    }


def _package(pin: Pin, chain: Iterable[ProjectName]) -> dict[str, Any]:
    own: dict[str, Any] = {"wanted-by": list(pin.wanted_by), "chain": list(chain), "internal": pin.internal}
    if pin.licence is not None:
        own["licence"] = pin.licence
    if pin.built_from is not None:
        own["built-from"] = _file(pin.built_from)
    return {
        "name": pin.project,
        "version": str(pin.version),
        "wheels": _Entries(_file(file, path=f"{pin.project}/{file.filename}") for file in pin.files),
        "tool": {_TOOL: own},
    }


def _file(file: LockedFile, path: str = "") -> dict[str, Any]:
    return {
        "name": file.filename,
        **({"path": path} if path else {}),
        **({"size": file.size} if file.size is not None else {}),
        "hashes": {"sha256": file.sha256},
    }


def _own(lock: Lock) -> dict[str, Any]:
    return {
        "glue-version": lock.runtime.version,
        "allowlist-sha256": lock.allowlist_sha256,
        "minimum-age-days": lock.minimum_age_days,
        "request": list(lock.request),
        "preinstalled": _Entries(
            {"name": pin.project, "version": str(pin.version), "wanted-by": list(pin.wanted_by)}
            for pin in lock.pins
            if pin.preinstalled
        ),
    }


def lock_from_toml(text: str, where: str) -> Lock:
    """Return the lock in `text`. `where` names it in errors.

    Nothing in it is overlooked: an address, another hash or an sdist that we would not read, pip and uv would.

    Raises: SettingsError that says where the file is not a lock of ours: not TOML, not PEP 751, no hash, or
    anything else than we write.
    """
    try:
        content = tomllib.loads(text)
        lock = _lock(Pylock.from_dict(content))
        _require_equal(content, _content(lock), "")
    except (tomllib.TOMLDecodeError, PylockValidationError) as e:
        raise SettingsError(f"{where} is not a pylock file: {e}; `glue-pkgmgr lock` writes it anew") from e
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, SettingsError) as e:
        raise SettingsError(
            f"{where} is not a lock written by glue-pkgmgr ({type(e).__name__}: {e}); "
            "`glue-pkgmgr lock` writes it anew"
        ) from e
    return lock


def _require_equal(held: Any, written: Any, place: str) -> None:
    """Raise ValueError that names the place where `held` is not what is `written` for the same lock."""
    if held == written:
        return
    if isinstance(held, dict) and isinstance(written, dict):
        if other := sorted(held.keys() ^ written.keys()):
            raise ValueError(f"{place}{other[0]}: {'not written by us' if other[0] in held else 'missing'}")
        for key in written:
            _require_equal(held[key], written[key], f"{place}{key}.")
    elif isinstance(held, list) and isinstance(written, list) and len(held) == len(written):
        for number, (one, other) in enumerate(zip(held, written, strict=True)):
            _require_equal(one, other, f"{place.rstrip('.')}[{number}].")
    raise ValueError(f"{place.rstrip('.')}: {held!r:.200} where we write {written!r:.200}")


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
    if len({file.filename for file in files}) < len(files):
        raise ValueError(f"packages: {package.name} has a wheel twice")
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
