from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import INSTALLER_OPTION, MODULES, Delivery
from glue_pkgmgr.core.lockfile import Lock, requirements_text
from glue_pkgmgr.errors import NotInstallable, RemoteError
from glue_pkgmgr.verbs.deliver import Delivered, Deliverer
from tests.fakes import ENDPOINT, FakeIndex, FakeStaging, FakeTime
from tests.unit.verbs.locks import lock, pin, wheel_name

FOLDER = "s3://staging/area/"
CONTENT = b"the wheel"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LIFE = timedelta(minutes=35)


@dataclass
class World:
    """What a delivery touches; minting takes one second."""

    staging: FakeStaging = field(default_factory=FakeStaging)
    index: FakeIndex = field(default_factory=FakeIndex)
    time: FakeTime = field(default_factory=FakeTime)
    lives: list[timedelta] = field(default_factory=list)

    def mint(self, life: timedelta) -> IndexUrl:
        self.time.sleep(1)
        self.lives.append(life)
        return IndexUrl(ENDPOINT, AuthorizationToken("t/k", self.time.now + life))

    def deliver(self, made: Lock, way: Delivery) -> Delivered:
        return self.deliverer.deliver(made, way, FOLDER, LIFE)

    @property
    def deliverer(self) -> Deliverer:
        return Deliverer(
            mint=self.mint, open_index=lambda url: self.index, staging=self.staging, clock=self.time.clock
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("way", Delivery)
def test_a_lock_that_the_image_fulfils_needs_no_token_and_no_argument(world: World, way: Delivery) -> None:
    delivered = world.deliver(lock(pin("boto3==1.40.61", "")), way)
    assert delivered.arguments.as_arguments() == {}
    assert (world.lives, world.staging.objects, delivered.secret_object) == ([], {}, None)


def test_requirements_are_an_object_with_an_unguessable_name_and_the_token_only_in_it(world: World) -> None:
    made = lock(pin("acme==1.0"))
    delivered = world.deliver(made, Delivery.REQUIREMENTS)
    other = world.deliver(made, Delivery.REQUIREMENTS)
    assert delivered.secret_object is not None
    assert delivered.secret_object != other.secret_object
    assert delivered.arguments.as_arguments() == {MODULES: delivered.secret_object, INSTALLER_OPTION: "-r"}
    url = f"http://aws:t%2Fk@{ENDPOINT.removeprefix('http://')}simple/"
    assert world.staging.objects[delivered.secret_object].decode() == requirements_text(made, url)
    assert delivered.secret_object.startswith(f"{FOLDER}requirements/")
    assert world.lives == [LIFE, LIFE]
    assert "t/k" not in repr(delivered)
    assert "t%2Fk" not in repr(delivered)


def test_the_time_of_a_token_is_told(world: World) -> None:
    start = world.time.now
    for way in (Delivery.REQUIREMENTS, Delivery.INDEX):
        delivered = world.deliver(lock(pin("acme==1.0")), way)
        assert delivered.minted_at == world.time.now > start
        assert delivered.token_expires == world.time.now + LIFE


def test_withdrawing_deletes_the_secret_and_nothing_else(world: World) -> None:
    delivered = world.deliver(lock(pin("acme==1.0")), Delivery.REQUIREMENTS)
    world.deliverer.withdraw(delivered)
    assert world.staging.objects == {}
    world.deliverer.withdraw(world.deliver(lock(pin("acme==1.0")), Delivery.INDEX))
    assert world.staging.deleted == [delivered.secret_object]


@pytest.mark.parametrize("refuse_deletes", [0, 1])
def test_a_write_that_failed_may_have_arrived_and_is_deleted(world: World, refuse_deletes: int) -> None:
    world.staging.refuse_puts = True
    world.staging.refuse_deletes = refuse_deletes
    with pytest.raises(RemoteError, match="could not write"):
        world.deliver(lock(pin("acme==1.0")), Delivery.REQUIREMENTS)
    assert len(world.staging.objects) == refuse_deletes


def test_the_index_delivery_has_exact_pins_and_the_url_with_its_token(world: World) -> None:
    delivered = world.deliver(lock(pin("acme==1.0"), pin("b==2.0"), pin("boto3==1.40.61", "")), Delivery.INDEX)
    arguments = delivered.arguments.as_arguments()
    assert arguments[MODULES] == "acme==1.0,b==2.0"
    assert arguments[INSTALLER_OPTION].startswith("--no-deps --index-url=http://aws:t%2Fk@")
    assert delivered.secret_object is None
    assert world.staging.objects == {}


def test_wheels_are_staged_under_their_hash_and_need_no_token_in_the_run(world: World) -> None:
    world.index.files[wheel_name("acme==1.0")] = CONTENT
    acme = pin("acme==1.0")
    made = lock(replace(acme, files=(replace(acme.files[0], sha256=DIGEST),)))
    delivered = world.deliver(made, Delivery.WHEELS)
    location = f"{FOLDER}wheels/{DIGEST}/{wheel_name('acme==1.0')}"
    assert delivered.arguments.as_arguments() == {MODULES: location, INSTALLER_OPTION: "--no-deps --no-index"}
    assert world.staging.objects == {location: CONTENT}
    assert (delivered.token_expires, delivered.secret_object) == (None, None)
    assert world.lives == [SHORTEST]


def test_wheels_that_are_not_the_locked_bytes_are_not_staged(world: World) -> None:
    world.index.files[wheel_name("acme==1.0")] = b"evil"
    with pytest.raises(NotInstallable):
        world.deliver(lock(pin("acme==1.0")), Delivery.WHEELS)
    assert world.staging.objects == {}


def test_a_wheel_the_approved_repository_does_not_list_is_told(world: World) -> None:
    with pytest.raises(
        NotInstallable, match=r"does not list acme-1\.0-py3-none-any\.whl; run `glue-pkgmgr mirror sync`"
    ):
        world.deliver(lock(pin("acme==1.0")), Delivery.WHEELS)
