"""Verb: the approved repository gets exactly what the locks name, and is compared with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks, Status
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import LaunchRecords, PackageIndex, Progress, Repositories
from glue_pkgmgr.verbs.at_once import at_once
from glue_pkgmgr.verbs.bring import Bringing, Controls, set_controls, to_bring
from glue_pkgmgr.verbs.mirrored import (
    Deviation,
    Incident,
    Looking,
    MirrorReport,
    Places,
    Presence,
    Unlocked,
    pins_of,
)

_CONTROLS = "origin controls"


def verify(
    locks: Iterable[Lock], *, places: Places, repositories: Repositories, records: LaunchRecords
) -> MirrorReport:
    """Return how the approved repository stands beside the locks; nothing is changed.

    Raises: RemoteError; SettingsError for a record of a launch that cannot be read.
    """
    looking = Looking(list(locks), places.approved, repositories)
    packages, in_store, links = _overview(places, repositories)
    statuses = looking.statuses(packages)
    entries = looking.all(statuses)
    used = {one.pin.project for one in entries} | {project for project in packages if _offered(statuses[project])}
    return MirrorReport(
        places=places,
        entries=tuple(entries),
        incidents=tuple(
            Incident(pin=one.pin, detail=one.detail, outcome="still there")
            for one in entries
            if one.presence is Presence.DIFFERENT
        ),
        unlocked=_unlocked(statuses, looking.pins, places, records),
        faults=(
            *_link_faults(places, links),
            *_control_faults(places, packages, in_store, used),
            *_strangers_in_store(places, in_store, repositories),
        ),
    )


def sync(
    locks: Iterable[Lock],
    *,
    places: Places,
    repositories: Repositories,
    open_store: Callable[[], PackageIndex],
    bring_built: Callable[[Pin], None],
    records: LaunchRecords,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> MirrorReport:
    """Bring every locked release into the approved repository, checked file by file; say how it stands then.

    First every internal name is closed to releases of others, there and in the store. Then what is missing is
    copied, or built from its sdist by `bring_built`, closed to publishing, and compared with the lock. Bytes that
    differ are removed again, also where they were there before; releases of our own are only looked at, `publish`
    brings them. What somebody has withdrawn stays so. `open_store` gives the store's index, asked only for what
    the store does not hold yet.

    Safe to repeat, to interrupt, and to run twice at once. What fails is in the report, all else being done.

    Raises: NotInstallable when the locks disagree; RemoteError before anything was copied; SettingsError for a
    record of a launch that cannot be read.
    """
    looking = Looking(list(locks), places.approved, repositories)
    packages, in_store, links = _overview(places, repositories)
    _close_internal_names(places, packages, in_store, repositories)
    statuses = looking.statuses(packages)
    entries = looking.all(statuses)
    bringing = Bringing(
        looking=looking,
        places=places,
        packages=packages,
        statuses=statuses,
        repositories=repositories,
        open_store=open_store,
        bring_built=bring_built,
        progress=progress,
        sleep=sleep,
        total=sum(to_bring(one) for one in entries),
    )
    if bringing.total:
        releases = "1 release" if bringing.total == 1 else f"{bringing.total} releases"
        progress(f"bringing {releases} into {places.approved}")
    by_project = [list(group) for _, group in groupby(entries, key=lambda one: one.pin.project)]
    brought = [one for group in at_once(bringing.project, by_project) for one in group]
    locked = {pin.project for pin in looking.pins}
    others = [
        project for project in packages if project not in locked | places.internal and _offered(statuses[project])
    ]
    unclosed = zip(others, at_once(bringing.close, others), strict=True)
    return MirrorReport(
        places=places,
        entries=tuple(brought),
        incidents=tuple(incident for _, incident in sorted(bringing.incidents.items())),
        unlocked=_unlocked(statuses, looking.pins, places, records),
        faults=(
            *_link_faults(places, links),
            *(Deviation(where=one, what=_CONTROLS, detail=str(error)) for one, error in unclosed if error),
        ),
    )


def prune(
    releases: Sequence[Unlocked],
    locks: Iterable[Lock],
    *,
    places: Places,
    repositories: Repositories,
    progress: Progress,
) -> None:
    """Delete `releases` from the approved repository; one that is gone already is no error.

    `locks` are those of every bundle. Deleted, not disposed of: a later approval can bring the same version back.

    Raises: SettingsError, and nothing is deleted, when one is of our own or locked by now; RemoteError.
    Source: CodeArtifact API, DeletePackageVersions.
    """
    locked = {str(pin) for pin in pins_of(locks)}
    if kept := [str(one) for one in releases if one.project in places.internal or str(one) in locked]:
        raise SettingsError(f"not pruned, as a lock names them or they are our own: {', '.join(kept)}")
    for one in releases:
        repositories.delete(places.approved, one.project, one.version)
        progress(f"removed {one} from {places.approved}")


def _offered(statuses: Mapping[Version, Status]) -> bool:
    """Whether a project has a release that somebody can download."""
    return any(status.downloadable for status in statuses.values())


def _unlocked(
    statuses: Mapping[ProjectName, Mapping[Version, Status]],
    pins: Iterable[Pin],
    places: Places,
    records: LaunchRecords,
) -> tuple[Unlocked, ...]:
    locked = {pin.release for pin in pins}
    found = [
        (project, version)
        for project, versions in sorted(statuses.items())
        for version, status in versions.items()
        if status.downloadable and (project, version) not in locked
    ]
    launches = records.all() if found else ()
    return tuple(
        Unlocked(
            project=project,
            version=version,
            internal=project in places.internal,
            used_by=tuple(launch for launch in launches if launch.installs(project, version)),
        )
        for project, version in found
    )


def _overview(places: Places, repositories: Repositories) -> tuple[Controls, Controls, RepositoryLinks]:
    """Return the packages of the approved repository, the internal ones of the store, and where the former looks.

    Raises: RemoteError.
    """
    with ThreadPoolExecutor(2) as pool:
        listed = pool.submit(repositories.packages, places.approved)
        links = pool.submit(repositories.links, places.approved)
    packages = listed.result()

    def asked(address: RepositoryAddress, projects: Iterable[ProjectName]) -> dict[ProjectName, OriginControls]:
        # One by one: a list may leave out what has no release yet, and the store may hold thousands.
        wanted = sorted(projects)
        found = at_once(lambda project: repositories.controls(address, project), wanted)
        return {project: controls for project, controls in zip(wanted, found, strict=True) if controls}

    unlisted = asked(places.approved, places.internal - packages.keys())
    return {**packages, **unlisted}, asked(places.store, places.internal), links.result()


def _link_faults(places: Places, links: RepositoryLinks) -> list[Deviation]:
    behind = [
        *(("upstream", name) for name in links.upstreams if name not in places.upstreams),
        *(("external connection", name) for name in links.external_connections),
    ]
    return [
        Deviation(
            where=places.approved.repository,
            what=kind,
            detail=f"looks into {name} too: jobs can install what nobody approved; remove it",
        )
        for kind, name in behind
    ]


def _strangers_in_store(places: Places, in_store: Controls, repositories: Repositories) -> list[Deviation]:
    """Return the releases that the store took in under internal names before they were closed there."""
    return [
        Deviation(
            where=project,
            what="in the store",
            detail=f"{places.store.repository} has {project}=={version} of others under our name; delete it",
        )
        for project in sorted(places.internal & in_store.keys())
        for version, status in repositories.versions(places.store, project).items()
        if status.downloadable
    ]


def _control_faults(
    places: Places, packages: Controls, in_store: Controls, used: Collection[ProjectName]
) -> list[Deviation]:
    """Return where origin controls are not as they have to be; `used` projects have a release that counts."""
    approved = places.internal | {project for project in packages if project in used}
    wanted = {project: places.controls(project) for project in sorted(approved)}
    in_store_wanted = dict.fromkeys(sorted(places.internal), places.controls_in_store)
    return [
        *_wrong_controls(places.approved, packages, wanted),
        *_wrong_controls(places.store, in_store, in_store_wanted),
    ]


def _wrong_controls(address: RepositoryAddress, held: Controls, wanted: Controls) -> list[Deviation]:
    return [
        Deviation(
            where=project,
            what=_CONTROLS,
            detail=f"in {address.repository}: {held.get(project, 'none')}; should be: {controls}",
        )
        for project, controls in wanted.items()
        if held.get(project) != controls
    ]


def _close_internal_names(
    places: Places, packages: Controls, in_store: Controls, repositories: Repositories
) -> None:
    """Make sure that no release of others can come in under an internal name, before it is ever published."""
    for project in sorted(places.internal):
        for address, held, wanted in (
            (places.store, in_store, places.controls_in_store),
            (places.approved, packages, places.controls(project)),
        ):
            if held.get(project) != wanted:
                set_controls(repositories, address, project, wanted)
