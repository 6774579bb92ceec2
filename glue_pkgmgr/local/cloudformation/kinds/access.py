"""Roles and policies of IAM, keys of KMS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import (
    Exists,
    Kind,
    Made,
    Wanted,
    absent_is_fine,
    document,
    exists,
    tag_list,
)

_OF_AWS = ":iam::aws:policy/"


class Role(Kind):
    """AWS::IAM::Role."""

    named_by = "RoleName"
    keeps = frozenset(
        {
            *("AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration", "Path"),
            *("PermissionsBoundary", "Policies"),
        }
    )
    replacing = frozenset({"RoleName", "Path"})

    def create(self, wanted: Wanted) -> Made:
        """Make a role with its policies."""
        arguments = wanted.only(
            "iam",
            "CreateRoleRequest",
            RoleName=wanted.name,
            AssumeRolePolicyDocument=document(wanted.properties["AssumeRolePolicyDocument"]),
            Tags=tag_list(wanted.properties),
        )
        with exists(wanted, "EntityAlreadyExists"):
            wanted.client("iam").create_role(**arguments)
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change trust, inline policies and attached policies to what is wanted."""
        iam, of_role = wanted.client("iam"), {"RoleName": physical}
        iam.update_assume_role_policy(
            **of_role, PolicyDocument=document(wanted.properties["AssumeRolePolicyDocument"])
        )
        inline = {one["PolicyName"]: one["PolicyDocument"] for one in wanted.properties.get("Policies", [])}
        for name in set(iam.list_role_policies(**of_role)["PolicyNames"]) - inline.keys():
            iam.delete_role_policy(**of_role, PolicyName=name)
        for name, text in inline.items():
            iam.put_role_policy(**of_role, PolicyName=name, PolicyDocument=document(text))
        note = self._attach(iam, of_role, wanted.properties.get("ManagedPolicyArns", []))
        role = iam.get_role(**of_role)["Role"]
        return Made(id=physical, attributes={"Arn": role["Arn"], "RoleId": role["RoleId"]}, note=note)

    def _attach(self, iam: Any, of_role: dict[str, str], wanted: Iterable[str]) -> str:
        """Attach these policies and no others; return which are not there: AWS's own are not in the stand-in."""
        after = set(wanted)
        for arn in _attached(iam, of_role) - after:
            iam.detach_role_policy(**of_role, PolicyArn=arn)
        for arn in sorted(after):
            if _OF_AWS not in arn:
                iam.attach_role_policy(**of_role, PolicyArn=arn)
        own = sorted(arn for arn in after if _OF_AWS in arn)
        return f"the stand-in has no {', '.join(own)}" if own else ""

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove a role with its inline policies."""
        iam, of_role = wanted.client("iam"), {"RoleName": physical}
        with absent_is_fine():
            for name in iam.list_role_policies(**of_role)["PolicyNames"]:
                iam.delete_role_policy(**of_role, PolicyName=name)
            for arn in _attached(iam, of_role):
                iam.detach_role_policy(**of_role, PolicyArn=arn)
            iam.delete_role(**of_role)


def _attached(iam: Any, of_role: dict[str, str]) -> set[str]:
    return {one["PolicyArn"] for one in iam.list_attached_role_policies(**of_role)["AttachedPolicies"]}


class ManagedPolicy(Kind):
    """AWS::IAM::ManagedPolicy."""

    named_by = "ManagedPolicyName"
    keeps = frozenset({"Description", "Path", "PolicyDocument", "Roles"})
    replacing = frozenset({"ManagedPolicyName", "Description", "Path"})
    longest_name = 128

    def create(self, wanted: Wanted) -> Made:
        """Make a policy, and attach it."""
        arguments = wanted.only("iam", "CreatePolicyRequest", PolicyDocument=_policy(wanted))
        with exists(wanted, "EntityAlreadyExists"):
            arn = wanted.client("iam").create_policy(PolicyName=wanted.name, **arguments)["Policy"]["Arn"]
        _attach_to(wanted, arn)
        return Made(id=arn, attributes={"PolicyArn": arn})

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Give it a new version, and attach it to the roles that are wanted only."""
        iam = wanted.client("iam")
        iam.create_policy_version(PolicyArn=physical, PolicyDocument=_policy(wanted), SetAsDefault=True)
        _remove_versions(iam, physical)
        _attach_to(wanted, physical)
        return Made(id=physical, attributes={"PolicyArn": physical})

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Detach it from everybody, and remove it."""
        iam = wanted.client("iam")
        with absent_is_fine():
            for role in _roles_with(iam, physical):
                iam.detach_role_policy(RoleName=role, PolicyArn=physical)
            _remove_versions(iam, physical)
            iam.delete_policy(PolicyArn=physical)


def _attach_to(wanted: Wanted, arn: str) -> None:
    iam = wanted.client("iam")
    before, after = _roles_with(iam, arn), set(wanted.properties.get("Roles", []))
    for role in before - after:
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    for role in after - before:
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)


def _roles_with(iam: Any, arn: str) -> set[str]:
    return {one["RoleName"] for one in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]}


def _remove_versions(iam: Any, arn: str) -> None:
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


def _policy(wanted: Wanted) -> str:
    return document(wanted.properties["PolicyDocument"])


class InlinePolicy(Kind):
    """AWS::IAM::Policy and AWS::IAM::RolePolicy: a policy that is part of roles."""

    named_by = "PolicyName"
    keeps = frozenset({"PolicyDocument", "RoleName", "Roles"})
    replacing = frozenset({"PolicyName", "RoleName", "Roles"})
    longest_name = 128

    def create(self, wanted: Wanted) -> Made:
        """Put the policy into its roles."""
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Replace the policy in its roles."""
        for role in _roles_of(wanted):
            wanted.client("iam").put_role_policy(
                RoleName=role, PolicyName=physical, PolicyDocument=_policy(wanted)
            )
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Take the policy out of its roles."""
        for role in _roles_of(wanted):
            with absent_is_fine():
                wanted.client("iam").delete_role_policy(RoleName=role, PolicyName=physical)


def _roles_of(wanted: Wanted) -> list[str]:
    one = wanted.properties.get("RoleName")
    return [one] if one else list(wanted.properties.get("Roles", []))


class Key(Kind):
    """AWS::KMS::Key."""

    keeps = frozenset({"Description", "KeyPolicy"})

    def create(self, wanted: Wanted) -> Made:
        """Make a key."""
        key = wanted.client("kms").create_key(**self._described(wanted))["KeyMetadata"]
        return Made(id=key["KeyId"], attributes={"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change policy and description."""
        kms, described = wanted.client("kms"), self._described(wanted)
        kms.update_key_description(KeyId=physical, Description=described["Description"])
        if policy := described.get("Policy"):
            kms.put_key_policy(KeyId=physical, PolicyName="default", Policy=policy)
        arn = kms.describe_key(KeyId=physical)["KeyMetadata"]["Arn"]
        return Made(id=physical, attributes={"Arn": arn, "KeyId": physical})

    def _described(self, wanted: Wanted) -> dict[str, str]:
        policy = wanted.properties.get("KeyPolicy")
        described = {"Description": str(wanted.properties.get("Description", ""))}
        return {**described, "Policy": document(policy)} if policy else described

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Have the key deleted, which takes days."""
        with absent_is_fine():
            days = int(wanted.properties.get("PendingWindowInDays", 30))
            wanted.client("kms").schedule_key_deletion(KeyId=physical, PendingWindowInDays=days)


class Alias(Kind):
    """AWS::KMS::Alias."""

    named_by = "AliasName"
    keeps = frozenset({"TargetKeyId"})
    replacing = frozenset({"AliasName"})
    longest_name = 256

    def create(self, wanted: Wanted) -> Made:
        """Make an alias."""
        kms = wanted.client("kms")
        if any(one["AliasName"] == wanted.name for one in kms.list_aliases()["Aliases"]):
            raise Exists(wanted.name)
        kms.create_alias(AliasName=wanted.name, TargetKeyId=wanted.properties["TargetKeyId"])
        return Made(id=wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Lead it to another key."""
        wanted.client("kms").update_alias(AliasName=physical, TargetKeyId=wanted.properties["TargetKeyId"])
        return Made(id=physical)

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove an alias."""
        with absent_is_fine():
            wanted.client("kms").delete_alias(AliasName=physical)
