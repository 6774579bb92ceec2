"""What the log of a run tells about it: what pip installed and said, whether the script spoke, the last lines."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.core.job import LogLine
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import SettingsError

_TAIL = 30  # lines: a Python traceback, or what pip says at its end
_INSTALLER = "PythonModuleInstaller"
_MOST_INSTALLER_LINES = 500
_LONGEST = 2_000  # characters of a line of the installer that are kept
_MOST_INSTALLED = 5_000
_STREAM = re.compile(r"^STD(?:Error|Out(?:put)?) Stream:?\s*", re.IGNORECASE)
_INSTALLED = "Successfully installed "


@dataclass(slots=True)
class RunLog:
    """Keeps of a log, fed line by line, what the end of its run is judged by. Bounded, however long the log.

    `installer` is what pip said on the driver, without Glue's own columns; `installed` what it says it installed,
    as `project-version`, in the order of its words. The times are those of pip's first and last line, and of the
    script's first.
    """

    tail: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_TAIL))
    installer: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_INSTALLER_LINES))
    installed: list[str] = field(default_factory=list)
    install_began: datetime | None = None
    install_ended: datetime | None = None
    script_began: datetime | None = None

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take note of `lines`, in order."""
        for line in lines:
            if line.executor:
                continue
            self.tail.append(line)
            if line.stream == "output":
                self.script_began = min(self.script_began or line.time, line.time)
            elif _INSTALLER in line.text or self._goes_on(line):
                said = installer_text(line.text)
                self.installer.append(said[:_LONGEST])
                words = said.partition(_INSTALLED)[2].split()
                self.installed += words[: _MOST_INSTALLED - len(self.installed)]
                self.install_began = min(self.install_began or line.time, line.time)
                self.install_ended = max(self.install_ended or line.time, line.time)

    def _goes_on(self, line: LogLine) -> bool:
        # One event may hold several lines, of which only the first has the columns that name its source.
        return bool(self.installer) and "\t" not in line.text and line.time == self.install_ended


def installer_text(line: str) -> str:
    """Return what pip said, without the columns that Glue puts before it and without passwords."""
    said = _STREAM.sub("", line.rpartition("\t")[2].strip())
    return without_credentials(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What pip says it installed beside what the lock names, each `project==version`, in the lock's order.

    `other` are installed releases of which the lock names another version or none; `missing` were not told:
    not installed, or there already.
    """

    releases: tuple[str, ...]
    missing: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @property
    def as_locked(self) -> bool:
        """Whether exactly what the lock names was installed."""
        return not self.missing and not self.other


def installed_against(lock: Lock, words: Iterable[str]) -> Installed:
    """Return what pip's `words` (`project-version`) say was installed, beside `lock`."""
    pins = {pin.project: pin for pin in lock.installed}
    told = [release for word in words if (release := _release(word, pins)) is not None]
    releases = dict(told)
    return Installed(
        releases=tuple(f"{name}=={version}" for name, version in releases.items()),
        missing=tuple(str(pin) for pin in lock.installed if pin.project not in releases),
        other=tuple(
            f"{name}=={version}"
            for name, version in releases.items()
            if name not in pins or str(pins[name].version) != version
        ),
    )


def _release(word: str, known: Iterable[ProjectName]) -> tuple[ProjectName, str] | None:
    """Return project and version of pip's word, in which both may have hyphens; a known project decides."""
    parts = word.split("-")
    ways = [("-".join(parts[:n]), "-".join(parts[n:])) for n in range(len(parts) - 1, 0, -1)]
    found = []
    for name, version in ways:
        try:
            found.append((project_name(name), _normal(version)))
        except SettingsError:
            continue
    return next((it for it in found if it[0] in known), found[0] if found else None)


def _normal(version: str) -> str:
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(version))
    except InvalidVersion:
        return version
