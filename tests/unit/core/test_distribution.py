from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename, sha256_hex


def test_a_wheel_tells_project_version_and_tags() -> None:
    file = parse_filename("Foo_Bar-1.0-2-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    assert (file.project, file.version, file.is_wheel) == ("foo-bar", Version("1.0"), True)
    assert file.build == (2, "")
    assert {str(tag) for tag in file.tags} == {"cp39-abi3-manylinux_2_17_x86_64", "cp39-abi3-manylinux2014_x86_64"}


def test_an_sdist_tells_project_and_version() -> None:
    file = parse_filename("Foo_Bar-1.0rc1.tar.gz")
    assert (file.project, file.version, file.is_wheel) == ("foo-bar", Version("1.0rc1"), False)


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "acme",
        "acme.whl",
        "acme-1.0.whl",
        "acme-1.0-py3-none.whl",
        "acme-x.tar.gz",
        "acme-1.0.exe",
        "-1.0.tar.gz",
        "acme-1.0-py3-none-any.x,evil==1.0,y.whl",
        "acme-1.0-py3-none-any.a b.whl",
        "acme-1.0-py3-none-any.\x1b[2K.whl",
        "acme-1.0-1/../../evil-py3-none-any.whl",
        "acme-1.0-1\n-py3-none-any.whl",
    ],
)
def test_another_file_name_is_refused(filename: str) -> None:
    with pytest.raises(InvalidFilename, match="is not the file name of a wheel or an sdist"):
        parse_filename(filename)


@given(st.text(max_size=30), st.sampled_from([".whl", ".tar.gz", ".zip", ""]))
def test_any_name_is_read_or_refused(stem: str, ending: str) -> None:
    try:
        parse_filename(stem + ending)
    except InvalidFilename:
        return


def test_a_digest_does_not_depend_on_the_pieces() -> None:
    assert sha256_hex([b"a", b"", b"bc"]) == hashlib.sha256(b"abc").hexdigest()
