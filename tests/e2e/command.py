"""Our command as a process of its own, as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 600.0  # seconds, for any one command: an empty cache is filled first


@dataclass(frozen=True)
class Command:
    """`glue-pkgmgr`, started in `folder` with `environment`."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def in_folder(cls, folder: Path, home: Path, **variables: str) -> Command:
        """Return the command for an empty home folder and no way to AWS."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GLUE_PKGMGR_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        ours = {"HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        return cls(folder, {**kept, **ours, **variables})

    def words(self, *arguments: str) -> list[str]:
        """Return the command line that calls us with `arguments`."""
        return [sys.executable, "-m", "glue_pkgmgr", *arguments]

    def start(self, *arguments: str, **options: int) -> subprocess.Popen[str]:
        """Start it; `options` are those of `Popen`, its outputs being pipes otherwise."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            self.words(*arguments), cwd=self.folder, env=dict(self.environment), text=True, **pipes
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.words(*arguments),
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
