"""Partition values, and the directory names Spark and Hive give them."""

from collections.abc import Sequence
from dataclasses import dataclass

# Source: Hive's FileUtils and Spark's ExternalCatalogUtils escape these characters, and nothing else.
_ESCAPED = frozenset(map(chr, range(0x01, 0x20))) | frozenset("\"#%'*/:=?\\\x7f{[]^")

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write in the place of a partition value that is null or empty."""


def escape(text: str) -> str:
    """Return `text` as Spark writes it into a directory name; non-ASCII and spaces stay as they are."""
    return "".join(f"%{ord(char):02X}" if char in _ESCAPED else char for char in text)


@dataclass(frozen=True, order=True)
class Partition:
    """One partition of a table: a value, as text, for each partition column in the table's order."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str | None]) -> "Partition":
        """Return the partition of these column values; a null or empty one becomes `NULL_PARTITION`."""
        return cls(tuple(value or NULL_PARTITION for value in values))

    def path(self, columns: Sequence[str]) -> str:
        """Return where the partition lies below its table, such as `year=2015/app=A%2FB`."""
        pairs = zip(columns, self.values, strict=True)
        return "/".join(f"{escape(column)}={escape(value)}" for column, value in pairs)
