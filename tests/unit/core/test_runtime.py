from __future__ import annotations

import re

import pytest
from packaging.tags import parse_tag
from packaging.version import Version

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import RUNTIMES, glue_runtime
from glue_pkgmgr.errors import SettingsError


def fits(glue: str, tag: str) -> bool:
    return glue_runtime(glue).rank(parse_tag(tag)) is not None


@pytest.mark.parametrize(
    ("glue", "tag"),
    [
        ("5.1", "cp311-cp311-manylinux_2_34_x86_64"),
        ("5.1", "cp311-cp311-manylinux_2_28_x86_64"),
        ("5.1", "cp38-abi3-manylinux2014_x86_64"),
        ("5.1", "cp311-cp311-linux_x86_64"),
        ("5.1", "py2.py3-none-any"),
        ("5.1", "cp311-none-any"),
        ("6.0", "cp313-cp313-manylinux_2_28_x86_64"),
        ("4.0", "cp310-cp310-manylinux_2_26_x86_64"),
        ("4.0", "cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("3.0", "cp37-cp37m-manylinux2010_x86_64"),
    ],
)
def test_a_wheel_with_such_a_tag_is_accepted(glue: str, tag: str) -> None:
    assert fits(glue, tag)


@pytest.mark.parametrize(
    ("glue", "tag"),
    [
        ("5.1", "cp311-cp311-manylinux_2_35_x86_64"),
        ("5.1", "cp311-cp311-manylinux_2_28_aarch64"),
        ("5.1", "cp311-cp311-musllinux_1_2_x86_64"),
        ("5.1", "cp311-cp311-win_amd64"),
        ("5.1", "cp312-cp312-manylinux2014_x86_64"),
        ("5.1", "cp312-abi3-manylinux2014_x86_64"),
        ("5.1", "cp313-cp313t-manylinux2014_x86_64"),
        ("5.1", "py2-none-any"),
        ("5.1", "pp311-pypy311_pp73-manylinux2014_x86_64"),
        ("4.0", "cp310-cp310-manylinux_2_28_x86_64"),
        ("3.0", "cp37-cp37-manylinux2014_x86_64"),
    ],
)
def test_a_wheel_with_such_a_tag_is_not_accepted(glue: str, tag: str) -> None:
    assert not fits(glue, tag)


def test_the_closest_wheel_ranks_first() -> None:
    tags = [
        "cp311-cp311-manylinux_2_34_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp311-abi3-linux_x86_64",
        "py3-none-any",
    ]
    ranks = [glue_runtime("5.1").rank(parse_tag(tag)) for tag in tags]
    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda rank: rank or 0)


@pytest.mark.parametrize("glue", RUNTIMES)
def test_the_image_of_every_glue_version_is_known_with_its_pip(glue: str) -> None:
    runtime = glue_runtime(glue)
    assert runtime.preinstalled[project_name("pip")] == runtime.pip
    assert project_name("boto3") in runtime.preinstalled
    assert [name for name in runtime.preinstalled if project_name(name) != name] == []
    assert re.fullmatch(r"3\.\d+", runtime.python_text)


def test_requirements_files_are_read_from_glue_5_on() -> None:
    assert [version for version in RUNTIMES if glue_runtime(version).reads_requirements_files] == [
        "5.0",
        "5.1",
        "6.0",
    ]


def test_glue_5_1_is_python_3_11_and_spark_3_5_6() -> None:
    runtime = glue_runtime("5.1")
    assert (runtime.python, runtime.spark, runtime.java, runtime.glibc) == ((3, 11), "3.5.6", 17, (2, 34))
    assert runtime.preinstalled[project_name("Boto3")] > Version("1.30")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.0", "starts no runs since"),
        ("auto", "cannot be locked"),
        ("5", "unknown Glue version '5'; known are 3.0"),
    ],
)
def test_a_version_that_cannot_be_used_is_refused_with_the_reason(version: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        glue_runtime(version)
