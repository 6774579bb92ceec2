"""What the tests of the stand-in share: small settings, and a look at its processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from glue_pkgmgr.settings import Settings, load_settings

BUCKET = "taxi-data"
SETTINGS = """
[codeartifact]
domain = "the-domain"
owner = "{account}"
region = "{region}"
store = "pypi-store"
repository = "approved"

[policy]
internal = ["glueutils", "house-style"]

[bundles.taxi]
modules = ["glueutils==0.2.0"]
glue-version = "5.1"

[jobs.taxi]
name = "taxi-job"
script = "taxi.py"
bundle = "taxi"
staging = "s3://staging-area/glue-pkgmgr/"
timeout-minutes = 7
concurrent-runs = 2
arguments = {{ S3_BUCKET = "taxi-data", GLUE_DATABASE = "taxi_db" }}
"""


def sample_settings(folder: Path, *, account: str = "111122223333", region: str = "eu-west-1") -> Settings:
    """Write settings and a job script into `folder` and return the settings."""
    (folder / "taxi.py").write_text("print('hello')\n")
    path = folder / "glue-pkgmgr.toml"
    path.write_text(SETTINGS.format(account=account, region=region))
    return load_settings(path)


def tree(pid: int) -> list[psutil.Process]:
    """Return process `pid` and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def names(pid: int) -> list[str]:
    """Return the names of process `pid` and its descendants, those left out that end meanwhile."""
    found = []
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return found


def still_alive(processes: list[psutil.Process], seconds: float = 15.0) -> list[psutil.Process]:
    """Wait until `processes` have ended and return those that have not."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in alive if not _ended(process)]


def _ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # in the moment since
        return True


def naming(folder: Path) -> list[psutil.Process]:
    """Return all processes that have `folder` in their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in argument for argument in process.info["cmdline"] or ()):
            found.append(process)
    return found
