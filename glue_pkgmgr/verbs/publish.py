"""Verb: the files of internal releases get into the repository, and are seen to be usable from there.

First a plan of everything, which changes nothing; then, if nothing speaks against any of it, release by release:
the name closed to others, the uploads, the index watched until it serves them, the release installed from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING

from packaging.metadata import parse_email
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.publish_plan import (
    OURS_ALONE,
    PublishPlan,
    Standing,
    in_order,
    plan_release,
    release_of,
    token_time,
)
from glue_pkgmgr.core.publish_record import Commit, PublishRecord
from glue_pkgmgr.core.release_checks import Finding, Level, errors_of
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.ports import (
    Clock,
    MetadataReader,
    Mint,
    OpenIndex,
    OpenUploader,
    PackageIndex,
    Progress,
    Prover,
    PublishRecords,
    Repositories,
)
from glue_pkgmgr.verbs.at_once import at_once

if TYPE_CHECKING:
    from glue_pkgmgr.core.built_project import BuildInputs

_PATIENCE = timedelta(seconds=60)  # CodeArtifact usually shows an upload within a second
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 2.0
_UPLOADS_AT_ONCE = 4  # more do not fill a line any better, and more are cut off by an interruption


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The files of one release that are to be published, and the folder whose commit they come from.

    `findings` is what the build found in them, None for files that were built elsewhere.
    """

    files: tuple[BuiltFile, ...]
    folder: Path
    findings: tuple[Finding, ...] | None = None
    inputs: BuildInputs | None = None

    @property
    def project(self) -> ProjectName:
        """The project of the files."""
        return self.files[0].distribution.project

    @property
    def version(self) -> Version:
        """The version of the files."""
        return self.files[0].distribution.version


def candidates_of(files: Iterable[BuiltFile], folder: Path) -> list[Candidate]:
    """Return `files`, built from what lies in `folder`, by release."""
    by_release: dict[Release, list[BuiltFile]] = {}
    for file in files:
        by_release.setdefault((file.distribution.project, file.distribution.version), []).append(file)
    return [Candidate(files=tuple(found), folder=folder) for found in by_release.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A release to publish, and what publishing it would do."""

    candidate: Candidate
    plan: PublishPlan


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Publishes releases of `internal` projects to the repository `approved`, safely to repeat and to interrupt.

    `inspect` returns what is found in files, and each error is a reason to refuse; `check_upload` raises
    SettingsError for a file that no index accepts. `commit_of` tells the commit of a folder, `actor` who
    publishes. They are asked only about what is to be uploaded. `describe` is given each release that is there.
    """

    approved: RepositoryAddress
    store: RepositoryAddress
    internal: frozenset[ProjectName]
    repositories: Repositories
    mint: Mint
    open_index: OpenIndex
    open_uploader: OpenUploader
    inspect: Callable[[Sequence[BuiltFile]], Sequence[Finding]]
    check_upload: Callable[[Path], object]
    metadata: MetadataReader
    prover: Prover
    records: PublishRecords
    commit_of: Callable[[Path], Commit | None]
    actor: Callable[[], str]
    clock: Clock
    progress: Progress
    sleep: Callable[[float], None] = field(default=time.sleep)
    describe: Callable[[Candidate], None] = field(default=lambda candidate: None)

    def plan(self, candidates: Sequence[Candidate]) -> list[Planned]:
        """Return what publishing `candidates` would do, each after those of them that it requires.

        Nothing is changed; reasons to refuse are in the plans. Requirements are those of the wheels.

        Raises: SettingsError for a project that is not internal, a file that is not fit to be published, a release
        given twice or a circle of requirements; RemoteError; IndexAccessError.
        """
        for candidate in candidates:
            release_of(candidate.files)
            _require_once(candidate.files)
        self._require_internal(candidates)
        by_release = {(one.project, one.version): one for one in candidates}
        if len(by_release) < len(candidates):
            raise SettingsError("a release is given twice; name every project once")
        return [self._planned(one) for one in self._in_order(candidates)]

    def publish(self, planned: Sequence[Planned]) -> list[PublishRecord]:
        """Do what was `planned`, in its order, and return a record of each release.

        A release whose files are all there is left alone: no token is minted for it and nothing is written, and
        its record is that of its publication if it was published from here. Only a publication that was
        interrupted before it was proven is brought to its end.

        Raises: NotInstallable with every reason to refuse, before anything is changed. The first failure ends it,
        and its text says what is published and what is not: NotInstallable; IndexAccessError; RemoteError;
        SettingsError when no record can be written.
        """
        require_nothing_refused(one.plan for one in planned)
        records: list[PublishRecord] = []
        for one in planned:
            for warning in one.plan.warnings:
                self.progress(f"warning: {warning}")
            with _saying_the_state(records, planned):
                record = self._publish(one)
                # Now, not when all are published: of those before one that fails it would never be done.
                self.describe(one.candidate)
                records.append(record)
        return records

    # --- the plan

    def _require_internal(self, candidates: Sequence[Candidate]) -> None:
        outsiders = sorted({one.project for one in candidates} - self.internal)
        if outsiders:
            raise SettingsError(
                f"{', '.join(outsiders)} {'is' if len(outsiders) == 1 else 'are'} not listed as internal, so not "
                "published; what is yours alone belongs to `internal` under [policy] in the settings: then it can "
                "come from nowhere else"
            )

    def _in_order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        requires: dict[ProjectName, set[str]] = {}
        for one in candidates:
            requires.setdefault(one.project, set()).update(self._requirements(one) if len(candidates) > 1 else ())
        place = {project: number for number, project in enumerate(in_order(requires))}
        return sorted(candidates, key=lambda one: (place[one.project], one.version))

    def _requirements(self, candidate: Candidate) -> Iterator[str]:
        for file in candidate.files:
            if file.distribution.is_wheel:
                yield from parse_email(self.metadata.read_file(file.path))[0].get("requires_dist", [])

    def _planned(self, candidate: Candidate) -> Planned:
        known = self._known(candidate)
        absent = [file for file in candidate.files if file.filename not in known.files]
        if not absent:  # nothing will be uploaded: whose the name is was decided before
            return Planned(candidate=candidate, plan=plan_release(candidate.files, known, self.approved))
        with ThreadPoolExecutor(1) as pool:
            # Meanwhile the files are read: it takes about as long as the answers.
            standing = pool.submit(self._with_others, candidate.project, known)
            faults, found = self._faults(absent), self._found(absent, candidate)
        plan = plan_release(candidate.files, standing.result(), self.approved)
        refusals = (*plan.refusals, *map(str, errors_of(found)))
        if faults:
            raise SettingsError("\n".join((*faults, *refusals)))
        warnings = [str(one) for one in found if one.level is Level.WARNING]
        return Planned(
            candidate=candidate, plan=replace(plan, refusals=refusals, warnings=(*plan.warnings, *warnings))
        )

    def _faults(self, files: Sequence[BuiltFile]) -> list[str]:
        """Return why no index accepts some of `files`, a sentence for each."""
        faults = []
        for file in files:
            try:
                self.check_upload(file.path)
            except SettingsError as e:
                faults.append(str(e))
        return faults

    def _found(self, files: Sequence[BuiltFile], candidate: Candidate) -> Sequence[Finding]:
        return self.inspect(files) if candidate.findings is None else candidate.findings

    def _known(self, candidate: Candidate) -> Standing:
        """Return what the repository holds itself of the project of `candidate`."""
        project = candidate.project
        controls = self.repositories.controls(self.approved, project)
        if controls is None:
            return Standing(controls=None, versions={}, files={})
        versions = self.repositories.versions(self.approved, project)
        held = candidate.version in versions
        assets = self.repositories.assets(self.approved, project, candidate.version) if held else ()
        files = {asset.filename: asset.sha256 for asset in assets}
        return Standing(controls=controls, versions=versions, files=files)

    def _with_others(self, project: ProjectName, known: Standing) -> Standing:
        """Add to `known` what there is of other people's projects of the same name."""
        brought_in = self.repositories.brought_in(self.approved, project) if known.versions else ()
        links = self.repositories.links(self.approved)
        upstreams = (*links.upstreams, *links.external_connections)
        offered: Sequence[Version] = ()
        if upstreams and (known.controls is None or known.controls.upstream):
            offered = self._offered(project, known)
        return replace(
            known,
            brought_in=sorted(brought_in),
            upstreams=upstreams,
            offered=offered,
            in_store=self._in_store(project),
        )

    def _offered(self, project: ProjectName, known: Standing) -> list[Version]:
        """Return the versions on the index page that the repository does not hold itself."""
        page = self.open_index(self.mint(SHORTEST)).page(project)
        found: set[Version] = set()
        for file in page.files if page else ():
            try:
                found.add(parse_filename(file.filename).version)
            except InvalidFilename:
                continue
        return sorted(found - set(known.versions))

    def _in_store(self, project: ProjectName) -> list[Version]:
        # What the store holds, by the API alone: its index would ask the public one for a name of ours.
        try:
            return sorted(self.repositories.brought_in(self.store, project))
        except RemoteError:
            return []  # who publishes need not be allowed to look into the store, and it is only for a warning

    # --- the deed

    def _publish(self, planned: Planned) -> PublishRecord:
        candidate, plan = planned.candidate, planned.plan
        if not plan.new:
            return self._already_published(planned)
        if plan.closes:
            self.repositories.set_origin(
                self.approved, plan.project, publish=OURS_ALONE.publish, upstream=OURS_ALONE.upstream
            )
        with ThreadPoolExecutor() as pool:
            commit, actor = pool.submit(self.commit_of, candidate.folder), pool.submit(self.actor)
            url = self._minted(token_time(plan.new))
        record = PublishRecord(
            project=plan.project,
            version=plan.version,
            repository=self.approved,
            index=url.plain,
            uploaded=plan.new,
            already=plan.held,
            time=self.clock(),
            commit=commit.result(),
            actor=actor.result(),
        )
        # Before the first upload, and without a proof: should we be killed, the next run knows what is left to do.
        self.records.add(record)
        self._upload(plan.new, url)
        return self._proven(record, candidate, url)

    def _upload(self, files: Sequence[BuiltFile], url: IndexUrl) -> None:
        opened = local()  # an uploader keeps a connection, and is for one thread

        def upload(file: BuiltFile) -> None:
            if not hasattr(opened, "uploader"):
                opened.uploader = self.open_uploader(url)
            self.progress(f"uploading {file.filename} to {self.approved}")
            with self._unless_it_is_there(file):
                opened.uploader.upload(file.path, sha256=file.sha256)

        # The first one alone: what keeps it from being taken keeps all of them, and is told once.
        upload(files[0])
        at_once(upload, files[1:], most=_UPLOADS_AT_ONCE)

    def _already_published(self, planned: Planned) -> PublishRecord:
        plan = planned.plan
        before = self.records.find(plan.project, plan.version)
        recorded = (
            before is not None
            and before.repository == self.approved  # a record of another one tells nothing about this one
            and before.digests == {file.filename: file.sha256 for file in plan.held}
        )
        if before is not None and recorded and before.proof is None:
            self.progress(f"{plan} was uploaded by a run that did not come to its end")
            return self._proven(before, planned.candidate, self._minted(SHORTEST))
        self.progress(f"{plan} is already published in {self.approved}")
        if before is not None and recorded:
            return replace(before, uploaded=(), already=plan.held)
        return PublishRecord(
            project=plan.project,
            version=plan.version,
            repository=self.approved,
            index=f"{self.repositories.endpoint(self.approved)}simple/",
            uploaded=(),
            already=plan.held,
            time=self.clock(),
        )

    def _minted(self, lifetime: timedelta) -> IndexUrl:
        """Return a new index URL. Raises: SettingsError when this machine's clock makes its token useless."""
        url, now = self.mint(lifetime), self.clock()
        if url.token.expired(now):
            raise SettingsError(
                f"a token minted just now is said to have expired at {url.token.expires_at:%H:%M:%S} UTC, and "
                f"here it is {now:%H:%M:%S} UTC: this machine's clock is wrong; set it and run again"
            )
        return url

    @contextmanager
    def _unless_it_is_there(self, file: BuiltFile) -> Iterator[None]:
        """Let a conflict pass if the very bytes have arrived meanwhile: by another run, or a try unanswered."""
        try:
            yield
        except NotInstallable:
            project, version = file.distribution.project, file.distribution.version
            held = self.repositories.assets(self.approved, project, version)
            if (file.filename, file.sha256) not in {(asset.filename, asset.sha256) for asset in held}:
                raise

    def _proven(self, record: PublishRecord, candidate: Candidate, url: IndexUrl) -> PublishRecord:
        """Return `record` with the proof that the release can be used, and keep it."""
        index = self.open_index(url)
        self.progress(f"waiting until the index serves {record}")
        self._wait_until_served(index, record.project, candidate.files)
        self.progress(f"installing {record} from the index")
        proven = replace(record, proof=self.prover.prove(candidate.files, url, index))
        self.records.add(proven)
        return proven

    def _wait_until_served(self, index: PackageIndex, project: ProjectName, files: Sequence[BuiltFile]) -> None:
        deadline = self.clock() + _PATIENCE
        pause = _FIRST_PAUSE
        while missing := _missing(index, project, files):
            if self.clock() >= deadline:
                raise IndexAccessError(
                    f"uploaded, but after {_PATIENCE.seconds} s the index still does not serve "
                    f"{', '.join(missing)}; run again to check: nothing is uploaded twice"
                )
            self.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)


def _require_once(files: Iterable[BuiltFile]) -> None:
    first: dict[str, BuiltFile] = {}
    for file in files:
        # Where they differ, the second would be refused when the first is published already.
        if (before := first.setdefault(file.filename, file)) is not file:
            raise SettingsError(
                f"{file.filename} is given twice, as {before.path} and as {file.path}; name every file once"
            )


def require_nothing_refused(plans: Iterable[PublishPlan]) -> None:
    """Raises: NotInstallable with every reason in `plans` not to publish; nothing was published then."""
    refusals = [refusal for plan in plans for refusal in plan.refusals]
    if refusals:
        raise NotInstallable("\n".join(refusals))


@contextmanager
def _saying_the_state(records: Sequence[PublishRecord], planned: Sequence[Planned]) -> Iterator[None]:
    """Add to an error which releases are published and which are not; of one release that goes without saying."""
    try:
        yield
    except GluePkgmgrError as e:
        if len(planned) > 1:
            done = ", ".join(map(str, records)) or "nothing"
            left = ", ".join(str(one.plan) for one in planned[len(records) + 1 :]) or "nothing"
            stopped = planned[len(records)].plan
            # The kind of the error stays, and with it the exit status.
            e.args = (f"{e}\nstopped at {stopped}; done before: {done}; not begun: {left}", *e.args[1:])
        raise


def _missing(index: PackageIndex, project: ProjectName, files: Sequence[BuiltFile]) -> list[str]:
    """Return the names of `files` the index does not serve yet. Raises: NotInstallable for other bytes."""
    page = index.page(project)
    served = {file.filename: file.sha256 for file in page.files} if page else {}
    for file in files:
        if file.filename in served and served[file.filename] != file.sha256:
            raise NotInstallable(
                f"the index serves {file.filename} with SHA-256 {served[file.filename]}, uploaded was "
                f"{file.sha256}; do not use this release before it is known who changed it"
            )
    return [file.filename for file in files if file.filename not in served]
