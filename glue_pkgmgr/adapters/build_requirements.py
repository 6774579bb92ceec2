"""The build requirements of a project of ours: resolved to pins once, and installed exactly as pinned."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path

import uv

from glue_pkgmgr.adapters.backend import INSTALL_SECONDS, credentials, last_words
from glue_pkgmgr.core.build_lock import (
    FILENAME,
    OLDEST_PYTHON,
    BuildLock,
    BuildPin,
    build_lock_from_toml,
    build_lock_to_toml,
    build_requirements,
    pins_from_pylock,
    requirements_lines,
)
from glue_pkgmgr.core.distribution import sha256_hex
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.index_source import IndexSource, configured_index, installer_environment
from glue_pkgmgr.process import Finished, ProcessTimeout, run

_RESOLVE_SECONDS = 300.0
_NO_SOLUTION = 1  # uv's exit status; an index that cannot be read gives 2
_OTHER_BYTES = "hash mismatch"  # uv's words


class PinnedRequirements:
    """Puts exactly the pins of a lock into the environment of `python`; `install` is what a build calls.

    Wheels only, from the index pip is configured to use and nowhere else. An sdist would be built with
    requirements that nobody pinned.
    """

    def __init__(self, environ: Mapping[str, str], python: Path, lock: BuildLock, project: Path) -> None:
        self._environ, self._python, self._lock, self._project = environ, python, lock, project
        self._installed = False

    def install(self, requirements: Collection[str]) -> None:
        """Install the lock where it answers `requirements`: first those of `[build-system]`, then what is asked.

        Raises: SettingsError when they are not what was pinned; NotInstallable when the index has no such file,
        or other bytes; IndexAccessError.
        """
        wanted = build_requirements(requirements)
        if self._installed:
            if unpinned := [text for text in wanted if text not in self._lock.wanted]:
                raise self._stale(
                    f"the build backend asks for {', '.join(map(repr, unpinned))}, which is not pinned"
                )
            return
        if misfit := self._lock.misfit(wanted):
            raise self._stale(f"[build-system] has changed: {misfit}")
        if self._lock.pins:
            install_pins(self._lock, self._environ, self._python)
        self._installed = True

    def _stale(self, why: str) -> SettingsError:
        return SettingsError(
            f"{self._project / FILENAME} no longer fits: {why}; pin anew with `glue-pkgmgr build --lock "
            f"{self._project}` and review what changes"
        )


class RequirementsResolver:
    """Pins build requirements to releases that are old enough.

    `newest` is the upload time (aware UTC) from which on a release is too young, None to take any. Where the
    index tells no upload time, the release is left out.
    """

    def __init__(self, environ: Mapping[str, str], python: Path, newest: datetime | None) -> None:
        self._environ, self._python, self._newest = environ, python, newest

    @cached_property
    def _index(self) -> IndexSource:
        return configured_index(self._environ)

    def pins(self, requirements: Collection[str]) -> tuple[BuildPin, ...]:
        """Return the closure of `requirements` for every machine and every Python from 3.11 on.

        Raises: NotInstallable when no releases satisfy them; IndexAccessError; SettingsError.
        """
        if not requirements:
            return ()
        named = ", ".join(requirements)
        finished = _uv(
            [
                *("compile", "-", "--universal", "--python-version", OLDEST_PYTHON, "--format", "pylock.toml"),
                *("--no-header", *(("--exclude-newer", self._newest.isoformat()) if self._newest else ())),
            ],
            self._environ,
            self._python,
            self._index,
            given="\n".join(requirements),
            timeout=_RESOLVE_SECONDS,
        )
        if finished.ok:
            return pins_from_pylock(finished.stdout)
        if finished.returncode == _NO_SOLUTION:
            raise NotInstallable(
                f"the build requirements {named} cannot be pinned from {self._index.redacted}"
                f"{self._rule()}: {last_words(finished)}"
            )
        raise IndexAccessError(
            f"cannot read the build requirements {named} from {self._index.redacted}: {last_words(finished)}"
        )

    def _rule(self) -> str:
        if self._newest is None:
            return ""
        return (
            f" (only what was uploaded before {self._newest:%Y-%m-%d %H:%M} UTC counts, as minimum-age-days says; "
            "a release whose upload time the index does not tell never does)"
        )


def install_pins(lock: BuildLock, environ: Mapping[str, str], python: Path) -> None:
    """Make the environment of `python` hold exactly the pins of `lock` that are for this machine.

    Raises: NotInstallable when the index has other bytes than were pinned; IndexAccessError.
    """
    index = configured_index(environ)
    with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as folder:
        file = Path(folder) / "build-requirements.txt"
        file.write_text("\n".join(requirements_lines(lock)) + "\n", encoding="utf-8")
        finished = _uv(["sync", "--require-hashes", file], environ, python, index, timeout=INSTALL_SECONDS)
    if finished.ok:
        return
    told = last_words(finished)
    if _OTHER_BYTES in finished.stderr.lower():
        raise NotInstallable(
            f"{index.redacted} serves other bytes than {FILENAME} pins; nothing was built with them, and somebody "
            f"has to find out who changed what: {told}"
        )
    named = ", ".join(map(str, lock.pins))
    raise IndexAccessError(f"cannot install the build requirements {named} from {index.redacted}: {told}")


def read_build_lock(project: Path) -> BuildLock | None:
    """Return what the project in that folder is built with, None where nothing is pinned yet.

    Raises: SettingsError.
    """
    path = project / FILENAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read {path}: {e}; `glue-pkgmgr build --lock` writes it anew") from e
    return build_lock_from_toml(text, str(path))


def write_build_lock(project: Path, lock: BuildLock) -> None:
    """Keep `lock` beside the project in that folder: all of it, or what was there stays. Raises: SettingsError."""
    path = project / FILENAME
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=project, prefix=f".{FILENAME}.", delete=False
        ) as new:
            new.write(build_lock_to_toml(lock))
        written = Path(new.name)
        written.chmod(0o644)
        written.replace(path)
    except OSError as e:
        raise SettingsError(
            f"cannot write {path}: {e.strerror}; a build needs its requirements pinned there: check the folder"
        ) from e


def build_lock_digest(project: Path) -> str | None:
    """Return the SHA-256 of the project's `pylock.build.toml`, None where it has none. Raises: SettingsError."""
    try:
        return sha256_hex([(project / FILENAME).read_bytes()])
    except FileNotFoundError:
        return None
    except OSError as e:
        raise SettingsError(f"cannot read {project / FILENAME}: {e.strerror}") from e


def _uv(
    arguments: Collection[str | Path],
    environ: Mapping[str, str],
    python: Path,
    index: IndexSource,
    *,
    timeout: float,
    given: str = "",
) -> Finished:
    try:
        return run(
            [
                *(uv.find_uv_bin(), "pip", *arguments, "--quiet", "--python", python),
                *("--only-binary", ":all:", "--index-strategy", "first-index"),
            ],
            env=installer_environment(environ, index),
            # Not where we happen to run: uv would read a pyproject.toml there.
            cwd=python.parent,
            input=given.encode(),
            timeout=timeout,
            secrets=credentials(index),
        )
    except ProcessTimeout as e:
        raise IndexAccessError(f"{index.redacted} is too slow with the build requirements: {e}") from e
