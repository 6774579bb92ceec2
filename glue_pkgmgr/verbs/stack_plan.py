"""What the template of the infrastructure depends on, taken from the settings and the job scripts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from glue_pkgmgr.core.job_definition import script_location
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.plan import LONGEST_BUCKET, Place, PlannedJob, StackPlan
from glue_pkgmgr.settings import JobSettings, Settings

_LONGEST_ROLE = 64  # characters (IAM User Guide, "IAM name requirements")
_DATABASE = "GLUE_DATABASE"


def stack_plan(settings: Settings, region: str | None = None) -> StackPlan:
    """Return the plan for `region`, by default the first of the settings. Job scripts are read for their hash.

    Names of IAM roles are of the whole account and those of buckets of the whole world: in every other region they
    end with its name.

    Raises: SettingsError for a region that is not in the settings, a script that cannot be read, or a name that is
    too long.
    """
    stack, ours = settings.stack, settings.codeartifact
    region = region or stack.regions[0]
    if region not in stack.regions:
        raise SettingsError(
            f"no stack in {region} by the settings; known: {', '.join(stack.regions)}, under [stack] regions"
        )
    suffix = "" if region == stack.regions[0] else f"-{region}"
    named = _named_buckets(settings)
    renamed = {bucket: f"{bucket}{suffix}" for bucket in named if bucket not in stack.existing_buckets}
    jobs = [_job(job, settings, renamed, suffix) for job in settings.jobs.values()]
    records = None if not isinstance(settings.records, str) else Place.of(_moved(settings.records, renamed))
    plan = StackPlan(
        stack=stack,
        region=region,
        suffix=suffix,
        domain=ours.domain,
        store=ours.store,
        repository=ours.repository,
        open_upstream=ours.open_upstream,
        internal=tuple(sorted(settings.policy.internal)),
        built_sdists=settings.policy.build_sdists,
        jobs=tuple(jobs),
        records=records,
    )
    _check_lengths(plan)
    return plan


def require_account(settings: Settings, account: str, stack: str) -> None:
    """Raise SettingsError unless `account`, the caller's, owns the domain that the stack makes."""
    owner = settings.codeartifact.owner
    if account != owner:
        raise SettingsError(
            f"stack {stack} was not changed: these credentials are of account {account}, and owner under "
            f"[codeartifact] is {owner}; sign in there (AWS_PROFILE), or correct owner"
        )


def scripts(plan: StackPlan, settings: Settings) -> dict[str, bytes]:
    """Return the job scripts that are files of ours, by the URLs they have in the buckets of the stack."""
    ours = {job.key: job.script for job in settings.jobs.values() if not job.script.startswith("s3://")}
    return {
        job.wanted.script: (settings.root / ours[job.key]).read_bytes() for job in plan.jobs if job.key in ours
    }


def sample_data(plan: StackPlan, settings: Settings) -> dict[str, Path]:
    """Return the files that are to lie in the buckets of the stack at first, by their URLs there.

    Raises: SettingsError for one that is not there.
    """
    found = {}
    for url, name in settings.stack.sample_data.items():
        path = settings.root / name
        if not path.is_file():
            raise SettingsError(f"there is no file {path}; correct sample-data under [stack]")
        moved = urlsplit(url).netloc + plan.suffix
        found[_moved(url, {urlsplit(url).netloc: moved} if moved in plan.made_buckets else {})] = path
    return found


def data_buckets(job: JobSettings) -> tuple[str, ...]:
    """Return the buckets that a job works on: the values of its arguments named `…BUCKET`, sorted."""
    return tuple(sorted({value for name, value in job.arguments.items() if name.upper().endswith("BUCKET")}))


def _named_buckets(settings: Settings) -> set[str]:
    urls = [job.staging for job in settings.jobs.values()]
    urls += [settings.records] if isinstance(settings.records, str) else []
    return {urlsplit(url).netloc for url in urls} | {
        b for job in settings.jobs.values() for b in data_buckets(job)
    }


def _job(job: JobSettings, settings: Settings, renamed: dict[str, str], suffix: str) -> PlannedJob:
    staging = _moved(job.staging, renamed)
    role = job.role if job.role.startswith("arn:") else f"{job.role}{suffix}"
    arguments = {name: renamed.get(value, value) for name, value in job.arguments.items()}
    moved = replace(job, arguments=arguments)
    return PlannedJob(
        key=job.key,
        wanted=moved.wanted(_script(job, settings, staging, renamed)),
        role=role,
        staging=Place.of(staging),
        data=data_buckets(moved),
        database=job.arguments.get(_DATABASE),
    )


def _script(job: JobSettings, settings: Settings, staging: str, renamed: dict[str, str]) -> str:
    """Return the URL that the script of `job` has in S3, under its hash if it is a file of ours."""
    if job.script.startswith("s3://"):
        return _moved(job.script, renamed)
    path = settings.root / job.script
    try:
        content = path.read_bytes()
    except OSError as e:
        raise SettingsError(
            f"the script of job {job.key!r} cannot be read: {path}: {e.strerror}; check its path"
        ) from e
    return script_location(staging, hashlib.sha256(content).hexdigest(), path.name)


def _moved(url: str, renamed: dict[str, str]) -> str:
    """Return an `s3://` URL with the bucket's new name."""
    bucket = urlsplit(url).netloc
    return url.replace(f"s3://{bucket}/", f"s3://{renamed.get(bucket, bucket)}/", 1)


def _check_lengths(plan: StackPlan) -> None:
    for bucket in plan.made_buckets:
        if len(bucket) > LONGEST_BUCKET:
            raise SettingsError(
                f"bucket {bucket!r} has {len(bucket)} characters, {LONGEST_BUCKET} at most; shorten the one in "
                "the settings: in another region its name ends with the region's"
            )
    for role in plan.roles:
        if len(role.rpartition("/")[2]) > _LONGEST_ROLE:
            raise SettingsError(
                f"role {role!r} has more than {_LONGEST_ROLE} characters; shorten it in the settings"
            )
