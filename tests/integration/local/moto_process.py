"""moto in a process of its own: a correction of it stays in force for as long as its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import glue_pkgmgr
from glue_pkgmgr.local.state import without_aws


def answers_of(script: str, how: str) -> object:
    """Return what `script`, given the argument `how`, prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", script, how],
        cwd=Path(glue_pkgmgr.__file__).parents[1],
        env=without_aws(os.environ),  # an endpoint set for other tests would be asked instead
        capture_output=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)
