from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.osv import osv_advisories, osv_projects
from glue_pkgmgr.errors import SettingsError

ACME = project_name("acme-demo")


def record(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    affected = [{"package": {"ecosystem": "PyPI", "name": "acme-demo"}, **entry} for entry in entries]
    return {"schema_version": "1.7.0", "id": "PYSEC-1", "modified": "now", "affected": affected, **more}


def ranges(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": list(events)}]}


def affects(one: dict[str, Any], version: str) -> bool:
    release = ACME, Version(version)
    return release in osv_advisories([one], [release])


def affected_of(one: dict[str, Any], versions: str) -> list[str]:
    return [version for version in versions.split() if affects(one, version)]


ALL = "0 0.dev0 0a1 0.9 1.0.dev1 1.0rc1 1.0 1.0.post1 1.5 2.0rc1 2.0 2.0.1 3.0 1!0.1"


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}], ALL),
        ([{"introduced": "0"}, {"fixed": "1.0"}], "0 0.dev0 0a1 0.9 1.0.dev1 1.0rc1"),
        ([{"introduced": "1.0"}, {"fixed": "2.0"}], "1.0 1.0.post1 1.5 2.0rc1"),
        ([{"fixed": "2.0"}, {"introduced": "1.0"}], "1.0 1.0.post1 1.5 2.0rc1"),
        ([{"introduced": "1.0"}, {"last_affected": "2.0"}], "1.0 1.0.post1 1.5 2.0rc1 2.0"),
        ([{"introduced": "2.0"}, {"last_affected": "2.0"}], "2.0"),
        ([{"last_affected": "2.0"}, {"introduced": "2.0"}], "2.0"),
        (
            [{"introduced": "2.0"}, {"introduced": "0"}, {"fixed": "0.9"}, {"fixed": "2.0.1"}],
            "0 0.dev0 0a1 2.0",
        ),
        ([{"introduced": "1.5"}, {"limit": "2.0.1"}], "1.5 2.0rc1 2.0"),
        ([{"introduced": "1.5"}, {"limit": "2.0"}, {"limit": "2.0.1"}], "1.5 2.0rc1 2.0"),
        ([{"introduced": "2.0.1"}, {"limit": "2.0"}, {"limit": "*"}], "2.0.1 3.0 1!0.1"),
        ([{"introduced": "1!0"}], "1!0.1"),
        # A contradiction: it may be vulnerable.
        ([{"introduced": "2.0.1"}, {"fixed": "2.0.1"}], "2.0.1 3.0 1!0.1"),
    ],
)
def test_a_range_affects_what_lies_in_it(events: list[dict[str, str]], affected: str) -> None:
    assert affected_of(record(ranges(*events)), ALL) == affected.split()


universe = sorted(map(Version, f"{ALL} 1.1 1.2 1.2.1 1.3a1 1.3b2 1.4.dev3 2.5 4 4.1 5 6!1 6!2.post3".split()))


@given(
    st.lists(st.booleans(), min_size=len(universe), max_size=len(universe)),
    st.booleans(),
    st.lists(st.sampled_from(universe), max_size=2),
    st.randoms(),
)
def test_events_in_any_order_say_what_going_through_all_versions_says(
    vulnerable: list[bool], last_affected: bool, limits: list[Version], random: Any
) -> None:
    events: list[dict[str, str]] = []
    before = False
    for n, (version, now) in enumerate(zip(universe, vulnerable, strict=True)):
        if now and not before:
            events.append({"introduced": "0" if n == 0 else f"v{version}"})  # `0` is the beginning
        if before and not now:
            events.append({"last_affected": str(universe[n - 1])} if last_affected else {"fixed": str(version)})
        before = now
    if not any(vulnerable):
        return
    events += [{"limit": str(limit)} for limit in limits]
    random.shuffle(events)
    one = record(ranges(*events))
    expected = {
        version
        for version, now in zip(universe, vulnerable, strict=True)
        if now and (not limits or version < max(limits))
    }
    found = osv_advisories([one], [(ACME, version) for version in universe])
    assert {version for _, version in found} == expected


@given(st.lists(st.sampled_from(universe), max_size=5), st.lists(st.sampled_from(universe), max_size=5))
def test_a_listed_version_is_affected_however_it_is_spelt(listed: list[Version], others: list[Version]) -> None:
    one = record({"versions": ["2004d", *(f"v{version}" for version in listed)]})
    found = osv_advisories([one], [(ACME, version) for version in {*listed, *others}])
    assert {version for _, version in found} == set(listed)


def test_versions_ranges_and_entries_add_up() -> None:
    entries = (
        {"versions": ["0.9"], **ranges({"introduced": "1.5"}, {"fixed": "2.0"})},
        ranges({"introduced": "3.0"}, {"fixed": "3.1"}),
    )
    assert affected_of(record(*entries), "0.9 1.0 1.5 2.0 3.0 3.1") == ["0.9", "1.5", "3.0"]


def test_of_several_ranges_the_fix_of_the_one_that_holds_is_told() -> None:
    entries = (ranges({"introduced": "0"}, {"fixed": "1.5"}), ranges({"introduced": "2"}, {"fixed": "2.3"}))
    release = ACME, Version("1.0")
    (found,) = osv_advisories([record(*entries)], [release])[release]
    assert found.fixed == (Version("1.5"),)


@pytest.mark.parametrize("kind", ["ECOSYSTEM", "SEMVER"])
def test_ordered_ranges_are_evaluated_whatever_they_are_called(kind: str) -> None:
    one = record(ranges({"introduced": "0"}, {"fixed": "1.0.0-rc.1"}, kind=kind))
    assert affected_of(one, "0.9 1.0.0b1 1.0.0rc1 1.0") == ["0.9", "1.0.0b1"]


def test_git_ranges_do_not_count_beside_versions() -> None:
    entry = ranges({"introduced": "0"}, {"fixed": "deadbeef"}, kind="GIT")
    assert affected_of(record({**entry, "versions": ["1.0"]}), "0.9 1.0") == ["1.0"]


@pytest.mark.parametrize(
    "entry", [{}, {"versions": [], "ranges": []}, {"versions": None}, ranges({"introduced": "a1"}, kind="GIT")]
)
def test_a_record_that_does_not_say_which_versions_is_about_all(entry: dict[str, Any]) -> None:
    assert affected_of(record(entry), "0.9 1.0") == ["0.9", "1.0"]


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0+cpu 2.0+cu12"),
        ([{"introduced": "0"}, {"fixed": "2.0"}], ""),
        ([{"introduced": "0"}, {"fixed": "2.0+cu12"}], "2.0+cpu"),
    ],
)
def test_the_local_part_counts_only_where_the_record_names_one(
    events: list[dict[str, str]], affected: str
) -> None:
    assert affected_of(record(ranges(*events)), "2.0+cpu 2.0+cu12") == affected.split()


def test_a_build_of_a_listed_version_is_affected() -> None:
    assert affected_of(record({"versions": ["2.0", "3.0+cpu"]}), "2.0+cpu 3.0 3.0+cpu") == ["2.0+cpu", "3.0+cpu"]


# Which record is about which project


@pytest.mark.parametrize("name", ["acme-demo", "Acme.Demo", "ACME__demo"])
@pytest.mark.parametrize("ecosystem", ["PyPI", "pypi"])
def test_names_are_compared_normalised(name: str, ecosystem: str) -> None:
    one = record({"package": {"ecosystem": ecosystem, "name": name}, "versions": ["1.0"]})
    assert affects(one, "1.0")
    assert osv_projects(one) == {"acme-demo"}


@pytest.mark.parametrize(
    "package", [{"ecosystem": "npm", "name": "acme-demo"}, {"ecosystem": "PyPI", "name": "acme-demo2"}, None]
)
def test_records_about_others_do_not_count(package: object) -> None:
    assert not affects(record({"package": package, "versions": ["1.0"]}), "1.0")


def test_withdrawn_records_do_not_count() -> None:
    assert not affects(record({"versions": ["1.0"]}, withdrawn="2024-01-01T00:00:00Z"), "1.0")
    assert affects(record({"versions": ["1.0"]}, withdrawn=None), "1.0")


def test_a_record_of_several_projects_is_told_of_each() -> None:
    other = project_name("other")
    entries = {"versions": ["1.0"]}, {"package": {"ecosystem": "PyPI", "name": "other"}, "versions": ["2.0"]}
    asked = [(project, Version(text)) for project in (ACME, other) for text in ("1.0", "2.0")]
    assert set(osv_advisories([record(*entries)], asked)) == {asked[0], asked[3]}


def test_records_of_one_vulnerability_are_one_advisory() -> None:
    release = ACME, Version("1.0")
    records = [
        record(ranges({"introduced": "0"}, {"fixed": "2.0"}), id="GHSA-1", aliases=["CVE-1"]),
        record({"versions": ["1.0"]}, aliases=["CVE-1", "GHSA-1"]),
    ]
    (found,) = osv_advisories(records, [release])[release]
    assert str(found) == "PYSEC-1 (CVE-1, GHSA-1; fixed in 2.0)"


def test_a_record_without_a_schema_version_is_of_the_first() -> None:
    one = record({"versions": ["1.0"]})
    del one["schema_version"]
    assert affects(one, "1.0")


def test_a_record_about_no_package_is_about_none() -> None:
    assert osv_projects({"id": "PYSEC-1"}) == set()
    assert osv_projects({"id": "PYSEC-1", "affected": None}) == set()


# Malformed records


@pytest.mark.parametrize("wrong", [None, [], "text", 1, {}, {"id": 1}, {"id": None}])
def test_what_is_no_record_is_an_error(wrong: object) -> None:
    with pytest.raises(SettingsError, match="vulnerability record"):
        osv_projects(wrong)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema_version": "2.0.0"}, "'PYSEC-1' is of schema version '2.0.0'"),
        ({"schema_version": 1}, "schema version 1"),
        ({"affected": {}}, r"'PYSEC-1'.affected: \{\} is not a list"),
        ({"affected": [1]}, r"affected\[0\]: 1 is not an object"),
        ({"affected": [{"package": {"ecosystem": "PyPI"}}]}, r"affected\[0\].package"),
        ({"affected": [{"package": "acme-demo"}]}, r"affected\[0\].package: 'acme-demo'"),
        ({"affected": [{"package": {"ecosystem": 1, "name": "acme-demo"}}]}, r"affected\[0\].package"),
    ],
)
def test_a_record_with_a_wrong_shape_is_an_error_for_everybody(change: dict[str, Any], place: str) -> None:
    with pytest.raises(SettingsError, match=place):
        osv_projects(record({"versions": ["1.0"]}) | change)


@pytest.mark.parametrize(
    ("one", "place"),
    [
        (record({"versions": "1.0"}), r"affected\[0\].versions: '1.0' is not a list"),
        (record({"versions": ["1.0", 1]}), r"affected\[0\].versions\[1\]: 1 is not a text"),
        (record({}, aliases="CVE-1"), "aliases: 'CVE-1' is not a list"),
        (record({}, aliases=["\x1b[2J"]), "not the id of a vulnerability"),
        (record({}, id=""), "not the id of a vulnerability"),
        (record({"ranges": [{}]}), r"ranges\[0\].type: None is none of ECOSYSTEM"),
        (record(ranges(kind="VERSION")), r"ranges\[0\].type: 'VERSION'"),
        (record(ranges()), r"ranges\[0\].events: none says where"),
        (record(ranges({"fixed": "1.0"})), r"ranges\[0\].events: none says where"),
        (record(ranges({"introduced": "0", "fixed": "1"})), r"events\[0\]: .* must hold one of"),
        (record(ranges({"since": "0"})), r"events\[0\]: .* must hold one of"),
        (record(ranges({"introduced": "0"}, {"fixed": "1.x"})), r"events\[1\].fixed: '1.x' is no version"),
        (record(ranges({"introduced": "0"}, {"fixed": "*"})), r"events\[1\].fixed: '\*' is no version"),
        (
            record({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 0}]}]}),
            "introduced: 0 is no version",
        ),
        (record({"ranges": [{"type": "ECOSYSTEM", "events": "0"}]}), "events: '0' is not a list"),
    ],
)
def test_a_malformed_record_says_which_and_where(one: dict[str, Any], place: str) -> None:
    with pytest.raises(SettingsError, match=place):
        affects(one, "1.0")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["id", "aliases", "affected", "schema_version", "package", "versions", "ranges"]), json_values
)
def test_any_value_in_any_place_is_understood_or_refused(key: str, value: Any) -> None:
    one = record({"versions": ["1.0"], **ranges({"introduced": "0"})})
    (one if key in one else one["affected"][0])[key] = value
    try:
        osv_projects(one)
        affects(one, "1.0")
    except SettingsError as e:
        assert str(e).isprintable()
