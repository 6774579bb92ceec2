"""A distribution file on this machine, with what identifies its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glue_pkgmgr.core.distribution import Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """A wheel or sdist at `path`: `sha256` as 64 lower-case hexadecimal digits, `size` in bytes."""

    path: Path
    distribution: Distribution
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """The name of the file, which an index knows it by."""
        return self.distribution.filename
