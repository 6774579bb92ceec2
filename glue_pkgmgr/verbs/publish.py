"""Verb: the files of an internal release get into the repository, and the index is seen to serve them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError
from glue_pkgmgr.ports import Asset, Clock, Mint, OpenIndex, OpenUploader, PackageIndex, Progress, Repositories

_PATIENCE = timedelta(seconds=60)  # CodeArtifact usually shows an upload within a second
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """What has to be done for one release: `new` files are to be uploaded, `held` ones are there already."""

    project: ProjectName
    version: Version
    new: tuple[BuiltFile, ...]
    held: tuple[BuiltFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRecord:
    """What was published, and where. `index` is a URL without credentials, `time` aware UTC."""

    project: ProjectName
    version: Version
    repository: RepositoryAddress
    index: str
    uploaded: tuple[BuiltFile, ...]
    already: tuple[BuiltFile, ...]
    time: datetime

    @property
    def files(self) -> tuple[BuiltFile, ...]:
        """All files of the release that were meant to be published, uploaded now or earlier."""
        return (*self.uploaded, *self.already)


def publish(
    files: Sequence[BuiltFile],
    *,
    address: RepositoryAddress,
    internal: frozenset[ProjectName],
    repositories: Repositories,
    mint: Mint,
    open_index: OpenIndex,
    open_uploader: OpenUploader,
    clock: Clock,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> PublishRecord:
    """Publish `files`, all of one internal release, to the repository at `address`.

    Safe to repeat and to interrupt: files that are there with the same bytes are left alone, and without a
    new file no token is minted. Before the first upload the project is closed to upstreams, so that nobody
    else's release of that name can ever come in. At the end the index serves every file with its hash.

    Raises: SettingsError for a project that is not `internal`; NotInstallable, with both digests, when the
    repository holds or serves other bytes under a file's name; IndexAccessError; RemoteError.
    Source: CodeArtifact User Guide, "Package origin controls" (a published package: ALLOW, BLOCK).
    """
    project, version = _release(files)
    if project not in internal:
        raise SettingsError(
            f"{project} is not listed as internal, so it is not published; if it is yours alone, add it to "
            "`internal` under [policy] in the settings: then it can come from nowhere else"
        )
    todo = plan(files, repositories.assets(address, project, version))
    if not todo.new:
        progress(f"{project}=={version} is already published in {address}")
        index = f"{repositories.endpoint(address)}simple/"
    else:
        repositories.set_origin(address, project, publish=True, upstream=False)
        url = mint(SHORTEST)
        uploader = open_uploader(url)
        for file in todo.new:
            progress(f"uploading {file.filename} to {address}")
            uploader.upload(file.path)
        progress(f"waiting until the index serves {project}=={version}")
        _wait_until_served(open_index(url), project, files, clock=clock, sleep=sleep)
        index = url.plain
    return PublishRecord(
        project=project,
        version=version,
        repository=address,
        index=index,
        uploaded=todo.new,
        already=todo.held,
        time=clock(),
    )


def plan(files: Sequence[BuiltFile], held: Sequence[Asset]) -> PublishPlan:
    """Return which of `files`, all of one release, are to be uploaded, given what the repository holds.

    Raises: NotInstallable naming every file that is there with other bytes; nothing may be uploaded then.
    """
    project, version = _release(files)
    digests = {asset.filename: asset.sha256 for asset in held}
    different = [file for file in files if digests.get(file.filename, file.sha256) != file.sha256]
    if different:
        listed = "\n".join(
            f"  {file.filename}\n    built     {file.sha256}\n    published {digests[file.filename]}"
            for file in different
        )
        raise NotInstallable(
            f"{project}=={version} is published already, with other bytes; a release never changes: "
            f"raise the version and publish again\n{listed}"
        )
    return PublishPlan(
        project=project,
        version=version,
        new=tuple(file for file in files if file.filename not in digests),
        held=tuple(file for file in files if file.filename in digests),
    )


def _release(files: Sequence[BuiltFile]) -> tuple[ProjectName, Version]:
    releases = {(file.distribution.project, file.distribution.version) for file in files}
    if len(releases) != 1:
        named = ", ".join(sorted(f"{project}=={version}" for project, version in releases)) or "none"
        raise SettingsError(f"the files to publish must be of one release; they are of: {named}")
    return releases.pop()


def _wait_until_served(
    index: PackageIndex,
    project: ProjectName,
    files: Sequence[BuiltFile],
    *,
    clock: Clock,
    sleep: Callable[[float], None],
) -> None:
    deadline = clock() + _PATIENCE
    pause = _FIRST_PAUSE
    while missing := _missing(index, project, files):
        if clock() >= deadline:
            raise IndexAccessError(
                f"uploaded, but after {_PATIENCE.seconds} s the index still does not serve {', '.join(missing)}; "
                "run again to check: nothing is uploaded twice"
            )
        sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


def _missing(index: PackageIndex, project: ProjectName, files: Sequence[BuiltFile]) -> list[str]:
    """Return the names of `files` the index does not serve yet. Raises: NotInstallable for other bytes."""
    page = index.page(project)
    served = {file.filename: file.sha256 for file in page.files} if page else {}
    for file in files:
        if file.filename in served and served[file.filename] != file.sha256:
            raise NotInstallable(
                f"the index serves {file.filename} with SHA-256 {served[file.filename]}, uploaded was "
                f"{file.sha256}; do not use this release before it is known who changed it"
            )
    return [file.filename for file in files if file.filename not in served]
