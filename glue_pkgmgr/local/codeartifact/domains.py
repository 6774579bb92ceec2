"""CodeArtifact's operations on domains, repositories, their tags, and the token that opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from glue_pkgmgr.core.index_url import token_lifetime
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.codeartifact.paging import page_of
from glue_pkgmgr.local.codeartifact.protocol import AwsError, conflict, invalid, not_found, not_implemented
from glue_pkgmgr.local.packages.index import endpoint_path
from glue_pkgmgr.local.packages.releases import PUBLIC_INDEX, Domain, Repository
from glue_pkgmgr.local.packages.store import Occupied, PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook

Params = Mapping[str, Any]
Result = dict[str, Any]

MOST_UPSTREAMS = 10
"""Direct upstreams of a repository (CodeArtifact User Guide, "Quotas")."""

_DEFAULT_LIFETIME = timedelta(hours=12)
# With 0 a token ends with the caller's role session; ours last as long as a role's do by default.
_ROLE_SESSION = timedelta(hours=1)


class Places:
    """Finds what the parameters of a request name, and tells ARNs."""

    def __init__(self, store: PackageStore, account: str, region: str) -> None:
        self.store = store
        self.account = account
        self.region = region

    def domain(self, params: Params) -> Domain:
        """Return the domain of `domain` and `domainOwner`. Raises: AwsError (ResourceNotFoundException)."""
        name, owner = params["domain"], params.get("domainOwner", self.account)
        domain = self.store.domain(name)
        if domain is None or domain.owner != owner:
            raise not_found("domain", f"{owner}/{name}", f"account {owner} has no domain {name!r}")
        return domain

    def repository(self, params: Params, member: str = "repository") -> Repository:
        """Return the repository that `member` names. Raises: AwsError (ResourceNotFoundException)."""
        return self.named(self.domain(params), params[member])

    def named(self, domain: Domain, name: str) -> Repository:
        """Return a repository of `domain`. Raises: AwsError (ResourceNotFoundException)."""
        repository = self.store.repository(domain.name, name)
        if repository is None:
            raise not_found("repository", name, f"domain {domain.name!r} has no repository {name!r}")
        return repository

    def arn(self, kind: str, path: str) -> str:
        """Return the ARN of a domain or repository."""
        return f"arn:aws:codeartifact:{self.region}:{self.account}:{kind}/{path}"


class DomainOperations:
    """Domains and authorization tokens."""

    def __init__(self, places: Places, tokens: TokenBook, clock: Callable[[], datetime]) -> None:
        self._places = places
        self._store = places.store
        self._tokens = tokens
        self._clock = clock

    def create_domain(self, params: Params) -> Result:
        """CreateDomain."""
        name = params["domain"]
        try:
            with self._store.transaction():
                domain = self._store.create_domain(
                    name, self._places.account, params.get("encryptionKey"), self._clock()
                )
                self._store.set_tags(self._places.arn("domain", name), _tags(params))
        except Occupied as e:
            raise conflict("domain", name, str(e)) from e
        return {"domain": self._described(domain)}

    def describe_domain(self, params: Params) -> Result:
        """DescribeDomain."""
        return {"domain": self._described(self._places.domain(params))}

    def delete_domain(self, params: Params) -> Result:
        """DeleteDomain. One that does not exist is an answer without a domain."""
        try:
            domain = self._places.domain(params)
        except AwsError:
            return {}
        try:
            with self._store.transaction():
                self._store.delete_domain(domain.name)
                self._store.remove_tags(self._places.arn("domain", domain.name))
        except Occupied as e:
            raise conflict("domain", domain.name, str(e)) from e
        return {"domain": {**self._described(domain), "status": "Deleted"}}

    def list_domains(self, params: Params) -> Result:
        """ListDomains."""
        domains, following = page_of(self._store.domains(), params)
        return {"domains": [self._summary(domain) for domain in domains], "nextToken": following}

    def get_authorization_token(self, params: Params) -> Result:
        """GetAuthorizationToken."""
        domain = self._places.domain(params)
        token = self._tokens.issue(domain.name, _lifetime(params.get("durationSeconds")))
        return {"authorizationToken": token.reveal(), "expiration": token.expires_at}

    def _summary(self, domain: Domain) -> Result:
        return {
            "name": domain.name,
            "owner": domain.owner,
            "arn": self._places.arn("domain", domain.name),
            "status": "Active",
            "createdTime": domain.created,
            "encryptionKey": domain.encryption_key,
        }

    def _described(self, domain: Domain) -> Result:
        return {
            **self._summary(domain),
            "repositoryCount": len(self._store.repositories(domain.name)),
            "assetSizeBytes": self._store.size_of(domain.name),
        }


def _lifetime(seconds: int | None) -> timedelta:
    if seconds is None:
        return _DEFAULT_LIFETIME
    if seconds < 0:
        raise invalid(f"durationSeconds: {seconds} is negative")
    try:
        return token_lifetime(seconds) or _ROLE_SESSION
    except (SettingsError, OverflowError) as e:
        raise invalid(f"durationSeconds: {seconds} is neither 0 nor 900 to 43200") from e


class RepositoryOperations:
    """Repositories, their upstreams and external connections, and tags."""

    def __init__(self, places: Places, base_url: Callable[[], str], clock: Callable[[], datetime]) -> None:
        self._places = places
        self._store = places.store
        self._base_url = base_url
        self._clock = clock

    def create_repository(self, params: Params) -> Result:
        """CreateRepository."""
        domain, name = self._places.domain(params), params["repository"]
        try:
            with self._store.transaction():
                upstreams = self._upstreams(domain, name, params.get("upstreams", []))
                self._store.create_repository(
                    domain.name, name, params.get("description"), upstreams, self._clock()
                )
                self._store.set_tags(self._places.arn("repository", f"{domain.name}/{name}"), _tags(params))
        except Occupied as e:
            raise conflict("repository", name, str(e)) from e
        return self._answer(domain, name)

    def describe_repository(self, params: Params) -> Result:
        """DescribeRepository."""
        return {"repository": self._described(self._places.repository(params))}

    def update_repository(self, params: Params) -> Result:
        """UpdateRepository: the members that are given replace what is there."""
        domain = self._places.domain(params)
        with self._store.transaction():
            repository = self._places.repository(params)
            if "description" in params:
                self._store.set_description(repository, params["description"])
            if "upstreams" in params:
                upstreams = self._upstreams(domain, repository.name, params["upstreams"])
                if upstreams and repository.connection:
                    raise conflict("repository", repository.name, _EITHER)
                self._store.set_upstreams(repository, upstreams)
        return self._answer(domain, repository.name)

    def delete_repository(self, params: Params) -> Result:
        """DeleteRepository."""
        repository = self._places.repository(params)
        with self._store.transaction():
            self._store.delete_repository(repository)
            self._store.remove_tags(self._arn(repository))
        return {"repository": self._described(repository)}

    def list_repositories(self, params: Params) -> Result:
        """ListRepositories: those of all domains."""
        return self._listed(self._store.repositories(), params)

    def list_repositories_in_domain(self, params: Params) -> Result:
        """ListRepositoriesInDomain."""
        domain = self._places.domain(params)
        administrator = params.get("administratorAccount", self._places.account)
        mine = administrator == self._places.account
        return self._listed(self._store.repositories(domain.name) if mine else [], params)

    def associate_external_connection(self, params: Params) -> Result:
        """AssociateExternalConnection."""
        connection = params["externalConnection"]
        if connection != PUBLIC_INDEX:
            raise not_implemented(f"the external connection {connection!r}, only {PUBLIC_INDEX!r}")
        with self._store.transaction():
            repository = self._places.repository(params)
            if repository.connection:
                raise conflict(
                    "repository", repository.name, f"{repository.name} has an external connection already"
                )
            if repository.upstreams:
                raise conflict("repository", repository.name, _EITHER)
            self._store.set_connection(repository, connection)
        return {"repository": self._described(self._places.repository(params))}

    def disassociate_external_connection(self, params: Params) -> Result:
        """DisassociateExternalConnection."""
        with self._store.transaction():
            repository = self._places.repository(params)
            if repository.connection != params["externalConnection"]:
                raise not_found("external-connection", params["externalConnection"])
            self._store.set_connection(repository, None)
        return {"repository": self._described(self._places.repository(params))}

    def get_repository_endpoint(self, params: Params) -> Result:
        """GetRepositoryEndpoint. Both endpoint types are the same address here."""
        if params["format"] != "pypi":
            raise not_implemented(f"the package format {params['format']!r}, only 'pypi'")
        repository = self._places.repository(params)
        path = endpoint_path(repository.domain, repository.owner, repository.name)
        return {"repositoryEndpoint": f"{self._base_url().rstrip('/')}{path}"}

    def list_tags_for_resource(self, params: Params) -> Result:
        """ListTagsForResource."""
        tags = self._store.tags(self._resource(params))
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def tag_resource(self, params: Params) -> Result:
        """TagResource."""
        self._store.set_tags(self._resource(params), _tags(params))
        return {}

    def untag_resource(self, params: Params) -> Result:
        """UntagResource."""
        self._store.remove_tags(self._resource(params), params["tagKeys"])
        return {}

    def _resource(self, params: Params) -> str:
        arn: str = params["resourceArn"]
        known = {self._places.arn("domain", domain.name) for domain in self._store.domains()}
        known |= {self._arn(repository) for repository in self._store.repositories()}
        if arn not in known:
            raise not_found("resource", arn)
        return arn

    def _upstreams(self, domain: Domain, name: str, wanted: list[Params]) -> list[Repository]:
        names = [upstream["repositoryName"] for upstream in wanted]
        if len(names) > MOST_UPSTREAMS:
            raise AwsError(
                "ServiceQuotaExceededException", f"a repository has at most {MOST_UPSTREAMS} direct upstreams"
            )
        if len(set(names)) < len(names):
            raise invalid(f"upstreams: a repository is named twice in {', '.join(names)}")
        upstreams = [self._places.named(domain, upstream) for upstream in names if upstream != name]
        above = {repository.name: repository.upstreams for repository in self._store.repositories(domain.name)}
        if name in names or any(_reaches(above, upstream.name, name) for upstream in upstreams):
            raise invalid(f"upstreams: {name!r} would be its own upstream")
        return upstreams

    def _listed(self, repositories: list[Repository], params: Params) -> Result:
        prefix = params.get("repositoryPrefix", "")
        found = [repository for repository in repositories if repository.name.startswith(prefix)]
        page, following = page_of(found, params)
        return {"repositories": [self._summary(repository) for repository in page], "nextToken": following}

    def _arn(self, repository: Repository) -> str:
        return self._places.arn("repository", f"{repository.domain}/{repository.name}")

    def _summary(self, repository: Repository) -> Result:
        return {
            "name": repository.name,
            "administratorAccount": repository.owner,
            "domainName": repository.domain,
            "domainOwner": repository.owner,
            "arn": self._arn(repository),
            "description": repository.description,
            "createdTime": repository.created,
        }

    def _described(self, repository: Repository) -> Result:
        connection = {
            "externalConnectionName": repository.connection,
            "packageFormat": "pypi",
            "status": "Available",
        }
        return {
            **self._summary(repository),
            "upstreams": [{"repositoryName": name} for name in repository.upstreams],
            "externalConnections": [connection] if repository.connection else [],
        }

    def _answer(self, domain: Domain, name: str) -> Result:
        return {"repository": self._described(self._places.named(domain, name))}


_EITHER = "a repository has either upstream repositories or an external connection"


def _reaches(above: Mapping[str, tuple[str, ...]], start: str, target: str) -> bool:
    """Whether `target` lies upstream of `start`. There are no cycles in `above`: this is what keeps them out."""
    return start == target or any(_reaches(above, upstream, target) for upstream in above.get(start, ()))


def _tags(params: Params) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in params.get("tags", [])}
