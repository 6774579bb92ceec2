from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression

from glue_pkgmgr.core import licence as module
from glue_pkgmgr.core.licence import LicenceRule, canonical_licence, licence_of, parse_licence_rule
from glue_pkgmgr.errors import SettingsError

UNREADABLE = "states no licence that can be read"


def metadata(*lines: str) -> bytes:
    return "\n".join(
        ("Metadata-Version: 2.4", "Name: acme", "Version: 1.0", *lines, "", "License: WTFPL")
    ).encode()


def classified(*names: str) -> tuple[str, ...]:
    return tuple(f"Classifier: License :: {name}" for name in names)


MIT = classified("OSI Approved :: MIT License")
APACHE = classified("OSI Approved :: Apache Software License")
BSD = classified("OSI Approved :: BSD License")


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (("License-Expression: mit or apache-2.0",), "MIT OR Apache-2.0"),
        (("License-Expression: MIT\n  AND (isc OR\n  0BSD)",), "MIT AND (ISC OR 0BSD)"),
        (("License-Expression: LicenseRef-Acme", "License: MIT", *MIT), "LicenseRef-Acme"),
        (("License: MIT",), "MIT"),
        (("License: GPL-3.0+",), "GPL-3.0+"),
        (("License: Apache  License,\n        Version 2.0", *APACHE), "Apache-2.0"),
        (("License: Apache 2.0",), "Apache-2.0"),
        (("License: mit LICENSE", *MIT), "MIT"),
        (("License: BSD 3-Clause License", *BSD), "BSD-3-Clause"),
        (("License: MIT OR Apache-2.0", *MIT, *APACHE), "MIT OR Apache-2.0"),
        (("License: GPL-3.0", *classified("OSI Approved :: GNU General Public License v3 (GPLv3)")), "GPL-3.0"),
        (("License: LicenseRef-Acme", *classified("Other/Proprietary License")), "LicenseRef-Acme"),
        (MIT, "MIT"),
        (("License: UNKNOWN", *MIT), "MIT"),
        (("License:", *MIT), "MIT"),
        ((*MIT, *MIT, *classified("OSI Approved", "DFSG approved")), "MIT"),
        (classified("OSI Approved :: GNU General Public License v3 or later (GPLv3+)"), "GPL-3.0-or-later"),
    ],
)
def test_the_licence_is_what_the_metadata_state(lines: tuple[str, ...], licence: str) -> None:
    assert licence_of(metadata(*lines)) == licence
    assert licence_of(metadata(*lines).replace(b"\n", b"\r\n")) == licence


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Classifier: Programming Language :: Python", "Dynamic: license"),
        ("License: BSD", *BSD),
        ("License: ASL 2", *APACHE),
        ("License: GPLv3",),
        APACHE,
        BSD,
        classified("OSI Approved"),
        classified("OSI Approved :: GNU General Public License v3 (GPLv3)"),
        classified("Other/Proprietary License"),
        classified("Public Domain"),
        classified("No such licence"),
    ],
)
def test_a_licence_that_leaves_its_version_or_variant_open_is_none(lines: tuple[str, ...]) -> None:
    assert licence_of(metadata(*lines)) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("License-Expression: do what you want", "License: MIT", *MIT),
        ("License-Expression:", *MIT),
        ("License-Expression: MIT AND Not-Yet-Known-1.0", *MIT),
    ],
)
def test_an_expression_that_cannot_be_read_hides_nothing_behind_an_older_field(lines: tuple[str, ...]) -> None:
    assert licence_of(metadata(*lines)) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("License: Apache 2.0", *classified("Other/Proprietary License")),
        ("License: MIT", *classified("OSI Approved :: GNU General Public License v3 (GPLv3)")),
        ("License: MIT", *MIT, *classified("OSI Approved :: ISC License (ISCL)")),
        ("License: MIT", *classified("No such licence")),
        ("License: GPL-3.0-only", *classified("OSI Approved :: GNU General Public License v3 or later (GPLv3+)")),
    ],
)
def test_a_text_and_a_classifier_that_contradict_each_other_are_none(lines: tuple[str, ...]) -> None:
    assert licence_of(metadata(*lines)) is None


def test_a_text_may_vary_what_the_classifier_names() -> None:
    assert licence_of(metadata("License: MIT, except the fonts: ask us", *MIT)) is None


def test_of_several_classifiers_nobody_knows_how_they_belong_together() -> None:
    assert licence_of(metadata(*MIT, *classified("OSI Approved :: ISC License (ISCL)"))) is None
    assert licence_of(metadata(*MIT, *APACHE)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\nLicense: MIT\n",
        b"\xef\xbb\xbfLicense: MIT\n",
        b"License: MIT\xff\n",
        b"License: MIT\nLicense: MIT\n",
        b"License-Expression: MIT\nLicense-Expression: ISC\nLicense: MIT\n",
        b"License-Expression: MIT\xe9\nLicense: MIT\n",
        b"Classifier: License :: OSI Approved :: MIT License\nClassifier: \xff\n",
        b"License-Expression: =?utf-8?q?MIT?=\n",
        b"License-Expression: MIT\0\n",
        b"License-Expression: " + b"(" * 31 + b"MIT" + b")" * 31,
        b"License-Expression: " + b" AND ".join([b"MIT"] * 600),
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n--b%d\n" % (n, n) for n in range(2000)),
        b"Content-Type: message/rfc822\n\n" * 2000,
        b"PK\x03\x04" + bytes(range(256)) * 20,
    ],
)
def test_malformed_metadata_state_no_licence(data: bytes) -> None:
    assert licence_of(data) is None


fragments = st.sampled_from(
    [
        b"License",
        b"License-Expression",
        b"Classifier",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\n\n",
        b"MIT",
        b"(",
        b")",
        b" OR ",
    ]
)
noise = st.lists(st.one_of(fragments, st.binary(max_size=4), st.text(max_size=3).map(str.encode)), max_size=40)


@given(st.one_of(st.binary(max_size=300), noise.map(b"".join)))
def test_any_bytes_state_a_canonical_licence_or_none(data: bytes) -> None:
    licence = licence_of(data)
    assert licence is None or canonicalize_license_expression(licence) == licence


def test_every_licence_and_classifier_of_the_tables_exists() -> None:
    known = {*module._CLASSIFIERS.values(), *module._SPELLINGS.values()}
    known |= {f"{licence} WITH {exception}" for licence, exception in module._OLD_EXCEPTIONS.values()}
    assert [one for one in sorted(known) if canonical_licence(one) is None] == []
    assert [one for one in module._OLD_EXCEPTIONS if canonical_licence(one) is None] == []
    begins = {one for some in module._VAGUE_CLASSIFIERS.values() for one in some}
    assert [
        one for one in begins if not any(other.startswith(one) for other in (*ALL, "LicenseRef-Public-Domain"))
    ] == []
    assert all(text == " ".join(text.lower().split()) for text in module._SPELLINGS)


def test_every_classifier_of_the_tables_is_one_of_the_index() -> None:
    names = pytest.importorskip("trove_classifiers").classifiers
    assert {*module._CLASSIFIERS, *module._VAGUE_CLASSIFIERS, *module._SILENT_CLASSIFIERS} <= names


# One id of each family, some deprecated, but no two that are the same licence.
ALL = [
    "MIT",
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0-only",
    "Apache-2.0",
    "Apache-2.0+",
    "Artistic-2.0",
    "BSD-3-Clause",
    "CC0-1.0",
    "GFDL-1.3-only",
    "GPL-2.0-only",
    "GPL-2.0+",
    "GPL-3.0",
    "GPL-3.0-or-later",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "LicenseRef-Acme",
    "Unlicense",
    "ZPL-2.1",
]
EXCEPTIONS = ["Classpath-exception-2.0", "LLVM-exception"]


def rule(allow: str = "", deny: str = "") -> LicenceRule:
    return parse_licence_rule(*([one for one in text.split(", ") if one] for text in (allow, deny)))


@pytest.mark.parametrize(
    ("ruled", "expression", "why"),
    [
        (rule(), None, ""),
        (rule(), "GPL-3.0-only", ""),
        (rule(allow="MIT"), None, UNREADABLE),
        (rule(deny="MIT"), None, UNREADABLE),
        (rule(deny="MIT"), "see LICENSE", UNREADABLE),
        (rule(allow="MIT"), "MIT", ""),
        (rule(allow="mit"), "mIt", ""),
        (rule(allow="MIT"), "ISC", "ISC is not allowed"),
        (rule(deny="GPL-3.0-only"), "GPL-3.0-only", "GPL-3.0-only is denied"),
        (rule(deny="GPL-3.0-only"), "MIT", ""),
        # AND, OR, parentheses
        (rule(allow="MIT, ISC"), "MIT AND ISC", ""),
        (rule(allow="MIT"), "MIT AND ISC AND 0BSD", "ISC is not allowed and 0BSD is not allowed"),
        (rule(allow="MIT"), "ISC OR MIT", ""),
        (rule(allow="MIT"), "ISC OR 0BSD", "ISC is not allowed and 0BSD is not allowed"),
        (rule(allow="MIT"), "MIT OR ISC AND 0BSD", ""),
        (rule(allow="MIT"), "(MIT OR ISC) AND 0BSD", "0BSD is not allowed"),
        (rule(deny="GPL-2.0-only"), "MIT OR GPL-2.0-only", ""),
        (rule(deny="GPL-2.0-only"), "MIT AND GPL-2.0-only", "GPL-2.0-only is denied"),
        (rule(deny="GPL-2.0-only"), "GPL-2.0-only OR (MIT AND GPL-2.0-only)", "GPL-2.0-only is denied"),
        (
            rule(allow="MIT, ISC", deny="0BSD"),
            "MIT AND 0BSD AND ZPL-2.1",
            "0BSD is denied and ZPL-2.1 is not allowed",
        ),
        # exceptions
        (rule(allow="Apache-2.0"), "Apache-2.0 WITH LLVM-exception", ""),
        (rule(allow="Apache-2.0 WITH LLVM-exception"), "Apache-2.0 WITH LLVM-exception", ""),
        (rule(allow="Apache-2.0 WITH LLVM-exception"), "Apache-2.0", "Apache-2.0 is not allowed"),
        (rule(deny="Apache-2.0 WITH LLVM-exception"), "Apache-2.0", ""),
        (
            rule(allow="Apache-2.0", deny="Apache-2.0 WITH LLVM-exception"),
            "Apache-2.0 with llvm-exception",
            "Apache-2.0 WITH LLVM-exception is denied",
        ),
        (rule(deny="Apache-2.0"), "Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception is denied"),
        (rule(allow="Apache-2.0 WITH LLVM-exception", deny="Apache-2.0"), "Apache-2.0 WITH LLVM-exception", ""),
        # ids that stand for themselves, and deprecated ones that do not
        (rule(deny="Apache-2.0"), "Apache-2.0+", ""),
        (rule(allow="Apache-2.0"), "Apache-2.0+", "Apache-2.0+ is not allowed"),
        (rule(deny="GPL-3.0-only"), "GPL-3.0-or-later", ""),
        (rule(deny="GPL-3.0-only"), "GPL-3.0", "GPL-3.0 is denied"),
        (rule(deny="GPL-3.0"), "GPL-3.0-only", "GPL-3.0-only is denied"),
        (rule(deny="LGPL-2.1+"), "LGPL-2.1-or-later", "LGPL-2.1-or-later is denied"),
        (rule(deny="GPL-2.0-or-later"), "GPL-2.0-only+", "GPL-2.0-only+ is denied"),
        (rule(deny="GFDL-1.3"), "GFDL-1.3-only", "GFDL-1.3-only is denied"),
        (rule(deny="GPL-2.0"), "GPL-2.0-with-GCC-exception", "GPL-2.0-with-GCC-exception is denied"),
        (rule(allow="GPL-2.0-only WITH GCC-exception-2.0"), "GPL-2.0-with-GCC-exception", ""),
        (rule(deny="LGPL-2.0-or-later"), "wxWindows", "wxWindows is denied"),
        (rule(allow="LicenseRef-Acme"), "LicenseRef-ACME", ""),
        (rule(deny="LicenseRef-Acme"), "LicenseRef-Acme-2", ""),
    ],
)
def test_a_licence_is_refused_for_what_cannot_be_avoided(
    ruled: LicenceRule, expression: str | None, why: str
) -> None:
    assert ruled.refused(expression) == why


def test_a_rule_without_entries_rules_nothing() -> None:
    assert not LicenceRule()
    assert not parse_licence_rule([], [])
    assert LicenceRule(allow=frozenset({"MIT"}))
    assert LicenceRule(deny=frozenset({"MIT"}))


def test_entries_are_made_canonical() -> None:
    read = parse_licence_rule(["mit", "apache-2.0  with LLVM-EXCEPTION"], ["gpl-3.0-ONLY", "licenseref-Acme"])
    assert read.allow == {"MIT", "Apache-2.0 WITH LLVM-exception"}
    assert read.deny == {"GPL-3.0-only", "LicenseRef-Acme"}


@pytest.mark.parametrize(
    ("allow", "deny", "message"),
    [
        (["Apache 2.0"], [], "allow: 'Apache 2.0' is no SPDX licence id .*; did you mean 'Apache-2.0'?"),
        (["MIT", "BSD-3-Claus"], [], "'BSD-3-Claus' .*; did you mean 'BSD-3-Clause'?"),
        ([], ["GPL-3.0-or-latter"], "deny: 'GPL-3.0-or-latter' .*; did you mean 'GPL-3.0-or-later'?"),
        ([], ["Apache2.0 WITH LLVM-exception"], "; did you mean 'Apache-2.0'?"),
        ([], ["Apache-2.0 with llvm"], "; 'llvm' is no SPDX exception"),
        (
            ["quite another thing"],
            [],
            "'quite another thing' is no SPDX licence id such as 'MIT' or 'Apache-2.0'$",
        ),
        ([""], [], "'' is no SPDX licence id"),
        (["MIT\u212a"], [], "is no SPDX licence id"),
        (["LicenseRef-\u212a"], [], "is no SPDX licence id"),
        (["x" * 10_000], [], "allow: 'x{60}' is no SPDX"),
        (["MIT OR ISC"], [], "allow: 'MIT OR ISC' is an expression: list its licences one by one"),
        (["(MIT)"], [], "is an expression"),
        (["mit"], ["MIT"], "'MIT' is both in allow and in deny"),
        (["GPL-3.0"], ["GPL-3.0-only"], "'GPL-3.0' is both in allow and in deny"),
        (["LicenseRef-A"], ["licenseref-a"], "is both in allow and in deny"),
    ],
)
def test_an_entry_that_is_no_licence_or_in_both_lists_is_an_error(
    allow: list[str], deny: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_licence_rule(allow, deny)


Tree = str | tuple[str, list["Tree"]]
terms = st.builds(
    lambda licence, exception: f"{licence} WITH {exception}" if exception else licence,
    st.sampled_from(ALL),
    st.sampled_from(["", "", *EXCEPTIONS]),
)
trees: st.SearchStrategy[Tree] = st.recursive(
    terms,
    lambda deeper: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(deeper, min_size=2, max_size=3)),
    max_leaves=6,
)


def text_of(tree: Tree, inside: str = "OR") -> str:
    """The expression with no more parentheses than it needs."""
    if isinstance(tree, str):
        return tree
    word, sides = tree
    text = f" {word} ".join(text_of(side, word) for side in sides)
    return f"({text})" if word == "OR" and inside == "AND" else text


def leaves(tree: Tree) -> list[str]:
    return [tree] if isinstance(tree, str) else [leaf for side in tree[1] for leaf in leaves(side)]


def holds(tree: Tree, chosen: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in chosen
    return (all if tree[0] == "AND" else any)(holds(side, chosen) for side in tree[1])


def usable(term: str, allow: set[str], deny: set[str]) -> bool:
    """The rule for one licence, said without the module; the ids here have no deprecated twin among them."""
    plain = term.partition(" WITH ")[0]
    denied = term in deny or (plain in deny and term not in allow)
    return not denied and (not allow or term in allow or plain in allow)


@given(trees, st.sets(terms, max_size=6), st.sets(terms, max_size=4))
def test_refused_agrees_with_every_way_to_choose_licences(tree: Tree, allow: set[str], deny: set[str]) -> None:
    deny -= allow
    if not (allow or deny):
        deny = {"MIT"}
    named = sorted(set(leaves(tree)))
    choices = (
        {one for one, chosen in zip(named, row, strict=True) if chosen}
        for row in product((0, 1), repeat=len(named))
    )
    possible = any(holds(tree, some) for some in choices if all(usable(one, allow, deny) for one in some))
    why = LicenceRule(allow=frozenset(allow), deny=frozenset(deny)).refused(text_of(tree))
    assert (why == "") == possible
    if why:
        said = {phrase.removesuffix(" is denied").removesuffix(" is not allowed") for phrase in why.split(" and ")}
        assert said == {one for one in named if one in said and not usable(one, allow, deny)}


@given(trees, st.randoms(use_true_random=False))
def test_the_canonical_form_is_itself_whatever_the_case_and_blanks(tree: Tree, random: Random) -> None:
    text = text_of(tree)
    spelt = "".join(random.choice([one.lower(), one.upper()]) for one in text).replace(
        " ", random.choice([" ", " \n\t"])
    )
    read = canonical_licence(spelt)
    assert read is not None
    assert canonical_licence(read) == read
    if "LicenseRef" not in text:
        assert read == text


@given(st.one_of(st.text(max_size=60), st.text(alphabet="()+ AaNnDdORMIT", max_size=60)))
def test_any_text_is_a_canonical_licence_or_none(text: str) -> None:
    read = canonical_licence(text)
    assert read is None or canonical_licence(read) == read
    assert LicenceRule(deny=frozenset({"0BSD"})).refused(text) in (
        {UNREADABLE} if read is None else {"", "0BSD is denied"}
    )


def test_long_and_deep_expressions_are_read_up_to_the_bound_and_not_beyond() -> None:
    deep = "(" * 30 + "MIT" + ")" * 30
    assert canonical_licence(deep) == deep
    assert rule(deny="MIT").refused(deep) == "MIT is denied"
    assert canonical_licence(f"({deep})") is None
    assert canonical_licence("(" * 100_000) is None
    long = " OR ".join(["MIT"] * 570)
    assert rule(allow="MIT").refused(long) == ""
    assert canonical_licence(f"{long} OR {long}") is None
