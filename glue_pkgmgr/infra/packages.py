"""CodeArtifact: the domain, its two repositories, and who may bring what into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glue_pkgmgr.infra.expressions import Json, Resources, arn, get, lasting, resource, word
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.plan import StackPlan

_PUBLIC_INDEX = "public:pypi"


def domain_arn(plan: StackPlan) -> Json:
    """Return the ARN of the domain."""
    return arn("codeartifact", f"domain/{plan.domain}")


def repository_arn(plan: StackPlan, repository: str) -> Json:
    """Return the ARN of a repository of the domain."""
    return arn("codeartifact", f"repository/{plan.domain}/{repository}")


def package_arn(plan: StackPlan, repository: str, project: str) -> Json:
    """Return the ARN of a package in a repository; `*` stands for every project."""
    return arn("codeartifact", f"package/{plan.domain}/{repository}/pypi//{project}")


def package_resources(plan: StackPlan) -> Resources:
    """Return domain, repositories and package groups."""
    keep = plan.stack.keep
    domain = resource("AWS::CodeArtifact::Domain", {"DomainName": plan.domain, "EncryptionKey": key_arn(plan)})
    store = _repository(
        plan.store,
        "What the public index has, to be looked at and mirrored: no job reads it",
        ExternalConnections=[_PUBLIC_INDEX],
    )
    approved = _repository(
        plan.repository,
        "Exactly the approved releases: jobs install from here",
        Upstreams=[get("StoreRepository", "Name")] if plan.open_upstream else None,
    )
    return {
        "Domain": lasting(domain, keep=keep),
        "StoreRepository": lasting(store, keep=keep),
        "ApprovedRepository": lasting(approved, keep=keep),
        **_groups(plan),
    }


def _repository(name: str, description: str, **more: Any) -> Json:
    properties = {"DomainName": get("Domain", "Name"), "RepositoryName": name, "Description": description, **more}
    return resource("AWS::CodeArtifact::Repository", properties)


def _groups(plan: StackPlan) -> Resources:
    """Return the package groups: names of our own come from us alone, all others from the store alone.

    Source: CodeArtifact User Guide, "Package group origin controls". The root group `/*` is there with every
    domain and cannot be made; ours holds for everything of the format.
    """
    publishes = plan.built_sdists or plan.stack.imports
    others = _group(
        "/pypi/*",
        "Releases of others: mirrored from the store, never published",
        publish=[plan.repository] if publishes else [],
        external=[plan.store],
        internal=[plan.repository] if plan.open_upstream else [],
    )
    ours = {
        f"Package{word(project)}": _group(
            f"/pypi//{project}$", "A name of our own: published, never from outside", publish=[plan.repository]
        )
        for project in plan.internal
    }
    return {"OtherPackages": others, **ours}


def _group(
    pattern: str,
    description: str,
    *,
    publish: Sequence[str] = (),
    external: Sequence[str] = (),
    internal: Sequence[str] = (),
) -> Json:
    restrictions = {
        "Publish": _restriction(publish),
        "ExternalUpstream": _restriction(external),
        "InternalUpstream": _restriction(internal),
    }
    return resource(
        "AWS::CodeArtifact::PackageGroup",
        {
            "DomainName": get("Domain", "Name"),
            "Pattern": pattern,
            "Description": description,
            "OriginConfiguration": {"Restrictions": restrictions},
        },
        # It names repositories, which have to be there.
        DependsOn=["ApprovedRepository", "StoreRepository"],
    )


def _restriction(repositories: Sequence[str]) -> Json:
    if not repositories:
        return {"RestrictionMode": "BLOCK"}
    return {"RestrictionMode": "ALLOW_SPECIFIC_REPOSITORIES", "Repositories": list(repositories)}
