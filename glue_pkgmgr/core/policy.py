"""What of a package index may be used: the files of a page, kept or hidden, each hidden one with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from packaging.version import Version

from glue_pkgmgr.core.allowlist import AllowList
from glue_pkgmgr.core.distribution import Distribution, InvalidFilename, parse_filename
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage


class Reason(StrEnum):
    """Why a file is hidden from the resolver, in the words a user reads."""

    NOT_APPROVED = "not approved"
    TOO_YOUNG = "younger than the minimum age"
    NO_UPLOAD_TIME = "the index tells no upload time, so its age is unknown"
    YANKED = "yanked"
    NO_WHEEL = "no wheel"
    WRONG_WHEEL = "its wheels do not fit the Glue version"
    NO_HASH = "the index tells no SHA-256"
    UNREADABLE = "its file name cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A file the resolver does not see. `version` is None where the file name cannot be read."""

    filename: str
    version: Version | None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedFile:
    """A wheel the resolver may choose, with how well it fits the Glue version (0 is best)."""

    file: IndexFile
    distribution: Distribution
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPage:
    """The page of a project, split in two. `allowed` is sorted best first within each version."""

    project: ProjectName
    allowed: tuple[AllowedFile, ...]
    hidden: tuple[Hidden, ...]

    def of(self, version: Version) -> tuple[AllowedFile, ...]:
        """Return the allowed wheels of one version, best first."""
        return tuple(one for one in self.allowed if one.distribution.version == version)

    @property
    def withheld(self) -> tuple[Hidden, ...]:
        """The hidden files that explain why a release cannot be chosen.

        A release with an allowed wheel can be, whatever else it has; and that an sdist is no wheel explains
        nothing where there are wheels too.
        """
        chosen = {one.distribution.version for one in self.allowed}
        with_wheels = {one.version for one in self.hidden if one.reason is not Reason.NO_WHEEL}
        return tuple(
            one
            for one in self.hidden
            if one.version not in chosen and not (one.reason is Reason.NO_WHEEL and one.version in with_wheels)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules in force for one Glue version at one moment (`now`, aware UTC)."""

    allowlist: AllowList
    internal: frozenset[ProjectName]
    minimum_age: timedelta
    runtime: GlueRuntime
    now: datetime

    def split(self, page: IndexPage) -> AllowedPage:
        """Return what of `page` the resolver may see, and why not the rest.

        A release that the Glue image brings needs no approval and no age: every job has it anyway.
        """
        allowed: list[AllowedFile] = []
        hidden: list[Hidden] = []
        for file in page.files:
            try:
                distribution = parse_filename(file.filename)
            except InvalidFilename:
                hidden.append(Hidden(filename=file.filename, version=None, reason=Reason.UNREADABLE))
                continue
            rank = self.runtime.rank(distribution.tags)
            reason = self._fault(page.project, file, distribution, rank)
            if reason is None and rank is not None:
                allowed.append(AllowedFile(file=file, distribution=distribution, rank=rank))
            else:
                hidden.append(
                    Hidden(
                        filename=file.filename,
                        version=distribution.version,
                        reason=reason or Reason.WRONG_WHEEL,
                    )
                )
        # By name too: the order of the index must not show, and a higher build number goes first.
        allowed.sort(key=lambda it: (it.distribution.version, -it.rank, it.file.filename), reverse=True)
        return AllowedPage(project=page.project, allowed=tuple(allowed), hidden=tuple(hidden))

    def _fault(
        self, project: ProjectName, file: IndexFile, distribution: Distribution, rank: int | None
    ) -> Reason | None:
        # The decision people took comes first: "not approved" is what they can act on.
        if distribution.project != project:
            return Reason.UNREADABLE
        in_image = self.runtime.preinstalled.get(project) == distribution.version
        if not in_image and not self.allowlist.allows(
            project, distribution.version, today=self.now.date(), runtime=self.runtime
        ):
            return Reason.NOT_APPROVED
        if not distribution.is_wheel:
            return Reason.NO_WHEEL
        if rank is None:
            return Reason.WRONG_WHEEL
        if file.sha256 is None:
            return Reason.NO_HASH
        return None if in_image else self._release_fault(project, file)

    def _release_fault(self, project: ProjectName, file: IndexFile) -> Reason | None:
        if file.yanked is not None:
            return Reason.YANKED
        return None if project in self.internal else self._age_fault(file)

    def _age_fault(self, file: IndexFile) -> Reason | None:
        if not self.minimum_age:
            return None
        if file.upload_time is None:
            return Reason.NO_UPLOAD_TIME
        return Reason.TOO_YOUNG if self.now - file.upload_time < self.minimum_age else None


def summarise(hidden: Iterable[Hidden], most: int = 5) -> str:
    """Return hidden files in one phrase: for each reason its versions, newest first, at most `most` of them."""
    by_reason: dict[Reason, set[Version]] = {}
    for one in hidden:
        if one.version is not None:
            by_reason.setdefault(one.reason, set()).add(one.version)
    phrases = []
    for reason in Reason:
        versions = sorted(by_reason.get(reason, ()), reverse=True)
        if versions:
            shown = ", ".join(map(str, versions[:most]))
            more = f" and {len(versions) - most} more" if len(versions) > most else ""
            phrases.append(f"{shown}{more}: {reason}")
    return "; ".join(phrases)
