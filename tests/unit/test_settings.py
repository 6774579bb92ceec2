from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.settings import Settings, VulnerabilitySettings, load_settings, parse_settings

TEXT = """\
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "us-east-1"
store = "pypi-store"
repository = "approved"

[policy]
allowlist = "allowlist.toml"
minimum-age-days = 14
internal = ["Glue_Utils"]

[bundles.taxi]
modules = ["boto3", "glue-utils==0.2.0"]
glue-version = "5.1"

[jobs.taxi]
name = "taxi-job"
script = "taxi.py"
bundle = "taxi"
staging = "s3://staging/area"
workers = 3
arguments = { S3_BUCKET = "b" }

[publish]
projects = ["libs/one"]
"""
ROOT = Path("/project")


def parse(*change: str) -> Settings:
    text = TEXT.replace(*change) if change else TEXT
    assert not change or text != TEXT
    return parse_settings(tomllib.loads(text), ROOT / "glue-pkgmgr.toml")


def test_a_settings_file_is_read_into_values() -> None:
    settings = parse()
    assert str(settings.codeartifact.approved_repository) == "acme/approved"
    assert str(settings.codeartifact.store_repository) == "acme/pypi-store"
    assert settings.policy.allowlist == ROOT / "allowlist.toml"
    assert settings.policy.locks == ROOT / "locks"
    assert settings.policy.minimum_age == timedelta(days=14)
    assert settings.policy.internal == {"glue-utils"}
    assert settings.projects == (ROOT / "libs/one",)
    assert settings.root == ROOT
    bundle = settings.bundle("taxi")
    assert [str(item) for item in bundle.modules] == ["boto3", "glue-utils==0.2.0"]
    assert bundle.lock_filename == "taxi.glue-5.1.pylock.toml"
    job = settings.job("taxi")
    assert settings.job("taxi-job") is job
    assert (job.bundle, job.workers, job.staging) == (bundle, 3, "s3://staging/area/")
    assert (job.worker_type, job.role, job.timeout, job.concurrent_runs) == (
        "G.1X",
        "taxi-job",
        timedelta(hours=1),
        1,
    )
    assert job.arguments == {"S3_BUCKET": "b"}


def test_what_may_be_left_out_has_its_default() -> None:
    settings = parse_settings(tomllib.loads(TEXT.partition("[policy]")[0]), ROOT / "x.toml")
    assert settings.policy.minimum_age == timedelta(days=7)
    assert (settings.bundles, settings.jobs, settings.projects) == ({}, {}, ())
    assert settings.records == ROOT / ".glue-pkgmgr/records"


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("audit/launches", ROOT / "audit/launches"),
        ("/var/audit", Path("/var/audit")),
        ("s3://audit", "s3://audit/"),
        ("s3://audit/team//", "s3://audit/team/"),
    ],
)
def test_records_are_kept_in_a_folder_or_in_s3(written: str, place: Path | str) -> None:
    assert parse("[publish]", f'[records]\nplace = "{written}"\n[publish]').records == place


@pytest.mark.parametrize(("upstream", "is_open"), [("none", False), ("open", True)])
def test_the_approved_repository_has_the_store_behind_it_only_if_the_settings_say_so(
    upstream: str, is_open: bool
) -> None:
    settings = parse('repository = "approved"', f'repository = "approved"\nupstream = "{upstream}"')
    assert settings.codeartifact.open_upstream is is_open
    assert not parse().codeartifact.open_upstream


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[policy]", "[polcy]", "unknown key 'polcy'; did you mean 'policy'?"),
        ("minimum-age-days", "minimum-age", "policy: unknown key 'minimum-age'; did you mean 'minimum-age-days'?"),
        ("workers", "wrkers", "unknown key 'wrkers'; did you mean 'workers'?"),
        ("domain =", "domian =", "'domain' is missing; is 'domian' meant to be it?"),
        ("[codeartifact]", "[codeartefact]", "'codeartifact' is missing; is 'codeartefact' meant to be it?"),
        ('domain = "acme"\n', "", "codeartifact: 'domain' is missing"),
        ('"acme"', "3", "codeartifact.domain: 3 is not a text"),
        ('"acme"', '" "', "codeartifact.domain is empty"),
        ('"acme"', '"Acme"', "domain 'Acme' is not 2 to 50 lower-case"),
        ('"approved"', '"pypi-store"', "store and repository are both 'pypi-store'; they must differ"),
        ('repository = "approved"', 'repository = "approved"\nupstream = "opne"', "did you mean 'open'"),
        ('repository = "approved"', 'repository = "approved"\nupstream = true', "upstream: True is not a text"),
        ("= 14", "= -1", "minimum-age-days: -1 is below 0"),
        ("= 14", "= true", "minimum-age-days: True is not a whole number"),
        ("= 14", "= 999999999999", "minimum-age-days: 999999999999 is above 3650"),
        ('["Glue_Utils"]', '["a b"]', "'a b' is not a project name"),
        ('["Glue_Utils"]', "[1]", r"internal\[0\]: 1 is not a text"),
        (
            "[bundles.taxi]",
            "sdists = 'biuld'\n[bundles.taxi]",
            "'biuld' is none of refuse, build; did you mean 'build'",
        ),
        ("[bundles.taxi]", "distinct = ['a b']\n[bundles.taxi]", r"policy\.distinct: 'a b' is not a project name"),
        (
            "[bundles.taxi]",
            "[policy.licences]\nalow = []\n[bundles.taxi]",
            "licences: unknown key 'alow'; did you",
        ),
        ("[bundles.taxi]", "[policy.licences]\nallow = ['mitt']\n[bundles.taxi]", r"policy: licences: .*mitt"),
        (
            "[bundles.taxi]",
            "[policy.vulnerabilities]\nservice = 'x'\n[bundles.taxi]",
            "'x' is none of osv, pypi, esms",
        ),
        ("[bundles.taxi]", "[policy.vulnerabilities]\nfile = 'x'\nurl = 'y'\n[bundles.taxi]", "unknown key 'url'"),
        (
            'glue-version = "5.1"',
            'glue-version = "5.1"\nmay-break = ["-"]',
            r"taxi\.may-break: '-' is not a project",
        ),
        ('["Glue_Utils"]', '"x"', "internal: 'x' is not a list"),
        ("[bundles.taxi]", '[bundles."../taxi"]', "a bundle is named with ASCII letters"),
        ("[bundles.taxi]", "[bundles.a.taxi]", "unknown key|is missing"),
        ('"boto3"', '"boto3; extra == 1"', r"bundles: taxi\.modules: .* is not a request item"),
        ('"5.1"', '"5.9"', r"bundles: taxi\.glue-version: unknown Glue version '5.9'"),
        ('"5.1"', "5.1", r"bundles: taxi\.glue-version: 5\.1 is not a text in quotes"),
        (
            'bundle = "taxi"',
            'bundle = "taxy"',
            r"jobs: taxi\.bundle: no bundle 'taxy' in the settings; known: taxi; did you mean 'taxi'\?",
        ),
        ('"s3://staging/area"', '"/tmp"', "staging: '/tmp/' is not an s3:// URL with a bucket"),
        ('"s3://staging/area"', '"s3://"', "is not an s3:// URL with a bucket"),
        ('"s3://staging/area"', '"s3://x/a b"', "is not an s3:// URL with a bucket"),
        ('"s3://staging/area"', '"s3://stag/a,b"', "is not an s3:// URL with a bucket"),
        ("workers = 3", "workers = 1", "workers: 1 is below 2"),
        ("workers = 3", "timeout-minutes = 10081", "timeout-minutes: 10081 is above 10080"),
        ('"b" }', "3 }", "arguments.S3_BUCKET: 3 is not a text; Glue arguments are texts"),
        ("[publish]", "[publish.x]", "unknown key 'x'"),
        (
            "[publish]",
            '[records]\nplace = "http://x/"\n[publish]',
            "records.place: 'http://x/' is neither a folder nor",
        ),
        ("[publish]", '[records]\nplace = "s3://"\n[publish]', "an s3:// URL with a bucket"),
        ("[publish]", '[records]\nplcae = "x"\n[publish]', "records: unknown key 'plcae'; did you mean 'place'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place_and_the_rule(old: str, new: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        parse(old, new)


def test_an_unknown_bundle_or_job_is_told_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no bundle 'tax' in the settings; known: taxi; did you mean 'taxi'"):
        parse().bundle("tax")
    with pytest.raises(SettingsError, match="no job 'x' in the settings; known: taxi, taxi-job"):
        parse().job("x")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "glue-pkgmgr.toml"
    with pytest.raises(
        SettingsError, match=r"no settings file glue-pkgmgr.toml in .*with --config; `glue-pkgmgr init`"
    ):
        load_settings(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(path)
    for text in ("= 3", f"x = {'9' * 5000}", f"x = {'[' * 5000}"):
        path.write_text(text)
        with pytest.raises(SettingsError, match="is not TOML"):
            load_settings(path)
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "glue-pkgmgr.toml"
    path.write_text("[typo]", encoding="utf-8-sig")
    with pytest.raises(SettingsError, match="codeartifact"):
        load_settings(path)


def test_a_file_is_read_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "glue-pkgmgr.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("glue-pkgmgr.toml")).policy.allowlist == tmp_path / "allowlist.toml"


RULES = """
distinct = ["glue-util"]
sdists = "build"
[policy.licences]
allow = ["mit", "Apache-2.0"]
deny = ["GPL-3.0-only"]
[policy.vulnerabilities]
"""


def test_optional_rules_of_the_policy_are_read() -> None:
    settings = parse('internal = ["Glue_Utils"]', f'internal = ["Glue_Utils"]{RULES}file = "advisories.zip"')
    policy = settings.policy
    assert (policy.distinct, policy.build_sdists) == ({"glue-util"}, True)
    assert policy.licences.allow == {"MIT", "Apache-2.0"}
    assert policy.licences.refused("GPL-3.0-only")
    assert policy.vulnerabilities == VulnerabilitySettings(file=ROOT / "advisories.zip")


def test_a_service_is_asked_at_its_usual_address_unless_another_is_written() -> None:
    for text, expected in (
        ('service = "pypi"', VulnerabilitySettings(service="pypi")),
        ('url = "http://127.0.0.1:9/"', VulnerabilitySettings(service="osv", url="http://127.0.0.1:9/")),
    ):
        settings = parse('internal = ["Glue_Utils"]', f'internal = ["Glue_Utils"]{RULES}{text}')
        assert settings.policy.vulnerabilities == expected


def test_without_optional_rules_nothing_more_is_asked() -> None:
    policy = parse().policy
    assert (policy.distinct, policy.build_sdists, policy.vulnerabilities) == (frozenset(), False, None)
    assert not policy.licences


def test_a_bundle_may_do_without_projects_of_the_image() -> None:
    settings = parse('glue-version = "5.1"', 'glue-version = "5.1"\nmay-break = ["Pandas"]')
    assert settings.bundle("taxi").may_break == {"pandas"}
