"""Verbs: withdraw a release of our own, and restore it. The decision stands in the allow-list, reviewed in git."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.allowlist import EMPTY, exact_version, parse_allowlist
from glue_pkgmgr.core.allowlist_text import with_withdrawal, without_withdrawals
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.record import LaunchRecord
from glue_pkgmgr.core.repository import RepositoryAddress, Status
from glue_pkgmgr.core.request import parse_item
from glue_pkgmgr.core.withdrawal import Withdrawal, make_withdrawal
from glue_pkgmgr.errors import NotInstallable, SettingsError
from glue_pkgmgr.ports import Progress, Repositories
from glue_pkgmgr.verbs.allowlist_file import read_text, write_text
from glue_pkgmgr.verbs.alone import alone_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """Who uses a release: the bundles whose lock installs it, sorted, and the recorded launches that were to.

    `launches` has the oldest first.
    """

    bundles: tuple[str, ...] = ()
    launches: tuple[LaunchRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRelease:
    """A release of our own in the approved repository, with its status there."""

    project: ProjectName
    version: Version
    repository: RepositoryAddress
    status: Status

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A release that is withdrawn now, and what had to be done for it.

    `withdrawal` is the decision that counts, an earlier one if there was one. `archived` and `noted` say whether
    the repository and the allow-list were changed.
    """

    release: OwnRelease
    withdrawal: Withdrawal
    archived: bool
    noted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A release that may be used again as far as approvals let it, and what had to be done for it.

    `withdrawals` are the decisions taken back; `published` says whether the repository was changed.
    """

    release: OwnRelease
    withdrawals: tuple[Withdrawal, ...]
    published: bool


def exact_release(text: str, internal: frozenset[ProjectName]) -> Release:
    """Return the release that `text`, such as `glueutils==0.2.0`, names.

    Raises: SettingsError when it is not one exact release.
    """
    item = parse_item(text, internal)
    version = exact_version(item.specifier)
    if version is None or item.extras or len(item.specifier) > 1:
        raise SettingsError(f"{text!r} is not one release; write it as '{item.project}==1.2.3'")
    return item.project, version


def own_release(text: str, internal: frozenset[ProjectName]) -> Release:
    """Return the release of an `internal` project that `text` names.

    Raises: SettingsError when it is not one exact release, or not of such a project.
    """
    project, version = exact_release(text, internal)
    if project not in internal:
        raise SettingsError(
            f"{project} is not a project of ours; to have a release of others used no more: "
            f"`glue-pkgmgr revoke {project}`, lock again, then `glue-pkgmgr mirror sync --prune`"
        )
    return project, version


def find(release: Release, *, address: RepositoryAddress, repositories: Repositories) -> OwnRelease:
    """Return a release as it is in the repository at `address`.

    Raises: NotInstallable when it is not there, or only its name is left; RemoteError.
    """
    project, version = release
    held = repositories.versions(address, project)
    found = next((one for one in held if one == version), None)  # as it is written there: 0.2.0 for 0.2, say
    if found is None:
        there = ", ".join(map(str, held)) or "no release"
        raise NotInstallable(f"{address} does not hold {project}=={version}; of {project} it holds {there}")
    if held[found].gone:
        raise NotInstallable(f"{project}=={found} is {held[found]} in {address}: its files are gone for good")
    return OwnRelease(project=project, version=found, repository=address, status=held[found])


def uses(release: Release, *, locks: Mapping[str, Lock], launches: Iterable[LaunchRecord]) -> Uses:
    """Return who uses a release: which of `locks`, by the name of their bundle, and which of `launches`."""
    project, version = release
    pinned = {name: lock.pin(project) for name, lock in locks.items()}
    return Uses(
        bundles=tuple(
            sorted(name for name, pin in pinned.items() if pin and not pin.preinstalled and pin.version == version)
        ),
        launches=tuple(one for one in launches if one.installs(project, version)),
    )


def withdraw(
    release: OwnRelease,
    path: Path,
    *,
    by: str,
    reason: str,
    today: date,
    repositories: Repositories,
    progress: Progress,
) -> Withdrawn:
    """Archive `release` in its repository and note the decision in the allow-list at `path`, made if absent.

    First nobody can install it any more, then everybody is told why: where it is interrupted in between, a launch
    is refused all the same, and a second call does the rest. What was withdrawn before stays as it was noted. Job
    runs that are under way go on.

    Raises: SettingsError for an empty author or reason, or an allow-list that cannot be edited, before anything
    is changed, and for one that cannot be written; RemoteError.
    Source: CodeArtifact User Guide, "Package version status": an archived version cannot be downloaded.
    """
    decision = make_withdrawal(release.project, f"=={release.version}", withdrawn_by=by, reason=reason, on=today)
    with alone_at(path):
        text = read_text(path) if path.exists() else EMPTY
        before = parse_allowlist(text, path.name).withdrawal(release.project, release.version)
        edited = text if before else with_withdrawal(text, decision)
        archived = release.status.downloadable
        if archived:
            repositories.set_status(
                release.repository, release.project, release.version, Status.ARCHIVED, expected=release.status
            )
            progress(f"archived {release} in {release.repository}: it cannot be downloaded any more")
        if before is None:
            _note(path, edited, release)
            progress(f"noted in {path.name}: commit it, so that everybody is told")
    return Withdrawn(release=release, withdrawal=before or decision, archived=archived, noted=before is None)


def _note(path: Path, text: str, release: OwnRelease) -> None:
    try:
        write_text(path, text)
    except SettingsError as e:
        raise SettingsError(f"{e}; {release} is archived, but nobody is told why: withdraw it again") from e


def restore(release: OwnRelease, path: Path, *, repositories: Repositories, progress: Progress) -> Restored:
    """Take the withdrawal of `release` out of the allow-list at `path`, then publish it again in its repository.

    In this order nobody can install what the allow-list still refuses. A second call does what one that was
    interrupted has left.

    Raises: SettingsError when an entry withdraws other versions too, or the allow-list cannot be edited: nothing
    is changed then; RemoteError.
    """
    with alone_at(path):
        text = read_text(path) if path.exists() else EMPTY
        withdrawn = parse_allowlist(text, path.name).withdrawn
        meant = [
            position for position, one in enumerate(withdrawn) if one.covers(release.project, release.version)
        ]
        for position in meant:
            if exact_version(withdrawn[position].versions) is None:
                raise SettingsError(
                    f"{path.name} withdraws {release.project}{withdrawn[position].versions}, {release} among "
                    "them; edit that entry by hand, then restore again"
                )
        if meant:
            write_text(path, without_withdrawals(text, meant))
            progress(f"taken out of {path.name}: commit it, so that everybody may use {release} again")
    published = release.status is Status.ARCHIVED
    if published:
        repositories.set_status(
            release.repository, release.project, release.version, Status.PUBLISHED, expected=Status.ARCHIVED
        )
        progress(f"published {release} again in {release.repository}")
    return Restored(
        release=release, withdrawals=tuple(withdrawn[position] for position in meant), published=published
    )
