"""Write partitioned Parquet and keep its Glue Data Catalog table up to date."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glueutils.catalog import CatalogError, GlueCatalog, PartitionedTable
from glueutils.catalog import Column as CatalogColumn
from glueutils.partitions import Partition

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["CatalogError", "Partition", "WrittenTable", "write_dataframe", "write_to_s3"]

_SINK_FORMATS = frozenset({"glueparquet", "parquet", "json", "csv", "avro"})


def write_to_s3(  # noqa: PLR0917 - the call its users already have
    glue_context: Any,
    dyn_frame: Any,
    s3_tgt_path: str,
    glue_tbl_tgt: str,
    glue_db_tgt: str,
    partition_cols: Sequence[str],
    outputformat: str = "glueparquet",
) -> Any:
    """Append a DynamicFrame below `s3_tgt_path`, and create or update its catalogue table. Glue only.

    Appends: a second run with the same data doubles it; `write_dataframe` replaces instead.
    `outputformat` is `glueparquet` or `parquet` (both Snappy, by Glue's own writer), `json`, `csv` or `avro`.

    Returns the DynamicFrame of the records that could not be written; its `errorsCount()` should be 0.
    Raises: ValueError for another format.
    Source: "Creating tables, updating the schema, and adding new partitions from AWS Glue ETL jobs".
    """
    if outputformat not in _SINK_FORMATS:
        known = ", ".join(sorted(_SINK_FORMATS))
        raise ValueError(f"outputformat {outputformat!r} cannot update the catalogue; use one of {known}")
    is_parquet = outputformat in ("glueparquet", "parquet")
    # No `format` here: for "parquet" awsglue would swap in Spark's own sink, which updates no catalogue.
    sink = glue_context.getSink(
        connection_type="s3",
        path=s3_tgt_path,
        enableUpdateCatalog=True,
        updateBehavior="UPDATE_IN_DATABASE",
        partitionKeys=list(partition_cols),
        transformation_ctx=f"write_to_s3_{glue_db_tgt}_{glue_tbl_tgt}",
        **({"compression": "snappy"} if is_parquet else {}),
    )
    sink.setCatalogInfo(catalogDatabase=glue_db_tgt, catalogTableName=glue_tbl_tgt)
    if is_parquet:
        sink.setFormat("parquet", useGlueParquetWriter=True)
    else:
        sink.setFormat(outputformat)
    return sink.writeFrame(dyn_frame)


@dataclass(frozen=True, kw_only=True)
class WrittenTable:
    """What one call of `write_dataframe` wrote."""

    table: PartitionedTable
    rows: int
    partitions: tuple[Partition, ...]
    """The partitions the data had, sorted; those written earlier and not replaced are not among them."""


def write_dataframe(
    df: "DataFrame",
    *,
    path: str,
    database: str,
    table: str,
    partition_by: Sequence[str],
    one_file_per_partition: bool = True,
    max_records_per_file: int = 0,
    glue_client: Any = None,
) -> WrittenTable:
    """Write `df` as Snappy Parquet below `path`, and create or update its catalogue table.

    Of what lies there already, exactly the partitions found in `df` are replaced: running a job again
    changes nothing, and an empty `df` creates the table and touches no data. `df` is computed once.

    Each partition becomes one file, written by one task. For a few very large partitions set
    `one_file_per_partition=False` (each task writes its own file) or `max_records_per_file` (0: no limit).
    `glue_client` is a boto3 Glue client; by default one is made from the standard AWS environment.
    Database, table and column names are folded to lower case in the catalogue, as Glue does.

    Reading back: engines guess the type of partition values from their text unless told otherwise. In Spark
    turn `spark.sql.sources.partitionColumnTypeInference.enabled` off, or give a schema; engines that
    read through the catalogue table take the types from there.

    Raises: ValueError if `partition_by` does not fit `df`. CatalogError before anything is written if an
    existing table differs in path, partition columns or the type of a column; after the write if the
    catalogue could not be updated, in which case running again is safe.
    """
    written = _table_of(df, path, database, table, partition_by)
    catalog = GlueCatalog(glue_client)
    catalog.check(written)

    def store(frame: "DataFrame") -> None:
        (
            frame.write.mode("overwrite")
            .option("partitionOverwriteMode", "dynamic")
            .option("compression", "snappy")
            .option("maxRecordsPerFile", max_records_per_file)
            .partitionBy(*partition_by)
            .parquet(written.location)
        )

    if one_file_per_partition:
        df = df.repartition(*_partition_values(partition_by))
    rows, partitions = _stored(df, partition_by, store)
    catalog.register(written, partitions)
    return WrittenTable(table=written, rows=rows, partitions=tuple(partitions))


def _stored(
    df: "DataFrame", partition_by: Sequence[str], store: Callable[["DataFrame"], None]
) -> tuple[int, list[Partition]]:
    """Pass `df` to `store`, computed only once, and return how many rows it had and its partitions, sorted."""
    # Spark comes with the Glue image: this module must be importable where it is not.
    from pyspark.sql import Observation
    from pyspark.sql import functions as F  # noqa: N812 - the name everybody gives it

    # As JSON, because observed lists do not cross from the JVM to Python in every Spark version.
    partitions = F.to_json(F.collect_set(F.array(*_partition_values(partition_by))))
    counts = (F.count(F.lit(1)).alias("rows"), partitions.alias("partitions"))
    if df.sparkSession.version.startswith("3.3.0"):
        # Glue 4.0: observing fails in every task that has no rows (SPARK-40535).
        kept = df.persist()
        try:
            counted = kept.agg(*counts).collect()[0].asDict()
            store(kept)
        finally:
            kept.unpersist()
    else:
        # Counted while the rows go by on their way to the files.
        seen = Observation()
        store(df.observe(seen, *counts))
        counted = seen.get
    return counted["rows"], sorted({Partition.of(found) for found in json.loads(counted["partitions"])})


def _partition_values(partition_by: Sequence[str]) -> list["Column"]:
    """Return the value of each partition column as Spark spells it in paths, where null and empty are one."""
    from pyspark.sql import functions as F  # noqa: N812 - the name everybody gives it

    quoted = (f"`{name.replace('`', '``')}`" for name in partition_by)
    return [F.expr(f"nullif(cast({name} AS string), '')") for name in quoted]


def _table_of(
    df: "DataFrame", path: str, database: str, table: str, partition_by: Sequence[str]
) -> PartitionedTable:
    """Raises: ValueError if `partition_by` does not fit the columns of `df`."""
    types = {field.name: field.dataType.simpleString() for field in df.schema}
    if not partition_by:
        raise ValueError("partition_by names no column; without one every run would replace the whole table")
    if unknown := [name for name in partition_by if name not in types]:
        raise ValueError(f"partition_by: the data has no column {', '.join(unknown)}; it has {', '.join(types)}")
    if len({name.lower() for name in types}) < len(df.columns) or len(set(partition_by)) < len(partition_by):
        raise ValueError(f"column names must differ in more than upper and lower case: {', '.join(df.columns)}")
    if len(partition_by) == len(types):
        raise ValueError("partition_by names every column; at least one must be left to be stored in the files")
    return PartitionedTable(
        database=database.lower(),
        name=table.lower(),
        location=path.rstrip("/"),
        columns=tuple(CatalogColumn(n.lower(), _hive_type(t)) for n, t in types.items() if n not in partition_by),
        partition_columns=tuple(CatalogColumn(name, _hive_type(types[name])) for name in partition_by),
    )


def _hive_type(spark_type: str) -> str:
    # Hive has no timestamp without a time zone of its own; in Parquet both are read as `timestamp`.
    return spark_type.replace("timestamp_ntz", "timestamp").lower()
