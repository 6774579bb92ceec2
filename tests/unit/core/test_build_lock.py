from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.version import Version

from glue_pkgmgr.core.build_lock import (
    BuildLock,
    BuildPin,
    build_lock_from_toml,
    build_lock_to_toml,
    build_requirement,
    build_requirements,
    pins_from_pylock,
    requirements_lines,
)
from glue_pkgmgr.core.lockfile import LockedFile
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import GluePkgmgrError, SettingsError

PYLOCK = """\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "acme-build"
version = "1.0"
marker = "sys_platform == 'linux'"
wheels = [{ url = "https://example.com/a/acme_build-1.0-py3-none-any.whl", upload-time = 2026-01-01T00:00:00Z, \
size = 7, hashes = { sha256 = "HASH" } }]
""".replace("HASH", "a" * 64)


def pin(name: str, version: str = "1.0", marker: str = "", digest: str = "a") -> BuildPin:
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    file = LockedFile(filename=filename, sha256=digest * 64, size=7)
    return BuildPin(project=project_name(name), version=Version(version), files=(file,), marker=marker)


def lock(*pins: BuildPin, requires: str = "acme-build==1.0") -> BuildLock:
    return BuildLock(requires=build_requirements([requires]), pins=pins, minimum_age_days=7)


NAMES = st.from_regex(r"[a-z]([a-z-]{0,8}[a-z])?", fullmatch=True).filter(lambda name: "--" not in name)


@given(st.lists(NAMES, unique=True, max_size=5), st.integers(0, 30))
def test_what_is_written_is_read_again(names: list[str], days: int) -> None:
    pins = tuple(
        pin(name, marker="python_version < '3.13'" if n % 2 else "") for n, name in enumerate(sorted(names))
    )
    pins = tuple(
        BuildPin(project=p.project, version=p.version, files=p.files, marker=p.marker.replace("'", '"'))
        for p in pins
    )
    written = BuildLock(requires=build_requirements(names), pins=pins, minimum_age_days=days)
    text = build_lock_to_toml(written)
    assert build_lock_from_toml(text, "pylock.build.toml") == written
    assert build_lock_to_toml(build_lock_from_toml(text, "pylock.build.toml")) == text


def test_others_read_it_as_a_lock_and_no_host_or_date_is_in_it() -> None:
    import tomllib

    [made] = pins_from_pylock(PYLOCK)
    text = build_lock_to_toml(lock(made))
    [package] = Pylock.from_dict(tomllib.loads(text)).packages
    assert (package.name, str(package.version), str(package.marker)) == (
        "acme-build",
        "1.0",
        'sys_platform == "linux"',
    )
    assert "://" not in text
    assert "2026" not in text


def test_a_requirements_file_of_it_names_every_hash_and_marker() -> None:
    marked = lock(pin("acme-build"), pin("other", marker="python_version < '3.13'", digest="b"))
    assert requirements_lines(marked) == [
        f"acme-build==1.0 --hash=sha256:{'a' * 64}",
        f"other==1.0 ; python_version < '3.13' --hash=sha256:{'b' * 64}",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a" * 64, "a" * 63),
        ("a" * 64, "A" * 64),
        ("sha256", "md5"),
        ('version = "1.0"\n', ""),
        ("acme_build-1.0-py3", "other-1.0-py3"),
        ("acme_build-1.0-py3", "acme_build-2.0-py3"),
        ("acme_build-1.0-py3-none-any.whl", "acme_build-1.0.tar.gz"),
        ('lock-version = "1.0"', 'lock-version = "9.0"'),
    ],
)
def test_what_pins_no_exact_bytes_is_refused(before: str, after: str) -> None:
    with pytest.raises(SettingsError, match="cannot be pinned"):
        pins_from_pylock(PYLOCK.replace(before, after))
    written = build_lock_to_toml(lock(*pins_from_pylock(PYLOCK)))
    assert before in PYLOCK
    assert before in written
    with pytest.raises(SettingsError, match=r"here .*`glue-pkgmgr build --lock` writes it anew"):
        build_lock_from_toml(written.replace(before, after), "here")


def test_a_release_that_is_pinned_twice_for_the_same_machines_is_refused() -> None:
    text = build_lock_to_toml(lock(pin("acme-build"), pin("acme-build", "2.0")))
    with pytest.raises(SettingsError, match="pinned twice"):
        build_lock_from_toml(text, "here")


@given(st.text(max_size=60))
def test_any_text_is_a_lock_or_refused_in_words(text: str) -> None:
    try:
        build_lock_from_toml(text, "here")
    except GluePkgmgrError as e:
        assert "here" in str(e)


@given(st.text(max_size=40))
def test_a_requirement_is_one_printable_line_and_stays_as_it_is(text: str) -> None:
    try:
        named = build_requirement(text)
    except SettingsError:
        return
    assert named.isprintable()
    assert build_requirement(named) == named


@pytest.mark.parametrize(
    "text", ["", "-r other.txt", "acme @ https://example.com/acme.whl", "./folder", "acme; x == '\n--index-url y'"]
)
def test_what_no_index_can_be_asked_for_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        build_requirement(text)


def test_spelling_of_a_requirement_does_not_count() -> None:
    assert build_requirements(["Acme_Build >= 1,<2", "acme-build<2,>=1"]) == ("acme-build<2,>=1",)


def test_what_differs_from_pyproject_is_told() -> None:
    held = lock(requires="acme-build==1.0")
    assert held.misfit(["acme-build==1.0"]) == ""
    assert held.misfit(["acme-build==1.1"]) == (
        "'acme-build==1.1' was not pinned; 'acme-build==1.0' is pinned and no longer required"
    )
