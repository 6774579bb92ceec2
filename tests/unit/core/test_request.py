from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.request import RequestItem, parse_item, parse_items, parse_request
from glue_pkgmgr.errors import SettingsError

# A normal name, normal extras, comparisons with what can only be versions.
SHOWN = (
    r"[a-z0-9]+(-[a-z0-9]+)*(\[[a-z0-9]+(-[a-z0-9]+)*(,[a-z0-9]+(-[a-z0-9]+)*)*\])?"
    r"((^|,)?(===|[=!~<>]=|[<>])[A-Za-z0-9.!+_*-]+)*"
)
NAME_CHARACTERS = string.ascii_letters + string.digits + "-_."
names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)
versions = st.from_regex(
    r"([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?", fullmatch=True
)
operators = st.sampled_from(["==", ">=", "<=", "!=", ">", "<", "==="])
specifiers = st.lists(st.builds(lambda o, v: o + v, operators, versions), max_size=3).map(",".join)
extras = st.lists(names, max_size=3).map(lambda found: f"[{','.join(found)}]" if found else "")
items = st.builds(lambda n, e, s: f"{n}{e}{s}", names, extras, specifiers)


@given(items)
def test_an_item_is_equal_to_what_its_own_text_says(text: str) -> None:
    item = parse_item(text)
    assert parse_item(str(item)) == item
    assert str(parse_item(str(item))) == str(item)


@given(st.lists(items, min_size=1, max_size=5))
def test_a_request_is_equal_to_what_its_own_text_says(texts: list[str]) -> None:
    if len({parse_item(text).project for text in texts}) < len(texts):
        with pytest.raises(SettingsError, match="requested twice"):
            parse_items(texts)
        return
    request = parse_items(texts)
    assert parse_request(",".join(texts)) == request
    assert parse_request(" , ".join(map(str, request))) == request


@given(st.text(max_size=40))
def test_any_text_is_refused_or_is_nothing_but_names_extras_and_versions(text: str) -> None:
    assert_harmless(text)


@given(
    items,
    st.text(
        alphabet=st.sampled_from(" -\t/:@;#\\'\"()[]{}<>=!~+*,.$&|%\n\r\0é\u0660\uff42boto3http"), max_size=12
    ),
)
def test_nothing_gets_through_behind_a_good_item(item: str, tail: str) -> None:
    assert_harmless(item + tail)


# What an installer would take for something else than a release, or a shell for more than a word.
SMUGGLED = st.sampled_from(
    [
        *("-e .", "-r x.txt", "--index-url=http://127.0.0.1/", "--extra-index-url", "--pre", "--hash=sha256:00"),
        *(
            "http://127.0.0.1/a.whl",
            "git+ssh://h/a",
            "file:///a.whl",
            "s3://b/a.whl",
            "//h/a",
            "./a",
            "../a",
            "/a",
        ),
        *(" @ ", "@", "#egg=a", "#sha256=00", "; python_version > '3'", "; extra == 'x'", ";", "\\", "\\\n"),
        *("\n", "\r", "\r\n", "\t", "\0", "\x1b[0m", "\u2028", "\u200b", "\ufeff", "\uff1d", "\u0430", "\u0660"),
        *("$(a)", "${A}", "`a`", "|", "&", "%41", "'", '"', "(", ")", "{", "}", "<", ">", "!", "*", "~", "^"),
    ]
)


@given(st.lists(st.one_of(items, SMUGGLED, st.sampled_from([",", " ", "[", "]", "=="])), min_size=1, max_size=6))
def test_nothing_is_smuggled_in_anywhere(pieces: list[str]) -> None:
    assert_harmless("".join(pieces))


@given(items, SMUGGLED, st.integers(0, 40))
def test_nothing_is_smuggled_into_a_good_item(item: str, smuggled: str, position: int) -> None:
    assert_harmless(item[:position] + smuggled + item[position:])


def assert_harmless(text: str) -> None:
    """Whatever is accepted is, as it goes on from here, releases by name and nothing an installer may misread."""
    try:
        request = parse_request(text)
    except SettingsError:
        return
    for item in request:
        shown = str(item)
        assert shown.isascii()
        assert shown.isprintable()
        assert not set(shown) & set(" ;@/\\:#'\"(){}$&|%`^?"), shown
        assert "--" not in shown
        assert shown[0].isalnum()
        assert re.fullmatch(SHOWN, shown), shown
        assert all(character in NAME_CHARACTERS for character in item.project)
        assert parse_item(shown) == item
        requirement = Requirement(shown)
        assert requirement.url is None
        assert requirement.marker is None
    assert parse_request(",".join(map(str, request))) == request


@pytest.mark.parametrize("text", ["boto3=1.40.61", "boto3>=1,=2", "pkg[extra]=1"])
def test_a_single_equals_sign_is_explained(text: str) -> None:
    with pytest.raises(SettingsError, match=r"two equals signs, such as 'pkg==1\.2'"):
        parse_item(text)


@pytest.mark.parametrize(
    "text",
    [
        "-e .",
        "-r requirements.txt",
        "--index-url=http://127.0.0.1/",
        "boto3 --index-url http://127.0.0.1/",
        "boto3==1.0 --hash=sha256:00",
        "boto3==1.0 --no-deps",
        "http://127.0.0.1/boto3-1.0-py3-none-any.whl",
        "boto3 @ http://127.0.0.1/boto3-1.0-py3-none-any.whl",
        "boto3@file:///boto3.whl",
        "git+ssh://127.0.0.1/boto3",
        "s3://bucket/boto3-1.0-py3-none-any.whl",
        "./boto3",
        "/boto3",
        "boto3-1.0-py3-none-any.whl;",
        "boto3; python_version > '3'",
        "boto3==1.0; extra == 'x'",
        "boto3==1.0 ;",
        "boto3 # comment",
        "boto3==1.0#egg=x",
        "boto3===http://127.0.0.1/x",
        "boto3===1.0--index-url=http",
        "boto3==1.0\n--index-url http://127.0.0.1/",
        "boto3\r-e .",
        "boto3\x00",
        "boto3\t",
        "b\u043eto3",  # a Cyrillic letter
        "boto3==1.\u0660",
        "boto3\u200b",
        "boto3\uff1d\uff1d1.0",  # full-width equals signs
        "boto3==",
        "boto3>>1",
        "boto3 1.0",
        "boto3[extra",
        "boto3]",
        "boto3[a;b]",
        "(boto3)",
        "$(boto3)",
        "boto3==1.*.2",
        "boto3>=1.*",
        "_boto3",
        "boto3-",
        ".",
        "a" * 300,
        "a" * 20_000,
    ],
)
def test_whatever_is_no_name_with_versions_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_request(text)
    with pytest.raises(SettingsError):
        parse_items([text])
    with pytest.raises(SettingsError):
        parse_item(text)


@pytest.mark.parametrize("text", ["", "  ", ",", "boto3,", ",boto3", "boto3,,pandas"])
def test_an_empty_item_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="empty"):
        parse_request(text)


def test_a_refusal_of_an_odd_character_names_it_by_its_number() -> None:
    with pytest.raises(SettingsError, match=r"U\+0660"):
        parse_item("boto3==1.\u0660")


def test_a_long_text_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_request("boto3 " * 1000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boto3,glueutils==0.2.0", ["boto3", "glueutils==0.2.0"]),
        (" boto3 , glueutils == 0.2.0 ", ["boto3", "glueutils==0.2.0"]),
        ("pyyaml>=6.0,<7.0,boto3", ["pyyaml<7.0,>=6.0", "boto3"]),
        ("pyyaml>=6.0 , !=6.1,boto3", ["pyyaml!=6.1,>=6.0", "boto3"]),
        ("pkg[a,b]>=1,<2,other", ["pkg[a,b]<2,>=1", "other"]),
        ("Pkg[B_b, a.A,b-B]", ["pkg[a-a,b-b]"]),
        ("Foo_Bar.baz", ["foo-bar-baz"]),
        ("pkg==1!2.0+local.1", ["pkg==1!2.0+local.1"]),
        ("pkg==1.*", ["pkg==1.*"]),
        ("pkg~=1.4.2", ["pkg~=1.4.2"]),
        ("pkg===1.0", ["pkg===1.0"]),
    ],
)
def test_items_are_split_and_normalised(text: str, expected: list[str]) -> None:
    assert [str(item) for item in parse_request(text)] == expected


def test_one_project_may_not_be_requested_twice_under_two_spellings() -> None:
    with pytest.raises(SettingsError, match="foo-bar is requested twice"):
        parse_request("foo_bar,Foo.Bar==1")


def test_a_bundle_without_modules_is_an_empty_request() -> None:
    assert parse_items([]) == ()


def test_items_are_values() -> None:
    assert parse_item("a[x]==1.0") == parse_item("A[X] == 1.0")
    assert isinstance(hash(parse_item("a==1.0")), int)
    assert parse_item("a==1.0") != RequestItem(parse_item("a").project, parse_item("a").specifier)


@pytest.mark.parametrize(
    "text",
    ["gl\u0443eutils", "boto3,glu\u0435utils==0.2.0", "glueuti\u217cs[a]>=1", "\uff47lueutils"],
)
def test_a_name_in_other_letters_that_looks_like_ours_is_refused_with_the_suggestion(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"only printable ASCII characters are accepted; did you mean glueutils\?"
    ):
        parse_request(text, [project_name("glueutils")])


def test_other_letters_that_look_like_nothing_of_ours_are_refused_without_a_suggestion() -> None:
    with pytest.raises(SettingsError, match=r"are accepted$"):
        parse_request("b\u00f6to3", [project_name("glueutils")])
