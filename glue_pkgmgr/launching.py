"""Launches of jobs and the runs that come of them: looked at, recorded, started once, followed.

What the launching methods of a project share. There is one for each project: what all the runs it follows ask of
AWS is one budget.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from threading import Lock as Mutex
from typing import TYPE_CHECKING

from glue_pkgmgr import verbs
from glue_pkgmgr.errors import GluePkgmgrError, SettingsError
from glue_pkgmgr.run import Run, RunServices

if TYPE_CHECKING:
    from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, LogLine
    from glue_pkgmgr.core.lockfile import Lock
    from glue_pkgmgr.core.run_result import RunResult
    from glue_pkgmgr.ports import Clock, Progress
    from glue_pkgmgr.settings import JobSettings, Settings
    from glue_pkgmgr.verbs.follow import Event, Follower
    from glue_pkgmgr.verbs.launch import Bearer, JobArguments, Launched
    from glue_pkgmgr.verbs.preflight import Asked, Preflight
    from glue_pkgmgr.wiring import Wiring

Modules = str | Sequence[str] | None
FindLock = Callable[["JobSettings", Modules], "FoundLock"]
"""Takes a job, and what is to be installed instead of its bundle."""

# For whoever asks for a launch that another process is starting: as long as that may try, and a little.
_LONGEST_START = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """What a run is to install, the digest of its file, if it has one, and why it may not be used, if so."""

    lock: Lock
    sha256: str | None = None
    faults: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants to launch, in the caller's words."""

    job: JobSettings
    modules: Modules
    delivery: Delivery | str | None
    arguments: Mapping[str, str] | None
    followed: bool


class Launching:
    """Starts and follows runs of the jobs in `settings`. `find_lock` says what a run is to install."""

    def __init__(
        self, settings: Settings, wiring: Wiring, *, find_lock: FindLock, clock: Clock, progress: Progress
    ) -> None:
        self._settings = settings
        self._wiring = wiring
        self._find_lock = find_lock
        self._clock = clock
        self._progress = progress
        self._follower_lock = Mutex()
        self._made_follower: Follower | None = None

    # --- before a run

    def preflight(self, wish: Wish, *, fix: bool) -> Preflight:
        """Return everything that is found, here and in AWS; nothing is started or changed."""
        asked = self._asked(wish)
        self._progress(f"checking {asked.job.name}")
        return self._wiring.lookout.look(asked, fix=fix)

    def job_arguments(self, wish: Wish) -> JobArguments:
        """Return the arguments for a run that somebody else starts, recorded as a launch without a run."""
        bearer = self._bearer(wish, secrets.token_hex(16))
        self._record(bearer)
        return verbs.launch.job_arguments(bearer)

    def _asked(self, wish: Wish) -> Asked:
        from glue_pkgmgr.core.job import Delivery

        found = self._find_lock(wish.job, wish.modules)
        chosen = _delivery(wish.delivery) if wish.delivery else None
        return verbs.preflight.Asked(
            job=wish.job,
            lock=found.lock,
            delivery=chosen or Delivery.default(found.lock.runtime, followed=wish.followed),
            arguments=wish.arguments or {},
            faults=found.faults,
            lock_sha256=found.sha256,
            chosen=chosen is not None,
        )

    def _bearer(self, wish: Wish, launch: str, *, fix: bool = False) -> Bearer:
        """Return what brings the lock to a run, once nothing that can be known keeps it from being started.

        Raises: what is found, all at once; first what is found without asking anybody.
        """
        from glue_pkgmgr.core.preflight import raise_errors, warnings_of

        asked, job = self._asked(wish), wish.job.name
        raise_errors(job, verbs.preflight.here(asked))
        self._progress(f"checking {job}")
        lookout = self._wiring.lookout
        found = lookout.look(asked, fix=fix)
        raise_errors(job, found.findings)
        for told in warnings_of(found.findings):
            self._progress(f"warning: {told}")
        if fix:
            for one in found.differences:
                self._progress(f"changing {job}: {one}")
            lookout.apply(asked)
        return verbs.launch.Bearer(
            asked=replace(asked, delivery=found.delivery),
            launch=launch,
            budget=found.budget,
            deliverer=self._wiring.deliverer(),
            clock=self._clock,
            progress=self._progress,
        )

    def _record(self, bearer: Bearer) -> None:
        """Record what is to be launched: nothing starts without a record. Raises: SettingsError; RemoteError."""
        from glue_pkgmgr.core.record import recorded_launch

        asked = bearer.asked
        record = recorded_launch(
            bearer.launch,
            asked.job.name,
            asked.lock,
            by=self._wiring.login,
            time=self._clock(),
            delivery=asked.delivery,
            lock_sha256=asked.lock_sha256,
            allowlist_sha256=verbs.allowlist_file.digest(self._settings.policy.allowlist),
            arguments=asked.given,
        )
        self._wiring.records.add(record)

    # --- starting

    def launch(
        self, wish: Wish, named: str | None, *, attempt: int = 1, queue: timedelta | None, fix: bool
    ) -> Run:
        """Return a run of a launch; of one that the caller has `named` there may be one already."""
        return self._started(wish, _launch_of(wish.job, named), named, attempt=attempt, queue=queue, fix=fix)

    def attempts(
        self, wish: Wish, named: str | None, *, retries: int, queue: timedelta | None, fix: bool
    ) -> Iterator[Run]:
        """Yield a run of a launch, then up to `retries` others, each in the place of one that ran no user code."""
        from glue_pkgmgr.core.launch_id import attempt_of

        launch, before = _launch_of(wish.job, named), 0

        def start(number: int) -> Run:
            nonlocal before
            run = self._started(wish, launch, named, attempt=before + 1, queue=queue, fix=fix and number == 1)
            before = attempt_of(launch, run.launch)
            return run

        return verbs.retry.attempts(start, retries=retries, progress=self._progress)

    def _started(
        self,
        wish: Wish,
        launch: str,
        named: str | None,
        *,
        attempt: int = 1,
        queue: timedelta | None,
        fix: bool = False,
    ) -> Run:
        """Return a run of that attempt of a launch or of a later one; of one with a name there may be one."""
        from glue_pkgmgr.core.launch_id import attempt_id, attempt_of

        if named is None:
            return self._launched(wish, attempt_id(launch, attempt), queue=queue, fix=fix)
        longest = _LONGEST_START + (queue or timedelta())
        with self._wiring.launch_locks.held(launch, longest.total_seconds()):
            found = verbs.start.find_run(self._wiring.jobs, wish.job.name, launch)
            if found is not None and attempt_of(launch, found.launch_id) >= attempt:
                return self._taken_up(named, found)
            return self._launched(wish, attempt_id(launch, attempt), queue=queue, fix=fix, alone=False)

    def _launched(self, wish: Wish, launch: str, *, queue: timedelta | None, fix: bool, alone: bool = True) -> Run:
        """Start a run that has not been started, recorded before and after."""
        bearer = self._bearer(wish, launch, fix=fix)
        self._record(bearer)
        launched = verbs.launch.launch(
            bearer,
            alone=alone,
            patience=verbs.start.Patience(queue=queue or timedelta()),
            jobs=self._wiring.jobs,
            timing=verbs.start.Timing(now=time.monotonic, sleep=time.sleep, jitter=random.random),
            clock=self._clock,
            progress=self._progress,
        )
        self._record_run(launch, launched.run)
        return Run(self._run_services(launch), launched.job, launched.run, launched, launch=launch)

    def workflow(
        self, wish: Wish, named: str | None, *, machine: str, deadline: timedelta | None
    ) -> Iterator[Run]:
        """Yield each run that an execution of the state machine `machine` starts for `wish`."""
        from glue_pkgmgr.core.workflow import Execution, WorkflowInput

        asked = WorkflowInput(
            job=wish.job.key,
            modules=wish.modules
            if wish.modules is None or isinstance(wish.modules, str)
            else ",".join(wish.modules),
            arguments=wish.arguments or {},
            delivery=_delivery(wish.delivery) if wish.delivery else None,
        )
        ends = None if deadline is None else time.monotonic() + deadline.total_seconds()
        machines, name = self._wiring.state_machines, None if named is None else _launch_of(wish.job, named)
        execution = machines.start(machine, asked.as_json(), name)
        self._progress(f"started {execution}")
        run: Run | None = None
        for one in verbs.workflow.runs(
            execution,
            wish.job.name,
            machines=machines,
            jobs=self._wiring.jobs,
            sleep=time.sleep,
            jitter=random.random,
            overdue=lambda: ends is not None and time.monotonic() >= ends,
        ):
            if isinstance(one, Execution):
                # Of a run that failed its own end says more.
                if one.error and run is not None and run.result is not None and run.result.succeeded:
                    raise one.failure()
                return
            run = Run(self._services_of_others(), one.job, one.id, launch=one.launch_id)
            yield run
            self._progress("waiting for the state machine to see it")

    def _services_of_others(self) -> RunServices:
        """Return the services of a run whose launch is on record where it was made."""
        return replace(self._run_services(), ended=lambda result: result)

    def _taken_up(self, named: str, found: JobRun) -> Run:
        """Return a run that a launch has already, and complete its record, which a killed process left open."""
        self._progress(f"launch {named} has a run, nothing is started: {found.id} is {found.state}")
        launch = found.launch_id or ""
        self._record_run(launch, found.id)
        return Run(self._run_services(launch), found.job, found.id, launch=launch)

    # --- runs

    def run_of(self, found: JobRun) -> Run:
        """Return a run as something to follow."""
        return Run(self._run_services(), found.job, found.id)

    def follow(self, run: Run | Launched, deadline: timedelta | None) -> Iterator[Event]:
        """Yield the changing states and the log lines of a run until it has ended."""
        if not isinstance(run, Run):
            run = Run(self._run_services(), run.job, run.run, run)
        return run.follow(deadline)

    def runs(self, jobs: Iterable[JobSettings]) -> list[JobRun]:
        """Return the latest runs of `jobs`, newest first."""
        return verbs.runs.runs([job.name for job in jobs], jobs=self._wiring.jobs)

    def status(self, run: str) -> JobRun:
        """Return the run with that id; the secret that it has left behind is deleted."""
        names = [job.name for job in self._settings.jobs.values()]
        found = verbs.runs.status(run, names, jobs=self._wiring.jobs)
        if found.requirements_file:
            verbs.runs.forget_secret(found, staging=self._wiring.staging, now=self._clock())
        return found

    def logs(self, run: str, *, executors: bool = False) -> list[LogLine]:
        """Return what a run has logged so far, in order."""
        return verbs.runs.logs(self.status(run), reader=self._wiring.logs, executors=executors)

    def stop(self, run: str) -> JobRun:
        """Ask a run to stop; return it as it is then."""
        return verbs.runs.stop(self.status(run), jobs=self._wiring.jobs)

    def _follower(self) -> Follower:
        """Return the one follower of this project: what it asks of AWS is shared by all runs it follows."""
        with self._follower_lock:
            if self._made_follower is None:
                self._made_follower = verbs.follow.Follower(
                    jobs=self._wiring.jobs,
                    logs=self._wiring.logs,
                    staging=self._wiring.staging,
                    clock=self._clock,
                    now=time.monotonic,
                    progress=self._progress,
                    patience=self._wiring.patience,
                )
            return self._made_follower

    def _run_services(self, launch: str | None = None) -> RunServices:
        return RunServices(
            follower=self._follower,
            links=self._wiring.console_links,
            ended=partial(self._record_end, launch),
            status=self.status,
            logs=self.logs,
            stop=self.stop,
        )

    def _record_run(self, launch: str, run: JobRunId) -> None:
        """Complete the record of a launch with its run, which goes on whatever becomes of its record."""
        try:
            self._wiring.records.complete(launch, run)
        except GluePkgmgrError as e:
            self._progress(f"warning: the record of run {run} stays without its id: {e}")

    def _record_end(self, launch: str | None, result: RunResult) -> RunResult:
        """Complete the record of a launch with how its run ended; a run of others has none."""
        launch = launch or result.run.launch_id
        if launch is None:
            return result
        try:
            self._wiring.records.complete(launch, result.run.id, verbs.follow.launch_end(result, self._clock()))
        except GluePkgmgrError as e:  # how the run ended matters more
            warning = f"the record of run {result.run.id} stays without its end: {e}"
            return replace(result, warnings=(*result.warnings, warning))
        return result


def _launch_of(job: JobSettings, named: str | None) -> str:
    """Return the id of a launch of `job`: a new one, unless the caller has a name for it."""
    from glue_pkgmgr.core.launch_id import launch_id

    return secrets.token_hex(16) if named is None else launch_id(job.name, named)


def _delivery(name: str) -> Delivery:
    from glue_pkgmgr.core.job import Delivery

    try:
        return Delivery(name)
    except ValueError as e:
        raise SettingsError(f"unknown delivery {name!r}; known are {', '.join(Delivery)}") from e
