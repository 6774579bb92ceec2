"""AWS CodeArtifact: tokens, repositories and the releases in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.adapters.pace import Pace, keep_pace
from glue_pkgmgr.core.index_url import AuthorizationToken
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks, Status
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.ports import Asset, CopyRefusal, NotCopied

_FORMAT = "pypi"
_COPIES = 5.0  # CopyPackageVersions a second (CodeArtifact User Guide, "Quotas")
_MOST_VERSIONS = 100  # in one call (API reference, CopyPackageVersions)
_PAGE = 1000  # entries, the most that a List operation grants


class CodeArtifact:
    """The CodeArtifact API of one region, for format `pypi`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._endpoints: dict[RepositoryAddress, str] = {}  # they never change
        keep_pace(client, "CopyPackageVersions", Pace(_COPIES))

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
        """Return the PyPI endpoint of a repository, ending in `/`; asked once. Raises: RemoteError."""
        if (known := self._endpoints.get(address)) is not None:
            return known
        with aws_errors(
            f"could not find the endpoint of CodeArtifact repository {address}",
            needs="codeartifact:GetRepositoryEndpoint",
        ):
            reply = self._client.get_repository_endpoint(**_repository(address), format=_FORMAT)
            found = str(reply["repositoryEndpoint"]).rstrip("/") + "/"
        self._endpoints[address] = found
        return found

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

    def packages(self, address: RepositoryAddress) -> dict[ProjectName, OriginControls]:
        """Return the origin controls of every project in this very repository, sorted by project.

        Raises: RemoteError.
        Source: ListPackages, which tells them along; a package from before May 2022 may have none (User Guide,
        "Default package origin control settings").
        """
        with aws_errors(
            f"could not list the packages of CodeArtifact repository {address}", needs="codeartifact:ListPackages"
        ):
            listed = list(_paged(self._client.list_packages, "packages", **_repository(address), format=_FORMAT))
        return dict(sorted((project_name(package["package"]), _controls(package)) for package in listed))

    def controls(self, address: RepositoryAddress, project: ProjectName) -> OriginControls | None:
        """Return the origin controls of a project in this very repository, None if it has none.

        Raises: RemoteError.
        Source: DescribePackage.
        """
        from botocore.exceptions import ClientError

        with aws_errors(f"could not describe {project} in {address}", needs="codeartifact:DescribePackage"):
            try:
                return _controls(self._client.describe_package(**_package(address, project))["package"])
            except ClientError as e:
                if not _lacks_package(e.response):
                    raise
                return None

    def versions(self, address: RepositoryAddress, project: ProjectName) -> dict[Version, Status]:
        """Return the versions of `project` in this very repository with their status, lowest first.

        Every status is told; empty if the project is not there. What is no version by PEP 440 is left out: no
        installer of today takes it.

        Raises: RemoteError, also for a status that is not known.
        """
        with aws_errors(
            f"could not list the versions of {project} in {address}", needs="codeartifact:ListPackageVersions"
        ):
            listed = _listed(self._client.list_package_versions, "versions", **_package(address, project))
        statuses = {version["version"]: _status(version, f"{project} in {address}") for version in listed}
        return dict(sorted((Version(text), status) for text, status in statuses.items() if _is_version(text)))

    def brought_in(self, address: RepositoryAddress, project: ProjectName) -> frozenset[Version]:
        """Return the versions of `project` in this very repository that came from an external connection.

        Raises: RemoteError.
        Source: ListPackageVersions, `originType`.
        """
        with aws_errors(
            f"could not list the versions of {project} in {address} that came from outside",
            needs="codeartifact:ListPackageVersions",
        ):
            listed = _listed(
                self._client.list_package_versions,
                "versions",
                **_package(address, project),
                originType="EXTERNAL",
            )
        return frozenset(Version(one["version"]) for one in listed if _is_version(one["version"]))

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        """Return the files of a release in this very repository, upstreams left aside; empty if absent.

        Raises: RemoteError, also when a file comes without its SHA-256.
        """
        with aws_errors(
            f"could not list the files of {project}=={version} in {address}",
            needs="codeartifact:ListPackageVersionAssets",
        ):
            listed = _listed(
                self._client.list_package_version_assets,
                "assets",
                **_package(address, project),
                packageVersion=str(version),
            )
        return [_asset(asset, f"{project}=={version} in {address}") for asset in listed]

    def copy(
        self,
        source: RepositoryAddress,
        target: RepositoryAddress,
        project: ProjectName,
        versions: Collection[Version],
    ) -> dict[Version, NotCopied]:
        """Copy releases of a project, from the source's upstreams too; return those that were not, and why.

        Each stands for itself, although a call of the service copies all its versions or none. The same release
        there already counts as copied; one that arrives in another status than `Published` does not.

        Raises: RemoteError.
        Source: CopyPackageVersions, `includeFromUpstream` and `failedVersions`.
        """
        refused: dict[Version, NotCopied] = {}
        wanted = sorted(versions)
        while wanted:
            batch, later = wanted[:_MOST_VERSIONS], wanted[_MOST_VERSIONS:]
            failed = f"could not copy {project} {', '.join(map(str, batch))} from {source} to {target}"
            errors, arrived = self._copy_batch(source, target, project, batch, failed)
            skipped = [version for version in batch if errors.get(version, {}).get("errorCode") == "SKIPPED"]
            if len(skipped) == len(batch):
                raise RemoteError(f"{failed}: CodeArtifact skipped all of them and does not say why")
            for version, error in errors.items():
                if version not in skipped:
                    refused[version] = _not_copied(f"could not copy {project}=={version} from {source}", error)
            for version, status in arrived.items():
                if status is not Status.PUBLISHED:
                    detail = f"{project}=={version} is {status} in {source}"
                    refused[version] = NotCopied(reason=CopyRefusal.OTHER, detail=detail)
            wanted = skipped + later
        return refused

    def _copy_batch(
        self,
        source: RepositoryAddress,
        target: RepositoryAddress,
        project: ProjectName,
        versions: Sequence[Version],
        failed: str,
    ) -> tuple[dict[Version, Mapping[str, str]], dict[Version, Status]]:
        """Return the errors of one call, by version, and the status of what was copied."""
        from botocore.exceptions import ClientError

        needs = "codeartifact:CopyPackageVersions on the target, codeartifact:ReadFromRepository on the source"
        with aws_errors(failed, needs=needs):
            try:
                reply = self._client.copy_package_versions(
                    domain=source.domain,
                    domainOwner=source.owner,
                    sourceRepository=source.repository,
                    destinationRepository=target.repository,
                    format=_FORMAT,
                    package=project,
                    versions=[str(version) for version in versions],
                    includeFromUpstream=True,
                )
            except ClientError as e:
                if not _lacks_package(e.response):
                    raise
                absent = {"errorCode": "NOT_FOUND", "errorMessage": e.response["Error"].get("Message", "")}
                return dict.fromkeys(versions, absent), {}
        arrived = {
            Version(text): _status(done, f"{project}=={text} in {target}")
            for text, done in reply.get("successfulVersions", {}).items()
        }
        return {Version(text): error for text, error in reply.get("failedVersions", {}).items()}, arrived

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

    def set_status(
        self,
        address: RepositoryAddress,
        project: ProjectName,
        version: Version,
        status: Status,
        *,
        expected: Status,
    ) -> None:
        """Give a release the `status` Published, Unlisted or Archived, if it has the `expected` one.

        Raises: RemoteError, also for one that has another status by now, or is not there.
        Source: UpdatePackageVersionsStatus, `expectedStatus` and `failedVersions`.
        """
        failed = f"could not set the status of {project}=={version} in {address} to {status}"
        with aws_errors(failed, needs="codeartifact:UpdatePackageVersionsStatus"):
            reply = self._client.update_package_versions_status(
                **_package(address, project),
                versions=[str(version)],
                expectedStatus=str(expected),
                targetStatus=str(status),
            )
        for refused in reply.get("failedVersions", {}).values():
            advice = "; run it again" if refused["errorCode"] == "MISMATCHED_STATUS" else ""
            raise RemoteError(
                f"{failed}: {refused.get('errorMessage', '')} ({refused['errorCode']}), where {expected} was "
                f"expected{advice}"
            )

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


def _paged(call: Callable[..., Mapping[str, Any]], member: str, **arguments: str) -> Iterator[Any]:
    """Yield all of `member` of the pages that a List operation gives.

    Not by botocore's paginators, which take half as long again as the call itself does on this side.
    """
    following: dict[str, str] = {}
    while True:
        page = call(**arguments, maxResults=_PAGE, **following)
        yield from page[member]
        if not page.get("nextToken"):
            return
        following = {"nextToken": page["nextToken"]}


def _listed(call: Callable[..., Mapping[str, Any]], member: str, **arguments: str) -> list[Any]:
    """Return all of `member` of the pages, none if the package or version is absent.

    An absent repository is the same error code in the API; only the resource type tells them apart.
    """
    from botocore.exceptions import ClientError

    try:
        return list(_paged(call, member, **arguments))
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


def _controls(package: Mapping[str, Any]) -> OriginControls:
    told = package.get("originConfiguration", {}).get("restrictions", {})
    return OriginControls(publish=told.get("publish") != "BLOCK", upstream=told.get("upstream") != "BLOCK")


def _status(version: Mapping[str, Any], where: str) -> Status:
    told = version.get("status")
    try:
        return Status(str(told))
    except ValueError as e:
        raise RemoteError(f"CodeArtifact gives a release of {where} a status that is not known: {told!r}") from e


def _lacks_package(response: Mapping[str, Any]) -> bool:
    """Whether an error answer says that a repository, being there, has no such package."""
    absent = response["Error"]["Code"] == "ResourceNotFoundException"
    return absent and response.get("resourceType") not in ("domain", "repository")


_REFUSALS = {
    "NOT_FOUND": (CopyRefusal.ABSENT, ""),
    "ALREADY_EXISTS": (
        CopyRefusal.OCCUPIED,
        "; the target holds other files under this version: delete it there first",
    ),
    "NOT_ALLOWED": (
        CopyRefusal.BLOCKED,
        "; origin controls, of the package or of its package group, block it",
    ),
}


def _not_copied(failed: str, error: Mapping[str, str]) -> NotCopied:
    code = error["errorCode"]
    reason, advice = _REFUSALS.get(code, (CopyRefusal.OTHER, ""))
    told = error.get("errorMessage") or "no reason given"
    return NotCopied(reason=reason, detail=f"{failed}: {told.rstrip('.')} ({code}){advice}")
