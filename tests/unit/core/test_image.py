from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from glue_pkgmgr.core.image import Break, Replacement, breaks, replacements, requirements_of
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.preinstalled_requirements import REQUIREMENTS, UNKNOWN
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime, glue_runtime


def pins(*releases: str) -> dict[ProjectName, Version]:
    pairs = (release.split("==") for release in releases)
    return {project_name(name): Version(version) for name, version in pairs}


def broken(glue: str, *releases: str) -> list[str]:
    return [str(one) for one in breaks(pins(*releases), glue_runtime(glue))]


def test_a_numpy_too_old_for_pandas_breaks_it() -> None:
    assert broken("5.1", "numpy==1.23.1") == [
        "contourpy==1.3.3 requires numpy>=1.25, the closure installs 1.23.1",
        "pandas==2.3.3 requires numpy>=1.23.2, the closure installs 1.23.1",
    ]


def test_numpy_2_breaks_what_was_compiled_for_numpy_1() -> None:
    told = broken("4.0", "numpy==2.2.6")
    assert "pandas==1.5.1 requires numpy<2,>=1.21.0, the closure installs 2.2.6" in told
    assert "pyarrow==10.0.0 requires numpy<2,>=1.16.6, the closure installs 2.2.6" in told
    # It has a stricter limit of its own, and that is told.
    assert "scipy==1.9.3 requires numpy<1.26.0,>=1.18.5, the closure installs 2.2.6" in told
    assert not [line for line in told if line.startswith("patsy")], "pure Python runs with either"


def test_numpy_2_breaks_nothing_of_an_image_compiled_for_both() -> None:
    assert broken("5.0", "numpy==2.2.6") == []


def test_urllib3_breaks_botocore_and_requests() -> None:
    assert broken("5.1", "urllib3==3.0") == [
        "botocore==1.40.61 requires urllib3!=2.2.0,<3,>=1.25.4, the closure installs 3.0",
        "requests==2.32.5 requires urllib3<3,>=1.21.1, the closure installs 3.0",
    ]


def test_a_release_that_the_closure_replaces_as_well_is_not_broken() -> None:
    assert broken("5.1", "numpy==1.23.1", "pandas==2.0.0", "contourpy==1.2.0") == []
    assert broken("5.1", "numpy==1.23.1", "pandas==2.0.0") == [
        "contourpy==1.3.3 requires numpy>=1.25, the closure installs 1.23.1"
    ]


def test_a_release_that_the_closure_keeps_is_broken_like_any_other() -> None:
    assert broken("5.1", "numpy==1.23.1", "pandas==2.3.3") == broken("5.1", "numpy==1.23.1")


def test_a_project_that_is_not_in_the_image_breaks_nothing() -> None:
    assert broken("5.1", "more-itertools==10.8.0", "glueutils==0.2.0") == []


def test_what_the_image_itself_does_not_meet_is_not_the_closures_fault() -> None:
    image = glue_runtime("4.0")
    wanted = {str(item) for item in requirements_of(image)[project_name("s3fs")]}
    assert "fsspec==2022.11.0" in wanted
    assert image.preinstalled[project_name("fsspec")] == Version("2021.8.1")
    assert broken("4.0", "fsspec==2023.1.0") == []


def test_an_installed_pre_release_counts() -> None:
    assert broken("5.1", "urllib3==2.6.0rc1") == []
    assert broken("5.1", "six==1.5rc1") == [
        "python-dateutil==2.9.0.post0 requires six>=1.5, the closure installs 1.5rc1"
    ]


def test_a_break_says_all_there_is_to_know() -> None:
    (one,) = breaks(pins("six==1.4"), glue_runtime("5.1"))
    assert one == Break(
        project=project_name("python-dateutil"),
        version=Version("2.9.0.post0"),
        requires="six>=1.5",
        found=Version("1.4"),
    )


def test_replacements_are_told_by_project_and_only_where_the_version_changes() -> None:
    image = glue_runtime("5.1")
    closure = pins("urllib3==2.6.0", "boto3==1.42.0", "numpy==2.3.4", "more-itertools==10.8.0")
    assert replacements(closure, image) == (
        Replacement(project=project_name("boto3"), before=Version("1.40.61"), after=Version("1.42.0")),
        Replacement(project=project_name("urllib3"), before=Version("2.5.0"), after=Version("2.6.0")),
    )


def test_another_spelling_of_the_same_version_replaces_nothing() -> None:
    assert replacements(pins("fsspec==2025.10", "pyarrow==22.0"), glue_runtime("5.1")) == ()


@pytest.mark.parametrize("glue", RUNTIMES)
class TestEveryGlueVersion:
    def test_its_image_taken_alone_breaks_nothing(self, glue: str) -> None:
        image = glue_runtime(glue)
        assert replacements(image.preinstalled, image) == ()
        assert breaks(image.preinstalled, image) == ()
        assert breaks({}, image) == ()

    def test_the_data_name_only_projects_of_its_image(self, glue: str) -> None:
        image = glue_runtime(glue)
        known = requirements_of(image)
        assert known.keys() <= image.preinstalled.keys()
        assert all(known.values()), "a project that requires nothing is left out"
        unknown = pins(*UNKNOWN[glue].split())
        assert unknown.items() <= image.preinstalled.items()
        assert not unknown.keys() & known.keys()

    def test_each_requirement_is_named_once(self, glue: str) -> None:
        for items in requirements_of(glue_runtime(glue)).values():
            names = [item.project for item in items]
            assert len(names) == len(set(names))
            assert all(not item.extras for item in items)

    def test_what_every_image_needs_is_known(self, glue: str) -> None:
        known = requirements_of(glue_runtime(glue))
        for project, required in (("boto3", "botocore"), ("pandas", "numpy"), ("requests", "urllib3")):
            assert project_name(required) in [item.project for item in known[project_name(project)]]


def brute_force(closure: Mapping[ProjectName, Version], image: GlueRuntime) -> set[tuple[str, str, str]]:
    """Tell the breaks the long way: everything is installed, then every requirement is looked at anew."""
    after = {**image.preinstalled, **closure}
    found: set[tuple[str, str, str]] = set()
    project = ""
    for word in REQUIREMENTS[image.version].split():
        if word.endswith(":"):
            project = word[:-1]
            continue
        requirement = Requirement(word)
        owner, name = project_name(project), project_name(requirement.name)
        if name not in image.preinstalled or after[owner] != image.preinstalled[owner]:
            continue
        before_ok = requirement.specifier.contains(image.preinstalled[name], prereleases=True)
        if before_ok and not requirement.specifier.contains(after[name], prereleases=True):
            found.add((owner, name, str(after[name])))
    return found


versions = st.builds(
    "{}{}".format,
    st.lists(st.integers(0, 40), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts))),
    st.sampled_from(["", "", "", "rc1", "a0", ".post1", ".dev3"]),
).map(Version)


@st.composite
def closures(draw: st.DrawFn) -> tuple[GlueRuntime, dict[ProjectName, Version]]:
    image = glue_runtime(draw(st.sampled_from(list(RUNTIMES))))
    names = draw(st.lists(st.sampled_from(sorted(image.preinstalled)), unique=True, max_size=12))
    some = {name: draw(st.one_of(versions, st.just(image.preinstalled[name]))) for name in names}
    return image, {**some, **draw(st.dictionaries(st.just(project_name("not-there")), versions, max_size=1))}


@given(closures())
def test_breaks_are_those_that_looking_at_everything_finds(
    given_: tuple[GlueRuntime, dict[ProjectName, Version]],
) -> None:
    image, closure = given_
    found = breaks(closure, image)
    assert {(one.project, Requirement(one.requires).name, str(one.found)) for one in found} == brute_force(
        closure, image
    )
    assert list(found) == sorted(found, key=lambda one: (one.project, one.requires))
    assert all(one.version == image.preinstalled[one.project] for one in found)


@given(closures())
def test_replacements_are_what_differs(given_: tuple[GlueRuntime, dict[ProjectName, Version]]) -> None:
    image, closure = given_
    after = {**image.preinstalled, **closure}
    assert [(one.project, one.before, one.after) for one in replacements(closure, image)] == sorted(
        (name, before, after[name]) for name, before in image.preinstalled.items() if after[name] != before
    )
