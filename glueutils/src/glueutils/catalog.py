"""Tables of partitioned Parquet in the Glue Data Catalog."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import chunked

from glueutils.partitions import Partition

# Source: BatchCreatePartition and BatchUpdatePartition take at most 100 partitions in one call.
PARTITIONS_PER_CALL = 100

_PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": _PARQUET_SERDE, "Parameters": {"serialization.format": "1"}},
}


class CatalogError(Exception):
    """The Glue Data Catalog refused, was out of reach, or holds something that cannot be built upon."""


class Column(NamedTuple):
    """A column as the catalogue knows it: a lower-case name and a Hive type such as `bigint`."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class PartitionedTable:
    """A table of Parquet files below `location`, which ends in no slash.

    `partition_columns` are named as in the directories; the catalogue folds them to lower case.
    """

    database: str
    name: str
    location: str
    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"

    def location_of(self, partition: Partition) -> str:
        """Return the folder of `partition`, spelt as Spark created it."""
        return f"{self.location}/{partition.path([column.name for column in self.partition_columns])}"


class GlueCatalog:
    """The Glue Data Catalog, reached through `client` or a client made from the standard AWS environment.

    Every method raises `CatalogError`.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client or boto3.client(
            "glue",
            config=Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5}),
        )

    def check(self, table: PartitionedTable) -> None:
        """Raise if a table of this name exists and `table` cannot become its next state. Changes nothing."""
        if existing := self._existing(table):
            _updated_columns(existing, table)

    def register(self, table: PartitionedTable, partitions: Iterable[Partition]) -> None:
        """Create or update the database, the table and `partitions`; other partitions stay as they are."""
        self._ensure_database(table.database)
        columns = self._ensure_table(table)
        for some in chunked(partitions, PARTITIONS_PER_CALL):
            inputs = {partition.values: _partition_input(table, columns, partition) for partition in some}
            self._put_partitions(table, inputs)

    def _ensure_database(self, name: str) -> None:
        if self._call("get_database", _or="EntityNotFoundException", Name=name) is None:
            # Someone else creating it at this moment is as good.
            self._call("create_database", _or="AlreadyExistsException", DatabaseInput={"Name": name})

    def _ensure_table(self, table: PartitionedTable) -> Sequence[Column]:
        """Create or update the table, and return the columns it has now."""
        existing = self._existing(table)
        if existing is None:
            new = _table_input(table)
            where = {"DatabaseName": table.database, "TableInput": new}
            if self._call("create_table", _or="AlreadyExistsException", **where) is not None:
                return table.columns
            existing = self._existing(table) or new  # created by someone else since we looked
        columns = _updated_columns(existing, table)
        if columns != _columns(existing):
            updated = self._updated(existing, columns)
            self._call("update_table", DatabaseName=table.database, TableInput=updated, SkipArchive=True)
        return columns

    def _put_partitions(self, table: PartitionedTable, inputs: Mapping[tuple[str, ...], dict[str, Any]]) -> None:
        where = {"DatabaseName": table.database, "TableName": table.name}
        reply = self._call("batch_create_partition", PartitionInputList=list(inputs.values()), **where)
        errors = reply.get("Errors", [])
        there = [error for error in errors if error["ErrorDetail"]["ErrorCode"] == "AlreadyExistsException"]
        _raise_first(table, [error for error in errors if error not in there])
        if there:
            known = [tuple(error["PartitionValues"]) for error in there]
            entries = [{"PartitionValueList": list(values), "PartitionInput": inputs[values]} for values in known]
            reply = self._call("batch_update_partition", Entries=entries, **where)
            _raise_first(table, reply.get("Errors", []))

    def _existing(self, table: PartitionedTable) -> dict[str, Any] | None:
        where = {"DatabaseName": table.database, "Name": table.name}
        reply = self._call("get_table", _or="EntityNotFoundException", **where)
        return None if reply is None else reply["Table"]

    def _updated(self, existing: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
        # GetTable returns more than UpdateTable accepts; what it accepts must be sent back or it is lost.
        accepted = self._client.meta.service_model.shape_for("TableInput").members
        kept = {key: value for key, value in existing.items() if key in accepted}
        return kept | {"StorageDescriptor": {**existing["StorageDescriptor"], "Columns": _as_input(columns)}}

    def _call(self, operation: str, *, _or: str | None = None, **parameters: Any) -> Any:
        """Return the reply, or None if Glue answered with the error code `_or`."""
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            if _or is not None and error.response["Error"]["Code"] == _or:
                return None
            raise CatalogError(f"the Glue Data Catalog refused: {error}") from error
        except BotoCoreError as error:
            raise CatalogError(f"the Glue Data Catalog could not be asked ({operation}): {error}") from error


def _updated_columns(existing: Mapping[str, Any], table: PartitionedTable) -> list[Column]:
    """Return the columns the existing table has after taking those of `table`, new ones last.

    Columns that only the existing table has are kept: partitions written earlier still hold them.
    """
    storage = existing.get("StorageDescriptor", {})
    if storage.get("SerdeInfo", {}).get("SerializationLibrary") != _PARQUET_SERDE:
        raise CatalogError(f"{table} exists and is no table of Parquet files; choose another table name")
    location = storage.get("Location", "").rstrip("/")
    if location != table.location:
        raise CatalogError(
            f"{table} exists and lies at {location!r}, not {table.location!r}; choose another table name or path"
        )
    keys, wanted = _as_columns(existing.get("PartitionKeys", [])), _folded(table.partition_columns)
    if keys != wanted:
        raise CatalogError(
            f"{table} exists and is partitioned by {_text(keys)}, not {_text(wanted)}; choose another table name"
        )
    types = dict(_columns(existing))
    for name, type_ in table.columns:
        if types.setdefault(name, type_) != type_:
            raise CatalogError(
                f"column {name!r} of {table} is {types[name]} in the catalogue and {type_} in the data; "
                f"cast it to {types[name]} or choose another table name"
            )
    return [Column(*item) for item in types.items()]


def _table_input(table: PartitionedTable) -> dict[str, Any]:
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", "parquet.compression": "SNAPPY"},
        "PartitionKeys": _as_input(_folded(table.partition_columns)),
        "StorageDescriptor": _storage(table.columns, f"{table.location}/"),
    }


def _partition_input(table: PartitionedTable, columns: Sequence[Column], partition: Partition) -> dict[str, Any]:
    return {"Values": list(partition.values), "StorageDescriptor": _storage(columns, table.location_of(partition))}


def _storage(columns: Sequence[Column], location: str) -> dict[str, Any]:
    return {**_PARQUET, "Columns": _as_input(columns), "Location": location}


def _columns(table: Mapping[str, Any]) -> list[Column]:
    return _as_columns(table["StorageDescriptor"].get("Columns", []))


def _as_columns(columns: Iterable[Mapping[str, str]]) -> list[Column]:
    return [Column(column["Name"], column["Type"]) for column in columns]


def _as_input(columns: Iterable[Column]) -> list[dict[str, str]]:
    return [{"Name": column.name, "Type": column.type} for column in columns]


def _folded(columns: Iterable[Column]) -> list[Column]:
    return [Column(column.name.lower(), column.type) for column in columns]


def _text(columns: Iterable[Column]) -> str:
    return ", ".join(f"{column.name} {column.type}" for column in columns) or "nothing"


def _raise_first(table: PartitionedTable, errors: Sequence[Mapping[str, Any]]) -> None:
    if errors:
        first, detail = errors[0], errors[0]["ErrorDetail"]
        # BatchCreatePartition names them PartitionValues, BatchUpdatePartition PartitionValueList.
        values = first.get("PartitionValues") or first.get("PartitionValueList")
        raise CatalogError(
            f"{len(errors)} partitions of {table} were not registered; the first, {values}: "
            f"{detail['ErrorCode']}: {detail.get('ErrorMessage', 'no reason given')}; "
            "the data is written, run the job again"
        )
