from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.release_checks import Level, ReleaseRules, errors_of, release_findings
from glue_pkgmgr.core.release_contents import FileContents, Kind, Member, inspected, secrets_in

METADATA = b"""Metadata-Version: 2.4
Name: acme-etl
Version: 1.0
Summary: A demonstration
License-Expression: MIT
License-File: LICENSE
Requires-Python: >=3.7
Description-Content-Type: text/markdown

# acme-etl
"""
WHEEL = "acme_etl-1.0-py3-none-any.whl"
SDIST = "acme_etl-1.0.tar.gz"
INFO = "acme_etl-1.0.dist-info"
WHEEL_FILES = (
    "acme_etl/__init__.py",
    "acme_etl/py.typed",
    f"{INFO}/METADATA",
    f"{INFO}/RECORD",
    f"{INFO}/licenses/LICENSE",
)
SDIST_FILES = ("PKG-INFO", "pyproject.toml", "LICENSE", "README.md", ".gitignore", "src/acme_etl/__init__.py")


def wheel(
    *more: str | Member, metadata: bytes | None = METADATA, name: str = WHEEL, **kwargs: str
) -> FileContents:
    return contents(name, [*WHEEL_FILES, *more], metadata, **kwargs)


def sdist(*more: str | Member, metadata: bytes | None = METADATA, name: str = SDIST) -> FileContents:
    own = [f"acme_etl-1.0/{path}" for path in SDIST_FILES]
    return contents(
        name, [*own, *(f"acme_etl-1.0/{one}" if isinstance(one, str) else one for one in more)], metadata
    )


def contents(
    name: str, members: Iterable[str | Member], metadata: bytes | None, damage: str = "", rendering: str = ""
) -> FileContents:
    return FileContents(
        distribution=parse_filename(name),
        members=tuple(inspected(one, Kind.FILE, None) if isinstance(one, str) else one for one in members),
        metadata=metadata,
        damage=damage,
        rendering=rendering,
    )


def errors(*files: FileContents, rules: ReleaseRules | None = None) -> set[str]:
    return {one.rule for one in errors_of(release_findings(files, rules or ReleaseRules()))}


def told(*files: FileContents, rules: ReleaseRules | None = None) -> str:
    return "\n".join(map(str, release_findings(files, rules or ReleaseRules())))


def test_nothing_is_found_in_a_release_as_it_should_be() -> None:
    rules = ReleaseRules(internal=frozenset({project_name("acme-etl")}))
    assert release_findings([sdist(), wheel()], rules) == ()


def test_everything_is_told_at_once_errors_first_and_once_for_all_files() -> None:
    metadata = METADATA.replace(b"Requires-Python: >=3.7", b"Requires-Python: >=3.99")
    found = release_findings(
        [sdist(".env", metadata=metadata), wheel("tests/test_a.py", metadata=metadata)], RULES
    )
    assert {"secret", "requires-python", "tests"} <= {one.rule for one in found}
    assert [one.level for one in found] == sorted((one.level for one in found), key=list(Level).index)
    [python] = [one for one in found if one.rule == "requires-python"]
    assert python.files == (SDIST, WHEEL)


RULES = ReleaseRules()


@pytest.mark.parametrize(
    ("version", "kind"),
    [("1.0.dev3", "development"), ("1.0+build.7", "local"), ("1.0.dev1+x", "development and local")],
)
def test_development_and_local_versions_pass_only_if_asked(version: str, kind: str) -> None:
    name = f"acme_etl-{version}-py3-none-any.whl"
    metadata = METADATA.replace(b"Version: 1.0\n", f"Version: {version}\n".encode())
    made = contents(name, [path.replace("1.0", version) for path in WHEEL_FILES], metadata)
    assert errors(made) == {"version"}
    assert f"is a {kind} version" in told(made)
    assert errors(made, rules=ReleaseRules(allow_dev=True)) == set()


@pytest.mark.parametrize("marker", [b"", b' ; extra == "dev"'])
def test_a_requirement_that_is_an_address_is_an_error_and_the_address_is_not_told(marker: bytes) -> None:
    line = b"Requires-Dist: base @ https://user:hidden@example.com/base-1.0-py3-none-any.whl" + marker
    metadata = METADATA.replace(b"Summary:", line + b"\nRequires-Dist: boto3>=1\nSummary:")
    assert errors(wheel(metadata=metadata)) == {"requirement"}
    assert "no lock pins: base;" in told(wheel(metadata=metadata))
    assert "hidden" not in told(wheel(metadata=metadata))


def test_a_pre_release_is_a_version_like_others() -> None:
    name = "acme_etl-1.0rc1-py3-none-any.whl"
    metadata = METADATA.replace(b"Version: 1.0\n", b"Version: 1.0rc1\n")
    assert errors(contents(name, [path.replace("1.0", "1.0rc1") for path in WHEEL_FILES], metadata)) == set()


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (b"Name: acme-etl", b"Name: other", "name"),
        (b"Version: 1.0\n", b"Version: 1.1\n", "version"),
        (b"Version: 1.0\n", b"Version: one\n", "version"),
        (b"Name: acme-etl\n", b"", "metadata"),
        (b"Summary: A demonstration", b"Summary: \xff\xfe", "metadata"),
        (b"Summary: A demonstration", b"Summary: A\nSummary: B", "metadata"),
        (b"Requires-Python: >=3.7", b"Requires-Python: newest", "metadata"),
        (b"License-Expression: MIT", b"License-Expression: whatever I like", "metadata"),
        (b"License-File: LICENSE", b"License-File: LICENCE-2", "licence"),
        (b"Requires-Python: >=3.7", b"Requires-Python: <3.7", "requires-python"),
        (b"Requires-Python: >=3.7", b"Requires-Python: >=3.12,<3.13", "requires-python"),
    ],
)
def test_metadata_that_are_wrong_are_an_error(before: bytes, after: bytes, rule: str) -> None:
    assert rule in errors(wheel(metadata=METADATA.replace(before, after)))
    assert rule in errors(sdist(metadata=METADATA.replace(before, after)))


def test_a_name_that_is_not_normalised_is_told() -> None:
    metadata = METADATA.replace(b"acme-etl", b"Acme.ETL", 1)
    [found] = release_findings([wheel(metadata=metadata)], RULES)
    assert (found.rule, found.level) == ("name", Level.WARNING)
    assert "'acme-etl'" in found.told
    assert errors(contents("Acme.ETL-1.0.tar.gz", [], METADATA)) >= {"name"}


def test_a_project_that_is_not_internal_is_told_but_may_be_built() -> None:
    [found] = release_findings([wheel()], ReleaseRules(internal=frozenset({project_name("other")})))
    assert (found.rule, found.level) == ("internal", Level.WARNING)


def test_glue_versions_that_are_shut_out_are_named() -> None:
    metadata = METADATA.replace(b">=3.7", b">=3.11")
    [found] = release_findings([wheel(metadata=metadata)], RULES)
    assert found.level is Level.NOTE
    assert "3.0 (Python 3.7), 4.0 (Python 3.10)" in found.told
    assert "5.1" not in found.told


@pytest.mark.parametrize(
    "tag", ["cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win_amd64", "cp312-cp312-manylinux_2_17_x86_64"]
)
def test_a_wheel_that_no_glue_version_takes_is_an_error(tag: str) -> None:
    assert errors(wheel(name=f"acme_etl-1.0-{tag}.whl")) == {"wheel-tags"}


def test_a_compiled_wheel_for_one_glue_version_passes() -> None:
    assert errors(wheel(name="acme_etl-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")) == set()


def test_a_licence_may_be_stated_in_any_way_that_there_is() -> None:
    bare = METADATA.replace(b"License-Expression: MIT\nLicense-File: LICENSE\n", b"")
    without = contents(WHEEL, [path for path in WHEEL_FILES if "LICENSE" not in path], bare)
    assert errors(without) == {"licence"}
    for line in (b"License: MIT\n", b"Classifier: License :: OSI Approved :: MIT License\n"):
        stated = bare.replace(b"Summary", line + b"Summary")
        assert errors(contents(WHEEL, [path for path in WHEEL_FILES if "LICENSE" not in path], stated)) == set()
    assert errors(wheel(metadata=bare)) == set()  # the file alone
    assert "no licence that programs can read" in told(wheel(metadata=bare))


def test_what_twine_says_is_told_unless_the_metadata_cannot_be_read_anyway() -> None:
    assert errors(wheel(rendering="line 3: Title underline too short")) == {"description"}
    broken = METADATA.replace(b"A demonstration", b"\xff")
    assert "description" not in errors(wheel(metadata=broken, rendering="malformed field"))


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "acme_etl/.env",
        "acme_etl/.env.production",
        "acme_etl/key.pem",
        "acme_etl/ID_RSA",
        "acme_etl/.pypirc",
        "acme_etl/.netrc",
        "acme_etl/credentials",
        "acme_etl/credentials.json",
        "acme_etl/private.key",
        "acme_etl/store.p12",
    ],
)
def test_a_file_that_is_for_secrets_is_an_error(path: str) -> None:
    assert "secret" in errors(wheel(path))
    assert "secret" in errors(sdist(path))


@pytest.mark.parametrize(
    "path",
    [
        "acme_etl/credentials.py",
        "acme_etl/secrets.py",
        "acme_etl/env.py",
        "acme_etl/.env.example",
        "acme_etl/keys.txt",
    ],
)
def test_a_module_may_be_called_after_secrets(path: str) -> None:
    assert errors(wheel(path)) == set()


@pytest.mark.parametrize(
    "path",
    [
        "acme_etl/__pycache__/a.cpython-311.pyc",
        "acme_etl/a.pyc",
        ".pytest_cache/README.md",
        ".git/config",
        "acme_etl/.DS_Store",
        "node_modules/left/index.js",
        "acme_etl/a.py~",
    ],
)
def test_leavings_of_programs_are_an_error(path: str) -> None:
    assert errors(wheel(path)) == {"cache"}
    assert errors(sdist(path)) == {"cache"}


def test_files_of_earlier_builds_are_leavings_in_an_sdist() -> None:
    assert errors(sdist("dist/acme_etl-0.9.tar.gz", "build/lib/acme_etl/__init__.py")) == {"cache"}


def test_many_leavings_are_one_finding() -> None:
    found = told(wheel(*(f"acme_etl/m{n}.pyc" for n in range(100))))
    assert "and 96 more" in found


@pytest.mark.parametrize("path", ["tests/test_a.py", "test/__init__.py", "conftest.py", "test_acme.py"])
def test_tests_beside_the_package_are_an_error_in_a_wheel_and_told_in_an_sdist(path: str) -> None:
    assert errors(wheel(path)) == {"tests"}
    [found] = release_findings([sdist(path)], RULES)
    assert (found.rule, found.level) == ("tests", Level.WARNING)


def test_tests_inside_the_package_are_its_own_affair() -> None:
    assert errors(wheel("acme_etl/tests/test_a.py")) == set()


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "LICENSE",
        "docs/index.md",
        "docs/conf.py",
        "scripts/run.py",
        "src/acme_etl/__init__.py",
        "setup.py",
        "data/table.csv",
        "hook.pth",
        "acme_etl-1.0.data/purelib/README.md",
    ],
)
def test_what_would_lie_beside_the_package_is_an_error(path: str) -> None:
    assert errors(wheel(path)) == {"stray"}


def test_more_than_one_package_may_be_in_a_wheel() -> None:
    assert errors(wheel("acme_more/__init__.py", "acme_single.py", "acme-stubs/__init__.pyi")) == set()
    assert errors(wheel("acme_etl-1.0.data/scripts/acme", "acme_etl-1.0.data/data/share/a.txt")) == set()


def test_a_wheel_with_nothing_to_import_is_told() -> None:
    empty = contents(WHEEL, [path for path in WHEEL_FILES if path.startswith(INFO)], METADATA)
    assert [(one.rule, one.level) for one in release_findings([empty], RULES)] == [("stray", Level.WARNING)]


@pytest.mark.parametrize(
    "name",
    ["../a.py", "/etc/passwd", "acme_etl/../../a.py", "C:/a.py", "a\\b.py", "acme_etl/\x1b[2J.py", "a//b.py"],
)
def test_names_that_lead_outside_are_an_error_and_cannot_steer_a_terminal(name: str) -> None:
    assert "path" in errors(wheel(name))
    assert "\x1b" not in told(wheel(name))


def test_links_and_devices_and_names_that_are_there_twice_are_errors() -> None:
    assert "link" in errors(wheel(Member(name="acme_etl/a.py", kind=Kind.LINK)))
    assert "link" in errors(sdist(Member(name="acme_etl-1.0/pipe", kind=Kind.OTHER)))
    assert "path" in errors(wheel("acme_etl/__init__.py"))


def test_an_archive_of_another_shape_is_an_error() -> None:
    assert errors(contents(SDIST, ["acme/PKG-INFO", "LICENSE"], METADATA)) == {"archive", "licence"}
    assert "archive" in errors(wheel("other-1.0.dist-info/METADATA"))
    assert errors(wheel(metadata=None)) >= {"metadata"}
    assert errors(wheel(damage="BadZipFile: bad magic")) == {"archive"}


AWS_KEY = b"AKIA" + b"Z2X4C6V8B1N3M5L7"
SECRETS = {
    "an AWS access key": b"key = '" + AWS_KEY + b"'",
    "an AWS secret key": b"aws_secret_access_key = " + b"aB3/" * 10,
    "a private key": b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMII",
    "an index URL with a token": b"https://aws:" + b"x" * 40 + b"@example.com/pypi/",
    "an authorization token": b"eyJ" + b"a" * 20 + b"." + b"b" * 20 + b"." + b"c" * 20,
}


@pytest.mark.parametrize("kind", SECRETS)
def test_what_looks_like_a_secret_is_told_by_its_line_and_never_shown(kind: str) -> None:
    content = b"import os\n# " + SECRETS[kind] + b"\n"
    assert secrets_in(content) == (f"{kind} in line 2",)
    member = inspected("acme_etl/a.py", Kind.FILE, content)
    assert errors(wheel(member)) == {"secret"}
    assert SECRETS[kind].decode() not in told(wheel(member))


@pytest.mark.parametrize(
    "content",
    [
        b"AKIAIOSFODNN7" + b"EXAMPLE",
        b"XAKIA" + b"Z2X4C6V8B1N3M5L7",
        b"https://aws:{token}@example.com/",
        b"https://aws:$TOKEN@example.com/",
        b"aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
        b"-----BEGIN CERTIFICATE-----\nMII",
        b"-----BEGIN PUBLIC KEY-----",
    ],
)
def test_what_only_resembles_a_secret_is_none(content: bytes) -> None:
    assert secrets_in(content) == ()


def test_certificates_are_no_secret() -> None:
    certificate = b"-----BEGIN CERTIFICATE-----\nMII\n"
    assert errors(wheel(inspected("acme_etl/root.pem", Kind.FILE, certificate))) == set()
    key = certificate + SECRETS["a private key"]
    assert errors(wheel(inspected("acme_etl/root.pem", Kind.FILE, key))) == {"secret"}


@given(st.binary(max_size=300), st.sampled_from(sorted(SECRETS)), st.binary(max_size=300))
def test_a_secret_is_found_in_whatever_lines_around_it(before: bytes, kind: str, after: bytes) -> None:
    found = secrets_in(before + b"\n" + SECRETS[kind] + b"\n" + after)
    assert any(one.startswith(kind) for one in found)


@given(st.binary(max_size=400))
def test_any_bytes_are_judged_as_metadata_and_nothing_unprintable_is_told(metadata: bytes) -> None:
    for one in release_findings([wheel(metadata=metadata), sdist(metadata=metadata)], RULES):
        assert one.files
        assert one.rule


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_names_are_judged(names: list[str]) -> None:
    found = release_findings([contents(WHEEL, names, METADATA), contents(SDIST, names, METADATA)], RULES)
    assert all(one.told.isprintable() for one in found)


@example(["a", "", ""])
@given(st.lists(st.sampled_from(["a", "..", ".", "", "b.py"]), min_size=1, max_size=5))
def test_a_name_with_dots_or_without_one_is_never_taken_for_inside(parts: list[str]) -> None:
    name = "/".join(parts)
    bad = bool({"..", "."} & {*parts}) or "" in parts[:-1] or parts == [""]
    assert ("path" in errors(contents(WHEEL, [name], METADATA))) == bad
