"""Builds projects through their PEP 517 backend, isolated and reproducible to the byte."""

from __future__ import annotations

import copy
import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import uv
from build import BuildBackendException, BuildException, ProjectBuilder

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename, sha256_hex
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, SettingsError
from glue_pkgmgr.index_source import IndexSource, configured_index, installer_environment
from glue_pkgmgr.process import Finished, run

SOURCE_DATE = 1_577_836_800
"""The time all built files carry: 2020-01-01T00:00:00Z.

A constant, not the commit's time: a checkout, an export without git and an unpacked sdist must give the same
bytes. Source: reproducible-builds.org, `SOURCE_DATE_EPOCH`; zip archives know no time before 1980.
"""

_INSTALL_SECONDS = 600.0
_HOOK_SECONDS = 1800.0
_LINES_TOLD = 12  # of a failed program's output
_CHUNK = 1024 * 1024
# A build backend is other people's code: it gets no credentials it has no use for.
_WITHHELD = ("AWS_", "TWINE_")


class ProjectBuild:
    """Builds with `build` and the backend that the project names; satisfies `ports.Builder`.

    Build requirements come from the index pip is configured to use and from nowhere else. The backend runs
    in an environment of its own, which lives as long as one build.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def build(self, source: Path, out: Path) -> Sequence[BuiltFile]:
        """Build the project in folder `source` into folder `out`: its sdist, then the wheel from that sdist.

        Equal sources give equal bytes, whatever the folder, time, time zone, umask or user. Files of the
        same names in `out` are replaced once both are built.

        Raises: SettingsError with the backend's own last words when the project cannot be built;
        IndexAccessError when its build requirements cannot be had.
        Source: PEP 517 (hooks), PEP 518 (requirements), PEP 625 (sdists).
        """
        if not (source / "pyproject.toml").is_file():
            raise SettingsError(f"nothing to build in {source}: it has no pyproject.toml; name a project's folder")
        with _scratch(out) as scratch:
            python = self._new_environment(scratch / "environment")
            sdist = self._call("sdist", source, python, scratch)
            _normalise(sdist)
            wheel = self._call("wheel", _unpack(sdist, scratch / "source"), python, scratch)
            return [_moved(file, out) for file in (sdist, wheel)]

    def _new_environment(self, folder: Path) -> Path:
        command: list[str | Path] = [
            uv.find_uv_bin(),
            "venv",
            "--quiet",
            "--no-project",
            "--python",
            sys.executable,
            folder,
        ]
        finished = run(command, env=installer_environment(self._environ, None), timeout=_INSTALL_SECONDS)
        if not finished.ok:
            raise SettingsError(f"cannot make an environment to build in: {_last_words(finished)}")
        return folder / "bin" / "python"

    def _call(self, kind: Literal["sdist", "wheel"], source: Path, python: Path, out: Path) -> Path:
        """Build one distribution (`sdist` or `wheel`) and return its path."""
        with _build_errors(source):
            builder = ProjectBuilder(
                source, python_executable=os.fspath(python), runner=_Hooks(self._environ, python)
            )
            self._install(builder.build_system_requires, python)
            self._install(builder.get_requires_for_build(kind), python)
            return Path(builder.build(kind, out))

    def _install(self, requirements: Iterable[str], python: Path) -> None:
        wanted = sorted(requirements)
        if not wanted:
            return
        index = configured_index(self._environ)
        finished = run(
            [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, "--", *wanted],
            env=installer_environment(self._environ, index),
            timeout=_INSTALL_SECONDS,
            secrets=_credentials(index),
        )
        if not finished.ok:
            raise IndexAccessError(
                f"cannot install the build requirements {', '.join(wanted)} from {index.redacted}: "
                f"{_last_words(finished)}"
            )


class _Hooks:
    """Runs the backend's hooks, for `build`, which calls it."""

    def __init__(self, environ: Mapping[str, str], python: Path) -> None:
        kept = installer_environment(environ, None)
        self._env = {k: v for k, v in kept.items() if not k.startswith(_WITHHELD) and k != "PYTHONPATH"}
        self._env.update(
            PATH=os.pathsep.join([os.fspath(python.parent), environ.get("PATH", os.defpath)]),
            SOURCE_DATE_EPOCH=str(SOURCE_DATE),
            PYTHONHASHSEED="0",
            TZ="UTC",
        )

    def __call__(
        self,
        cmd: Sequence[str],
        cwd: str | os.PathLike[str] | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        # Files a backend writes carry the umask into the archive; only a child can have one of its own.
        with_umask = ["/bin/sh", "-c", 'umask 022 && exec "$@"', "sh", *cmd]
        env = {**self._env, **(extra_environ or {})}
        finished = run(with_umask, env=env, cwd=None if cwd is None else Path(cwd), timeout=_HOOK_SECONDS)
        if not finished.ok:
            raise subprocess.CalledProcessError(finished.returncode, list(cmd), stderr=_last_words(finished))


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Make `out` and a folder in it, so that finished files are moved, not copied. It goes away at the end."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".building-", dir=out)
    except OSError as e:
        raise SettingsError(f"cannot write to {out}: {e.strerror}; check the folder and free space") from e
    with folder as path:
        yield Path(path).resolve()


@contextmanager
def _build_errors(source: Path) -> Iterator[None]:
    failed = f"cannot build {source.resolve().name}"
    try:
        yield
    except BuildBackendException as e:
        cause = e.exception
        if isinstance(cause, GluePkgmgrError):
            raise cause from e
        words = cause.stderr if isinstance(cause, subprocess.CalledProcessError) else str(cause)
        raise SettingsError(f"{failed}: {e}\n{words}" if words else f"{failed}: {e}") from e
    except BuildException as e:
        raise SettingsError(f"{failed}: {e}") from e


def _last_words(finished: Finished) -> str:
    lines = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
    return "\n".join(lines[-_LINES_TOLD:]) or f"ended with status {finished.returncode}"


def _credentials(index: IndexSource) -> list[str]:
    password = urlsplit(index.url).password
    return [password, unquote(password)] if password else []


def _normalise(sdist: Path) -> None:
    """Rewrite `sdist` so that its bytes depend on names, contents and execute bits only.

    Backends differ in what they put into an archive: owner, umask, times of files and of the archive itself.
    """
    normal = sdist.with_name(f"{sdist.name}.normal")
    with (
        tarfile.open(sdist, "r:gz") as old,
        normal.open("wb") as file,
        # No name and a fixed time: gzip's header would tell both.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=SOURCE_DATE) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            new.addfile(_anonymous(member), old.extractfile(member) if member.isreg() else None)
    normal.replace(sdist)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    executable = member.isdir() or bool(member.mode & 0o100)
    anonymous = copy.copy(member)  # `TarInfo.replace` came with Python 3.11.4
    anonymous.mtime, anonymous.mode = SOURCE_DATE, 0o755 if executable else 0o644
    anonymous.uid, anonymous.gid, anonymous.uname, anonymous.gname = 0, 0, "", ""
    # They rank above the fields, and hold times too; tarfile writes anew those that long names need.
    anonymous.pax_headers = {}
    return anonymous


def _unpack(sdist: Path, folder: Path) -> Path:
    """Unpack `sdist` and return the project's folder, the only one in it."""
    try:
        with tarfile.open(sdist) as archive:
            # Not as an argument: Python before 3.11.4 has no filters. What is unpacked is our own backend's.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202
        (project,) = folder.iterdir()
    except (tarfile.TarError, OSError, ValueError) as e:
        raise SettingsError(f"the build backend made an unusable sdist {sdist.name}: {e}") from e
    return project


def _moved(file: Path, out: Path) -> BuiltFile:
    final = out / file.name
    file.replace(final)
    return describe(final)


def describe(path: Path) -> BuiltFile:
    """Return the distribution file at `path` with its digest. Raises: SettingsError for any other file."""
    distribution = parse_filename(path.name)
    try:
        with path.open("rb") as file:
            sha256 = sha256_hex(iter(lambda: file.read(_CHUNK), b""))
        return BuiltFile(path=path, distribution=distribution, sha256=sha256, size=path.stat().st_size)
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror}") from e
