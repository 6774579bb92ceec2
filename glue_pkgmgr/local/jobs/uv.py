"""uv as the stand-in uses it: one index, no configuration of the machine, a bounded time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from uv import find_uv_bin

from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from glue_pkgmgr.index_source import IndexSource, configured_index, installer_environment
from glue_pkgmgr.process import Finished, run

# Hundreds of megabytes over a slow line; a hanging connection is given up much earlier, by uv itself.
_SECONDS = 3600.0
_UNSATISFIABLE = "No solution found"


def uv(*arguments: str | Path, source: IndexSource | None = None) -> Finished:
    """Run uv against `source`, by default the index pip is configured to use, and return how it ended.

    Raises: IndexAccessError or NotInstallable as `explain` tells them apart, for any status but 0.
    """
    finished = attempt(arguments, source or configured_index(os.environ))
    if not finished.ok:
        raise explain(arguments, finished)
    return finished


def attempt(arguments: Sequence[str | Path], source: IndexSource) -> Finished:
    """Run uv as `uv` does, but leave the judgement of its exit status to the caller."""
    password = urlsplit(source.url).password
    return run(
        [find_uv_bin(), "--quiet", *arguments],
        env=installer_environment(os.environ, source),
        timeout=_SECONDS,
        secrets=[password] if password else [],
    )


def explain(arguments: Sequence[str | Path], finished: Finished) -> IndexAccessError | NotInstallable:
    """Return the error that `finished` amounts to: nothing fits, or the index could not be used."""
    command = " ".join(str(a) for a in arguments[:2])
    reason = " ".join(finished.stderr.split())
    if unsatisfiable(finished):
        return NotInstallable(f"`uv {command}` found nothing to install: {reason}")
    return IndexAccessError(f"`uv {command}` failed: {reason}; is the package index reachable?")


def unsatisfiable(finished: Finished) -> bool:
    """Whether uv reached the index and found that nothing there fits."""
    return not finished.ok and _UNSATISFIABLE in finished.stderr
