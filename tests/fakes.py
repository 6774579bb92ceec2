"""Stand-ins for the ports, in memory: they keep the promises that `glue_pkgmgr.ports` writes down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import LAUNCH_ID, JobRun, JobRunId, JobRunState, LogLine, requirements_file
from glue_pkgmgr.core.launch_id import attempt_of
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, Recorded, RecordedRelease
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, RepositoryLinks, Status
from glue_pkgmgr.core.request import Request
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.core.workflow import Execution
from glue_pkgmgr.errors import IndexAccessError, NoCapacity, NotInstallable, RemoteError
from glue_pkgmgr.ports import Asset, CopyRefusal, NoAnswer, NotCopied, PackageIndex, ResolvedRelease, VisibleIndex

ENDPOINT = "http://127.0.0.1:9/pypi/"


@dataclass
class FakeTime:
    """A clock that only `sleep` moves."""

    now: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now.timestamp()


@dataclass
class FakeRepository:
    """One repository as the API, as the index and as the place to upload to; `events` tells what was done.

    `lag` is how many times a page is asked for before anything shows on it; `lie` maps file names to wrong
    digests the index tells; after `fail_after` uploads the connection is broken.
    """

    assets_by_release: dict[tuple[ProjectName, Version], dict[str, Asset]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    lag: int = 0
    lie: dict[str, str] = field(default_factory=dict)
    fail_after: int | None = None

    # Repositories
    def endpoint(self, address: RepositoryAddress) -> str:
        return ENDPOINT

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        return list(self.assets_by_release.get((project, version), {}).values())

    def links(self, address: RepositoryAddress) -> RepositoryLinks:
        return RepositoryLinks(upstreams=(), external_connections=())

    def packages(self, address: RepositoryAddress) -> Mapping[ProjectName, OriginControls]:
        return {name: OriginControls(publish=True, upstream=False) for name, _ in self.assets_by_release}

    def controls(self, address: RepositoryAddress, project: ProjectName) -> OriginControls | None:
        return self.packages(address).get(project)

    def versions(self, address: RepositoryAddress, project: ProjectName) -> Mapping[Version, Status]:
        return {one: Status.PUBLISHED for name, one in sorted(self.assets_by_release) if name == project}

    def brought_in(self, address: RepositoryAddress, project: ProjectName) -> Collection[Version]:
        return frozenset()

    def copy(
        self,
        source: RepositoryAddress,
        target: RepositoryAddress,
        project: ProjectName,
        versions: Collection[Version],
    ) -> Mapping[Version, NotCopied]:
        self.events.append(f"copy {project}")
        return {}

    def delete(self, address: RepositoryAddress, project: ProjectName, version: Version) -> None:
        self.assets_by_release.pop((project, version), None)

    def set_origin(
        self, address: RepositoryAddress, project: ProjectName, *, publish: bool, upstream: bool
    ) -> None:
        self.events.append(f"origin {project} publish={publish} upstream={upstream}")

    # Mint
    def mint(self, lifetime: timedelta) -> IndexUrl:
        self.events.append("mint")
        return IndexUrl(ENDPOINT, AuthorizationToken("fake-token", datetime.max.replace(tzinfo=UTC)))

    # Uploader
    def upload(self, path: Path, *, sha256: str | None = None) -> None:
        if self.fail_after is not None and self.fail_after <= 0:
            raise IndexAccessError("the connection broke")
        if self.fail_after is not None:
            self.fail_after -= 1
        self.put(path.name, path.read_bytes())
        self.events.append(f"upload {path.name}")

    # PackageIndex
    def page(self, project: ProjectName) -> IndexPage | None:
        self.events.append("page")
        self.lag -= 1
        files = [a for (name, _), held in self.assets_by_release.items() if name == project for a in held.values()]
        if self.lag >= 0 or not files:
            return None
        return IndexPage(
            project=project,
            files=tuple(
                IndexFile(
                    filename=asset.filename,
                    url=f"{ENDPOINT}{asset.filename}",
                    hashes={"sha256": self.lie.get(asset.filename, asset.sha256)},
                )
                for asset in files
            ),
        )

    def download(self, url: str, target: Path, sha256: str) -> None:
        raise IndexAccessError(f"{url} is not kept by the fake")

    def put(self, filename: str, content: bytes) -> None:
        """Hold `content` under `filename`, as an upload of somebody else would."""
        file = parse_filename(filename)
        held = self.assets_by_release.setdefault((file.project, file.version), {})
        sha256 = hashlib.sha256(content).hexdigest()
        if filename in held and held[filename].sha256 != sha256:
            raise NotInstallable(f"{filename} is there with other bytes")
        held[filename] = Asset(filename=filename, sha256=sha256, size=len(content))


@dataclass
class FakeCodeArtifact:
    """Repositories by name, and the tokens of their domain; `events` tells what was done, in order.

    `tamper` maps file names to the digest they have after a copy. `broken` maps an event, or its first word, to
    the error it ends in. `outsiders` came from the public index. With `blocks_copies` origin controls hold for
    copies too.
    """

    held: dict[str, dict[tuple[ProjectName, Version], dict[str, Asset]]] = field(default_factory=dict)
    tamper: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    status: dict[tuple[str, ProjectName, Version], Status] = field(default_factory=dict)
    controls_held: dict[tuple[str, ProjectName], OriginControls] = field(default_factory=dict)
    behind: dict[str, RepositoryLinks] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    outsiders: dict[tuple[str, ProjectName], frozenset[Version]] = field(default_factory=dict)
    blocks_copies: bool = False
    hides_empty: bool = False

    def put(self, repository: str, filename: str, sha256: str) -> None:
        """Hold a file with that digest."""
        file = parse_filename(filename)
        release = self.held.setdefault(repository, {}).setdefault((file.project, file.version), {})
        release[filename] = Asset(filename=filename, sha256=sha256, size=1)
        self.controls_held.setdefault((repository, file.project), OriginControls(publish=False, upstream=True))

    def _tell(self, event: str) -> None:
        self.events.append(event)
        if error := self.broken.get(event) or self.broken.get(event.partition(" ")[0]):
            raise error

    # Repositories
    def endpoint(self, address: RepositoryAddress) -> str:
        self.events.append(f"endpoint {address.repository}")
        return ENDPOINT

    def links(self, address: RepositoryAddress) -> RepositoryLinks:
        return self.behind.get(address.repository, RepositoryLinks(upstreams=(), external_connections=()))

    def packages(self, address: RepositoryAddress) -> Mapping[ProjectName, OriginControls]:
        of_all = sorted(self.controls_held.items())
        found = {project: controls for (name, project), controls in of_all if name == address.repository}
        if not self.hides_empty:
            return found
        return {project: controls for project, controls in found.items() if self.versions(address, project)}

    def controls(self, address: RepositoryAddress, project: ProjectName) -> OriginControls | None:
        return self.controls_held.get((address.repository, project))

    def versions(self, address: RepositoryAddress, project: ProjectName) -> Mapping[Version, Status]:
        held = self.held.get(address.repository, {})
        found = sorted(version for name, version in held if name == project)
        return {one: self.status.get((address.repository, project, one), Status.PUBLISHED) for one in found}

    def brought_in(self, address: RepositoryAddress, project: ProjectName) -> Collection[Version]:
        return self.outsiders.get((address.repository, project), frozenset())

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        if error := self.broken.get(f"assets {project}=={version}"):
            raise error
        return list(self.held.get(address.repository, {}).get((project, version), {}).values())

    def copy(
        self,
        source: RepositoryAddress,
        target: RepositoryAddress,
        project: ProjectName,
        versions: Collection[Version],
    ) -> Mapping[Version, NotCopied]:
        self._tell(f"copy {project}=={','.join(map(str, versions))}")
        reasons = {version: self._copy(source, target, project, version) for version in versions}
        return {
            version: NotCopied(reason=reason, detail=f"{project}=={version}: {reason.value}")
            for version, reason in reasons.items()
            if reason is not None
        }

    def _copy(
        self, source: RepositoryAddress, target: RepositoryAddress, project: ProjectName, version: Version
    ) -> CopyRefusal | None:
        release = self.held.get(source.repository, {}).get((project, version))
        if release is None:
            return CopyRefusal.ABSENT
        controls = self.controls_held.get((target.repository, project))
        if self.blocks_copies and controls is not None and not controls.publish:
            return CopyRefusal.BLOCKED
        there = self.held.get(target.repository, {}).get((project, version))
        if there is not None and there != release:
            return CopyRefusal.OCCUPIED
        for asset in release.values():
            self.put(target.repository, asset.filename, self.tamper.get(asset.filename, asset.sha256))
        return None

    def delete(self, address: RepositoryAddress, project: ProjectName, version: Version) -> None:
        self._tell(f"delete {project}=={version}")
        self.held.get(address.repository, {}).pop((project, version), None)
        self.status.pop((address.repository, project, version), None)

    def set_status(
        self,
        address: RepositoryAddress,
        project: ProjectName,
        version: Version,
        status: Status,
        *,
        expected: Status,
    ) -> None:
        self._tell(f"status {project}=={version} {status}")
        held = self.versions(address, project).get(version)
        if held is not expected:
            raise RemoteError(f"{project}=={version} is {held}, expected was {expected}")
        self.status[address.repository, project, version] = status

    def set_origin(
        self, address: RepositoryAddress, project: ProjectName, *, publish: bool, upstream: bool
    ) -> None:
        self._tell(f"origin {project} publish={publish} upstream={upstream}")
        self.controls_held[address.repository, project] = OriginControls(publish=publish, upstream=upstream)

    # TokenIssuer
    def issue(self, domain: str, owner: str, lifetime: timedelta) -> AuthorizationToken:
        self.events.append(f"token {int(lifetime.total_seconds())}")
        return AuthorizationToken("fake-token", FakeTime().now + lifetime)


@dataclass
class FakeJobs:
    """Job definitions, and runs that take one step through their `states` each time they are read.

    With `script`, a run is what it returns for its job and id, and the latest runs of a job those of `known`.
    `calls` tells what was asked; the error in `broken` ends every reading.
    A start ends in the next of `refusals`, if there is one; it is carried out and its answer lost where `lost`
    says so. `begun` are the runs that were started, newest first; for `hidden` looks a launch is not found in
    them, and a look ends in the next of `looks`. `asked` tells what was asked before and at a start.
    """

    definitions: dict[str, Mapping[str, object]] = field(default_factory=dict)
    states: list[JobRunState] = field(default_factory=lambda: [JobRunState.SUCCEEDED])
    known: dict[str, list[JobRun]] = field(default_factory=dict)
    started: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    stopped: list[JobRunId] = field(default_factory=list)
    begun: list[JobRun] = field(default_factory=list)
    hidden: int = 0
    looks: list[Exception | None] = field(default_factory=list)
    full: bool = False
    script: Callable[[str, JobRunId], JobRun] | None = None
    calls: list[str] = field(default_factory=list)
    broken: Exception | None = None
    refusals: list[Exception | None] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def definition(self, job: str) -> Mapping[str, object] | None:
        self.asked.append(f"definition {job}")
        return self.definitions.get(job)

    def create(self, definition: Mapping[str, object]) -> None:
        self.asked.append(f"create {definition['Name']}")
        self.definitions[str(definition["Name"])] = dict(definition)

    def update(self, definition: Mapping[str, object]) -> None:
        self.asked.append(f"update {definition['Name']}")
        if definition["Name"] not in self.definitions:
            raise RemoteError(f"there is no job {definition['Name']}")
        self.definitions[str(definition["Name"])] = dict(definition)

    def start(self, job: str, arguments: Mapping[str, str]) -> JobRunId:
        self.asked.append("start")
        if self.refusals and (refusal := self.refusals.pop(0)) is not None:
            raise refusal
        if self.full:
            raise NoCapacity(f"{job} runs as often as it may")
        self.started.append((job, dict(arguments)))
        run = JobRun(
            job=job,
            id=JobRunId(f"jr_{len(self.started)}"),
            state=JobRunState.STARTING,
            launch_id=arguments.get(LAUNCH_ID),
            requirements_file=requirements_file(arguments),
            started=FakeTime().now + timedelta(seconds=len(self.started)),
        )
        self.begun.insert(0, run)
        if self.lost and self.lost.pop(0):
            raise NoAnswer(f"no answer about {job}")
        return run.id

    def launched(self, job: str, launch: str, most: int) -> Sequence[JobRun]:
        self.asked.append("launched")
        if self.hidden > 0:
            self.hidden -= 1
            return []
        if self.looks and (trouble := self.looks.pop(0)) is not None:
            raise trouble
        found = [run for run in self.begun if attempt_of(launch, run.launch_id)][:most]
        return sorted(found, key=lambda run: attempt_of(launch, run.launch_id), reverse=True)

    def run(self, job: str, run: JobRunId) -> JobRun:
        self._ask("GetJobRun")
        if self.script is not None:
            return self.script(job, run)
        if (found := self.find(job, run)) is not None:
            return found
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        passed = self.started[-1][1] if self.started else {}
        return JobRun(job=job, id=run, state=state, requirements_file=requirements_file(passed))

    def find(self, job: str, run: JobRunId) -> JobRun | None:
        return next((one for one in self.known.get(job, ()) if one.id == run), None)

    def _ask(self, call: str) -> None:
        self.calls.append(call)
        if self.broken:
            raise self.broken

    def runs(self, job: str, most: int) -> Sequence[JobRun]:
        self._ask("GetJobRuns")
        if self.script is not None:
            return [self.script(job, one.id) for one in self.known.get(job, [])[:most]]
        if job not in self.definitions:
            raise RemoteError(f"there is no job {job}")
        return self.known.get(job, [])[:most]

    def stop(self, job: str, run: JobRunId) -> None:
        self.stopped.append(run)


@dataclass
class FakeStateMachines:
    """Executions that are, one after the other each time one is looked at, what `ends` has; the last stays.

    `started` tells what was started: state machine, content and name.
    """

    ends: list[Execution] = field(default_factory=list)
    started: list[tuple[str, str, str | None]] = field(default_factory=list)

    def start(self, machine: str, content: str, name: str | None) -> str:
        self.started.append((machine, content, name))
        return f"arn:aws:states:us-east-1:111122223333:execution:{machine}:{name or len(self.started)}"

    def describe(self, execution: str) -> Execution:
        return replace(self.ends.pop(0) if len(self.ends) > 1 else self.ends[0], arn=execution)


@dataclass
class FakeLogs:
    """Log lines: each reading gives the next batch, then nothing for ever. `readings` counts them.

    With `of` each run has batches of its own, by its id. While `trouble` is set readings fail.
    """

    batches: list[list[LogLine]] = field(default_factory=list)
    of: dict[str, list[list[LogLine]]] = field(default_factory=dict)
    trouble: str | None = None
    readings: int = 0

    def open(self, run: JobRun, *, executors: bool = False) -> FakeReader:
        return FakeReader(self, list(self.of.get(run.id, self.batches)))


@dataclass
class FakeReader:
    """Reads `FakeLogs` from the beginning."""

    logs: FakeLogs
    left: list[list[LogLine]]
    calls: int = 2
    more: bool = False

    @property
    def trouble(self) -> str | None:
        return self.logs.trouble

    def read(self) -> Sequence[LogLine]:
        self.logs.readings += 1
        return self.left.pop(0) if self.left and self.trouble is None else []


@dataclass
class FakeStaging:
    """Objects by URL; deleting fails as often as `refuse_deletes` says, writing while `refuse_puts`."""

    objects: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    refuse_deletes: int = 0
    refuse_puts: bool = False

    def put(self, url: str, content: bytes) -> None:
        self.objects[url] = content
        if self.refuse_puts:  # the answer was lost, the object was not
            raise RemoteError(f"could not write {url}")

    def put_file(self, url: str, path: Path) -> None:
        content = path.read_bytes()
        if url not in self.objects or len(self.objects[url]) != len(content):
            self.objects[url] = content

    def size(self, url: str) -> int | None:
        return len(self.objects[url]) if url in self.objects else None

    def delete(self, url: str) -> None:
        if self.refuse_deletes > 0:
            self.refuse_deletes -= 1
            raise RemoteError(f"could not delete {url}")
        self.deleted.append(url)
        self.objects.pop(url, None)


@dataclass
class FakeIndex:
    """An index of files given as name and content; `broken` makes every read fail."""

    files: dict[str, bytes] = field(default_factory=dict)
    uploaded: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    broken: bool = False
    asked: list[ProjectName] = field(default_factory=list)

    def page(self, project: ProjectName) -> IndexPage | None:
        self.asked.append(project)
        if self.broken:
            raise IndexAccessError("the index answered 500")
        found = [name for name in self.files if parse_filename(name).project == project]
        return IndexPage(project=project, files=tuple(map(self.listed, found))) if found else None

    def listed(self, filename: str) -> IndexFile:
        content = self.files[filename]
        return IndexFile(
            filename=filename,
            url=f"{ENDPOINT}{filename}",
            hashes={"sha256": hashlib.sha256(content).hexdigest()},
            size=len(content),
            upload_time=self.uploaded,
        )

    def download(self, url: str, target: Path, sha256: str) -> None:
        content = self.files.get(url.rpartition("/")[2])
        if content is None:
            raise IndexAccessError(f"{url} answered 404")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise NotInstallable(f"{url} is not what was promised")
        target.write_bytes(content)


@dataclass
class FakeMetadata:
    """Reads metadata that was written down by file name."""

    held: dict[str, bytes] = field(default_factory=dict)

    def read(self, index: PackageIndex, file: IndexFile) -> bytes:
        return self.held.get(file.filename, b"")

    def read_file(self, wheel: Path) -> bytes:
        return self.held.get(wheel.name, b"")


@dataclass
class FakeResolver:
    """Answers with `answer` after having looked at the pages of `looks_at`, or raises what it is given."""

    answer: Sequence[ResolvedRelease] | Exception = ()
    looks_at: Sequence[ProjectName] = ()
    asked: int = 0
    preferred: dict[ProjectName, Version] = field(default_factory=dict)

    def resolve(
        self,
        request: Request,
        runtime: GlueRuntime,
        index: VisibleIndex,
        preferred: Mapping[ProjectName, Version],
    ) -> Sequence[ResolvedRelease]:
        self.asked += 1
        self.preferred = dict(preferred)
        for project in (*self.looks_at, *(item.project for item in request)):
            index.page(project)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class FakeRecords:
    """Records of launches by their id; `asked` counts the reads."""

    held: dict[str, LaunchRecord] = field(default_factory=dict)
    asked: int = 0

    def add(self, record: LaunchRecord) -> None:
        if record.run or record.end:
            self.complete(record.launch, record.run, record.end)
        else:
            self.held[record.launch] = record

    def complete(self, launch: str, run: JobRunId | None, end: LaunchEnd | None = None) -> None:
        if held := self.held.get(launch):
            self.held[launch] = replace(held, run=run or held.run, end=end or held.end)

    def read(self, wanted: Callable[[RecordedRelease], bool] | None = None) -> Recorded:
        self.asked += 1
        found = (one for one in self.held.values() if wanted is None or any(map(wanted, one.releases)))
        return Recorded(launches=tuple(found))

    def all(self) -> Sequence[LaunchRecord]:
        return self.read().launches
