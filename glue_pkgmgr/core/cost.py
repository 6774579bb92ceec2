"""What a job run costs: DPU-hours, and their list price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.job import JobRun

# DPU of a worker; M-DPU for the memory-optimised R family.
# Source: AWS Glue Developer Guide, "Worker types".
_DPU = {
    "G.025X": Decimal("0.25"),
    "G.1X": Decimal(1),
    "G.2X": Decimal(2),
    "G.4X": Decimal(4),
    "G.8X": Decimal(8),
    "G.12X": Decimal(12),
    "G.16X": Decimal(16),
    "R.1X": Decimal(1),
    "R.2X": Decimal(2),
    "R.4X": Decimal(4),
    "R.8X": Decimal(8),
    "Standard": Decimal(1),
}
_SHORTEST = 60  # seconds; a shorter run is billed as a minute
_CHEAPER = Version("6.0")
_FLEX = "FLEX"

PRICE_LIST = "list price us-east-1, August 2026"
"""What the prices are: other regions, and agreements, have others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run used and what that costs at list price.

    `usd` is None where no price is known for its Glue version, execution class and worker family.
    """

    dpu_hours: Decimal
    usd: Decimal | None
    basis: str = PRICE_LIST

    def __str__(self) -> str:
        price = f"{self.usd} USD ({self.basis})" if self.usd is not None else "no list price known"
        return f"{self.dpu_hours} DPU-hours, {price}"


def cost_of(run: JobRun) -> Cost | None:
    """Return what `run` has cost so far; None if it does not tell what it runs on.

    A run that never got its workers costs nothing. Rounded to 4 places.
    Source: AWS Glue pricing: by the second, one minute at least; GetJobRun tells `DPUSeconds` where the number
    of workers changes, and for FLEX.
    """
    seconds = _dpu_seconds(run)
    if seconds is None:
        return None
    hours = seconds / 3600
    price = price_per_dpu_hour(run)
    return Cost(dpu_hours=_rounded(hours), usd=None if price is None else _rounded(hours * price))


def price_per_dpu_hour(run: JobRun) -> Decimal | None:
    """Return the list price of a DPU-hour (M-DPU-hour for R workers) in USD, None where it is not known.

    Source: AWS Glue pricing, us-east-1, as of August 2026: 0.44, from Glue 6.0 on 0.308; FLEX 0.29 and R workers
    0.52 are prices from before 6.0.
    """
    try:
        cheaper = Version(run.glue_version or "") >= _CHEAPER
    except InvalidVersion:
        return None
    memory_optimised = (run.worker_type or "").startswith("R.")
    match run.execution_class == _FLEX, memory_optimised:
        case False, False:
            return Decimal("0.308") if cheaper else Decimal("0.44")
        case True, False:
            return None if cheaper else Decimal("0.29")
        case False, True:
            return None if cheaper else Decimal("0.52")
    return None


def _dpu_seconds(run: JobRun) -> Decimal | None:
    if run.execution_seconds <= 0 and not run.dpu_seconds:
        return Decimal(0)
    billed = max(run.execution_seconds, _SHORTEST)
    if run.dpu_seconds:
        # Told for what was used; the minute that is billed at least is not in it.
        return Decimal(str(run.dpu_seconds)) * billed / max(run.execution_seconds, 1)
    dpu = _dpu(run)
    return None if dpu is None else dpu * billed


def _dpu(run: JobRun) -> Decimal | None:
    if run.worker_type in _DPU and run.workers:
        return _DPU[run.worker_type] * run.workers
    return Decimal(str(run.max_capacity)) if run.max_capacity else None


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.0001"), ROUND_HALF_UP)
