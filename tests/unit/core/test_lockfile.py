from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_from_toml, lock_to_toml, requirements_text
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime, glue_runtime
from glue_pkgmgr.errors import SettingsError

GLUE = glue_runtime("5.1")
DIGEST = "0123456789abcdef" * 4

names = st.from_regex(r"[a-z]([a-z0-9]|-(?=[a-z0-9])){0,8}", fullmatch=True).map(project_name)
versions = st.from_regex(r"([1-9]!)?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(rc[1-9])?(\+[a-z]{1,3})?", fullmatch=True).map(
    Version
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
platforms = st.sampled_from(
    ["py3-none-any", "cp311-cp311-manylinux_2_28_x86_64", "cp39-abi3-manylinux2014_x86_64"]
)


@st.composite
def pins(draw: st.DrawFn, project: ProjectName) -> Pin:
    version = draw(versions)
    tags = draw(st.lists(platforms, unique=True, max_size=3))
    return Pin(
        project=project,
        version=version,
        files=tuple(
            LockedFile(
                filename=f"{project.replace('-', '_')}-{version}-{tag}.whl",
                sha256=draw(digests),
                size=draw(st.none() | st.integers(0, 2**40)),
            )
            for tag in tags
        ),
        wanted_by=tuple(sorted(draw(st.lists(names, unique=True, max_size=2)))),
        internal=draw(st.booleans()) if tags else False,
        licence=draw(st.sampled_from([None, "MIT", "Apache-2.0 OR MIT"])) if tags else None,
        built_from=draw(st.none() | sdists(project, version)) if tags else None,
    )


def sdists(project: ProjectName, version: Version) -> st.SearchStrategy[LockedFile]:
    filename = f"{project.replace('-', '_')}-{version}.tar.gz"
    sizes = st.none() | st.integers(0, 2**40)
    return st.builds(LockedFile, filename=st.just(filename), sha256=digests, size=sizes)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    projects = sorted(draw(st.lists(names, unique=True, max_size=5)))
    runtimes: st.SearchStrategy[GlueRuntime] = st.sampled_from(list(RUNTIMES.values()))
    return Lock(
        runtime=draw(runtimes),
        request=tuple(draw(st.lists(names, unique=True, max_size=3))),
        pins=tuple(draw(pins(project)) for project in projects),
        allowlist_sha256=draw(digests),
        minimum_age_days=draw(st.integers(0, 3650)),
    )


@given(locks())
def test_a_lock_comes_back_equal_and_with_the_same_bytes(lock: Lock) -> None:
    text = lock_to_toml(lock)
    again = lock_from_toml(text, "x")
    assert again == lock
    assert lock_to_toml(again) == text
    assert lock_from_toml(text.replace("\n", "\r\n"), "x") == lock


@given(locks())
def test_a_lock_is_a_pylock_file_without_host_or_date(lock: Lock) -> None:
    text = lock_to_toml(lock)
    Pylock.from_dict(tomllib.loads(text)).validate()
    assert "://" not in text
    assert "upload" not in text
    assert not re.search(r"\d{4}-\d{2}-\d{2}", text)


def sample() -> Lock:
    file = LockedFile(filename="acme-1.0-py3-none-any.whl", sha256=DIGEST, size=12)
    sdist = LockedFile(filename="acme-1.0.tar.gz", sha256=DIGEST, size=10)
    return Lock(
        runtime=GLUE,
        request=("acme[x]==1.0",),
        pins=(
            Pin(
                project=project_name("acme"),
                version=Version("1.0"),
                files=(file,),
                internal=True,
                licence="MIT",
                built_from=sdist,
            ),
            Pin(project=project_name("boto3"), version=Version("1.40.61"), wanted_by=(project_name("acme"),)),
        ),
        allowlist_sha256=DIGEST,
        minimum_age_days=7,
    )


def test_the_file_of_a_lock_reads_like_this() -> None:
    assert lock_to_toml(sample()) == (
        'lock-version = "1.0"\nrequires-python = "==3.11.*"\ncreated-by = "glue-pkgmgr"\n\n'
        '[[packages]]\nname = "acme"\nversion = "1.0"\nwheels = [\n'
        '    {name = "acme-1.0-py3-none-any.whl", path = "acme/acme-1.0-py3-none-any.whl", size = 12, '
        f'hashes = {{sha256 = "{DIGEST}"}}}},\n]\n\n'
        '[packages.tool.glue-pkgmgr]\nwanted-by = []\nchain = ["acme"]\ninternal = true\nlicence = "MIT"\n'
        f'built-from = {{name = "acme-1.0.tar.gz", size = 10, hashes = {{sha256 = "{DIGEST}"}}}}\n\n'
        f'[tool.glue-pkgmgr]\nglue-version = "5.1"\nallowlist-sha256 = "{DIGEST}"\nminimum-age-days = 7\n'
        'request = ["acme[x]==1.0"]\npreinstalled = [\n'
        '    {name = "boto3", version = "1.40.61", wanted-by = ["acme"]},\n]\n'
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('lock-version = "1.0"', "lock-version ="), "is not a pylock file"),
        (('lock-version = "1.0"\n', ""), "is not a pylock file"),
        (('lock-version = "1.0"', 'lock-version = "2.0"'), "is not a pylock file"),
        (('name = "acme"\n', 'name = "Ac me"\n'), "Name 'Ac me' is not normalized"),
        (("[tool.glue-pkgmgr]", "[tool.other]"), "not a lock written by glue-pkgmgr"),
        (("[packages.tool.glue-pkgmgr]", "[packages.tool.other]"), "not a lock written by glue-pkgmgr"),
        (('glue-version = "5.1"', 'glue-version = "7.7"'), "unknown Glue version '7.7'"),
        (('glue-version = "5.1"', "glue-version = []"), "not a lock written by glue-pkgmgr"),
        (('request = ["acme[x]==1.0"]', 'request = "acme"'), "request is not a list"),
        (('request = ["acme[x]==1.0"]', 'request = ["-e ."]'), "'-e .' is not a request item"),
        (('request = ["acme[x]==1.0"]', "request = [3]"), "not a lock written by glue-pkgmgr"),
        ((DIGEST, DIGEST[:-1]), "no sha256 of 64"),
        ((DIGEST, DIGEST.upper()), "no sha256 of 64"),
        ((DIGEST, DIGEST[:-2] + "\\n0"), "no sha256 of 64"),
        (("sha256 =", "md5 ="), "no sha256 of 64"),
        (('name = "acme-1.0-', 'name = "evil-1.0-'), "evil-1.0-py3-none-any.whl"),
        (("py3-none-any.whl", "py3.whl"), "acme-1.0-py3.whl"),
        (('name = "boto3"', 'name = "acme"'), "acme is locked twice"),
        (('name = "acme-1.0.tar.gz"', 'name = "acme-2.0.tar.gz"'), "is not an sdist of acme 1.0"),
        (('name = "acme-1.0.tar.gz"', 'name = "acme-1.0-py3-none-any.whl"'), "is not an sdist of acme 1.0"),
        (("minimum-age-days = 7\n", ""), "KeyError: 'minimum-age-days'"),
        (('licence = "MIT"', "licence = 3"), "3 is not a text"),
        (('version = "1.40.61"', 'version = "one"'), "one"),
        (('wanted-by = ["acme"]', 'wanted-by = ["a b"]'), "'a b' is not a project name"),
        (("preinstalled = [", "preinstalled = ['boto3',"), "not a lock written by glue-pkgmgr"),
        (('created-by = "glue-pkgmgr"', 'created-by = "somebody"'), "created-by: 'somebody' where we write"),
        (('"==3.11.*"', '">=3"'), "requires-python: "),
        (
            ("size = 12,", 'size = 12, url = "https://example.com/x",'),
            "packages[0].wheels[0].url: not written by us",
        ),
        (('path = "acme/', 'path = "../acme/'), "packages[0].wheels[0].path: '../acme/acme-1.0"),
        (
            ("hashes = {", f'hashes = {{md5 = "{DIGEST[:32]}", '),
            "packages[0].wheels[0].hashes.md5: not written by us",
        ),
        (
            ('name = "acme"\n', 'name = "acme"\nmarker = "os_name == \'x\'"\n'),
            "packages[0].marker: not written by us",
        ),
        (('name = "acme"\n', 'name = "acme"\nindex = "https://example.com/"\n'), "packages[0].index: "),
        (
            (
                "wheels = [",
                f'sdist = {{name = "acme-1.0.tar.gz", path = "x", hashes = {{sha256 = "{DIGEST}"}}}}\nwheels = [',
            ),
            "packages[0].sdist: not written by us",
        ),
        (("[tool.glue-pkgmgr]", "[tool.uv]\nindex-url = 'https://example.com'\n[tool.glue-pkgmgr]"), "tool.uv: "),
        (('chain = ["acme"]', 'chain = ["boto3", "acme"]'), "packages[0].tool.glue-pkgmgr.chain"),
        (("internal = true", "internal = 'false'"), "packages[0].tool.glue-pkgmgr.internal: 'false'"),
        (("size = 10, hashes", 'size = 10, url = "https://example.com/x", hashes'), "built-from.url: not written"),
        (('version = "1.40.61",', 'version = "1.40.61", size = 3,'), "tool.glue-pkgmgr.preinstalled[0].size: "),
        (
            (
                "wheels = [",
                f'wheels = [{{name = "acme-1.0-py3-none-any.whl", path = "x", hashes = {{sha256 = "{DIGEST}"}}}},',
            ),
            "has a wheel twice",
        ),
        (("acme-1.0-py3-none-any.whl", "acme-1.0-1/../../x-py3-none-any.whl"), "it holds other characters"),
        (("preinstalled = [", "x = " + "[" * 20_000 + "\npreinstalled = ["), "not a lock written by glue-pkgmgr"),
    ],
)
def test_a_damaged_lock_is_refused_with_its_name_and_the_way_out(change: tuple[str, str], expected: str) -> None:
    text = lock_to_toml(sample())
    assert change[0] in text
    with pytest.raises(SettingsError, match=re.escape(expected)) as caught:
        lock_from_toml(text.replace(*change), "taxi.pylock.toml")
    assert str(caught.value).startswith("taxi.pylock.toml is not a ")
    assert "`glue-pkgmgr lock` writes it anew" in str(caught.value)


def test_a_release_of_the_image_is_not_installed() -> None:
    assert [str(pin) for pin in sample().installed] == ["acme==1.0"]
    assert sample().pin(project_name("boto3")) == sample().pins[1]
    assert sample().pin(project_name("other")) is None


def test_the_requirements_file_names_one_index_only_wheels_and_every_hash() -> None:
    two = Pin(
        project=project_name("numpy"),
        version=Version("1.26.4"),
        files=(
            LockedFile(filename="numpy-1.26.4-cp311-cp311-manylinux2014_x86_64.whl", sha256="f" * 64),
            LockedFile(filename="numpy-1.26.4-cp39-abi3-manylinux2014_x86_64.whl", sha256="e" * 64),
        ),
    )
    lock = Lock(runtime=GLUE, request=(), pins=(*sample().pins, two))
    assert requirements_text(lock, "http://aws:secret@127.0.0.1/simple/") == (
        "--index-url http://aws:secret@127.0.0.1/simple/\n--only-binary :all:\n--require-hashes\n"
        f"acme==1.0 \\\n    --hash=sha256:{DIGEST}\n"
        f"numpy==1.26.4 \\\n    --hash=sha256:{'e' * 64} \\\n    --hash=sha256:{'f' * 64}\n"
    )


def chain_lock(**wanted_by: list[str]) -> Lock:
    return Lock(
        runtime=GLUE,
        request=(),
        pins=tuple(
            Pin(project=project_name(name), version=Version("1"), wanted_by=tuple(map(project_name, parents)))
            for name, parents in wanted_by.items()
        ),
    )


def test_the_reason_for_a_release_is_the_shortest_chain_from_the_request() -> None:
    lock = chain_lock(a=[], b=["a"], c=["b"], d=["c", "b"])
    assert lock.reason(project_name("d")) == ("a", "b", "d")
    assert lock.reason(project_name("a")) == ("a",)


def test_a_circle_of_wishes_has_an_end() -> None:
    lock = chain_lock(a=["b"], b=["a"])
    assert lock.reason(project_name("a"))[-1] == "a"
