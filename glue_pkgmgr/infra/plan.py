"""Everything that the template depends on."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from glue_pkgmgr.core.job_definition import WantedJob
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.stack_settings import StackSettings
from glue_pkgmgr.infra.expressions import word

LONGEST_BUCKET = 63  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder in S3: `prefix` ends with a slash, or is empty for all of the bucket."""

    bucket: str
    prefix: str

    @staticmethod
    def of(url: str) -> Place:
        """Return the place that an `s3://` URL names."""
        parts = urlsplit(url)
        return Place(bucket=parts.netloc, prefix=parts.path.removeprefix("/"))

    def below(self, rest: str) -> str:
        """Return the bucket and what is in it below this folder, such as `bucket/folder/wheels/*`."""
        return f"{self.bucket}/{self.prefix}{rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A Glue job. `role` is the name of its role, or the ARN of one that is there.

    `staging` is where scripts, wheels and requirements files are put for it, `data` are the buckets it works on.
    """

    key: str
    wanted: WantedJob
    role: str
    staging: Place
    data: tuple[str, ...]
    database: str | None

    @property
    def id(self) -> str:
        """The name of the job in the template."""
        return f"Job{word(self.key)}"

    @property
    def scripts(self) -> str:
        """Where its script is: all of the scripts that are staged for it, or one object elsewhere in S3."""
        script = self.wanted.script.removeprefix("s3://")
        staged = self.staging.below("scripts/")
        return f"{staged}*" if script.startswith(staged) else script

    @property
    def makes_role(self) -> bool:
        """Whether its role is made: an ARN is that of one that is there."""
        return not self.role.startswith("arn:")

    @property
    def role_name(self) -> str:
        """The name of its role, without a path."""
        return self.role.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Everything that the template depends on.

    `suffix` is put behind names that are of the whole account or of the whole world, in every region but the first
    of the settings; the names in here have it already. `internal` are sorted. `records` is None where launches are
    recorded in a folder. `built_sdists` says that wheels of others' releases are built and published by us.
    """

    stack: StackSettings
    region: str
    suffix: str
    domain: str
    store: str
    repository: str
    open_upstream: bool
    internal: tuple[ProjectName, ...]
    built_sdists: bool
    jobs: tuple[PlannedJob, ...]
    records: Place | None

    @property
    def partition(self) -> str:
        """The partition of the region: what ARNs begin with after `arn:`."""
        return "aws-cn" if self.region.startswith("cn-") else "aws-us-gov" if "-gov-" in self.region else "aws"

    @property
    def name(self) -> str:
        """The name of the stack, with which the names of its roles begin."""
        return self.stack.name

    @property
    def buckets(self) -> tuple[str, ...]:
        """Every bucket that is used, sorted."""
        named = {job.staging.bucket for job in self.jobs} | {bucket for job in self.jobs for bucket in job.data}
        return tuple(sorted(named | ({self.records.bucket} if self.records else set())))

    @property
    def made_buckets(self) -> tuple[str, ...]:
        """The buckets that are made, sorted: those that are used and are not there."""
        return tuple(bucket for bucket in self.buckets if bucket not in self.stack.existing_buckets)

    @property
    def archive(self) -> Place | None:
        """Where the workflow's function comes from; None without a job, for there is nothing to launch then."""
        return (
            Place(bucket=self.jobs[0].staging.bucket, prefix=f"{self.jobs[0].staging.prefix}functions/")
            if self.jobs
            else None
        )

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases of the Glue catalogue that jobs write to, sorted."""
        return tuple(sorted({job.database for job in self.jobs if job.database}))

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the job roles that are made, sorted."""
        return tuple(sorted({job.role for job in self.jobs if job.makes_role}))

    def role_name(self, use: str) -> str:
        """Return the name of the role for `use`, such as `publisher`."""
        return f"{self.name}-{use}{self.suffix}"

    def jobs_of(self, role: str) -> tuple[PlannedJob, ...]:
        """Return the jobs that run as `role`."""
        return tuple(job for job in self.jobs if job.role == role)
