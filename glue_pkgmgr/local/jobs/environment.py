"""Python environments like those of a Glue version: one base for each, and a fresh clone for each run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from glue_pkgmgr.cache import Say, made_once
from glue_pkgmgr.index_source import IndexSource, configured_index
from glue_pkgmgr.local.jobs.uv import attempt, explain, unsatisfiable, uv

_LAYOUT = 1  # grows when what we write into a base environment changes
_LEFT_OUT = "left-out.json"
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseEnvironment:
    """A complete environment that is only ever cloned.

    `left_out` maps each pre-installed requirement (`name==version`) that has no wheel for this platform to
    what uv said about it.
    """

    folder: Path
    left_out: Mapping[str, str]


def base_environment(
    glue_version: str,
    pins: Sequence[str],
    python: Path,
    *,
    cache: Path,
    say: Say,
    source: IndexSource | None = None,
) -> BaseEnvironment:
    """Return the environment of a Glue version for `python`, made on first use in the folder `cache`.

    It holds exactly `pins` (`name==version`, pip among them), from wheels only and without resolution, as
    the image of the Glue version lists them. `source` defaults to the index pip is configured to use.

    Raises: IndexAccessError, SettingsError.
    """
    identity = json.dumps([_LAYOUT, str(python), sorted(pins)])
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:10]
    folder = cache / "environments" / f"glue-{glue_version}-{fingerprint}"

    def make(partial_folder: Path) -> None:
        say(f"making the Python environment of Glue {glue_version}, once: {len(pins)} releases")
        _make_base(partial_folder, folder, pins, python, source or configured_index(os.environ))

    made_once(folder, make, say)
    left_out: dict[str, str] = json.loads((folder / _LEFT_OUT).read_text())
    return BaseEnvironment(folder=folder, left_out=left_out)


def clone(base: Path, target: Path) -> None:
    """Make `target`, which must not exist, a copy of the environment `base` that can be changed freely.

    Files are hard links where the file system allows: pip never writes into a file, it replaces it, and the
    base's files are read-only besides. Scripts start the clone's own Python.
    """
    _link_tree(base, target)
    _relocate(target, base, target)


def _make_base(folder: Path, home: Path, pins: Sequence[str], python: Path, source: IndexSource) -> None:
    """Fill `folder` with an environment that will live in `home`."""
    uv("venv", "--no-project", "--allow-existing", "--python", python, folder, source=source)
    left_out = _install(folder, pins, source)
    (folder / _LEFT_OUT).write_text(json.dumps(left_out, indent=1))
    _relocate(folder, folder, home)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def _install(folder: Path, pins: Sequence[str], source: IndexSource) -> dict[str, str]:
    """Install `pins` and return those that no wheel of the index satisfies here, with the reason."""
    install = ("pip", "install", "--python", folder / "bin" / "python", "--no-deps", "--only-binary", ":all:")
    finished = attempt((*install, "--link-mode", "copy", "--compile-bytecode", *pins), source)
    if finished.ok:
        return {}
    if not unsatisfiable(finished):
        raise explain(install, finished)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reasons = pool.map(partial(_refusal, install, source), pins)
        left_out = {pin: reason for pin, reason in zip(pins, reasons, strict=True) if reason}
    remaining = [pin for pin in pins if pin not in left_out]
    if not left_out or not remaining:
        raise explain(install, finished)
    uv(*install, "--link-mode", "copy", "--compile-bytecode", *remaining, source=source)
    return left_out


def _refusal(install: Sequence[str | Path], source: IndexSource, pin: str) -> str | None:
    finished = attempt((*install, "--dry-run", pin), source)
    if finished.ok:
        return None
    if not unsatisfiable(finished):
        raise explain(install, finished)
    return " ".join(finished.stderr.split())


def _link_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        for entry in entries:
            copy = target / entry.name
            if entry.is_symlink():
                copy.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                _link_tree(Path(entry.path), copy)
            else:
                _link(entry.path, copy)


def _link(source: str, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _relocate(environment: Path, old: Path, new: Path) -> None:
    """Replace the path `old` by `new` in the environment's settings and scripts, breaking their links."""
    for path in [environment / "pyvenv.cfg", *(environment / "bin").iterdir()]:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if os.fsencode(old) in content:
            mode = path.stat().st_mode
            path.unlink()
            path.write_bytes(content.replace(os.fsencode(old), os.fsencode(new)))
            path.chmod(mode | 0o200)
