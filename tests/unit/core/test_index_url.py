from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl, redact, token_lifetime
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
