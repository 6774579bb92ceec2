"""Glue versions as installation targets: Python, glibc, accepted wheels, pre-installed releases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.preinstalled import PREINSTALLED
from glue_pkgmgr.errors import SettingsError

# The oldest glibc for which manylinux wheels exist, and the tags from before PEP 600 by glibc minor.
_OLDEST_GLIBC_MINOR = 5
_LEGACY_PLATFORMS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_ARCHITECTURE = "x86_64"
_WHEN_ABI_LOST_ITS_M = (3, 8)


@dataclass(frozen=True, kw_only=True)
class GlueRuntime:
    """One Glue version for Spark jobs, and what its image accepts and contains.

    Source: AWS Glue Developer Guide, "AWS Glue versions" (Spark, Python, Java) and "Using Python libraries
    with AWS Glue" (platform tags); PEP 600 (glibc to manylinux).
    """

    version: str
    python: tuple[int, int]
    spark: str
    java: int
    glibc: tuple[int, int]

    @cached_property
    def preinstalled(self) -> Mapping[ProjectName, Version]:
        """The releases of the Glue image by project, pip among them."""
        pins = (pin.split("==") for pin in PREINSTALLED[self.version].split())
        return {ProjectName(canonicalize_name(name)): Version(version) for name, version in pins}

    @property
    def pip(self) -> Version:
        """The version of the image's own pip."""
        return self.preinstalled[ProjectName("pip")]

    @property
    def python_text(self) -> str:
        """The Python version as it is written: `3.11`."""
        return ".".join(map(str, self.python))

    @property
    def reads_requirements_files(self) -> bool:
        """Whether `-r` with a requirements file on S3 is understood (Glue 5.0 and later)."""
        return Version(self.version) >= Version("5.0")

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """Every wheel tag the image accepts, best first."""
        platforms = list(self._platforms())
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        abi = interpreter if self.python >= _WHEN_ABI_LOST_ITS_M else f"{interpreter}m"
        return (
            *cpython_tags(self.python, abis=[abi], platforms=platforms),
            *compatible_tags(self.python, interpreter=interpreter, platforms=platforms),
        )

    @cached_property
    def _rank(self) -> Mapping[Tag, int]:
        return {tag: position for position, tag in enumerate(self.tags)}

    def _platforms(self) -> Iterator[str]:
        major, minor = self.glibc
        for older in range(minor, _OLDEST_GLIBC_MINOR - 1, -1):
            yield f"manylinux_{major}_{older}_{_ARCHITECTURE}"
            if legacy := _LEGACY_PLATFORMS.get(older):
                yield f"{legacy}_{_ARCHITECTURE}"
        yield f"linux_{_ARCHITECTURE}"

    def rank(self, tags: Iterable[Tag]) -> int | None:
        """Return how well a wheel with `tags` fits, 0 being best; None if the image does not accept it."""
        return min((self._rank[tag] for tag in tags if tag in self._rank), default=None)


def _runtime(version: str, python: tuple[int, int], spark: str, java: int, glibc_minor: int) -> GlueRuntime:
    return GlueRuntime(version=version, python=python, spark=spark, java=java, glibc=(2, glibc_minor))


RUNTIMES: Mapping[str, GlueRuntime] = {
    runtime.version: runtime
    for runtime in (
        _runtime("3.0", (3, 7), "3.1.1", 8, 26),
        _runtime("4.0", (3, 10), "3.3.0", 8, 26),
        _runtime("5.0", (3, 11), "3.5.4", 17, 34),
        _runtime("5.1", (3, 11), "3.5.6", 17, 34),
        _runtime("6.0", (3, 13), "4.1.1", 17, 34),
    )
}
"""The Glue versions that still start runs, oldest first."""


@lru_cache(maxsize=1)
def known_from_images() -> frozenset[ProjectName]:
    """Return every project that some Glue image brings: names that are meant, however like another one."""
    return frozenset(project for runtime in RUNTIMES.values() for project in runtime.preinstalled)


_ENDED = ("0.9", "1.0", "2.0")


@lru_cache(maxsize=16)
def glue_runtime(version: str) -> GlueRuntime:
    """Return the runtime of Glue `version`, such as `5.1`.

    Raises: SettingsError for a version that is unknown, ended, or `auto` (which may change under a lock).
    """
    if version in RUNTIMES:
        return RUNTIMES[version]
    known = ", ".join(RUNTIMES)
    if version in _ENDED:
        raise SettingsError(f"Glue {version} starts no runs since 2026-04-01; use one of {known}")
    if version == "auto":
        raise SettingsError(f"Glue version 'auto' cannot be locked: its image changes; name one of {known}")
    raise SettingsError(f"unknown Glue version {version!r}; known are {known}")
