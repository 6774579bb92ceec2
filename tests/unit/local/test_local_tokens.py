from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.local.packages.tokens import TokenBook

START = datetime(2026, 11, 22, 14, 0, 0, 700_000, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tokens.sqlite"


def test_a_token_is_accepted_for_its_domain_until_the_time_it_tells(path: Path, clock: Clock) -> None:
    book = TokenBook(path, clock)
    token = book.issue("team", timedelta(seconds=900))
    assert token.expires_at == datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
    assert book.accepts("team", token.reveal())
    assert not book.accepts("other", token.reveal())
    clock.now = token.expires_at - timedelta(microseconds=1)
    assert book.accepts("team", token.reveal())
    clock.now = token.expires_at
    assert not book.accepts("team", token.reveal())
    book.close()


def test_tokens_are_long_different_and_safe_in_a_url(path: Path, clock: Clock) -> None:
    book = TokenBook(path, clock)
    values = {book.issue("team", timedelta(hours=1)).reveal() for _ in range(20)}
    assert len(values) == 20
    assert all(len(value) == 1024 and value.replace("-", "").replace("_", "").isalnum() for value in values)
    book.close()


@pytest.mark.parametrize("value", ["", "x", "é", "\udcff", "a" * 100_000])
def test_anything_else_is_not_accepted(path: Path, clock: Clock, value: str) -> None:
    book = TokenBook(path, clock)
    book.issue("team", timedelta(hours=1))
    assert not book.accepts("team", value)
    book.close()


def test_a_new_book_on_the_same_file_accepts_the_token_and_the_file_does_not_hold_it(
    path: Path, clock: Clock
) -> None:
    book = TokenBook(path, clock)
    token = book.issue("team", timedelta(hours=1))
    book.close()
    assert all(token.reveal().encode() not in file.read_bytes() for file in path.parent.iterdir())
    again = TokenBook(path, clock)
    assert again.accepts("team", token.reveal())
    again.close()
