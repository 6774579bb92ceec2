from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from packaging.version import Version

from glue_pkgmgr.core.image import requirements_of
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.preinstalled_requirements import UNKNOWN
from glue_pkgmgr.core.runtime import RUNTIMES, glue_runtime
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from tests.fakes import FakeIndex, FakeMetadata
from tools.preinstalled_requirements import (
    TARGET,
    Declared,
    Releases,
    applicable,
    generated,
    render,
    unconditional,
)

GLUE_5 = glue_runtime("5.1")
LINUX = "manylinux2014_x86_64"


def test_the_data_in_the_package_are_as_the_generator_writes_them() -> None:
    known = {
        version: {project: map(str, items) for project, items in requirements_of(runtime).items()}
        for version, runtime in RUNTIMES.items()
    }
    unknown = {version: releases.split() for version, releases in UNKNOWN.items()}
    assert render(known, unknown) == TARGET.read_text("utf-8")


def test_what_is_rendered_is_python_that_says_the_same() -> None:
    long = [f"dependency-with-a-long-name-{n}!=1.0,<3,>=1.{n}" for n in range(9)]
    made = render({"9.0": {project_name("b"): ["c>=1"], project_name("a"): long}, "9.1": {}}, {"9.0": ["x==1"]})
    assert max(map(len, made.splitlines())) <= 115
    names: dict[str, dict[str, str]] = {}
    exec(compile(made, "made", "exec"), names)
    assert names["REQUIREMENTS"]["9.0"].split() == ["a:", *long, "b:", "c>=1"]
    assert names["REQUIREMENTS"]["9.1"] == ""
    assert names["UNKNOWN"]["9.0"].split() == ["x==1"]


def wanted(*lines: str, glue: str = "5.1", for_numpy_1: bool = False) -> tuple[str, ...]:
    return applicable(Declared(lines=lines, for_numpy_1=for_numpy_1), glue_runtime(glue))


@pytest.mark.parametrize(
    "line",
    [
        'dep>=1; python_version >= "3.11"',
        'dep>=1; python_full_version < "3.11.1"',
        'dep>=1; sys_platform == "linux" and platform_machine == "x86_64"',
        'dep>=1; platform_python_implementation == "CPython" and implementation_name == "cpython"',
        'dep>=1; os_name != "nt" and platform_system == "Linux"',
        "Dep[extra] (>=1)",
    ],
)
def test_a_requirement_that_holds_in_the_image_is_kept_without_marker_and_extras(line: str) -> None:
    assert wanted(line) == ("dep>=1",)


@pytest.mark.parametrize(
    "line",
    [
        'dep>=1; python_version < "3.11"',
        'dep>=1; sys_platform == "win32"',
        'dep>=1; platform_machine == "aarch64"',
        'dep>=1; extra == "all"',
        'dep>=1; platform_python_implementation == "PyPy"',
    ],
)
def test_a_requirement_that_does_not_hold_in_the_image_is_left_out(line: str) -> None:
    assert wanted(line) == ()


def test_markers_are_decided_for_the_glue_version() -> None:
    lines = ('numpy>=1.21; python_version < "3.11"', 'numpy>=1.23.2; python_version >= "3.11"')
    assert wanted(*lines, glue="4.0") == ("numpy>=1.21",)
    assert wanted(*lines, glue="5.1") == ("numpy>=1.23.2",)


def test_several_requirements_of_a_project_become_one() -> None:
    assert wanted("dep>=1", "other", "DEP<3") == ("dep<3,>=1", "other")


def test_what_was_compiled_for_numpy_1_requires_it() -> None:
    assert wanted("numpy>=1.16.6", for_numpy_1=True) == ("numpy<2,>=1.16.6",)
    assert wanted("numpy>=1.16.6") == ("numpy>=1.16.6",)
    assert wanted("numpy<1.26.0,>=1.18.5", for_numpy_1=True) == ("numpy<1.26.0,>=1.18.5",)
    assert wanted("six", for_numpy_1=True) == ("six",)


def test_requirements_of_an_sdist_are_read_without_those_of_extras() -> None:
    text = (
        'six\n botocore>=1\n\n[:python_version < "3.11"]\ntyping\n\n[awscli]\nawscli\n[x:os_name == "nt"]\nwin\n'
    )
    assert list(unconditional(text)) == ["six", "botocore>=1", 'typing; python_version < "3.11"']
    assert list(unconditional("")) == []


def releases(metadata: Mapping[str, str], *, uploaded: int = 2025, sdist: bytes | None = None) -> Releases:
    """Return releases on an index: wheels with their metadata, and perhaps an sdist of acme 1.0."""
    files = dict.fromkeys(metadata, b"")
    if sdist is not None:
        files["acme-1.0.tar.gz"] = sdist
    index = FakeIndex(files, uploaded=datetime(uploaded, 6, 1, tzinfo=UTC))
    return Releases(index=index, metadata=FakeMetadata({name: text.encode() for name, text in metadata.items()}))


def declared(found: Releases) -> Declared | None:
    return found.declared(project_name("acme"), Version("1.0"), GLUE_5)


def archive(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, text in files.items():
            member = tarfile.TarInfo(f"acme-1.0/{name}")
            member.size = len(text.encode())
            made.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_the_wheel_that_fits_the_image_is_asked() -> None:
    found = releases(
        {
            "acme-1.0-cp310-cp310-win_amd64.whl": "Requires-Dist: windows\n",
            f"acme-1.0-cp311-cp311-{LINUX}.whl": "Requires-Dist: dep>=1\nRequires-Dist: b; extra == 'x'\n",
            "acme-2.0-py3-none-any.whl": "Requires-Dist: later\n",
        }
    )
    assert declared(found) == Declared(lines=("dep>=1", "b; extra == 'x'"))


def test_without_a_fitting_wheel_any_is_asked() -> None:
    assert declared(releases({"acme-1.0-cp27-cp27m-win32.whl": "Requires-Dist: dep\n"})) == Declared(
        lines=("dep",)
    )


def test_a_compiled_wheel_from_before_numpy_2_is_for_numpy_1() -> None:
    compiled = {f"acme-1.0-cp311-cp311-{LINUX}.whl": "Requires-Dist: numpy\n"}
    pure = {"acme-1.0-py3-none-any.whl": "Requires-Dist: numpy\n"}
    assert declared(releases(compiled, uploaded=2022)) == Declared(lines=("numpy",), for_numpy_1=True)
    assert declared(releases(compiled, uploaded=2025)) == Declared(lines=("numpy",))
    assert declared(releases(pure, uploaded=2022)) == Declared(lines=("numpy",))


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"PKG-INFO": "Name: acme\nRequires-Dist: dep>=1\n", "acme.egg-info/requires.txt": "old\n"}, ("dep>=1",)),
        ({"PKG-INFO": "Name: acme\n", "acme.egg-info/requires.txt": "dep>=2\n"}, ("dep>=2",)),
        ({"PKG-INFO": "Name: acme\n", "src/acme.egg-info/requires.txt": "dep>=3\n[x]\ny\n"}, ("dep>=3",)),
        ({"PKG-INFO": "Name: acme\n"}, ()),
        ({"setup.py": "raise SystemExit('never run')\n"}, ()),
    ],
)
def test_without_any_wheel_the_sdist_is_read_and_not_run(files: dict[str, str], lines: tuple[str, ...]) -> None:
    assert declared(releases({}, sdist=archive(files))) == Declared(lines=lines)


def test_a_release_without_a_file_is_unknown() -> None:
    assert declared(releases({})) is None
    assert declared(releases({"acme-2.0-py3-none-any.whl": ""})) is None


def test_an_sdist_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(NotInstallable, match=r"acme-1\.0\.tar\.gz"):
        declared(releases({}, sdist=b"no archive"))


def test_a_page_is_asked_for_once() -> None:
    found = releases({"acme-1.0-py3-none-any.whl": ""})
    assert declared(found) == declared(found)
    assert isinstance(found.index, FakeIndex)
    assert found.index.asked == [project_name("acme")]


def test_the_module_tells_what_is_known_and_what_is_not() -> None:
    made = generated(
        releases(
            {"pip-24.0-py3-none-any.whl": "", "boto3-1.40.61-py3-none-any.whl": "Requires-Dist: botocore<2\n"}
        ),
        [GLUE_5],
    )
    assert "        boto3: botocore<2\n" in made
    assert "        pip:" not in made
    assert "pandas==2.3.3" in made.partition("UNKNOWN")[2]


def test_metadata_that_cannot_be_used_are_an_error_that_names_the_release() -> None:
    found = releases({"boto3-1.40.61-py3-none-any.whl": "Requires-Dist: botocore (?)\n"})
    with pytest.raises(NotInstallable, match=r"metadata of boto3==1\.40\.61 cannot be used"):
        generated(found, [GLUE_5])


def test_an_index_that_fails_is_not_taken_for_one_without_files() -> None:
    found = releases({})
    assert isinstance(found.index, FakeIndex)
    found.index.broken = True
    with pytest.raises(IndexAccessError):
        generated(found, [GLUE_5])
