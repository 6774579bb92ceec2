from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import SettingsError


@pytest.mark.parametrize("text", ["Foo.Bar", "foo--bar", "FOO_-.bar", "foo-bar"])
def test_all_spellings_of_a_name_are_one(text: str) -> None:
    assert project_name(text) == "foo-bar"


@given(st.text(max_size=20))
def test_a_name_is_refused_or_normal_for_good(text: str) -> None:
    try:
        name = project_name(text)
    except SettingsError:
        return
    assert project_name(name) == name
    assert name.isascii()
    assert name == name.lower()
    assert "/" not in name
    assert ".." not in name


@pytest.mark.parametrize("text", ["", "-a", "a-", ".", "..", "a/b", "a b", "é", "\u212a", "a\n", "a" * 256])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="not a project name"):
        project_name(text)
