"""What publishing a release would do, decided before anything is changed: upload, leave alone, refuse, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.index_url import LONGEST, SHORTEST
from glue_pkgmgr.core.names import ProjectName, Release, project_name
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, Status
from glue_pkgmgr.errors import SettingsError

MOST_FILES = 350
"""Files a release may have. Source: CodeArtifact User Guide, "Quotas" (assets per package version)."""

LARGEST_FILE = 5 * 1024**3
"""Bytes a file may have. Source: CodeArtifact User Guide, "Quotas" (asset file size: 5 GB)."""

OURS_ALONE = OriginControls(publish=True, upstream=False)
"""How a project is closed to others. Source: CodeArtifact User Guide, "Editing package origin controls"."""

_SLOWEST = 1024 * 1024  # bytes a second that an upload is expected to make at the least
_MOST_VERSIONS_TOLD = 5


class Found(StrEnum):
    """How a file to publish compares with what the repository holds under its name."""

    ABSENT = "to upload"
    SAME = "already there"
    OTHER = "other bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file to publish, and the SHA-256 of what is held under its name, None if nothing is."""

    file: BuiltFile
    held: str | None

    @property
    def found(self) -> Found:
        """How the two compare."""
        if self.held is None:
            return Found.ABSENT
        return Found.SAME if self.held == self.file.sha256 else Found.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a project in the repository before one of its releases is published there.

    `controls` is None if the repository does not have the project. `versions` are all it holds itself, `files`
    the SHA-256 by name of what it holds of the release. `brought_in` came from the public index. `offered` are
    further versions that it would bring in from `upstreams`, `in_store` those the store has of others.
    """

    controls: OriginControls | None = None
    versions: Mapping[Version, Status]
    files: Mapping[str, str]
    brought_in: Sequence[Version] = ()
    upstreams: Sequence[str] = ()
    offered: Sequence[Version] = ()
    in_store: Sequence[Version] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """What publishing one release would do. Nothing may be done while there are `refusals`, each a sentence."""

    project: ProjectName
    version: Version
    repository: RepositoryAddress
    files: tuple[PlannedFile, ...]
    controls: OriginControls | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"

    @property
    def new(self) -> tuple[BuiltFile, ...]:
        """The files to upload."""
        return self._found(Found.ABSENT)

    @property
    def held(self) -> tuple[BuiltFile, ...]:
        """The files that are there already, with the same bytes."""
        return self._found(Found.SAME)

    @property
    def closes(self) -> bool:
        """Whether the project is to be closed to upstreams before the first upload."""
        return bool(self.new) and self.controls != OURS_ALONE

    def _found(self, wanted: Found) -> tuple[BuiltFile, ...]:
        return tuple(one.file for one in self.files if one.found is wanted)


def release_of(files: Sequence[BuiltFile]) -> Release:
    """Return the one release that all `files` belong to. Raises: SettingsError."""
    releases = {(file.distribution.project, file.distribution.version) for file in files}
    if len(releases) != 1:
        named = ", ".join(sorted(f"{project}=={version}" for project, version in releases)) or "none"
        raise SettingsError(f"the files to publish must be of one release; they are of: {named}")
    return releases.pop()


def plan_release(files: Sequence[BuiltFile], standing: Standing, repository: RepositoryAddress) -> PublishPlan:
    """Return what publishing `files`, all of one release, to `repository` would do.

    Somebody else's project of the same name is a reason to refuse only while it can be had from the repository:
    because releases of it are there, or because an upstream offers some and the name is not closed to upstreams.
    Elsewhere it is a warning: that a name of ours also exists in public is legitimate once it is closed.

    Raises: SettingsError when the files are of several releases.
    Source: CodeArtifact User Guide, "Editing package origin controls", "Package version status", "Quotas".
    """
    project, version = release_of(files)
    draft = PublishPlan(
        project=project,
        version=version,
        repository=repository,
        files=tuple(PlannedFile(file=file, held=standing.files.get(file.filename)) for file in files),
        controls=standing.controls,
        refusals=(),
        warnings=(),
    )
    refusals = [*_of_the_release(draft, standing), *_of_the_files(draft, standing)]
    if draft.new:
        refusals += _of_the_name(draft, standing)
    return replace(draft, refusals=tuple(refusals), warnings=tuple(_warnings(draft, standing)))


def _of_the_release(plan: PublishPlan, standing: Standing) -> Iterable[str]:
    held = next((version for version in standing.versions if version == plan.version), None)
    if held is None:
        return
    free = f"raise the version: the next free one is {next_free(plan.version, standing.versions)}"
    if str(held) != str(plan.version):
        yield (
            f"{plan} is in {plan.repository} already, written {held}: installers take the two for one; write the "
            f"version like that, or {free}"
        )
    status = standing.versions[held]
    if status is Status.ARCHIVED:
        yield f"{plan} is withdrawn ({status}) in {plan.repository}; `glue-pkgmgr restore {plan}`, or {free}"
    elif status is not Status.PUBLISHED:
        yield f"{plan} is {status} in {plan.repository}, not {Status.PUBLISHED}: it cannot be installed; {free}"


def _of_the_files(plan: PublishPlan, standing: Standing) -> Iterable[str]:
    different = [one for one in plan.files if one.found is Found.OTHER]
    if different:
        listed = "\n".join(
            f"  {one.file.filename}\n    built     {one.file.sha256}\n    published {one.held}"
            for one in different
        )
        yield (
            f"{plan} is published already, with other bytes; a release never changes: raise the version and "
            f"publish again, the next free one is {next_free(plan.version, standing.versions)}\n{listed}"
        )
    for file in plan.new:
        if file.size > LARGEST_FILE:
            yield f"{file.filename} has {file.size} bytes; CodeArtifact takes files of up to 5 GB: make it smaller"
    count = len(standing.files) + len(plan.new)
    if plan.new and count > MOST_FILES:
        yield f"{plan} would have {count} files; CodeArtifact takes up to {MOST_FILES} a release: publish fewer"


def _of_the_name(plan: PublishPlan, standing: Standing) -> Iterable[str]:
    controls = standing.controls
    if standing.brought_in:
        yield (
            f"{plan.repository} holds {plan.project} {_told(standing.brought_in)} from the public index: that is "
            "somebody else's project, and an installer takes whichever version is the higher. Origin controls "
            "keep further releases out, they do not remove these. Choose another name, or, if this one is yours, "
            f"delete them and close the name: `{_delete_command(plan, standing.brought_in)}`, then "
            f"`{close_command(plan.repository, plan.project)}`"
        )
        return
    if controls is not None and not controls.publish:
        yield (
            f"publishing {plan.project} to {plan.repository} is blocked: its origin controls say publish=BLOCK. "
            f"If that is no longer meant: `{close_command(plan.repository, plan.project)}`"
        )
    if standing.offered and (controls is None or controls.upstream):
        yield (
            f"{plan.repository} offers {plan.project} {_told(standing.offered)} from upstream "
            f"({', '.join(standing.upstreams)}): that is somebody else's project, and an installer takes "
            "whichever version is the higher. The origin controls of a project say from where its releases may "
            "come; close the name to upstreams and publish again: "
            f"`{close_command(plan.repository, plan.project)}`"
        )


def _warnings(plan: PublishPlan, standing: Standing) -> Iterable[str]:
    if standing.in_store:
        yield (
            f"the store holds {plan.project} {_told(standing.in_store)}, somebody else's project of that name; "
            f"it cannot get into {plan.repository}, and `glue-pkgmgr mirror sync` closes the store to it as well"
        )
    if not any(one.file.distribution.is_wheel for one in plan.files):
        yield f"{plan} has no wheel here: jobs install wheels only"


def close_command(repository: RepositoryAddress, project: ProjectName) -> str:
    """Return the command that closes a project to upstreams and leaves it open for publishing."""
    return (
        f"aws codeartifact put-package-origin-configuration {_named(repository, project)} "
        "--restrictions publish=ALLOW,upstream=BLOCK"
    )


def _delete_command(plan: PublishPlan, versions: Sequence[Version]) -> str:
    listed = " ".join(map(str, versions))
    return f"aws codeartifact delete-package-versions {_named(plan.repository, plan.project)} --versions {listed}"


def _named(repository: RepositoryAddress, project: ProjectName) -> str:
    return (
        f"--domain {repository.domain} --domain-owner {repository.owner} --region {repository.region} "
        f"--repository {repository.repository} --format pypi --package {project}"
    )


def _told(versions: Sequence[Version]) -> str:
    newest = sorted(versions, reverse=True)[:_MOST_VERSIONS_TOLD]
    more = len(versions) - len(newest)
    return ", ".join(map(str, newest)) + (f" and {more} more" if more else "")


def next_free(version: Version, taken: Iterable[Version]) -> Version:
    """Return the nearest version above `version` that is of the same kind and not `taken`.

    A development, post- or pre-release counts on; a final release counts on in its last number. A local part
    is left out.
    Source: PEP 440.
    """
    occupied = set(taken)
    following = _following(version)
    while following in occupied:
        following = _following(following)
    return following


def _following(version: Version) -> Version:
    epoch = f"{version.epoch}!" if version.epoch else ""
    numbers = list(version.release)
    before = f"{epoch}{'.'.join(map(str, numbers))}"
    pre = "".join(map(str, version.pre)) if version.pre else ""
    post = f".post{version.post}" if version.post is not None else ""
    if version.dev is not None:
        return Version(f"{before}{pre}{post}.dev{version.dev + 1}")
    if version.post is not None:
        return Version(f"{before}{pre}.post{version.post + 1}")
    if version.pre:
        return Version(f"{before}{version.pre[0]}{version.pre[1] + 1}")
    return Version(f"{epoch}{'.'.join(map(str, [*numbers[:-1], numbers[-1] + 1]))}")


def token_time(files: Sequence[BuiltFile]) -> timedelta:
    """Return how long a token has to live to upload `files` at 1 MiB a second and to prove them afterwards.

    Source: GetAuthorizationToken grants 900 to 43200 s.
    """
    needed = timedelta(seconds=sum(file.size for file in files) // _SLOWEST) + SHORTEST / 2
    return min(max(needed, SHORTEST), LONGEST)


def in_order(requires: Mapping[ProjectName, Iterable[str]]) -> list[ProjectName]:
    """Return the projects so that each comes after those of them that it requires, else in their own order.

    `requires` maps each project to its requirements (PEP 508). Those of extras are left aside: they are for who
    asks for the extra.

    Raises: SettingsError naming a cycle, or a requirement that cannot be read.
    """
    # `TopologicalSorter` gives its ready nodes in the order in which they were added.
    graph: TopologicalSorter[ProjectName] = TopologicalSorter()
    for project, requirements in requires.items():
        wanted = {_required(project, text) for text in requirements}
        graph.add(project, *(one for one in requires if one in wanted and one != project))
    try:
        return list(graph.static_order())
    except CycleError as e:
        circle = " requires ".join(reversed(e.args[1]))
        raise SettingsError(f"the projects to publish require each other in a circle: {circle}; break it") from e


def _required(project: ProjectName, text: str) -> ProjectName | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as e:
        raise SettingsError(f"{project} has a requirement that cannot be read: {text!r}: {e}") from e
    of_an_extra = requirement.marker is not None and "extra" in str(requirement.marker)
    return None if of_an_extra else project_name(requirement.name)
