from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.duration import duration_text, parse_duration
from glue_pkgmgr.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("90", 90), ("2h", 7200), ("1d", 86_400), (" 5m ", 300)],
)
def test_a_span_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "m", "-5m", "5 m", "1.5h", "30m1h", "½h", "1e3", "9" * 30, "forever"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a span of time such as 30m"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**6))
def test_a_span_reads_as_it_is_written(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(duration_text(span)) == span
