from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl, redact, token_lifetime, without_credentials
from glue_pkgmgr.errors import SettingsError

SECRET = "eyJ2/+=s3cret"
ENCODED = "eyJ2%2F%2B%3Ds3cret"
EXPIRES = datetime(2026, 11, 22, 12, 15, tzinfo=UTC)
ENDPOINT = "https://127.0.0.1/pypi/approved/"


@pytest.fixture
def token() -> AuthorizationToken:
    return AuthorizationToken(SECRET, EXPIRES)


@pytest.fixture
def url(token: AuthorizationToken) -> IndexUrl:
    return IndexUrl(ENDPOINT, token)


def test_a_token_tells_its_secret_only_when_asked(token: AuthorizationToken) -> None:
    assert token.reveal() == SECRET
    shown = [str(token), repr(token), f"{token}", f"{token!r:>90}", "%s %r" % (token, token), repr([token])]  # noqa: UP031
    assert [text for text in shown if "s3cret" in text] == []
    assert str(token) == "****"


def test_an_index_url_prints_without_its_token(url: IndexUrl) -> None:
    assert str(url) == "https://aws:****@127.0.0.1/pypi/approved/simple/"
    assert "s3cret" not in repr(url) + f"{url}"
    assert url.plain == "https://127.0.0.1/pypi/approved/simple/"
    assert url.reveal() == f"https://aws:{ENCODED}@127.0.0.1/pypi/approved/simple/"


def test_an_endpoint_without_a_slash_at_its_end_is_the_same(url: IndexUrl, token: AuthorizationToken) -> None:
    assert IndexUrl(ENDPOINT.rstrip("/"), token).reveal() == url.reveal()


@pytest.mark.parametrize("way", [pickle.dumps, copy.deepcopy, asdict, json.dumps])
def test_neither_can_be_stored_or_turned_into_data(
    way: Callable[[object], object], token: AuthorizationToken, url: IndexUrl
) -> None:
    for value in (token, url):
        with pytest.raises(TypeError) as caught:
            way(value)
        assert "s3cret" not in str(caught.value)


def test_an_exception_and_a_log_line_that_hold_them_are_harmless(
    url: IndexUrl, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError(url, url.token)
    except ValueError as e:
        logging.getLogger("test").exception("failed with %s", url)
        text = "".join(traceback.TracebackException.from_exception(e, capture_locals=True).format())
    assert "s3cret" not in text + caplog.text
    assert "failed with https://aws:****@" in caplog.text


def test_a_token_is_not_changed(token: AuthorizationToken) -> None:
    with pytest.raises(AttributeError):
        token.expires_at = EXPIRES + timedelta(days=1)  # type: ignore[misc]


def test_a_token_ends_at_its_time(token: AuthorizationToken) -> None:
    assert not token.expired(EXPIRES - timedelta(microseconds=1))
    assert token.expired(EXPIRES)


def test_text_is_redacted_of_plain_and_encoded_tokens(token: AuthorizationToken) -> None:
    header = base64.b64encode(f"aws:{SECRET}".encode()).decode()
    text = f"pip {SECRET} and {ENCODED} and {SECRET}, Authorization: Basic {header}"
    assert redact(text, [token]) == "pip **** and **** and ****, Authorization: Basic ****"
    assert redact(text, []) == text
    assert redact(text, [AuthorizationToken("", EXPIRES)]) == text


@pytest.mark.parametrize("seconds", [0, 900, 901, 43_200])
def test_lifetimes_that_codeartifact_grants(seconds: int) -> None:
    assert token_lifetime(seconds) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-1, 1, 899, 43_201])
def test_other_lifetimes_are_refused_with_the_rule(seconds: int) -> None:
    with pytest.raises(SettingsError, match=f"{seconds} s: CodeArtifact grants 900 to 43200 s"):
        token_lifetime(seconds)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Looking in https://aws:SECRET@host/simple/", "Looking in https://aws:****@host/simple/"),
        ("https:://aws:SECRET@host", "https:://aws:****@host"),
        ("pkg @ http://u:SE/CRET@h/x", "pkg @ http://u:****@h/x"),
        ("-i=https://a:X@h,https://b:Y@h", "-i=https://a:****@h,https://b:****@h"),
        ("s3://bucket/key and 1:2@3", "s3://bucket/key and 1:2@3"),
        ("//user:@host, //user@host, @", "//user:@host, //user@host, @"),
        (f"token eyJ2ZXIi{'x' * 1000}.a-_b== end", "token **** end"),
        ('{"a": "eyJ2ZXIiOjF9"}', '{"a": "eyJ2ZXIiOjF9"}'),
    ],
)
def test_credentials_in_the_text_of_others_are_masked(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


@given(st.text(), st.text(alphabet="abcXYZ019-_%.", min_size=1), st.text())
def test_the_password_of_a_url_is_never_in_masked_text(before: str, secret: str, after: str) -> None:
    unlike = f"<{secret}>"
    assert unlike not in without_credentials(f"{before} https://aws:{unlike}@host/{after}")


@pytest.mark.parametrize("piece", ["//a:", "@", "//", ":", "//a:b@", "eyJ", "x"])
def test_masking_a_huge_line_takes_no_time(piece: str) -> None:
    began = time.process_time()
    without_credentials(piece * (1_000_000 // len(piece)) + "@")
    assert time.process_time() - began < 2
