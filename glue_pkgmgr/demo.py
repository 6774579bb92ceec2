"""`make demo`: the whole road on this machine, from an internal library to partitioned Parquet.

Works in a folder of its own, `.glue-pkgmgr/demo`, with a copy of the sample's settings and an allow-list that
starts empty, so that nothing of the checkout changes. Leaves nothing running; what was made stays to be seen.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import tomlkit

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.cli.follow import follow
from glue_pkgmgr.cli.output import Failure, Output, Table
from glue_pkgmgr.cli.releases import release_table
from glue_pkgmgr.core.allowlist import EMPTY
from glue_pkgmgr.core.phases import Phases
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime, glue_runtime
from glue_pkgmgr.errors import EXIT_INTERRUPTED, GluePkgmgrError, SettingsError
from glue_pkgmgr.local import lifecycle
from glue_pkgmgr.local.jobs.environment import base_environment
from glue_pkgmgr.local.jobs.glue import Image
from glue_pkgmgr.local.jobs.interpreters import nearest_python, python_for
from glue_pkgmgr.local.jobs.spark import spark
from glue_pkgmgr.project import Project
from glue_pkgmgr.run import Run
from glue_pkgmgr.settings import FILENAME
from glue_pkgmgr.verbs.mirrored import require_complete

_CHECKOUT = Path(__file__).resolve().parent.parent
_PREFERRED = ("5.1", "6.0")  # the newest Glue version of Python 3.11, and of 3.13
_JOB = "taxi"
_LIBRARY = "glueutils"
_TOP = 10
_SPARK = "the script: Spark"
_TOTAL = "all of it"


@dataclass(slots=True)
class Stopwatch:
    """The steps of the demo and how many seconds each took."""

    output: Output
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, and take its time."""
        self.output.progress(f"── {name}")
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the Parquet holds, read back with another engine than Spark."""

    rows: int
    apps: int
    trips: int
    top: list[tuple[str, int]]


def main(argv: Sequence[str]) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data", type=Path, help="a CSV with the columns year, week, app and trips")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args(argv)
    output = Output(as_json=options.json)
    try:
        return demo(output, options.data)
    except GluePkgmgrError as e:
        failure = Failure(type(e).__name__, str(e), e.exit_code)
    except KeyboardInterrupt:
        failure = Failure("Interrupted", "interrupted; nothing is left running", EXIT_INTERRUPTED)
    output.error(failure)
    return failure.exit_status


def demo(output: Output, data: Path | None) -> int:
    """Show the whole road, with the sample data or the CSV file `data`; return the exit status.

    Raises: whatever a verb raises. The stand-in is ended either way.
    """
    if data is not None and not data.is_file():
        raise SettingsError(f"no such file: {data}; DATA names a CSV with the columns year, week, app and trips")
    with _alone():
        return _demo(output, data)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the checkout for one demo at a time: each begins by ending the stand-in of the one before.

    Raises: SettingsError when another one runs, or the folder cannot be written.
    """
    folder = _CHECKOUT / ".glue-pkgmgr"
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / "demo.lock").open("w")
    except OSError as e:
        raise SettingsError(f"cannot write {folder}: {e.strerror}; check the folder and free space") from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise SettingsError(
                f"another demo runs in {_CHECKOUT}; wait for its end, or run this one in another clone"
            ) from e
        yield


def _demo(output: Output, data: Path | None) -> int:
    began = time.monotonic()
    watch = Stopwatch(output)
    runtime, python, nearest = _choose_runtime(output)
    with watch.step(f"prepare Python, Spark and Java of Glue {runtime.version}"):
        _prepare(runtime, python, output)
    workspace = _workspace(runtime)
    state = workspace / "local"
    project = Project.load(workspace / FILENAME)
    try:
        with watch.step("start the stand-in for AWS"):
            stand_in = lifecycle.up(project.settings, state=state, nearest_python=nearest, progress=output.detail)
        project = Project.load(
            workspace / FILENAME, environ=stand_in.environment(os.environ), progress=output.detail
        )
        return _road(project, state, data, watch, began)
    finally:
        lifecycle.down(state)


def _road(project: Project, state: Path, data: Path | None, watch: Stopwatch, began: float) -> int:
    output = watch.output
    with watch.step(f"build {_LIBRARY} and publish it to the approved repository"):
        for record in project.publish():
            for file in record.files:
                output.progress(f"   {file.filename}  sha256 {file.sha256}")
    with watch.step("approve what the job may install"):
        approved = project.approve(_approvals(project), by="demo", reason="reviewed for the demo")
        output.progress(f"   {', '.join(f'{one.project}{one.versions}' for one in approved)}")
    with watch.step("lock the request: exact releases with hashes"):
        for locked in project.lock():
            output.progress(f"   {_shown(locked.path)}: {', '.join(map(str, locked.lock.installed))} to install")
    with watch.step("mirror the locked releases into the approved repository"):
        report = project.mirror_sync()
        require_complete(report.entries, project.settings.codeartifact.approved_repository)
        for one in report.entries:
            output.progress(f"   {one.pin}: {one.presence}")
    job = project.settings.job(_JOB)
    bucket = state / "s3" / job.arguments["S3_BUCKET"]
    with watch.step("put the trip data into S3"):
        rows = _put_data(bucket, data)
        output.progress(f"   {rows} rows of {data.name if data else 'a generated sample'}")
    with watch.step("check, mint a token, start the job"):
        launched = project.launch(_JOB)
        life = f", token until {launched.token_expires:%H:%M:%S} UTC" if launched.token_expires else ""
        output.progress(f"   run {launched.run}, delivery {launched.delivery}{life}")
    with watch.step("install and run"):
        follow(output, launched.follow())
    result = launched.wait().raise_for_state()
    _split_run(watch, result.phases)
    parquet = bucket / "dataoutput" / "taxidataparquet"
    found = read_back(parquet)
    watch.seconds[_TOTAL] = time.monotonic() - began
    _show(watch, launched, found, result.installed.releases if result.installed else (), _shown(parquet))
    return 0


def _approvals(project: Project) -> list[str]:
    """Return what the sample's own allow-list approves: the demo reviews it anew."""
    sample = Project.load(_CHECKOUT / FILENAME).approvals().approvals
    return [f"{one.project}{one.versions}" for one in sample]


def _choose_runtime(output: Output) -> tuple[GlueRuntime, Path, bool]:
    """Return the Glue version to show, its interpreter, and whether that is only the nearest one."""
    for version in dict.fromkeys((*_PREFERRED, *sorted(RUNTIMES, reverse=True))):
        runtime = glue_runtime(version)
        if python := python_for(runtime.python, os.environ):
            output.progress(f"Glue {version}: Python {runtime.python_text} found, Spark {runtime.spark}")
            return runtime, python, False
    runtime = glue_runtime(_PREFERRED[-1] if sys.version_info >= (3, 13) else _PREFERRED[0])
    nearest = nearest_python(runtime.python, os.environ)
    if nearest is None:
        raise SettingsError(f"no Python for Glue {runtime.version} on this machine; install Python 3.11")
    (major, minor), python = nearest
    output.progress(
        f"Glue {runtime.version} runs on Python {runtime.python_text}, which is not here: taking {major}.{minor}"
    )
    return runtime, python, True


def _prepare(runtime: GlueRuntime, python: Path, output: Output) -> None:
    cache, image = cache_folder(os.environ), Image.of(runtime)
    base_environment(runtime.version, image.pins, python, cache=cache, say=output.progress)
    spark(runtime.spark, python, cache=cache, say=output.progress)


def _workspace(runtime: GlueRuntime) -> Path:
    """Make the folder of the demo: the sample's settings for `runtime`, an empty allow-list, no locks."""
    folder = _CHECKOUT / ".glue-pkgmgr" / "demo"
    lifecycle.down(folder / "local")  # left by a demo that was killed
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        settings = tomlkit.parse((_CHECKOUT / FILENAME).read_text(encoding="utf-8"))
        settings["bundles"][_JOB]["glue-version"] = runtime.version
        settings["jobs"][_JOB]["script"] = str(_CHECKOUT / settings["jobs"][_JOB]["script"])
        settings["publish"]["projects"] = [str(_CHECKOUT / one) for one in settings["publish"]["projects"]]
        (folder / FILENAME).write_text(tomlkit.dumps(settings), encoding="utf-8")
        (folder / "allowlist.toml").write_text(EMPTY, encoding="utf-8")
    except OSError as e:
        raise SettingsError(f"cannot write {folder}: {e.strerror}; check the folder and free space") from e
    return folder


def _put_data(bucket: Path, data: Path | None) -> int:
    """Put the CSV where the job reads it; return how many rows it has, by a CSV reader's count."""
    target = bucket / "data" / "trips.csv"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            # The generator is a script of the sample, not a part of this package.
            sys.path.insert(0, str(_CHECKOUT))
            from glue_jobs.sample_trips import write_sample

            write_sample(target)
        else:
            shutil.copyfile(data, target)
        with target.open(encoding="utf-8", errors="replace", newline="") as file:
            return max(0, sum(1 for _ in csv.reader(file)) - 1)
    except OSError as e:
        raise SettingsError(f"cannot copy the data to {target}: {e.strerror}") from e


def _split_run(watch: Stopwatch, phases: Phases | None) -> None:
    """Tell the time before the script started (environment, pip) from the time it ran (Spark)."""
    if phases is None:
        return
    whole = watch.seconds.pop("install and run")
    before = min(whole, whole - phases.ran)
    watch.seconds["environment and installation in the run"] = max(before, 0.0)
    watch.seconds[_SPARK] = min(whole, phases.ran)


def read_back(folder: Path) -> Result:
    """Read the Parquet under `folder` with pyarrow; company names are unescaped from the paths."""
    from pyarrow import parquet

    rows, totals = 0, Counter[str]()
    for file in sorted(folder.glob("year=*/app=*/*.parquet")):
        trips = parquet.ParquetFile(file).read(columns=["trips"])["trips"].to_pylist()
        rows += len(trips)
        totals[_app(file)] += sum(trips)
    top = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:_TOP]
    return Result(rows=rows, apps=len(totals), trips=totals.total(), top=top)


def _app(file: Path) -> str:
    return unquote(file.parent.name.removeprefix("app="))


def _show(
    watch: Stopwatch,
    launched: Run,
    found: Result,
    installed: Sequence[str],
    parquet: Path,
) -> None:
    watch.output.result(
        {
            "glue_version": launched.lock.runtime.version,
            "rows": found.rows,
            "apps": found.apps,
            "trips": found.trips,
            "installed": list(installed),
            "parquet": str(parquet),
            "seconds": {name: round(seconds, 3) for name, seconds in watch.seconds.items()},
            "seconds_total": watch.seconds[_TOTAL],
            "seconds_spark": watch.seconds.get(_SPARK),
            "seconds_from_token_to_accepted": launched.accept_seconds,
        },
        f"\nTop apps by trips ({found.apps} apps, {found.trips:,} trips, {found.rows:,} weeks)",
        Table(("app", "trips"), [(app, f"{trips:,}") for app, trips in found.top]),
        f"\nReleases of the run; pip says it installed {', '.join(installed) or 'nothing'}",
        release_table(launched.lock.pins),
        "\nTime",
        Table(
            ("step", "seconds"),
            [(name, f"{seconds:.1f}") for name, seconds in watch.seconds.items()],
        ),
        f"\nParquet  {parquet}",
    )


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
