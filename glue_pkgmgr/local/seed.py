"""What the settings name, made in a running stand-in through the same APIs that any client uses.

Everything can be done again: what is there stays as it is, except job definitions, scripts and the upstream of
the approved repository, which follow the settings.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.core.job_definition import definition_of, script_location
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.local.clients import OWN_CALL, Clients
from glue_pkgmgr.local.state import StandIn
from glue_pkgmgr.settings import JobSettings, Settings

Progress = Callable[[str], None]

_PUBLIC_INDEX = "public:pypi"
_EXISTS_ALREADY = frozenset(
    {
        "AlreadyExistsException",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ConflictException",
        "EntityAlreadyExists",
    }
)
_TRUST_GLUE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def seed(settings: Settings, stand_in: StandIn, progress: Progress) -> None:
    """Make the domain, repositories, buckets, databases, roles and jobs that `settings` name in `stand_in`.

    A job whose script is missing is defined all the same; `progress` says so.

    Raises: RemoteError when the stand-in refuses.
    """
    clients = Clients(stand_in, agent=OWN_CALL)
    try:
        _repositories(clients("codeartifact"), settings)
        jobs = settings.jobs.values()
        _buckets(clients("s3"), sorted({bucket for job in jobs for bucket in buckets(job)}), stand_in.region)
        for job in jobs:
            _job(clients, job, settings.root, stand_in.account, progress)
    except (ClientError, BotoCoreError) as e:
        raise RemoteError(
            f"the stand-in at {stand_in.endpoint} refused what the settings name: {e}; its log may tell more"
        ) from e


def buckets(job: JobSettings) -> set[str]:
    """Return the S3 buckets of `job`: of its staging URL, its script, and its arguments named `…BUCKET`."""
    urls = [url for url in (job.staging, job.script) if url.startswith("s3://")]
    named = {value for name, value in job.arguments.items() if name.upper().endswith("BUCKET")}
    return named | {urlsplit(url).netloc for url in urls}


def seeded(settings: Settings) -> list[tuple[str, str]]:
    """Return what `seed` makes, by the types that templates have for it: a stack may take it over."""
    ours = settings.codeartifact
    jobs = settings.jobs.values()
    made = {("AWS::CodeArtifact::Domain", ours.domain)}
    made |= {("AWS::CodeArtifact::Repository", f"{ours.domain}/{name}") for name in (ours.store, ours.repository)}
    made |= {("AWS::S3::Bucket", bucket) for job in jobs for bucket in buckets(job)}
    made |= {("AWS::Glue::Job", job.name) for job in jobs}
    made |= {("AWS::IAM::Role", posixpath.basename(job.role)) for job in jobs}
    made |= {
        ("AWS::Glue::Database", job.arguments["GLUE_DATABASE"]) for job in jobs if "GLUE_DATABASE" in job.arguments
    }
    return sorted(made)


def _repositories(codeartifact: Any, settings: Settings) -> None:
    ours = settings.codeartifact
    domain = {"domain": ours.domain, "domainOwner": ours.owner}
    _unless_there(codeartifact.create_domain, domain=ours.domain)
    for repository in (ours.store, ours.repository):
        _unless_there(codeartifact.create_repository, **domain, repository=repository)
    _unless_there(
        codeartifact.associate_external_connection,
        **domain,
        repository=ours.store,
        externalConnection=_PUBLIC_INDEX,
    )
    upstreams = [{"repositoryName": name} for name in ours.upstreams]
    codeartifact.update_repository(**domain, repository=ours.repository, upstreams=upstreams)
    for repository, publish in ((ours.store, "BLOCK"), (ours.repository, "ALLOW")):
        for project in sorted(settings.policy.internal):
            codeartifact.put_package_origin_configuration(
                **domain,
                repository=repository,
                format="pypi",
                package=project,
                restrictions={"publish": publish, "upstream": "BLOCK"},
            )


def _buckets(s3: Any, names: list[str], region: str) -> None:
    # For its oldest region S3 refuses to be told the location.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    for name in names:
        _unless_there(s3.create_bucket, Bucket=name, **where)


def _job(clients: Clients, job: JobSettings, root: Path, account: str, progress: Progress) -> None:
    glue = clients("glue")
    if database := job.arguments.get("GLUE_DATABASE"):
        _unless_there(glue.create_database, DatabaseInput={"Name": database})
    role_arn = job.role if job.role.startswith("arn:") else f"arn:aws:iam::{account}:role/{job.role}"
    _unless_there(
        clients("iam").create_role,
        RoleName=posixpath.basename(role_arn),
        AssumeRolePolicyDocument=json.dumps(_TRUST_GLUE),
    )
    script_url = _script(clients("s3"), job, root, progress)
    # moto replaces a definition of the same name: of one that is there nothing stays but what the settings say.
    glue.create_job(**definition_of(job.wanted(script_url, role=role_arn)))


def _script(s3: Any, job: JobSettings, root: Path, progress: Progress) -> str:
    """Upload the script of `job` if it is a file, and return its URL."""
    if job.script.startswith("s3://"):
        return job.script
    script = root / job.script
    try:
        content = script.read_bytes()
    except OSError as e:
        progress(f"job {job.key!r} has no script yet: {script}: {e.strerror}")
        return f"{job.staging}scripts/{script.name}"
    url = script_location(job.staging, hashlib.sha256(content).hexdigest(), script.name)
    place = urlsplit(url)
    s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), Body=content)
    return url


def _unless_there(create: Callable[..., Any], **arguments: Any) -> None:
    """Call `create`; that the thing exists already is as good."""
    try:
        create(**arguments)
    except ClientError as e:
        if e.response["Error"]["Code"] not in _EXISTS_ALREADY:
            raise
