"""What a closure changes in the image of a Glue version, and which pre-installed releases it breaks by that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from packaging.version import Version

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.request import RequestItem, parse_item
from glue_pkgmgr.core.runtime import GlueRuntime

Requirements = Mapping[ProjectName, tuple[RequestItem, ...]]
"""What projects require, by project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A pre-installed release, `before`, in whose place a closure installs `after`."""

    project: ProjectName
    before: Version
    after: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A pre-installed release, `project==version`, that a closure leaves without something it requires.

    `requires` is a project with a specifier, `found` the version of that project that the closure installs.
    """

    project: ProjectName
    version: Version
    requires: str
    found: Version

    def __str__(self) -> str:
        return f"{self.project}=={self.version} requires {self.requires}, the closure installs {self.found}"


def requirements_of(runtime: GlueRuntime) -> Requirements:
    """Return what the releases in the image of `runtime` require, markers already decided for it.

    Projects that require nothing, and the few whose metadata no index has, are left out.
    """
    return _requirements(runtime.version)


@lru_cache(maxsize=8)
def _requirements(glue_version: str) -> Requirements:
    # Only here: most commands never ask, and need not read the data.
    from glue_pkgmgr.core.preinstalled_requirements import REQUIREMENTS

    found: dict[ProjectName, tuple[RequestItem, ...]] = {}
    for word in REQUIREMENTS[glue_version].split():
        if word.endswith(":"):
            project = project_name(word.removesuffix(":"))
            found[project] = ()
        else:
            found[project] += (parse_item(word),)
    return found


def replacements(pins: Mapping[ProjectName, Version], runtime: GlueRuntime) -> tuple[Replacement, ...]:
    """Return which pre-installed releases a closure of `pins` replaces with another version, by project."""
    image = runtime.preinstalled
    return tuple(
        Replacement(project=project, before=image[project], after=pins[project])
        for project in sorted(pins.keys() & image.keys())
        if image[project] != pins[project]
    )


def breaks(pins: Mapping[ProjectName, Version], runtime: GlueRuntime) -> tuple[Break, ...]:
    """Return what a closure of `pins` breaks among the pre-installed releases it leaves in place.

    Sorted by project, then by what is required. A requirement that the image itself does not meet is not the
    closure's fault and not reported; nor are those of a replaced release, whose successor the resolver saw.
    """
    replaced = {one.project: one for one in replacements(pins, runtime)}
    if not replaced:
        return ()
    return tuple(
        Break(project=project, version=runtime.preinstalled[project], requires=str(item), found=change.after)
        for project, items in sorted(requirements_of(runtime).items())
        if project not in replaced
        for item, change in _newly_unmet(items, replaced)
    )


def _newly_unmet(
    items: tuple[RequestItem, ...], replaced: Mapping[ProjectName, Replacement]
) -> Iterator[tuple[RequestItem, Replacement]]:
    for item in sorted(items, key=str):
        change = replaced.get(item.project)
        if change and _meets(change.before, item) and not _meets(change.after, item):
            yield item, change


def _meets(version: Version, item: RequestItem) -> bool:
    # What is installed counts, pre-release or not.
    return item.specifier.contains(version, prereleases=True)
