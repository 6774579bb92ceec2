"""A project: its settings, wired to the outside, with every verb as a method."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from glue_pkgmgr import verbs
from glue_pkgmgr.core import lock_faults
from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl, token_lifetime
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.request import Request, parse_items, parse_request
from glue_pkgmgr.core.runtime import GlueRuntime, glue_runtime
from glue_pkgmgr.errors import NotApproved, NotInstallable, SettingsError
from glue_pkgmgr.launching import FoundLock, Launching, Modules, Wish
from glue_pkgmgr.ports import silent, utc_now
from glue_pkgmgr.settings import FILENAME, JobSettings, Settings, load_settings
from glue_pkgmgr.wiring import Wiring

if TYPE_CHECKING:
    from glue_pkgmgr.core.allowlist import AllowList, Approval
    from glue_pkgmgr.core.built_file import BuiltFile
    from glue_pkgmgr.core.built_project import BuiltProject
    from glue_pkgmgr.core.function_archive import FunctionArchive
    from glue_pkgmgr.core.job import Delivery, JobRun, LogLine
    from glue_pkgmgr.core.lockfile import Lock, Pin
    from glue_pkgmgr.core.policy import Policy
    from glue_pkgmgr.core.publish_plan import PublishPlan
    from glue_pkgmgr.core.publish_record import PublishRecord
    from glue_pkgmgr.core.release_checks import Finding as ReleaseFinding
    from glue_pkgmgr.core.release_checks import ReleaseRules
    from glue_pkgmgr.core.stack_change import StackChange
    from glue_pkgmgr.infra.plan import Place, StackPlan
    from glue_pkgmgr.local.lifecycle import StandInStatus
    from glue_pkgmgr.local.state import StandIn
    from glue_pkgmgr.ports import Clock, Progress
    from glue_pkgmgr.run import Run
    from glue_pkgmgr.verbs.carry import Exported, Imported
    from glue_pkgmgr.verbs.check import Checked
    from glue_pkgmgr.verbs.doctor import Finding
    from glue_pkgmgr.verbs.follow import Event
    from glue_pkgmgr.verbs.init import Beginnings
    from glue_pkgmgr.verbs.launch import JobArguments, Launched
    from glue_pkgmgr.verbs.lock import Locked
    from glue_pkgmgr.verbs.mirrored import MirrorReport, Places, Unlocked
    from glue_pkgmgr.verbs.preflight import Preflight
    from glue_pkgmgr.verbs.publish import Candidate, Publisher
    from glue_pkgmgr.verbs.resolve import MissingApproval, Refusal, Resolution
    from glue_pkgmgr.verbs.runs import RunsUsing
    from glue_pkgmgr.verbs.stack import Agree, AgreeRemoval, Deployed, Destroyed, LateObject, WantedStack
    from glue_pkgmgr.verbs.withdraw import OwnRelease, Restored, Uses, Withdrawn


class Project:
    """The settings of a project and every verb on them. Nothing is contacted before a verb needs it.

    `environ` stands for the process environment: credentials, endpoints, pip's configuration, cache folder. With
    `locked_only` nothing is resolved: a request is answered from the locks there are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
        progress: Progress = silent,
        locked_only: bool = False,
    ) -> None:
        self.settings = settings
        self._locked_only = locked_only
        self._environ = dict(os.environ if environ is None else environ)
        self.clock = clock
        self._progress = progress
        self._wiring = Wiring(settings, self._environ, clock, progress)
        self._launching = Launching(
            settings, self._wiring, find_lock=self._lock_for, clock=clock, progress=progress
        )

    @classmethod
    def load(
        cls,
        config: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
        progress: Progress = silent,
    ) -> Project:
        """Return the project of the settings file `config`; without one, `glue-pkgmgr.toml` found here or above.

        Raises: SettingsError.
        """
        return cls(
            load_settings(config or _find_settings(Path.cwd())), environ=environ, clock=clock, progress=progress
        )

    @classmethod
    def init(cls, path: Path = Path(FILENAME), beginnings: Beginnings | None = None) -> Project:
        """Write the settings file `path` and an empty allow-list beside it, and return that project.

        Raises: SettingsError for a value the settings refuse, a file that exists, an unwritable folder.
        """
        written, _ = verbs.init.init(path, beginnings or verbs.init.Beginnings())
        return cls.load(written)

    # --- approvals

    def approve(
        self,
        requests: Sequence[str],
        *,
        by: str,
        reason: str,
        until: date | None = None,
        glue_versions: Iterable[str] = (),
        allow_young: str | None = None,
        allow_yanked: str | None = None,
        licence: str | None = None,
    ) -> list[Approval]:
        """Add approvals such as `boto3==1.40.61`; return what was added.

        `allow_young` and `allow_yanked` are reasons for exceptions of the one release that is named, `licence`
        an SPDX expression that counts instead of what the release states.

        Raises: SettingsError.
        """
        return verbs.approve.approve(
            requests,
            self.settings.policy.allowlist,
            terms=verbs.approve.Terms(
                by=by,
                reason=reason,
                until=until,
                glue_versions=tuple(glue_versions),
                allow_young=allow_young,
                allow_yanked=allow_yanked,
                licence=licence,
            ),
            policy=self.settings.policy,
            today=self.clock().date(),
        )

    def revoke(self, requests: Sequence[str]) -> list[Approval]:
        """Remove approvals from the allow-list; return the removed ones. Raises: SettingsError."""
        return verbs.approve.revoke(requests, self.settings.policy.allowlist)

    def approvals(self) -> AllowList:
        """Return the allow-list. Raises: SettingsError."""
        return verbs.allowlist_file.read_allowlist(self.settings.policy.allowlist)

    def closure(self, request: str, *, glue_version: str | None = None) -> tuple[MissingApproval, ...]:
        """Return every release that `request` needs and nobody approved, the request's own items included.

        The fewest that were found; with them approved, `request` can be locked. Empty if it can be already.

        Raises: SettingsError for a request that is not one; NotInstallable when approvals are not what is
        missing; IndexAccessError; RemoteError.
        """
        items = parse_request(request, self.settings.policy.internal)
        runtime = glue_runtime(glue_version) if glue_version else self._usual_runtime()
        self._progress(f"resolving {', '.join(map(str, items))} for Glue {runtime.version}")
        return verbs.approve.missing(items, self._resolution(runtime, self._readable_locks().values()))

    # --- requests and locks

    def check(self, request: str, *, glue_version: str | None = None) -> Checked:
        """Say whether `request`, such as `boto3,glueutils==0.2.0`, is allowed and installable.

        Without `glue_version`, the one all bundles share counts, or the newest that a bundle names.

        Raises: SettingsError for a request that is not one; NotInstallable when a file is not what was locked
        before; IndexAccessError and RemoteError when resolving was needed and the index could not be read. What
        is refused is in the answer, not raised.
        """
        runtime = glue_runtime(glue_version) if glue_version else self._usual_runtime()
        return self._check(parse_request(request, self.settings.policy.internal), runtime)

    def lock(
        self,
        bundles: Sequence[str] = (),
        *,
        upgrade: Collection[str] | None = None,
        glue_version: str | None = None,
        dry_run: bool = False,
    ) -> list[Locked]:
        """Resolve bundles, all if none is named, and write their locks.

        Versions of the lock before stay where they fit. `upgrade` names the projects that are to get their newest
        allowed version instead; empty means all. `glue_version` resolves for another one than the bundle's, for
        `dry_run` only, which writes nothing.

        Raises: NotApproved; NotInstallable; IndexAccessError; SettingsError.
        """
        if glue_version and not dry_run:
            raise SettingsError(
                "another Glue version is for a dry run; to lock for it, change glue-version in the settings"
            )
        projects = None if upgrade is None else frozenset(map(project_name, upgrade))
        runtime = glue_runtime(glue_version) if glue_version else None
        wanted, held = self._bundles(bundles), self._readable_locks()
        verbs.lock.require_known(projects or (), wanted, held.values())
        made = []
        for bundle in wanted:
            made.append(self._lock_bundle(bundle, projects, runtime, held, write=not dry_run))
            if not dry_run:
                held[bundle.name] = made[-1].lock
        return made

    def lock_check(self, bundles: Sequence[str] = ()) -> list[Locked]:
        """Return the locks of bundles, all if none is named, if settings and allow-list still agree with them.

        Needs no network: advisories are looked at if they are in a file.

        Raises: SettingsError for an absent lock; NotApproved naming every disagreement.
        """
        checked, found = [], []
        asked = self.settings.policy.vulnerabilities
        advisories = self._wiring.advisories if asked and asked.file else None
        for bundle in self._bundles(bundles):
            held, policy = self._held(bundle), self._policy(bundle.runtime)
            faults = lock_faults.faults(bundle, held, policy)
            faults += verbs.lock.vulnerable(held, advisories, policy) if advisories else []
            if faults:
                found.append(lock_faults.stale_text(bundle.name, faults))
            self._warn(lock_faults.ending(held, policy))
            path = self.settings.policy.locks / bundle.lock_filename
            checked.append(verbs.lock.Locked(bundle=bundle.name, path=path, lock=held, changed=False))
        if found:
            raise NotApproved("\n".join(found))
        return checked

    def sbom(self, bundle: str) -> str:
        """Return the bill of materials of the lock of `bundle`: CycloneDX 1.6 as JSON text; same lock, same bytes.

        Raises: SettingsError for an unknown bundle, or one without a lock.
        """
        return self._wiring.lock_sbom(bundle, self._held(self.settings.bundle(bundle)))

    def write_sbom(self, bundle: str, folder: Path) -> Path:
        """Write what `sbom` returns into `folder`, and return where. Raises: as `sbom`."""
        lock_filename = self.settings.bundle(bundle).lock_filename
        name = f"{lock_filename.removesuffix('.pylock.toml')}{verbs.described.BILL_SUFFIX}"
        return self._wiring.documents(folder).write(name, self.sbom(bundle))

    # --- our own releases

    def build(
        self, path: Path, *, out: Path | None = None, lock: bool = False, allow_dev: bool = False
    ) -> BuiltProject:
        """Build the project in folder `path` into `out` (its own `dist`): sdist and wheel, reproducible.

        What it is built with is pinned in its `pylock.build.toml`; `lock` pins that anew, as does a project that
        has none yet. The answer tells everything that is found in the files; `allow_dev` lets development and
        local versions pass.

        Raises: SettingsError when it cannot be built, or its pins no longer fit; NotInstallable when its build
        requirements cannot be pinned or have other bytes than pinned; IndexAccessError when they cannot be had.
        """
        return verbs.build.build(
            path,
            builder=self._wiring.builder,
            reader=self._wiring.release_reader,
            rules=self._release_rules(allow_dev=allow_dev),
            out=out,
            renew=lock,
        )

    def inspect(self, files: Sequence[BuiltFile], *, allow_dev: bool = False) -> tuple[ReleaseFinding, ...]:
        """Return everything that is found in `files` of a release, built here or elsewhere; errors first."""
        reader = self._wiring.release_reader
        return verbs.build.inspect(files, reader=reader, rules=self._release_rules(allow_dev=allow_dev))

    def _release_rules(self, *, allow_dev: bool) -> ReleaseRules:
        from glue_pkgmgr.core.release_checks import ReleaseRules

        return ReleaseRules(internal=self.settings.policy.internal, allow_dev=allow_dev)

    def publish(
        self, paths: Sequence[Path] = (), *, dist: Sequence[Path] = (), allow_dev: bool = False
    ) -> list[PublishRecord]:
        """Build and publish the projects in `paths`, or those of the settings, and return a record of each.

        With `dist` nothing is built: the wheels and sdists in those folders are published instead. Each project
        comes after those of the others that it requires. Safe to repeat and to interrupt.

        Raises: SettingsError, and NotInstallable with every reason to refuse, before anything is changed;
        IndexAccessError; RemoteError. The first failure ends it, and its text says what is published.
        """
        candidates = self._candidates(paths, dist, allow_dev=allow_dev)
        publisher = self._publisher(allow_dev=allow_dev)
        return publisher.publish(publisher.plan(candidates))

    def _describe(self, candidate: Candidate) -> None:
        """Keep provenance and bill of materials of a release beside the record of its publication."""
        from importlib.metadata import version

        verbs.described.describe(
            candidate,
            self._wiring.publish_records.find(candidate.project, candidate.version),
            root=self.settings.root,
            version=version("glue-pkgmgr"),
            documents=self._wiring.documents(),
            metadata=self._wiring.wheel_metadata,
            bill=self._wiring.release_sbom,
        )

    def publish_plan(
        self, paths: Sequence[Path] = (), *, dist: Sequence[Path] = (), allow_dev: bool = False
    ) -> list[PublishPlan]:
        """Return what `publish` would do, in its order, reasons to refuse included; nothing is changed.

        Projects are built for it. Raises: SettingsError; IndexAccessError; RemoteError.
        """
        publisher = self._publisher(allow_dev=allow_dev)
        return [one.plan for one in publisher.plan(self._candidates(paths, dist, allow_dev=allow_dev))]

    def _candidates(self, paths: Sequence[Path], dist: Sequence[Path], *, allow_dev: bool) -> list[Candidate]:
        """Return the files to publish, by release: those in the folders `dist`, or those built of `paths`."""
        if dist:
            if paths:
                raise SettingsError("publish takes folders of projects, or of built files (`dist`), not both")
            files = [file for folder in dist for file in self._wiring.distributions_in(folder)]
            return verbs.publish.candidates_of(files, self.settings.root)
        folders = list(paths) or list(self.settings.projects)
        if not folders:
            raise SettingsError("nothing to publish: name a folder, or list folders as `projects` under [publish]")
        return [self._built_candidate(one, allow_dev=allow_dev) for one in folders]

    def _built_candidate(self, folder: Path, *, allow_dev: bool) -> Candidate:
        made = self.build(folder, allow_dev=allow_dev)
        return verbs.publish.Candidate(files=made.files, folder=folder, findings=made.findings, inputs=made.inputs)

    def _publisher(self, *, allow_dev: bool) -> Publisher:
        return verbs.publish.Publisher(
            approved=self._wiring.approved,
            store=self._wiring.store,
            internal=self.settings.policy.internal,
            repositories=self._wiring.codeartifact,
            mint=self._wiring.mint,
            open_index=self._wiring.open_index,
            open_uploader=self._wiring.open_uploader,
            check_upload=self._wiring.check_upload,
            inspect=lambda files: self.inspect(files, allow_dev=allow_dev),
            metadata=self._wiring.wheel_metadata,
            prover=self._wiring.prover,
            records=self._wiring.publish_records,
            commit_of=self._wiring.commit_of,
            actor=self._wiring.actor,
            clock=self.clock,
            progress=self._progress,
            describe=self._describe,
        )

    def uses(self, release: str) -> Uses:
        """Return the bundles whose lock installs `release`, such as `glueutils==0.2.0`, and its recorded launches.

        Needs no network. Raises: SettingsError, also for a lock or a record that cannot be read.
        """
        locks = {bundle.name: self._held(bundle) for bundle in self._locked_bundles()}
        exact = verbs.withdraw.exact_release(release, self.settings.policy.internal)
        return verbs.withdraw.uses(exact, locks=locks, launches=self._wiring.records.all())

    def own_release(self, release: str) -> OwnRelease:
        """Return a release of our own, such as `glueutils==0.2.0`, as it is in the approved repository.

        Raises: SettingsError when it is not one release of an internal project; NotInstallable when it is not
        there; RemoteError.
        """
        own = verbs.withdraw.own_release(release, self.settings.policy.internal)
        return verbs.withdraw.find(own, address=self._wiring.approved, repositories=self._wiring.codeartifact)

    def withdraw(self, release: str, *, by: str, reason: str) -> Withdrawn:
        """Take back a release of our own: nobody can install it any more, and is told who withdrew it, and why.

        Job runs that are under way go on. `restore` reverses it. Safe to repeat and to interrupt.

        Raises: as `own_release`; SettingsError for an empty author or reason, or an allow-list that cannot be
        edited.
        """
        return verbs.withdraw.withdraw(
            self.own_release(release),
            self.settings.policy.allowlist,
            by=by,
            reason=reason,
            today=self.clock().date(),
            repositories=self._wiring.codeartifact,
            progress=self._progress,
        )

    def restore(self, release: str) -> Restored:
        """Reverse `withdraw`; what was not withdrawn stays as it is.

        Raises: as `own_release`; SettingsError for an allow-list that cannot be edited.
        """
        return verbs.withdraw.restore(
            self.own_release(release),
            self.settings.policy.allowlist,
            repositories=self._wiring.codeartifact,
            progress=self._progress,
        )

    # --- repositories

    def mirror_sync(self, *, every_bundle: bool = False) -> MirrorReport:
        """Fill the approved repository with what the locks name, and return how it stands then.

        What is missing, different or failed is in the answer, not raised. Bundles without a lock are left out;
        with `every_bundle` each must have one, as `mirror_prune` asks for.

        Raises: NotApproved for a lock that names what is approved no more; SettingsError; NotInstallable when
        the locks disagree; RemoteError before anything was copied.
        """
        return verbs.mirror.sync(
            self._every_lock() if every_bundle else self._approved_locks(),
            places=self._places,
            repositories=self._wiring.codeartifact,
            open_store=self._wiring.open_store,
            bring_built=self._bring_built,
            records=self._wiring.records,
            progress=self._progress,
        )

    def mirror_verify(self) -> MirrorReport:
        """Return how the approved repository stands beside the locks; nothing is changed.

        Raises: NotApproved for a lock that names what is approved no more; SettingsError; RemoteError.
        """
        return verbs.mirror.verify(
            self._approved_locks(),
            places=self._places,
            repositories=self._wiring.codeartifact,
            records=self._wiring.records,
        )

    def mirror_prune(self, releases: Sequence[Unlocked]) -> None:
        """Delete from the approved repository releases that `mirror_sync` found in no lock.

        Raises: SettingsError when a bundle has no lock, or one of them is locked or our own: nothing is deleted
        then; NotApproved for a lock that may not be used; RemoteError.
        """
        verbs.mirror.prune(
            releases,
            self._every_lock(),
            places=self._places,
            repositories=self._wiring.codeartifact,
            progress=self._progress,
        )

    def mirror_export(self, path: Path, *, replace: bool = False) -> Exported:
        """Write allow-list, locks and every wheel they name as one archive `path`, for places without connection.

        `replace` lets it take the place of an existing file.

        Raises: SettingsError when there is no lock or the file cannot be written; NotApproved for a lock that
        names what is approved no more; NotInstallable; IndexAccessError; RemoteError.
        """
        locks = []
        for bundle in self._locked_bundles():
            held = verbs.carry.read_carried_lock(bundle, self.settings.policy.locks)
            lock_faults.require_usable(bundle, held.lock, self._policy(bundle.runtime))
            locks.append(held)
        return verbs.carry.export_archive(
            path,
            allowlist=self.settings.policy.allowlist,
            locks=locks,
            replace=replace,
            archives=self._wiring.archives,
            metadata=self._wiring.wheel_metadata,
            mint=self._wiring.mint,
            open_index=self._wiring.open_index,
            clock=self.clock,
            progress=self._progress,
        )

    def mirror_import(self, path: Path, *, sha256: str | None = None, replace_files: bool = False) -> Imported:
        """Bring what the archive `path` carries into this project and its approved repository.

        `sha256` is that of the archive, if it is known by another way. `replace_files` lets the allow-list and
        locks of the archive take the place of other ones here. Nothing is changed before all of it was checked.

        Raises: NotInstallable for an archive that was changed, or other bytes in the repository; NotApproved for
        other files here, or what the settings here refuse; SettingsError; IndexAccessError; RemoteError.
        """
        policy = self.settings.policy
        return verbs.carry.import_archive(
            path,
            sha256=sha256,
            replace=replace_files,
            place=verbs.carry.Place(
                allowlist=policy.allowlist,
                locks=policy.locks,
                bundles=list(self.settings.bundles.values()),
                internal=policy.internal,
                policy=self._policy_of,
            ),
            address=self._wiring.approved,
            repositories=self._wiring.codeartifact,
            archives=self._wiring.archives,
            mint=self._wiring.mint,
            open_uploader=self._wiring.open_uploader,
            clock=self.clock,
            progress=self._progress,
        )

    def mint(self, seconds: int = int(SHORTEST.total_seconds())) -> IndexUrl:
        """Return the index URL of the approved repository with a token valid for `seconds`.

        Raises: SettingsError for a time CodeArtifact does not grant; RemoteError.
        """
        return self._wiring.mint(token_lifetime(seconds))

    # --- job runs

    def launch(
        self,
        job: str,
        *,
        modules: str | Sequence[str] | None = None,
        delivery: Delivery | str | None = None,
        arguments: Mapping[str, str] | None = None,
        followed: bool = True,
        launch_id: str | None = None,
        attempt: int = 1,
        queue: timedelta | None = None,
        fix: bool = False,
    ) -> Run:
        """Start a run of `job` with its bundle, or with `modules` instead, and return it.

        `delivery` defaults to the most private one; `followed` says whether the caller will `follow` the run.
        `launch_id` is any text that names this launch: if it has a run already, that one is returned and nothing
        is started; for a later `attempt` one of that attempt counts. `queue` is how long to wait for a place where
        the job runs as often as it may. `fix` makes the job as the settings say, its script uploaded, if nothing
        else is wrong.

        Raises: NotApproved, NotInstallable, SettingsError and what else `preflight` finds, before the token of
        the run exists; NoCapacity; RemoteError, of which StartUnknown says that a run may be there all the same.
        """
        wish = self._wish(job, modules, delivery, arguments, followed=followed)
        return self._launching.launch(wish, launch_id, attempt=attempt, queue=queue, fix=fix)

    def attempts(
        self,
        job: str,
        *,
        retries: int = 1,
        modules: str | Sequence[str] | None = None,
        delivery: Delivery | str | None = None,
        arguments: Mapping[str, str] | None = None,
        launch_id: str | None = None,
        queue: timedelta | None = None,
        fix: bool = False,
    ) -> Iterator[Run]:
        """Yield a run of `job`, launched as `launch` does; then, up to `retries` times, another in its place.

        Only one that failed without having run user code is started again: `for run in project.attempts("taxi"):
        result = run.wait()`. Raises: like `launch`.
        """
        wish = self._wish(job, modules, delivery, arguments)
        return self._launching.attempts(wish, launch_id, retries=retries, queue=queue, fix=fix)

    def run(self, run: str) -> Run:
        """Return the run with that id, to follow it again, wait for it or stop it.

        Raises: SettingsError when no job of the settings has it; RemoteError.
        """
        return self._launching.run_of(self.status(run))

    def preflight(
        self,
        job: str,
        *,
        modules: str | Sequence[str] | None = None,
        delivery: Delivery | str | None = None,
        arguments: Mapping[str, str] | None = None,
        followed: bool = True,
        fix: bool = False,
    ) -> Preflight:
        """Return everything that `launch` would find with the same arguments; nothing is started or changed.

        Raises: SettingsError, NotApproved and NotInstallable when there is no lock to look at.
        """
        return self._launching.preflight(self._wish(job, modules, delivery, arguments, followed=followed), fix=fix)

    def job_arguments(
        self,
        job: str,
        modules: str | Sequence[str] | None = None,
        delivery: Delivery | str | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> JobArguments:
        """Return the arguments with which anybody's run of `job` installs its bundle, or `modules` instead.

        For schedulers that start runs themselves. `delivery` defaults to wheels, which carry no token. All that
        `launch` would look at is looked at, and the arguments are recorded as a launch without a run.

        Raises: as `launch`.
        """
        return self._launching.job_arguments(self._wish(job, modules, delivery, arguments, followed=False))

    def follow(self, run: Run | Launched | str, deadline: timedelta | None = None) -> Iterator[Event]:
        """Yield the changing states and the log lines of a run until it has ended.

        Raises: SettingsError when no job of the settings has the run; RemoteError; DeadlineExceeded when it goes
        on after `deadline`.
        """
        return self._launching.follow(self.run(run) if isinstance(run, str) else run, deadline)

    def runs(self, job: str | None = None) -> list[JobRun]:
        """Return the latest runs of one job, or of all jobs in the settings, newest first. Raises: RemoteError."""
        return self._launching.runs([self.settings.job(job)] if job else self.settings.jobs.values())

    def runs_using(self, request: str, *, job: str | None = None) -> RunsUsing:
        """Return which recorded launches were to run with a release that `request`, such as `boto3<1.40`, names.

        Of several items in `request` one is enough. `job` is that of the settings, by default every recorded one.
        Needs no network unless the records are in S3.

        Raises: SettingsError for a request that is not one, or records that cannot be read; RemoteError.
        """
        return verbs.runs.using(
            parse_request(request, self.settings.policy.internal),
            self.settings.job(job).name if job else None,
            records=self._wiring.records,
        )

    def status(self, run: str) -> JobRun:
        """Return the run with that id. Raises: SettingsError when no job of the settings has it; RemoteError."""
        return self._launching.status(run)

    def logs(self, run: str, *, executors: bool = False) -> list[LogLine]:
        """Return what a run has logged so far, in order; what its executors did, too, if asked for.

        Raises: SettingsError; RemoteError.
        """
        return self._launching.logs(run, executors=executors)

    def stop(self, run: str) -> JobRun:
        """Ask a run to stop; return it as it is then. Raises: SettingsError; RemoteError."""
        return self._launching.stop(run)

    # --- the set-up

    def doctor(self) -> tuple[Finding, ...]:
        """Return what is set up and what is missing on this machine, in the settings and in AWS; never raises."""
        from glue_pkgmgr.check_up import check_up

        return check_up(self.settings.path, self._environ)

    # --- the state machine, and the function that it calls

    def workflow(
        self,
        job: str,
        *,
        modules: str | None = None,
        delivery: Delivery | str | None = None,
        arguments: Mapping[str, str] | None = None,
        launch_id: str | None = None,
        deadline: timedelta | None = None,
    ) -> Iterator[Run]:
        """Yield each run of `job` that the stack's state machine starts: one, and another if that ran nothing.

        The state machine goes on whether anybody looks or not; take the next run when the one before has ended.
        `launch_id` is any text that names this execution: if there is one, its runs are yielded.

        Raises: what its function refused the launch with, under its own name; DeadlineExceeded when the execution
        goes on after `deadline`; SettingsError; RemoteError.
        """
        wish = self._wish(job, modules, delivery, arguments)
        return self._launching.workflow(wish, launch_id, machine=self.settings.stack.name, deadline=deadline)

    def state_machine_definition(
        self, job: str | None = None, *, function: str | None = None, partition: str = "aws", retries: int = 1
    ) -> dict[str, Any]:
        """Return the Step Functions state machine that launches jobs and follows their runs, for `json.dumps`.

        `job` is launched where an execution names none, by default the first of the settings. `function` is that
        of `function_archive`, by name or ARN; by default it has the name that the stack gives it.

        Raises: SettingsError for an unknown job.
        """
        from glue_pkgmgr.infra import state_machine

        return state_machine.definition(
            self._job(job).key,
            function or state_machine.function_name(self.settings.stack.name),
            timeout=max(one.timeout for one in self.settings.jobs.values()),
            partition=partition,
            retries=retries,
        )

    def token_state_machine_definition(
        self, job: str | None = None, *, seconds: int, partition: str = "aws"
    ) -> dict[str, Any]:
        """Return the state machine that needs no function, and keeps a token in its history, for `json.dumps`.

        `seconds` is how long the token lives. Asks CodeArtifact for the address of the approved repository.

        Raises: SettingsError; RemoteError.
        """
        from glue_pkgmgr.infra import state_machine

        found, approved = self._job(job), self._wiring.approved
        return state_machine.token_definition(
            found.name,
            domain=approved.domain,
            owner=approved.owner,
            endpoint=self._wiring.codeartifact.endpoint(approved),
            timeout=found.timeout,
            token_seconds=int(token_lifetime(seconds).total_seconds()),
            partition=partition,
        )

    def function_archive(self) -> FunctionArchive:
        """Return the AWS Lambda function that launches jobs: this package, the settings, allow-list and locks.

        The same files give the same bytes. What is approved or locked later needs it made, and deployed, anew.

        Raises: SettingsError for an absent file; NotApproved for a lock that may not be used.
        """
        from glue_pkgmgr.adapters.function_archive import function_archive, project_files

        self._every_lock()
        if isinstance(self.settings.records, Path):
            self._warn(["launches by a state machine are recorded in S3, below `staging` of the job"])
        return function_archive(project_files(self.settings))

    def _job(self, name: str | None) -> JobSettings:
        """Return the job called so, by default the first. Raises: SettingsError."""
        if name is None and not self.settings.jobs:
            raise SettingsError("there is no job in the settings; a state machine needs one under [jobs]")
        return self.settings.job(name or next(iter(self.settings.jobs)))

    # --- the stack

    def stack_template(self, region: str | None = None) -> dict[str, Any]:
        """Return the CloudFormation template of the infrastructure that the settings describe, for `json.dumps`.

        `region` is one of `[stack] regions`, by default the first. The same settings and job scripts give the same
        template; nothing is contacted. That a region is not known to have CodeArtifact is told as progress.

        Raises: SettingsError.
        """
        from glue_pkgmgr.infra.stack import template

        return template(self._stack_plan(region))

    def _stack_plan(self, region: str | None) -> StackPlan:
        from glue_pkgmgr.adapters.clients import known_regions

        plan = verbs.stack_plan.stack_plan(self.settings, region)
        if plan.region not in known_regions("codeartifact"):
            self._progress(
                f"CodeArtifact is not known to be in {plan.region}, and without it AWS refuses this stack; ask "
                "AWS, or name another region under [stack] regions"
            )
        return plan

    def stack_diff(
        self,
        template: str | None = None,
        *,
        name: str | None = None,
        region: str | None = None,
        staging: str | None = None,
    ) -> StackChange:
        """Return what `stack_deploy` with the same arguments would change; nothing is changed.

        Raises: SettingsError for a template that cannot be sent; RemoteError.
        """
        return self._wiring.stacks(region).diff(self._wanted_stack(template, name, region, staging))

    def stack_deploy(
        self,
        template: str | None = None,
        *,
        name: str | None = None,
        region: str | None = None,
        staging: str | None = None,
        agree: Agree | None = None,
    ) -> Deployed | None:
        """Make a CloudFormation stack what `template`, JSON, says, and return it.

        By default template, `name` and `region` are those of the settings. `agree` is asked before it is begun,
        and None is returned if it says no; without it, a change that would remove or replace something is refused.
        `staging` is an `s3://…/` URL for a template too large to be sent. Safe to repeat and to interrupt: what
        was begun is waited for first.

        Raises: SettingsError; NoCapacity at a quota; RemoteError with the first cause; DeadlineExceeded.
        """
        wanted = self._wanted_stack(template, name, region, staging)
        return self._wiring.stacks(region).deploy(wanted, agree or verbs.stack.nothing_destroyed)

    def stack_destroy(
        self, *, agree: AgreeRemoval, name: str | None = None, region: str | None = None
    ) -> Destroyed:
        """Remove a CloudFormation stack, its buckets with all that is in them; return what outlives it.

        `agree` is told what will be gone, and asked before anything is. Safe to repeat and to interrupt.

        Raises: RemoteError naming every resource that could not be removed; DeadlineExceeded.
        """
        return self._wiring.stacks(region).destroy(name or self.settings.stack.name, agree)

    def _wanted_stack(
        self, template: str | None, name: str | None, region: str | None, staging: str | None
    ) -> WantedStack:
        from glue_pkgmgr.infra.stack import template_text

        name = name or self.settings.stack.name
        if template:
            return verbs.stack.WantedStack(name=name, template=template, staging=staging)
        verbs.stack_plan.require_account(self.settings, self._wiring.account(), name)
        plan = self._stack_plan(region)
        return verbs.stack.WantedStack(
            name=name,
            tags=self.settings.stack.tags,
            template=template_text(plan, compact=True),
            staging=staging,
            contents=verbs.stack_plan.scripts(plan, self.settings),
            samples=verbs.stack_plan.sample_data(plan, self.settings),
            late=self._function_object(plan.archive),
        )

    def _function_object(self, archive: Place | None) -> LateObject | None:
        """Return the function of the workflow as an object of the stack; None without a job, or without locks."""
        from glue_pkgmgr.infra.workflow import FUNCTION_ARCHIVE

        if archive is None:
            return None
        try:
            made = self.function_archive()
        except (SettingsError, NotApproved) as e:
            self._progress(f"the workflow stays as it is, as its function cannot be made: {e}")
            return None
        name = f"{made.sha256}.zip"
        url = f"s3://{archive.below(name)}"
        return verbs.stack.LateObject(parameter=FUNCTION_ARCHIVE, value=name, url=url, content=made.content)

    # --- the stand-in for AWS on this machine; its folder is by default `.glue-pkgmgr/local` beside the settings

    def local_up(self, state: Path | None = None, *, nearest_python: bool = False) -> StandIn:
        """Return the running stand-in, started if need be, with what the settings name in it.

        `StandIn.environment(os.environ)` is the `environ` of a project that uses it. `nearest_python` lets jobs
        run on another Python than their Glue version's.

        Raises: SettingsError when it cannot run here; RemoteError.
        """
        from glue_pkgmgr.local import lifecycle

        folder = state or lifecycle.default_state(self.settings)
        return lifecycle.up(self.settings, state=folder, nearest_python=nearest_python, progress=self._progress)

    def local_down(self, state: Path | None = None) -> bool:
        """End the stand-in and its job runs; return whether one was running. Packages and objects stay."""
        from glue_pkgmgr.local import lifecycle

        return lifecycle.down(state or lifecycle.default_state(self.settings))

    def local_status(self, state: Path | None = None) -> StandInStatus:
        """Return how the stand-in is. Raises: SettingsError when its record is unreadable."""
        from glue_pkgmgr.local import lifecycle

        return lifecycle.status(state or lifecycle.default_state(self.settings))

    # --- what several verbs need

    def _wish(
        self,
        job: str,
        modules: Modules,
        delivery: Delivery | str | None,
        arguments: Mapping[str, str] | None,
        *,
        followed: bool = True,
    ) -> Wish:
        return Wish(self.settings.job(job), modules, delivery, arguments, followed)

    @property
    def _places(self) -> Places:
        return verbs.mirrored.Places(
            store=self._wiring.store,
            approved=self._wiring.approved,
            internal=self.settings.policy.internal,
            upstreams=self.settings.codeartifact.upstreams,
        )

    @property
    def _job_names(self) -> list[str]:
        return [job.name for job in self.settings.jobs.values()]

    def _bring_built(self, pin: Pin) -> None:
        """Publish the wheel of a pin that was built from an sdist of the store."""
        builder = self._wiring.sdist_builder
        if builder is None:
            raise NotInstallable(
                f"{pin} was built from an sdist, which the settings do not allow any more; "
                'set sdists = "build" under [policy], or lock again'
            )
        verbs.built.publish_built(
            pin,
            address=self._wiring.approved,
            store=self._wiring.open_store(),
            builder=builder,
            repositories=self._wiring.codeartifact,
            mint=self._wiring.mint,
            open_uploader=self._wiring.open_uploader,
            progress=self._progress,
        )

    def _policy(self, runtime: GlueRuntime) -> Policy:
        return self._policy_of(self.approvals(), runtime)

    def _policy_of(self, allowlist: AllowList, runtime: GlueRuntime) -> Policy:
        return self.settings.policy.rules(allowlist, runtime, self.clock())

    def _usual_runtime(self) -> GlueRuntime:
        runtimes = [bundle.runtime for bundle in self.settings.bundles.values()]
        return max(runtimes, key=lambda it: Version(it.version), default=glue_runtime("5.1"))

    def _bundles(self, names: Sequence[str]) -> list[Bundle]:
        return [self.settings.bundle(name) for name in names] or list(self.settings.bundles.values())

    def _locked_bundles(self) -> list[Bundle]:
        """Return the bundles that have a lock."""
        folder = self.settings.policy.locks
        return [one for one in self.settings.bundles.values() if (folder / one.lock_filename).exists()]

    def _locks(self) -> list[Lock]:
        """Return the locks of all bundles that have one."""
        return [self._held(bundle) for bundle in self._locked_bundles()]

    def _held(self, bundle: Bundle) -> Lock:
        return verbs.lock_file.read_lock(bundle, self.settings.policy.locks)

    def _readable_locks(self) -> dict[str, Lock]:
        """Return the locks there are, by bundle; what cannot be read is about to be made anew."""
        folder, bundles = self.settings.policy.locks, self._locked_bundles()
        found = ((bundle.name, verbs.lock_file.existing_lock(bundle, folder)) for bundle in bundles)
        return {name: lock for name, lock in found if lock is not None}

    def _approved_locks(self) -> list[Lock]:
        """Return the locks of all bundles that have one. Raises: NotApproved when one may not be used."""
        return [self._usable_lock(bundle) for bundle in self._locked_bundles()]

    def _every_lock(self) -> list[Lock]:
        """Return the locks of all bundles. Raises: SettingsError for one without; NotApproved."""
        return [self._usable_lock(bundle) for bundle in self._bundles(())]

    def _usable_lock(self, bundle: Bundle) -> Lock:
        held, policy = self._held(bundle), self._policy(bundle.runtime)
        lock_faults.require_usable(bundle, held, policy)
        self._warn(lock_faults.ending(held, policy))
        return held

    def _warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self._progress(f"warning: {warning}")

    def _lock_bundle(
        self,
        bundle: Bundle,
        upgrade: frozenset[ProjectName] | None,
        runtime: GlueRuntime | None,
        held: Mapping[str, Lock],
        *,
        write: bool,
    ) -> Locked:
        wanted = replace(bundle, runtime=runtime or bundle.runtime)
        self._progress(f"resolving bundle {bundle.name} for Glue {wanted.runtime.version}")
        before = held.get(bundle.name)
        resolution = replace(
            self._resolution(wanted.runtime, held.values(), bundle.may_break),
            preferred=verbs.lock.preferred(before, upgrade) if before else {},
            upgrade=upgrade or (),
        )
        return verbs.lock.lock_bundle(wanted, before, resolution, self.settings.policy.locks, write=write)

    def _check(self, request: Request, runtime: GlueRuntime, may_break: Collection[ProjectName] = ()) -> Checked:
        policy, locks = self._policy(runtime), self._locks()

        def attempt(items: Request) -> Lock | Refusal:
            if self._locked_only:
                return verbs.check.of_locks(items, locks, policy)
            self._progress(f"resolving {', '.join(map(str, items))} for Glue {runtime.version}")
            return self._resolution(runtime, locks, may_break).attempt(items)

        return verbs.check.check(request, policy=policy, locks=locks, attempt=attempt)

    def _resolution(
        self, runtime: GlueRuntime, locks: Iterable[Lock], may_break: Collection[ProjectName] = ()
    ) -> Resolution:
        return verbs.resolve.Resolution(
            index=self._wiring.allowed_index(self._policy(runtime)),
            resolver=self._wiring.resolver,
            advisories=self._wiring.advisories,
            locked=list(locks),
            progress=self._progress,
            may_break=may_break,
        )

    def _lock_for(self, job: JobSettings, modules: Modules) -> FoundLock:
        """Return the lock a run of `job` installs: its bundle's, or that of other `modules`."""
        if modules is None:
            held = verbs.lock_file.held_lock(job.bundle, self.settings.policy.locks)
            policy = self._policy(job.bundle.runtime)
            self._warn(lock_faults.ending(held.lock, policy))
            faults = lock_faults.unusable(job.bundle, held.lock, policy)
            told = lock_faults.stale_text(job.bundle.name, faults) if faults else ""
            return FoundLock(lock=held.lock, sha256=held.sha256, faults=told)
        internal = self.settings.policy.internal
        request = parse_request(modules, internal) if isinstance(modules, str) else parse_items(modules, internal)
        checked = self._check(request, job.bundle.runtime, job.bundle.may_break)
        self._warn(checked.warnings)
        return FoundLock(lock=checked.closure())


def _find_settings(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / FILENAME).is_file():
            return folder / FILENAME
    return start / FILENAME
