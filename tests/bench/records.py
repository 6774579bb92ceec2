"""How long `runs --using` takes with a hundred thousand launches on record, and one record to be written."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.chain import START, digest
from glue_pkgmgr.core.job import Delivery, JobRunId, JobRunState
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, RecordedRelease
from glue_pkgmgr.core.record_lines import entry_line
from tests.bench.check import unreachable, write_project
from tests.bench.measure import REPETITIONS, Sample, timed

LAUNCHES = 100_000
LOCKS = 300  # a hundred jobs, each locked anew now and then
RELEASES = 30
PROMISE = 2.0  # seconds, whole process
_WITH_BOTO3_BEFORE_1_40 = 3  # of the locks
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_LONGEST = 120.0  # seconds, for one process
_COMMAND = Path(sys.executable).with_name("glue-pkgmgr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Seconds of whole processes: a release in every hundredth launch, one in all of them, one in none.

    `append` is of one record, which is on the disk then.
    """

    some: Sample
    all: Sample
    none: Sample
    append: Sample


def records() -> Records:
    """Measure where no endpoint answers."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        write_project(folder)
        place = folder / ".glue-pkgmgr" / "records"
        place.mkdir(parents=True)
        with (place / "launches.jsonl").open("wb") as file:
            file.writelines(lines())
        asked = {what: partial(_seconds, folder, what) for what in ("boto3<1.40", "boto3", "absent")}
        for action in asked.values():
            action()
        taken: dict[str, list[float]] = {what: [] for what in asked}
        for _ in range(REPETITIONS):
            for what, action in asked.items():
                taken[what].append(action())
        there, made = RecordFolder(place), launches(LAUNCHES + REPETITIONS * 10)
        further = [next(made) for _ in range(REPETITIONS * 10)]
        append = Sample([timed(partial(there.add, one)) for one in further])
        return Records(
            some=Sample(taken["boto3<1.40"]),
            all=Sample(taken["boto3"]),
            none=Sample(taken["absent"]),
            append=append,
        )


def lines() -> Iterator[bytes]:
    """Yield the lines of all launches, of which each has begun, was accepted, and has ended."""
    previous = START
    for number, begun in enumerate(launches(0)):
        if number == LAUNCHES:
            return
        accepted = replace(begun, run=JobRunId(f"jr_{begun.launch}{begun.launch}"))
        end = LaunchEnd(
            time=begun.time + timedelta(minutes=9),
            state=JobRunState.SUCCEEDED,
            seconds={"waited": 1.5, "started": 41.2, "installed": 12.8, "ran": 301.0},
            dpu_hours=Decimal("0.3000"),
            usd=Decimal("0.1320"),
        )
        for record in (begun, accepted, replace(accepted, end=end)):
            line = entry_line(record, previous)
            previous = digest(line)
            yield line


def launches(first: int) -> Iterator[LaunchRecord]:
    """Yield launches without end, the one with number `first` at the front."""
    locks = [_releases(number) for number in range(LOCKS)]
    number = first
    while True:
        lock = number * 7919 % LOCKS
        yield LaunchRecord(
            launch=f"{number:032x}",
            job=f"job-{lock % 100}",
            run=None,
            glue_version="5.1",
            request=("boto3", "pandas", f"acme-{lock}==1.0"),
            releases=locks[lock],
            lock_sha256=_sha256(f"lock {lock}"),
            allowlist_sha256=_sha256(f"list {number // 500}"),
            arguments={"S3_BUCKET": "bench-data", "DAY": f"{_BEGIN + timedelta(hours=number):%Y-%m-%d}"},
            by="arn:aws:sts::111122223333:assumed-role/orchestration/airflow",
            time=_BEGIN + timedelta(minutes=number),
            delivery=Delivery.REQUIREMENTS,
        )
        number += 1


def _releases(lock: int) -> tuple[RecordedRelease, ...]:
    boto3 = f"1.{39 if lock < _WITH_BOTO3_BEFORE_1_40 else 40}.{lock % 60}"
    image = RecordedRelease(project=project_name("boto3"), version=Version(boto3))
    names = [f"library-{number}" for number in range(RELEASES - 1)]
    return (
        image,
        *(
            RecordedRelease(
                project=project_name(name), version=Version(f"{lock}.0.1"), sha256=(_sha256(f"{name} {lock}"),)
            )
            for name in names
        ),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _seconds(folder: Path, using: str) -> float:
    def run() -> None:
        subprocess.run(
            [_COMMAND, "runs", "--using", using],
            cwd=folder,
            env=unreachable(os.environ),
            capture_output=True,
            timeout=_LONGEST,
            check=True,
        )

    return timed(run)
