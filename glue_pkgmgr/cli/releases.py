"""Locked releases, as people and as programs read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glue_pkgmgr.cli.output import Table

if TYPE_CHECKING:
    from glue_pkgmgr.core.lockfile import LockedFile, Pin

_UNIT = 1024


def origin(pin: Pin) -> str:
    """Say where a release comes from."""
    if pin.preinstalled:
        return "Glue image"
    if pin.built_from is not None:
        return "built by us"
    return "our own" if pin.internal else "store"


def wheel_tag(pin: Pin) -> str:
    """Return the tags of the wheel that fits best, as its file name has them; empty if the image brings it."""
    return "-".join(pin.files[0].filename.removesuffix(".whl").split("-")[-3:]) if pin.files else ""


def shown_size(size: int | None) -> str:
    """Return a size in bytes as people read it, such as `1.2 MB` of 1024 kB each; empty if it is not known."""
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < _UNIT:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _UNIT
    return f"{amount:.1f} GB"


def release_table(pins: Iterable[Pin]) -> Table:
    """Return releases with the wheel that fits best: its tags, size and SHA-256."""
    rows = [
        (
            str(pin),
            origin(pin),
            wheel_tag(pin),
            shown_size(pin.files[0].size) if pin.files else "",
            pin.files[0].sha256 if pin.files else "",
        )
        for pin in pins
    ]
    return Table(("release", "from", "wheel", "size", "sha256"), rows)


def release_data(pin: Pin) -> dict[str, object]:
    """Return a release; `files` are the wheels a job may get, best first, none if the image brings it."""
    return {
        "project": pin.project,
        "version": str(pin.version),
        "from": origin(pin),
        "wanted_by": list(pin.wanted_by),
        "licence": pin.licence,
        "built_from": _file_data(pin.built_from) if pin.built_from else None,
        "files": [_file_data(file) for file in pin.files],
    }


def _file_data(file: LockedFile) -> dict[str, object]:
    return {"filename": file.filename, "size": file.size, "sha256": file.sha256}
