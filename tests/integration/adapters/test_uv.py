"""uv as the resolver, against an index on loopback: what it is shown, chooses, and says when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from packaging.version import Version

from glue_pkgmgr.adapters import uv as uv_adapter
from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.uv import UvResolver
from glue_pkgmgr.core.allowlist import AllowList, make_approval
from glue_pkgmgr.core.lockfile import Lock, lock_from_toml, lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError, NotApproved, NotInstallable
from glue_pkgmgr.process import ProcessTimeout
from glue_pkgmgr.verbs.allowed_index import AllowedIndex
from glue_pkgmgr.verbs.resolve import Refusal, Resolution
from tests.integration.local.made_distributions import sdist, wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
IMAGE = glue_runtime("5.1").preinstalled
SIX = f"{IMAGE[project_name('six')]}"


@dataclass
class World:
    """A store, our own repository, and the rules between them and the resolver."""

    store: UpstreamIndex
    approved: UpstreamIndex
    cache: Path
    environ: dict[str, str]

    def index(self, *approvals: str, glue: str = "5.1", internal: tuple[str, ...] = ()) -> AllowedIndex:
        made = []
        for text in approvals:
            (item,) = parse_request(text)
            made.append(make_approval(item.project, str(item.specifier), approved_by="us", reason="why"))
        return AllowedIndex(
            policy=Policy(
                allowlist=AllowList(tuple(made)),
                internal=frozenset(map(project_name, internal)),
                minimum_age=timedelta(days=7),
                runtime=glue_runtime(glue),
                now=NOW,
            ),
            store=SimpleIndex(self.store.source, self.environ),
            approved=SimpleIndex(self.approved.source, self.environ),
            metadata_reader=WheelMetadata(self.cache),
        )

    def lock(self, request: str, *approvals: str, glue: str = "5.1", internal: tuple[str, ...] = ()) -> Lock:
        return self.resolution(*approvals, glue=glue, internal=internal).lock(parse_request(request))

    def resolution(self, *approvals: str, glue: str = "5.1", internal: tuple[str, ...] = ()) -> Resolution:
        index = self.index(*approvals, glue=glue, internal=internal)
        return Resolution(index=index, resolver=UvResolver(self.environ))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    # A PATH without any Python, and a proxy nobody listens at: neither may matter.
    environ = {
        "PATH": "/nowhere",
        "HOME": str(tmp_path),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    with running_upstream() as store, running_upstream() as approved:
        yield World(store, approved, tmp_path / "metadata", environ)


def pins(lock: Lock) -> list[str]:
    return [str(pin) for pin in lock.pins]


# What is chosen


def test_the_closure_is_locked_with_who_wanted_what(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["dep>=1", "other"]))
    world.store.add(wheel("dep", "1.5", requires=["deep"]))
    world.store.add(wheel("other", "2.0", requires=["deep"]))
    world.store.add(wheel("deep", "3.0"))
    lock = world.lock("acme", "acme==1.0", "dep==1.*", "other==2.0", "deep==3.0")
    assert [(str(pin), pin.wanted_by) for pin in lock.pins] == [
        ("acme==1.0", ()),
        ("deep==3.0", ("dep", "other")),
        ("dep==1.5", ("acme",)),
        ("other==2.0", ("acme",)),
    ]
    assert all(len(pin.files) == 1 and pin.files[0].size for pin in lock.pins)
    assert lock_from_toml(lock_to_toml(lock), "x") == lock


def test_releases_of_the_image_win_over_newer_approved_ones(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["six>=1"]))
    for version in (SIX, "9.0"):
        world.store.add(wheel("six", version))
    lock = world.lock("acme", "acme==1.0", "six==9.0")
    assert pins(lock) == ["acme==1.0", f"six=={SIX}"]
    assert [str(pin) for pin in lock.installed] == ["acme==1.0"]


def test_a_release_of_the_image_yields_where_it_does_not_fit(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["six>=9"]))
    for version in (SIX, "9.0"):
        world.store.add(wheel("six", version))
    assert pins(world.lock("acme", "acme==1.0", "six==9.0")) == ["acme==1.0", "six==9.0"]


def test_an_extra_brings_its_own_dependencies(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=['dep; extra == "more"']))
    world.store.add(wheel("dep", "1.0"))
    approvals = ("acme==1.0", "dep==1.0")
    assert pins(world.lock("acme", *approvals)) == ["acme==1.0"]
    lock = world.lock("acme[more]", *approvals)
    assert lock.request == ("acme[more]",)
    assert [(str(pin), pin.wanted_by) for pin in lock.pins] == [("acme==1.0", ()), ("dep==1.0", ("acme",))]


def test_markers_are_those_of_the_glue_version_not_of_this_machine(world: World) -> None:
    requires = ["old; python_version < '3.11'", "new; python_version >= '3.11'", "win; sys_platform == 'win32'"]
    world.store.add(wheel("acme", "1.0", requires=requires))
    for name in ("old", "new", "win"):
        world.store.add(wheel(name, "1.0"))
    approvals = ("acme==1.0", "old==1.0", "new==1.0", "win==1.0")
    assert pins(world.lock("acme", *approvals)) == ["acme==1.0", "new==1.0"]
    assert pins(world.lock("acme", *approvals, glue="4.0")) == ["acme==1.0", "old==1.0"]


@pytest.mark.parametrize("glue", ["4.0", "5.0", "5.1", "6.0"])
def test_every_glue_version_can_be_resolved_for(world: World, glue: str) -> None:
    world.store.add(wheel("acme", "1.0"))
    python = "".join(map(str, glue_runtime(glue).python))
    _, content = wheel("acme", "1.0")
    world.store.add((f"acme-1.0-cp{python}-cp{python}-manylinux_2_26_x86_64.whl", content))
    (pin,) = world.lock("acme", "acme==1.0", glue=glue).pins
    assert [file.filename.split("-")[2] for file in pin.files] == [f"cp{python}", "py3"]


def test_a_release_for_newer_pythons_than_the_image_has_is_not_taken(world: World) -> None:
    world.store.add(wheel("acme", "1.0"))
    with pytest.raises(NotInstallable, match=r"acme==1\.0 .*Python ?>=3\.8"):
        world.lock("acme", "acme==1.0", glue="3.0")


def test_pre_releases_and_local_versions_only_where_they_are_approved_by_name(world: World) -> None:
    for version in ("1.0", "1.1rc1", "1.1+local"):
        world.store.add(wheel("acme", version))
    assert pins(world.lock("acme", "acme>=1")) == ["acme==1.0"]
    assert pins(world.lock("acme", "acme==1.1rc1")) == ["acme==1.1rc1"]
    assert pins(world.lock("acme", "acme==1.1+local")) == ["acme==1.1+local"]


def test_nothing_requested_is_an_empty_lock(world: World) -> None:
    assert world.resolution().lock(()).pins == ()


# Our own names


def test_an_internal_name_is_never_taken_from_the_store_however_high_its_version(world: World) -> None:
    world.store.add(wheel("ours", "99.0", payload=b"evil = True"))
    world.approved.add(wheel("ours", "0.2.0"))
    lock = world.lock("ours", "ours>=0", internal=("ours",))
    assert pins(lock) == ["ours==0.2.0"]
    assert lock.pins[0].internal
    assert world.store.requests == {}


def test_an_internal_name_that_only_the_store_has_is_not_found(world: World) -> None:
    world.store.add(wheel("ours", "99.0"))
    with pytest.raises(NotInstallable, match="ours: not in the approved repository; publish it first"):
        world.lock("ours", "ours>=0", internal=("ours",))


# Why it cannot


def test_a_dependency_nobody_approved_is_named_and_so_is_what_wants_it(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["dep"]))
    world.store.add(wheel("dep", "1.0"))
    world.store.add(wheel("dep", "0.9"))
    with pytest.raises(NotApproved) as caught:
        world.lock("acme", "acme==1.0")
    assert str(caught.value).splitlines() == [
        "cannot lock acme for Glue 5.1: 1 release is not approved",
        "  dep==1.0 (wanted by acme) is not approved; also there: 0.9: not approved",
        '  approve what you want: glue-pkgmgr approve "dep==1.0" --reason …',
    ]


def test_a_dependency_that_other_rules_forbid_is_named_with_the_chain_and_the_resolvers_words(
    world: World,
) -> None:
    world.store.add(wheel("acme", "1.0", requires=["mid"]))
    world.store.add(wheel("mid", "1.0", requires=["dep"]))
    world.store.add(wheel("dep", "1.0"), yanked="loses data")
    with pytest.raises(NotInstallable) as caught:
        world.lock("acme", "acme==1.0", "mid==1.0", "dep==1.0")
    told = " ".join(str(caught.value).split())
    assert "dep (wanted by acme → mid): none can be chosen: 1.0: yanked (loses data)" in told
    assert "127.0.0.1" not in told


def test_the_whole_closure_that_lacks_approval_is_found_at_once(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["mid", "other<2"]))
    world.store.add(wheel("mid", "1.0", requires=["dep"]))
    for version in ("1.0", "1.5", "2.0"):
        world.store.add(wheel("other", version))
    world.store.add(wheel("dep", "1.0"))
    outcome = world.resolution("other==1.0").attempt(parse_request("acme"))
    assert isinstance(outcome, Refusal)
    assert [str(one) for one in outcome.missing] == ["acme==1.0", "dep==1.0", "mid==1.0"]
    approvals = [str(one) for one in outcome.missing]
    assert pins(world.lock("acme", "other==1.0", *approvals)) == [
        "acme==1.0",
        "dep==1.0",
        "mid==1.0",
        "other==1.0",
    ]


def test_versions_of_the_lock_before_stay_until_they_are_upgraded(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.store.add(wheel("acme", version))
    newer = world.resolution("acme>=1")
    assert pins(replace(newer, preferred={project_name("acme"): Version("1.0")}).lock(parse_request("acme"))) == [
        "acme==1.0"
    ]
    assert pins(newer.lock(parse_request("acme"))) == ["acme==2.0"]


def test_a_release_of_the_image_is_upgraded_where_it_is_asked_for(world: World) -> None:
    for version in (SIX, "9.0"):
        world.store.add(wheel("six", version))
    resolution = replace(world.resolution("six==9.0"), upgrade={project_name("six")})
    assert pins(resolution.lock(parse_request("six"))) == ["six==9.0"]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ({"uploaded": NOW - timedelta(days=3)}, "younger than the minimum age"),
        ({"uploaded": None}, "the index tells no upload time"),
        ({"yanked": "broken"}, "yanked"),
        ({"sha256": None}, "the index tells no SHA-256"),
    ],
)
def test_a_release_is_hidden_with_its_reason(world: World, listed: dict[str, object], reason: str) -> None:
    world.store.add(wheel("acme", "1.0"), **listed)
    with pytest.raises(NotInstallable, match=rf"acme: none can be chosen: 1\.0: {reason}"):
        world.lock("acme", "acme==1.0")


def test_a_release_without_a_wheel_or_with_a_wrong_one_is_hidden(world: World) -> None:
    world.store.add(sdist("acme", "1.0"))
    world.store.add(("acme-2.0-cp312-cp312-win_amd64.whl", b"not looked at"))
    world.store.add(sdist("acme", "2.0"))
    with pytest.raises(NotInstallable, match=r"1\.0: no wheel, only an sdist; 2\.0: its wheels do not fit"):
        world.lock("acme", "acme>=1")


def test_a_conflict_is_told_in_the_words_of_the_resolver(world: World) -> None:
    world.store.add(wheel("acme", "1.0", requires=["dep<2"]))
    world.store.add(wheel("other", "1.0", requires=["dep>=2"]))
    for version in ("1.0", "2.0"):
        world.store.add(wheel("dep", version))
    with pytest.raises(NotInstallable, match="unsatisfiable") as caught:
        world.lock("acme,other", "acme==1.0", "other==1.0", "dep>=1")
    assert not isinstance(caught.value, NotApproved)


@pytest.mark.parametrize(
    "required",
    [
        "evil @ http://127.0.0.1:9/evil-1.0-py3-none-any.whl",
        "evil @ file:///tmp/evil-1.0-py3-none-any.whl",
        "evil@ git+https://127.0.0.1:9/evil ; platform_release > '0'",
        "evil[more] @ http://127.0.0.1:9/evil.zip#sha256=0 ; extra == 'more'",
        "evil\n  @ http://127.0.0.1:9/evil-1.0-py3-none-any.whl ; python_version < '3'",
    ],
)
def test_a_release_that_requires_something_by_its_address_is_not_taken(world: World, required: str) -> None:
    world.store.add(wheel("acme", "2.0", requires=["dep", required]))
    with pytest.raises(NotInstallable, match=r"2\.0: it requires something by its address.*\(evil"):
        world.lock("acme", "acme>=1", "dep==1.0")
    world.store.add(wheel("acme", "1.0", requires=["dep; 'a@b' != 'c'"]))
    world.store.add(wheel("dep", "1.0"))
    assert pins(world.lock("acme", "acme>=1", "dep==1.0")) == ["acme==1.0", "dep==1.0"]


# When the store fails


@pytest.mark.parametrize("fault", ["error", "lie"])
def test_a_store_that_fails_is_an_error_of_the_index_not_a_missing_solution(world: World, fault: str) -> None:
    world.store.add(wheel("acme", "1.0", requires=["dep"]))
    world.store.add(wheel("dep", "1.0"))
    world.store.faults["dep"] = fault  # type: ignore[assignment]
    with pytest.raises(IndexAccessError, match="simple/dep/"):
        world.lock("acme", "acme==1.0", "dep==1.0")


def test_a_store_that_refuses_the_credentials_is_an_error_of_the_index(world: World) -> None:
    world.store.add(wheel("acme", "1.0"))
    resolution = world.resolution("acme==1.0")
    world.store.user = "somebody"  # from now on
    with pytest.raises(IndexAccessError, match="answered 401"):
        resolution.lock(parse_request("acme"))


def test_a_wheel_with_other_bytes_than_promised_is_not_taken(world: World) -> None:
    world.store.add(wheel("acme", "1.0"))
    world.store.faults["acme-1.0-py3-none-any.whl"] = "lie"
    with pytest.raises(NotInstallable, match="is not what was promised"):
        world.lock("acme", "acme==1.0")


def test_a_wheel_that_is_no_archive_is_told(world: World) -> None:
    world.store.add(("acme-1.0-py3-none-any.whl", b"no zip at all"))
    with pytest.raises(NotInstallable, match=r"acme-1\.0-py3-none-any\.whl is not a readable wheel"):
        world.lock("acme", "acme==1.0")


def test_a_fault_of_our_own_behind_the_view_comes_out_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store.add(wheel("acme", "1.0"))

    def fail(self: SimpleIndex, url: str, target: Path, sha256: str) -> None:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr(SimpleIndex, "download", fail)
    with pytest.raises(RuntimeError, match="a fault of our own"):
        world.lock("acme", "acme==1.0")


# Side by side, and cut short


def test_two_resolutions_at_once_do_not_meet(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.store.add(wheel("acme", version, requires=["dep"]))
        world.store.add(wheel("dep", version))
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(world.lock, "acme", f"acme=={v}", f"dep=={v}") for v in ("1.0", "2.0", "1.0", "2.0")]
        found = [pins(job.result()) for job in jobs]
    assert found == [["acme==1.0", "dep==1.0"], ["acme==2.0", "dep==2.0"]] * 2


def test_a_resolution_that_is_cut_short_leaves_neither_process_nor_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store.add(wheel("acme", "1.0"))
    world.store.faults["acme"] = "silence"
    monkeypatch.setattr(uv_adapter, "_SECONDS", 2.0)
    listening = _listening()
    with pytest.raises(ProcessTimeout, match="did not finish within"):
        world.lock("acme", "acme==1.0")
    assert [child for child in psutil.Process().children(recursive=True) if "uv" in child.name()] == []
    assert _listening() == listening
    world.store.released.set()


def _listening() -> set[int]:
    return {
        connection.laddr.port
        for connection in psutil.Process().net_connections("tcp4")
        if connection.status == psutil.CONN_LISTEN
    }
