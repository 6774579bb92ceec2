from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.advisory import Advisory, VulnerabilityException, make_advisory, merged
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import SettingsError

ACME = project_name("acme")
V1 = Version("1.0")
LAST_DAY = date(2027, 3, 31)


def exception(vulnerability: str) -> VulnerabilityException:
    return VulnerabilityException(
        vulnerability=vulnerability, project=ACME, approved_by="us", reason="not reachable", until=LAST_DAY
    )


def advisory(*names: str, fixed: str = "", version: Version = V1) -> Advisory:
    return make_advisory(names, map(Version, fixed.split()), version)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (advisory("PYSEC-2024-1"), "PYSEC-2024-1"),
        (advisory("PYSEC-2024-1", "CVE-2024-2"), "PYSEC-2024-1 (CVE-2024-2)"),
        (advisory("PYSEC-2024-1", fixed="1.2.3"), "PYSEC-2024-1 (fixed in 1.2.3)"),
        (
            advisory("CVE-2024-2", "PYSEC-2024-1", "GHSA-a-b-c", fixed="2.0 1.2.3"),
            "PYSEC-2024-1 (CVE-2024-2, GHSA-a-b-c; fixed in 1.2.3, 2.0)",
        ),
    ],
)
def test_an_advisory_tells_its_names_and_the_fixes(one: Advisory, text: str) -> None:
    assert str(one) == text


def test_only_fixes_that_come_after_the_release_are_told() -> None:
    assert advisory("X-1", fixed="4.2.16 5.0.9 5.1.1", version=Version("5.0.3")).fixed == (
        Version("5.0.9"),
        Version("5.1.1"),
    )


@pytest.mark.parametrize("name", ["", " ", "CVE 1", "CVE-1\n", "\x1b[2J", "CVE-\u0430", "-1", "x" * 101])
def test_what_is_no_identifier_is_refused_before_it_can_be_printed(name: str) -> None:
    with pytest.raises(SettingsError, match="not the id of a vulnerability"):
        make_advisory([name], (), V1)
    with pytest.raises(SettingsError, match="not the id of a vulnerability"):
        make_advisory(["CVE-1", name], (), V1)


def test_an_advisory_has_a_name() -> None:
    with pytest.raises(SettingsError, match="not the id of a vulnerability"):
        make_advisory([], (), V1)


# Merging


def test_advisories_of_one_vulnerability_become_one() -> None:
    found = merged([advisory("GHSA-1", "CVE-1", fixed="2"), advisory("PYSEC-1", "CVE-1", fixed="1.5 2")], V1)
    assert found == (advisory("PYSEC-1", "CVE-1", "GHSA-1", fixed="1.5 2"),)


def test_a_third_advisory_joins_two_that_share_no_name() -> None:
    parts = [advisory("A-1"), advisory("B-1"), advisory("C-1"), advisory("A-1", "B-1")]
    assert [str(one) for one in merged(parts, V1)] == ["A-1 (B-1)", "C-1"]


names = st.lists(st.integers(0, 15).map("X-{}".format), min_size=1, max_size=3)


@given(st.lists(names, max_size=8), st.randoms())
def test_merging_loses_no_name_repeats_none_and_does_not_depend_on_the_order(
    parts: list[list[str]], random: object
) -> None:
    found = merged((advisory(*part) for part in parts), V1)
    told = [name for one in found for name in one.names]
    assert sorted(told) == sorted({name for part in parts for name in part})
    assert all(any(set(part) <= one.names for one in found) for part in parts)
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert merged((advisory(*part) for part in parts), V1) == found
    assert merged(found, V1) == found


# Exceptions


@pytest.mark.parametrize("called", ["PYSEC-1", "CVE-1", "cve-1", " GHSA-1 "])
def test_an_exception_covers_a_vulnerability_by_any_of_its_names(called: str) -> None:
    assert exception(called).covers(ACME, advisory("PYSEC-1", "CVE-1", "GHSA-1"), LAST_DAY)


@pytest.mark.parametrize("called", ["PYSEC-11", "CVE", "CVE-*", "*", "", "PYSEC-1 CVE-1"])
def test_an_exception_covers_nothing_else(called: str) -> None:
    assert not exception(called).covers(ACME, advisory("PYSEC-1", "CVE-1"), LAST_DAY)


def test_an_exception_is_for_its_project_alone() -> None:
    assert not exception("CVE-1").covers(project_name("other"), advisory("CVE-1"), LAST_DAY)


def test_an_exception_ends_after_its_last_day() -> None:
    one = exception("CVE-1")
    days = [date(2020, 1, 1), LAST_DAY, date(2027, 4, 1)]
    assert [one.covers(ACME, advisory("CVE-1"), day) for day in days] == [True, True, False]
