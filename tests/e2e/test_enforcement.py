"""What nobody approved does not get in: seven ways to try, each refused with its own reason at every door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import requests

from glue_pkgmgr.core.lockfile import lock_from_toml, requirements_text
from glue_pkgmgr.core.simple_api import JSON_TYPE
from glue_pkgmgr.process import Finished
from tests.e2e.approved_world import (
    APPROVED,
    DOMAIN,
    INSTALLERS,
    STORE,
    World,
    installed,
    running_world,
    settings,
)
from tests.integration.local.made_distributions import sha256, wheel

pytestmark = pytest.mark.timeout(600)

NOW = datetime.now(UTC)
UPLOADED = NOW - timedelta(days=1)
OLD_ENOUGH = UPLOADED + timedelta(days=7)
EVIL = b"EVIL = True\n"
SEALED, KEPT, ON_DISK, SWAPPED = (f"made-{name}" for name in ("sealed", "kept", "on-disk", "swapped"))


def good_and_evil(project: str) -> tuple[bytes, bytes]:
    """Return the wheel of version 1.0 of a made project as it was locked, and as somebody changed it."""
    return wheel(project, "1.0")[1], wheel(project, "1.0", payload=EVIL)[1]


NOT_THE_LOCKED_FILE = (
    "made_sealed-1.0-py3-none-any.whl is not the file that was locked: locked {}, now {}; a release never changes"
).format(*map(sha256, good_and_evil(SEALED)))
EVERY_INSTALLER = pytest.mark.parametrize("installer", INSTALLERS)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A release that must not get in: the request for it, and `release` itself as an installer is asked for it.

    `check` and `lock` are what the two verbs say, `at` is where the JSON object of `check` has it, in the words
    `told` if they are others. `module` is what would lie in the folder if it got in.
    """

    request: str
    release: str
    status: int
    check: str
    lock: str
    at: tuple[str | int, ...]
    told: str = ""

    @property
    def module(self) -> str:
        return self.release.partition("==")[0].replace("-", "_")


ATTACKS = {
    "unapproved": Attack(
        request="made-base==2.0",
        release="made-base==2.0",
        status=3,
        check="2.0 is not approved; approved is made-base==1.0",
        lock="  made-base==2.0 is not approved\n",
        at=("items", 0, "problem"),
    ),
    "transitive": Attack(
        request="made-chain==1.0",
        release="made-hidden==1.0",
        status=3,
        check="made-hidden==1.0  made-chain",
        lock="  made-hidden==1.0 (wanted by made-chain) is not approved\n",
        at=("refusal", "missing", 0, "chain"),
        told="['made-chain', 'made-hidden']",
    ),
    "young": Attack(
        request="made-young==1.0",
        release="made-young==1.0",
        status=4,
        check=f"1.0: younger than the minimum age (from {OLD_ENOUGH:%Y-%m-%d})",
        lock=f"  made-young: none can be chosen: 1.0: younger than the minimum age (from {OLD_ENOUGH:%Y-%m-%d})\n",
        at=("refusal", "obstacles", 0, "told"),
    ),
    "yanked": Attack(
        request="made-yanked==1.0",
        release="made-yanked==1.0",
        status=4,
        check="1.0: yanked (it eats dates)",
        lock="  made-yanked: none can be chosen: 1.0: yanked (it eats dates)\n",
        at=("refusal", "obstacles", 0, "told"),
    ),
    "tampered": Attack(
        request=SEALED,  # not the very request of the lock, which would answer it
        release=f"{SEALED}==1.0",
        status=4,
        check=NOT_THE_LOCKED_FILE,
        lock=NOT_THE_LOCKED_FILE,
        at=("error", "message"),
    ),
    "look-alike": Attack(
        request="glueutlis==1.0",
        release="glueutlis==1.0",
        status=3,
        check="easily taken for our own glueutils; is that what you mean?",
        lock="  glueutlis: the name is easily taken for one of ours; is glueutils meant?\n",
        at=("items", 0, "problem"),
    ),
    "internal": Attack(
        request="glueutils==99.0",
        release="glueutils==99.0",
        status=4,
        check="0.2.0 can be chosen; it is internal: a release of that name in the store is never taken",
        lock="  glueutils: 0.2.0 can be chosen; it is internal: a release of that name in the store is never",
        at=("refusal", "obstacles", 0, "told"),
    ),
}
BUNDLES = {
    "good": ["glueutils==0.2.0", "made-top==1.0"],
    "kept": [f"{KEPT}==1.0"],
    "on-disk": [f"{ON_DISK}==1.0"],
    "swapped": [f"{SWAPPED}==1.0"],
    **{name: [attack.request] for name, attack in ATTACKS.items()},
    "tampered": [f"{SEALED}==1.0"],
}
# Every rule but the one under attack lets the release pass: a range covers 99, too.
APPROVALS = (
    *("made-top==1.0", "made-base==1.0", "made-chain==1.0", "made-young==1.0", "made-yanked==1.0"),
    *(f"{SEALED}==1.0", f"{KEPT}==1.0", f"{ON_DISK}==1.0", f"{SWAPPED}==1.0", "glueutils>=0.2"),
)
BY_HAND = """
[[approvals]]
project = "glueutlis"
versions = "==1.0"
approved-by = "somebody"
reason = "written into the file, since `approve` refuses it"
"""


@dataclass(frozen=True)
class Beginning:
    """How it came to be: what of `glueutils` the store listed before and after the first `mirror sync`, and what
    the last one told.
    """

    listed_before: list[str]
    listed_after: list[str]
    synced: Any


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give a world with a public index that means no good, and an allow-list."""
    root = tmp_path_factory.mktemp("enforcement")
    with running_world(root, settings(BUNDLES, job="swapped")) as running:
        public = running.public
        public.add(wheel("made-top", "1.0", requires=["made-base"]))
        for version in ("1.0", "2.0"):
            public.add(wheel("made-base", version))
        public.add(wheel("made-chain", "1.0", requires=["made-hidden>=1"]))
        public.add(wheel("made-hidden", "1.0"))
        public.add(wheel("made-young", "1.0"), uploaded=UPLOADED)
        public.add(wheel("made-yanked", "1.0"), yanked="it eats dates")
        for project in (SEALED, KEPT, ON_DISK, SWAPPED):
            public.add(wheel(project, "1.0"))
        public.add(wheel("glueutlis", "1.0"))
        public.add(wheel("glueutils", "99.0", payload=EVIL))
        running.done("approve", *APPROVALS, "--by", "ann", "--reason", "reviewed")
        with (running.workspace.folder / "allowlist.toml").open("a", encoding="utf-8") as file:
            file.write(BY_HAND)
        yield running


@pytest.fixture(scope="module")
def beginning(world: World) -> Beginning:
    """Lock and mirror what is good; then change bytes at the public index, and mirror again."""
    set_origin(world, STORE, "glueutils", publish="BLOCK", upstream="ALLOW")  # as where nobody thought of it
    listed_before = page(world, STORE, "glueutils")
    world.done("lock", "good", "kept", "on-disk", "swapped")
    world.done("mirror", "sync")
    listed_after = page(world, STORE, "glueutils")
    world.done("lock", "tampered")
    for project in (SEALED, KEPT):
        world.public.add(wheel(project, "1.0", payload=EVIL))
        # As in an account whose store never had the release.
        world.delete(STORE, project, "1.0")
    world.restart()
    return Beginning(listed_before, listed_after, world.told("mirror", "sync", status=4))


@pytest.fixture(autouse=True)
def _begun(beginning: Beginning) -> None:
    """Have it all ready."""


def page(world: World, repository: str, project: str) -> list[str]:
    """Return the file names that a repository lists for a project; none if it does not know it."""
    answer = requests.get(f"{world.url_of(repository)}{project}/", headers={"Accept": JSON_TYPE}, timeout=30)
    return [file["filename"] for file in answer.json()["files"]] if answer.ok else []


def set_origin(world: World, repository: str, project: str, *, publish: str, upstream: str) -> None:
    """Set the origin controls of a package."""
    world.api().put_package_origin_configuration(
        **{"domain": DOMAIN, "repository": repository, "format": "pypi", "package": project},
        restrictions={"publish": publish, "upstream": upstream},
    )


def held(world: World, name: str) -> bytes | None:
    """Return the lock of a bundle as it is on disk, None where there is none."""
    path = world.workspace.folder / "locks" / f"{name}.glue-5.1.pylock.toml"
    return path.read_bytes() if path.exists() else None


def refused(finished: CompletedProcess[str], status: int) -> None:
    """A command must have ended with `status` and one of our own sentences."""
    assert finished.returncode == status, finished.stdout + finished.stderr
    assert "\nerror: " in f"\n{finished.stderr}"
    assert "Traceback" not in finished.stderr


def code_of(target: Path, project: str) -> bytes:
    """Return the source of the one module of an installed made project."""
    return (target / project.replace("-", "_") / "__init__.py").read_bytes()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the two verbs, and each installer asking the approved repository, answered to one attack.

    `wrote` tells whether `lock` changed the lock, `targets` is what the installers were to install into.
    """

    check: CompletedProcess[str]
    check_json: CompletedProcess[str]
    lock: CompletedProcess[str]
    wrote: bool
    installs: dict[str, Finished]
    targets: dict[str, Path]


@pytest.fixture(scope="module")
def answers(world: World, beginning: Beginning, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    """Try every attack at every door. Two at a time: what each does is mostly to start a process."""
    root = tmp_path_factory.mktemp("targets")

    def tried(name: str) -> Answers:
        attack, before = ATTACKS[name], held(world, name)
        targets = {installer: root / f"{name} {installer}" for installer in INSTALLERS}
        return Answers(
            check=world.run("check", attack.request),
            check_json=world.run("--json", "check", attack.request),
            lock=world.run("lock", name),
            wrote=held(world, name) != before,
            installs={
                installer: world.install(installer, target, "--no-deps", attack.release)
                for installer, target in targets.items()
            },
            targets=targets,
        )

    assert world.index_url  # once for all
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ATTACKS, pool.map(tried, ATTACKS), strict=True))


@pytest.mark.parametrize("name", ATTACKS)
class TestEachAttack:
    def test_check_refuses_it_with_its_reason(self, answers, name):
        attack, finished = ATTACKS[name], answers[name].check
        refused(finished, attack.status)
        assert attack.check in finished.stdout + finished.stderr

    def test_check_refuses_it_in_json(self, answers, name):
        attack, finished = ATTACKS[name], answers[name].check_json
        assert finished.returncode == attack.status
        told = json.loads(finished.stdout)
        assert not told.get("allowed")
        found = reduce(lambda value, key: value[key], attack.at, told)
        assert (attack.told or attack.check) in str(found)

    def test_lock_refuses_it_with_its_reason_and_writes_nothing(self, answers, name):
        attack, finished = ATTACKS[name], answers[name].lock
        refused(finished, attack.status)
        assert attack.lock in finished.stderr
        assert not answers[name].wrote

    @EVERY_INSTALLER
    def test_the_approved_repository_does_not_have_it(self, answers, name, installer):
        attack, finished = ATTACKS[name], answers[name].installs[installer]
        assert not finished.ok
        project = attack.release.partition("==")[0]
        expected = {
            "uv": (f"there is no version of {attack.release}", f"{project} was not found in the package registry")
        }.get(installer, (f"No matching distribution found for {attack.release}",))
        assert any(words in finished.stderr for words in expected), finished.stderr
        target = answers[name].targets[installer]
        assert not (target / attack.module).exists()
        assert installed(target) == {}


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "internal"])
def test_the_same_command_gets_it_from_the_store_where_nobody_approves(world, name, tmp_path):
    attack = ATTACKS[name]
    finished = world.install("uv", tmp_path / "target", "--no-deps", attack.release, repository=STORE)
    assert finished.ok, finished.stderr
    assert installed(tmp_path / "target") == {attack.module: attack.release.partition("==")[2]}


def test_approve_refuses_a_look_alike(world):
    finished = world.run("approve", "glueutlis==1.0", "--by", "ann", "--reason", "why not")
    refused(finished, 3)
    assert "glueutlis is easily taken for our own glueutils" in finished.stderr


class TestWhatIsApproved:
    @EVERY_INSTALLER
    def test_is_installed_from_the_approved_repository(self, world, installer, tmp_path):
        finished = world.install(installer, tmp_path, "glueutils==0.2.0", "made-top==1.0")
        assert finished.ok, finished.stderr
        assert installed(tmp_path) == {"glueutils": "0.2.0", "made_top": "1.0", "made_base": "1.0"}

    @EVERY_INSTALLER
    def test_is_installed_by_the_hashes_of_its_lock(self, world, installer, tmp_path):
        finished = world.install(installer, tmp_path / "target", "-r", by_hash(world, "good", tmp_path))
        assert finished.ok, finished.stderr
        assert installed(tmp_path / "target") == {"glueutils": "0.2.0", "made_top": "1.0", "made_base": "1.0"}

    def test_check_and_lock_let_it_pass(self, world):
        told = world.told("check", "made-top,glueutils==0.2.0")  # no request of a lock, so it is resolved
        assert told["allowed"]
        before = held(world, "good")
        assert world.told("lock", "good")["locks"][0]["changed"] is False
        assert held(world, "good") == before


def by_hash(world: World, name: str, folder: Path) -> Path:
    """Write what a launch gives to pip, the requirements with hashes of a lock, and return the file."""
    lock = lock_from_toml((held(world, name) or b"").decode(), name)
    file = folder / "requirements.txt"
    file.write_text(requirements_text(lock, world.index_url))
    return file


LIFTED = "lifted-repo"
LIFTED_POLICY = """
internal = ["glueutils"]
distinct = ["glueutlis"]
minimum-age-days = 0
allowlist = "lifted-allowlist.toml"
locks = "lifted-locks"
"""


def test_every_attack_gets_in_once_people_have_lifted_the_one_rule_against_it(world, tmp_path):
    """No refusal above may come from anything but its own rule: without that, the same road is open."""
    lifted = {name: modules for name, modules in BUNDLES.items() if name in ATTACKS and name != "internal"}
    config = world.workspace.folder / "lifted.toml"
    config.write_text(settings(lifted, policy=LIFTED_POLICY, repository=LIFTED))
    world.api().create_repository(domain=DOMAIN, repository=LIFTED)
    ours = ("--config", str(config))
    approve = (*ours, "approve", "--by", "ann", "--reason", "wanted all the same")
    releases = [attack.release for name, attack in ATTACKS.items() if name in lifted and name != "yanked"]
    world.done(*approve, *releases, "made-chain==1.0")
    world.done(*approve, "made-yanked==1.0", "--allow-yanked", "the dates are gone anyway")

    world.done(*ours, "lock")
    world.done(*ours, "mirror", "sync")
    wanted = [module for modules in lifted.values() for module in modules]
    for installer in ("pip", "uv"):
        target = tmp_path / installer
        finished = world.install(installer, target, *wanted, repository=LIFTED)
        assert finished.ok, finished.stderr
        assert set(installed(target)) == {
            *(attack.module for name, attack in ATTACKS.items() if name in lifted),
            "made_chain",
        }
        assert EVIL in code_of(target, SEALED)


@contextmanager
def changed_on_disk(world: World, project: str) -> Iterator[tuple[str, str]]:
    """Change the bytes of a wheel where the stand-in keeps them; give the hashes before and after."""
    good, evil = good_and_evil(project)
    blob = world.blob(sha256(good))
    blob.write_bytes(evil)
    try:
        yield sha256(good), sha256(evil)
    finally:
        blob.write_bytes(good)


class TestTamperedWheel:
    """Bytes that were changed after locking: at the public index, on the disk, in the approved repository."""

    def test_mirror_sync_keeps_the_changed_file_out_and_names_the_incident(self, world, beginning):
        (incident,) = beginning.synced["incidents"]
        assert (incident["release"], incident["outcome"]) == (f"{SEALED}==1.0", "removed again")
        locked, there = (sha256(content)[:12] for content in good_and_evil(SEALED))
        assert f"made_sealed-1.0-py3-none-any.whl: locked {locked}…, there {there}…" in incident["detail"]
        assert page(world, APPROVED, SEALED) == []

    @EVERY_INSTALLER
    def test_what_the_public_index_changes_later_does_not_reach_an_approved_release(
        self, world, installer, tmp_path
    ):
        finished = world.install(installer, tmp_path, f"{KEPT}==1.0")
        assert finished.ok, finished.stderr
        assert EVIL not in code_of(tmp_path, KEPT)

    def test_what_is_mirrored_is_not_locked_again_with_other_bytes(self, world):
        before = held(world, "kept")
        finished = world.run("lock", "kept", "--upgrade")
        refused(finished, 4)
        assert "made_kept-1.0-py3-none-any.whl is not the file that was locked" in finished.stderr
        assert held(world, "kept") == before

    @EVERY_INSTALLER
    def test_bytes_changed_on_the_disk_are_installed_by_nobody(self, world, installer, tmp_path):
        requirements = by_hash(world, "on-disk", tmp_path)
        with changed_on_disk(world, ON_DISK) as (_, evil):
            for number, words in enumerate(((f"{ON_DISK}==1.0",), ("-r", requirements))):
                target = tmp_path / str(number)
                finished = world.install(installer, target, *words)
                assert not finished.ok
                assert evil in finished.stderr
                assert installed(target) == {}
        assert world.install(installer, tmp_path / "after", "-r", requirements).ok

    @pytest.mark.parametrize("words", [("lock", "on-disk"), ("check", ON_DISK)])
    def test_bytes_changed_on_the_disk_are_seen_where_the_wheel_is_read(self, world, words, tmp_path):
        before = held(world, "on-disk")
        with changed_on_disk(world, ON_DISK) as (good, evil):
            # With an empty cache, that is: metadata which was read once is known by the hash of its wheel.
            finished = world.run(*words, GLUE_PKGMGR_CACHE=str(tmp_path / "empty"))
        refused(finished, 4)
        assert f"is not what was promised: SHA-256 {evil}, expected {good}" in finished.stderr
        assert held(world, "on-disk") == before

    def test_a_release_replaced_in_the_approved_repository_reaches_no_job_and_is_put_right(self, world, tmp_path):
        good, evil = good_and_evil(SWAPPED)
        self.replace_in_approved(world, evil, tmp_path)
        locked_and_there = f"locked {sha256(good)[:12]}…, there {sha256(evil)[:12]}…"

        requirements = by_hash(world, "swapped", tmp_path)
        for installer in INSTALLERS:
            finished = world.install(installer, tmp_path / installer, "-r", requirements)
            assert not finished.ok
            assert sha256(good) in finished.stderr
            assert installed(tmp_path / installer) == {}

        launched = world.run("launch", "swapped", "--no-wait")
        refused(launched, 4)
        assert locked_and_there in launched.stderr
        assert world.told("runs", "swapped")["runs"] == []

        verified = world.told("mirror", "verify", status=3)
        incidents = {one["release"]: one for one in verified["incidents"]}
        assert incidents[f"{SWAPPED}==1.0"]["outcome"] == "still there"
        assert locked_and_there in incidents[f"{SWAPPED}==1.0"]["detail"]

        synced = world.told("mirror", "sync", status=4)
        outcomes = {one["release"]: one["outcome"] for one in synced["incidents"]}
        assert outcomes[f"{SWAPPED}==1.0"] == "removed, and brought anew as locked"
        finished = world.install("pip", tmp_path / "after", "-r", requirements)
        assert finished.ok, finished.stderr
        assert EVIL not in code_of(tmp_path / "after", SWAPPED)

    def replace_in_approved(self, world: World, evil: bytes, folder: Path) -> None:
        """Do what somebody can who may do everything: other bytes under the same name."""
        world.delete(APPROVED, SWAPPED, "1.0")
        set_origin(world, APPROVED, SWAPPED, publish="ALLOW", upstream="BLOCK")
        file = folder / wheel(SWAPPED, "1.0")[0]
        file.write_bytes(evil)
        uploaded = world.upload(file)
        assert uploaded.returncode == 0, uploaded.stdout

    def test_nobody_adds_a_file_to_a_release_that_was_mirrored(self, world, tmp_path):
        # An installer that is told the version only would prefer it, by its build number.
        file = tmp_path / "made_base-1.0-1-py3-none-any.whl"
        file.write_bytes(wheel("made-base", "1.0", payload=EVIL)[1])
        assert world.upload(file).returncode != 0
        assert page(world, APPROVED, "made-base") == ["made_base-1.0-py3-none-any.whl"]


class TestInternalName:
    """Version 99 of our own name at the public index."""

    @EVERY_INSTALLER
    def test_a_plain_install_gets_ours(self, world, installer, tmp_path):
        finished = world.install(installer, tmp_path, "glueutils")
        assert finished.ok, finished.stderr
        assert installed(tmp_path) == {"glueutils": "0.2.0"}
        assert EVIL not in code_of(tmp_path, "glueutils")

    def test_a_bundle_that_names_no_version_locks_ours(self, world):
        (release,) = world.told("check", "glueutils")["releases"]
        assert (release["project"], release["version"], release["from"]) == ("glueutils", "0.2.0", "our own")

    def test_the_store_offered_it_and_does_not_since_the_first_mirror_sync(self, world, beginning, tmp_path):
        assert beginning.listed_before == ["glueutils-99.0-py3-none-any.whl"]
        assert beginning.listed_after == []
        finished = world.install("pip", tmp_path, "glueutils==99.0", repository=STORE)
        assert not finished.ok
        assert installed(tmp_path) == {}

    def test_a_dependency_on_it_is_not_met_by_the_store(self, world):
        world.public.add(wheel("made-confused", "1.0", requires=["glueutils>=99"]))
        (world.workspace.folder / "confused.toml").write_text(
            (world.workspace.folder / "allowlist.toml").read_text() + BY_HAND.replace("glueutlis", "made-confused")
        )
        config = world.workspace.folder / "confused-settings.toml"
        config.write_text(
            settings({}, policy='internal = ["glueutils"]\nallowlist = "confused.toml"\nlocks = "none"')
        )
        finished = world.run("--config", str(config), "check", "made-confused==1.0")
        refused(finished, 4)
        assert "glueutils>=99" in finished.stdout


class TestTheWeakerShape:
    """The approved repository with the store as its upstream: what keeps things out is that it has none."""

    def test_it_lets_in_what_nobody_approved_but_not_our_name_and_verify_tells_it(self, world, tmp_path):
        domain = {"domain": DOMAIN, "repository": APPROVED}
        world.api().update_repository(**domain, upstreams=[{"repositoryName": STORE}])
        try:
            told = world.told("mirror", "verify", status=3)
            assert (APPROVED, "upstream") in {(one["where"], one["what"]) for one in told["deviations"]}
            assert world.install("uv", tmp_path / "young", "made-young==1.0").ok
            assert not world.install("uv", tmp_path / "ours", "glueutils==99.0").ok
            assert installed(tmp_path / "ours") == {}
            # Closed to upstreams, as every mirrored project is left.
            assert not world.install("uv", tmp_path / "base", "made-base==2.0").ok
        finally:
            world.api().update_repository(**domain, upstreams=[])
        told = world.told("mirror", "verify", status=3)
        assert "made-young==1.0" in {one["release"] for one in told["unlocked"]}
        world.delete(APPROVED, "made-young", "1.0")
