"""How a run ended, as people and programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glue_pkgmgr.cli.logs import line_data

if TYPE_CHECKING:
    from glue_pkgmgr.core.cause import Cause
    from glue_pkgmgr.core.cost import Cost
    from glue_pkgmgr.core.run_log import Installed
    from glue_pkgmgr.core.run_result import RunResult


def result_rows(result: RunResult) -> list[tuple[str, str]]:
    """Return what is worth knowing about the end of a run, a row for each thing that is known."""
    rows = [("cause", result.cause.kind.value)] if result.cause else []
    if result.phases:
        rows += [(phase, f"{seconds:.1f} s") for phase, seconds in result.phases.as_data().items()]
    rows += cost_rows(result.cost)
    if result.installed:
        rows.append(("as locked", _as_locked(result.installed)))
    return [*rows, *((f"console: {name}", url) for name, url in result.links.items())]


def cost_rows(cost: Cost | None) -> list[tuple[str, str]]:
    """Return rows for what a run cost, none if that is not known."""
    if cost is None:
        return []
    price = "not known" if cost.usd is None else f"{cost.usd} USD, {cost.basis}"
    return [("DPU-hours", str(cost.dpu_hours)), ("price", price)]


def result_data(result: RunResult) -> dict[str, object]:
    """Return the end of a run as programs read it; `log_tail` for one that did not succeed."""
    tail = {"log_tail": [line_data(line) for line in result.tail]} if result.cause else {}
    return {
        "cause": _cause_data(result.cause) if result.cause else None,
        **cost_data(result.cost),
        "installed": _installed_data(result.installed) if result.installed else None,
        "links": dict(result.links),
        "warnings": list(result.warnings),
        **tail,
    }


def cost_data(cost: Cost | None) -> dict[str, object]:
    """Return what a run cost as programs read it; numbers are floats, None where it is not known."""
    return {
        "dpu_hours": float(cost.dpu_hours) if cost else None,
        "price_usd": float(cost.usd) if cost and cost.usd is not None else None,
        "price_basis": cost.basis if cost else None,
    }


def _cause_data(cause: Cause) -> dict[str, object]:
    return {
        "kind": cause.kind.value,
        "sentence": cause.sentence,
        "advice": cause.advice,
        "module": cause.module,
        "ran_user_code": cause.ran_user_code,
        "exit_status": cause.exit_status,
    }


def _installed_data(installed: Installed) -> dict[str, object]:
    return {
        "as_locked": installed.as_locked,
        "releases": list(installed.releases),
        "missing": list(installed.missing),
        "other": list(installed.other),
    }


def _as_locked(installed: Installed) -> str:
    if installed.as_locked:
        count = len(installed.releases)
        return f"yes, {count} release{'s' if count != 1 else ''}"
    parts = [("not told", installed.missing), ("other than locked", installed.other)]
    return "no; " + "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
