"""Pure-Python wheels built from other people's sdists, repeatable to the byte, kept by the sdist's hash."""

from __future__ import annotations

import json
import os
import platform
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from glue_pkgmgr.adapters.backend import BuildFailed, Hooks, build_distribution, new_environment
from glue_pkgmgr.adapters.build_set import BuildSet
from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.sdist_archive import unpack
from glue_pkgmgr.adapters.wheel_archive import write_pure_wheel
from glue_pkgmgr.cache import made_once
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import Distribution, InvalidFilename, parse_filename
from glue_pkgmgr.core.simple_api import IndexFile, format_time
from glue_pkgmgr.errors import GluePkgmgrError, NotInstallable, SettingsError
from glue_pkgmgr.ports import Clock, PackageIndex, Progress, silent, utc_now
from glue_pkgmgr.process import ProcessTimeout

_HOOK_SECONDS = 600.0
_RECORD = "build.json"
_WAY_OUT = "approve a release that has a wheel, or build and publish one of your own"
# The discard port of this machine: who honours a proxy variable reaches nothing.
_NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
_COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "gfortran")
_NO_COMPILER = """#!/bin/sh
: > {told}
echo "no compiler here: only pure Python is built" >&2
exit 1
"""


class SdistWheels:
    """Builds wheels of sdists; satisfies `ports.SdistBuilder`.

    What is kept is `<folder>/<SHA-256 of the sdist>/<wheel>` and beside it `build.json`, which tells with which
    Python and which pinned build requirements it was built. They come from the index pip is configured to use.

    The backend is other people's code. It gets none of our environment, hence no credentials of it; its home
    and temporary folders go away with the build; there is no compiler; and clients that honour proxy variables
    reach no network. That is no sandbox: a backend that means to can still open a socket or read a file that
    this user may read.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        *,
        progress: Progress = silent,
        clock: Clock = utc_now,
        hook_seconds: float = _HOOK_SECONDS,
    ) -> None:
        self._environ = environ
        self._folder = folder
        self._progress = progress
        self._clock = clock
        self._hook_seconds = hook_seconds

    def wheel_of(self, index: PackageIndex, sdist: IndexFile) -> BuiltFile:
        """Return the wheel built from an sdist of `index`; see `ports.SdistBuilder`.

        Source: PEP 517; reproducible-builds.org.
        """
        distribution = _require_sdist(sdist)

        def make(folder: Path) -> None:
            self._progress(f"building a wheel from {sdist.filename}")
            with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as path:
                scratch = Path(path).resolve()
                build_set = self._build_set(sdist, scratch)
                built = self._built(sdist, _fetched(index, sdist, scratch), build_set, scratch)
                wheel = folder / built.name
                write_pure_wheel(built, wheel, distribution)
            record = _record(sdist, describe(wheel), build_set)
            (folder / _RECORD).write_text(record, encoding="utf-8")

        return _kept(made_once(self._folder / str(sdist.sha256), make, self._progress))

    def _build_set(self, sdist: IndexFile, scratch: Path) -> BuildSet:
        python = new_environment(scratch / "environment", self._environ)
        return BuildSet(self._environ, python, scratch, uploaded=sdist.upload_time, now=self._clock())

    def _built(self, sdist: IndexFile, source: Path, build_set: BuildSet, scratch: Path) -> Path:
        """Return the wheel that the backend makes of the project in `source`, as it makes it."""
        compiler_called = scratch / "compiler-called"
        python = build_set.python
        hooks = Hooks(_environment(scratch, compiler_called), python, timeout=self._hook_seconds)
        out = scratch / "out"
        out.mkdir()
        try:
            return build_distribution("wheel", source, out, python=python, install=build_set.install, hooks=hooks)
        except (BuildFailed, ProcessTimeout) as e:
            if compiler_called.exists():
                raise NotInstallable(
                    f"{sdist.filename} is not pure Python: its build calls a compiler; {_WAY_OUT}"
                ) from e
            raise NotInstallable(f"no wheel can be made of {sdist.filename}; {_WAY_OUT}\n{e}") from e


def _require_sdist(file: IndexFile) -> Distribution:
    try:
        distribution = parse_filename(file.filename)
    except InvalidFilename as e:
        raise NotInstallable(f"nothing can be built from {file.filename}: {e}") from e
    if distribution.is_wheel:
        raise NotInstallable(f"{file.filename} is a wheel already: there is nothing to build")
    if file.sha256 is None:
        raise NotInstallable(f"the index tells no SHA-256 of {file.filename}, so it is not built; {_WAY_OUT}")
    return distribution


def _fetched(index: PackageIndex, sdist: IndexFile, scratch: Path) -> Path:
    archive = scratch / sdist.filename
    index.download(sdist.url, archive, sdist.sha256 or "")
    return unpack(archive, scratch / "source")


def _environment(scratch: Path, compiler_called: Path) -> dict[str, str]:
    """Return the whole environment of the backend: nothing of ours may reach it, or change what it builds."""
    home, temporary, programs = (scratch / name for name in ("home", "tmp", "programs"))
    for folder in (home, temporary, programs):
        folder.mkdir()
    for name in _COMPILERS:
        # With one, what is built would depend on the machine; and a job on Glue is another machine.
        (programs / name).write_text(_NO_COMPILER.format(told=shlex.quote(os.fspath(compiler_called))))
        (programs / name).chmod(0o755)
    return {
        "PATH": os.pathsep.join([os.fspath(programs), os.defpath]),
        "HOME": os.fspath(home),
        "TMPDIR": os.fspath(temporary),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",  # else the source folder, and a wheel of all of it, would grow
        "PYTHONNOUSERSITE": "1",
        "PYTHONWARNINGS": "ignore",  # `build` would warn again, about code that is not our user's
        "CC": "cc",
        "CXX": "c++",
        "FC": "gfortran",
        **_NO_NETWORK,
    }


def _record(sdist: IndexFile, wheel: BuiltFile, build_set: BuildSet) -> str:
    content = {
        "sdist": {"filename": sdist.filename, "sha256": sdist.sha256},
        "wheel": {"filename": wheel.filename, "sha256": wheel.sha256, "size": wheel.size},
        "python": platform.python_version(),
        "build-requirements": {
            "wanted": build_set.wanted,
            "as-of": format_time(build_set.as_of) if build_set.as_of else None,
            "installed": build_set.pins,
        },
    }
    return json.dumps(content, indent=2) + "\n"


def _kept(folder: Path) -> BuiltFile:
    """Return the wheel in `folder`, if it is still the one that was built."""
    try:
        told = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["wheel"]
        wheel = describe(folder / told["filename"])
        if wheel.sha256 == told["sha256"]:
            return wheel
        why = f"{wheel.filename} has SHA-256 {wheel.sha256}, built was {told['sha256']}"
    except (OSError, ValueError, LookupError, TypeError, GluePkgmgrError) as e:
        why = str(e)
    raise SettingsError(f"{folder} no longer holds the wheel that was built there: {why}; delete it and try again")
