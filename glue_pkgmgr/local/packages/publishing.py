"""Taking in an uploaded file: what is checked, and what is refused.

Source: CodeArtifact User Guide, "Packages overview" (overwriting, status) and "Editing package origin controls"
(publishing and upstream repositories).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.distribution import Distribution, parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.packages.blobs import Digests
from glue_pkgmgr.local.packages.reach import Reach
from glue_pkgmgr.local.packages.releases import FIRST_PUBLISHED, Asset, Origin, Repository
from glue_pkgmgr.local.packages.store import Occupied, PackageStore

MOST_ASSETS = 350
"""Files a release may have (CodeArtifact User Guide, "Quotas")."""

_BAD_REQUEST, _QUOTA, _FORBIDDEN, _CONFLICT = 400, 402, 403, 409


class PublishRefused(Exception):
    """The file was not taken; `status` is the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file as the upload form sends it. `hashes` maps algorithm names to hexadecimal digests."""

    filename: str
    name: str
    version: str
    content: BinaryIO
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None


class Publisher:
    """Publishes uploads to repositories."""

    def __init__(self, store: PackageStore, reach: Reach, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._reach = reach
        self._clock = clock

    def publish(self, repository: Repository, upload: Upload) -> None:
        """Make `upload` a file of `repository`. The same file with the same content again is no error.

        Raises: PublishRefused; UpstreamFailed when it cannot be told whether the version exists upstream.
        """
        distribution = _distribution(upload)
        digests, path = self._store.blobs.copy_in(upload.content)
        try:
            _check_hashes(upload, digests)
            self._check_upstream(repository, distribution)
            with self._store.transaction():
                self._check_held(repository, distribution, digests)
                self._add(repository, distribution, upload, digests)
                self._store.add_blob(path, digests)
        except Occupied as e:
            raise PublishRefused(_CONFLICT, f"{e}; delete the version first, or publish another one") from e
        finally:
            path.unlink(missing_ok=True)

    def _add(self, repository: Repository, distribution: Distribution, upload: Upload, digests: Digests) -> None:
        asset = Asset(
            filename=distribution.filename,
            sha256=digests.sha256,
            md5=digests.md5,
            size=digests.size,
            upload_time=self._clock(),
            requires_python=upload.requires_python,
        )
        self._store.add_release(
            repository,
            distribution.project,
            str(distribution.version),
            Origin(external=False, name=repository.name),
            [asset],
            controls=FIRST_PUBLISHED,
            now=self._clock(),
        )

    def _check_upstream(self, repository: Repository, distribution: Distribution) -> None:
        project, version = distribution.project, str(distribution.version)
        controls = self._store.controls(repository, project)
        if controls is not None and not controls.publish:
            raise PublishRefused(
                _FORBIDDEN,
                f"publishing {project} to {repository.name} is blocked by the package's origin controls "
                "(publish=BLOCK); change them with put-package-origin-configuration",
            )
        if version in self._reach.upstream_offers(repository, project):
            raise PublishRefused(
                _CONFLICT,
                f"{project} {version} exists in a repository that {repository.name} reaches upstream: "
                "publish another version, or block upstream for this package",
            )

    def _check_held(self, repository: Repository, distribution: Distribution, digests: Digests) -> None:
        project, version = distribution.project, str(distribution.version)
        held = self._store.releases(repository, project).get(version)
        if held is None:
            return
        if held.status not in (Status.PUBLISHED, Status.UNLISTED):
            raise PublishRefused(_CONFLICT, f"{project} {version} is {held.status} in {repository.name}")
        if distribution.filename not in held.assets and len(held.assets) >= MOST_ASSETS:
            raise PublishRefused(_QUOTA, f"{project} {version} has {MOST_ASSETS} files already, the most allowed")


def _distribution(upload: Upload) -> Distribution:
    try:
        distribution = parse_filename(upload.filename)
        named = project_name(upload.name)
        version = Version(upload.version)
    except (SettingsError, InvalidVersion) as e:
        raise PublishRefused(_BAD_REQUEST, str(e)) from e
    if (named, version) != (distribution.project, distribution.version):
        raise PublishRefused(
            _BAD_REQUEST,
            f"the file name {upload.filename} does not belong to {upload.name} {upload.version}, "
            "the name and version of its metadata",
        )
    return distribution


def _check_hashes(upload: Upload, digests: Digests) -> None:
    for algorithm, promised in upload.hashes.items():
        found = getattr(digests, algorithm)
        if promised.lower() != found:
            raise PublishRefused(
                _BAD_REQUEST, f"{upload.filename} arrived with {algorithm} {found}, announced was {promised}"
            )
