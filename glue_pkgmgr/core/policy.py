"""What of a package index may be used: the files of a page, kept or hidden, each hidden one with its reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.allowlist import AllowList, Approval, names
from glue_pkgmgr.core.distribution import Distribution, InvalidFilename, parse_filename, version_or_none
from glue_pkgmgr.core.licence import LicenceRule
from glue_pkgmgr.core.lookalikes import lookalike
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.runtime import GlueRuntime, known_from_images
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage

_ANY = SpecifierSet()
_LATEST = datetime.max.replace(tzinfo=UTC)


class Reason(StrEnum):
    """Why a file is hidden from the resolver, in the words a user reads."""

    LOOK_ALIKE = "the name is easily taken for one of ours"
    WITHDRAWN = "withdrawn"
    NOT_APPROVED = "not approved"
    TOO_YOUNG = "younger than the minimum age"
    NO_UPLOAD_TIME = "the index tells no upload time, so its age is unknown"
    YANKED = "yanked"
    NO_WHEEL = "no wheel, only an sdist"
    WRONG_WHEEL = "its wheels do not fit the Glue version"
    NO_HASH = "the index tells no SHA-256"
    UNREADABLE = "its file name cannot be read"
    LICENCE = "its licence is refused"
    VULNERABLE = "known to be vulnerable"
    NOT_BUILDABLE = "no wheel can be built from its sdist"
    BY_ADDRESS = "it requires something by its address, which no approval covers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A file the resolver does not see. `version` is None where the file name cannot be read.

    `detail` says more than the reason: why it was yanked or withdrawn, from when it is old enough, its licence.
    """

    filename: str
    version: Version | None
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedFile:
    """A wheel the resolver may choose, or an sdist that we build one from.

    `rank` tells how well it fits the Glue version: 0 is best.
    """

    file: IndexFile
    distribution: Distribution
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPage:
    """The page of a project, split in two. `allowed` is sorted best first within each version.

    `tell_hidden` returns the files that are hidden. Mostly nobody asks, and there may be thousands.
    """

    project: ProjectName
    allowed: tuple[AllowedFile, ...]
    tell_hidden: Callable[[], tuple[Hidden, ...]] = field(repr=False, compare=False)

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The files the resolver does not see, in the order of the index; those refused later come last."""
        return self.tell_hidden()

    def of(self, version: Version) -> tuple[AllowedFile, ...]:
        """Return the allowed files of one version, best first."""
        return tuple(one for one in self.allowed if one.distribution.version == version)

    def without(self, version: Version, reason: Reason, detail: str = "") -> AllowedPage:
        """Return the page with the allowed files of `version` hidden for `reason`."""
        gone = self.of(version)
        hidden = tuple(
            Hidden(filename=one.file.filename, version=version, reason=reason, detail=detail) for one in gone
        )
        return replace(
            self,
            allowed=tuple(one for one in self.allowed if one.distribution.version != version),
            tell_hidden=lambda: (*self.hidden, *hidden),
        )

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
    """The rules in force for one Glue version at one moment (`now`, aware UTC).

    `distinct` names projects of others that are known and not meant for one of ours, however alike. With
    `build_sdists` a release without any wheel is built by us.

    With `assumed`, every final version counts as approved, and of a project in it also what its specifiers name;
    all other rules stand: that is how the approvals that are missing are found.
    """

    allowlist: AllowList
    internal: frozenset[ProjectName]
    minimum_age: timedelta
    runtime: GlueRuntime
    now: datetime
    licences: LicenceRule = field(default_factory=LicenceRule)
    distinct: frozenset[ProjectName] = frozenset()
    build_sdists: bool = False
    assumed: Mapping[ProjectName, SpecifierSet] | None = None

    def taken_for(self, project: ProjectName) -> ProjectName | None:
        """Return the internal project that `project` is easily taken for; None if there is none."""
        return taken_for(project, internal=self.internal, distinct=self.distinct)

    def approvals_of(self, project: ProjectName, version: Version) -> list[Approval]:
        """Return the approvals that cover a release now."""
        return self.allowlist.covering(project, version, today=self.now.date(), runtime=self.runtime)

    def licence_of(self, project: ProjectName, version: Version, stated: str | None) -> str | None:
        """Return the licence that counts for a release: what an approval says, else what it states itself."""
        return next((one.licence for one in self.approvals_of(project, version) if one.licence), stated)

    def _assumes(self, project: ProjectName, version: Version) -> bool:
        if self.assumed is None:
            return False
        return names(_ANY, version) or names(self.assumed.get(project, _ANY), version)

    def split(self, page: IndexPage) -> AllowedPage:
        """Return what of `page` the resolver may see, and why not the rest.

        A release that the Glue image brings needs no approval and no age: every job has it anyway.
        """
        if (ours := self.taken_for(page.project)) is not None:
            hidden = tuple(_hidden(file, Reason.LOOK_ALIKE, str(ours)) for file in page.files)
            return AllowedPage(project=page.project, allowed=(), tell_hidden=lambda: hidden)
        # A look at the versions rules out nearly all of a page with thousands of files. Whoever wants to know why
        # some are hidden has all of them judged.
        written = page.by_version()
        versions = {text: version for text in written if (version := version_or_none(text)) is not None}
        # By spelling, since `===` tells 1.0 from 1.0.0; one that may be used lets all equal ones be looked at.
        usable = {version for version in versions.values() if self._may_be_used(page.project, version)}
        possible = [file for text, version in versions.items() if version in usable for file in written[text]]
        kept = [one for one in self._judged(page.project, possible) if isinstance(one, AllowedFile)]
        # As installers choose, by the build number last; and by name, as the order of the index must not show.
        kept.sort(
            key=lambda it: (it.distribution.version, -it.rank, it.distribution.build, it.file.filename),
            reverse=True,
        )

        @cache
        def hidden_files() -> tuple[Hidden, ...]:
            return tuple(one for one in self._judged(page.project, page.files) if isinstance(one, Hidden))

        return AllowedPage(project=page.project, allowed=tuple(kept), tell_hidden=hidden_files)

    def _may_be_used(self, project: ProjectName, version: Version) -> bool:
        """Whether some file of the release could be allowed, whatever else is to be said of it."""
        return (
            self.runtime.preinstalled.get(project) == version
            or self._assumes(project, version)
            or self.allowlist.allows(project, version, today=self.now.date(), runtime=self.runtime)
        )

    def _judged(self, project: ProjectName, files: Iterable[IndexFile]) -> Iterator[AllowedFile | Hidden]:
        """Yield the judgement of each file. `files` has all files of a version, or none."""
        named = [(file, _named(file)) for file in files]
        with_wheels = {it.version for _, it in named if it is not None and it.is_wheel}
        for file, distribution in named:
            yield self._judge(project, file, distribution, with_wheels)

    def _judge(
        self,
        project: ProjectName,
        file: IndexFile,
        distribution: Distribution | None,
        with_wheels: set[Version],
    ) -> AllowedFile | Hidden:
        if distribution is None or distribution.project != project:
            return _hidden(file, Reason.UNREADABLE)
        approvals = self.approvals_of(project, distribution.version)
        rank = self._rank(distribution, with_wheels, approved=bool(approvals))
        fault = self._fault(project, file, distribution, rank, approvals)
        if fault is None and rank is not None:
            return AllowedFile(file=file, distribution=distribution, rank=rank)
        reason, detail = fault or (Reason.WRONG_WHEEL, "")
        return _hidden(file, reason, detail, version=distribution.version)

    def _fault(
        self,
        project: ProjectName,
        file: IndexFile,
        distribution: Distribution,
        rank: int | None,
        approvals: list[Approval],
    ) -> tuple[Reason, str] | None:
        in_image = self.runtime.preinstalled.get(project) == distribution.version
        # The decision people took comes first: "not approved" is what they can act on.
        if not in_image and (withdrawal := self.allowlist.withdrawal(project, distribution.version)):
            return Reason.WITHDRAWN, withdrawal.why
        if not in_image and not approvals and not self._assumes(project, distribution.version):
            return Reason.NOT_APPROVED, ""
        if rank is None:
            return (Reason.WRONG_WHEEL if distribution.is_wheel else Reason.NO_WHEEL), ""
        if file.sha256 is None:
            return Reason.NO_HASH, ""
        return None if in_image else self._release_fault(project, file, approvals)

    def _release_fault(
        self, project: ProjectName, file: IndexFile, approvals: Iterable[Approval]
    ) -> tuple[Reason, str] | None:
        if file.yanked is not None and not any(one.allow_yanked for one in approvals):
            return Reason.YANKED, file.yanked
        exempt = project in self.internal or any(one.allow_young for one in approvals)
        return None if exempt else self._age_fault(file)

    def _rank(self, distribution: Distribution, with_wheels: set[Version], *, approved: bool) -> int | None:
        if distribution.is_wheel:
            return self.runtime.rank(distribution.tags)
        # Where there are wheels, of whatever platform, the sdist may hold native code. And building runs the
        # release's own code: only of one that people have approved.
        built = self.build_sdists and approved and distribution.version not in with_wheels
        return len(self.runtime.tags) if built else None

    def _age_fault(self, file: IndexFile) -> tuple[Reason, str] | None:
        if not self.minimum_age:
            return None
        if file.upload_time is None:
            return Reason.NO_UPLOAD_TIME, ""
        old_enough = min(file.upload_time, _LATEST - self.minimum_age) + self.minimum_age
        return (Reason.TOO_YOUNG, f"from {old_enough:%Y-%m-%d}") if self.now < old_enough else None


def taken_for(
    project: ProjectName, *, internal: Collection[ProjectName], distinct: Collection[ProjectName]
) -> ProjectName | None:
    """Return the one of `internal` that `project` is easily taken for; None if there is none.

    What is `distinct`, or comes with some Glue image, is meant as it is written.
    """
    if project in distinct or project in known_from_images():
        return None
    return lookalike(project, internal)


def _named(file: IndexFile) -> Distribution | None:
    try:
        return parse_filename(file.filename)
    except InvalidFilename:
        return None


def _hidden(file: IndexFile, reason: Reason, detail: str = "", *, version: Version | None = None) -> Hidden:
    if version is None and (named := _named(file)) is not None:
        version = named.version
    return Hidden(filename=file.filename, version=version, reason=reason, detail=detail)


def summarise(hidden: Iterable[Hidden], most: int = 5) -> str:
    """Return hidden files in one phrase: for each reason its versions, newest first, at most `most` of them."""
    by_reason: dict[tuple[Reason, str], set[Version]] = {}
    for one in hidden:
        if one.version is not None:
            by_reason.setdefault((one.reason, one.detail), set()).add(one.version)
    ranks = list(Reason)
    phrases = []
    for reason, detail in sorted(by_reason, key=lambda it: (ranks.index(it[0]), it[1])):
        versions = sorted(by_reason[reason, detail], reverse=True)
        shown = ", ".join(map(str, versions[:most]))
        more = f" and {len(versions) - most} more" if len(versions) > most else ""
        phrases.append(f"{shown}{more}: {reason}{f' ({detail})' if detail else ''}")
    return "; ".join(phrases)
