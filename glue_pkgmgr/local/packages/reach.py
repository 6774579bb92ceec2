"""What a repository offers: the releases it holds, and those it reaches upstream and may bring in.

Source: CodeArtifact User Guide, "Requesting a package version with upstream repositories" and "Requesting Python
packages from upstreams and external connections".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.local.packages.blobs import Digests
from glue_pkgmgr.local.packages.releases import (
    FIRST_BROUGHT_IN,
    PUBLIC_INDEX,
    Asset,
    Origin,
    Release,
    Repository,
)
from glue_pkgmgr.local.packages.store import Occupied, PackageStore
from glue_pkgmgr.local.packages.upstream import Download, Upstream, UpstreamFailed

MOST_SEARCHED = 25
"""How many repositories are looked into for one request (CodeArtifact User Guide, "Quotas")."""

_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release a repository can hand out. `connected` has the external connection it comes through, if any."""

    version: str
    status: Status
    origin: Origin
    assets: dict[str, Asset]
    connected: Repository | None = None

    @classmethod
    def of(cls, release: Release) -> Offer:
        """Return a release that is held as what it offers."""
        return cls(
            version=release.version, status=release.status, origin=release.origin, assets=dict(release.assets)
        )


@dataclass(slots=True)
class _Search:
    """One look through the repositories: those already seen, and what went wrong on the way."""

    seen: set[int] = field(default_factory=set)
    failure: UpstreamFailed | None = None


class Reach:
    """Answers what repositories offer, and brings in what is asked for."""

    def __init__(self, store: PackageStore, upstream: Upstream, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._upstream = upstream
        self._clock = clock

    def offers(self, repository: Repository, project: ProjectName) -> dict[str, Offer]:
        """Return every release of `project` that `repository` holds or reaches, by version text.

        Releases of every status are in it: one that is archived hides the same version further up. While the
        public index is down the answer is what was brought in before.

        Raises: UpstreamFailed when the public index cannot be read and nothing of the project is known here.
        """
        search = _Search()
        found = self._offers(repository, project, search)
        if search.failure and not found:
            raise search.failure
        return found

    def upstream_offers(self, repository: Repository, project: ProjectName) -> dict[str, Offer]:
        """Return all that `repository` reaches beyond itself. Raises: UpstreamFailed when that is not certain."""
        search = _Search({repository.id})
        found = self._beyond(repository, project, search)
        if search.failure:
            raise search.failure
        return found

    def offer(self, repository: Repository, project: ProjectName, version: str) -> Offer | None:
        """Return one release that `repository` holds or reaches.

        Raises: UpstreamFailed when it is not known here and the public index cannot be read.
        """
        search = _Search()
        found = self._offers(repository, project, search).get(version)
        if search.failure and found is None:
            raise search.failure
        return found

    def _offers(self, repository: Repository, project: ProjectName, search: _Search) -> dict[str, Offer]:
        if repository.id in search.seen or len(search.seen) >= MOST_SEARCHED:
            return {}
        search.seen.add(repository.id)
        own = {
            version: Offer.of(release) for version, release in self._store.releases(repository, project).items()
        }
        return _merged(own, self._beyond(repository, project, search))

    def _beyond(self, repository: Repository, project: ProjectName, search: _Search) -> dict[str, Offer]:
        controls = self._store.controls(repository, project)
        if controls is not None and not controls.upstream:
            return {}
        found: dict[str, Offer] = {}
        for name in repository.upstreams:
            upstream = self._store.repository(repository.domain, name)
            if upstream is not None:
                found = _merged(found, self._offers(upstream, project, search))
        if repository.connection:
            try:
                found = _merged(found, self._public(repository, project))
            except UpstreamFailed as e:
                search.failure = e
        return found

    def _public(self, repository: Repository, project: ProjectName) -> dict[str, Offer]:
        page = self._upstream.page(project)
        offers: dict[str, Offer] = {}
        for file in page.files if page else ():
            named, version = _release_of(file.filename)
            if named != project:
                continue
            offer = offers.setdefault(
                version,
                Offer(
                    version=version,
                    status=Status.PUBLISHED,
                    origin=Origin(external=True, name=PUBLIC_INDEX),
                    assets={},
                    connected=repository,
                ),
            )
            offer.assets[file.filename] = Asset.of(file)
        return offers

    def find(self, repository: Repository, project: ProjectName, version: str, filename: str) -> Asset | None:
        """Return a file that `repository` may hand out, without bringing it in. Raises: UpstreamFailed."""
        held = self._store.releases(repository, project).get(version)
        if held is not None and (filename in held.assets or not held.status.downloadable):
            return held.assets.get(filename) if held.status.downloadable else None
        offer = self._with_file(repository, project, version, filename)
        return offer.assets[filename] if offer else None

    def bring_in(self, repository: Repository, project: ProjectName, version: str, filename: str) -> Asset | None:
        """Return a file to hand out; its release is then held by `repository` and by the connected one.

        Raises: UpstreamFailed.
        """
        held = self._store.releases(repository, project).get(version)
        if held is not None and held.status.downloadable and filename in held.assets:
            return held.assets[filename]
        offer = self._with_file(repository, project, version, filename)
        return self.retain(repository, project, offer).assets[filename] if offer else None

    def _with_file(
        self, repository: Repository, project: ProjectName, version: str, filename: str
    ) -> Offer | None:
        search = _Search()
        offer = self._offers(repository, project, search).get(version)
        if offer and offer.status.downloadable and filename in offer.assets:
            return offer
        if search.failure and (offer is None or offer.status.downloadable):
            raise search.failure
        return None

    def retain(self, repository: Repository | None, project: ProjectName, offer: Offer) -> Offer:
        """Make `offer` a release of `repository` and of the connected repository; return it fully known.

        Repositories between the two hold nothing. `repository` None brings it in no further than the connection.
        """
        assets = {name: self._hashed(project, asset) for name, asset in offer.assets.items()}
        holders = {holder.id: holder for holder in (offer.connected, repository) if holder is not None}
        known = replace(offer, assets=assets)
        try:
            with self._store.transaction():
                for holder in holders.values():
                    self.hold(holder, project, known)
        except Occupied as e:
            raise UpstreamFailed(f"the public index changed a file that is held here: {e}") from e
        return known

    def hold(self, repository: Repository, project: ProjectName, offer: Offer) -> None:
        """Make `offer`, fully known, a release of `repository`. Raises: Occupied."""
        self._store.add_release(
            repository,
            project,
            offer.version,
            offer.origin,
            offer.assets.values(),
            controls=FIRST_BROUGHT_IN,
            now=self._clock(),
        )

    def _hashed(self, project: ProjectName, asset: Asset) -> Asset:
        if asset.sha256 is not None:
            return asset
        # The index names no SHA-256, so only the bytes can tell it.
        digests = self._download(project, asset).wait()
        return replace(asset, sha256=digests.sha256, md5=digests.md5, size=digests.size)

    def content(self, project: ProjectName, asset: Asset) -> Path | Download:
        """Return the file of `asset`, or the download that brings it. Raises: UpstreamFailed."""
        if asset.sha256 is not None and self._store.blob(asset.sha256):
            return self._store.blobs.path(asset.sha256)
        return self._download(project, asset)

    def kept(self, digests: Digests) -> Path:
        """Return where a file that was fetched lies."""
        return self._store.blobs.path(digests.sha256)

    def _download(self, project: ProjectName, asset: Asset) -> Download:
        file = self._upstream.file(project, asset.filename)
        if file is None:
            raise UpstreamFailed(
                f"{asset.filename} was never fetched, and the public index no longer lists it", status=404
            )
        if asset.sha256 and file.sha256 and asset.sha256 != file.sha256:
            raise UpstreamFailed(
                f"{asset.filename}: the public index now lists SHA-256 {file.sha256}, "
                f"it was {asset.sha256} when the release was brought in"
            )
        known = {"sha256": asset.sha256} if asset.sha256 else {}
        return self._upstream.download(replace(file, hashes={**file.hashes, **known}))

    def digests(self, project: ProjectName, assets: Iterable[Asset]) -> dict[str, Digests]:
        """Return all hashes of `assets` by file name; what is not here in bytes is fetched, a few at a time.

        Raises: UpstreamFailed.
        """

        def of(asset: Asset) -> tuple[str, Digests]:
            known = self._store.blob(asset.sha256) if asset.sha256 else None
            return asset.filename, known or self._download(project, asset).wait()

        with ThreadPoolExecutor(_WORKERS) as pool:
            return dict(pool.map(of, assets))


@lru_cache(maxsize=1 << 14)
def _release_of(filename: str) -> tuple[ProjectName | None, str]:
    """Return the project and version of a file; none for eggs and installers, whose names tell no release."""
    try:
        distribution = parse_filename(filename)
    except InvalidFilename:
        return None, ""
    return distribution.project, str(distribution.version)


def _merged(nearer: dict[str, Offer], farther: dict[str, Offer]) -> dict[str, Offer]:
    """Return the releases of both; of a version in both the nearer counts, refreshed from the farther."""
    return {**farther, **{v: _refreshed(offer, farther.get(v)) for v, offer in nearer.items()}}


def _refreshed(offer: Offer, farther: Offer | None) -> Offer:
    """Add the files and yanks that came later, unless the release was published by hand or withdrawn."""
    if farther is None or farther.origin != offer.origin:
        return offer
    if not (offer.status.downloadable and farther.status.downloadable):
        return offer
    known = {
        name: replace(asset, yanked=farther.assets[name].yanked) if name in farther.assets else asset
        for name, asset in offer.assets.items()
    }
    return replace(offer, assets={**farther.assets, **known}, connected=offer.connected or farther.connected)
