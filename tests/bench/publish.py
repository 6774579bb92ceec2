"""How long `publish` takes of ten files: beside `twine upload` of the same, and when they are there already."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.core.index_url import SHORTEST, USER
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.local.state import StateFolder
from glue_pkgmgr.settings import load_settings
from tests.bench.measure import REPETITIONS, Sample, installed, timed
from tests.integration.adapters.distributions import wheel

FILES = 10
MODULES, MODULE_SIZE = 20, 20_000  # bytes: what people write
LARGE, SMALL = 12_000_000, 120_000  # bytes, about, of what compilers make
NEAR = "50ms"  # what a call to AWS takes from near by
FIRST_PROMISE = 1.3  # times a bare `twine upload`, the proof left aside
AGAIN_PROMISE = 1.0  # seconds
_LONGEST = 120.0  # seconds, for any one process
_COMMAND = Path(sys.executable).with_name("glue-pkgmgr")
_UPLOADED = "waiting until the index serves"  # what `publish` says when the last upload is over
_SETTINGS = """\
[codeartifact]
domain = "bench-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[policy]
internal = ["bench"]
"""
_METADATA = """\
License-Expression: MIT
Requires-Python: >=3.10
Description-Content-Type: text/markdown

# A library
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Wheels with a library of `size` bytes, and a `latency` of every call, as `local fault` takes it.

    On loopback without latency nothing is waited for: what `publish` does beside uploading, the same for any size,
    weighs as much as it ever will. Of small wheels nothing is promised there.
    """

    size: int
    latency: str = ""

    @property
    def promised(self) -> bool:
        """Whether a first publication is to keep `FIRST_PROMISE`."""
        return self.size >= LARGE or bool(self.latency)

    def __str__(self) -> str:
        distance = f" at {self.latency} a call" if self.latency else ""
        return f"{FILES} wheels with {self.size / 1e6:g} MB each{distance}"


CASES = (Case(LARGE), Case(SMALL, NEAR), Case(SMALL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Seconds of processes: `twine upload`; `publish` of new files until uploaded, its proof; `publish` again."""

    twine: Sample
    uploaded: Sample
    proof: Sample
    again: Sample

    @property
    def ratio(self) -> float:
        """How many times a bare `twine upload` the first publication takes, its proof left aside."""
        return self.uploaded.median / self.twine.median


def publishing(case: Case) -> Publishing:
    """Measure all, taking turns, each time with another release of the same project, after a first turn of each.

    A wheel has a compiled library, and source code.
    """
    twine: list[float] = []
    uploaded: list[float] = []
    proof: list[float] = []
    again: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _stand_in(Path(name), case.latency) as environ:
        folder = Path(name)
        _twine(environ, _made(folder, "0", case.size))
        _run([_COMMAND, "publish", "--dist", _made(folder, "0.0.1", case.size)], folder, environ)
        for number in range(1, REPETITIONS + 1):
            theirs = _made(folder, f"{number}.1", case.size)
            ours = _made(folder, f"{number}.2", case.size)
            twine.append(_twine(environ, theirs))
            publish: list[str | Path] = [_COMMAND, "publish", "--dist", ours]
            until_uploaded, whole = _until(_UPLOADED, publish, folder, environ)
            uploaded.append(until_uploaded)
            proof.append(whole - until_uploaded)
            again.append(timed(partial(_run, publish, folder, environ)))
    return Publishing(twine=Sample(twine), uploaded=Sample(uploaded), proof=Sample(proof), again=Sample(again))


def _made(folder: Path, version: str, library_size: int) -> Path:
    """Make the wheels of a release, as for many machines, and return their folder."""
    dist = folder / f"dist-{version}"
    dist.mkdir()
    for number in range(FILES):
        more = {f"bench/m{n}.py": f"# {number}: a line of text\n" * (MODULE_SIZE // 20) for n in range(MODULES)}
        more["bench/library.bin"] = random.Random(number).randbytes(library_size * 2 // 3).decode("latin-1")
        made = wheel(dist, "bench", version, metadata=_described, more=more)
        made.rename(dist / f"bench-{version}-{number}-py3-none-any.whl")
    return dist


def _described(text: str) -> str:
    return text.replace("Metadata-Version: 2.1", "Metadata-Version: 2.4") + _METADATA


def _twine(environ: Mapping[str, str], dist: Path) -> float:
    """Return the seconds of a bare `twine upload`; endpoint and token are given to it."""
    api = CodeArtifact(Clients(environ, "us-east-1").client("codeartifact"))
    settings = RepositoryAddress(
        domain="bench-domain", owner="111122223333", region="us-east-1", repository="approved"
    )
    token = api.issue(settings.domain, settings.owner, SHORTEST)
    given = {
        **environ,
        "TWINE_USERNAME": USER,
        "TWINE_PASSWORD": token.reveal(),
        "TWINE_REPOSITORY_URL": api.endpoint(settings),
    }
    command = [sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    return timed(partial(_run, [*command, *sorted(dist.iterdir())], dist, given))


def _run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> None:
    finished = subprocess.run(
        command, cwd=folder, env=dict(environ), capture_output=True, text=True, timeout=_LONGEST, check=False
    )
    if finished.returncode:
        sys.stderr.write(finished.stdout + finished.stderr)
    finished.check_returncode()


def _until(
    said: str, command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]
) -> tuple[float, float]:
    """Return the seconds until a process says on stderr what begins with `said`, and those it takes in all."""
    began: Callable[[], float] = partial(_since, time.perf_counter())
    seconds = 0.0
    with subprocess.Popen(
        command, cwd=folder, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith(said):
                seconds = began()
    if running.returncode or not seconds:
        raise RuntimeError(f"publish ended with status {running.returncode} and did not say {said!r}")
    return seconds, began()


def _since(start: float) -> float:
    return time.perf_counter() - start


@contextmanager
def _stand_in(folder: Path, latency: str) -> Iterator[dict[str, str]]:
    """Give the environment of a running stand-in for the settings in `folder`, its calls as slow as told."""
    config, state = folder / "glue-pkgmgr.toml", folder / "state"
    config.write_text(_SETTINGS)
    (folder / "allowlist.toml").touch()
    load_settings(config)
    local: list[str | Path] = [_COMMAND, "-q", "--config", config, "local"]
    try:
        _run([*local, "up", "--state", state], folder, os.environ)
        if latency:
            _run([*local, "fault", "--state", state, f"all={latency}"], folder, os.environ)
        running = StateFolder(state).read()
        assert running is not None
        yield installed(running.environment(os.environ))
    finally:
        _run([*local, "down", "--state", state], folder, os.environ)


if __name__ == "__main__":
    for one in CASES:
        found = publishing(one)
        print(
            f"{one}: twine upload {found.twine.text('s')}, "
            f"publish until uploaded {found.uploaded.text('s')}: "
            f"{found.ratio:.2f} x; proof {found.proof.text('s')}; again {found.again.text('s')}"
        )
