"""What a launch delivers, starts and leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import LAUNCH_ID, Delivery, JobRunId
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.token_life import token_budget
from glue_pkgmgr.errors import NoCapacity, SettingsError
from glue_pkgmgr.ports import NoAnswer, StartThrottled
from glue_pkgmgr.verbs.deliver import Deliverer
from glue_pkgmgr.verbs.launch import Bearer, JobArguments, Launched, job_arguments, launch
from glue_pkgmgr.verbs.preflight import Asked
from glue_pkgmgr.verbs.start import Patience, StartUnknown, Timing
from tests.fakes import ENDPOINT, FakeIndex, FakeJobs, FakeStaging, FakeTime
from tests.unit.verbs.locks import job_settings, lock, pin

RUN = JobRunId("jr_1")
ID = "0123456789abcdef" * 2
PREINSTALLED = lock(pin("boto3==1.40.61", ""))


@dataclass
class World:
    """What launching touches. A token lives as long as it is asked to, or `lives`."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    staging: FakeStaging = field(default_factory=FakeStaging)
    time: FakeTime = field(default_factory=FakeTime)
    minted: list[timedelta] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lives: timedelta | None = None
    index: FakeIndex = field(default_factory=FakeIndex)

    def mint(self, life: timedelta) -> IndexUrl:
        self.minted.append(life)
        return IndexUrl(ENDPOINT, AuthorizationToken("secret", self.time.now + (self.lives or life)))

    def opened(self, url: IndexUrl) -> FakeIndex:
        return self.index

    def bearer(
        self,
        made: Lock | None = None,
        way: Delivery = Delivery.REQUIREMENTS,
        definition: Mapping[str, object] | None = None,
        **arguments: str,
    ) -> Bearer:
        locked = made or lock(pin("acme==1.0"))
        return Bearer(
            asked=Asked(job=job_settings(), lock=locked, delivery=way, arguments=arguments),
            launch=ID,
            budget=token_budget(definition or {}, locked),
            deliverer=Deliverer(
                mint=self.mint, open_index=self.opened, staging=self.staging, clock=self.time.clock
            ),
            clock=self.time.clock,
            progress=self.told.append,
        )

    def launch(self, bearer: Bearer | None = None, queue: timedelta = timedelta()) -> Launched:
        began = self.time.now

        def now() -> float:
            return (self.time.now - began).total_seconds()

        return launch(
            bearer or self.bearer(),
            alone=True,
            patience=Patience(queue=queue),
            jobs=self.jobs,
            timing=Timing(now=now, sleep=self.time.sleep, jitter=lambda: 0.5),
            clock=self.time.clock,
            progress=self.told.append,
        )


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_gets_the_arguments_of_job_caller_and_lock_and_its_launch(world: World) -> None:
    launched = world.launch(world.bearer(way=Delivery.INDEX, day="2026-11-22", S3_BUCKET="mine"))
    ((job, arguments),) = world.jobs.started
    assert job == "taxi-job"
    names = ("--S3_BUCKET", "--day", "--additional-python-modules", LAUNCH_ID)
    assert [arguments[name] for name in names] == ["mine", "2026-11-22", "acme==1.0", ID]
    assert (launched.run, launched.delivery, launched.launch) == (RUN, Delivery.INDEX, ID)


def test_what_a_launch_tells_holds_no_secret(world: World) -> None:
    launched = world.launch()
    assert len(world.staging.objects) == 1
    assert launched.token_expires == world.time.now + SHORTEST
    assert launched.accept_seconds == 0
    assert "secret@" not in repr(launched) + repr(world.told)


def test_a_run_that_installs_nothing_has_no_token(world: World) -> None:
    launched = world.launch(world.bearer(PREINSTALLED))
    assert (launched.token_expires, launched.accept_seconds, world.minted) == (None, None, [])


def test_a_token_covers_what_the_job_waits_for(world: World) -> None:
    flexible = {"ExecutionClass": "FLEX"}
    world.launch(world.bearer(definition=flexible))
    assert timedelta(minutes=26) < world.minted[0] < timedelta(minutes=30)
    assert world.minted[0].microseconds == 0


def test_a_token_that_may_end_too_soon_is_a_warning_with_both_numbers(world: World) -> None:
    world.lives = SHORTEST
    world.launch(world.bearer(definition={"ExecutionClass": "FLEX"}))
    (warning,) = [text for text in world.told if text.startswith("warning")]
    assert "the token lives 900 s, needed may be 27 min (20 waiting, 5 starting, 2 installing)" in warning


def test_a_refused_start_leaves_no_secret(world: World) -> None:
    world.jobs.full = True
    with pytest.raises(NoCapacity):
        world.launch()
    assert world.staging.objects == {}
    assert len(world.staging.deleted) == 1


def test_a_secret_that_cannot_be_deleted_does_not_hide_why_the_start_was_refused(world: World) -> None:
    world.jobs.full = True
    world.staging.refuse_deletes = 1
    with pytest.raises(NoCapacity):
        world.launch()
    assert "could not delete s3://staging/area/requirements/" in world.told[-1]
    assert "it holds a token that ends at" in world.told[-1]


def test_a_start_that_waited_long_takes_a_new_token_and_leaves_the_old_nowhere(world: World) -> None:
    world.jobs.refusals = [NoCapacity("full")] * 80
    launched = world.launch(queue=timedelta(hours=1))
    assert len(world.minted) > 1
    ((_, arguments),) = world.jobs.started
    assert list(world.staging.objects) == [arguments["--additional-python-modules"]]
    assert launched.token_expires is not None
    assert launched.token_expires - world.time.now > timedelta(minutes=6)


def test_a_short_wait_keeps_its_token(world: World) -> None:
    world.jobs.refusals = [StartThrottled("slow down")]
    world.launch()
    assert world.minted == [SHORTEST]


def test_a_run_whose_answer_was_lost_keeps_the_file_it_installs_from(world: World) -> None:
    world.jobs.lost = [True]
    launched = world.launch()
    assert launched.run == RUN
    assert list(world.staging.objects) == [world.jobs.begun[0].requirements_file]
    assert launched.token_expires is not None


def test_where_a_run_may_have_been_started_its_file_stays_and_that_is_told(world: World) -> None:
    world.jobs.refusals = [NoAnswer("no answer came")] * 100
    with pytest.raises(StartUnknown):
        world.launch()
    (url,) = world.staging.objects
    assert world.told[-1].startswith(f"{url} stays, with a token that ends at ")


def test_a_run_of_another_process_does_not_need_what_was_brought_here(world: World) -> None:
    world.jobs.start("taxi-job", {LAUNCH_ID: ID})
    world.jobs.refusals = [NoAnswer("no answer came")]
    launched = world.launch()
    assert (launched.run, launched.token_expires) == (RUN, None)
    assert world.staging.objects == {}


# For those who start runs themselves


def test_arguments_for_another_launcher_are_those_of_a_run(world: World) -> None:
    made = job_arguments(world.bearer(way=Delivery.INDEX, day="1"))
    world.launch(world.bearer(way=Delivery.INDEX, day="1"))
    assert dict(made.arguments) == world.jobs.started[0][1]
    assert made.expires_at == world.time.now + SHORTEST
    assert made.start_before is not None
    assert made.start_before < made.expires_at - timedelta(minutes=6)
    assert (made.job, made.delivery, made.launch) == ("taxi-job", Delivery.INDEX, ID)
    assert "secret" not in repr(made)


def test_arguments_without_a_token_do_not_expire(world: World) -> None:
    made = job_arguments(world.bearer(PREINSTALLED, Delivery.WHEELS))
    assert made == JobArguments(
        job="taxi-job",
        arguments={"--S3_BUCKET": "b", LAUNCH_ID: ID},
        delivery=Delivery.WHEELS,
        lock=PREINSTALLED,
        launch=ID,
    )


def test_arguments_that_cannot_be_made_leave_no_secret(world: World) -> None:
    with pytest.raises(SettingsError):
        job_arguments(world.bearer(note="x" * 270_000))
    assert world.staging.objects == {}


def test_an_interrupt_while_the_start_is_asked_for_keeps_what_the_run_may_need(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(job: str, arguments: Mapping[str, str]) -> JobRunId:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.jobs, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.launch()
    (secret,) = world.staging.objects
    assert [line for line in world.told if line.startswith(f"{secret} stays, with a token")]
    assert f"launch again with --launch-id {ID}" in world.told[-1]


def test_an_interrupt_after_a_refusal_leaves_no_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(job: str, arguments: Mapping[str, str]) -> JobRunId:
        raise StartThrottled("too many calls")

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.jobs, "start", throttled)
    monkeypatch.setattr(world.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.launch()
    assert world.staging.objects == {}
    assert "--launch-id" not in "".join(world.told)
