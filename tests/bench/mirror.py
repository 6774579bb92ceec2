"""How long `mirror sync` takes beside a plain loop of copies, with and without the latency of a region."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.local.state import StateFolder
from glue_pkgmgr.settings import CodeArtifactSettings, load_settings
from glue_pkgmgr.verbs import mirror
from glue_pkgmgr.verbs.mirrored import Places
from tests.bench.measure import REPETITIONS, Sample, timed
from tests.integration.local.made_distributions import sha256, wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

RELEASES = 60
LATENCIES = (0.0, 0.05)  # seconds added to every call; the second is that of a region far away
PROMISE = 5.0  # times a plain loop, with latency
_LONGEST = 120.0  # seconds, for the stand-in to start or end
_SETTINGS = """\
[codeartifact]
domain = "bench-domain"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Seconds for the same releases, copied by a plain loop and brought by `mirror sync`."""

    latency: float
    plain: Sample
    synced: Sample

    @property
    def ratio(self) -> float:
        """How many times as fast `mirror sync` is, by the medians."""
        return self.plain.median / self.synced.median


def comparisons() -> list[Comparison]:
    """Measure both, taking turns, for each latency; what is copied is in the store already.

    The loop has one client and one call after the other, and checks nothing. `mirror sync` closes every project
    to publishing and compares every file with its lock.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_upstream() as upstream:
        locked = _made(upstream)
        with _stand_in(Path(folder), upstream) as (settings, environ):
            _ingest(locked, settings, environ)
            return [_compared(latency, locked, settings, environ) for latency in LATENCIES]


def _made(upstream: UpstreamIndex) -> Lock:
    """Put small wheels of as many projects upstream, and return their lock."""
    pins = []
    for number in range(RELEASES):
        name, content = wheel(f"bench-{number:02}", "1.0")
        upstream.add((name, content))
        file = LockedFile(filename=name, sha256=sha256(content), size=len(content))
        pins.append(Pin(project=project_name(f"bench-{number:02}"), version=Version("1.0"), files=(file,)))
    return Lock(runtime=glue_runtime("5.1"), request=("bench",), pins=tuple(pins))


@contextmanager
def _stand_in(folder: Path, upstream: UpstreamIndex) -> Iterator[tuple[CodeArtifactSettings, dict[str, str]]]:
    """Give the settings and the environment of a stand-in, a process of its own as it always is."""
    config, state = folder / "glue-pkgmgr.toml", folder / "state"
    config.write_text(_SETTINGS)
    command = [sys.executable, "-m", "glue_pkgmgr", "-q", "--config", str(config), "local"]
    environ = {**os.environ, "PIP_INDEX_URL": upstream.source.url, "PIP_CONFIG_FILE": os.devnull}
    try:
        subprocess.run([*command, "up", "--state", str(state)], env=environ, timeout=_LONGEST, check=True)
        running = StateFolder(state).read()
        assert running is not None
        yield load_settings(config).codeartifact, running.environment(os.environ)
    finally:
        subprocess.run([*command, "down", "--state", str(state)], timeout=_LONGEST, check=True)


def _compared(latency: float, locked: Lock, settings: CodeArtifactSettings, environ: dict[str, str]) -> Comparison:
    plain: list[float] = []
    synced: list[float] = []
    for _ in range(REPETITIONS):
        _empty(settings, environ)
        plain.append(timed(partial(_copy_all, locked, settings, _client(environ, latency))))
        _empty(settings, environ)
        synced.append(timed(partial(_sync, locked, settings, _client(environ, latency))))
    return Comparison(latency=latency, plain=Sample(plain), synced=Sample(synced))


def _client(environ: dict[str, str], latency: float = 0.0) -> Any:
    client = Clients(environ, "us-east-1").client("codeartifact")
    client.list_domains()  # what boto3 does at the first call is no part of either
    if latency:
        client.meta.events.register("before-send.codeartifact", lambda **_: time.sleep(latency))
    return client


def _empty(settings: CodeArtifactSettings, environ: dict[str, str]) -> None:
    client, where = _client(environ), {"domain": settings.domain, "repository": settings.repository}
    client.delete_repository(**where)
    client.create_repository(**where)


def _ingest(locked: Lock, settings: CodeArtifactSettings, environ: dict[str, str]) -> None:
    client = _client(environ)
    _copy_all(locked, settings, client)
    for pin in locked.pins:  # which makes the stand-in fetch the bytes, as an installation would
        CodeArtifact(client).assets(settings.store_repository, pin.project, pin.version)


def _copy_all(locked: Lock, settings: CodeArtifactSettings, client: Any) -> None:
    for pin in locked.pins:
        client.copy_package_versions(
            domain=settings.domain,
            sourceRepository=settings.store,
            destinationRepository=settings.repository,
            format="pypi",
            package=pin.project,
            versions=[str(pin.version)],
            includeFromUpstream=True,
        )


def _sync(locked: Lock, settings: CodeArtifactSettings, client: Any) -> None:
    def never(pin: Pin | None = None) -> Any:
        raise AssertionError(f"{pin or 'a release'} is in the store already")

    report = mirror.sync(
        [locked],
        places=Places(store=settings.store_repository, approved=settings.approved_repository),
        repositories=CodeArtifact(client),
        open_store=never,
        bring_built=never,
        records=RecordFolder(Path("/nonexistent")),
        progress=lambda text: None,
    )
    assert len(report.entries) == RELEASES
    assert not report.deviations


if __name__ == "__main__":
    for found in comparisons():
        print(
            f"{found.latency * 1000:.0f} ms: loop {found.plain.text('s')}, sync {found.synced.text('s')}, "
            f"{found.ratio:.2f} x"
        )
