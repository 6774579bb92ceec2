"""`glueutils.write_dataframe` on a real Spark; what it wrote is read by pyarrow, what it registered by boto3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.spark.conftest import SparkRuntime
from tests.e2e.spark.written import compressions, parquet_files, read_rows

ROW = "year INT, app STRING, n BIGINT"
AWKWARD = [f"a{chr(code)}b" for code in range(1, 0x80)] + ["É", "東京", "\U0001f695", " x ", "..", "A%2FB", "510"]


@pytest.fixture
def write(session: Any) -> Callable[..., Any]:
    from glueutils.writer import write_dataframe

    def write(table: str, rows: Any, schema: str = ROW, **more: Any) -> Any:
        frame = session.createDataFrame(rows, schema) if isinstance(rows, list) else rows
        options = {"partition_by": ["year", "app"], "database": "frames", **more}
        return write_dataframe(frame, path=f"s3://frames/{table}/", table=table, **options)

    return write


@pytest.fixture
def frames(runtime: SparkRuntime) -> Path:
    return runtime.bucket("frames")


def registered(glue: Any, table: str) -> dict[tuple[str, ...], str]:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName="frames", TableName=table)
    found = [partition for page in pages for partition in page["Partitions"]]
    return {tuple(partition["Values"]): partition["StorageDescriptor"]["Location"] for partition in found}


def test_every_value_comes_back_and_its_partition_is_registered_where_spark_put_it(
    write: Callable[..., Any], frames: Path, glue: Any
) -> None:
    rows = [(2015, app, number) for number, app in enumerate(AWKWARD)]
    written = write("awkward", rows)

    back = read_rows(frames / "awkward")
    assert {(row["app"], row["n"]) for row in back} == {(app, number) for _, app, number in rows}
    assert (written.rows, len(written.partitions)) == (len(rows), len(rows))
    folders = {f"s3://frames/{file.parent.relative_to(frames)}" for file in parquet_files(frames / "awkward")}
    locations = registered(glue, "awkward")
    assert set(locations.values()) == folders
    assert set(locations) == {("2015", app) for app in AWKWARD}


def test_null_and_empty_values_share_one_partition(write: Callable[..., Any], frames: Path, glue: Any) -> None:
    write("nulls", [(None, None, 1), (2015, "", 2), (2015, None, 3)])
    assert len(parquet_files(frames / "nulls")) == 2
    none = "__HIVE_DEFAULT_PARTITION__"
    assert {(row["year"], row["app"], row["n"]) for row in read_rows(frames / "nulls")} == {
        (None, None, 1),
        ("2015", None, 2),
        ("2015", None, 3),
    }
    assert set(registered(glue, "nulls")) == {(none, none), ("2015", none)}


def test_a_rerun_replaces_exactly_the_partitions_in_the_data(
    write: Callable[..., Any], frames: Path, glue: Any
) -> None:
    write("again", [(2014, "KEPT", 1), (2015, "REPLACED", 2), (2015, "REPLACED", 3)])
    kept = [file for file in parquet_files(frames / "again") if "KEPT" in str(file)]
    for _ in range(2):
        written = write("again", [(2015, "REPLACED", 7), (2016, "NEW", 8)])

    assert sorted((row["app"], row["n"]) for row in read_rows(frames / "again")) == [
        ("KEPT", 1),
        ("NEW", 8),
        ("REPLACED", 7),
    ]
    assert [file for file in parquet_files(frames / "again") if "KEPT" in str(file)] == kept
    assert [partition.values for partition in written.partitions] == [("2015", "REPLACED"), ("2016", "NEW")]
    assert len(registered(glue, "again")) == 3


def test_a_partition_is_one_snappy_file_unless_asked_otherwise(
    session: Any, write: Callable[..., Any], frames: Path
) -> None:
    spread = session.range(100).selectExpr("2015 AS year", "'A' AS app", "id AS n").repartition(4)
    write("one", spread)
    write("spread", spread, one_file_per_partition=False)
    write("limited", spread, max_records_per_file=30)

    assert [len(parquet_files(frames / name)) for name in ("one", "spread", "limited")] == [1, 4, 4]
    assert compressions(frames / "one") == {"SNAPPY"}


def test_the_data_is_computed_once(session: Any, write: Callable[..., Any]) -> None:
    computed = session.sparkContext.accumulator(0)

    def count(row: Any) -> Any:
        computed.add(1)
        return row

    rows = session.sparkContext.parallelize([(2015, "A", 1), (2015, "B", 2)]).map(count)
    write("once", session.createDataFrame(rows, ROW))
    assert computed.value == 2


@pytest.mark.parametrize(
    "empty",
    ["n < 0", "1 = 0"],  # found empty when it runs; known to be empty before
)
def test_an_empty_frame_registers_the_table_and_touches_no_data(
    session: Any, write: Callable[..., Any], frames: Path, glue: Any, empty: str
) -> None:
    table = f"empty{len(empty)}"
    write(table, [(2015, "A", 1)])
    nothing = (
        session.createDataFrame([(2016, "B", 1)], ROW).groupBy("year", "app").sum("n").toDF("year", "app", "n")
    )
    written = write(table, nothing.where(empty))

    assert (written.rows, written.partitions) == (0, ())
    assert [row["app"] for row in read_rows(frames / table)] == ["A"]
    assert set(registered(glue, table)) == {("2015", "A")}


def test_names_are_folded_in_the_catalogue_and_kept_in_the_paths(write: Callable[..., Any], glue: Any) -> None:
    write(
        "Cased",
        [(2015, "A", 1)],
        "Year INT, App STRING, Total BIGINT",
        partition_by=["Year", "App"],
        database="Frames",
    )
    table = glue.get_table(DatabaseName="frames", Name="cased")["Table"]

    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == ["total"]
    assert [column["Name"] for column in table["PartitionKeys"]] == ["year", "app"]
    assert registered(glue, "cased") == {("2015", "A"): "s3://frames/Cased/Year=2015/App=A"}


def test_types_of_columns_are_the_catalogues_own(session: Any, write: Callable[..., Any], glue: Any) -> None:
    frame = session.sql(
        "SELECT date'2020-01-31' AS day, timestamp'2020-01-31 10:00:00' AS at, true AS ok, "
        "1.50BD AS price, struct(1 AS A, array('x') AS b) AS nested, timestamp_ntz'2020-01-31 10:00:00' AS local"
    )
    write("types", frame, partition_by=["day", "at", "ok"])

    table = glue.get_table(DatabaseName="frames", Name="types")["Table"]
    assert {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]} == {
        "price": "decimal(3,2)",
        "nested": "struct<a:int,b:array<string>>",
        "local": "timestamp",
    }
    assert registered(glue, "types") == {
        ("2020-01-31", "2020-01-31 10:00:00", "true"): (
            "s3://frames/types/day=2020-01-31/at=2020-01-31 10%3A00%3A00/ok=true"
        )
    }


def test_a_table_with_another_column_type_is_refused_before_anything_is_written(
    write: Callable[..., Any], frames: Path
) -> None:
    from glueutils.catalog import CatalogError

    write("typed", [(2015, "A", 1)])
    before = parquet_files(frames / "typed")
    with pytest.raises(CatalogError, match=r"column 'n' .* is bigint in the catalogue and string in"):
        write("typed", [(2015, "A", "1")], "year INT, app STRING, n STRING")
    assert parquet_files(frames / "typed") == before


@pytest.mark.parametrize(
    ("schema", "partition_by", "told"),
    [
        (ROW, [], "names no column"),
        (ROW, ["year", "company"], "no column company; it has year, app, n"),
        (ROW, ["year", "year"], "must differ"),
        ("year INT, Year STRING, n BIGINT", ["year"], "must differ"),
        (ROW, ["year", "app", "n"], "names every column"),
    ],
)
def test_partition_columns_that_do_not_fit_the_data_are_refused(
    write: Callable[..., Any], schema: str, partition_by: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        write("unfit", [(2015, "A", 1)], schema, partition_by=partition_by)
