"""Builds projects through their PEP 517 backend, isolated and reproducible to the byte."""

from __future__ import annotations

import platform
import re
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from glue_pkgmgr.adapters.backend import Hooks, backend_requirements, build_distribution, new_environment
from glue_pkgmgr.adapters.build_requirements import (
    PinnedRequirements,
    RequirementsResolver,
    build_lock_digest,
    read_build_lock,
    write_build_lock,
)
from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.reproducible import normalise_sdist, normalise_wheel
from glue_pkgmgr.core.build_lock import FILENAME, BuildLock, build_requirements
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.built_project import BuildInputs, BuiltProject
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.ports import Clock, Progress, silent, utc_now

_HOOK_SECONDS = 1800.0
_BUILDING = ".building-"  # how the folders of builds under way begin
_LONGEST_BUILD = timedelta(days=1)  # all hooks and installations together end long before
# A build backend is other people's code: it gets no credentials it has no use for. Nor is it told of folders of
# ours that could change what it imports, or find it another configuration.
_WITHHELD = ("AWS_", "TWINE_", "PYTHON", "XDG_")
_SECRET = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|API_?KEY|PRIVATE_KEY", re.IGNORECASE)


class ProjectBuild:
    """Builds with `build` and the backend that the project names; satisfies `ports.Builder`.

    Build requirements are those that the project's `pylock.build.toml` pins, from the index pip is configured to
    use and from nowhere else. Where it has no such file, one is made; releases younger than `minimum_age` are not
    taken into it. The backend runs in an environment of its own, which lives as long as one build.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        minimum_age: timedelta,
        clock: Clock = utc_now,
        progress: Progress = silent,
    ) -> None:
        self._environ = environ
        self._minimum_age = minimum_age
        self._clock = clock
        self._progress = progress

    def build(self, source: Path, out: Path, *, renew: bool = False) -> BuiltProject:
        """Build the project in folder `source` into folder `out`: its sdist, then the wheel from that sdist.

        Equal sources give equal bytes, whatever the folder, time, time zone, umask or user. Files of the
        same names in `out` are replaced once both are built. `renew` pins the build requirements anew first.

        Raises: SettingsError with the backend's own last words when the project cannot be built, or when its
        pins no longer fit; NotInstallable when nothing old enough satisfies its build requirements, or the index
        has other bytes than were pinned; IndexAccessError when they cannot be had.
        Source: PEP 517 (hooks), PEP 518 (requirements), PEP 625 (sdists), PEP 751 (pins).
        """
        if not (source / "pyproject.toml").is_file():
            raise SettingsError(f"nothing to build in {source}: it has no pyproject.toml; name a project's folder")
        self._progress(f"building {source.resolve().name}")
        with _scratch(out, self._clock()) as scratch:
            python = new_environment(scratch / "environment", self._environ)
            hooks = Hooks(self._hook_environment(scratch), python, timeout=_HOOK_SECONDS)
            lock = None if renew else read_build_lock(source)
            if lock is None:
                lock = self._pinned(source, python, hooks)
            install = PinnedRequirements(self._environ, python, lock, source).install
            build_one = partial(build_distribution, out=scratch, python=python, install=install, hooks=hooks)
            sdist = build_one("sdist", source)
            normalise_sdist(sdist)
            wheel = build_one("wheel", _unpack(sdist, scratch / "source"))
            normalise_wheel(wheel)
            inputs = BuildInputs(
                lock_sha256=build_lock_digest(source), pins=lock.pins, python=platform.python_version()
            )
            return BuiltProject(files=tuple(_moved(file, out) for file in (sdist, wheel)), inputs=inputs)

    def _pinned(self, source: Path, python: Path, hooks: Hooks) -> BuildLock:
        """Pin what the project in `source` needs to be built, keep that beside it, and return it."""
        self._progress(f"pinning what {source.resolve().name} is built with")
        resolver = RequirementsResolver(self._environ, python, self._newest())

        def closure(requires: Collection[str], asked: Collection[str] = ()) -> BuildLock:
            static, dynamic = build_requirements(requires), build_requirements(asked)
            return BuildLock(
                requires=static,
                asked=dynamic,
                pins=resolver.pins(sorted({*static, *dynamic})),
                minimum_age_days=self._minimum_age.days,
            )

        def install(requires: Collection[str]) -> None:
            PinnedRequirements(self._environ, python, closure(requires), source).install(requires)

        requires, asked = backend_requirements(source, python=python, install=install, hooks=hooks)
        lock = closure(requires, asked)
        # Without a requirement there is nothing to keep, unless there was something before.
        if lock.wanted or (source / FILENAME).exists():
            write_build_lock(source, lock)
            self._progress(f"wrote {source / FILENAME}: keep it in git")
        return lock

    def _newest(self) -> datetime | None:
        return self._clock() - self._minimum_age if self._minimum_age else None

    def _hook_environment(self, scratch: Path) -> dict[str, str]:
        """Return what a backend gets of our environment: nothing secret, nothing that changes what it builds."""
        home = scratch / "home"
        home.mkdir()
        kept = {
            name: value
            for name, value in installer_environment(self._environ, None).items()
            if not name.startswith(_WITHHELD) and not _SECRET.search(name)
        }
        before = self._environ.get("HOME", "")
        return {
            **kept,
            "HOME": str(home),
            # Says which checkouts of other users git may read: a backend may ask it for the version.
            "GIT_CONFIG_GLOBAL": self._environ.get("GIT_CONFIG_GLOBAL") or str(Path(before) / ".gitconfig"),
            "LC_ALL": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


@contextmanager
def _scratch(out: Path, now: datetime) -> Iterator[Path]:
    """Make `out` and a folder in it, so that finished files are moved, not copied. It goes away at the end.

    So do, at last, those of builds that were killed.

    Raises: SettingsError where there, or in the block, something cannot be written or moved.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for left in out.glob(f"{_BUILDING}*"):
            with suppress(FileNotFoundError):  # another build has just removed it
                if now.timestamp() - left.stat().st_mtime > _LONGEST_BUILD.total_seconds():
                    shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.TemporaryDirectory(prefix=_BUILDING, dir=out)
    except OSError as e:
        raise SettingsError(f"cannot write to {out}: {e.strerror}; check the folder and free space") from e
    with folder as path:
        try:
            yield Path(path).resolve()
        except OSError as e:
            raise SettingsError(
                f"cannot write what was built to {out}: {e.strerror or e}{_at(e)}; check the folder and free space"
            ) from e


def _at(error: OSError) -> str:
    place = error.filename2 or error.filename
    return f" ({place})" if place else ""


def _unpack(sdist: Path, folder: Path) -> Path:
    """Unpack `sdist` and return the project's folder, the only one in it."""
    try:
        with tarfile.open(sdist) as archive:
            # Not as an argument: Python before 3.11.4 has no filters. What is unpacked is our own backend's.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202
        found = sorted(folder.iterdir()) if folder.is_dir() else []
    except (tarfile.TarError, OSError, ValueError) as e:
        raise SettingsError(f"the build backend made an unusable sdist {sdist.name}: {e}") from e
    if len(found) != 1 or not found[0].is_dir():
        there = ", ".join(one.name for one in found) or "nothing"
        raise SettingsError(f"the build backend made an sdist {sdist.name} that holds {there}, not one folder")
    return found[0]


def _moved(file: Path, out: Path) -> BuiltFile:
    final = out / file.name
    file.replace(final)
    return describe(final)
