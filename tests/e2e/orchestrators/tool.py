"""Somebody else's tool that starts job runs, in an environment of its own, with us beside it."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from glue_pkgmgr.cache import cache_folder, made_once
from glue_pkgmgr.local.jobs.uv import uv
from tests.e2e.conftest import Road

LOCKS = Path(__file__).parent


@dataclass(frozen=True)
class Tool:
    """A tool against the stand-in of `road`. What it keeps is in `home`; it is told so by `variables`."""

    road: Road
    python: Path
    home: Path
    variables: dict[str, str]

    def run(self, program: str, *arguments: str) -> CompletedProcess[str]:
        """Run a Python program in the project of `road`, as the user of the tool does."""
        words = (str(self.python), "-c", program, *arguments)
        return self.road.workspace.client(*words, HOME=str(self.home), **self.variables)

    def kept(self) -> dict[str, bytes]:
        """Return the files the tool has written: its database, its logs."""
        files = [path for path in self.home.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.home)): path.read_bytes() for path in files}


def interpreter(name: str, locks: Path = LOCKS) -> Path:
    """Return the Python that has what `name.lock` in the folder `locks` lists: the tool, and what it needs.

    Made once for each lock, like everything in the cache: some hundred megabytes.
    """
    lock = locks / f"{name}.lock"
    identity = hashlib.sha256(f"{sys.executable} {sys.version}".encode() + lock.read_bytes()).hexdigest()
    folder = cache_folder(os.environ) / locks.name / f"{name}-{identity[:10]}"

    def make(partial: Path) -> None:
        uv("venv", "--no-project", "--allow-existing", "--python", sys.executable, partial)
        # From wheels only: nothing of theirs runs while it is installed.
        install = ("pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:")
        uv(*install, "--python", partial / "bin" / "python", "-r", lock)

    made_once(folder, make, lambda line: print(line, file=sys.stderr))
    return folder / "bin" / "python"
