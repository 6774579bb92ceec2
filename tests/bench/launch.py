"""How long `launch` takes until its run is accepted, beside a shell script that does it with the `aws` command.

The script asks for a token and for the endpoint, and starts the run: it checks nothing, and starts a process for
each of the three. `launch` looks at everything first: the lock, every file of it in the repository, the job, the
token.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from packaging.version import Version

from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.project import Project
from glue_pkgmgr.settings import load_settings
from tests.bench.measure import REPETITIONS, Sample, timed
from tests.integration.local.made_distributions import sha256, wheel

RELEASES = 10
LATENCIES = ("", "50ms")  # added to every call; the second is that of a region
PROMISE = 3.0  # times the script
PREFLIGHT_PROMISE = 2.0  # seconds, with latency
_LONGEST = 120.0  # seconds, for one process
_BIN = Path(sys.executable).parent
_JOB = "bench-job"
_NAMES = [f"bench-{number:02}" for number in range(RELEASES)]
_SETTINGS = f"""\
[codeartifact]
domain = "bench-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[policy]
internal = {json.dumps(_NAMES)}

[bundles.bench]
modules = {json.dumps([f"{name}==1.0" for name in _NAMES])}
glue-version = "5.1"

[jobs.bench]
name = "{_JOB}"
script = "job.py"
bundle = "bench"
staging = "s3://staging-area/glue-pkgmgr/"
concurrent-runs = 1000
"""
_SCRIPT = """\
set -eu
where="--domain bench-domain --domain-owner 111122223333"
token=$({aws} codeartifact get-authorization-token $where --duration-seconds 900 \\
    --query authorizationToken --output text)
endpoint=$({aws} codeartifact get-repository-endpoint $where --repository approved --format pypi \\
    --query repositoryEndpoint --output text)
index=$(printf %s "$endpoint" | sed "s#://#://aws:$token@#")simple/
{aws} glue start-job-run --job-name {job} --query JobRunId --output text --arguments \\
    "{{\\"--additional-python-modules\\": \\"{modules}\\", \\
       \\"--python-modules-installer-option\\": \\"--no-deps --index-url=$index\\"}}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launches:
    """Seconds until a run was accepted: by the script, by our command, and in a Python process that goes on.

    Those of the preflight alone are of such a process, too. `calls` are those of one launch.
    """

    latency: str
    script: Sample
    command: Sample
    python: Sample
    preflight: Sample
    calls: int

    def ratio(self, ours: Sample) -> float:
        """How many times as fast as the script we are, by the medians."""
        return self.script.median / ours.median


def launches() -> list[Launches]:
    """Measure all, taking turns, for each latency."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        _ready(Path(folder)) as (project, environ, switches),
    ):
        return [_measured(latency, Path(folder), project, environ, switches) for latency in LATENCIES]


@contextmanager
def _ready(folder: Path) -> Iterator[tuple[Project, dict[str, str], Any]]:
    """Give a project whose job can be launched, and the environment that leads to its stand-in."""
    config, state = folder / "glue-pkgmgr.toml", folder / "state"
    config.write_text(_SETTINGS)
    (folder / "job.py").write_text("print('hello')\n")
    settings = load_settings(config)
    stand_in = up(settings, state=state, progress=lambda _: None)
    try:
        environ = _compiled(stand_in.environment(os.environ), folder / "compiled")
        project = Project(settings, environ=environ)
        project.approve([f"{name}==1.0" for name in _NAMES], by="bench", reason="bench")
        uploader, pins = TwineUploader(project.mint(), environ), []
        for name in _NAMES:
            filename, content = wheel(name, "1.0")
            (folder / filename).write_bytes(content)
            uploader.upload(folder / filename)
            file = LockedFile(filename=filename, sha256=sha256(content), size=len(content))
            pins.append(Pin(project=project_name(name), version=Version("1.0"), files=(file,), internal=True))
        bundle = settings.bundle("bench")
        lock = Lock(
            runtime=glue_runtime("5.1"),
            request=tuple(map(str, bundle.modules)),
            pins=tuple(pins),
            minimum_age_days=7,
        )
        settings.policy.locks.mkdir()
        (settings.policy.locks / bundle.lock_filename).write_text(lock_to_toml(lock))
        stand_in.switches.set("run:end=SUCCEEDED")  # a run is accepted, and is no load
        yield project, environ, stand_in.switches
    finally:
        down(state)


def _compiled(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return `environ` with a place for compiled modules: what is measured is not Python's compiler."""
    kept = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def _measured(latency: str, folder: Path, project: Project, environ: Mapping[str, str], switches: Any) -> Launches:
    aws = shlex.quote(str(_BIN / "aws"))
    script = _SCRIPT.format(aws=aws, job=_JOB, modules=",".join(f"{name}==1.0" for name in _NAMES))
    ours = [_BIN / "glue-pkgmgr", "-q", "launch", "bench", "--no-wait", "--delivery", "index"]
    by_script, by_command, by_python, looked = list[float](), list[float](), list[float](), list[float]()
    if latency:
        switches.set(f"all={latency}")
    for words in (["sh", "-c", script], ours):
        _run(words, folder, environ)
    calls = _calls(project)  # and warm with that
    for _ in range(REPETITIONS):
        by_script.append(timed(partial(_run, ["sh", "-c", script], folder, environ)))
        by_command.append(timed(partial(_run, ours, folder, environ)))
        by_python.append(timed(partial(project.launch, "bench", delivery="index", followed=False)))
        looked.append(timed(partial(project.preflight, "bench", delivery="index")))
    return Launches(
        latency=latency,
        script=Sample(by_script),
        command=Sample(by_command),
        python=Sample(by_python),
        preflight=Sample(looked),
        calls=calls,
    )


def _calls(project: Project) -> int:
    """Return how many calls one launch makes of AWS, the page of the index that it reads included."""
    counted = [1]
    wiring = project._wiring
    clients = [wiring.clients.client("codeartifact"), wiring.clients.client("s3"), *_glue(project)]

    def count(**_: Any) -> None:
        counted[0] += 1

    for client in clients:
        client.meta.events.register("before-send", count, unique_id="bench")
    project.launch("bench", delivery="index", followed=False)
    for client in clients:
        client.meta.events.unregister("before-send", count, unique_id="bench")
    return counted[0]


def _glue(project: Project) -> list[Any]:
    jobs = project._wiring.jobs
    return [jobs._client, jobs._starting]


def _run(words: list[Any], folder: Path, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, timeout=_LONGEST, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("jr_"), done.stdout


if __name__ == "__main__":
    for found in launches():
        print(
            f"{found.latency or 'none'}: script {found.script.text('s')}, command {found.command.text('s')}, "
            f"{found.ratio(found.command):.2f} x; Python {found.python.text('s')}, "
            f"{found.ratio(found.python):.1f} x; preflight {found.preflight.text('s')}; {found.calls} calls"
        )
