"""CodeArtifact's operations on package versions: listing, reading, status, copying.

An operation on many versions does all or nothing: when one fails, the others are skipped and say so.
Source: CodeArtifact User Guide, "Copy packages between repositories" and "Update package version status".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.metadata import RawMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from werkzeug.wrappers import Response

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import Status
from glue_pkgmgr.local.codeartifact.domains import Params, Places, Result
from glue_pkgmgr.local.codeartifact.packages import Packages
from glue_pkgmgr.local.codeartifact.paging import page_of
from glue_pkgmgr.local.codeartifact.protocol import conflict, invalid, not_found
from glue_pkgmgr.local.packages.blobs import Digests
from glue_pkgmgr.local.packages.index import sent
from glue_pkgmgr.local.packages.metadata import read_metadata
from glue_pkgmgr.local.packages.reach import Offer, Reach
from glue_pkgmgr.local.packages.releases import (
    Asset,
    Origin,
    Release,
    Repository,
    revision_of,
)
from glue_pkgmgr.local.packages.upstream import Download

MOST_VERSIONS = 100
"""Versions in one call (CodeArtifact API reference)."""

FETCH_LIMIT = 64 << 20
"""ListPackageVersionAssets fetches this many bytes at most to tell all four hashes of files not here yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    code: str
    message: str


class VersionOperations:
    """Package versions."""

    def __init__(self, places: Places, reach: Reach) -> None:
        self._places = places
        self._packages = Packages(places)
        self._store = places.store
        self._reach = reach

    # --- reading ---------------------------------------------------------------------------------------------

    def list_package_versions(self, params: Params) -> Result:
        """ListPackageVersions. Those upstream are not in it, and all statuses are unless one is asked for."""
        repository, project, _ = self._packages.package(params)
        releases = list(self._store.releases(repository, project).values())
        latest_first = sorted(releases, key=lambda r: (r.published, Version(r.version)), reverse=True)
        by_version = sorted(releases, key=lambda release: Version(release.version))
        found = [
            release
            for release in (latest_first if "sortBy" in params else by_version)
            if params.get("status", release.status) == release.status
            and params.get("originType", _origin_type(release.origin)) == _origin_type(release.origin)
        ]
        page, following = page_of(found, params)
        shown = next((r.version for r in latest_first if r.status is Status.PUBLISHED), None)
        return {
            "defaultDisplayVersion": shown,
            "format": "pypi",
            "package": project,
            "versions": [_summary(release) for release in page],
            "nextToken": following,
        }

    def describe_package_version(self, params: Params) -> Result:
        """DescribePackageVersion. What the distribution says of itself is told once its bytes are here."""
        release = self._packages.release(params)
        metadata = self._metadata(release, fetch=False)
        licence = metadata.get("license_expression") or metadata.get("license")
        return {
            "packageVersion": {
                "format": "pypi",
                "packageName": release.project,
                "displayName": metadata.get("name", release.project),
                "version": release.version,
                "summary": metadata.get("summary"),
                "homePage": metadata.get("home_page") or _link(metadata, "homepage"),
                "sourceCodeRepository": _link(metadata, "source", "repository", "source code"),
                "publishedTime": release.published,
                "licenses": [{"name": licence}] if licence else [],
                "revision": release.revision,
                "status": release.status,
                "origin": _told(release.origin),
            }
        }

    def list_package_version_assets(self, params: Params) -> Result:
        """ListPackageVersionAssets, with the four hashes of each file.

        Files of a public release that nobody has downloaded are fetched for that, up to `FETCH_LIMIT` in one
        call; beyond it, those not here are listed with the hashes that the public index vouches for.
        """
        release = self._packages.release(params)
        page, following = page_of(list(release.assets.values()), params)
        digests = {asset.filename: here for asset in page if (here := self._store.blob(str(asset.sha256)))}
        missing = [asset for asset in page if asset.filename not in digests]
        if missing and sum(asset.size or 0 for asset in missing) <= FETCH_LIMIT:
            digests |= self._reach.digests(release.project, missing)
        return {
            **_heading(release),
            "assets": [_asset(asset, digests.get(asset.filename)) for asset in page],
            "nextToken": following,
        }

    def get_package_version_asset(self, params: Params) -> Response:
        """GetPackageVersionAsset: the file itself."""
        release = self._packages.release(params)
        if params.get("packageVersionRevision", release.revision) != release.revision:
            raise not_found("package-version", release.version, f"its revision is {release.revision}")
        if not release.status.downloadable:
            raise conflict("package-version", release.version, f"its status is {release.status}")
        asset = release.assets.get(params["asset"])
        if asset is None:
            raise not_found("asset", params["asset"])
        headers = {
            "X-AssetName": asset.filename,
            "X-PackageVersion": release.version,
            "X-PackageVersionRevision": release.revision,
        }
        return sent(self._reach, release.project, asset, headers)

    def get_package_version_readme(self, params: Params) -> Result:
        """GetPackageVersionReadme."""
        release = self._packages.release(params)
        readme = self._metadata(release, fetch=True).get("description")
        if not readme:
            raise not_found("readme", release.version, f"{release.project} {release.version} has no readme")
        return {**_heading(release), "readme": readme}

    def list_package_version_dependencies(self, params: Params) -> Result:
        """ListPackageVersionDependencies: what the distribution's own metadata requires."""
        release = self._packages.release(params)
        dependencies = []
        for line in self._metadata(release, fetch=True).get("requires_dist", []):
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue  # older than PEP 508; no client could install by it
            dependencies.append(
                {
                    "package": canonicalize_name(requirement.name),
                    "versionRequirement": str(requirement.specifier) or None,
                }
            )
        return {**_heading(release), "dependencies": dependencies}

    def _metadata(self, release: Release, *, fetch: bool) -> RawMetadata:
        """Return the metadata of a file of `release`: of one that is here, else of the smallest one if `fetch`."""
        assets = sorted(release.assets.values(), key=_cheapest_metadata)
        here = [asset for asset in assets if self._store.blob(str(asset.sha256))]
        for asset in here or (assets[:1] if fetch else []):
            content = self._reach.content(release.project, asset)
            path = self._reach.kept(content.wait()) if isinstance(content, Download) else content
            return read_metadata(path, asset.filename)
        return {}

    # --- changing --------------------------------------------------------------------------------------------

    def update_package_versions_status(self, params: Params) -> Result:
        """UpdatePackageVersionsStatus."""
        target = params["targetStatus"]
        if target not in (Status.PUBLISHED, Status.UNLISTED, Status.ARCHIVED):
            raise invalid(f"targetStatus: {target} cannot be set; Archived, Published and Unlisted can")
        return self._change(params, Status(target), {Status.DISPOSED})

    def dispose_package_versions(self, params: Params) -> Result:
        """DisposePackageVersions."""
        return self._change(params, Status.DISPOSED, set())

    def delete_package_versions(self, params: Params) -> Result:
        """DeletePackageVersions."""
        return self._change(params, Status.DELETED, set())

    def _change(self, params: Params, target: Status, final: set[Status]) -> Result:
        versions, revisions = params["versions"], params.get("versionRevisions", {})
        _check_count(versions)
        if revisions and set(revisions) != set(versions):
            raise invalid("versionRevisions must name the same versions as versions")
        with self._store.transaction():
            repository, project, _ = self._packages.package(params)
            held = self._store.releases(repository, project)
            faults = {
                version: _fault(version, held.get(version), revisions, params.get("expectedStatus"), final)
                for version in versions
            }
            if failed := _failed(faults):
                return {"successfulVersions": {}, "failedVersions": failed}
            self._store.set_status(repository, project, versions, target)
        done = {version: {"revision": held[version].revision, "status": target} for version in versions}
        return {"successfulVersions": done, "failedVersions": {}}

    def copy_package_versions(self, params: Params) -> Result:
        """CopyPackageVersions. A version that is there with the same content is left out of the answer."""
        revisions: Mapping[str, str] = params.get("versionRevisions", {})
        versions: list[str] = params.get("versions") or list(revisions)
        if bool(params.get("versions")) == bool(revisions):
            raise invalid("give versions or versionRevisions, and not both")
        _check_count(versions)
        project = self._packages.project(params)
        source = self._places.repository(params, "sourceRepository")
        target = self._places.repository(params, "destinationRepository")
        if source.id == target.id:
            raise invalid("sourceRepository and destinationRepository are the same")
        offers = {
            version: self._source(source, project, version, upstream=params.get("includeFromUpstream", False))
            for version in dict.fromkeys(versions)
        }
        with self._store.transaction():
            held = self._store.releases(target, project)
            faults = {
                version: _copy_fault(version, offer, held.get(version), revisions, params)
                for version, offer in offers.items()
            }
            if failed := _failed(faults):
                return {"successfulVersions": {}, "failedVersions": failed}
            done = self._copy(target, project, [offer for offer in offers.values() if offer], held)
        return {"successfulVersions": done, "failedVersions": {}}

    def _source(self, source: Repository, project: ProjectName, version: str, *, upstream: bool) -> Offer | None:
        """Return the version to copy, its files all named by hash."""
        if not upstream:
            release = self._store.releases(source, project).get(version)
            return None if release is None else Offer.of(release)
        offer = self._reach.offer(source, project, version)
        if offer is None or not offer.status.downloadable:
            return offer
        # What comes from the public index is held where the connection is, as with an installation.
        return self._reach.retain(None, project, offer)

    def _copy(
        self, target: Repository, project: ProjectName, offers: Iterable[Offer], held: Mapping[str, Release]
    ) -> dict[str, Result]:
        done: dict[str, Result] = {}
        for offer in offers:
            present = held.get(offer.version)
            if present is not None and _same(present, offer):
                continue
            if present is not None:
                self._store.set_status(target, project, [offer.version], Status.DELETED)
            self._reach.hold(target, project, offer)
            if offer.status is not Status.PUBLISHED:
                self._store.set_status(target, project, [offer.version], offer.status)
            done[offer.version] = {"revision": revision_of(offer.assets.values()), "status": offer.status}
        return done


def _fault(
    version: str,
    release: Release | None,
    revisions: Mapping[str, str],
    expected: str | None,
    final: set[Status],
) -> _Fault | None:
    if release is None:
        return _Fault(code="NOT_FOUND", message=f"Could not find version {version}")
    if revisions.get(version, release.revision) != release.revision:
        return _Fault(
            code="MISMATCHED_REVISION",
            message=f"current revision: {release.revision}, expected revision: {revisions[version]}",
        )
    if expected is not None and expected != release.status:
        return _Fault(
            code="MISMATCHED_STATUS", message=f"current status: {release.status}, expected status: {expected}"
        )
    if release.status in final:
        return _Fault(code="NOT_ALLOWED", message=f"a version that is {release.status} stays so")
    return None


def _copy_fault(
    version: str, offer: Offer | None, present: Release | None, revisions: Mapping[str, str], params: Params
) -> _Fault | None:
    if offer is None:
        return _Fault(code="NOT_FOUND", message=f"Could not find version {version}")
    if not offer.status.downloadable:
        return _Fault(code="MISMATCHED_STATUS", message=f"version {version} is {offer.status} in the source")
    revision = revision_of(offer.assets.values())
    if revisions.get(version, revision) != revision:
        return _Fault(
            code="MISMATCHED_REVISION",
            message=f"current revision: {revision}, expected revision: {revisions[version]}",
        )
    if present is None or _same(present, offer) or params.get("allowOverwrite", False):
        return None
    return _Fault(code="ALREADY_EXISTS", message=f"Version {version} already exists with other content")


def _failed(faults: Mapping[str, _Fault | None]) -> dict[str, Result]:
    """Return what to tell of each version if any has a fault, else nothing."""
    if not any(faults.values()):
        return {}
    return {
        version: {
            "errorCode": fault.code if fault else "SKIPPED",
            "errorMessage": fault.message if fault else f"Version {version} was skipped",
        }
        for version, fault in faults.items()
    }


def _same(release: Release, offer: Offer) -> bool:
    return release.status.downloadable and release.revision == revision_of(offer.assets.values())


def _check_count(versions: list[str]) -> None:
    if not 1 <= len(versions) <= MOST_VERSIONS:
        raise invalid(f"versions: {len(versions)} given, 1 to {MOST_VERSIONS} allowed")


def _origin_type(origin: Origin) -> str:
    return "EXTERNAL" if origin.external else "INTERNAL"


def _told(origin: Origin) -> Result:
    key = "externalConnectionName" if origin.external else "repositoryName"
    return {"originType": _origin_type(origin), "domainEntryPoint": {key: origin.name}}


def _summary(release: Release) -> Result:
    return {
        "version": release.version,
        "revision": release.revision,
        "status": release.status,
        "origin": _told(release.origin),
    }


def _heading(release: Release) -> Result:
    return {
        "format": "pypi",
        "package": release.project,
        "version": release.version,
        "versionRevision": release.revision,
    }


def _asset(asset: Asset, digests: Digests | None) -> Result:
    if digests is None:
        known = {"SHA-256": asset.sha256, "MD5": asset.md5}
        return {"name": asset.filename, "size": asset.size, "hashes": known}
    all_four = {
        "MD5": digests.md5,
        "SHA-1": digests.sha1,
        "SHA-256": digests.sha256,
        "SHA-512": digests.sha512,
    }
    return {"name": asset.filename, "size": digests.size, "hashes": all_four}


def _cheapest_metadata(asset: Asset) -> tuple[bool, int]:
    # A wheel's metadata is at the end of a zip; that of an sdist may be anywhere.
    return not asset.filename.endswith(".whl"), asset.size or 0


def _link(metadata: RawMetadata, *labels: str) -> str | None:
    links = {label.lower(): url for label, url in metadata.get("project_urls", {}).items()}
    return next((links[label] for label in labels if label in links), None)
