"""How long `lock` takes beside a bare `uv pip compile` of the same request against the same index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uv

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.core.index_url import IndexUrl
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.local.state import StateFolder
from glue_pkgmgr.settings import load_settings
from tests.bench.measure import REPETITIONS, Sample, timed

REQUEST = ("awswrangler", "pandas", "boto3", "requests", "pydantic")
PROMISE = 1.5  # times a bare `uv pip compile`
_TOKEN = timedelta(hours=1)
_LONGEST = 600.0  # seconds, for one process: the first one downloads
_COMMAND = Path(sys.executable).with_name("glue-pkgmgr")
_SETTINGS = f"""\
[codeartifact]
domain = "bench-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[bundles.wide]
modules = {json.dumps(REQUEST)}
glue-version = "5.1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """Seconds of whole processes: `bare` is `uv pip compile`, `locked` is `lock` with `--upgrade`.

    `cold` is the first `lock` of all, which downloads the wheels whose metadata it needs.
    """

    bare: Sample
    locked: Sample
    cold: float

    @property
    def ratio(self) -> float:
        """How many times as long `lock` takes, by the medians."""
        return self.locked.median / self.bare.median


def locking() -> Locking:
    """Measure both, taking turns, against one stand-in whose store reads the index pip is configured to use.

    Both have their caches warm. The bare one neither checks nor hashes anything: `--generate-hashes` would make it
    slower, and `lock` writes the hashes of every wheel a job may get.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _stand_in(Path(name)) as (folder, environ):
        lock: list[str | Path] = [_COMMAND, "-q", "lock", "wide", "--upgrade"]
        terms = ["--by", "bench", "--reason", "bench", "--yes"]
        _run([_COMMAND, "-q", "approve", "--closure", ",".join(REQUEST), *terms], folder, environ)
        for kept in (folder / "cache").glob("metadata/*"):
            kept.unlink()
        cold = timed(lambda: _run(lock, folder, environ))
        compiling = _only(_index_url(folder, environ), folder)
        _compile(folder, compiling)
        bare, locked = [], []
        for _ in range(REPETITIONS * 2):  # each is over in seconds, and a busy machine shows in both
            bare.append(timed(lambda: _compile(folder, compiling)))
            locked.append(timed(lambda: _run(lock, folder, environ)))
    return Locking(bare=Sample(bare), locked=Sample(locked), cold=cold)


@contextmanager
def _stand_in(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Give the folder of a project and the environment of its stand-in, a process of its own as it always is."""
    (folder / "glue-pkgmgr.toml").write_text(_SETTINGS)
    (folder / "allowlist.toml").write_text("")
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ["GLUE_PKGMGR_CACHE"] = str(folder / "cache")
    try:
        _run([_COMMAND, "-q", "local", "up"], folder, environ)
        running = StateFolder(folder / ".glue-pkgmgr" / "local").read()
        assert running is not None
        yield folder, running.environment(environ)
    finally:
        _run([_COMMAND, "-q", "local", "down"], folder, environ)


def _index_url(folder: Path, environ: Mapping[str, str]) -> IndexUrl:
    store = load_settings(folder / "glue-pkgmgr.toml").codeartifact.store_repository
    codeartifact = CodeArtifact(Clients(environ, store.region).client("codeartifact"))
    return IndexUrl(codeartifact.endpoint(store), codeartifact.issue(store.domain, store.owner, _TOKEN))


def _only(url: IndexUrl, folder: Path) -> dict[str, str]:
    """Return the environment of a uv that knows one index, and keeps its cache where nobody else does."""
    own = {"UV_DEFAULT_INDEX": url.reveal(), "UV_CACHE_DIR": str(folder / "uv")}
    return {**installer_environment(os.environ, None), **own}


def _compile(folder: Path, environ: Mapping[str, str]) -> None:
    words = [
        *(uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header", "--only-binary", ":all:"),
        *("--python", sys.executable, "--python-version", "3.11"),
        *("--python-platform", "x86_64-manylinux_2_34"),
    ]
    _run(words, folder, environ, "\n".join(REQUEST))


def _run(words: Sequence[str | Path], folder: Path, environ: Mapping[str, str], given: str = "") -> None:
    """Run a process that has to succeed. Raises: CalledProcessError, after its own words were shown."""
    finished = subprocess.run(
        words, cwd=folder, env=environ, input=given, capture_output=True, text=True, timeout=_LONGEST, check=False
    )
    if finished.returncode:
        sys.stderr.write(finished.stderr)
    finished.check_returncode()
