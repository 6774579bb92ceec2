"""The taxi job as Glue starts it: a process of its own, arguments, a status and what it printed."""

import csv
import gzip
import importlib.metadata
import os
import shutil
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

import glueutils
from glue_jobs.sample_trips import MISFITS, write_sample
from tests.e2e.spark.conftest import REPOSITORY, SparkRuntime
from tests.e2e.spark.written import compressions, parquet_files, read_rows

SCRIPT = REPOSITORY / "glue_jobs" / "taxi_aggregation.py"
TABLE = Path("dataoutput") / "taxidataparquet"


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """How a run of the job ended; `facts` are its `key=value` lines."""

    status: int
    facts: dict[str, str]
    errors: str


@pytest.fixture
def run_job(runtime: SparkRuntime) -> Callable[..., JobRun]:
    def run_job(*arguments: str, python_path: tuple[Path, ...] = ()) -> JobRun:
        paths = [*python_path, *runtime.python_path]
        environment = {**os.environ, **runtime.environment, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        finished = subprocess.run(
            [sys.executable, SCRIPT, *arguments],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=240,
            check=False,
        )
        facts = dict(line.split("=", 1) for line in finished.stdout.splitlines())
        return JobRun(status=finished.returncode, facts=facts, errors=finished.stderr)

    return run_job


@pytest.fixture
def bucket(runtime: SparkRuntime) -> Path:
    """The bucket `job`, with an empty `data/` and nothing else."""
    folder = runtime.bucket("job")
    shutil.rmtree(folder)
    (folder / "data").mkdir(parents=True)
    return folder


def sums(table: Path) -> dict[tuple[str, str, int], int]:
    """The trips by year, app and week; a row written twice shows as an error of the test."""
    rows = read_rows(table)
    found = {(row["year"], row["app"], row["week"]): row["trips"] for row in rows}
    assert len(found) == len(rows)
    return found


def sums_of_sample(file: Path) -> dict[tuple[str, str, int], int]:
    """The same, summed without Spark from a sample."""
    found: dict[tuple[str, str, int], int] = defaultdict(int)
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    for row in rows[: -len(MISFITS)]:
        found[row["year"], row["app"], int(row["week"])] += int(row["trips"])
    return found


def test_trips_are_summed_reported_and_registered_and_a_second_run_changes_nothing(
    bucket: Path, run_job: Callable[..., JobRun], glue: Any
) -> None:
    sample = write_sample(bucket / "data" / "trips.csv", 1500)
    expected = sums_of_sample(bucket / "data" / "trips.csv")
    # As Glue passes them: in no order, with its own among them, `=` or a blank between name and value.
    arguments = ("--enable-metrics", "", "--GLUE_DATABASE=Taxi", "--JOB_NAME", "taxi", "--S3_BUCKET", "job")

    first, second = run_job(*arguments), run_job(*arguments)

    assert (first.status, first.errors.count("Traceback")) == (0, 0)
    assert (
        first.facts
        == second.facts
        == {
            "version.boto3": boto3.__version__,
            "version.glueutils": glueutils.__version__,
            "version.more_itertools": importlib.metadata.version("more-itertools"),
            "files_in": "1",
            "rows_in": "1500",
            "rows_rejected": str(sample.misfits),
            "rejected.app is empty": "1",
            "rejected.trips is negative": "1",
            "rejected.trips is not a whole number": "2",
            "rejected.week is not between 1 and 53": "1",
            "rejected.wrong number of columns": "2",
            "rejected.year is not a whole number": "1",
            "rows_written": str(len(expected)),
            "partitions_written": str(sample.partitions),
            "total_trips": str(sample.trips),
            "table": "taxi.taxidataparquet",
            "output": "s3://job/dataoutput/taxidataparquet/",
            "rejected": "s3://job/dataoutput/_rejected/",
        }
    )
    assert sums(bucket / TABLE) == expected
    assert len(parquet_files(bucket / TABLE)) == sample.partitions
    assert compressions(bucket / TABLE) == {"SNAPPY"}
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName="taxi", TableName="taxidataparquet")
    locations = {found["StorageDescriptor"]["Location"] for page in pages for found in page["Partitions"]}
    assert locations == {f"s3://job/{file.parent.relative_to(bucket)}" for file in parquet_files(bucket / TABLE)}


def test_files_of_any_column_order_and_every_row_that_does_not_fit_are_accounted_for(
    bucket: Path, run_job: Callable[..., JobRun], session: Any
) -> None:
    data = bucket / "data"
    (data / "more").mkdir()
    # A byte order mark, columns in another order, in capitals and one too many; a name that looks like a pattern.
    turned = '\ufeffTrips,Borough, APP ,week,year\r\n5,Queens,"BOM, ""LTD""",3,2014\r\n6,,BIG,4,2014\r\n'
    (data / "more" / "b [1] {x}*%20.csv").write_bytes(turned.encode())
    # 2**31 trips overflow an int; a quote that is never closed takes the rest of its file with it, seen.
    torn = f'year,week,app,trips\n2013,1,MANY,{2**31}\n\n2013,1,MANY,{2**31}\n2013,2,"TORN,9\n2013,3,NEXT,1\n'
    (data / "z.csv.gz").write_bytes(gzip.compress(torn.encode()))
    long = f"year,week,app,trips\n2013,1,{'É' * 41},1\n99999,1,A,1\n2013,1,   ,1\n2013,one,A,1\n2013,1,A\x00B,1\n"
    (data / "long.csv").write_text(long, encoding="utf-8")
    (data / "_hidden.csv").write_text("not,for,us\n")
    (data / "empty.csv").touch()

    first = run_job("--S3_BUCKET", "job", "--GLUE_DATABASE", "orders")

    assert first.status == 0, first.errors
    assert sums(bucket / TABLE) == {
        ("2014", 'BOM, "LTD"', 3): 5,
        ("2014", "BIG", 4): 6,
        ("2013", "MANY", 1): 2**32,
    }
    assert (first.facts["files_in"], first.facts["rows_in"], first.facts["total_trips"]) == (
        "3",
        "10",
        str(2**32 + 11),
    )
    rejected = [row.asDict() for row in session.read.json(str(bucket / "dataoutput" / "_rejected")).collect()]
    assert {row["reason"] for row in rejected} == {
        "app has a NUL character",
        "app is empty",
        "app is longer than 80 bytes",
        "week is not a whole number",
        "wrong number of columns",
        "year is not between 1 and 9999",
    }
    assert first.facts["rows_rejected"] == str(len(rejected)) == "6"
    [torn_row] = [row for row in rejected if row["reason"] == "wrong number of columns"]
    assert torn_row["record"] == '2013,2,"TORN,9\n2013,3,NEXT,1'
    assert torn_row["file"] == "s3://job/data/z.csv.gz"

    for name in ("long.csv", "z.csv.gz"):
        (data / name).unlink()
    second = run_job("--S3_BUCKET", "job", "--GLUE_DATABASE", "orders")

    assert second.facts["rows_rejected"] == "0"
    assert session.read.text(str(bucket / "dataoutput" / "_rejected")).count() == 0


@pytest.mark.parametrize(
    ("arguments", "files", "told"),
    [
        (["--S3_BUCKET", "job"], {}, "missing job arguments: --GLUE_DATABASE"),
        (["--S3_BUCKET", "job", "--GLUE_DATABASE", "d"], {}, "no CSV file under s3://job/data/"),
        (
            ["--S3_BUCKET", "job", "--GLUE_DATABASE", "d"],
            {"good.csv": "year,week,app,trips\n", "bad.csv": "year,week,company,trips\n2015,1,A,1\n"},
            "s3://job/data/bad.csv: the header has no column app; it reads 'year,week,company,trips'",
        ),
    ],
)
def test_what_cannot_be_read_ends_the_job_with_one_sentence_and_writes_nothing(
    bucket: Path, run_job: Callable[..., JobRun], arguments: list[str], files: dict[str, str], told: str
) -> None:
    for name, text in files.items():
        (bucket / "data" / name).write_text(text)

    ended = run_job(*arguments)

    assert ended.status == 1
    assert ended.errors.splitlines()[-1].startswith(f"taxi_aggregation: {told}")
    assert "Traceback" not in ended.errors
    assert not (bucket / "dataoutput").exists()


AWSGLUE = {
    "context.py": """
        from pyspark.sql import SparkSession
        class GlueContext:
            def __init__(self, spark_context):
                self.spark_session = SparkSession(spark_context)
    """,
    "job.py": """
        import json, os
        class Job:
            def __init__(self, context):
                pass
            def init(self, name, arguments):
                self._told("init", name, sorted(arguments))
            def commit(self):
                self._told("commit")
            def _told(self, *words):
                with open(os.environ["JOB_CALLS"], "a") as file:
                    print(json.dumps(words), file=file)
    """,
    "utils.py": """
        def getResolvedOptions(argv, names):
            given = dict(zip(argv[1::2], argv[2::2]))
            return {name: given["--" + name] for name in names}
    """,
}


@pytest.fixture
def awsglue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an `awsglue` that records what the job tells it, in the file `calls` beside it."""
    package = tmp_path / "site" / "awsglue"
    package.mkdir(parents=True)
    for name, text in {"__init__.py": "", **AWSGLUE}.items():
        (package / name).write_text(textwrap.dedent(text))
    monkeypatch.setenv("JOB_CALLS", str(tmp_path / "calls"))
    return package.parent


@pytest.mark.parametrize("fails", [False, True])
def test_on_glue_the_job_is_initialised_once_and_committed_once_if_all_went_well(
    bucket: Path, run_job: Callable[..., JobRun], awsglue: Path, fails: bool
) -> None:
    header = "year,week,app" if fails else "year,week,app,trips"
    (bucket / "data" / "trips.csv").write_text(f"{header}\n2015,1,A,1\n")

    arguments = ("--JOB_NAME", "taxi", "--S3_BUCKET", "job", "--GLUE_DATABASE", "onglue")
    ended = run_job(*arguments, python_path=(awsglue,))

    assert ended.status == int(fails), ended.errors
    calls = (awsglue.parent / "calls").read_text().splitlines()
    init = '["init", "taxi", ["GLUE_DATABASE", "JOB_NAME", "S3_BUCKET"]]'
    assert calls == ([init] if fails else [init, '["commit"]'])
