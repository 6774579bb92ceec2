"""A wheel that we built from an sdist of the store gets into the approved repository, as the lock names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.lockfile import LockedFile, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import NotInstallable
from glue_pkgmgr.ports import Mint, OpenUploader, PackageIndex, Progress, Repositories, SdistBuilder


def publish_built(
    pin: Pin,
    *,
    address: RepositoryAddress,
    store: PackageIndex,
    builder: SdistBuilder,
    repositories: Repositories,
    mint: Mint,
    open_uploader: OpenUploader,
    progress: Progress,
) -> None:
    """Publish the wheel of `pin`, which was built from the sdist `pin.built_from`, to the repository `address`.

    The wheel is built again unless it is kept, and uploaded only if it is the locked one to the byte. The
    project is open for publishing during the upload alone, and closed to upstreams from then on. Safe to
    repeat and to interrupt; not for two releases of one project at once, as one would close it for the other.

    Raises: NotInstallable when the store has another sdist under that name or none, when the wheel is not the
    locked one or cannot be built, or when the repository holds other bytes; IndexAccessError; RemoteError.
    Source: CodeArtifact User Guide, "Editing package origin controls" (publish and upstream restrictions).
    """
    built_from = pin.built_from
    if built_from is None:
        raise NotInstallable(f"the lock does not say that {pin} was built by us; copy it from the store")
    wheel = builder.wheel_of(store, _sdist(pin, built_from, store))
    _require_locked(wheel, pin, built_from)
    progress(f"publishing {wheel.filename}, built from {built_from.filename}, to {address}")
    with _open_for_publishing(address, pin.project, repositories):
        open_uploader(mint(SHORTEST)).upload(wheel.path, sha256=wheel.sha256)


def _sdist(pin: Pin, built_from: LockedFile, store: PackageIndex) -> IndexFile:
    """Return the locked sdist as the store lists it."""
    page = store.page(pin.project)
    file = next((file for file in page.files if file.filename == built_from.filename), None) if page else None
    if file is None:
        raise NotInstallable(f"the store has no {built_from.filename}, which the lock says {pin} was built from")
    if file.sha256 != built_from.sha256:
        raise NotInstallable(
            f"the store's {file.filename} is not what {pin} was built from: SHA-256 {file.sha256}, locked "
            f"{built_from.sha256}; find out who changed it before locking again"
        )
    return file


def _require_locked(wheel: BuiltFile, pin: Pin, built_from: LockedFile) -> None:
    locked = {file.filename: file.sha256 for file in pin.files}
    if locked.get(wheel.filename) == wheel.sha256:
        return
    named = "\n".join(f"  locked {sha256}  {filename}" for filename, sha256 in locked.items())
    raise NotInstallable(
        f"{built_from.filename} gives another wheel on this machine than where {pin} was locked, so its build is "
        f"not reproducible here; `glue-pkgmgr lock` again here, or mirror there:\n{named}\n"
        f"  built  {wheel.sha256}  {wheel.path}"
    )


@contextmanager
def _open_for_publishing(
    address: RepositoryAddress, project: ProjectName, repositories: Repositories
) -> Iterator[None]:
    try:
        repositories.set_origin(address, project, publish=True, upstream=False)
        yield
    finally:
        # Others' names in our repository: nobody is to publish to them by hand.
        repositories.set_origin(address, project, publish=False, upstream=False)
