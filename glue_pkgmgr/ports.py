"""What we ask of the outside world, as Protocols. Adapters satisfy them without importing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.version import Version

from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, RemoteError

if TYPE_CHECKING:
    from glue_pkgmgr.core.advisory import Advisory
    from glue_pkgmgr.core.archive import ArchivedFile, Contents
    from glue_pkgmgr.core.built_file import BuiltFile
    from glue_pkgmgr.core.built_project import BuiltProject
    from glue_pkgmgr.core.job import JobRun, JobRunId, LogLine
    from glue_pkgmgr.core.names import ProjectName, Release
    from glue_pkgmgr.core.publish_record import Proof, PublishRecord
    from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, Recorded, RecordedRelease
    from glue_pkgmgr.core.release_contents import FileContents
    from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks, Status
    from glue_pkgmgr.core.request import Request
    from glue_pkgmgr.core.runtime import GlueRuntime
    from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
    from glue_pkgmgr.core.stack_change import ResourceChange, Stack, StackEvent, StackResource
    from glue_pkgmgr.core.workflow import Execution

Clock = Callable[[], datetime]
"""The time now, aware UTC."""

Progress = Callable[[str], None]
"""Called with one short sentence when something worth showing has happened."""


def utc_now() -> datetime:
    """Return the time of this machine, aware UTC: the clock where none is handed in."""
    return datetime.now(UTC)


def silent(text: str) -> None:
    """Show nothing: the progress where nobody looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of a release in a repository: SHA-256 as 64 hexadecimal digits, size in bytes."""

    filename: str
    sha256: str
    size: int


class TokenIssuer(Protocol):
    """Issues authorization tokens for a CodeArtifact domain."""

    def issue(self, domain: str, owner: str, lifetime: timedelta) -> AuthorizationToken:
        """Mint a token valid for `lifetime`. Raises: RemoteError."""
        ...


class CopyRefusal(Enum):
    """Why a release was not copied, as far as callers tell reasons apart."""

    ABSENT = "absent"  # the source does not have it
    OCCUPIED = "occupied"  # the target holds other files under that version
    BLOCKED = "blocked"  # the origin controls of the target's package, or a package group
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCopied:
    """Why one release was not copied: the reason, and a sentence that says it."""

    reason: CopyRefusal
    detail: str


class Repositories(Protocol):
    """The repositories of CodeArtifact and the releases in them."""

    def endpoint(self, address: RepositoryAddress) -> str:
        """Return the PyPI endpoint of a repository, ending in `/`. Raises: RemoteError."""
        ...

    def links(self, address: RepositoryAddress) -> RepositoryLinks:
        """Return where else a repository looks. Raises: RemoteError."""
        ...

    def packages(self, address: RepositoryAddress) -> Mapping[ProjectName, OriginControls]:
        """Return the origin controls of every project in this very repository, sorted by project.

        A project that has origin controls and no release may be left out. Raises: RemoteError.
        """
        ...

    def controls(self, address: RepositoryAddress, project: ProjectName) -> OriginControls | None:
        """Return the origin controls of a project in this very repository, None if it has none.

        A project without any release has some if they were set. Raises: RemoteError.
        """
        ...

    def versions(self, address: RepositoryAddress, project: ProjectName) -> Mapping[Version, Status]:
        """Return the versions of a project in this very repository, lowest first; empty if absent.

        Raises: RemoteError.
        """
        ...

    def brought_in(self, address: RepositoryAddress, project: ProjectName) -> Collection[Version]:
        """Return the versions of a project in this very repository that others published: in the public index.

        Raises: RemoteError.
        """
        ...

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        """Return the files of a release in this very repository, upstreams left aside; empty if absent.

        Raises: RemoteError.
        """
        ...

    def copy(
        self,
        source: RepositoryAddress,
        target: RepositoryAddress,
        project: ProjectName,
        versions: Collection[Version],
    ) -> Mapping[Version, NotCopied]:
        """Copy releases of a project, from the source's upstreams too; return those that were not, and why.

        Each stands for itself. The same release there already counts as copied.

        Raises: RemoteError.
        """
        ...

    def delete(self, address: RepositoryAddress, project: ProjectName, version: Version) -> None:
        """Delete a release; none there is no error. Raises: RemoteError."""
        ...

    def set_status(
        self,
        address: RepositoryAddress,
        project: ProjectName,
        version: Version,
        status: Status,
        *,
        expected: Status,
    ) -> None:
        """Give a release the `status` Published, Unlisted or Archived, if it has the `expected` one.

        Raises: RemoteError, also for one that has another status by now, or is not there.
        """
        ...

    def set_origin(
        self, address: RepositoryAddress, project: ProjectName, *, publish: bool, upstream: bool
    ) -> None:
        """Say whether a project may be published to, and taken from upstreams. Raises: RemoteError."""
        ...


class IndexRefused(IndexAccessError):
    """An index answered with an error; `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class PackageIndex(Protocol):
    """A package index, read through its simple API."""

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the page of a project, None if the index has none. Raises: IndexAccessError."""
        ...

    def download(self, url: str, target: Path, sha256: str) -> None:
        """Store the file at `url` as `target`, whole and with that hash or not at all.

        Raises: IndexAccessError; NotInstallable when the bytes differ.
        """
        ...


Mint = Callable[[timedelta], IndexUrl]
"""Mints an index URL of the approved repository, valid for the given time. Raises: RemoteError."""

OpenIndex = Callable[[IndexUrl], PackageIndex]
"""Opens the index behind a URL."""


class StartThrottled(RemoteError):
    """The service asks for fewer calls: nothing was started."""


class Unreached(RemoteError):
    """AWS could not be reached, or what came was no answer of AWS: it may be different a moment later."""


class NoAnswer(RemoteError):
    """No answer came, or that the service failed: what was asked for may have been done or not."""


class JobService(Protocol):
    """AWS Glue jobs and their runs."""

    def definition(self, job: str) -> Mapping[str, object] | None:
        """Return the job definition as GetJob answers, None if there is none. Raises: RemoteError."""
        ...

    def create(self, definition: Mapping[str, object]) -> None:
        """Create a job. `definition` has the members of the API's `Job`, its `Name` too. Raises: RemoteError."""
        ...

    def update(self, definition: Mapping[str, object]) -> None:
        """Replace all of a job's definition, the job that has its `Name`. Raises: RemoteError."""
        ...

    def start(self, job: str, arguments: Mapping[str, str]) -> JobRunId:
        """Start a run, asking once: what failed is not tried again, as it might have been done.

        Raises: NoCapacity at the limit of concurrent runs; StartThrottled; NoAnswer; RemoteError.
        """
        ...

    def launched(self, job: str, launch: str, most: int) -> Sequence[JobRun]:
        """Return the runs of a launch, of its latest attempt first, if one is among the `most` latest of the job.

        Raises: RemoteError.
        """
        ...

    def run(self, job: str, run: JobRunId) -> JobRun:
        """Return the run as it is now. Raises: RemoteError."""
        ...

    def find(self, job: str, run: JobRunId) -> JobRun | None:
        """Return the run as it is now, None if the job has no such run. Raises: RemoteError."""
        ...

    def runs(self, job: str, most: int) -> Sequence[JobRun]:
        """Return up to `most` runs of a job, newest first. Raises: RemoteError."""
        ...

    def stop(self, job: str, run: JobRunId) -> None:
        """Ask a run to stop. Raises: RemoteError."""
        ...


class StateMachines(Protocol):
    """Executions of Step Functions in the account of whoever calls."""

    def start(self, machine: str, content: str, name: str | None) -> str:
        """Start an execution of the state machine called `machine` with the JSON `content`; return its ARN.

        If there is an execution called `name`, it is that one. Raises: RemoteError.
        """
        ...

    def describe(self, execution: str) -> Execution:
        """Return an execution, by its ARN, as it is now. Raises: RemoteError."""
        ...


class LaunchRecords(Protocol):
    """The records of launches: entries that are appended, and never changed."""

    def add(self, record: LaunchRecord) -> None:
        """Keep what is new of `record`: that it ended, else its run, else that it begins.

        Raises: SettingsError; RemoteError.
        """
        ...

    def complete(self, launch: str, run: JobRunId | None, end: LaunchEnd | None = None) -> None:
        """Keep how a launch, begun here or elsewhere, went on; nothing if neither is known. Raises: as `add`."""
        ...

    def read(self, wanted: Callable[[RecordedRelease], bool] | None = None) -> Recorded:
        """Return the launches, with `wanted` those that have such a release, and what is wrong with the records.

        Raises: SettingsError when they cannot be read at all; RemoteError.
        """
        ...

    def all(self) -> Sequence[LaunchRecord]:
        """Return every launch that can be read, the one recorded first at the front. Raises: as `read`."""
        ...


class LogReader(Protocol):
    """Reads the log of one run, a reading at a time. Not to be used by two threads at once."""

    calls: int
    """How many calls the last reading took; before the first, how many it will take at least."""

    trouble: str | None
    """Why the last reading failed; a log that is not there yet is no trouble."""

    @property
    def more(self) -> bool:
        """Whether the last reading stopped before the end, and the next one should not wait."""
        ...

    def read(self) -> Sequence[LogLine]:
        """Return the lines that came since the last reading, in order, none of them twice; never raises.

        Passwords of URLs and tokens in them are masked.
        """
        ...


class JobLogs(Protocol):
    """The log lines of job runs."""

    def open(self, run: JobRun, *, executors: bool = False) -> LogReader:
        """Return a reader at the beginning of the log of `run`: the driver's lines, or those of executors too."""
        ...


class Staging(Protocol):
    """Objects under `s3://` URLs that a job can read."""

    def put(self, url: str, content: bytes) -> None:
        """Store `content`, encrypted. Raises: RemoteError."""
        ...

    def put_file(self, url: str, path: Path) -> None:
        """Store the file at `path` unless an object of that size is there. Raises: RemoteError."""
        ...

    def size(self, url: str) -> int | None:
        """Return how many bytes the object has, None if there is none. Raises: RemoteError."""
        ...

    def delete(self, url: str) -> None:
        """Delete the object; none there is no error. Raises: RemoteError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRelease:
    """A release the resolver chose; `wanted_by` are the projects that require it, sorted."""

    project: ProjectName
    version: Version
    wanted_by: tuple[ProjectName, ...]


class VisibleIndex(Protocol):
    """The index as the resolver may see it."""

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the visible part of a page, None if the index has none. Raises: IndexAccessError."""
        ...

    def metadata(self, project: ProjectName, filename: str) -> bytes | None:
        """Return the core metadata of a visible wheel, None if it is not visible. Raises: GluePkgmgrError."""
        ...


class Unresolvable(NotInstallable):
    """No set of visible releases satisfies the request; the text is the resolver's own explanation."""


class Resolver(Protocol):
    """Resolves a request against a view of an index."""

    def resolve(
        self,
        request: Request,
        runtime: GlueRuntime,
        index: VisibleIndex,
        preferred: Mapping[ProjectName, Version],
    ) -> Sequence[ResolvedRelease]:
        """Return the full closure of `request` for `runtime`, sorted by project.

        Of each project the `preferred` version is taken where it fits, else the newest that does.

        Raises: Unresolvable; IndexAccessError when the index failed meanwhile.
        """
        ...


class MetadataReader(Protocol):
    """Reads what a wheel says about itself."""

    def read(self, index: PackageIndex, file: IndexFile) -> bytes:
        """Return the METADATA of the wheel `file` of `index`, its bytes checked against the page's hash.

        Raises: IndexAccessError; NotInstallable when the bytes differ or hold no metadata.
        """
        ...

    def read_file(self, wheel: Path) -> bytes:
        """Return the METADATA of a wheel on this machine. Raises: NotInstallable when it holds none."""
        ...


class Builder(Protocol):
    """Builds the distribution files of a project."""

    def build(self, source: Path, out: Path, *, renew: bool = False) -> BuiltProject:
        """Build the project in folder `source` into folder `out`: its sdist, then the wheel from that sdist.

        `renew` pins anew what it is built with, before. Nothing is looked for in the files: no findings.

        Raises: SettingsError when the project cannot be built, or its pins no longer fit; NotInstallable when its
        build requirements cannot be pinned, or have other bytes than were pinned; IndexAccessError when they
        cannot be had.
        """
        ...


class ReleaseReader(Protocol):
    """Reads what is in built files, as the rules for releases ask."""

    def read(self, files: Sequence[BuiltFile]) -> Sequence[FileContents]:
        """Return what is in `files`, in their order. What cannot be read is in the answer, not raised."""
        ...


class Uploader(Protocol):
    """Uploads distribution files to one repository."""

    def upload(self, path: Path, *, sha256: str | None = None) -> None:
        """Upload a wheel or sdist, if it has the hash that it is said to have; the same bytes there are no error.

        Raises: IndexAccessError; NotInstallable when the repository holds other bytes or blocks the project, or
        the file was changed.
        """
        ...


OpenUploader = Callable[[IndexUrl], Uploader]
"""Opens the repository behind an index URL for uploads."""


class SdistBuilder(Protocol):
    """Builds wheels from the sdists of an index."""

    def wheel_of(self, index: PackageIndex, sdist: IndexFile) -> BuiltFile:
        """Return the pure-Python wheel built from an sdist of `index`, reproducible to the byte.

        Raises: NotInstallable when it cannot be built, or the wheel is not pure Python; IndexAccessError.
        """
        ...


class Advisories(Protocol):
    """Knows the vulnerabilities of releases."""

    def of(self, releases: Sequence[Release]) -> Mapping[Release, Sequence[Advisory]]:
        """Return the advisories of each release that has some.

        Raises: IndexAccessError when the service cannot be asked; SettingsError for an unreadable file.
        """
        ...


class Archives(Protocol):
    """Archive files on this machine."""

    def write(self, target: Path, files: Sequence[ArchivedFile], folder: Path) -> str:
        """Write an archive of `files` as `target`, whole or not at all, and return its SHA-256.

        A wheel is taken from its name in `folder`, which lies on the same disk as `target`.

        Raises: SettingsError when it cannot be written; NotInstallable when a wheel's bytes are not those told.
        """
        ...

    def read(self, path: Path) -> Contents:
        """Return what lies in an archive, of which every byte was read, and which nothing follows.

        Raises: NotInstallable for what is no archive, or one that was changed or cut; SettingsError when the
        file cannot be read.
        """
        ...

    def extract(self, path: Path, name: str, sha256: str, target: Path) -> None:
        """Store the file `name` of an archive as `target`, whole and with that hash or not at all.

        Raises: NotInstallable when the bytes differ; SettingsError when `target` cannot be written.
        """
        ...


class PublishRecords(Protocol):
    """The records of publications."""

    def add(self, record: PublishRecord) -> None:
        """Keep `record`, in the place of one of the same release. Raises: SettingsError."""
        ...

    def find(self, project: ProjectName, version: Version) -> PublishRecord | None:
        """Return the record of a release, None if there is none. Raises: SettingsError if it cannot be read."""
        ...


class ReleaseDocuments(Protocol):
    """Documents about releases, beside the records of their publication."""

    def read(self, name: str) -> str | None:
        """Return the document called `name`, None if there is none. Raises: SettingsError if it is unreadable."""
        ...

    def write(self, name: str, text: str) -> object:
        """Keep `text` as the document called `name`, whole or not at all. Raises: SettingsError."""
        ...


class Prover(Protocol):
    """Shows that a release can be used by who has nothing but the index."""

    def prove(self, files: Sequence[BuiltFile], url: IndexUrl, index: PackageIndex) -> Proof:
        """Install the release of `files` from the index at `url` alone, import what is in it, tell how far it got.

        `index` is that index, opened. Raises: NotInstallable when it cannot be installed or imported at all.
        """
        ...


class ChangedMeanwhile(RemoteError):
    """Somebody else changes the stack: what was proposed for it counts no more."""


class ProposedState(Enum):
    """How far a change set is."""

    PENDING = "it is being made"
    READY = "it can be executed"
    UNCHANGED = "there is nothing to do"
    FAILED = "it could not be made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a stack is to become: a template as `text`, or at `template_url` if that is not empty.

    `name` is that of the change set. `creates` is for a stack in which there is nothing yet. A parameter that is
    None keeps its value.
    """

    stack: str
    name: str
    creates: bool
    text: str
    template_url: str = ""
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A change set: its state, why if it failed, and what it would change."""

    state: ProposedState
    reason: str = ""
    changes: tuple[ResourceChange, ...] = ()


class StackService(Protocol):
    """Stacks of infrastructure. A stack is named by its name, or by its id, which also names a deleted one."""

    def find(self, stack: str) -> Stack | None:
        """Return a stack as it is, None if there is none. Raises: RemoteError."""
        ...

    def resources(self, stack: str) -> Sequence[StackResource]:
        """Return the resources of a stack. Raises: RemoteError."""
        ...

    def propose(self, proposal: Proposal) -> str:
        """Ask what would change, and return the id of the change set. Raises: ChangedMeanwhile; RemoteError."""
        ...

    def proposed(self, change_set: str) -> Proposed:
        """Return what is known of a change set. Raises: RemoteError."""
        ...

    def withdraw(self, change_set: str) -> None:
        """Remove a change set; none is as good. Raises: RemoteError."""
        ...

    def has_proposals(self, stack: str) -> bool:
        """Return whether a stack has change sets. Raises: RemoteError."""
        ...

    def execute(self, stack: str, change_set: str, token: str) -> None:
        """Begin what a change set says; the same `token` twice is once. Raises: ChangedMeanwhile; RemoteError."""
        ...

    def delete(self, stack: str, token: str) -> None:
        """Begin to remove a stack. Raises: RemoteError."""
        ...

    def continue_rollback(self, stack: str, token: str) -> None:
        """Begin once more to undo a change whose rollback has failed. Raises: RemoteError."""
        ...

    def last_event(self, stack: str) -> str | None:
        """Return the id of what has happened last, None if nothing has. Raises: RemoteError."""
        ...

    def events(self, stack: str, after: str | None) -> Sequence[StackEvent]:
        """Return what has happened since the event `after`, or ever, in the order of time. Raises: RemoteError."""
        ...


class BucketService(Protocol):
    """What is in buckets."""

    def count(self, bucket: str, most: int) -> int | None:
        """Return how many versions of objects a bucket holds, at most `most`; None without such a bucket.

        Raises: RemoteError.
        """
        ...

    def empty(self, bucket: str) -> int:
        """Remove every version of every object, and return how many. Raises: RemoteError."""
        ...


class TemplateStore(Protocol):
    """Where a template is put that is too large for a request, and what is to lie in the buckets of a stack."""

    def put(self, url: str, content: bytes) -> None:
        """Store `content` at `url`, `s3://…`. Raises: RemoteError."""
        ...

    def put_file(self, url: str, path: Path) -> None:
        """Store the file at `path` at `url`, `s3://…`. Raises: RemoteError; SettingsError if it is unreadable."""
        ...

    def delete(self, url: str) -> None:
        """Remove what is at `url`; nothing there is no error. Raises: RemoteError."""
        ...

    def size(self, url: str) -> int | None:
        """Return how many bytes the object at `url` has, None if there is none. Raises: RemoteError."""
        ...

    def https(self, url: str) -> str:
        """Return the URL under which CloudFormation reads what is at `url`."""
        ...


class TemplateFiles(Protocol):
    """Templates of other people, by the names they are given."""

    def is_folder(self, name: str) -> bool:
        """Whether `name` is a folder."""
        ...

    def read(self, name: str) -> str:
        """Return the text of a file, or of standard input for `-`. Raises: SettingsError if it is unreadable."""
        ...

    def inside(self, folder: str, name: str) -> str:
        """Return the name of the file `name` that one in `folder` names. Raises: SettingsError if it leads out."""
        ...
