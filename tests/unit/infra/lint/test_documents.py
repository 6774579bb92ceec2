"""JSON and YAML are read with their lines, and nothing in them chokes or fools us."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.document import DEEPEST, Items, Table, line_of, path_text
from glue_pkgmgr.infra.lint.json_text import parse_json
from glue_pkgmgr.infra.lint.yaml_text import parse_yaml

_LEAVES = st.none() | st.booleans() | st.text(max_size=20)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_json_says_what_the_library_says(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, indent=1, ensure_ascii=False)) == value


@given(st.text(max_size=60))
def test_any_text_is_json_for_us_when_it_is_for_the_library(text):
    def refuse(word):
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
        known = True
    except ValueError:
        known = False
    try:
        parse_json(text)
    except SettingsError:
        assert not known or text.count('"') > 2  # a key that is there twice
    else:
        assert known


@given(_VALUES)
def test_yaml_says_what_the_library_says(value):
    text = yaml.safe_dump(value)
    loaded = yaml.safe_load(text)
    if loaded == value:  # a few characters do not survive the library itself
        assert parse_yaml(text) == value


@pytest.mark.parametrize("number", ["5.10", "1e5", "-0", "2010"])
def test_numbers_stay_as_they_are_written(number):
    assert parse_json(f"[{number}]") == [number]
    assert parse_yaml(f"[{number}]") == [number]


def test_a_date_stays_text_and_words_have_their_meaning():
    text = "{Version: 2012-10-17, a: true, b: ~, c: 'true', d: No, e: }"
    assert parse_yaml(text) == {"Version": "2012-10-17", "a": True, "b": None, "c": "true", "d": "No", "e": None}


def test_short_forms_are_long_forms():
    text = """
    a: !Ref X
    b: !GetAtt X.Outputs.Y
    c: !Sub ["${a}", {a: !Ref Z}]
    d: !If [Yes, !Join ["", [a, b]], !Ref AWS::NoValue]
    e: !Condition Q
    """
    assert parse_yaml(text) == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["X", "Outputs.Y"]},
        "c": {"Fn::Sub": ["${a}", {"a": {"Ref": "Z"}}]},
        "d": {"Fn::If": ["Yes", {"Fn::Join": ["", ["a", "b"]]}, {"Ref": "AWS::NoValue"}]},
        "e": {"Condition": "Q"},
    }


def test_a_tag_of_python_makes_nothing():
    assert parse_yaml("!!python/object/apply:os.system [true]") == [True]


def test_anchors_and_merges_are_followed():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n? &k key\n: 4\nd: {*k : 5}\n"
    found = parse_yaml(text)
    assert found["b"] == {"x": "1", "y": "3"}
    assert found["c"] == {"x": "1", "y": "2"}
    assert (found["key"], found["d"]) == ("4", {"key": "5"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]", "line 1: the alias 'a' leads back to itself"),
        ("a: 1\nb: *nobody", "line 2: no anchor 'nobody'"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice, first in line 1"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins"),
        ("[a]: 1", "line 1: a key that is no text"),
        ("a: [", "not YAML"),
        ("a: \x01", "not YAML"),
        ("[" * 100_000, f"more than {DEEPEST} levels deep"),
        ("- " * 100_000, f"more than {DEEPEST} levels deep"),
    ],
)
def test_yaml_that_cannot_be_is_told_in_a_sentence(text, told):
    with pytest.raises(SettingsError) as raised:
        parse_yaml(text)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_billion_laughs_are_not_laughed():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(SettingsError, match="more than 500000 values, its aliases followed"):
        parse_yaml("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n "a": 2}', "line 2: the key 'a' is there twice, first in line 1"),
        ('{"a": 1', "line 1: not JSON: a comma or } expected, the end found"),
        ('{"a": NaN}', "not JSON: a value expected, 'N' found"),
        ("[1] 2", "the end of the file expected, '2' found"),
        ('["\n"]', "not JSON: invalid control character"),
        ('["', "unterminated string"),
        ("", "a value expected, the end found"),
        ("[" * 100_000, f"more than {DEEPEST} levels deep"),
        ('{"a":' * 100_000, f"more than {DEEPEST} levels deep"),
    ],
)
def test_json_that_cannot_be_is_told_in_a_sentence(text, told):
    with pytest.raises(SettingsError) as raised:
        parse_json(text)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_json, '{\n"a": [\n1,\n{"b":\n2}]}'),
        (parse_yaml, "\na:\n- 1\n-\n  b: 2\n"),
    ],
)
def test_every_part_has_its_line(read, text):
    document = read(text)
    lines = [
        line_of(document, path) for path in [("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("a", 1, "c"), ("x",)]
    ]
    assert lines == ([2, 3, 4, 4, 4, 1] if read is parse_json else [2, 3, 5, 5, 5, 1])


def test_a_path_is_readable():
    assert path_text(("Resources", "A", "Statement", 0, "--x", "a b")) == "Resources.A.Statement[0].--x['a b']"


def test_a_document_is_made_of_our_tables():
    found = parse_json('{"a": [{}]}')
    assert isinstance(found, Table)
    assert isinstance(found["a"], Items)
