"""Intrinsic functions become the texts that they may be, for any arguments, and never without end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.infra.lint.intrinsics import Scope, placeholders
from glue_pkgmgr.infra.lint.json_text import parse_json

_NAMES = ("Sub", "Join", "Select", "Split", "If", "GetAtt", "FindInMap", "Base64", "ImportValue")
_FUNCTIONS = ["Ref", *(f"Fn::{name}" for name in _NAMES)]
_WORDS = st.text(st.characters(blacklist_characters="${}", blacklist_categories=("Cs",)), max_size=10)
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=12)
    | st.sampled_from(["AWS::NoValue", "Known", "${Known}", "0", "1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        | st.tuples(st.sampled_from(_FUNCTIONS), inner).map(lambda pair: dict([pair]))
    ),
    max_leaves=25,
)
_SCOPE = Scope(
    parameters=parse_json('{"Known": {"Default": "5.1"}, "List": {"Default": "a,b"}, "Hidden": {"NoEcho": true}}'),
    mappings=parse_json('{"M": {"us": {"v": "1"}, "eu": {"v": "2"}}}'),
)


def texts(value):
    return _SCOPE.texts(parse_json(json.dumps(value)))


@given(_ANYTHING)
def test_anything_is_a_few_texts(value):
    found = texts(value)
    assert len(found) <= 16
    assert len(set(found)) == len(found)
    assert all(isinstance(one, str) for one in found)


@given(_ANYTHING)
def test_the_other_ways_to_look_at_anything_end_too(value):
    document = parse_json(json.dumps(value))
    assert sum(1 for _ in _SCOPE.alternatives(document)) >= 0
    assert all(isinstance(name, str) for name, _ in _SCOPE.members(document))
    assert all(len(position) <= 1 for position, _ in _SCOPE.each(document))


@given(_WORDS)
def test_a_text_is_itself(text):
    assert texts(text) == (text,)
    assert texts({"Fn::Sub": text}) == (text,)
    assert texts({"Fn::Base64": text}) == (text,)


@given(_WORDS, st.lists(_WORDS, max_size=5))
def test_join_joins(delimiter, parts):
    assert texts({"Fn::Join": [delimiter, parts]}) == (delimiter.join(parts),)


@given(st.lists(_WORDS.filter(lambda word: "|" not in word), min_size=1, max_size=5), st.data())
def test_select_takes_from_what_split_makes(parts, data):
    at = data.draw(st.integers(0, len(parts) - 1))
    assert texts({"Fn::Select": [at, {"Fn::Split": ["|", "|".join(parts)]}]}) == (parts[at],)
    assert texts({"Fn::Select": [str(at), parts]}) == (parts[at],)


@given(st.dictionaries(st.from_regex(r"[A-Za-z]{1,5}", fullmatch=True), _WORDS, min_size=1, max_size=4))
def test_sub_puts_in_what_it_is_given(names):
    pattern = "/".join(f"${{{name}}}" for name in names)
    assert texts({"Fn::Sub": [pattern, names]}) == ("/".join(names.values()),)


@given(_ANYTHING, _ANYTHING)
def test_a_condition_is_both(one, other):
    both = texts({"Fn::If": ["C", one, other]})
    assert set(both) <= {*texts(one), *texts(other)}
    assert len(both) == min(16, len({*texts(one), *texts(other)}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Known"}, ("5.1",)),
        ({"Ref": "Hidden"}, ("${Hidden}",)),
        ({"Ref": "Bucket"}, ("${Bucket}",)),
        ({"Ref": "AWS::NoValue"}, ()),
        ({"Fn::GetAtt": ["Role", "Arn"]}, ("${Role.Arn}",)),
        ({"Fn::GetAtt": "Role.Arn"}, ("${Role.Arn}",)),
        ({"Fn::Sub": "a${AWS::Region}b${!c}${Known}"}, ("a${AWS::Region}b${c}5.1",)),
        ({"Fn::Join": ["-", {"Ref": "List"}]}, ("a-b",)),
        ({"Fn::Join": ["-", [{"Ref": "AWS::NoValue"}, "a", {"x": "y"}]]}, ("a-${?}",)),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "v"]}, ("1", "2")),
        ({"Fn::FindInMap": ["M", "eu", "v"]}, ("2",)),
        ({"Fn::Select": [9, ["a"]]}, ("${?}",)),
        ({"Fn::Select": ["9" * 5000, ["a"]]}, ("${?}",)),
        ({"Fn::ImportValue": "other"}, ("${import other}",)),
        ({"Fn::Transform": {"Name": "x"}}, ("${?}",)),
        ({"a": "b"}, ()),
        (True, ("true",)),
    ],
)
def test_what_each_function_becomes(value, expected):
    assert texts(value) == expected


def test_conditions_within_conditions_stay_few():
    value = "x"
    for n in range(60):
        value = {"Fn::If": ["C", value, {"Fn::Sub": [f"${{a}}{n}", {"a": value}]}]} if n < 12 else value
    assert len(texts(value)) == 16


def test_what_is_substituted_again_and_again_stays_short():
    text = "x" * 1000
    value = text
    for _ in range(8):
        value = {"Fn::Sub": ["${a}" * 10, {"a": value}]}
    assert len(texts(value)[0]) <= 1_000_000


def test_the_names_in_a_text():
    assert placeholders("a${B}c${D.Arn}${") == ["B", "D"]
