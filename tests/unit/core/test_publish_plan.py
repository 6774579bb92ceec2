from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.publish_plan import (
    LARGEST_FILE,
    OURS_ALONE,
    PublishPlan,
    Standing,
    in_order,
    next_free,
    plan_release,
    token_time,
)
from glue_pkgmgr.core.repository import OriginControls, RepositoryAddress, Status
from glue_pkgmgr.errors import SettingsError

ADDRESS = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved")
SDIST, WHEEL = "acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"
ONE = Version("1.0")
FIX = (
    "aws codeartifact put-package-origin-configuration --domain acme --domain-owner 111122223333 "
    "--region us-east-1 --repository approved --format pypi --package acme "
    "--restrictions publish=ALLOW,upstream=BLOCK"
)


def built(name: str, sha256: str = "a" * 64, size: int = 1) -> BuiltFile:
    return BuiltFile(path=Path(name), distribution=parse_filename(name), sha256=sha256, size=size)


BOTH = (built(SDIST), built(WHEEL, "b" * 64))
NOTHING = Standing(versions={}, files={})


def holding(files: dict[str, str], *, status: Status = Status.PUBLISHED, **more: object) -> Standing:
    known = {"controls": OURS_ALONE, "versions": {ONE: status}, "files": files, **more}
    return Standing(**known)  # type: ignore[arg-type]


def plan(standing: Standing, files: tuple[BuiltFile, ...] = BOTH) -> PublishPlan:
    return plan_release(files, standing, ADDRESS)


def test_where_nothing_is_everything_is_uploaded_and_the_name_closed() -> None:
    todo = plan(NOTHING)
    assert (todo.new, todo.held, todo.refusals, todo.warnings) == (BOTH, (), (), ())
    assert todo.closes


def test_what_is_there_is_left_alone() -> None:
    todo = plan(holding({SDIST: "a" * 64}))
    assert (todo.new, todo.held, todo.closes) == ((BOTH[1],), (BOTH[0],), False)
    todo = plan(holding({SDIST: "a" * 64, WHEEL: "b" * 64}))
    assert (todo.new, todo.closes, todo.refusals) == ((), False, ())


def test_files_of_other_machines_beside_ours_are_left_alone() -> None:
    assert plan(holding({"acme-1.0-cp311-cp311-linux_x86_64.whl": "c" * 64})).new == BOTH


def test_other_bytes_are_told_with_both_digests_and_the_next_free_version() -> None:
    versions = dict.fromkeys(map(Version, ("1.0", "1.1", "1.2")), Status.PUBLISHED)
    (refusal,) = plan(Standing(controls=OURS_ALONE, versions=versions, files={WHEEL: "f" * 64})).refusals
    assert "b" * 64 in refusal
    assert "f" * 64 in refusal
    assert "raise the version and publish again, the next free one is 1.3" in refusal


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (Status.ARCHIVED, r"withdrawn \(Archived\).*`glue-pkgmgr restore acme==1.0`"),
        (Status.DISPOSED, "Disposed .* not Published: it cannot be installed"),
        (Status.UNLISTED, "Unlisted"),
    ],
)
def test_a_release_that_cannot_be_installed_is_refused_even_with_the_same_bytes(status: Status, told: str) -> None:
    todo = plan(holding({SDIST: "a" * 64, WHEEL: "b" * 64}, status=status))
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(*todo.refusals)


def test_the_same_version_written_otherwise_is_refused() -> None:
    (refusal,) = plan(
        Standing(controls=OURS_ALONE, versions={Version("1.0.0"): Status.PUBLISHED}, files={})
    ).refusals
    assert "written 1.0.0" in refusal


def test_a_name_that_an_upstream_offers_is_refused_until_it_is_closed() -> None:
    seen = {"offered": [Version("99"), Version("3")], "upstreams": ("pypi-store",)}
    for controls in (None, OriginControls(publish=True, upstream=True)):
        (refusal,) = plan(Standing(controls=controls, versions={}, files={}, **seen)).refusals  # type: ignore[arg-type]
        assert "offers acme 99, 3 from upstream (pypi-store)" in refusal
        assert FIX in refusal
    assert plan(Standing(controls=OURS_ALONE, versions={}, files={}, **seen)).refusals == ()  # type: ignore[arg-type]


def test_a_name_of_which_the_repository_holds_releases_of_others_is_refused_though_closed() -> None:
    (refusal,) = plan(
        Standing(
            controls=OURS_ALONE, versions={Version("9"): Status.PUBLISHED}, files={}, brought_in=[Version("9")]
        )
    ).refusals
    assert "acme 9 from the public index" in refusal
    assert "delete-package-versions --domain acme" in refusal
    assert "--versions 9" in refusal
    assert FIX in refusal


def test_a_project_closed_for_publishing_is_refused_with_what_opens_it() -> None:
    closed = OriginControls(publish=False, upstream=False)
    (refusal,) = plan(Standing(controls=closed, versions={}, files={})).refusals
    assert "publish=BLOCK" in refusal
    assert FIX in refusal


def test_whose_the_name_is_does_not_matter_where_nothing_is_uploaded() -> None:
    there = {SDIST: "a" * 64, WHEEL: "b" * 64}
    todo = plan(holding(there, controls=OriginControls(publish=False, upstream=True)))
    assert (todo.refusals, todo.closes) == ((), False)


def test_that_the_store_has_somebody_elses_project_is_a_warning() -> None:
    todo = plan(Standing(versions={}, files={}, in_store=[Version("2")]))
    assert todo.refusals == ()
    assert "the store holds acme 2" in todo.warnings[0]


def test_a_release_without_a_wheel_is_warned_about() -> None:
    assert "jobs install wheels only" in plan(NOTHING, (built(SDIST),)).warnings[0]


def test_files_over_the_limits_of_the_service_are_refused() -> None:
    assert plan(NOTHING, (built(WHEEL, size=LARGEST_FILE),)).refusals == ()
    assert "up to 5 GB" in plan(NOTHING, (built(WHEEL, size=LARGEST_FILE + 1),)).refusals[0]
    many = {f"acme-1.0-{n}-py3-none-any.whl": "c" * 64 for n in range(349)}
    assert plan(holding(many), (BOTH[0],)).refusals == ()
    assert "would have 351 files" in plan(holding(many)).refusals[0]


def test_every_reason_is_told_at_once() -> None:
    standing = holding({WHEEL: "f" * 64}, controls=OriginControls(publish=False, upstream=False))
    assert len(plan(standing, (built(SDIST, size=LARGEST_FILE + 1), BOTH[1])).refusals) == 3


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("1.0", "1.1"),
        ("0.2.0", "0.2.1"),
        ("1!2.9", "1!2.10"),
        ("1.0rc1", "1.0rc2"),
        ("1.0.post1", "1.0.post2"),
        ("1.0a1.post2.dev3", "1.0a1.post2.dev4"),
        ("1.0+local", "1.1"),
    ],
)
def test_the_next_version_is_of_the_same_kind(version: str, following: str) -> None:
    assert next_free(Version(version), []) == Version(following)


numbers = st.integers(0, 3)
versions = st.builds(
    lambda release, end: Version(".".join(map(str, release)) + end),
    st.lists(numbers, min_size=1, max_size=3),
    st.sampled_from(["", "a0", "rc1", ".post0", ".dev2", "b1.post1.dev0", "+x"]),
)


@given(versions, st.lists(versions, max_size=30))
def test_the_next_version_is_above_and_free(version: Version, taken: list[Version]) -> None:
    found = next_free(version, taken)
    assert found > Version(version.public)
    assert found not in taken


def test_a_token_lives_as_long_as_the_upload_may_take_within_what_is_granted() -> None:
    def seconds(size: int) -> float:
        return token_time([built(WHEEL, size=size)]).total_seconds()

    assert seconds(1) == 900
    assert seconds(1024**3) == 1024 + 450
    assert seconds(1024**4) == 43_200


NAMES = [project_name(name) for name in "abcde"]


@given(st.lists(st.tuples(st.sampled_from(range(5)), st.sampled_from(range(5)))))
def test_each_project_comes_after_what_it_requires(edges: list[tuple[int, int]]) -> None:
    downward = {(a, b) for a, b in edges if a > b}
    requires = {NAMES[n]: [f"{NAMES[b]}>=1" for a, b in downward if a == n] for n in (4, 2, 0, 1, 3)}
    order = in_order(requires)
    assert sorted(order) == sorted(NAMES)
    assert all(order.index(NAMES[b]) < order.index(NAMES[a]) for a, b in downward)


def test_without_requirements_among_them_projects_stay_in_their_order() -> None:
    assert in_order({NAMES[2]: ["requests"], NAMES[0]: [], NAMES[1]: []}) == [NAMES[2], NAMES[0], NAMES[1]]


def test_a_circle_is_an_error_that_names_it() -> None:
    a, b = NAMES[0], NAMES[1]
    with pytest.raises(SettingsError, match=r"circle: (a requires b requires a|b requires a requires b)"):
        in_order({a: ["b"], b: ["A"]})


def test_a_requirement_of_an_extra_orders_nothing() -> None:
    a, b = NAMES[0], NAMES[1]
    assert in_order({a: ["b; extra == 'test'"], b: ["a"]}) == [a, b]


def test_a_requirement_that_cannot_be_read_is_told() -> None:
    with pytest.raises(SettingsError, match="a has a requirement that cannot be read: '=='"):
        in_order({ProjectName("a"): ["=="]})
