from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from packaging.version import Version

from glue_pkgmgr.core.job import Delivery, JobRunId
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import recorded_launch
from glue_pkgmgr.core.repository import OriginControls, RepositoryLinks, Status
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.ports import Asset, PackageIndex
from glue_pkgmgr.verbs.at_once import at_once
from glue_pkgmgr.verbs.mirror import prune, sync, verify
from glue_pkgmgr.verbs.mirrored import (
    MirrorReport,
    Places,
    Presence,
    Unlocked,
    examine,
    pins_of,
    require_complete,
    standing,
)
from tests.fakes import FakeCodeArtifact, FakeIndex, FakeRecords
from tests.unit.verbs.locks import APPROVED, NOW, STORE, lock, pin, wheel_name

PLACES = Places(store=STORE, approved=APPROVED)
OURS = replace(PLACES, internal=frozenset({project_name("ours")}))
OPEN = replace(PLACES, upstreams=("store",))
CLOSED = OriginControls(publish=False, upstream=False)
A, ONE = project_name("a"), Version("1.0")


def refuse_to_build(pin: Pin) -> None:
    raise NotInstallable(f"{pin} cannot be built")


@dataclass
class Downloads(FakeIndex):
    """An index that says when a file was downloaded."""

    downloaded: Callable[[], None] = lambda: None

    def download(self, url: str, target: Path, sha256: str) -> None:
        super().download(url, target, sha256)
        self.downloaded()


@dataclass
class World:
    """A fake CodeArtifact, the index of its store, and what sync told.

    `paused` is called with the number of each pause.
    """

    remote: FakeCodeArtifact
    store: FakeIndex = field(default_factory=FakeIndex)
    records: FakeRecords = field(default_factory=FakeRecords)
    places: Places = PLACES
    build: Callable[[Pin], None] = refuse_to_build
    told: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    paused: Callable[[int], None] = lambda number: None

    def sync(self, *locks: Lock) -> MirrorReport:
        return sync(
            locks,
            places=self.places,
            repositories=self.remote,
            open_store=self.open_store,
            bring_built=self.build,
            records=self.records,
            progress=self.told.append,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.paused(len(self.slept))

    def open_store(self) -> PackageIndex:
        return self.store

    def verify(self, *locks: Lock) -> MirrorReport:
        return verify(locks, places=self.places, repositories=self.remote, records=self.records)

    def approved(self) -> dict[str, str]:
        held = self.remote.held.get("approved", {})
        return {name: asset.sha256 for files in held.values() for name, asset in files.items()}


def remote_with(**store: str) -> FakeCodeArtifact:
    remote = FakeCodeArtifact()
    for project, digit in store.items():
        remote.put("store", wheel_name(f"{project}==1.0"), digit * 64)
    return remote


def hold(remote: FakeCodeArtifact, requirement: str, digit: str, controls: OriginControls = CLOSED) -> None:
    remote.put("approved", wheel_name(requirement), digit * 64)
    remote.controls_held["approved", project_name(requirement.partition("==")[0])] = controls


def presences(report: MirrorReport) -> dict[str, Presence]:
    return {str(one.pin): one.presence for one in report.entries}


def acts(remote: FakeCodeArtifact) -> list[str]:
    return sorted(remote.events)


# what sync brings


def test_what_the_locks_name_is_copied_closed_and_checked() -> None:
    world = World(remote_with(a="a", b="b", unwanted="c"))
    report = world.sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b")), lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.COPIED, "b==1.0": Presence.COPIED}
    assert (report.lacking, report.incidents, report.unlocked, report.faults) == ((), (), (), ())
    assert acts(world.remote) == [
        "copy a==1.0",
        "copy b==1.0",
        "origin a publish=False upstream=False",
        "origin b publish=False upstream=False",
    ]
    assert set(world.approved().values()) == {"a" * 64, "b" * 64}


def test_progress_counts_each_release_that_is_brought() -> None:
    world = World(remote_with(a="a", b="b"))
    hold(world.remote, "c==1.0", "c")
    world.sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b"), pin("c==1.0", "c")))
    assert world.told[0] == "bringing 2 releases into acme/approved"
    assert sorted(line[:13] for line in world.told[1:]) == ["copied 1 of 2", "copied 2 of 2"]


def test_a_second_sync_changes_nothing() -> None:
    world = World(remote_with(a="a"))
    world.sync(lock(pin("a==1.0", "a")))
    world.remote.events.clear()
    assert presences(world.sync(lock(pin("a==1.0", "a")))) == {"a==1.0": Presence.PRESENT}
    assert world.remote.events == []


def test_versions_of_one_project_are_copied_in_one_call() -> None:
    world = World(remote_with(a="a"))
    world.remote.put("store", wheel_name("a==2.0"), "b" * 64)
    report = world.sync(lock(pin("a==1.0", "a")), lock(pin("a==2.0", "b")))
    assert set(presences(report).values()) == {Presence.COPIED}
    assert [event for event in world.remote.events if "copy" in event] == ["copy a==1.0,2.0"]


def test_releases_of_the_image_are_not_mirrored() -> None:
    world = World(FakeCodeArtifact())
    assert world.sync(lock(pin("boto3==1.40.61", ""))).entries == ()
    assert world.told == []


def test_our_own_releases_are_never_copied_from_the_store() -> None:
    world = World(remote_with(ours="a"), places=OURS)
    report = world.sync(lock(pin("ours==1.0", "a", internal=True)))
    assert presences(report) == {"ours==1.0": Presence.MISSING}
    assert not any("copy" in event for event in world.remote.events)
    with pytest.raises(NotInstallable, match=r"run `glue-pkgmgr publish`:\n  ours==1.0: missing"):
        require_complete(report.entries, APPROVED)


def test_what_lacks_our_own_releases_and_others_is_told_both_verbs() -> None:
    report = World(remote_with(), places=OURS).verify(
        lock(pin("a==1.0", "a"), pin("ours==1.0", "b", internal=True))
    )
    with pytest.raises(NotInstallable, match="run `glue-pkgmgr publish`, then `glue-pkgmgr mirror sync`:"):
        require_complete(report.entries, APPROVED)


def test_a_release_built_from_an_sdist_is_built_not_copied() -> None:
    sdist = LockedFile(filename="a-1.0.tar.gz", sha256="5" * 64)
    locked = lock(replace(pin("a==1.0", "a"), built_from=sdist))
    world = World(remote_with(a="e"))
    assert presences(world.sync(locked)) == {"a==1.0": Presence.MISSING}
    world.build = lambda pin: world.remote.put("approved", wheel_name(str(pin)), "a" * 64)
    assert presences(world.sync(locked)) == {"a==1.0": Presence.BUILT}
    assert not any("copy" in event for event in world.remote.events)
    assert world.remote.controls_held["approved", A] == CLOSED


# other bytes


def test_copied_bytes_that_are_not_the_locked_ones_are_removed_again_and_an_incident() -> None:
    world = World(remote_with(a="a", b="b"))
    world.remote.tamper[wheel_name("a==1.0")] = "f" * 64
    report = world.sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b")))
    assert presences(report) == {"a==1.0": Presence.DIFFERENT, "b==1.0": Presence.COPIED}
    (incident,) = report.incidents
    assert (str(incident.pin), incident.outcome) == ("a==1.0", "removed again")
    assert incident.detail == f"{wheel_name('a==1.0')}: locked aaaaaaaaaaaa…, there ffffffffffff…"
    assert world.approved() == {wheel_name("b==1.0"): "b" * 64}


def test_other_bytes_that_a_killed_sync_has_left_are_removed_and_the_locked_ones_brought() -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "f")
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.COPIED}
    assert report.incidents[0].outcome == "removed, and brought anew as locked"
    assert world.approved() == {wheel_name("a==1.0"): "a" * 64}


def test_other_bytes_that_cannot_be_removed_are_told_as_still_there() -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "f")
    world.remote.broken["delete"] = RemoteError("access denied")
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.DIFFERENT}
    assert report.incidents[0].outcome == "still there: access denied"
    assert not any("copy" in event for event in world.remote.events)


def test_other_bytes_of_our_own_are_told_and_left() -> None:
    world = World(FakeCodeArtifact(), places=OURS)
    hold(world.remote, "ours==1.0", "f")
    report = world.sync(lock(pin("ours==1.0", "a", internal=True)))
    assert presences(report) == {"ours==1.0": Presence.DIFFERENT}
    assert report.incidents[0].outcome == "still there: it is our own"
    assert world.approved() == {wheel_name("ours==1.0"): "f" * 64}


@pytest.mark.parametrize("tag", ["1-py3-none-any", "cp311-cp311-manylinux_2_28_x86_64"], ids=["build", "platform"])
def test_a_wheel_that_joined_the_release_after_the_lock_is_not_let_in(tag: str) -> None:
    world = World(remote_with(a="a"))
    world.remote.put("store", wheel_name("a==1.0", tag), "e" * 64)
    report = world.sync(lock(pin("a==1.0", "a")))
    assert report.incidents[0].detail.startswith(f"a-1.0-{tag}.whl is there but not in the lock")
    assert world.approved() == {}


@pytest.mark.parametrize("filename", ["a-1.0.tar.gz", wheel_name("a==1.0", "cp313-cp313-win_amd64")])
def test_files_that_no_job_would_take_may_come_along(filename: str) -> None:
    world = World(remote_with(a="a"))
    world.remote.put("store", filename, "e" * 64)
    assert presences(world.sync(lock(pin("a==1.0", "a")))) == {"a==1.0": Presence.COPIED}


def test_a_release_that_lacks_a_locked_file_is_replaced_by_the_whole_one() -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "a")
    other = "a-1.0-cp310-cp310-linux_x86_64.whl"
    world.remote.put("store", other, "c" * 64)
    more = replace(pin("a==1.0"), files=(LockedFile(filename=other, sha256="c" * 64),))
    report = world.sync(lock(pin("a==1.0", "a")), lock(more, glue="4.0"))
    assert presences(report) == {"a==1.0": Presence.COPIED}
    assert set(world.approved()) == {wheel_name("a==1.0"), other}
    assert report.incidents == ()


def test_a_file_that_the_store_serves_with_other_bytes_is_kept_out() -> None:
    world = World(FakeCodeArtifact(), FakeIndex({wheel_name("a==1.0"): b"tampered"}))
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.DIFFERENT}
    assert report.incidents[0].outcome == "kept out"
    assert world.approved() == {}


# what the store does not hold yet


def ingesting(world: World, after: int = 0) -> Lock:
    """Let the index of the store offer a==1.0, which it holds so many pauses after a download; return its lock."""
    content, name = b"bytes", wheel_name("a==1.0")
    sha256 = hashlib.sha256(content).hexdigest()

    def pause(number: int) -> None:
        if number == after:
            world.remote.put("store", name, sha256)

    world.store = Downloads({name: content}, downloaded=lambda: pause(0))
    world.paused = pause
    return lock(replace(pin("a==1.0"), files=(LockedFile(filename=name, sha256=sha256),)))


def test_what_the_store_does_not_hold_is_brought_in_through_its_index() -> None:
    world = World(FakeCodeArtifact())
    assert presences(world.sync(ingesting(world))) == {"a==1.0": Presence.COPIED}
    assert world.remote.events[:2] == ["copy a==1.0", "copy a==1.0"]
    assert world.slept == []


def test_a_store_that_shows_late_what_it_has_brought_in_is_waited_for() -> None:
    world = World(FakeCodeArtifact())
    assert presences(world.sync(ingesting(world, after=3))) == {"a==1.0": Presence.COPIED}
    assert world.slept == [0.5, 1.0, 2.0]


def test_a_store_that_never_shows_it_is_given_up() -> None:
    world = World(FakeCodeArtifact())
    report = world.sync(ingesting(world, after=99))
    assert presences(report) == {"a==1.0": Presence.MISSING}
    assert 60 < sum(world.slept) < 70


def test_a_release_that_the_store_does_not_list_is_missing() -> None:
    report = World(remote_with(b="b")).sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b")))
    assert presences(report) == {"a==1.0": Presence.MISSING, "b==1.0": Presence.COPIED}
    assert report.lacking[0].detail.startswith(f"acme/store does not list {wheel_name('a==1.0')}")


def test_a_store_whose_index_cannot_be_read_fails_one_release_only() -> None:
    report = World(remote_with(b="b"), FakeIndex(broken=True)).sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b")))
    assert presences(report) == {"a==1.0": Presence.FAILED, "b==1.0": Presence.COPIED}
    assert isinstance(report.lacking[0].failure, IndexAccessError)


# one call that is refused


@pytest.mark.parametrize("call", ["copy a==1.0", "origin a publish=False upstream=False", "assets a==1.0"])
def test_a_refused_call_fails_one_release_and_all_others_are_brought(call: str) -> None:
    world = World(remote_with(a="a", b="b"))
    world.remote.broken[call] = RemoteError("access denied")
    report = world.sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b")))
    assert presences(report) == {"a==1.0": Presence.FAILED, "b==1.0": Presence.COPIED}
    assert (report.lacking[0].detail, str(report.lacking[0].failure)) == ("access denied", "access denied")
    world.remote.broken.clear()
    assert world.sync(lock(pin("a==1.0", "a"), pin("b==1.0", "b"))).lacking == ()
    assert world.remote.controls_held["approved", A] == CLOSED


def test_different_bytes_are_removed_even_when_the_project_cannot_be_closed() -> None:
    world = World(remote_with(a="a"))
    world.remote.tamper[wheel_name("a==1.0")] = "f" * 64
    world.remote.broken["origin"] = RemoteError("access denied")
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.DIFFERENT}
    assert world.approved() == {}


def test_a_repository_whose_controls_hold_for_copies_is_opened_and_closed_again() -> None:
    world = World(remote_with(a="a"))
    world.remote.put("store", wheel_name("a==2.0"), "b" * 64)
    world.remote.blocks_copies = True
    hold(world.remote, "a==1.0", "a")
    assert presences(world.sync(lock(pin("a==2.0", "b")))) == {"a==2.0": Presence.COPIED}
    assert world.remote.events == [
        "copy a==2.0",
        "origin a publish=True upstream=True",
        "copy a==2.0",
        "origin a publish=False upstream=False",
    ]


def test_a_project_that_was_left_open_is_closed_by_the_next_sync() -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "a", OriginControls(publish=True, upstream=True))
    hold(world.remote, "unlocked==1.0", "b", OriginControls(publish=True, upstream=False))
    assert presences(world.sync(lock(pin("a==1.0", "a")))) == {"a==1.0": Presence.PRESENT}
    assert {world.remote.controls_held["approved", project_name(one)] for one in ("a", "unlocked")} == {CLOSED}


# status of a release


@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.UNLISTED, Status.UNFINISHED])
def test_a_release_that_somebody_has_withdrawn_is_told_and_left(status: Status) -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "a")
    world.remote.status["approved", A, ONE] = status
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.WITHDRAWN}
    assert report.lacking[0].detail == status
    assert world.remote.events == []
    found = standing([lock(pin("a==1.0", "a"))], approved=APPROVED, repositories=world.remote)
    with pytest.raises(NotInstallable, match=rf"a==1\.0: withdrawn \({status}\)"):
        require_complete(found, APPROVED)


@pytest.mark.parametrize("status", [Status.DISPOSED, Status.DELETED])
def test_a_release_without_files_is_replaced(status: Status) -> None:
    world = World(remote_with(a="a"))
    hold(world.remote, "a==1.0", "0")
    world.remote.status["approved", A, ONE] = status
    report = world.sync(lock(pin("a==1.0", "a")))
    assert presences(report) == {"a==1.0": Presence.COPIED}
    assert world.remote.events == ["delete a==1.0", "copy a==1.0"]
    assert report.incidents == ()


# internal names


def test_internal_names_are_closed_in_both_repositories_before_anything_is_copied() -> None:
    world = World(remote_with(a="a"), places=OURS)
    world.sync(lock(pin("a==1.0", "a")))
    assert world.remote.events[:2] == [
        "origin ours publish=False upstream=False",
        "origin ours publish=True upstream=False",
    ]
    assert world.remote.controls_held["store", project_name("ours")] == CLOSED
    world.remote.events.clear()
    world.sync(lock(pin("a==1.0", "a")))
    assert world.remote.events == []


def test_a_closed_name_without_a_release_is_known_even_where_lists_leave_it_out() -> None:
    world = World(remote_with(a="a"), places=OURS)
    world.remote.hides_empty = True
    world.sync(lock(pin("a==1.0", "a")))
    world.remote.events.clear()
    world.sync(lock(pin("a==1.0", "a")))
    assert world.remote.events == []
    assert world.verify(lock(pin("a==1.0", "a"))).deviations == ()


def test_nothing_is_copied_when_internal_names_cannot_be_closed() -> None:
    world = World(remote_with(a="a"), places=OURS)
    world.remote.broken["origin"] = RemoteError("access denied")
    with pytest.raises(RemoteError, match="access denied"):
        world.sync(lock(pin("a==1.0", "a")))
    assert world.approved() == {}


# two at once, and interrupts


def test_two_syncs_at_once_both_end_complete() -> None:
    names = [f"p{number}" for number in range(40)]
    remote = remote_with(**dict.fromkeys(names, "a"))
    locked = lock(*(pin(f"{name}==1.0", "a") for name in names))
    worlds = [World(remote), World(remote)]
    reports: list[MirrorReport] = []
    threads = [threading.Thread(target=lambda w=world: reports.append(w.sync(locked))) for world in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.lacking for report in reports] == [(), ()]
    assert len(worlds[0].approved()) == 40


def test_an_interrupt_ends_the_work_that_has_not_begun_and_the_next_sync_completes_it() -> None:
    names = [f"p{number:03}" for number in range(200)]
    world = World(remote_with(**dict.fromkeys(names, "a")))
    locked = lock(*(pin(f"{name}==1.0", "a") for name in names))

    class Interrupting(FakeCodeArtifact):
        def copy(self, *given: object) -> object:
            if len(self.events) > 40:
                raise KeyboardInterrupt
            return super().copy(*given)  # type: ignore[arg-type]

    world.remote.__class__ = Interrupting
    with pytest.raises(KeyboardInterrupt):
        world.sync(locked)
    copied = sum("copy" in event for event in world.remote.events)
    assert copied < 100
    world.remote.__class__ = FakeCodeArtifact
    assert world.sync(locked).lacking == ()
    assert len(world.approved()) == 200


def test_the_first_error_keeps_the_rest_from_beginning() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number:
            Event().wait(0.05)  # all of them would take a quarter of a minute
        raise RemoteError("no")

    with pytest.raises(RemoteError):
        at_once(work, range(10_000))
    assert len(begun) < 10_000


# verify


def test_verify_tells_every_deviation_and_changes_nothing() -> None:
    world = World(remote_with(a="a"), places=OURS)
    hold(world.remote, "b==1.0", "f")
    hold(world.remote, "c==1.0", "c", OriginControls(publish=True, upstream=False))
    hold(world.remote, "extra==1.0", "e")
    hold(world.remote, "ours==0.9", "d", OriginControls(publish=True, upstream=True))
    world.remote.behind["approved"] = RepositoryLinks(upstreams=("store",), external_connections=("public:pypi",))
    report = world.verify(lock(pin("a==1.0", "a"), pin("b==1.0", "b"), pin("c==1.0", "c")))
    assert [(one.where, one.what) for one in report.deviations] == [
        ("approved", "upstream"),
        ("approved", "external connection"),
        ("c", "origin controls"),
        ("ours", "origin controls"),
        ("ours", "origin controls"),
        ("a==1.0", "missing"),
        ("b==1.0", "different bytes"),
        ("extra==1.0", "extra"),
    ]
    assert report.deviations[2].detail == (
        "in approved: publish allowed, upstream blocked; should be: publish blocked, upstream blocked"
    )
    assert report.deviations[4].detail == "in store: none; should be: publish blocked, upstream blocked"
    assert [(str(one), one.internal) for one in report.unlocked] == [("extra==1.0", False), ("ours==0.9", True)]
    assert report.incidents[0].outcome == "still there"
    assert world.remote.events == []


def test_a_mirror_that_sync_has_filled_has_no_deviation() -> None:
    world = World(remote_with(a="a"), places=OURS)
    hold(world.remote, "ours==1.0", "b")
    locked = lock(pin("a==1.0", "a"), pin("ours==1.0", "b", internal=True))
    world.sync(locked)
    assert world.verify(locked).deviations == ()


def test_an_internal_name_that_is_not_closed_before_its_first_release_is_a_deviation() -> None:
    found = World(FakeCodeArtifact(), places=OURS).verify()
    assert [(one.where, one.detail.partition(";")[0]) for one in found.deviations] == [
        ("ours", "in approved: none"),
        ("ours", "in store: none"),
    ]


def test_a_release_of_others_under_our_name_that_the_store_took_in_before_is_a_deviation() -> None:
    world = World(FakeCodeArtifact(), places=OURS)
    world.sync()
    world.remote.put("store", wheel_name("ours==99.0"), "f" * 64)
    (found,) = world.verify().deviations
    assert (found.where, found.what) == ("ours", "in the store")
    assert found.detail == "store has ours==99.0 of others under our name; delete it"


def test_in_the_open_shape_the_store_behind_it_and_extras_are_no_deviation() -> None:
    world = World(remote_with(a="a"), places=OPEN)
    hold(world.remote, "extra==1.0", "e", OriginControls(publish=False, upstream=True))
    world.remote.behind["approved"] = RepositoryLinks(upstreams=("store",), external_connections=())
    locked = lock(pin("a==1.0", "a"))
    report = world.sync(locked)
    assert (report.lacking, report.deviations, report.extra) == ((), (), ())
    assert world.verify(locked).deviations == ()
    assert world.remote.controls_held["approved", A] == OriginControls(publish=False, upstream=True)


@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.DISPOSED])
def test_what_nobody_can_download_is_not_extra(status: Status) -> None:
    world = World(FakeCodeArtifact())
    hold(world.remote, "a==1.0", "a")
    world.remote.status["approved", A, ONE] = status
    assert world.verify().deviations == ()


# releases that no lock names


def test_unlocked_releases_tell_the_launches_that_were_to_install_them() -> None:
    world = World(FakeCodeArtifact())
    hold(world.remote, "a==1.0", "a")
    hold(world.remote, "b==1.0", "b")
    for hour, locked in enumerate((lock(pin("a==1.0", "a"), pin("b==1.0", "")), lock(pin("c==1.0", "c")))):
        record = recorded_launch(
            f"{hour:032x}", "taxi-job", locked, by="ann", time=NOW + timedelta(hours=hour), delivery=Delivery.INDEX
        )
        world.records.add(record)
        world.records.complete(record.launch, JobRunId(f"jr_{hour}"))
    found = {str(one): [launch.run for launch in one.used_by] for one in world.sync().unlocked}
    # b==1.0 came from the Glue image in that run, not from the repository.
    assert found == {"a==1.0": ["jr_0"], "b==1.0": []}


def test_records_are_not_read_when_every_release_is_locked() -> None:
    world = World(remote_with(a="a"))
    world.sync(lock(pin("a==1.0", "a")))
    assert world.records.asked == 0


def extra(requirement: str, *, internal: bool = False) -> Unlocked:
    project, _, version = requirement.partition("==")
    return Unlocked(project=project_name(project), version=Version(version), internal=internal)


def pruned(world: World, *locks: Lock, releases: tuple[Unlocked, ...]) -> None:
    prune(releases, locks, places=world.places, repositories=world.remote, progress=world.told.append)


def test_pruned_releases_are_deleted_and_told_and_gone_ones_are_no_error() -> None:
    world = World(FakeCodeArtifact())
    hold(world.remote, "a==1.0", "a")
    hold(world.remote, "b==1.0", "b")
    pruned(world, lock(pin("b==1.0", "b")), releases=(extra("a==1.0"), extra("gone==1.0")))
    assert world.approved() == {wheel_name("b==1.0"): "b" * 64}
    assert world.told == ["removed a==1.0 from acme/approved", "removed gone==1.0 from acme/approved"]


@pytest.mark.parametrize("kept", ["ours==1.0", "b==1.0"])
def test_a_release_of_our_own_or_in_a_lock_by_now_is_never_pruned(kept: str) -> None:
    world = World(FakeCodeArtifact(), places=OURS)
    hold(world.remote, "a==1.0", "a")
    with pytest.raises(SettingsError, match=f"not pruned.*: {kept}"):
        pruned(world, lock(pin("b==1.0", "b")), releases=(extra("a==1.0"), extra(kept)))
    assert world.remote.events == []


# locks


def test_locks_that_name_different_bytes_for_one_file_are_refused_before_anything_is_copied() -> None:
    world = World(remote_with(a="a"))
    with pytest.raises(NotInstallable, match=r"the locks disagree about a-1\.0-py3-none-any\.whl"):
        world.sync(lock(pin("a==1.0", "a")), lock(pin("a==1.0", "b")))
    assert world.remote.events == []


def test_locks_that_disagree_whether_a_release_is_built_are_refused() -> None:
    built = replace(pin("a==1.0", "a"), built_from=LockedFile(filename="a-1.0.tar.gz", sha256="5" * 64))
    with pytest.raises(NotInstallable, match=r"disagree about where a==1\.0 comes from"):
        pins_of([lock(pin("a==1.0", "a")), lock(built)])


def test_the_files_of_one_release_are_gathered_from_all_locks() -> None:
    other = replace(
        pin("a==1.0"), files=(LockedFile(filename="a-1.0-cp310-cp310-linux_x86_64.whl", sha256="c" * 64),)
    )
    (merged,) = pins_of([lock(pin("a==1.0", "a")), lock(other)])
    assert len(merged.files) == 2


def test_an_asset_whose_name_no_installer_reads_is_no_fault() -> None:
    assets = [Asset(filename=name, sha256="a" * 64, size=1) for name in (wheel_name("a==1.0"), "a-1.0.tar.gz.asc")]
    assert examine(pin("a==1.0", "a"), assets, [glue_runtime("5.1")]).presence is Presence.PRESENT


def test_failures_of_every_kind_have_an_exit_status() -> None:
    world = World(remote_with(a="a"))
    world.remote.broken["copy"] = RemoteError("no")
    failure = world.sync(lock(pin("a==1.0", "a"))).lacking[0].failure
    assert isinstance(failure, GluePkgmgrError)
    assert failure.exit_code == 6
