"""Who may do what: a role for each use, the actions that its code calls, on what it calls them for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glue_pkgmgr.infra.actions import CATALOG, LOGS, LOOK_FOR_RELEASES, OBJECTS, START, STOP, WATCH
from glue_pkgmgr.infra.expressions import (
    ACCOUNT,
    Json,
    Resources,
    allow,
    arn,
    deny,
    policy,
    ref,
    resource,
    role_arn,
    s3_arn,
    sub,
    trust,
    word,
)
from glue_pkgmgr.infra.glue import role_id, security_name
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.network import connection_names
from glue_pkgmgr.infra.packages import domain_arn, package_arn, repository_arn
from glue_pkgmgr.infra.plan import Place, StackPlan

PUBLISHER, MIRROR, LAUNCHER, READER = "publisher", "mirror", "launcher", "reader"
_EVERY_PROJECT = "*"
_METRICS = "Glue"
_EVERY_RUN = "PolicyOfEveryRun"
LAUNCHING = "PolicyOfLaunching"
"""The policy of whoever launches jobs."""


def role_resources(plan: StackPlan) -> Resources:
    """Return the roles of people and pipelines, and those of the jobs."""
    uses = {
        PUBLISHER: publisher_statements(plan),
        MIRROR: mirror_statements(plan),
        READER: reader_statements(plan),
    }
    if plan.jobs:
        uses[LAUNCHER] = _fixing_statements(plan)
    made: Resources = {}
    if plan.jobs:
        made[LAUNCHING] = _shared("What launching a job needs, by whoever", _launching_statements(plan))
    for use in sorted(uses):
        made[f"Role{use.capitalize()}"] = _used_by_people(plan, use, uses[use])
    if plan.roles:
        made[_EVERY_RUN] = _shared("What every job run needs, whatever its role", _running(plan))
    for role in plan.roles:
        # Source: AWS Glue Developer Guide, "Create an IAM role for AWS Glue".
        trusted = trust({"Service": "glue.amazonaws.com"})
        made[role_id(role)] = role_resource(
            plan, role, trusted, job_statements(plan, role), managed=[ref(_EVERY_RUN)]
        )
    return made


def _shared(description: str, statements: Sequence[Json]) -> Json:
    """Return a policy that several roles have."""
    properties = {"Description": description, "PolicyDocument": policy(statements)}
    return resource("AWS::IAM::ManagedPolicy", properties)


def role_resource(
    plan: StackPlan, name: str, trusted: Json, statements: Sequence[Json], *, managed: Sequence[Json] = ()
) -> Json:
    """Return a role with one policy and those `managed`, within the permissions boundary of the settings."""
    return resource(
        "AWS::IAM::Role",
        {
            "RoleName": name.rpartition("/")[2],
            "Path": f"/{path}/" if (path := name.rpartition("/")[0].strip("/")) else None,
            "AssumeRolePolicyDocument": trusted,
            "ManagedPolicyArns": list(managed) or None,
            "PermissionsBoundary": plan.stack.permissions_boundary,
            "Policies": [{"PolicyName": "only-what-it-does", "PolicyDocument": policy(statements)}],
        },
    )


def _used_by_people(plan: StackPlan, use: str, statements: Sequence[Json]) -> Json:
    principals: Any = list(plan.stack.principals) or ACCOUNT
    # Where nobody is named, the policies of the account decide who takes up the role.
    managed = [ref(LAUNCHING)] if use == LAUNCHER else []
    return role_resource(plan, plan.role_name(use), trust({"AWS": principals}), statements, managed=managed)


# --- packages


def _tokens(plan: StackPlan) -> list[Json]:
    """Return what minting a token needs; it has the rights of who minted it."""
    # Source: CodeArtifact User Guide, "AWS CodeArtifact authentication and tokens".
    bearer = {"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}}
    return [
        allow("MintToken", ["codeartifact:GetAuthorizationToken"], [domain_arn(plan)]),
        allow("BearToken", ["sts:GetServiceBearerToken"], ["*"], bearer),
    ]


def publisher_statements(plan: StackPlan) -> list[Json]:
    """Return what `publish`, `withdraw` and `restore` need: names of our own in the approved repository."""
    approved = repository_arn(plan, plan.repository)
    ours = [package_arn(plan, plan.repository, project) for project in plan.internal]
    reading = [
        "codeartifact:DescribeRepository",
        "codeartifact:GetRepositoryEndpoint",
        "codeartifact:ReadFromRepository",
    ]
    statements = [*_tokens(plan), allow("ReadApproved", reading, [approved])]
    if ours:
        changing = [
            "codeartifact:DescribePackage",
            "codeartifact:ListPackageVersionAssets",
            "codeartifact:ListPackageVersions",
            "codeartifact:PublishPackageVersion",
            "codeartifact:PutPackageOriginConfiguration",
            "codeartifact:UpdatePackageVersionsStatus",
        ]
        statements.append(allow("PublishOurs", changing, ours))
        in_store = [package_arn(plan, plan.store, project) for project in plan.internal]
        statements.append(allow("LookForOursInStore", ["codeartifact:ListPackageVersions"], in_store))
    return statements


def mirror_statements(plan: StackPlan) -> list[Json]:
    """Return what `lock`, `check` and `mirror` need: the store read, the approved repository filled from it."""
    store, approved = (repository_arn(plan, name) for name in (plan.store, plan.repository))
    reading = [
        "codeartifact:DescribeRepository",
        "codeartifact:GetRepositoryEndpoint",
        "codeartifact:ListPackages",
        "codeartifact:ReadFromRepository",
    ]
    looking = [
        "codeartifact:DescribePackage",
        "codeartifact:ListPackageVersionAssets",
        "codeartifact:ListPackageVersions",
        "codeartifact:PutPackageOriginConfiguration",
    ]
    filling = ["codeartifact:DeletePackageVersions"]
    if plan.built_sdists or plan.stack.imports:
        filling.append("codeartifact:PublishPackageVersion")
    packages = [package_arn(plan, name, _EVERY_PROJECT) for name in (plan.store, plan.repository)]
    return [
        *_tokens(plan),
        allow("ReadBoth", reading, [store, approved]),
        allow("Copy", ["codeartifact:CopyPackageVersions"], [approved]),
        allow("LookAtPackages", looking, packages),
        allow("FillApproved", filling, [package_arn(plan, plan.repository, _EVERY_PROJECT)]),
        *(_reading_records(plan, plan.records) if plan.records else []),
    ]


def reader_statements(plan: StackPlan) -> list[Json]:
    """Return what `mint`, `runs`, `status` and `logs` need: reading, of the approved repository only."""
    return [
        *_tokens(plan),
        allow(
            "ReadApproved",
            ["codeartifact:GetRepositoryEndpoint", "codeartifact:ReadFromRepository"],
            [repository_arn(plan, plan.repository)],
        ),
        *(_watching_runs(plan) if plan.jobs else []),
        *(_reading_records(plan, plan.records) if plan.records else []),
    ]


# --- job runs


def _fixing_statements(plan: StackPlan) -> list[Json]:
    """Return what `launch --fix` needs beside launching: it makes jobs as the settings say."""
    made_roles: list[Any] = [role_arn(role) for role in sorted({job.role for job in plan.jobs})]
    to_glue = {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}
    return [
        allow("FixJobs", ["glue:CreateJob", "glue:UpdateJob"], _job_arns(plan)),
        allow("GiveJobsTheirRole", ["iam:PassRole"], made_roles, to_glue),
        allow("StageScripts", ["s3:PutObject"], _staged(plan, "scripts/*")),
    ]


def _launching_statements(plan: StackPlan) -> list[Json]:
    """Return what starting a run of a job that is there needs, with any delivery, and following it to its end.

    One statement names the jobs: a managed policy has 6,144 characters.
    """
    reading = ["codeartifact:GetRepositoryEndpoint", "codeartifact:ReadFromRepository"]
    buckets = sorted({job.staging.bucket for job in plan.jobs})
    return [
        *_tokens(plan),
        allow("ReadApproved", reading, [repository_arn(plan, plan.repository)]),
        allow("LookForLocked", LOOK_FOR_RELEASES, [package_arn(plan, plan.repository, _EVERY_PROJECT)]),
        # Of two runs that came of one launch the younger is stopped.
        allow("Runs", [*START, *WATCH, *STOP], _job_arns(plan)),
        _reading_logs(plan),
        allow("SeeScripts", ["s3:GetObject"], _arns(sorted({job.scripts for job in plan.jobs}))),
        allow("StageTokens", ["s3:DeleteObject", "s3:PutObject"], _staged(plan, "requirements/*")),
        allow("StageWheels", ["s3:GetObject", "s3:PutObject"], _staged(plan, "wheels/*")),
        # Without it S3 does not tell an object that is not there from one that may not be read.
        allow("TellAbsence", ["s3:ListBucket"], _arns(buckets)),
        *(_keeping_records(plan, plan.records) if plan.records else []),
        _through_s3(plan, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]


def _watching_runs(plan: StackPlan) -> list[Json]:
    return [allow("WatchRuns", WATCH, _job_arns(plan)), _reading_logs(plan)]


def _reading_logs(plan: StackPlan) -> Json:
    groups = f"log-group:{_log_groups(plan)}/*:*"
    return allow("ReadLogs", ["logs:FilterLogEvents"], [arn("logs", groups)])


def _job_arns(plan: StackPlan) -> list[Json]:
    return [arn("glue", f"job/{job.wanted.name}") for job in plan.jobs]


def _staged(plan: StackPlan, below: str, *, role: str | None = None) -> list[Json]:
    jobs = plan.jobs if role is None else plan.jobs_of(role)
    return _arns(sorted({job.staging.below(below) for job in jobs}))


def _reading_records(plan: StackPlan, records: Place) -> list[Json]:
    return [
        allow("ReadRecords", ["s3:GetObject"], [s3_arn(records.below("launches/*"))]),
        allow("ListRecords", ["s3:ListBucket"], [s3_arn(records.bucket)]),
        _through_s3(plan, ["kms:Decrypt"]),
    ]


def _keeping_records(plan: StackPlan, records: Place) -> list[Json]:
    return [
        allow("KeepRecords", ["s3:GetObject", "s3:PutObject"], [s3_arn(records.below("launches/*"))]),
        allow("ListRecords", ["s3:ListBucket"], [s3_arn(records.bucket)]),
    ]


def _through_s3(plan: StackPlan, actions: Sequence[str]) -> Json:
    """Return the use of the key for objects, by S3 only."""
    by_s3 = {"StringEquals": {"kms:ViaService": sub("s3.${AWS::Region}.${AWS::URLSuffix}")}}
    return allow("EncryptObjects", actions, [key_arn(plan)], by_s3)


# --- jobs


def log_group_names(plan: StackPlan) -> dict[str, str]:
    """Return the log groups of the job runs, by their name in the template."""
    roles = sorted({job.role_name for job in plan.jobs})
    return {
        f"Log{word(role)}{stream.capitalize()}": f"{_log_groups(plan)}/{role}/{stream}"
        for role in roles
        for stream in ("error", "output")
    }


def _log_groups(plan: StackPlan) -> str:
    """Return what the names of the log groups of every run begin with.

    Source: AWS Glue Developer Guide, "Logging for AWS Glue jobs": with a security configuration, its name and that
    of the role are in those of the groups.
    """
    return f"/aws-glue/jobs/{security_name(plan)}-role"


def job_statements(plan: StackPlan, role: str) -> list[Json]:
    """Return what Glue and the scripts of the jobs of `role` need in a run, beside what every run needs."""
    jobs = plan.jobs_of(role)
    staged = _staged(plan, "*", role=role)
    elsewhere = sorted({job.scripts for job in jobs if not job.scripts.startswith(job.staging.below(""))})
    buckets = sorted({bucket for job in jobs for bucket in job.data})
    statements = [allow("ReadStaged", ["s3:GetObject"], [*staged, *_arns(elsewhere)])]
    if buckets:
        statements += [
            allow("ListData", ["s3:GetBucketLocation", "s3:ListBucket"], _arns(buckets)),
            allow("WorkOnData", OBJECTS, _arns(buckets, "/*")),
        ]
        ours = [*_staged(plan, "*"), *([s3_arn(plan.records.below("*"))] if plan.records else [])]
        # Data may lie in a bucket in which scripts, wheels or the function are staged: a job must not write those,
        # nor those of other jobs.
        statements.append(
            deny("LeaveStagedAlone", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"], ours)
        )
    return [
        *statements,
        _through_s3(plan, ["kms:Decrypt", "kms:GenerateDataKey"]),
        *_catalog_statements(plan, role),
        *_log_statements(plan, role),
    ]


def _arns(places: Iterable[str], rest: str = "") -> list[Json]:
    return [s3_arn(f"{place}{rest}") for place in places]


def _catalog_statements(plan: StackPlan, role: str) -> list[Json]:
    databases = sorted({job.database for job in plan.jobs_of(role) if job.database})
    if not databases:
        return []
    tables = [arn("glue", f"table/{database}/*") for database in databases]
    known = [arn("glue", f"database/{database}") for database in databases]
    return [allow("Catalogue", CATALOG, [arn("glue", "catalog"), *known, *tables])]


def _log_statements(plan: StackPlan, role: str) -> list[Json]:
    own = f"{_log_groups(plan)}/{role.rpartition('/')[2]}/*"
    return [allow("Logs", LOGS, [arn("logs", f"log-group:{own}")])]


def _running(plan: StackPlan) -> list[Json]:
    """Return what every run needs, whatever its role."""
    in_glue = {"StringEquals": {"cloudwatch:namespace": _METRICS}}
    return [
        # Source: AWS Glue Developer Guide, "Encrypting data written by AWS Glue": the job encrypts bookmarks.
        allow("Bookmarks", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], [key_arn(plan)]),
        # These know no resources: the service allows no less than `*`.
        allow("Metrics", ["cloudwatch:PutMetricData"], ["*"], in_glue),
        *_connecting(plan),
    ]


def _connecting(plan: StackPlan) -> list[Json]:
    """Return what a run in the VPC needs: Glue puts network interfaces into the subnets, as the job's role.

    Source: AWS Glue Developer Guide, "Create an IAM policy for the AWS Glue service".
    """
    network = plan.stack.network
    subnets = list(network.subnets) if network else ["${SubnetA}", "${SubnetB}"]
    interfaces = arn("ec2", "network-interface/*")
    places = [arn("ec2", f"subnet/{subnet}") for subnet in subnets]
    tagged = {"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}}
    return [
        allow(
            "FindConnections",
            ["glue:GetConnection"],
            [arn("glue", "catalog"), *(arn("glue", f"connection/{name}") for name in connection_names(plan))],
        ),
        allow("FindEncryption", ["glue:GetSecurityConfiguration"], ["*"]),
        allow(
            "LookAround",
            [
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
            ],
            ["*"],
        ),
        allow(
            "Connect",
            ["ec2:CreateNetworkInterface"],
            [interfaces, *places, arn("ec2", "security-group/${JobSecurityGroup.GroupId}")],
        ),
        allow("Disconnect", ["ec2:DeleteNetworkInterface"], [interfaces]),
        allow("MarkInterfaces", ["ec2:CreateTags"], [interfaces], tagged),
    ]
