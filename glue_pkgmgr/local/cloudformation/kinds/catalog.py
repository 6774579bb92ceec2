"""Databases, jobs, connections and security configurations of Glue."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import (
    Exists,
    Kind,
    Made,
    Wanted,
    absent_is_fine,
    exists,
    is_there,
    tag_map,
)

_THERE = ("AlreadyExistsException", "IdempotentParameterMismatchException")


class Database(Kind):
    """AWS::Glue::Database."""

    named_by = "DatabaseName"
    keeps = frozenset({"CatalogId", "DatabaseInput"})
    replacing = frozenset({"CatalogId"})
    lower_case = True
    longest_name = 255

    def name_of(self, properties: Any) -> str | None:
        """Return the name, which has two places."""
        return super().name_of(properties) or properties.get("DatabaseInput", {}).get("Name")

    def create(self, wanted: Wanted) -> Made:
        """Make a database."""
        with exists(wanted, *_THERE):
            wanted.client("glue").create_database(DatabaseInput=_named(wanted, "DatabaseInput"))
        return Made(id=wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change its description."""
        wanted.client("glue").update_database(Name=physical, DatabaseInput=_named(wanted, "DatabaseInput"))
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a database with its tables."""
        with absent_is_fine():
            wanted.client("glue").delete_database(Name=physical)


class Job(Kind):
    """AWS::Glue::Job. Its properties are the members of CreateJob."""

    named_by = "Name"
    replacing = frozenset({"Name"})
    longest_name = 255

    def left_out(self, properties: Any) -> list[str]:
        """Return nothing: a job definition is kept as it is."""
        return []

    def create(self, wanted: Wanted) -> Made:
        """Make a job; moto would replace one of the same name."""
        glue = wanted.client("glue")
        if is_there(glue.get_job, JobName=wanted.name):
            raise Exists(wanted.name)
        tags = tag_map(wanted.properties)
        definition = wanted.only("glue", "CreateJobRequest", Name=wanted.name, Tags=tags)
        glue.create_job(**definition)
        return Made(id=wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Replace the definition."""
        definition = wanted.only("glue", "JobUpdate")
        wanted.client("glue").update_job(JobName=physical, JobUpdate=definition)
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a job; DeleteJob succeeds where there is none."""
        with absent_is_fine():
            wanted.client("glue").delete_job(JobName=physical)


class Connection(Kind):
    """AWS::Glue::Connection."""

    named_by = "ConnectionName"
    keeps = frozenset({"CatalogId", "ConnectionInput"})
    replacing = frozenset({"CatalogId"})
    longest_name = 255

    def name_of(self, properties: Any) -> str | None:
        """Return the name, which is within."""
        found = properties.get("ConnectionInput", {}).get("Name")
        return str(found) if found else None

    def create(self, wanted: Wanted) -> Made:
        """Make a connection."""
        with exists(wanted, *_THERE):
            wanted.client("glue").create_connection(ConnectionInput=_connection(wanted))
        return Made(id=wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Replace what it connects to."""
        wanted.client("glue").update_connection(Name=physical, ConnectionInput=_connection(wanted))
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a connection."""
        with absent_is_fine():
            wanted.client("glue").delete_connection(ConnectionName=physical)


class SecurityConfiguration(Kind):
    """AWS::Glue::SecurityConfiguration. Nothing in it can be changed."""

    named_by = "Name"
    keeps = frozenset({"EncryptionConfiguration"})
    replacing = frozenset({"Name", "EncryptionConfiguration"})
    longest_name = 255

    def create(self, wanted: Wanted) -> Made:
        """Make a security configuration. Templates have the plural where the API has the singular."""
        encryption = dict(wanted.properties["EncryptionConfiguration"])
        if "S3Encryptions" in encryption:
            encryption["S3Encryption"] = encryption.pop("S3Encryptions")
        with exists(wanted, *_THERE):
            wanted.client("glue").create_security_configuration(
                Name=wanted.name, EncryptionConfiguration=encryption
            )
        return Made(id=wanted.name)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a security configuration."""
        with absent_is_fine():
            wanted.client("glue").delete_security_configuration(Name=physical)


def _named(wanted: Wanted, member: str, **defaults: Any) -> dict[str, Any]:
    return {**defaults, **wanted.properties[member], "Name": wanted.name}


def _connection(wanted: Wanted) -> dict[str, Any]:
    """Return what is connected to; the API wants a table where a template need not have one."""
    return _named(wanted, "ConnectionInput", ConnectionProperties={})
