"""`make bench`: the speeds we promise, as they are on this machine. Exit status 1 if one is not kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.cli.output import Output, Table
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.local.jobs.environment import base_environment, clone
from glue_pkgmgr.local.jobs.glue import Image
from glue_pkgmgr.local.jobs.interpreters import python_for
from tests.bench import check, launch, lock, mirror, publish, records
from tests.bench.measure import REPETITIONS, Line, Sample, noise, repeated, timed

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("glue-pkgmgr")
DEMO = ROOT / ".glue-pkgmgr" / "demo"  # the demo leaves its settings and locks there
LONGEST = 300.0  # seconds, for one process
WITHOUT_AWS = (["check", "boto3,glueutils==0.2.0"], ["approvals"], ["lock", "--check"])
_MODULES = """
import sys
from glue_pkgmgr.cli.main import main
status = main(sys.argv[1:])
print(*sorted({"boto3", "botocore"} & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


def main() -> int:
    """Measure everything, print the table, and return the exit status."""
    output = Output()
    output.progress(f"about ten minutes: every figure is the median of {REPETITIONS}, with the least and the most")
    output.progress(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    before = noise()
    lines = list(measured(output))
    after = noise()
    rows = [(line.what, line.promise or "-", line.measured, _KEPT[line.kept]) for line in lines]
    rows += [
        (f"the same work, {when}: noise", "-", sample.text("ms", 1000), _KEPT[None])
        for when, sample in (("at the start", before), ("at the end", after))
    ]
    broken = [line.what for line in lines if line.kept is False]
    data = {"lines": [dict(zip(("what", "promise", "measured", "kept"), row, strict=True)) for row in rows]}
    output.result(data, Table(("what", "promise", "median (min to max)", "kept"), rows))
    if broken:
        output.conclude(f"not kept: {', '.join(broken)}; is the machine busy? load is {os.getloadavg()[0]:.1f}")
    return 1 if broken else 0


_KEPT = {True: "yes", False: "no", None: ""}


def measured(output: Output) -> Iterator[Line]:
    """Yield the lines of the report, telling what is being measured."""
    for what, measure in (
        ("start of Python and of the command", start),
        ("the demo, once to warm up", demo),
        ("verbs without AWS", without_aws),
        ("a run's environment", cloning),
        ("the stand-in", stand_in),
        ("check with thousands of approvals", checking),
        ("lock beside uv", locking),
        ("mirror sync beside a loop of copies", mirroring),
        ("publish beside twine", publishing),
        ("records of launches", recording),
        ("launch beside a script with the aws command", launching),
    ):
        output.progress(f"measuring {what}")
        yield from measure()


def start() -> Iterator[Line]:
    """Compare `glue-pkgmgr --help` with the start of Python itself; the two alternate, so noise meets both."""
    python: list[float] = []
    helped: list[float] = []
    for _ in range(REPETITIONS * 4):  # they are short: more of them cost nothing
        python.append(seconds([sys.executable, "-c", "pass"]))
        helped.append(seconds([COMMAND, "--help"]))
    ratio = Sample(helped).median / Sample(python).median
    yield Line("python -c pass", "", Sample(python).text("ms", 1000), None)
    yield Line("glue-pkgmgr --help", "", Sample(helped).text("ms", 1000), None)
    yield Line("--help, in starts of Python", "< 6 x", f"{ratio:.1f} x", ratio < 6)


def demo() -> Iterator[Line]:
    """Run the demo until it is warm, and take the figures it reports."""
    run([sys.executable, "-m", "glue_pkgmgr.demo", "--json"])
    reports = [
        json.loads(run([sys.executable, "-m", "glue_pkgmgr.demo", "--json"]).stdout) for _ in range(REPETITIONS)
    ]
    total = Sample([report["seconds_total"] for report in reports])
    spark = Sample([report["seconds_spark"] for report in reports])
    rest = Sample([report["seconds_total"] - report["seconds_spark"] for report in reports])
    token = Sample([report["seconds_from_token_to_accepted"] for report in reports])
    yield Line("demo, warm: all of it", "< 60 s", total.text("s"), total.median < 60)
    yield Line("demo: Spark", "", spark.text("s"), None)
    yield Line("demo: everything else", "< 15 s", rest.text("s"), rest.median < 15)
    for step in reports[0]["seconds"]:
        step_seconds = Sample([report["seconds"][step] for report in reports])
        if 0.05 < step_seconds.median < rest.median:
            yield Line(f"demo: {step}", "", step_seconds.text("s"), None)
    yield Line("token minted → StartJobRun accepted", "< 0.3 s", token.text("s"), token.median < 0.3)


def without_aws() -> Iterator[Line]:
    """Run verbs that need no AWS on the project the demo has left, and look at what they load."""
    for words in WITHOUT_AWS:
        loaded = run([sys.executable, "-c", _MODULES, "-q", *words], DEMO).stderr.split()
        taken = repeated(lambda words=words: seconds([COMMAND, *words], DEMO))
        name = f"glue-pkgmgr {' '.join(words)}"
        yield Line(name, "no boto3", f"{', '.join(loaded) or 'none'}; {taken.text('ms', 1000)}", not loaded)


def cloning() -> Iterator[Line]:
    """Copy the base environment of a Glue version, as each run does."""
    runtime = glue_runtime(
        json.loads(run([COMMAND, "--json", "lock", "--check"], DEMO).stdout)["locks"][0]["glue_version"]
    )
    python = python_for(runtime.python, os.environ) or Path(sys.executable)
    cache = cache_folder(os.environ)
    base = base_environment(runtime.version, Image.of(runtime).pins, python, cache=cache, say=print).folder

    def once() -> float:
        with tempfile.TemporaryDirectory(dir=cache, prefix="bench-") as folder:
            return timed(lambda: clone(base, Path(folder) / "env"))

    yield Line(f"clone of the Glue {runtime.version} environment", "", repeated(once).text("s"), None)


def stand_in() -> Iterator[Line]:
    """Start and end a stand-in with nothing in it, several times."""
    up: list[float] = []
    down: list[float] = []
    for _ in range(REPETITIONS):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            state = Path(folder) / "state"
            try:
                up.append(seconds([COMMAND, "local", "up", "--state", state], ROOT))
            finally:
                down.append(seconds([COMMAND, "local", "down", "--state", state], ROOT))
    yield Line("glue-pkgmgr local up", "", Sample(up).text("s"), None)
    yield Line("glue-pkgmgr local down", "", Sample(down).text("s"), None)


def checking() -> Iterator[Line]:
    """Check where no endpoint answers: what is locked, what nobody approved, and a name that is misspelt."""
    found = check.checks()
    for what, sample in (
        ("a locked request", found.locked),
        ("what nobody approved", found.refused),
        ("a misspelt name", found.misspelt),
    ):
        name = f"check of {what}, {check.APPROVALS:,} approvals, after Python"
        taken = found.after_start(sample)
        yield Line(name, f"< {check.PROMISE} s", f"{1000 * taken:.0f} ms", taken < check.PROMISE)


def locking() -> Iterator[Line]:
    """Lock a wide request, beside a bare uv that resolves the same against the same index."""
    found = lock.locking()
    yield Line("uv pip compile, warm", "", found.bare.text("s"), None)
    yield Line("lock --upgrade of the same, warm", "", found.locked.text("s"), None)
    kept = found.ratio <= lock.PROMISE
    yield Line("lock, in times of uv", f"≤ {lock.PROMISE} x", f"{found.ratio:.2f} x", kept)
    yield Line("lock, its cache of metadata empty", "", f"{found.cold:.1f} s", None)


def mirroring() -> Iterator[Line]:
    """Bring releases that the store holds already, beside a plain loop of copies, which compares nothing."""
    for one in mirror.comparisons():
        far = bool(one.latency)
        where = f"{1000 * one.latency:.0f} ms a call" if far else "on this machine"
        yield Line(f"{mirror.RELEASES} copies in a plain loop, {where}", "", one.plain.text("s"), None)
        yield Line(f"mirror sync of the same, {where}", "", one.synced.text("s"), None)
        promise = f"≥ {mirror.PROMISE:.0f} x" if far else ""
        kept = one.ratio >= mirror.PROMISE if far else None
        yield Line(f"mirror sync, times the loop's speed, {where}", promise, f"{one.ratio:.1f} x", kept)


def publishing() -> Iterator[Line]:
    """Publish the wheels of a release beside a bare upload, and again when all are there: large and small."""
    for case in publish.CASES:
        found = publish.publishing(case)
        yield Line(f"twine upload of {case}", "", found.twine.text("s"), None)
        yield Line("publish of the same until uploaded", "", found.uploaded.text("s"), None)
        promise, kept = f"≤ {publish.FIRST_PROMISE} x", found.ratio <= publish.FIRST_PROMISE
        first = f"publish of {case}, in times of twine"
        yield Line(
            first, promise if case.promised else "", f"{found.ratio:.2f} x", kept if case.promised else None
        )
        yield Line("publish: proof by installing it", "", found.proof.text("s"), None)
        again = found.again.median < publish.AGAIN_PROMISE
        promise = f"< {publish.AGAIN_PROMISE:.0f} s"
        yield Line(f"publish when all {case} are there", promise, found.again.text("s"), again)


def recording() -> Iterator[Line]:
    """Ask a hundred thousand launches for a release, and add one more."""
    found = records.records()
    for what, sample, promise in (
        ("a release in one of 100", found.some, records.PROMISE),
        ("a release in none", found.none, records.PROMISE),
        ("a release in all", found.all, None),
    ):
        name = f"runs --using {what}, {records.LAUNCHES:,} launches"
        kept = None if promise is None else sample.median < promise
        yield Line(name, f"< {promise:.0f} s" if promise else "", sample.text("s"), kept)
    yield Line("one record written", "", found.append.text("ms", 1000), None)


def launching() -> Iterator[Line]:
    """Launch until the run is accepted, beside a script that starts it with the aws command and checks nothing."""
    for one in launch.launches():
        where = f"{one.latency} a call" if one.latency else "on this machine"
        yield Line(f"token, endpoint and start by aws, {where}", "", one.script.text("s"), None)
        yield Line(f"glue-pkgmgr launch --no-wait, {where}", "", one.command.text("s"), None)
        yield Line(f"launch from Python, {where}", "", one.python.text("s"), None)
        promise, kept = f"≥ {launch.PROMISE:.0f} x", one.ratio(one.command) >= launch.PROMISE
        yield Line(f"launch, times the script's speed, {where}", promise, f"{one.ratio(one.command):.1f} x", kept)
        kept = one.ratio(one.python) >= launch.PROMISE
        yield Line(f"the same from Python, {where}", promise, f"{one.ratio(one.python):.1f} x", kept)
        far = bool(one.latency)
        promise, kept = f"< {launch.PREFLIGHT_PROMISE:.0f} s", one.preflight.median < launch.PREFLIGHT_PROMISE
        told = one.preflight.text("s")
        yield Line(f"preflight, {where}", promise if far else "", told, kept if far else None)
        yield Line(
            f"calls of one launch of {launch.RELEASES} releases, the script makes 3", "", str(one.calls), None
        )


def seconds(words: Sequence[str | Path], folder: Path = ROOT) -> float:
    """Return how long a process takes that has to succeed."""
    return timed(lambda: run(words, folder))


def run(words: Sequence[str | Path], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a process to its end. Raises: CalledProcessError, after its own words were shown."""
    finished = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False)
    if finished.returncode:
        sys.stderr.write(finished.stderr)
    finished.check_returncode()
    return finished


if __name__ == "__main__":
    sys.exit(main())
