"""Domains and repositories of CodeArtifact."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import Kind, Made, Wanted, absent_is_fine, exists, tag_list


class Domain(Kind):
    """AWS::CodeArtifact::Domain."""

    named_by = "DomainName"
    keeps = frozenset({"EncryptionKey"})
    replacing = frozenset({"DomainName", "EncryptionKey"})
    lower_case = True
    longest_name = 50
    survives = True

    def physical(self, wanted: Wanted) -> str:
        """Return the ARN."""
        return wanted.arn("codeartifact", f"domain/{wanted.name}")

    def create(self, wanted: Wanted) -> Made:
        """Make a domain."""
        key = wanted.properties.get("EncryptionKey")
        with exists(wanted, "ConflictException"):
            wanted.client("codeartifact").create_domain(
                domain=wanted.name,
                tags=tag_list(wanted.properties, "key", "value"),
                **({"encryptionKey": key} if key else {}),
            )
        return self.update(wanted, self.physical(wanted))

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change the tags."""
        domain = wanted.client("codeartifact").describe_domain(domain=wanted.name)["domain"]
        return Made(
            id=physical,
            attributes={
                "Arn": physical,
                "Name": wanted.name,
                "Owner": wanted.account,
                "EncryptionKey": str(domain.get("encryptionKey", "")),
            },
        )

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a domain without repositories."""
        with absent_is_fine():
            wanted.client("codeartifact").delete_domain(domain=wanted.name)


class Repository(Kind):
    """AWS::CodeArtifact::Repository."""

    named_by = "RepositoryName"
    keeps = frozenset({"DomainName", "DomainOwner", "Description", "ExternalConnections", "Upstreams"})
    replacing = frozenset({"RepositoryName", "DomainName", "DomainOwner"})
    longest_name = 100
    survives = True

    def identity(self, wanted: Wanted) -> str:
        """Return domain and name: the same name may be in several domains."""
        return f"{wanted.properties['DomainName']}/{wanted.name}"

    def physical(self, wanted: Wanted) -> str:
        """Return the ARN."""
        return wanted.arn("codeartifact", f"repository/{self.identity(wanted)}")

    def create(self, wanted: Wanted) -> Made:
        """Make a repository with its upstreams and external connections."""
        with exists(wanted, "ConflictException"):
            wanted.client("codeartifact").create_repository(
                **_place(wanted), tags=tag_list(wanted.properties, "key", "value")
            )
        return self.update(wanted, self.physical(wanted))

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change upstreams, external connections and description."""
        codeartifact, place = wanted.client("codeartifact"), _place(wanted)
        connections = codeartifact.describe_repository(**place)["repository"]["externalConnections"]
        before = {one["externalConnectionName"] for one in connections}
        after = set(wanted.properties.get("ExternalConnections", []))
        for connection in sorted(before - after):
            codeartifact.disassociate_external_connection(**place, externalConnection=connection)
        codeartifact.update_repository(
            **place,
            description=wanted.properties.get("Description", ""),
            upstreams=[{"repositoryName": name} for name in wanted.properties.get("Upstreams", [])],
        )
        for connection in sorted(after - before):
            codeartifact.associate_external_connection(**place, externalConnection=connection)
        return Made(
            id=physical,
            attributes={
                "Arn": physical,
                "Name": wanted.name,
                "DomainName": wanted.properties["DomainName"],
                "DomainOwner": wanted.properties.get("DomainOwner", wanted.account),
            },
        )

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a repository with its packages."""
        with absent_is_fine():
            wanted.client("codeartifact").delete_repository(**_place(wanted))


def _place(wanted: Wanted) -> dict[str, Any]:
    return {
        "domain": wanted.properties["DomainName"],
        "domainOwner": wanted.properties.get("DomainOwner", wanted.account),
        "repository": wanted.name,
    }
