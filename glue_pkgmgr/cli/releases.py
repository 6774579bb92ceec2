"""Locked releases, as people and as programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glue_pkgmgr.cli.output import Table

if TYPE_CHECKING:
    from glue_pkgmgr.core.lockfile import Lock, Pin


def origin(pin: Pin) -> str:
    """Say where a release comes from."""
    if pin.preinstalled:
        return "Glue image"
    return "our own" if pin.internal else "store"


def release_table(lock: Lock) -> Table:
    """Return every release of a lock with the SHA-256 of the wheel that fits best."""
    rows = [(str(pin), origin(pin), pin.files[0].sha256 if pin.files else "") for pin in lock.pins]
    return Table(("release", "from", "sha256"), rows)


def release_data(pin: Pin) -> dict[str, object]:
    """Return a release; `files` are the wheels a job may get, best first, none if the image brings it."""
    return {
        "project": pin.project,
        "version": str(pin.version),
        "from": origin(pin),
        "wanted_by": list(pin.wanted_by),
        "files": [{"filename": file.filename, "size": file.size, "sha256": file.sha256} for file in pin.files],
    }
