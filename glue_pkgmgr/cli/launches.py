"""Recorded launches, as programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glue_pkgmgr.core.record import LaunchRecord


def launch_data(launch: LaunchRecord) -> dict[str, object]:
    """Return a launch; `run` is None where the start was refused, or its answer never came."""
    return {
        "launch": launch.launch,
        "job": launch.job,
        "run": launch.run,
        "by": launch.by,
        "time": launch.time.isoformat(),
    }
