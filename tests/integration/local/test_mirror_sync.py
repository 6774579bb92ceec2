"""`mirror sync`, `verify` and `prune` on the stand-in, with a loopback index for the public one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_to_toml
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.ports import PackageIndex
from glue_pkgmgr.verbs.mirror import prune, sync, verify
from glue_pkgmgr.verbs.mirrored import MirrorReport, Places, Presence
from tests.fakes import FakeRecords
from tests.integration.adapters.loopback import NO_PROXY, environment
from tests.integration.local.made_distributions import sha256, wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, REGION, Service, running_service
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

STORE = RepositoryAddress(domain=DOMAIN, owner=ACCOUNT, region=REGION, repository="pypi-store")
PLACES = Places(store=STORE, approved=replace(STORE, repository="approved"))
CLOSED = OriginControls(publish=False, upstream=False)
# A sync in a process of its own, to be killed: it says each release that it has brought.
SYNC = """
import sys
from pathlib import Path
from glue_pkgmgr.core.lockfile import lock_from_toml
from tests.integration.local.test_mirror_sync import World
from glue_pkgmgr.adapters.clients import Clients
from tests.integration.adapters.loopback import environment
client = Clients(environment(sys.argv[1]), "us-east-1").client("codeartifact")
lock = lock_from_toml(Path(sys.argv[2]).read_text(), "the lock")
print(len(World(client).sync(lock, progress=lambda text: print(text, flush=True)).lacking))
"""


@dataclass
class World:
    """A CodeArtifact client, and what a sync through it told."""

    client: Any
    places: Places = PLACES
    told: list[str] = field(default_factory=list)

    @property
    def codeartifact(self) -> CodeArtifact:
        return CodeArtifact(self.client)

    def sync(self, *locks: Lock, progress: Any = None) -> MirrorReport:
        return sync(
            locks,
            places=self.places,
            repositories=self.codeartifact,
            open_store=self.open_store,
            bring_built=lambda pin: None,
            records=FakeRecords(),
            progress=progress or self.told.append,
        )

    def verify(self, *locks: Lock) -> MirrorReport:
        return verify(locks, places=self.places, repositories=self.codeartifact, records=FakeRecords())

    def open_store(self) -> PackageIndex:
        token = self.codeartifact.issue(DOMAIN, ACCOUNT, SHORTEST)
        return SimpleIndex(IndexUrl(self.codeartifact.endpoint(STORE), token), NO_PROXY)

    def approved(self) -> dict[ProjectName, list[str]]:
        address = self.places.approved
        found = {name: self.codeartifact.versions(address, name) for name in self.codeartifact.packages(address)}
        return {name: list(map(str, versions)) for name, versions in found.items() if versions}


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path / "service") as running:
        running.usual_repositories(upstream)
        yield running


@pytest.fixture
def world(service: Service) -> World:
    # Not the service's own client, which tries nothing twice.
    return World(Clients(environment(service.url), REGION).client("codeartifact"))


def made(upstream: UpstreamIndex, *requirements: str) -> Lock:
    """Put small wheels upstream and return their lock."""
    pins = []
    for requirement in requirements:
        project, _, version = requirement.partition("==")
        filename, content = wheel(project, version)
        upstream.add((filename, content))
        file = LockedFile(filename=filename, sha256=sha256(content), size=len(content))
        pins.append(Pin(project=project_name(project), version=Version(version), files=(file,)))
    return Lock(runtime=glue_runtime("5.1"), request=("acme",), pins=tuple(pins))


def many(upstream: UpstreamIndex, count: int) -> Lock:
    return made(upstream, *(f"p{number:02}==1.0" for number in range(count)))


def presences(report: MirrorReport) -> dict[str, Presence]:
    return {str(one.pin): one.presence for one in report.entries}


def package(project: str, *versions: str) -> dict[str, Any]:
    return {
        "domain": DOMAIN,
        "repository": "approved",
        "format": "pypi",
        "package": project,
        "versions": list(versions),
    }


def test_what_nobody_ever_asked_for_is_brought_from_the_public_index(
    world: World, upstream: UpstreamIndex
) -> None:
    locked = made(upstream, "acme==1.0", "other==2.0", "acme==1.1")
    assert set(presences(world.sync(locked)).values()) == {Presence.COPIED}
    assert world.approved() == {"acme": ["1.0", "1.1"], "other": ["2.0"]}
    assert set(world.codeartifact.packages(PLACES.approved).values()) == {CLOSED}
    assert world.verify(locked).deviations == ()
    assert world.told[-1].startswith("copied 3 of 3: ")


def without_upstream(world: World) -> None:
    """Make the API copy only what the store itself holds, as an API may that knows nothing of connections."""

    def only_held(params: dict[str, Any], **_: Any) -> None:
        params["includeFromUpstream"] = False

    world.client.meta.events.register("provide-client-params.codeartifact.CopyPackageVersions", only_held)


def test_where_the_api_copies_only_what_the_store_holds_the_index_brings_it_in(
    world: World, upstream: UpstreamIndex
) -> None:
    without_upstream(world)
    locked = made(upstream, "acme==1.0")
    assert presences(world.sync(locked)) == {"acme==1.0": Presence.COPIED}
    assert upstream.requests["acme-1.0-py3-none-any.whl"] == 1


def test_a_release_that_is_nowhere_is_missing_and_all_others_are_there(
    world: World, upstream: UpstreamIndex
) -> None:
    locked = made(upstream, "acme==1.0", "gone==1.0")
    del upstream.projects["gone"]
    report = world.sync(locked)
    assert presences(report) == {"acme==1.0": Presence.COPIED, "gone==1.0": Presence.MISSING}
    assert "pypi-store does not list gone-1.0-py3-none-any.whl" in report.lacking[0].detail


@pytest.mark.parametrize("only_held", [False, True])
def test_bytes_that_changed_after_the_lock_do_not_stay(
    world: World, upstream: UpstreamIndex, only_held: bool
) -> None:
    if only_held:
        without_upstream(world)
    locked = made(upstream, "acme==1.0", "other==1.0")
    upstream.add(wheel("acme", "1.0", payload=b"tampered = True\n"))
    report = world.sync(locked)
    assert presences(report) == {"acme==1.0": Presence.DIFFERENT, "other==1.0": Presence.COPIED}
    assert [one.outcome for one in report.incidents] == ["kept out" if only_held else "removed again"]
    assert world.approved() == {"other": ["1.0"]}


def test_bytes_that_were_slipped_into_the_approved_repository_are_found_and_replaced(
    world: World, service: Service, upstream: UpstreamIndex
) -> None:
    locked = made(upstream, "acme==1.0")
    assert service.upload("approved", wheel("acme", "1.0", payload=b"evil = True\n")).status_code == 200
    assert [one.what for one in world.verify(locked).deviations] == ["origin controls", "different bytes"]
    report = world.sync(locked)
    assert presences(report) == {"acme==1.0": Presence.COPIED}
    assert report.incidents[0].outcome == "removed, and brought anew as locked"
    assert world.verify(locked).deviations == ()


def test_nobody_can_add_a_file_to_a_mirrored_release(
    world: World, service: Service, upstream: UpstreamIndex
) -> None:
    world.sync(made(upstream, "acme==1.0"))
    name, content = wheel("acme", "1.0")
    assert service.upload("approved", (name.replace("-py3", "-1-py3"), content)).status_code >= 400
    assert service.upload("approved", wheel("acme", "2.0")).status_code >= 400


def test_an_internal_name_cannot_come_in_from_the_public_index(
    world: World, service: Service, upstream: UpstreamIndex
) -> None:
    world.places = replace(PLACES, internal=frozenset({project_name("ours")}))
    assert {one.where for one in world.verify().deviations} == {"ours"}
    world.sync(made(upstream, "acme==1.0"))
    upstream.add(wheel("ours", "99.0"))
    assert service.get("pypi-store", "simple/ours/").status_code == 404
    assert service.upload("pypi-store", wheel("ours", "1.0")).status_code >= 400
    assert service.upload("approved", wheel("ours", "1.0")).status_code == 200
    assert world.verify().deviations[0].where == "acme==1.0"  # in no lock now; of ours all is well


def test_withdrawn_releases_are_left_and_disposed_ones_brought_anew(world: World, upstream: UpstreamIndex) -> None:
    locked = made(upstream, "acme==1.0", "other==1.0")
    world.sync(locked)
    world.client.update_package_versions_status(**package("acme", "1.0"), targetStatus="Archived")
    world.client.dispose_package_versions(**package("other", "1.0"))
    report = world.sync(locked)
    assert presences(report) == {"acme==1.0": Presence.WITHDRAWN, "other==1.0": Presence.COPIED}
    assert report.lacking[0].detail == "Archived"


def test_a_denied_call_fails_one_release(world: World, upstream: UpstreamIndex) -> None:
    def deny(request: Any, **_: Any) -> AWSResponse | None:
        if "package=acme" not in request.url:
            return None
        headers = {"x-amzn-ErrorType": "AccessDeniedException"}
        return AWSResponse(request.url, 403, headers, _Raw(b'{"message": "not you"}'))

    world.client.meta.events.register("before-send.codeartifact.CopyPackageVersions", deny)
    report = world.sync(made(upstream, "acme==1.0", "other==1.0"))
    assert presences(report) == {"acme==1.0": Presence.FAILED, "other==1.0": Presence.COPIED}
    assert isinstance(report.lacking[0].failure, RemoteError)
    assert "the caller needs codeartifact:CopyPackageVersions" in report.lacking[0].detail


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def test_two_syncs_at_once_both_end_complete(world: World, service: Service, upstream: UpstreamIndex) -> None:
    locked = many(upstream, 30)
    worlds = [world, World(Clients(environment(service.url), REGION).client("codeartifact"))]
    reports: list[MirrorReport] = []
    threads = [threading.Thread(target=lambda one=one: reports.append(one.sync(locked))) for one in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(report.lacking, report.incidents) for report in reports] == [((), ()), ((), ())]
    assert len(world.approved()) == 30
    assert world.verify(locked).deviations == ()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT], ids=lambda it: it.name)
def test_a_sync_that_is_ended_at_any_moment_is_completed_by_the_next(
    kill: signal.Signals, world: World, service: Service, upstream: UpstreamIndex, tmp_path: Path
) -> None:
    locked = many(upstream, 40)
    (tmp_path / "lock").write_text(lock_to_toml(locked))
    ended_early = 0
    for lines in (1, 2, 8, 20):
        world.client.delete_repository(domain=DOMAIN, repository="approved")
        world.client.create_repository(domain=DOMAIN, repository="approved")
        process = subprocess.Popen(
            [sys.executable, "-c", SYNC, service.url, str(tmp_path / "lock")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(kill)
        process.communicate(timeout=60)
        ended_early += len(world.approved()) < 40
        assert world.sync(locked).lacking == ()
        assert world.verify(locked).deviations == ()
    assert ended_early >= 2


def test_what_was_pruned_comes_back_with_a_later_lock(world: World, upstream: UpstreamIndex) -> None:
    old, new = made(upstream, "acme==1.0"), made(upstream, "acme==2.0")
    world.sync(old)
    report = world.sync(new)
    assert [str(one) for one in report.extra] == ["acme==1.0"]
    prune(report.extra, [new], places=PLACES, repositories=world.codeartifact, progress=world.told.append)
    assert world.approved() == {"acme": ["2.0"]}
    assert world.verify(new).deviations == ()
    assert presences(world.sync(old))["acme==1.0"] is Presence.COPIED


def test_a_repository_that_looks_elsewhere_is_a_deviation_unless_the_settings_want_it(
    world: World, upstream: UpstreamIndex
) -> None:
    locked = made(upstream, "acme==1.0")
    world.sync(locked)
    approved = {"domain": DOMAIN, "repository": "approved"}
    world.client.update_repository(**approved, upstreams=[{"repositoryName": "pypi-store"}])
    assert [(one.where, one.what) for one in world.verify(locked).deviations] == [("approved", "upstream")]
    assert world.sync(locked).faults != ()
    world.places = replace(PLACES, upstreams=("pypi-store",))
    assert [one.what for one in world.verify(locked).deviations] == ["origin controls"]
    world.sync(locked)
    assert world.verify(locked).deviations == ()
    world.client.update_repository(**approved, upstreams=[])
    world.client.associate_external_connection(**approved, externalConnection="public:pypi")
    assert [one.what for one in world.verify(locked).deviations] == ["external connection"]
