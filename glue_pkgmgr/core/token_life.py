"""How long a token must live: until every node of a run has installed what it was minted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from glue_pkgmgr.core.index_url import LONGEST, SHORTEST
from glue_pkgmgr.core.lockfile import Lock

# A FLEX run may wait 20 minutes for capacity before it starts. Source: Developer Guide, "Job run statuses".
_FLEX_WAIT = timedelta(minutes=20)
# A queued run was tried for 15 minutes when queuing came; the guide of today names no end.
_QUEUE_WAIT = timedelta(minutes=15)
# Not documented. Small jobs were seen to be over within three minutes altogether; twice that for the nodes alone.
_START = timedelta(minutes=5)
# "Slower start": Developer Guide, "Worker types", of these.
_SLOW_START = timedelta(minutes=10)
_SLOW_WORKERS = ("G.12X", "G.16X", "R.")
# pip itself: its start, the pages, and unpacking. Seen: some seconds for a handful of releases.
_PIP = timedelta(minutes=1)
_SECONDS_PER_RELEASE = 1.0
_BYTES_PER_SECOND = 2_000_000  # of the slowest node, through a VPC endpoint that many share
_UNKNOWN_SIZE = 5_000_000  # bytes of a wheel whose size no lock tells


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBudget:
    """What a token has to outlive, part by part: waiting for capacity, starting the nodes, installing on them."""

    queue: timedelta
    start: timedelta
    install: timedelta

    @property
    def needed(self) -> timedelta:
        """All of it."""
        return self.queue + self.start + self.install

    @property
    def life(self) -> timedelta:
        """The life to ask for, in whole seconds: what is needed, within what CodeArtifact grants."""
        seconds = timedelta(seconds=-(-self.needed // timedelta(seconds=1)))
        return min(max(seconds, SHORTEST), LONGEST)

    def __str__(self) -> str:
        parts = {"waiting": self.queue, "starting": self.start, "installing": self.install}
        told = [f"{_minutes(part)} {name}" for name, part in parts.items() if part]
        return f"{_minutes(self.needed)} min ({', '.join(told)})"


def token_budget(definition: Mapping[str, Any], lock: Lock) -> TokenBudget:
    """Return what a token must cover for a run that installs `lock`; `definition` is the job's, of GetJob."""
    flexible = definition.get("ExecutionClass") == "FLEX"
    queued = bool(definition.get("JobRunQueuingEnabled"))
    slow = str(definition.get("WorkerType") or "").startswith(_SLOW_WORKERS)
    sizes = [pin.files[0].size or _UNKNOWN_SIZE for pin in lock.installed]
    seconds = len(sizes) * _SECONDS_PER_RELEASE + sum(sizes) / _BYTES_PER_SECOND
    return TokenBudget(
        queue=(_FLEX_WAIT if flexible else timedelta()) + (_QUEUE_WAIT if queued else timedelta()),
        start=_SLOW_START if slow else _START,
        install=_PIP + timedelta(seconds=round(seconds)) if sizes else timedelta(),
    )


def _minutes(span: timedelta) -> str:
    return f"{-(-span // timedelta(minutes=1))}"
