from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.launch_id import attempt_id, attempt_of, launch_id
from glue_pkgmgr.errors import SettingsError

ID = "0123456789abcdef" * 2


def test_an_id_is_taken_as_it_is() -> None:
    assert launch_id("taxi-job", ID) == ID


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable() and bool(text.strip())))
def test_any_text_names_one_launch_of_one_job(text: str) -> None:
    found = launch_id("taxi-job", text)
    assert found == launch_id("taxi-job", text)
    assert len(found) == 32
    if found != text:
        assert found != launch_id("other-job", text)


def test_texts_that_differ_name_different_launches() -> None:
    assert launch_id("taxi-job", "nightly") != launch_id("taxi-job", "nightly-2")


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 1025])
def test_what_cannot_name_a_launch_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a launch"):
        launch_id("taxi-job", text)


@given(st.integers(min_value=1, max_value=999))
def test_the_attempt_is_read_back(attempt: int) -> None:
    assert attempt_of(ID, attempt_id(ID, attempt)) == attempt


@pytest.mark.parametrize(
    "carried", [None, "", "f" * 32, f"{ID}-", f"{ID}-1", f"{ID}-0", f"{ID}-x", f"{ID}2", ID[:-1]]
)
def test_other_ids_are_no_attempt(carried: str | None) -> None:
    assert attempt_of(ID, carried) == 0
