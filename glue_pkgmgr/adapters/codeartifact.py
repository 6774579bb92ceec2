"""AWS CodeArtifact: tokens, repositories and the releases in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.core.index_url import AuthorizationToken
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import NotInstallable, RemoteError
from glue_pkgmgr.ports import Asset

_FORMAT = "pypi"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryLinks:
    """Where else a repository looks: upstreams in the order they are searched, external connections."""

    upstreams: tuple[str, ...]
    external_connections: tuple[str, ...]


class CodeArtifact:
    """The CodeArtifact API of one region, for format `pypi`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def issue(self, domain: str, owner: str, lifetime: timedelta) -> AuthorizationToken:
        """Mint a token for `domain` (account `owner`, 12 digits), valid for `lifetime`.

        Raises: RemoteError if AWS refuses or cannot be reached.
        Source: GetAuthorizationToken takes 900 to 43200 s, or 0 = the role's session.
        """
        with aws_errors(
            f"could not mint a token for CodeArtifact domain {domain!r} ({owner})",
            needs="codeartifact:GetAuthorizationToken and sts:GetServiceBearerToken",
        ):
            reply = self._client.get_authorization_token(
                domain=domain, domainOwner=owner, durationSeconds=int(lifetime.total_seconds())
            )
        return AuthorizationToken(reply["authorizationToken"], expires_at=reply["expiration"].astimezone(UTC))

    def endpoint(self, address: RepositoryAddress) -> str:
        """Return the PyPI endpoint of a repository, ending in `/`. Raises: RemoteError."""
        with aws_errors(
            f"could not find the endpoint of CodeArtifact repository {address}",
            needs="codeartifact:GetRepositoryEndpoint",
        ):
            reply = self._client.get_repository_endpoint(**_repository(address), format=_FORMAT)
        return str(reply["repositoryEndpoint"]).rstrip("/") + "/"

    def links(self, address: RepositoryAddress) -> RepositoryLinks:
        """Return the upstreams and external connections of a repository. Raises: RemoteError."""
        with aws_errors(
            f"could not describe CodeArtifact repository {address}", needs="codeartifact:DescribeRepository"
        ):
            described = self._client.describe_repository(**_repository(address))["repository"]
        return RepositoryLinks(
            upstreams=tuple(link["repositoryName"] for link in described.get("upstreams", ())),
            external_connections=tuple(
                link["externalConnectionName"] for link in described.get("externalConnections", ())
            ),
        )

    def projects(self, address: RepositoryAddress) -> list[ProjectName]:
        """Return the projects in this very repository, sorted. Raises: RemoteError."""
        with aws_errors(
            f"could not list the packages of CodeArtifact repository {address}", needs="codeartifact:ListPackages"
        ):
            pages = self._client.get_paginator("list_packages").paginate(**_repository(address), format=_FORMAT)
            return sorted(project_name(package["package"]) for page in pages for package in page["packages"])

    def versions(self, address: RepositoryAddress, project: ProjectName) -> dict[Version, str]:
        """Return the versions of `project` in this very repository with their status, lowest first.

        Every status is told (`Published`, `Unlisted`, `Archived`, …); empty if the project is not there.
        What is no version by PEP 440 is left out: no installer of today takes it.

        Raises: RemoteError.
        """
        with aws_errors(
            f"could not list the versions of {project} in {address}", needs="codeartifact:ListPackageVersions"
        ):
            pages = self._client.get_paginator("list_package_versions").paginate(**_package(address, project))
            listed = _listed(pages, "versions")
        statuses = {version["version"]: str(version["status"]) for version in listed}
        return dict(sorted((Version(text), status) for text, status in statuses.items() if _is_version(text)))

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        """Return the files of a release in this very repository, upstreams left aside; empty if absent.

        Raises: RemoteError, also when a file comes without its SHA-256.
        """
        with aws_errors(
            f"could not list the files of {project}=={version} in {address}",
            needs="codeartifact:ListPackageVersionAssets",
        ):
            pages = self._client.get_paginator("list_package_version_assets").paginate(
                **_package(address, project), packageVersion=str(version)
            )
            listed = _listed(pages, "assets")
        return [_asset(asset, f"{project}=={version} in {address}") for asset in listed]

    def copy(
        self, source: RepositoryAddress, target: RepositoryAddress, project: ProjectName, version: Version
    ) -> None:
        """Copy a release, from the source's upstreams too; the same release there already is no error.

        Raises: NotInstallable when the target holds other files under that version; RemoteError.
        Source: CopyPackageVersions, `includeFromUpstream` and `failedVersions`.
        """
        failed = f"could not copy {project}=={version} from {source} to {target}"
        with aws_errors(
            failed,
            needs="codeartifact:CopyPackageVersions on the target, codeartifact:ReadFromRepository on the source",
        ):
            reply = self._client.copy_package_versions(
                domain=source.domain,
                domainOwner=source.owner,
                sourceRepository=source.repository,
                destinationRepository=target.repository,
                format=_FORMAT,
                package=project,
                versions=[str(version)],
                includeFromUpstream=True,
            )
        for refused in reply.get("failedVersions", {}).values():
            raise _copy_failure(failed, refused)

    def delete(self, address: RepositoryAddress, project: ProjectName, version: Version) -> None:
        """Delete a release; none there is no error. Raises: RemoteError."""
        failed = f"could not delete {project}=={version} from {address}"
        try:
            with aws_errors(failed, needs="codeartifact:DeletePackageVersions"):
                reply = self._client.delete_package_versions(**_package(address, project), versions=[str(version)])
        except RemoteRefusal as e:
            if e.absent:
                return
            raise
        for refused in reply.get("failedVersions", {}).values():
            if refused["errorCode"] != "NOT_FOUND":
                raise RemoteError(f"{failed}: {refused.get('errorMessage', '')} ({refused['errorCode']})")

    def set_origin(
        self, address: RepositoryAddress, project: ProjectName, *, publish: bool, upstream: bool
    ) -> None:
        """Say whether a project may be published to, and taken from upstreams. Raises: RemoteError.

        Works before the project exists, too.
        Source: PutPackageOriginConfiguration.
        """
        with aws_errors(
            f"could not set the origin configuration of {project} in {address}",
            needs="codeartifact:PutPackageOriginConfiguration",
        ):
            self._client.put_package_origin_configuration(
                **_package(address, project),
                restrictions={"publish": _allowed(publish), "upstream": _allowed(upstream)},
            )


def _repository(address: RepositoryAddress) -> dict[str, str]:
    return {"domain": address.domain, "domainOwner": address.owner, "repository": address.repository}


def _package(address: RepositoryAddress, project: ProjectName) -> dict[str, str]:
    return {**_repository(address), "format": _FORMAT, "package": project}


def _allowed(yes: bool) -> str:
    return "ALLOW" if yes else "BLOCK"


def _listed(pages: Any, member: str) -> list[Any]:
    """Return all of `member` on the pages, none if the package or version is absent.

    An absent repository is the same error code in the API; only the resource type tells them apart.
    """
    from botocore.exceptions import ClientError

    try:
        return [item for page in pages for item in page[member]]
    except ClientError as e:
        absent = e.response["Error"]["Code"] == "ResourceNotFoundException"
        if absent and e.response.get("resourceType") in ("package", "package-version"):
            return []
        raise


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _asset(asset: Mapping[str, Any], where: str) -> Asset:
    sha256 = asset.get("hashes", {}).get("SHA-256")
    if not sha256:
        raise RemoteError(f"CodeArtifact tells no SHA-256 for {asset.get('name')} of {where}: cannot be verified")
    return Asset(filename=asset["name"], sha256=sha256.lower(), size=int(asset.get("size", 0)))


def _copy_failure(failed: str, refused: Mapping[str, str]) -> RemoteError | NotInstallable:
    code = refused["errorCode"]
    told = f"{failed}: {refused.get('errorMessage', 'no reason given').rstrip('.')} ({code})"
    if code == "ALREADY_EXISTS":
        return NotInstallable(f"{told}; the target holds other files under this version: delete it there first")
    if code == "NOT_ALLOWED":
        return RemoteError(f"{told}; the origin controls of the package block it (`upstream` or `publish`)")
    return RemoteError(told)
