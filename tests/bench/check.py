"""How long `check` takes with ten thousand approvals, beyond the start of Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from tests.bench.measure import REPETITIONS, Sample, installed, timed

APPROVALS = 10_000
PROMISE = 0.3  # seconds after the start of Python
_LONGEST = 60.0  # seconds, for one process
_COMMAND = Path(sys.executable).with_name("glue-pkgmgr")
_NOBODY = "http://127.0.0.1:1"  # a port on which nobody listens
_MODULES = ("acme", "boto3", "pandas")
_SETTINGS = """\
[codeartifact]
domain = "bench-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[bundles.bench]
modules = ["acme", "boto3", "pandas"]
glue-version = "5.1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Seconds from the start of a process to its end.

    `python` runs `-c pass`; the others run `check` of a request that is locked, of a release that nobody approved,
    and of a name that is one letter away from an approved one.
    """

    python: Sample
    locked: Sample
    refused: Sample
    misspelt: Sample

    def after_start(self, sample: Sample) -> float:
        """Return the median of `sample` beyond the start of Python."""
        return sample.median - self.python.median


def checks() -> Checks:
    """Measure all four, taking turns, where no endpoint answers."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        write_project(folder)
        told = {
            "python": partial(_seconds, folder, 0, sys.executable, "-c", "pass"),
            "locked": partial(_seconds, folder, 0, _COMMAND, "check", ",".join(_MODULES)),
            "refused": partial(_seconds, folder, 3, _COMMAND, "check", "acme-77==99"),
            "misspelt": partial(_seconds, folder, 3, _COMMAND, "check", "acne-77"),
        }
        for action in told.values():
            action()
        found: dict[str, list[float]] = {what: [] for what in told}
        for _ in range(REPETITIONS * 2):  # they are short: more of them cost nothing
            for what, action in told.items():
                found[what].append(action())
    return Checks(**{what: Sample(seconds) for what, seconds in found.items()})


def write_project(folder: Path) -> None:
    """Write a project with ten thousand approvals and one locked bundle into `folder`."""
    (folder / "glue-pkgmgr.toml").write_text(_SETTINGS)
    names = ["acme", *(f"acme-{number}" for number in range(1, APPROVALS))]
    (folder / "allowlist.toml").write_text("\n".join(map(_entry, names, range(APPROVALS))))
    (folder / "locks").mkdir()
    (folder / "locks" / "bench.glue-5.1.pylock.toml").write_text(lock_to_toml(_lock()))


def _entry(project: str, number: int) -> str:
    until = "until = 2199-06-30\n" if number % 2 else ""
    return (
        f'[[approvals]]\nproject = "{project}"\nversions = "=={number % 7 + 1}.{number % 31}"\n'
        f'approved-by = "data-platform"\nreason = "case {number}: looked at by two people"\n{until}'
    )


def _lock() -> Lock:
    runtime = glue_runtime("5.1")
    wheel = LockedFile(filename="acme-1.0-py3-none-any.whl", sha256="a" * 64, size=1)
    acme = Pin(project=project_name("acme"), version=Version("1.0"), files=(wheel,))
    image = [project_name(name) for name in _MODULES[1:]]
    pins = [acme, *(Pin(project=name, version=runtime.preinstalled[name]) for name in image)]
    return Lock(runtime=runtime, request=_MODULES, pins=tuple(pins), minimum_age_days=7)


def unreachable(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with every endpoint at a port on which nobody listens, and compiled modules kept."""
    kept = {k: v for k, v in installed(environ).items() if not k.startswith("AWS_")}
    nobody = dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "HTTPS_PROXY"), _NOBODY)
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "none")
    return {**kept, **nobody, **keys, "PIP_INDEX_URL": f"{_NOBODY}/simple/", "PIP_CONFIG_FILE": os.devnull}


def _seconds(folder: Path, status: int, *words: str | Path) -> float:
    """Return how long a process takes that ends with `status`."""

    def run() -> None:
        finished = subprocess.run(
            words, cwd=folder, env=unreachable(os.environ), capture_output=True, timeout=_LONGEST, check=False
        )
        if finished.returncode != status:
            raise RuntimeError(f"{words} ended with {finished.returncode}: {finished.stderr!r}")

    return timed(run)
