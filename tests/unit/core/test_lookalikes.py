from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.lookalikes import lookalike, skeleton
from glue_pkgmgr.core.names import project_name

OURS = [project_name(name) for name in ("glueutils", "acme-etl", "warm")]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("glue-utils", "glueutils"),
        ("glue.utils", "glueutils"),
        ("acmeetl", "acme-etl"),
        ("acme-e-tl", "acme-etl"),
        ("glueutil", "glueutils"),
        ("glueutilss", "glueutils"),
        ("gluEutlis", "glueutils"),
        ("glueutilz", "glueutils"),
        ("lgueutils", "glueutils"),
        ("xglueutils", "glueutils"),
        ("g1ueuti1s", "glueutils"),
        ("giueutiis", "glueutils"),
        ("gluevtils", "glueutils"),
        ("warrn", "warm"),
        ("vvarm", "warm"),
        ("w\u0430rm", "warm"),
        ("gl\u00fceut\u0131ls", "glueutils"),
        ("\uff47lueutils", "glueutils"),
    ],
)
def test_a_name_easily_taken_for_ours_is_told(name: str, ours: str) -> None:
    assert lookalike(name, OURS) == ours


@pytest.mark.parametrize("name", ["boto3", "glueutils", "acme-etl", "gluetools", "awswrangler", "warsaw", "glue"])
def test_ours_and_those_that_are_clearly_others_are_no_look_alikes(name: str) -> None:
    assert lookalike(name, OURS) is None


def test_two_of_ours_may_look_alike() -> None:
    both = [project_name("acme-util"), project_name("acme-utils")]
    assert [lookalike(name, both) for name in both] == [None, None]


names = st.from_regex(r"[a-z]([a-z0-9]|-(?=[a-z0-9])){2,10}", fullmatch=True)
letters = "abcdefghijklmnopqrstuvwxyz0123456789"


@given(names, st.data())
def test_every_single_edit_is_found(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from(letters))
    edits = [
        name[:place] + name[place + 1 :],
        name[:place] + letter + name[place:],
        name[:place] + letter + name[place + 1 :],
        name[:place] + name[place : place + 2][::-1] + name[place + 2 :],
        name.upper() + "_",
        name.replace("-", ""),
    ]
    edited = data.draw(st.sampled_from(edits))
    ours = project_name(name)
    assert lookalike(edited, [ours]) == (None if edited == ours else ours)


@given(names, names)
def test_looking_alike_is_mutual(one: str, other: str) -> None:
    first, second = project_name(one), project_name(other)
    assert (lookalike(first, [second]) is None) == (lookalike(second, [first]) is None)


@given(st.text(max_size=30))
def test_any_text_has_a_skeleton_that_stays_itself(text: str) -> None:
    assert skeleton(skeleton(text)) == skeleton(text)
