from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glue_pkgmgr.core.index_url import MASK
from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES
from glue_pkgmgr.core.secret_arguments import without_secrets, without_users

NAMES = st.text(string.ascii_letters + "_-", min_size=1, max_size=8)
WORDS = (
    "password",
    "PASSWD",
    "pwd",
    "Token",
    "SECRET",
    "api_key",
    "credentials",
    "auth",
    "passphrase",
    "index-url",
)
SECRETS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=60)
TOKENS = st.builds(
    lambda start, rest: f"{start}{rest}",
    st.just("aB3"),
    st.text(string.ascii_letters + string.digits + "-_", min_size=40, max_size=1100),
)


@given(NAMES, st.sampled_from(WORDS), NAMES, SECRETS, st.sampled_from(["", "--"]))
def test_a_value_under_the_name_of_a_secret_is_never_kept(
    before: str, word: str, after: str, secret: str, dashes: str
) -> None:
    name = f"{before}{word}{after}"
    assert without_secrets({f"{dashes}{name}": secret}) == {name: MASK}


@given(NAMES, TOKENS, st.sampled_from(["{}", "Bearer {}", "https://aws:{}@host/simple/", "x={},y", "user:{}"]))
@example("URL", "short", "https://aws:{}@host/simple/")
@example("URL", "p@ss", "jdbc:postgresql://ann:{}@host/db")
@example("OPTIONS", "hunter2", "--index-url https://aws:{}@host/")
@example("CONNECTION", "hunter2", "host=db;Password={};port=1")
@example("CONNECTION", "hunter2", '{{"password": "{}"}}')
@example("LINK", "abc", "https://host/x?X-Amz-Signature={}&y")
@example("ID", "AKIAIOSFODNN7EXAMPLE", "{}")
@example("VALUE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "{}")
@example("VALUE", "eyJ2ZXIiOjEsImlzdSI6", "{}")
@example("VALUE", "MIIE", "-----BEGIN PRIVATE KEY-----\n{}")
def test_a_value_that_looks_like_a_secret_is_never_kept(name: str, secret: str, form: str) -> None:
    assert set(without_secrets({name: form.format(secret)}).values()) == {MASK}


@given(st.text(min_size=1025, max_size=2000))
def test_a_value_too_long_to_be_looked_at_is_not_kept(value: str) -> None:
    assert without_secrets({"NOTE": value}) == {"NOTE": MASK}


@given(st.sampled_from([MODULES, INSTALLER_OPTION, LAUNCH_ID]), st.text(), st.booleans())
def test_arguments_that_install_are_left_out(name: str, value: str, dashes: bool) -> None:
    assert without_secrets({name if dashes else name.removeprefix("--"): value}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_BUCKET", "codeartifactblog-11112-us-east-1"),
        ("GLUE_DATABASE", "codeartifactblog_glue_db"),
        ("INPUT", "s3://codeartifactblog-11112-us-east-1/DataOutput/Year2024/passenger_count"),
        ("PASSENGERS", "4"),
        ("COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("WHEN", "2026-11-22T12:30:15+00:00"),
        ("QUERY", "select count(*) from trips where year = 2024"),
        ("EMPTY", ""),
    ],
)
def test_what_jobs_are_usually_given_is_kept(name: str, value: str) -> None:
    assert without_secrets({f"--{name}": value}) == {name: value}


@given(st.dictionaries(st.text(), st.text()))
def test_names_are_kept_in_order_and_values_are_kept_or_masked(arguments: dict[str, str]) -> None:
    kept = without_secrets(arguments)
    assert list(kept) == sorted(kept)
    assert {name.removeprefix("--") for name in arguments} >= set(kept)
    assert all(value == MASK or value in arguments.values() for value in kept.values())


@given(SECRETS, st.text(), st.text())
def test_users_in_urls_are_not_told(secret: str, before: str, after: str) -> None:
    told = without_users(f"{before} https://aws:{secret}@host/simple/ {after}")
    assert f"{secret}@" not in told
    assert len(told) <= 1024
