"""A project's PEP 517 backend, run in an environment of its own: the one way we build a distribution file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import uv
from build import BuildBackendException, BuildException, ProjectBuilder

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.errors import GluePkgmgrError, SettingsError
from glue_pkgmgr.index_source import IndexSource, installer_environment
from glue_pkgmgr.process import Finished, run

SOURCE_DATE = 1_577_836_800
"""The time all built files carry: 2020-01-01T00:00:00Z.

A constant, not the commit's time: a checkout, an export without git and an unpacked sdist must give the same
bytes. Source: reproducible-builds.org, `SOURCE_DATE_EPOCH`; zip archives know no time before 1980.
"""

INSTALL_SECONDS = 600.0
_LINES_TOLD = 12  # of a failed program's output

Install = Callable[[Collection[str]], None]
"""Installs build requirements (PEP 508) into the environment of a build; called once for each stage."""


class BuildFailed(SettingsError):
    """The backend failed, or the project does not say how it is built; the text has its last words."""


class Hooks:
    """Runs a backend's hooks, for `build`, which calls it.

    They see `environ` and what makes builds repeatable, and each is ended after `timeout` seconds.
    """

    def __init__(self, environ: Mapping[str, str], python: Path, *, timeout: float) -> None:
        self._timeout = timeout
        self._env = {
            **environ,
            "PATH": os.pathsep.join([os.fspath(python.parent), environ.get("PATH", os.defpath)]),
            "SOURCE_DATE_EPOCH": str(SOURCE_DATE),
            "PYTHONHASHSEED": "0",
            "TZ": "UTC",
        }

    def __call__(
        self,
        cmd: Sequence[str],
        cwd: str | os.PathLike[str] | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        """Run one hook. Raises: CalledProcessError, which `build` expects; ProcessTimeout."""
        # Files a backend writes carry the umask into the archive; only a child can have one of its own.
        with_umask = ["/bin/sh", "-c", 'umask 022 && exec "$@"', "sh", *cmd]
        env = {**self._env, **(extra_environ or {})}
        finished = run(with_umask, env=env, cwd=None if cwd is None else Path(cwd), timeout=self._timeout)
        if not finished.ok:
            raise subprocess.CalledProcessError(finished.returncode, list(cmd), stderr=last_words(finished))


def new_environment(folder: Path, environ: Mapping[str, str]) -> Path:
    """Make an empty virtual environment in `folder` with our own Python and return its interpreter.

    Raises: SettingsError.
    """
    command: list[str | Path] = [
        *(uv.find_uv_bin(), "venv", "--quiet", "--no-project"),
        *("--python", sys.executable, folder),
    ]
    finished = run(command, env=installer_environment(environ, None), timeout=INSTALL_SECONDS)
    if not finished.ok:
        raise SettingsError(f"cannot make an environment to build in: {last_words(finished)}")
    return folder / "bin" / "python"


def build_distribution(
    kind: Literal["sdist", "wheel"], source: Path, out: Path, *, python: Path, install: Install, hooks: Hooks
) -> Path:
    """Build the project in folder `source` into folder `out` and return the file.

    `install` first gets what the project requires, then what the backend asks for beside it. A project
    without pyproject.toml is built by setuptools.

    Raises: BuildFailed; ProcessTimeout; what `install` raises.
    Source: PEP 517 (hooks, and "Source trees" for a missing pyproject.toml), PEP 518 (requirements).
    """
    with _build_errors(source):
        builder = ProjectBuilder(source, python_executable=os.fspath(python), runner=hooks)
        install(builder.build_system_requires)
        install(_asked(builder, kind))
        return _built(builder, kind, out)


def backend_requirements(
    source: Path, *, python: Path, install: Install, hooks: Hooks
) -> tuple[frozenset[str], frozenset[str]]:
    """Return what the project in folder `source` requires to be built, and what its backend asks for beside it.

    `install` gets the first before the backend is asked for the second, for its sdist and its wheel. Nothing is
    built.

    Raises: as `build_distribution`.
    """
    with _build_errors(source):
        builder = ProjectBuilder(source, python_executable=os.fspath(python), runner=hooks)
        install(builder.build_system_requires)
        asked = _asked(builder, "sdist") | _asked(builder, "wheel")
        return frozenset(builder.build_system_requires), frozenset(asked)


def _asked(builder: ProjectBuilder, kind: Literal["sdist", "wheel"]) -> set[str]:
    """Return what the backend asks for. Raises: BuildFailed when it answers something else than requirements."""
    asked: set[object] = set(builder.get_requires_for_build(kind))
    if strange := [one for one in asked if not isinstance(one, str)]:
        raise BuildFailed(f"the build backend asks for {strange[0]!r}, which is no requirement")
    return {str(one) for one in asked}


def _built(builder: ProjectBuilder, kind: Literal["sdist", "wheel"], out: Path) -> Path:
    """Return the file of that kind that the backend puts into `out`.

    Raises: BuildFailed when it names another file: what lies elsewhere is not to be moved or written to, and may
    not be what was built.
    """
    try:
        named = builder.build(kind, out)
    except TypeError as e:  # `build` joins a folder and what the backend answered
        raise BuildFailed(f"the build backend answered no file name of its {kind}: {e}") from e
    file = Path(named)
    if file.parent.resolve() != out.resolve() or file.is_symlink() or not file.is_file():
        raise BuildFailed(f"the build backend says that its {kind} is {file.name!r}, and put no such file there")
    try:
        right = parse_filename(file.name).is_wheel == (kind == "wheel") and not file.name.endswith(".zip")
    except InvalidFilename as e:
        raise BuildFailed(f"the build backend gave its {kind} a wrong name: {e}") from e
    if not right:
        raise BuildFailed(f"the build backend made {file.name}, which is not the {kind} that it was asked for")
    return file


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
        raise BuildFailed(f"{failed}: {e}\n{words}" if words else f"{failed}: {e}") from e
    except BuildException as e:
        raise BuildFailed(f"{failed}: {e}") from e
    except UnicodeDecodeError as e:
        raise BuildFailed(f"{failed}: pyproject.toml is not UTF-8 (byte {e.start}); save it as UTF-8") from e
    except ValueError as e:  # of `pyproject_hooks`, which does not say of what it speaks
        raise BuildFailed(f"{failed}: backend-path in pyproject.toml: {e}") from e


def last_words(finished: Finished) -> str:
    """Return the last lines of what a program printed, or its exit status if it printed nothing."""
    lines = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
    return "\n".join(lines[-_LINES_TOLD:]) or f"ended with status {finished.returncode}"


def credentials(index: IndexSource) -> list[str]:
    """Return the texts that must not be seen in the output of a child that was given `index`."""
    password = urlsplit(index.url).password
    return [password, unquote(password)] if password else []
