from __future__ import annotations

import threading
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.later_index import IndexOpenedLater
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import RemoteError
from tests.fakes import FakeIndex

ACME = project_name("acme")


def test_nothing_is_opened_before_it_is_asked_for_and_then_once() -> None:
    opened: list[FakeIndex] = []

    def open_index() -> FakeIndex:
        opened.append(FakeIndex({"acme-1.0-py3-none-any.whl": b"x"}))
        return opened[-1]

    index = IndexOpenedLater(open_index)
    assert opened == []
    askers = [threading.Thread(target=index.page, args=(ACME,)) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(20)
    (one,) = opened
    assert one.asked == 8 * [ACME]


def test_whoever_asks_is_told_why_it_cannot_be_opened_and_nobody_tries_again(tmp_path: Path) -> None:
    tried = []

    def open_index() -> FakeIndex:
        tried.append(1)
        raise RemoteError("could not mint a token")

    index = IndexOpenedLater(open_index)
    for _ in range(2):
        with pytest.raises(RemoteError, match="could not mint a token"):
            index.page(ACME)
    with pytest.raises(RemoteError):
        index.download("https://example.com/x", tmp_path / "x", "0" * 64)
    assert tried == [1]
