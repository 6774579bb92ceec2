"""Verb: deliver a lock and start a Glue job run that installs exactly it, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from glue_pkgmgr.core.arguments import run_arguments
from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.token_life import TokenBudget
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.ports import Clock, JobService, Progress
from glue_pkgmgr.verbs.deliver import Delivered, Deliverer
from glue_pkgmgr.verbs.preflight import Asked
from glue_pkgmgr.verbs.start import Patience, Starter, StartUnknown, Timing

# A token is not replaced for less than this, the time of its own minting and of some attempts to start.
_WORN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A job run that was accepted. `launch` is the id it carries.

    `token_expires` is aware UTC, None for a run without a token; `accept_seconds` passed from the minted
    token to the accepted start.
    """

    job: str
    run: JobRunId
    delivery: Delivery
    lock: Lock
    launch: str = ""
    token_expires: datetime | None = None
    accept_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobArguments:
    """The arguments that make a run of `job` install exactly `lock`, for whoever starts it.

    `arguments` are what StartJobRun takes as its `Arguments`. With the delivery `index` there is a token among
    them; with `requirements` one is in the object they name, to be deleted when every node has installed. Start
    the run before `start_before`, or it may find its token expired; both times are aware UTC, None without one.
    """

    job: str
    arguments: Mapping[str, str] = field(repr=False)
    delivery: Delivery
    lock: Lock = field(repr=False)
    launch: str
    expires_at: datetime | None = None
    start_before: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Bearer:
    """Has the lock at the job whenever a start is tried: with a token that lives long enough from then on.

    `life` is how long that is. Minted last: a token's clock runs while the cluster starts, so nothing slow stands
    between.
    """

    asked: Asked
    launch: str
    budget: TokenBudget
    deliverer: Deliverer
    clock: Clock
    progress: Progress
    made: list[Delivered] = field(default_factory=list)

    def arguments(self) -> dict[str, str]:
        """Return the arguments of the run. Raises: as `Deliverer.deliver`."""
        if not self.made or self._worn(self.made[-1]):
            asked = self.asked
            self.made.append(
                self.deliverer.deliver(asked.lock, asked.delivery, asked.job.staging, self.budget.life)
            )
            self._warn(self.made[-1])
        return run_arguments(self.asked.given, self.made[-1].arguments, self.launch)

    def leave(self, kept: Delivered | None) -> None:
        """Delete what holds a secret, but for that which is `kept`; what cannot be deleted is told."""
        for delivered in self.made:
            if delivered is kept or not delivered.secret_object:
                continue
            try:
                self.deliverer.withdraw(delivered)
            except RemoteError as e:  # there is something that matters more
                self.progress(f"{e}; it holds a token that ends at {delivered.token_expires:%H:%M} UTC")

    def _worn(self, delivered: Delivered) -> bool:
        if delivered.token_expires is None:
            return False
        left = delivered.token_expires - self.clock()
        return left < min(self.budget.needed, self.budget.life - _WORN)

    def _warn(self, delivered: Delivered) -> None:
        if delivered.token_expires is None or delivered.minted_at is None:
            return
        lives = delivered.token_expires - delivered.minted_at
        if lives + timedelta(seconds=5) < self.budget.needed:  # clocks differ a little
            self.progress(
                f"warning: the token lives {int(lives.total_seconds())} s, needed may be {self.budget}: it could "
                "end before all is installed; --delivery wheels needs none"
            )


def launch(
    bearer: Bearer,
    *,
    alone: bool,
    patience: Patience,
    jobs: JobService,
    timing: Timing,
    clock: Clock,
    progress: Progress,
) -> Launched:
    """Start a run that gets what `bearer` brings, and return it. Call after a preflight without errors.

    `alone` says that nobody else can be starting the same launch.

    Raises: NoCapacity, RemoteError when the start is refused: a secret object is deleted again then; StartUnknown
    when it may have been started: the object stays, for the run may need it.
    """
    job = bearer.asked.job.name
    starter = Starter(
        job=job,
        launch=bearer.launch,
        arguments=bearer.arguments,
        jobs=jobs,
        patience=patience,
        timing=timing,
        progress=progress,
    )
    progress(f"starting {job}")
    try:
        run = starter.start(alone=alone)
    except BaseException as e:  # an interrupt, too
        if not starter.may_run:
            bearer.leave(None)
            raise
        for one in bearer.made:  # which the run may need
            if one.secret_object:
                progress(f"{one.secret_object} stays, with a token that ends at {one.token_expires:%H:%M} UTC")
        if not isinstance(e, StartUnknown):
            progress(starter.unknown)
        raise
    accepted = clock()
    used = starter.found.requirements_file if starter.found else bearer.made[-1].secret_object
    # None when the run is that of another process, which installs from what that one brought.
    delivered = next((one for one in reversed(bearer.made) if one.secret_object == used), None)
    bearer.leave(delivered)
    return Launched(
        job=job,
        run=run,
        launch=bearer.launch,
        delivery=bearer.asked.delivery,
        lock=bearer.asked.lock,
        token_expires=delivered.token_expires if delivered else None,
        accept_seconds=(accepted - minted).total_seconds()
        if (minted := delivered and delivered.minted_at)
        else None,
    )


def job_arguments(bearer: Bearer) -> JobArguments:
    """Return the arguments of a run that somebody else starts. Call after a preflight without errors.

    Raises: as `Deliverer.deliver`; what it left is deleted then.
    """
    try:
        arguments = bearer.arguments()
    except BaseException:
        bearer.leave(None)
        raise
    expires = bearer.made[-1].token_expires
    return JobArguments(
        job=bearer.asked.job.name,
        arguments=arguments,
        delivery=bearer.asked.delivery,
        lock=bearer.asked.lock,
        launch=bearer.launch,
        expires_at=expires,
        start_before=expires - bearer.budget.needed if expires else None,
    )
