from __future__ import annotations

import pytest

from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import NotInstallable, RemoteError
from glue_pkgmgr.ports import Asset
from glue_pkgmgr.verbs.mirror import Mirrored, Presence, examine, pins_of, sync, verify
from tests.fakes import FakeCodeArtifact
from tests.unit.verbs.locks import APPROVED, STORE, lock, pin, wheel_name


def run(remote: FakeCodeArtifact, *locks: Lock) -> list[Mirrored]:
    return sync(locks, store=STORE, approved=APPROVED, repositories=remote, progress=lambda text: None)


def remote_with(**store: str) -> FakeCodeArtifact:
    remote = FakeCodeArtifact()
    for project, digit in store.items():
        remote.put("store", wheel_name(f"{project}==1.0"), digit * 64)
    return remote


def test_what_the_locks_name_is_copied_and_checked() -> None:
    remote = remote_with(a="a", b="b", unwanted="c")
    outcome = run(remote, lock(pin("a==1.0", "a"), pin("b==1.0", "b")), lock(pin("a==1.0", "a")))
    assert [(str(one.pin), one.presence) for one in outcome] == [
        ("a==1.0", Presence.COPIED),
        ("b==1.0", Presence.COPIED),
    ]
    assert sorted(remote.events) == ["copy a==1.0", "copy b==1.0"]
    assert len(remote.held["approved"]) == 2


def test_a_second_sync_copies_nothing() -> None:
    remote = remote_with(a="a")
    run(remote, lock(pin("a==1.0", "a")))
    remote.events.clear()
    assert [one.presence for one in run(remote, lock(pin("a==1.0", "a")))] == [Presence.PRESENT]
    assert remote.events == []


def test_copied_bytes_that_are_not_the_locked_ones_are_removed_again() -> None:
    remote = remote_with(a="a", b="b")
    remote.tamper[wheel_name("a==1.0")] = "f" * 64
    with pytest.raises(
        NotInstallable, match=r"a==1.0: different bytes \(a-1\.0-py3-none-any\.whl: locked a+…, there f+…\)"
    ):
        run(remote, lock(pin("a==1.0", "a"), pin("b==1.0", "b")))
    assert [str(version) for _, version in remote.held["approved"]] == ["1.0"]
    assert "delete a==1.0" in remote.events
    assert (
        verify([lock(pin("b==1.0", "b"))], approved=APPROVED, repositories=remote)[0].presence is Presence.PRESENT
    )


def test_other_bytes_that_were_there_before_are_told_and_left_as_evidence() -> None:
    remote = remote_with(a="a")
    remote.put("approved", wheel_name("a==1.0"), "f" * 64)
    with pytest.raises(NotInstallable, match="different bytes"):
        run(remote, lock(pin("a==1.0", "a")))
    assert remote.events == []


def test_a_release_that_is_there_with_other_files_is_told_beside_all_other_faults() -> None:
    remote = remote_with(a="a", c="c")
    remote.put("approved", "a-1.0-cp310-cp310-linux_x86_64.whl", "e" * 64)
    locked = lock(pin("a==1.0", "a"), pin("b==1.0", "b", internal=True), pin("c==1.0", "c"))
    with pytest.raises(
        NotInstallable, match=r"a==1\.0: different bytes \(.*holds other files.*\)\n  b==1\.0: missing"
    ):
        run(remote, locked)
    assert verify([lock(locked.pins[2])], approved=APPROVED, repositories=remote)[0].presence is Presence.PRESENT


def test_our_own_releases_are_never_copied_from_the_store() -> None:
    remote = remote_with(ours="a")
    with pytest.raises(NotInstallable, match=r"run `glue-pkgmgr publish`:\n  ours==1.0: missing"):
        run(remote, lock(pin("ours==1.0", "a", internal=True)))
    assert remote.events == []


def test_releases_of_the_image_are_not_mirrored() -> None:
    assert run(FakeCodeArtifact(), lock(pin("boto3==1.40.61", ""))) == []


def test_a_store_that_has_not_the_release_is_an_error_of_aws() -> None:
    with pytest.raises(RemoteError, match=r"has no a==1\.0"):
        run(FakeCodeArtifact(), lock(pin("a==1.0", "a")))


def test_verify_changes_nothing_and_raises_nothing() -> None:
    remote = remote_with(a="a")
    remote.put("approved", wheel_name("b==1.0"), "f" * 64)
    found = verify([lock(pin("a==1.0", "a"), pin("b==1.0", "b"))], approved=APPROVED, repositories=remote)
    assert [one.presence for one in found] == [Presence.MISSING, Presence.DIFFERENT]
    assert remote.events == []


def test_locks_that_name_different_bytes_for_one_file_are_refused_before_anything_is_copied() -> None:
    remote = remote_with(a="a")
    with pytest.raises(NotInstallable, match=r"the locks disagree about a-1\.0-py3-none-any\.whl"):
        run(remote, lock(pin("a==1.0", "a")), lock(pin("a==1.0", "b")))
    assert remote.events == []


def test_the_files_of_one_release_are_gathered_from_all_locks() -> None:
    other = pin("a==1.0", "a")
    other = type(other)(
        project=other.project,
        version=other.version,
        files=(type(other.files[0])(filename="a-1.0-cp310-cp310-linux_x86_64.whl", sha256="c" * 64),),
    )
    (merged,) = pins_of([lock(pin("a==1.0", "a")), lock(other)])
    assert len(merged.files) == 2


@pytest.mark.parametrize("tag", ["1-py3-none-any", "cp311-cp311-manylinux_2_28_x86_64"], ids=["build", "platform"])
def test_a_wheel_that_joined_the_release_after_the_lock_is_not_let_in(tag: str) -> None:
    remote = remote_with(a="a")
    remote.put("store", wheel_name("a==1.0", tag), "e" * 64)
    with pytest.raises(NotInstallable, match=rf"different bytes \(a-1\.0-{tag}\.whl is there but not in the lock"):
        run(remote, lock(pin("a==1.0", "a")))
    assert "delete a==1.0" in remote.events


@pytest.mark.parametrize("filename", ["a-1.0.tar.gz", wheel_name("a==1.0", "cp313-cp313-win_amd64")])
def test_files_that_no_job_would_take_may_come_along(filename: str) -> None:
    remote = remote_with(a="a")
    remote.put("store", filename, "e" * 64)
    assert [one.presence for one in run(remote, lock(pin("a==1.0", "a")))] == [Presence.COPIED]


def test_an_asset_whose_name_no_installer_reads_is_no_fault() -> None:
    assets = [Asset(filename=name, sha256="a" * 64, size=1) for name in (wheel_name("a==1.0"), "a-1.0.tar.gz.asc")]
    assert examine(pin("a==1.0", "a"), assets, [glue_runtime("5.1")]).presence is Presence.PRESENT
