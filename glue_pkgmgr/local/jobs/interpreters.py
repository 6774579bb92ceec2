"""The Python interpreters of this machine, found by running them.

A name on PATH proves nothing: version switchers leave shims there that fail when they are called.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import run

PythonVersion = tuple[int, int]

# A virtual environment's interpreter answers with the one it was made from: ours must not depend on it.
_WHO_ARE_YOU = (
    "import sys; print(sys.implementation.name, *sys.version_info[:2],"
    " getattr(sys, '_base_executable', sys.executable), sep='\\n')"
)
_ANSWER_SECONDS = 10.0
_VERSIONED = re.compile(r"python(3)\.(\d+)")


def python_for(version: PythonVersion, environ: Mapping[str, str]) -> Path | None:
    """Return a working CPython of exactly `version`, such as `(3, 11)`; None if the machine has none.

    Looked for on PATH, then among what pyenv and uv have installed.
    """
    text = ".".join(map(str, version))
    names = (f"python{text}", "python3", "python")
    return next((path for found, path in _working(_candidates(names, text, environ)) if found == version), None)


def nearest_python(version: PythonVersion, environ: Mapping[str, str]) -> tuple[PythonVersion, Path] | None:
    """Return the working CPython 3 nearest to `version`, the newer of two equally near, with its version."""
    names = sorted({path.name for folder in _path(environ) for path in folder.glob("python3.*")})
    names = [name for name in names if _VERSIONED.fullmatch(name)]
    found = _working(_candidates((*names, "python3", "python"), "3.", environ))
    return max(found, key=lambda pair: (-abs(pair[0][1] - version[1]), pair[0]), default=None)


def _working(candidates: Iterable[Path]) -> Iterator[tuple[PythonVersion, Path]]:
    seen: set[Path] = set()
    for candidate in candidates:
        real = candidate.resolve()
        # A shim is one program under many names, and answers by its name.
        key = candidate if "shims" in real.parts else real
        if key in seen or not os.access(candidate, os.X_OK):
            continue
        seen.add(key)
        if answer := _ask(candidate):
            yield answer


def _ask(candidate: Path) -> tuple[PythonVersion, Path] | None:
    try:
        finished = run([candidate, "-I", "-c", _WHO_ARE_YOU], timeout=_ANSWER_SECONDS)
    except SettingsError:
        return None
    match finished.stdout.splitlines():
        case ["cpython", major, minor, executable] if finished.ok:
            return (int(major), int(minor)), Path(executable)
    return None


def _candidates(names: Iterable[str], version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for name in names:
        for folder in _path(environ):
            yield folder / name
    home = Path(environ.get("HOME") or Path.home())
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python3"), reverse=True)
    yield from sorted(data.glob(f"uv/python/cpython-{version}*/bin/python3"), reverse=True)


def _path(environ: Mapping[str, str]) -> list[Path]:
    return [Path(entry) for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry]
