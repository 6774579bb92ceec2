"""Why a request cannot be locked, as people and as programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.releases import shown_size

if TYPE_CHECKING:
    from glue_pkgmgr.verbs.resolve import MissingApproval, Refusal


def refusal_parts(refusal: Refusal) -> list[str | Table]:
    """Return what stands in the way, and the way out."""
    rows = [(str(one.project), _chain(one.chain), one.told) for one in refusal.obstacles]
    obstacles: list[str | Table] = (
        [Table(("project", "wanted by", "what stands in the way"), rows)] if rows else []
    )
    if refusal.missing:
        return [
            *obstacles,
            "it also needs, and nobody approved:",
            missing_table(refusal.missing),
            f"approve what you want: {refusal.approve_command()}",
        ]
    if refusal.breaks:
        rows = [(f"{one.project}=={one.version}", one.requires, str(one.found)) for one in refusal.breaks]
        return [
            "it would break in the Glue image:",
            Table(("release", "requires", "closure"), rows),
            "ask for releases that fit; what the jobs of a bundle do without is listed as its `may-break`",
        ]
    return [*obstacles, *([refusal.conflict] if refusal.conflict else [])]


def missing_table(missing: Sequence[MissingApproval]) -> Table:
    """Return the releases that nobody approved with what a reviewer wants to know of them."""
    rows = [
        (
            str(one),
            _chain(one.chain) or "the request",
            _age(one.uploaded),
            one.licence or "not told",
            shown_size(one.size),
            str(one.replaces or ""),
        )
        for one in missing
    ]
    return Table(("release", "wanted by", "age", "licence", "size", "replaces in the image"), rows)


def missing_data(one: MissingApproval) -> dict[str, object]:
    """Return a missing approval; `chain` leads from a requested project to it, both included."""
    return {
        "project": one.project,
        "version": str(one.version),
        "chain": list(one.chain),
        "uploaded": one.uploaded.isoformat() if one.uploaded else None,
        "licence": one.licence,
        "size": one.size,
        "others": one.others or None,
        "replaces": str(one.replaces) if one.replaces else None,
    }


def refusal_data(refusal: Refusal) -> dict[str, object]:
    """Return everything that stands in the way."""
    return {
        "missing": [missing_data(one) for one in refusal.missing],
        "obstacles": [
            {"project": one.project, "chain": list(one.chain), "told": one.told} for one in refusal.obstacles
        ],
        "breaks": [
            {
                "project": one.project,
                "version": str(one.version),
                "requires": one.requires,
                "closure": str(one.found),
            }
            for one in refusal.breaks
        ],
        "explanation": refusal.explanation or None,
    }


def _chain(chain: Sequence[str]) -> str:
    return " → ".join(chain[:-1])


def _age(uploaded: datetime | None) -> str:
    if uploaded is None:
        return ""
    days = (datetime.now(UTC) - uploaded).days
    return "1 day" if days == 1 else f"{days} days"
