"""The README, and the fenced blocks in it that tests run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.e2e.command import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(?P<info>\w+(?: [\w-]+)*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(info: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of the fenced blocks with this info string."""
    for match in _BLOCK.finditer(README):
        if match["info"] == info:
            yield README.count("\n", 0, match.start("text")) + 1, match["text"]


def block(info: str, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the text of the one block with this info string, with the words changed that `instead` names."""
    ((_, text),) = blocks(info)
    for old, new in instead.items():
        assert old in text, f"{old!r} is not in the block {info!r} of the README"
        text = text.replace(old, new)
    return text
