from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.errors import NoCapacity, NotInstallable, SettingsError
from glue_pkgmgr.verbs.deliver import Deliverer
from glue_pkgmgr.verbs.launch import Launched, launch, preflight, token_life
from tests.fakes import ENDPOINT, FakeCodeArtifact, FakeIndex, FakeJobs, FakeStaging, FakeTime
from tests.unit.verbs.locks import APPROVED, job_settings, lock, pin, wheel_name

RUN = JobRunId("jr_1")


@dataclass
class World:
    """What launching touches."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    staging: FakeStaging = field(default_factory=FakeStaging)
    time: FakeTime = field(default_factory=FakeTime)
    minted: list[timedelta] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def mint(self, life: timedelta) -> IndexUrl:
        self.minted.append(life)
        return IndexUrl(ENDPOINT, AuthorizationToken("secret", self.time.now + life))

    def launch(
        self,
        made: Lock | None = None,
        way: Delivery = Delivery.REQUIREMENTS,
        definition: Mapping[str, object] | None = None,
        **arguments: str,
    ) -> Launched:
        deliverer = Deliverer(
            mint=self.mint, open_index=lambda url: FakeIndex(), staging=self.staging, clock=self.time.clock
        )
        return launch(
            job_settings(),
            made or lock(pin("acme==1.0")),
            delivery=way,
            arguments=arguments,
            definition=definition or {},
            jobs=self.jobs,
            deliverer=deliverer,
            clock=self.time.clock,
            progress=self.told.append,
        )


@pytest.fixture
def world() -> World:
    return World()


# Before money is spent


def look(jobs: FakeJobs, remote: FakeCodeArtifact) -> Mapping[str, object]:
    return preflight(job_settings(), lock(pin("acme==1.0")), jobs=jobs, approved=APPROVED, repositories=remote)


def remote_with(digit: str) -> FakeCodeArtifact:
    remote = FakeCodeArtifact()
    remote.put("approved", wheel_name("acme==1.0"), digit * 64)
    return remote


def test_a_job_that_can_run_the_lock_passes() -> None:
    definition = {"GlueVersion": "5.1", "MaxRetries": 0}
    assert look(FakeJobs({"taxi-job": definition}), remote_with("a")) == definition


def test_a_job_that_does_not_exist_is_told() -> None:
    with pytest.raises(SettingsError, match="there is no Glue job 'taxi-job'"):
        look(FakeJobs(), remote_with("a"))


@pytest.mark.parametrize("version", ["5.0", None])
def test_a_job_of_another_glue_version_than_the_lock_is_refused(version: str | None) -> None:
    definition: dict[str, object] = {"GlueVersion": version} if version else {}
    with pytest.raises(SettingsError, match=rf"runs Glue {version}, its lock is for Glue 5\.1"):
        look(FakeJobs({"taxi-job": definition}), remote_with("a"))


@pytest.mark.parametrize(("digit", "expected"), [("b", "different bytes"), ("", "acme==1.0: missing")])
def test_a_repository_that_does_not_hold_the_lock_is_refused(digit: str, expected: str) -> None:
    remote = remote_with(digit) if digit else FakeCodeArtifact()
    with pytest.raises(NotInstallable, match=expected):
        look(FakeJobs({"taxi-job": {"GlueVersion": "5.1"}}), remote)


# The start


def test_a_run_gets_the_arguments_of_job_caller_and_lock(world: World) -> None:
    launched = world.launch(way=Delivery.INDEX, day="2026-11-22", S3_BUCKET="mine")
    ((job, arguments),) = world.jobs.started
    assert job == "taxi-job"
    assert {name: arguments[name] for name in ("--S3_BUCKET", "--day", "--additional-python-modules")} == {
        "--S3_BUCKET": "mine",
        "--day": "2026-11-22",
        "--additional-python-modules": "acme==1.0",
    }
    assert (launched.run, launched.delivery) == (RUN, Delivery.INDEX)


def test_what_a_launch_tells_holds_no_secret(world: World) -> None:
    launched = world.launch()
    assert len(world.staging.objects) == 1
    assert launched.token_expires == world.time.now + SHORTEST
    assert launched.accept_seconds == 0
    assert "secret@" not in repr(launched) + repr(world.told)


@pytest.mark.parametrize("arguments", [{"JOB_NAME": "x"}, {"day": "-x"}, {"additional-python-modules": "evil"}])
def test_wrong_arguments_are_refused_before_a_token_exists(world: World, arguments: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        world.launch(**arguments)
    assert (world.minted, world.staging.objects, world.jobs.started) == ([], {}, [])


def test_requirements_are_refused_where_glue_reads_none_before_a_token_exists(world: World) -> None:
    with pytest.raises(SettingsError, match=r"Glue 4\.0 reads no requirements file; use wheels or index"):
        world.launch(lock(pin("acme==1.0"), glue="4.0"))
    assert world.minted == []


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
    assert "it holds a token that ends at 12:15 UTC" in world.told[-1]


def test_a_flexible_run_gets_a_token_that_covers_its_wait(world: World) -> None:
    world.launch(definition={"ExecutionClass": "FLEX"})
    world.launch(definition={"ExecutionClass": "STANDARD"})
    assert world.minted == [SHORTEST + timedelta(minutes=20), SHORTEST]
    assert token_life({}) == SHORTEST


def test_settings_of_the_job_are_those_of_the_file() -> None:
    assert job_settings(Path("/here")).staging == "s3://staging/area/"
