"""IAM statements: what is missing for a token, and what is more than anybody needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from glue_pkgmgr.infra.lint.policy import everywhere, grants, of_service, wide
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.view import Statement, View

_TOKEN = "codeartifact:GetAuthorizationToken"  # noqa: S105 - the name of an action
_BEARER = "sts:GetServiceBearerToken"
_CONDITION = "sts:awsservicename"
_SERVICE = re.compile(r"codeartifact\.amazonaws\.com(?:\.cn)?")
_PASS = "iam:PassRole"  # noqa: S105 - the name of an action

# A pattern that covers one of these allows more than to use what is there.
_GRAVE_CODEARTIFACT = (
    "codeartifact:PublishPackageVersion",
    "codeartifact:CopyPackageVersions",
    "codeartifact:AssociateExternalConnection",
    "codeartifact:UpdateRepository",
    "codeartifact:UpdatePackageGroupOriginConfiguration",
    "codeartifact:PutPackageOriginConfiguration",
    "codeartifact:PutDomainPermissionsPolicy",
    "codeartifact:PutRepositoryPermissionsPolicy",
    "codeartifact:DeleteRepository",
    "codeartifact:DeletePackageVersions",
)
_GRAVE_S3 = (
    "s3:DeleteBucket",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
)
# What S3 and CodeArtifact ask for on `*` only. Source: Service Authorization Reference.
_OF_THE_ACCOUNT = {
    "s3": ("s3:ListAllMyBuckets", "s3:GetAccountPublicAccessBlock", "s3:CreateBucket", "s3:ListAccessPoints"),
    "codeartifact": ("codeartifact:ListDomains", "codeartifact:ListRepositories"),
}
_FULL_S3 = re.compile(r"(?:^|/)(?:AmazonS3FullAccess|AdministratorAccess|PowerUserAccess)$")
_FULL_CODEARTIFACT = re.compile(r"(?:^|/)(?:AWSCodeArtifactAdminAccess|AdministratorAccess|PowerUserAccess)$")
_HAS_BEARER = re.compile(
    r"(?:^|/)(?:AWSCodeArtifact(?:ReadOnly|Admin)Access|AdministratorAccess|PowerUserAccess)$"
)
_FULL_PASS = re.compile(r"(?:^|/)(?:IAMFullAccess|AdministratorAccess|AWSGlueConsoleFullAccess)$")


def _no_bearer(view: View, asked: Asked) -> Iterator[Hit]:
    served = {name for one in view.managed if _HAS_BEARER.search(one.name) for name in one.principals}
    for principal, statements in _by_principal(view.statements).items():
        mints = [one for one in statements if not _is_everything(one) and grants(one, _TOKEN)]
        if mints and principal not in served and not any(grants(one, _BEARER) for one in statements):
            yield Hit(
                place=mints[0].place, told=f"{principal} may call {_TOKEN}, but not {_BEARER}: it gets no token"
            )


def _no_condition(view: View, asked: Asked) -> Iterator[Hit]:
    for one in view.statements:
        if not of_service(one, "sts") or not grants(one, _BEARER):
            continue
        services = one.conditions.get(_CONDITION, ())
        if not services or not all(map(_SERVICE.fullmatch, services)):
            yield Hit(place=one.place, told=f"{_BEARER} is allowed for every service that has such tokens")


def _wide_codeartifact(view: View, asked: Asked) -> Iterator[Hit]:
    yield from _wide(view, "codeartifact", _GRAVE_CODEARTIFACT)
    yield from _managed(view, _FULL_CODEARTIFACT)


def _wide_s3(view: View, asked: Asked) -> Iterator[Hit]:
    yield from _wide(view, "s3", _GRAVE_S3)
    yield from _managed(view, _FULL_S3)


def _wide_pass(view: View, asked: Asked) -> Iterator[Hit]:
    for one in view.statements:
        if grants(one, _PASS) and everywhere(one, "iam"):
            yield Hit(place=one.place, told=f"{_PASS} is allowed for every role of the account")
    yield from _managed(view, _FULL_PASS)


def _wide(view: View, service: str, grave: Sequence[str]) -> Iterator[Hit]:
    for one in view.statements:
        actions = of_service(one, service)
        if patterns := wide(one, grave):
            yield Hit(place=one.place, told=f"{patterns[0]} is allowed, which covers {_first(one, grave)}")
        elif everywhere(one, service) and (named := [a for a in actions if a not in _OF_THE_ACCOUNT[service]]):
            yield Hit(place=one.place, told=f"{named[0]} is allowed on every resource")


def _first(statement: Statement, grave: Sequence[str]) -> str:
    return next(action for action in grave if grants(statement, action))


def _managed(view: View, names: re.Pattern[str]) -> Iterator[Hit]:
    for one in view.managed:
        if found := names.search(one.name):
            yield Hit(place=one.resource.at(*one.path), told=f"the policy {found[0].lstrip('/')} is attached")


def _is_everything(statement: Statement) -> bool:
    return statement.other_actions or "*" in statement.actions


def _by_principal(statements: Sequence[Statement]) -> dict[str, list[Statement]]:
    found: dict[str, list[Statement]] = {}
    for one in statements:
        for principal in sorted(one.principals):
            found.setdefault(principal, []).append(one)
    return found


RULES = (
    Rule(
        id="GPK301",
        name="no-bearer-token",
        title="CodeArtifact token without sts:GetServiceBearerToken",
        reason=f"CodeArtifact mints a token only for a principal that may call {_BEARER} too; without it every "
        "installation ends in AccessDenied.",
        fix=f"Allow {_BEARER} on * in the same principal's policy, with the condition StringEquals "
        "sts:AWSServiceName = codeartifact.amazonaws.com. A domain policy cannot give it.",
        level=Level.ERROR,
        find=_no_bearer,
    ),
    Rule(
        id="GPK302",
        name="bearer-token-for-any-service",
        title="sts:GetServiceBearerToken without its condition",
        reason="The action has no resource to narrow it by: without the condition it serves every AWS service "
        "that takes bearer tokens.",
        fix="Add the condition StringEquals sts:AWSServiceName = codeartifact.amazonaws.com.",
        level=Level.WARNING,
        find=_no_condition,
    ),
    Rule(
        id="GPK303",
        name="wildcard-codeartifact",
        title="CodeArtifact actions or resources by wildcard",
        reason="Who may publish, copy, or connect a repository to a public index puts code into every job.",
        fix="A job reads: codeartifact:GetAuthorizationToken on the domain, GetRepositoryEndpoint and "
        "ReadFromRepository on the one approved repository. Give publishing to a role of its own.",
        level=Level.ERROR,
        find=_wide_codeartifact,
    ),
    Rule(
        id="GPK304",
        name="wildcard-s3",
        title="S3 actions or resources by wildcard",
        reason="s3:* lets a job delete its bucket and open it to the world; every bucket means those of others.",
        fix="Allow s3:GetObject, s3:PutObject and s3:DeleteObject on the prefixes that the job uses, and "
        "s3:ListBucket on its bucket.",
        level=Level.ERROR,
        find=_wide_s3,
    ),
    Rule(
        id="GPK305",
        name="wildcard-pass-role",
        title="iam:PassRole for every role",
        reason="Who may pass any role to a job that they write has the permissions of all of them.",
        fix="Name the job's role as the resource, with the condition iam:PassedToService = glue.amazonaws.com.",
        level=Level.ERROR,
        find=_wide_pass,
    ),
)
