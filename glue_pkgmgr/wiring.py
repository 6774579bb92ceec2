"""Settings wired to the outside: the one place that names adapters.

AWS and the stand-in differ in endpoint URLs only, which come from the environment (`AWS_ENDPOINT_URL`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from glue_pkgmgr import verbs
from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl
from glue_pkgmgr.errors import GluePkgmgrError
from glue_pkgmgr.settings import RECORDS, Settings

if TYPE_CHECKING:
    from datetime import timedelta

    from glue_pkgmgr.adapters.archive import TarArchives
    from glue_pkgmgr.adapters.build import ProjectBuild
    from glue_pkgmgr.adapters.clients import Clients
    from glue_pkgmgr.adapters.codeartifact import CodeArtifact
    from glue_pkgmgr.adapters.glue import GlueJobs
    from glue_pkgmgr.adapters.kept_pages import KeptPages
    from glue_pkgmgr.adapters.launch_locks import LaunchLocks
    from glue_pkgmgr.adapters.logs import CloudWatchLogs
    from glue_pkgmgr.adapters.metadata import WheelMetadata
    from glue_pkgmgr.adapters.proof import InstallProof
    from glue_pkgmgr.adapters.publish_records import PublishRecordFolder
    from glue_pkgmgr.adapters.records import AppendedRecords
    from glue_pkgmgr.adapters.release_documents import DocumentFolder
    from glue_pkgmgr.adapters.release_reader import ReleaseReader
    from glue_pkgmgr.adapters.s3 import S3Staging
    from glue_pkgmgr.adapters.sdist import SdistWheels
    from glue_pkgmgr.adapters.simple_index import SimpleIndex
    from glue_pkgmgr.adapters.step_functions import StepFunctions
    from glue_pkgmgr.adapters.upload import TwineUploader
    from glue_pkgmgr.adapters.uv import UvResolver
    from glue_pkgmgr.core.built_file import BuiltFile
    from glue_pkgmgr.core.index_url import AuthorizationToken
    from glue_pkgmgr.core.job import JobRun
    from glue_pkgmgr.core.lockfile import Lock
    from glue_pkgmgr.core.policy import Policy
    from glue_pkgmgr.core.publish_record import Commit, PublishRecord
    from glue_pkgmgr.core.repository import RepositoryAddress
    from glue_pkgmgr.ports import Advisories, Clock, Progress
    from glue_pkgmgr.verbs.allowed_index import AllowedIndex
    from glue_pkgmgr.verbs.deliver import Deliverer
    from glue_pkgmgr.verbs.preflight import Lookout
    from glue_pkgmgr.verbs.stack import Stacks

_LOG_SECONDS = 15
_STAND_IN_PATIENCE = 5.0
_STAND_IN_POLL = 0.1  # seconds; nobody else asks it
_RECORD_SECONDS = 10  # an S3 that is slower than this for a few kilobytes does not answer at all

_START_SECONDS = 20  # for an answer to StartJobRun, which takes one or two


class Wiring:
    """What stands behind the ports, made when a verb asks for it. Nothing is imported or contacted before.

    `environ` stands for the process environment: credentials, endpoints, pip's configuration, cache folder.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], clock: Clock, progress: Progress) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._progress = progress

    @property
    def approved(self) -> RepositoryAddress:
        return self._settings.codeartifact.approved_repository

    @property
    def store(self) -> RepositoryAddress:
        return self._settings.codeartifact.store_repository

    @cached_property
    def records(self) -> AppendedRecords:
        place = self._settings.records
        if isinstance(place, Path):
            from glue_pkgmgr.adapters.records import RecordFolder

            return RecordFolder(place, self._progress)
        from glue_pkgmgr.adapters.record_bucket import RecordBucket, copy_folder

        copy = copy_folder(cache_folder(self._environ), place, self.clients.endpoint_url("s3"))
        client = self.clients.client("s3", read_seconds=_RECORD_SECONDS)
        return RecordBucket(place, client, copy, progress=self._progress)

    @property
    def publish_records(self) -> PublishRecordFolder:
        from glue_pkgmgr.adapters.publish_records import PublishRecordFolder

        return PublishRecordFolder(self.published)

    @property
    def published(self) -> Path:
        return self._settings.root / RECORDS / "published"

    @property
    def wheel_metadata(self) -> WheelMetadata:
        from glue_pkgmgr.adapters.metadata import WheelMetadata

        return WheelMetadata(cache_folder(self._environ) / "metadata", self._progress)

    @property
    def prover(self) -> InstallProof:
        from glue_pkgmgr.adapters.proof import InstallProof
        from glue_pkgmgr.local.jobs.interpreters import python_for

        return InstallProof(
            self._environ,
            metadata=self.wheel_metadata,
            find_python=lambda version: python_for(version, self._environ),
        )

    def open_uploader(self, url: IndexUrl) -> TwineUploader:
        from glue_pkgmgr.adapters.upload import TwineUploader

        return TwineUploader(url, self._environ)

    def commit_of(self, folder: Path) -> Commit | None:
        from glue_pkgmgr.adapters.source_commit import source_commit

        return source_commit(folder, self._environ)

    def actor(self) -> str:
        """Return who is calling: as AWS sees it, or by login name where it cannot be asked."""
        from glue_pkgmgr.adapters.caller import caller_arn

        try:
            return caller_arn(self.clients.client("sts"))
        except GluePkgmgrError:
            return self.login

    def account(self) -> str:
        """Return the account of the caller, 12 digits. Raises: RemoteError; SettingsError without credentials."""
        from glue_pkgmgr.adapters.caller import account_of, caller_arn

        return account_of(caller_arn(self.clients.client("sts")))

    @property
    def login(self) -> str:
        """The login name; that of the process's user where the environment has none, as in cron or a container."""
        return self._environ.get("USER") or self._environ.get("LOGNAME") or _user_name()

    @cached_property
    def clients(self) -> Clients:
        from glue_pkgmgr.adapters.clients import Clients

        return Clients(self._environ, self._settings.codeartifact.region)

    @cached_property
    def codeartifact(self) -> CodeArtifact:
        from glue_pkgmgr.adapters.codeartifact import CodeArtifact

        return CodeArtifact(self.clients.client("codeartifact"))

    @cached_property
    def jobs(self) -> GlueJobs:
        from glue_pkgmgr.adapters.glue import GlueJobs

        # A start is asked for once: sent again after a lost answer it may be a second run.
        starting = self.clients.client("glue", read_seconds=_START_SECONDS, attempts=1)
        return GlueJobs(self.clients.client("glue"), starting)

    @cached_property
    def state_machines(self) -> StepFunctions:
        from glue_pkgmgr.adapters.step_functions import StepFunctions

        clients = self.clients
        region = self._settings.codeartifact.region
        return StepFunctions(clients.client("stepfunctions"), clients.client("sts"), region)

    @cached_property
    def logs(self) -> CloudWatchLogs:
        from glue_pkgmgr.adapters.logs import CloudWatchLogs

        # A log must not delay its run: whoever reads it soon looks again.
        return CloudWatchLogs(self.clients.client("logs", read_seconds=_LOG_SECONDS, attempts=2))

    @cached_property
    def staging(self) -> S3Staging:
        from glue_pkgmgr.adapters.s3 import S3Staging

        return S3Staging(self.clients.client("s3"))

    def stacks(self, region: str | None = None) -> Stacks:
        """Return the stacks of `region`, by default the first that the settings want one in."""
        from glue_pkgmgr.adapters.bucket_contents import BucketContents
        from glue_pkgmgr.adapters.clients import Clients
        from glue_pkgmgr.adapters.cloudformation import CloudFormationStacks
        from glue_pkgmgr.adapters.s3 import S3Staging

        clients = Clients(self._environ, region or self._settings.stack.regions[0])
        local = clients.endpoint_url("cloudformation")
        return verbs.stack.Stacks(
            service=CloudFormationStacks(clients.client("cloudformation")),
            buckets=BucketContents(clients.client("s3")),
            store=S3Staging(clients.client("s3")),
            clock=self._clock,
            progress=self._progress,
            poll=_STAND_IN_POLL if local else verbs.stack.POLL,
        )

    def console_links(self, run: JobRun) -> Mapping[str, str]:
        """Return the pages of AWS's console about a run; none where an endpoint of our own answers for Glue."""
        from glue_pkgmgr.core.links import console_links

        if self.clients.endpoint_url("glue"):
            return {}
        return console_links(run, self._settings.codeartifact.region)

    @property
    def patience(self) -> float:
        """Seconds for which a followed run may be out of reach; the runs of a stand-in are gone with it."""
        return _STAND_IN_PATIENCE if self.clients.endpoint_url("glue") else verbs.follow.PATIENCE

    def mint(self, lifetime: timedelta) -> IndexUrl:
        return verbs.mint.mint(self.approved, lifetime, tokens=self.codeartifact, repositories=self.codeartifact)

    def open_index(self, url: IndexUrl, pages: KeptPages | None = None) -> SimpleIndex:
        from glue_pkgmgr.adapters.simple_index import SimpleIndex

        return SimpleIndex(url, self._environ, clock=self._clock, pages=pages)

    def open_store(self) -> SimpleIndex:
        """Open the index of the store with a new token."""
        tokens = self.codeartifact
        return self.open_index(verbs.mint.mint(self.store, SHORTEST, tokens=tokens, repositories=tokens))

    @property
    def lookout(self) -> Lookout:
        return verbs.preflight.Lookout(
            root=self._settings.root,
            approved=self.approved,
            jobs=self.jobs,
            repositories=self.codeartifact,
            mint=self.mint,
            open_index=self.open_index,
            staging=self.staging,
        )

    @property
    def launch_locks(self) -> LaunchLocks:
        from glue_pkgmgr.adapters.launch_locks import LaunchLocks

        return LaunchLocks(self._settings.root / ".glue-pkgmgr" / "launches")

    def deliverer(self) -> Deliverer:
        return verbs.deliver.Deliverer(
            mint=self.mint, open_index=self.open_index, staging=self.staging, clock=self._clock
        )

    @property
    def sdist_builder(self) -> SdistWheels | None:
        if not self._settings.policy.build_sdists:
            return None
        from glue_pkgmgr.adapters.sdist import SdistWheels

        return SdistWheels(self._environ, cache_folder(self._environ) / "built", progress=self._progress)

    @property
    def resolver(self) -> UvResolver:
        from glue_pkgmgr.adapters.uv import UvResolver

        return UvResolver(self._environ)

    @cached_property
    def advisories(self) -> Advisories | None:
        asked = self._settings.policy.vulnerabilities
        if asked is None:
            return None
        from glue_pkgmgr.adapters.advisories import open_advisories

        return open_advisories(asked, self._environ)

    def allowed_index(self, policy: Policy) -> AllowedIndex:
        """Return both indexes as `policy` lets them be seen."""
        from glue_pkgmgr.adapters.kept_pages import KeptPages
        from glue_pkgmgr.adapters.later_index import IndexOpenedLater
        from glue_pkgmgr.adapters.metadata import WheelMetadata

        folder = cache_folder(self._environ)
        pages = KeptPages(folder / "pages")

        @cache
        def token() -> AuthorizationToken:
            # One token opens every repository of the domain that its principal may read.
            return self.codeartifact.issue(self.approved.domain, self.approved.owner, SHORTEST)

        def opened(address: RepositoryAddress) -> SimpleIndex:
            return self.open_index(IndexUrl(self.codeartifact.endpoint(address), token()), pages)

        return verbs.allowed_index.AllowedIndex(
            policy=policy,
            store=IndexOpenedLater(partial(opened, self.store)),
            approved=IndexOpenedLater(partial(opened, self.approved)),
            metadata_reader=WheelMetadata(folder / "metadata"),
            sdist_builder=self.sdist_builder,
        )

    @property
    def builder(self) -> ProjectBuild:
        from glue_pkgmgr.adapters.build import ProjectBuild

        return ProjectBuild(
            self._environ,
            minimum_age=self._settings.policy.minimum_age,
            clock=self._clock,
            progress=self._progress,
        )

    @property
    def release_reader(self) -> ReleaseReader:
        from glue_pkgmgr.adapters.release_reader import ReleaseReader

        return ReleaseReader()

    @property
    def archives(self) -> TarArchives:
        from glue_pkgmgr.adapters.archive import TarArchives

        return TarArchives()

    def documents(self, folder: Path | None = None) -> DocumentFolder:
        """Return the documents in `folder`; without one, those beside the records of publications."""
        from glue_pkgmgr.adapters.release_documents import DocumentFolder

        return DocumentFolder(folder or self.published)

    def distributions_in(self, folder: Path) -> list[BuiltFile]:
        from glue_pkgmgr.adapters.dist_folder import distributions_in

        return distributions_in(folder)

    def lock_sbom(self, bundle: str, lock: Lock) -> str:
        from glue_pkgmgr.adapters.sbom import lock_sbom

        return lock_sbom(bundle, lock, approved=self.approved)

    def release_sbom(self, record: PublishRecord, metadata: bytes) -> str:
        from glue_pkgmgr.adapters.sbom import release_sbom

        return release_sbom(record, metadata, internal=self._settings.policy.internal)

    def check_upload(self, path: Path) -> None:
        # Here: twine takes a quarter of a second to load, and what is published already needs no look at it.
        from glue_pkgmgr.adapters.upload import check_upload

        check_upload(path)


def _user_name() -> str:
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that nobody has
        return f"uid {os.getuid()}"
