"""Weekly trips per company, from CSV to partitioned Parquet with a catalogue table.

Runs on Glue 4.0 to 6.0 and on plain Spark, unchanged:

    taxi_aggregation.py --S3_BUCKET BUCKET --GLUE_DATABASE DATABASE

Reads every `*.csv` and `*.csv.gz` under `s3://BUCKET/data/`: RFC 4180, UTF-8, a header naming at least
`year`, `week`, `app` (the company) and `trips`, in any order; a line break inside a value becomes a
line feed. Sums `trips` (long) by week, year and app into `s3://BUCKET/dataoutput/taxidataparquet/`,
partitioned by year and app, registered as table `taxidataparquet`. Rows that do not fit go to
`s3://BUCKET/dataoutput/_rejected/` as JSON lines with their reason. Run again over the same data it changes
nothing. Read the partition columns back with their types, `year` int and `app` string, as the catalogue
has them: an engine that guesses takes the company `510` for a number.

Prints one `key=value` a line, on standard output, in this order; a reader finds the values by the key:

    version.boto3, version.glueutils, version.more_itertools    what Python really imported
    files_in, rows_in, rows_rejected                            rows_in counts the rejected ones too
    rejected.REASON                                             one line for each reason there was
    rows_written, partitions_written, total_trips
    table, output, rejected                                     DATABASE.TABLE and two S3 paths

Exit status 0, or 1 with one sentence on standard error.
"""

import argparse
import contextlib
import csv
import importlib.util
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import boto3
import more_itertools
from glueutils.writer import CatalogError, write_dataframe
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody gives it

import glueutils

COLUMNS = ("year", "week", "app", "trips")
INPUT = "data"
OUTPUT = "dataoutput/taxidataparquet"
REJECTED = "dataoutput/_rejected"
TABLE = "taxidataparquet"

# S3 keys may have 1,024 bytes and a folder on a disk 255; escaping triples a byte at most.
MAX_APP_BYTES = 80
CORRUPT = "_corrupt_record"
VISIBLE_CSV = re.compile(r"(/[^._/][^/]*)*/[^._/][^/]*\.csv(\.gz)?", re.IGNORECASE)


class JobError(Exception):
    """The job cannot go on; the text says what to change."""


def main(argv: Sequence[str]) -> None:
    """Run the whole job. Raises: JobError, CatalogError."""
    report("version.boto3", boto3.__version__)
    report("version.glueutils", glueutils.__version__)
    report("version.more_itertools", more_itertools.__version__)  # type: ignore[attr-defined]  # not in its stubs
    with spark_session(argv, ["S3_BUCKET", "GLUE_DATABASE"]) as (spark, arguments):
        # Time goes into opening many small files, not into bytes: let every core write, however little.
        spark.conf.set("spark.sql.adaptive.coalescePartitions.minPartitionSize", "1k")
        aggregate(spark, bucket=f"s3://{arguments['S3_BUCKET']}", database=arguments["GLUE_DATABASE"])


Session = tuple[SparkSession, Mapping[str, str]]


def spark_session(argv: Sequence[str], names: Sequence[str]) -> contextlib.AbstractContextManager[Session]:
    """Return the session and the arguments `names` for a `with`: by `awsglue` where it is, else plain Spark."""
    return glue_session(argv, names) if importlib.util.find_spec("awsglue") else local_session(argv, names)


@contextlib.contextmanager
def glue_session(argv: Sequence[str], names: Sequence[str]) -> Iterator[Session]:
    """Yield Glue's session and the job's arguments; the job is initialised once, and committed if all went well.

    No source here is bookmarked: a bookmark would hide the weeks that earlier runs have read, and the
    partitions written from the new weeks alone would replace those that hold them.
    """
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    arguments = getResolvedOptions(list(argv), ["JOB_NAME", *names])
    glue_context = GlueContext(SparkContext.getOrCreate())
    job = Job(glue_context)
    job.init(arguments["JOB_NAME"], arguments)
    yield glue_context.spark_session, arguments
    job.commit()


@contextlib.contextmanager
def local_session(argv: Sequence[str], names: Sequence[str]) -> Iterator[Session]:
    """Yield a session configured by `spark-defaults.conf`, and the job's arguments. Raises: JobError."""
    arguments = local_arguments(argv, names)
    spark = SparkSession.builder.appName("taxi_aggregation").getOrCreate()
    try:
        yield spark, arguments
    finally:
        spark.stop()


def local_arguments(argv: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the arguments `names`, given as `--NAME VALUE` or `--NAME=VALUE` among others, as on Glue.

    Raises: JobError naming every missing one.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(f"--{name}", nargs="?")
    found = vars(parser.parse_known_args(argv[1:])[0])
    if missing := [f"--{name}" for name in names if not found[name]]:
        raise JobError(f"missing job arguments: {', '.join(missing)}")
    return found


def aggregate(spark: SparkSession, *, bucket: str, database: str) -> None:
    """Read, sum, write and report. Raises: JobError, CatalogError."""
    files = input_files(spark, f"{bucket}/{INPUT}")
    report("files_in", len(files))
    # Kept, because the counts, the sums and the rejected rows each need them and parsing is the dear part.
    rows = judged(read_rows(spark, files)).persist()
    try:
        totals = (F.count(F.lit(1)).alias("rows"), F.sum("trips").alias("trips"))
        counts = rows.groupBy("reason").agg(*totals).collect()
        rejected = {row["reason"]: row["rows"] for row in counts if row["reason"] is not None}
        report("rows_in", sum(row["rows"] for row in counts))
        report("rows_rejected", sum(rejected.values()))
        for reason in sorted(rejected):
            report(f"rejected.{reason}", rejected[reason])

        fitting = rows.where("reason IS NULL").groupBy("week", "year", "app").agg(F.sum("trips").alias("trips"))
        written = write_dataframe(
            fitting, path=f"{bucket}/{OUTPUT}", database=database, table=TABLE, partition_by=["year", "app"]
        )
        # Replaced as a whole, also by nothing: it tells about the input of the last run.
        told = rows.where("reason IS NOT NULL").select("reason", "file", "raw.*")
        told.coalesce(1).write.mode("overwrite").json(f"{bucket}/{REJECTED}")
    finally:
        rows.unpersist()
    report("rows_written", written.rows)
    report("partitions_written", len(written.partitions))
    report("total_trips", sum(row["trips"] for row in counts if row["reason"] is None))
    report("table", written.table)
    report("output", f"{bucket}/{OUTPUT}/")
    report("rejected", f"{bucket}/{REJECTED}/")


def input_files(spark: SparkSession, folder: str) -> list[str]:
    """Return the paths of the CSV files below `folder`, sorted. Raises: JobError if there are none."""
    path = spark._jvm.org.apache.hadoop.fs.Path(folder)
    found = []
    try:
        listing = path.getFileSystem(spark._jsc.hadoopConfiguration()).listFiles(path, True)
        while listing.hasNext():
            status = listing.next()
            file = status.getPath().toString()
            # Hidden ones are for others, as everywhere in Spark. An empty one has no header to complain about.
            if status.getLen() and VISIBLE_CSV.fullmatch(file.removeprefix(folder)):
                found.append(file)
    except Py4JJavaError as error:
        raise JobError(f"cannot list {folder}/: {cause(error)}") from error
    if not found:
        raise JobError(f"no CSV file under {folder}/; put the trip data there as *.csv or *.csv.gz")
    return sorted(found)


def read_rows(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Return the rows of `files` as text columns, whatever the order of the columns in each.

    Raises: JobError naming a column missing from a header, and the file.
    """
    by_header = defaultdict(list)
    for file in files:
        by_header[read_header(spark, file)].append(file)
    frames = [read_alike(spark, header, alike) for header, alike in by_header.items()]
    first, *others = frames
    for frame in others:
        first = first.unionByName(frame)
    return first


def read_header(spark: SparkSession, file: str) -> tuple[str, ...]:
    """Return the column names in the first line of `file`, in lower case. Raises: JobError."""
    # Through Hadoop, not through a Spark job: a few bytes, read by the driver.
    jvm, hadoop = spark._jvm, spark._jsc.hadoopConfiguration()
    path = jvm.org.apache.hadoop.fs.Path(file)
    try:
        stream = path.getFileSystem(hadoop).open(path)
        if codec := jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(hadoop).getCodec(path):
            stream = codec.createInputStream(stream)
        reader = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(stream, "UTF-8"))
        try:
            line = reader.readLine() or ""
        finally:
            reader.close()
    except Py4JJavaError as error:
        raise JobError(f"cannot read {file}: {cause(error)}") from error
    header = tuple(name.strip().lower() for name in next(csv.reader([line.removeprefix("\ufeff")]), []))
    if missing := [column for column in COLUMNS if column not in header]:
        raise JobError(f"{file}: the header has no column {', '.join(missing)}; it reads {line[:200]!r}")
    if twice := [column for column in COLUMNS if header.count(column) > 1]:
        raise JobError(f"{file}: the header names column {', '.join(twice)} more than once")
    return header


def read_alike(spark: SparkSession, header: Sequence[str], files: Sequence[str]) -> DataFrame:
    """Return the rows of files with one header: the text of each column, the record if it is torn, the file."""
    # By position, as Spark applies a schema: columns that are not ours only keep their place.
    names = [name if name in COLUMNS else f"_{place}" for place, name in enumerate(header)]
    schema = ", ".join(f"`{name}` STRING" for name in [*names, CORRUPT])
    return (
        spark.read.schema(schema)
        .option("header", True)
        .option("multiLine", True)
        .option("escape", '"')
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .csv([re.sub(r"([\\*?{}\[\]])", r"\\\1", file) for file in files])  # names, not patterns
        .select(*COLUMNS, CORRUPT, F.input_file_name().alias("file"))
    )


def judged(rows: DataFrame) -> DataFrame:
    """Return typed rows with `reason`: null, or why the row does not fit; `raw` is the text it had."""
    # try_cast: null where Spark 4's ANSI mode would end the job.
    kinds = {"year": "INT", "week": "INT", "trips": "BIGINT"}
    number = {name: F.expr(f"try_cast({name} AS {kind})") for name, kind in kinds.items()}
    reason = (
        F.when(F.col(CORRUPT).isNotNull(), "wrong number of columns")
        .when(number["year"].isNull(), "year is not a whole number")
        .when(~number["year"].between(1, 9999), "year is not between 1 and 9999")
        .when(number["week"].isNull(), "week is not a whole number")
        .when(~number["week"].between(1, 53), "week is not between 1 and 53")
        .when(F.coalesce(F.trim("app"), F.lit("")) == "", "app is empty")
        .when(F.octet_length("app") > MAX_APP_BYTES, f"app is longer than {MAX_APP_BYTES} bytes")
        .when(F.col("app").contains("\x00"), "app has a NUL character")
        .when(number["trips"].isNull(), "trips is not a whole number")
        .when(number["trips"] < 0, "trips is negative")
    )
    raw = F.struct(*COLUMNS, F.col(CORRUPT).alias("record")).alias("raw")
    typed = [number.get(name, F.col(name)).alias(name) for name in COLUMNS]
    return rows.select(*typed, "file", reason.alias("reason"), raw)


def cause(error: Py4JJavaError) -> str:
    """Return what the JVM said, in one line."""
    return str(error.java_exception.getMessage() or error.java_exception.toString()).splitlines()[0]


def report(key: str, value: object) -> None:
    """Print one fact about the run."""
    print(f"{key}={value}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv)
    except (JobError, CatalogError) as error:
        sys.exit(f"taxi_aggregation: {error}")
