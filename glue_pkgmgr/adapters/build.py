"""Builds projects through their PEP 517 backend, isolated and reproducible to the byte."""

from __future__ import annotations

import copy
import gzip
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uv

from glue_pkgmgr.adapters.backend import (
    INSTALL_SECONDS,
    SOURCE_DATE,
    Hooks,
    build_distribution,
    credentials,
    last_words,
    new_environment,
)
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename, sha256_hex
from glue_pkgmgr.errors import IndexAccessError, SettingsError
from glue_pkgmgr.index_source import configured_index, installer_environment
from glue_pkgmgr.process import run

_HOOK_SECONDS = 1800.0
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
            python = new_environment(scratch / "environment", self._environ)
            build_one = partial(
                build_distribution,
                out=scratch,
                python=python,
                install=partial(self._install, python),
                hooks=Hooks(self._hook_environment(), python, timeout=_HOOK_SECONDS),
            )
            sdist = build_one("sdist", source)
            _normalise(sdist)
            wheel = build_one("wheel", _unpack(sdist, scratch / "source"))
            return [_moved(file, out) for file in (sdist, wheel)]

    def _install(self, python: Path, requirements: Collection[str]) -> None:
        wanted = sorted(requirements)
        if not wanted:
            return
        index = configured_index(self._environ)
        finished = run(
            [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, "--", *wanted],
            env=installer_environment(self._environ, index),
            timeout=INSTALL_SECONDS,
            secrets=credentials(index),
        )
        if not finished.ok:
            raise IndexAccessError(
                f"cannot install the build requirements {', '.join(wanted)} from {index.redacted}: "
                f"{last_words(finished)}"
            )

    def _hook_environment(self) -> dict[str, str]:
        kept = installer_environment(self._environ, None)
        return {k: v for k, v in kept.items() if not k.startswith(_WITHHELD) and k != "PYTHONPATH"}


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
