"""Names that are easily taken for another one: how somebody else's package gets in under a trusted name.

Source: CodeArtifact User Guide, "Package group definition syntax and matching behavior" (weak matches: case,
separators and confusable characters); one edit is the usual measure of a slip of the keyboard (Damerau 1964).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from glue_pkgmgr.core.names import ProjectName

# Letters of other scripts (Greek, Cyrillic and a few more) and the Latin one each looks like, case folded.
_OTHER_SCRIPTS = {
    0x0131: "i",
    0x03B1: "a",
    0x03B2: "b",
    0x03B5: "e",
    0x03B7: "n",
    0x03B9: "i",
    0x03BA: "k",
    0x03BD: "v",
    0x03BF: "o",
    0x03C1: "p",
    0x03C4: "t",
    0x03C5: "u",
    0x03C7: "x",
    0x03C9: "w",
    0x03F2: "c",
    0x0430: "a",
    0x0432: "b",
    0x0433: "r",
    0x0435: "e",
    0x0438: "u",
    0x043A: "k",
    0x043C: "m",
    0x043D: "h",
    0x043E: "o",
    0x043F: "n",
    0x0440: "p",
    0x0441: "c",
    0x0442: "t",
    0x0443: "y",
    0x0445: "x",
    0x0455: "s",
    0x0456: "i",
    0x0458: "j",
    0x04BB: "h",
    0x04CF: "l",
    0x0501: "d",
}
# What looks alike within ASCII: digits and letters, and pairs that run together.
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_SINGLE = str.maketrans("0135l", "oiesi")


def skeleton(name: str) -> str:
    """Return what `name` looks like: two names with one skeleton are easily taken for each other.

    Case, separators, accents and letters of other scripts do not count, nor does 0 for o, 1 or l for i, rn for m.
    """
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_OTHER_SCRIPTS)
    letters = "".join(one for one in plain if one.isalnum())
    for pair, single in _PAIRS:
        letters = letters.replace(pair, single)
    return letters.translate(_SINGLE)


def lookalike(name: str, trusted: Iterable[ProjectName]) -> ProjectName | None:
    """Return the first of `trusted`, by the alphabet, that `name` is easily taken for; None if there is none.

    A name that is itself trusted is nobody's look-alike. Both the same skeleton and one edit (a letter more, less,
    another one, or two exchanged) count.
    """
    known = sorted(trusted)
    if name in known:
        return None
    looks = skeleton(name)
    plain = _letters(name)
    return next((one for one in known if skeleton(one) == looks or _one_edit(plain, _letters(one))), None)


def _letters(name: str) -> str:
    return "".join(one for one in name.casefold() if one.isalnum())


def _one_edit(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or exchange of neighbours turns one text into the other."""
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    start = next((n for n, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    rest, more = shorter[start:], longer[start:]
    if len(shorter) != len(longer):
        return rest == more[1:]
    return rest[1:] == more[1:] or (rest[:2] == more[1::-1] and rest[2:] == more[2:])
