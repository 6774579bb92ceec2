"""Parquet read back by another engine than the one that wrote it."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

NULL = "__HIVE_DEFAULT_PARTITION__"


def parquet_files(table: Path) -> list[Path]:
    """The data files below `table`, hidden ones included: nothing temporary may be left."""
    return sorted(table.rglob("*.parquet"))


def read_rows(table: Path) -> list[dict[str, Any]]:
    """Every row below `table`, in no order; partition columns are text, or None."""
    rows = []
    for file in parquet_files(table):
        pairs = (part.split("=", 1) for part in file.parent.relative_to(table).parts)
        values = {unquote(name): None if value == NULL else unquote(value) for name, value in pairs}
        # ParquetFile, not read_table: pyarrow would guess types from the folders' names.
        rows += [{**row, **values} for row in pq.ParquetFile(file).read().to_pylist()]
    return rows


def compressions(table: Path) -> set[str]:
    """The compressions of all column chunks below `table`."""
    return {
        group.column(column).compression
        for file in parquet_files(table)
        for metadata in [pq.ParquetFile(file).metadata]
        for group in map(metadata.row_group, range(metadata.num_row_groups))
        for column in range(group.num_columns)
    }
