from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from glue_pkgmgr.adapters.build_set import EARLIEST, FIXED
from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.sdist import SdistWheels
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError
from tests.integration.adapters.loopback import NO_PROXY, Seen, reply, scripted
from tests.integration.adapters.made_sdists import PROJECTS, real, sdist_of, with_own_backend
from tests.integration.local.made_distributions import wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

ACME = project_name("acme")
EXTENSION = (
    "from setuptools import Extension, setup\n"
    "setup(name='acme', version='1.0', ext_modules=[Extension('acme', ['acme.c'], optional={optional})])\n"
)


@pytest.fixture
def store() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        yield index


def listed(store: UpstreamIndex, made: tuple[str, bytes], **told: object) -> tuple[SimpleIndex, IndexFile]:
    store.add(made, **told)
    index = SimpleIndex(store.source, NO_PROXY)
    page = index.page(ACME)
    assert page is not None
    return index, next(file for file in page.files if file.filename == made[0])


def built(store: UpstreamIndex, made: tuple[str, bytes], folder: Path, **environ: str) -> BuiltFile:
    return SdistWheels({**os.environ, **environ}, folder).wheel_of(*listed(store, made))


def record(file: BuiltFile) -> dict[str, dict[str, object]]:
    told: dict[str, dict[str, object]] = json.loads((file.path.parent / "build.json").read_text())
    return told


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# What is built, and what is kept


@pytest.mark.parametrize("backend", PROJECTS)
def test_the_same_sdist_gives_the_same_bytes_whatever_folder_umask_and_zone(
    backend: str, store: UpstreamIndex, tmp_path: Path
) -> None:
    with umask(0o022):
        first = built(store, real(backend), tmp_path / "a")
    with umask(0o077):
        second = built(store, real(backend), tmp_path / "another" / "folder", TZ="Asia/Tokyo", LANG="tr_TR.UTF-8")
    assert first.path != second.path
    assert first.sha256 == second.sha256
    assert record(first)["build-requirements"] == record(second)["build-requirements"]
    with zipfile.ZipFile(first.path) as archive:
        assert archive.read("acme/data/table.txt") == b"1\n"
        assert {info.date_time for info in archive.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        *others, last = archive.namelist()
        rows = list(csv.reader(archive.read(last).decode().splitlines()))
        assert [row[0] for row in rows] == [*others, last]
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            told = base64.urlsafe_b64decode(f"{digest.removeprefix('sha256=')}=")
            assert (told, int(size)) == (hashlib.sha256(content).digest(), len(content))


def test_what_was_built_is_kept_by_the_hash_of_the_sdist_with_its_build_set(
    store: UpstreamIndex, tmp_path: Path
) -> None:
    index, sdist = listed(store, real("setuptools"))
    first = SdistWheels(os.environ, tmp_path).wheel_of(index, sdist)
    store.projects.clear()
    assert SdistWheels(os.environ, tmp_path).wheel_of(index, sdist) == first
    assert first.path == tmp_path / str(sdist.sha256) / "acme-1.0-py3-none-any.whl"
    assert sorted(path.name for path in first.path.parent.iterdir()) == [first.filename, "build.json"]
    told = record(first)
    assert told["sdist"] == {"filename": sdist.filename, "sha256": sdist.sha256}
    assert told["wheel"] == {"filename": first.filename, "sha256": first.sha256, "size": first.size}
    assert told["build-requirements"]["as-of"] == "2024-06-01T00:00:00.000000Z"
    installed = told["build-requirements"]["installed"]
    assert isinstance(installed, list)
    assert [line.split()[0] for line in installed] == ["setuptools==70.0.0", "wheel==0.43.0"]
    assert all("--hash=sha256:" in line for line in installed)


def test_build_requirements_are_those_of_the_day_of_the_sdist(store: UpstreamIndex, tmp_path: Path) -> None:
    day = datetime(2025, 1, 15, tzinfo=UTC)
    index, sdist = listed(store, real("flit"), uploaded=day)
    told = record(SdistWheels(os.environ, tmp_path).wheel_of(index, sdist))["build-requirements"]
    assert told["as-of"] == "2025-01-15T00:00:00.000000Z"
    assert str(told["installed"]).startswith("['flit-core==3.10.1 ")


@pytest.mark.parametrize("uploaded", [None, datetime.now(UTC) + timedelta(days=1)], ids=["unknown", "to come"])
def test_without_a_time_of_upload_the_fixed_build_tools_are_taken(
    uploaded: datetime | None, store: UpstreamIndex, tmp_path: Path
) -> None:
    index, sdist = listed(store, real("hatchling"))
    file = SdistWheels(os.environ, tmp_path).wheel_of(index, replace(sdist, upload_time=uploaded))
    told = record(file)["build-requirements"]
    assert told["as-of"] is None
    assert told["installed"] == [f"{pin} --hash=sha256:{sha256}" for pin, sha256 in FIXED.items()]


def test_requirements_that_only_the_backend_tells_are_pinned_too(store: UpstreamIndex, tmp_path: Path) -> None:
    more = "def get_requires_for_build_wheel(config_settings=None):\n    return ['wheel<0.43']\n"
    told = record(built(store, with_own_backend("import wheel", more=more), tmp_path))["build-requirements"]
    assert told["wanted"] == ["wheel<0.43"]
    assert str(told["installed"]).startswith("['wheel==0.42.0 ")


def test_a_kept_wheel_that_has_changed_is_not_handed_out(store: UpstreamIndex, tmp_path: Path) -> None:
    index, sdist = listed(store, with_own_backend())
    file = SdistWheels(os.environ, tmp_path).wheel_of(index, sdist)
    file.path.write_bytes(b"other")
    with pytest.raises(SettingsError, match=rf"{sdist.sha256} no longer holds .* delete it and try again"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, sdist)
    file.path.unlink()
    with pytest.raises(SettingsError, match="delete it and try again"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, sdist)


# Two at once, and one that dies

BUILD = """
import os, sys
from pathlib import Path
from glue_pkgmgr.adapters.sdist import SdistWheels
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.index_source import IndexSource
index = SimpleIndex(IndexSource(url=sys.argv[1]), {"no_proxy": "*"})
(sdist,) = index.page(project_name("acme")).files
print(SdistWheels(os.environ, Path(sys.argv[2])).wheel_of(index, sdist).sha256)
"""


def start(store: UpstreamIndex, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, store.source.url, os.fspath(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_two_processes_at_once_build_once(store: UpstreamIndex, tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    store.add(with_own_backend(f"import time; open({str(builds)!r}, 'a').write('x'); time.sleep(1)"))
    running = [start(store, tmp_path / "kept") for _ in range(2)]
    digests = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(digests) == 1
    assert builds.read_text() == "x"


def test_threads_at_once_build_once(store: UpstreamIndex, tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    index, sdist = listed(store, with_own_backend(f"open({str(builds)!r}, 'a').write('x')"))
    builder = SdistWheels(os.environ, tmp_path / "kept")
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: builder.wheel_of(index, sdist).sha256, range(4)))) == 1
    assert builds.read_text() == "x"


def test_a_killed_build_leaves_nothing_half_and_the_next_one_builds(store: UpstreamIndex, tmp_path: Path) -> None:
    started, wait = tmp_path / "started", tmp_path / "wait"
    wait.touch()
    store.add(
        with_own_backend(
            f"import time; open({str(started)!r}, 'w').write(str(os.getpid()))\n"
            f"    while os.path.exists({str(wait)!r}): time.sleep(0.05)"
        )
    )
    process = start(store, tmp_path / "kept")
    wait_for(started)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    visible = [path for path in (tmp_path / "kept").iterdir() if not path.name.startswith(".")]
    wait.unlink()
    assert visible == []
    file = SdistWheels(os.environ, tmp_path / "kept").wheel_of(*listed_one(store))
    assert describe(file.path) == file
    assert not list((tmp_path / "kept").glob(".*.partial-*"))


def listed_one(store: UpstreamIndex) -> tuple[SimpleIndex, IndexFile]:
    index = SimpleIndex(store.source, NO_PROXY)
    page = index.page(ACME)
    assert page is not None
    return index, page.files[0]


# What the backend gets


def test_a_backend_sees_nothing_of_our_environment(store: UpstreamIndex, tmp_path: Path) -> None:
    made = with_own_backend('raise SystemExit(" ".join(f"{k}={v}" for k, v in os.environ.items()))')
    secrets = {"AWS_SECRET_ACCESS_KEY": "hidden", "SOME_TOKEN": "hidden", "HTTPS_PROXY": "http://u:hidden@proxy"}
    with pytest.raises(NotInstallable, match="SOURCE_DATE_EPOCH") as caught:
        built(store, made, tmp_path, **secrets)
    assert "hidden" not in str(caught.value)
    assert f"HOME={tmp_path}" in str(caught.value)


def test_a_backend_that_replaces_its_python_sees_nothing_of_our_environment_either(
    store: UpstreamIndex, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    program = f'#!/bin/sh\nenv >> {seen}\nexec {os.path.realpath(sys.executable)} "$@"\n'
    more = f"""
def get_requires_for_build_wheel(config_settings=None):
    os.unlink(sys.executable)
    with open(sys.executable, "w") as file:
        file.write({program!r})
    os.chmod(sys.executable, 0o755)
    return ["wheel"]
"""
    with suppress(NotInstallable, IndexAccessError):  # whatever becomes of it
        built(
            store, with_own_backend(more=more), tmp_path / "built", AWS_SECRET_ACCESS_KEY="of ours", OURS="of ours"
        )
    assert "UV_DEFAULT_INDEX" in seen.read_text()  # uv has run it
    assert "of ours" not in seen.read_text()


def test_a_client_in_the_backend_reaches_no_network(store: UpstreamIndex, tmp_path: Path) -> None:
    def hello(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"hello")

    with scripted(hello) as other:
        made = with_own_backend(f"import urllib.request; urllib.request.urlopen({other.url!r})")
        with pytest.raises(NotInstallable, match="Connection refused"):
            built(store, made, tmp_path)
        assert other.seen == []


def test_warnings_of_a_backend_do_not_reach_our_user(
    store: UpstreamIndex, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    built(store, with_own_backend("import warnings; warnings.warn('old setting')"), tmp_path)
    assert recwarn.list == []


# Refusals: the folder stays empty each time


def refused(store: UpstreamIndex, made: tuple[str, bytes], folder: Path, **environ: str) -> str:
    with pytest.raises(NotInstallable) as caught:
        built(store, made, folder, **environ)
    assert [path for path in folder.iterdir() if not path.name.endswith(".lock")] == []
    return str(caught.value)


@pytest.mark.parametrize("optional", [True, False])
def test_an_extension_module_is_not_pure_python(optional: bool, store: UpstreamIndex, tmp_path: Path) -> None:
    made = sdist_of({"setup.py": EXTENSION.format(optional=optional), "acme.c": "int x;\n"})
    assert "acme-1.0.tar.gz is not pure Python" in refused(store, made, tmp_path)


def test_a_library_for_linux_under_a_pure_name_is_not_pure_python(store: UpstreamIndex, tmp_path: Path) -> None:
    setup = sdist_of(
        {
            "setup.py": "from setuptools import setup\n"
            "setup(name='acme', version='1.0', packages=['acme'], package_data={'acme': ['*.so']})\n",
            "acme/__init__.py": "",
            "acme/native.so": "\x7fELF",
        }
    )
    told = refused(store, setup, tmp_path)
    assert "not pure Python: acme/native.so is a program or library for Linux" in told


@pytest.mark.parametrize(
    "name", ["acme-1.0-cp311-cp311-linux_x86_64.whl", "acme-1.0-py2-none-any.whl", "acme-1.0-py311-none-any.whl"]
)
def test_other_tags_than_those_of_every_python_3_are_refused(
    name: str, store: UpstreamIndex, tmp_path: Path
) -> None:
    assert f"not pure Python: its build gave {name}" in refused(store, with_own_backend(wheel=name), tmp_path)


@pytest.mark.parametrize("name", ["acme-2.0-py3-none-any.whl", "boto3-1.0-py3-none-any.whl"])
def test_a_wheel_of_another_release_is_refused(name: str, store: UpstreamIndex, tmp_path: Path) -> None:
    assert f"a wheel of another release: {name}" in refused(store, with_own_backend(wheel=name), tmp_path)


@pytest.mark.parametrize("headers", ["Name: boto3\nVersion: 1.0", "Name: acme\nVersion: 2.0", "Name: acme"])
def test_metadata_of_another_release_is_refused(headers: str, store: UpstreamIndex, tmp_path: Path) -> None:
    made = with_own_backend(metadata=f"Metadata-Version: 2.1\n{headers}\n")
    assert "is of another release" in refused(store, made, tmp_path)


def test_a_backend_that_fails_is_quoted(store: UpstreamIndex, tmp_path: Path) -> None:
    made = with_own_backend('print("looking for java"); raise SystemExit("none found")')
    told = refused(store, made, tmp_path)
    assert "no wheel can be made of acme-1.0.tar.gz; approve a release that has a wheel" in told
    assert "looking for java\nnone found" in told


def test_a_backend_that_does_not_end_is_ended_with_its_children(store: UpstreamIndex, tmp_path: Path) -> None:
    child = tmp_path / "child"
    made = with_own_backend(
        "import subprocess, time; p = subprocess.Popen(['sleep', '600']); "
        f"open({str(child)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    index, sdist = listed(store, made)
    with pytest.raises(NotInstallable, match="did not finish within 3 s"):
        SdistWheels(os.environ, tmp_path / "kept", hook_seconds=3).wheel_of(index, sdist)
    assert not psutil.pid_exists(int(child.read_text()))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"README": "no project"}, "does not appear to be a Python project"),
        ({"pyproject.toml": "[build-system\n"}, "parse"),
        ({"pyproject.toml": "[build-system]\nrequires = 'hatchling'\n"}, "requires"),
    ],
)
def test_an_sdist_that_does_not_say_how_it_is_built_is_refused(
    content: dict[str, str], told: str, store: UpstreamIndex, tmp_path: Path
) -> None:
    assert told in refused(store, sdist_of(content), tmp_path)


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ('"acme-no-such-build-tool==1.0"', "cannot be pinned: no releases of 2024-06-01 satisfy them"),
        ('"setuptools>=70.0.0,<70.0.0"', "does not satisfy setuptools<70.0.0,>=70.0.0"),
        ('"tool @ http://127.0.0.1:9/tool.whl"', "is an address"),
        ('"tool @ file:///tmp/tool.whl"', "is an address"),
    ],
)
def test_build_requirements_that_cannot_be_pinned_are_told(
    requires: str, told: str, store: UpstreamIndex, tmp_path: Path
) -> None:
    assert told in refused(store, with_own_backend(requires=requires), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "-r /etc/passwd",
        "--index-url=http://127.0.0.1:9/",
        "a b",
        'a; os_name == "x\n--index-url http://127.0.0.1:9/\n"',
        r'a; os_name == "x\n--index-url http://127.0.0.1:9/\n"',
        'a; os_name == "x\u2028y"',
    ],
)
def test_no_option_gets_through_as_a_build_requirement(text: str, store: UpstreamIndex, tmp_path: Path) -> None:
    more = f"def get_requires_for_build_wheel(config_settings=None):\n    return [{text!r}]\n"
    assert "is not a build requirement" in refused(store, with_own_backend(more=more), tmp_path)


def test_the_fixed_build_tools_that_do_not_satisfy_are_named(store: UpstreamIndex, tmp_path: Path) -> None:
    index, sdist = listed(store, with_own_backend(requires='"hatchling>=1.25", "setuptools[core]", "wheel"'))
    with pytest.raises(NotInstallable, match=r"does not satisfy hatchling>=1\.25, setuptools\[core\]$"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, replace(sdist, upload_time=None))


def test_an_index_without_build_tools_is_named_without_its_credentials(
    store: UpstreamIndex, tmp_path: Path
) -> None:
    def nothing(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 404)

    with scripted(nothing) as empty:
        environ = {"PIP_INDEX_URL": f"{empty.url.replace('://', '://user:hidden@')}simple/", "UV_NO_CACHE": "1"}
        with pytest.raises(IndexAccessError, match=r"cannot install the build requirements hatchling ") as caught:
            built(store, real("hatchling"), tmp_path, **environ)
    assert "hidden" not in str(caught.value)


def test_an_index_that_tells_no_upload_times_gives_the_fixed_build_tools(
    store: UpstreamIndex, tmp_path: Path
) -> None:
    for pin in FIXED:
        name, version = pin.split("==")
        store.add(wheel(name, version))
    store.html = True
    for files in store.projects.values():
        for file in files.values():
            file.uploaded = None  # type: ignore[assignment]
    index, sdist = listed(store, with_own_backend(requires='"wheel"'))
    environ = {**os.environ, "PIP_INDEX_URL": store.source.url, "UV_NO_CACHE": "1"}
    # The wheels this index has are not those whose hashes we know: that is where it ends.
    with pytest.raises(IndexAccessError, match=r"Hash mismatch for `"):
        SdistWheels(environ, tmp_path).wheel_of(index, replace(sdist, upload_time=EARLIEST))


# What is refused before anything runs


def test_an_sdist_without_a_hash_is_refused(store: UpstreamIndex, tmp_path: Path) -> None:
    index, sdist = listed(store, with_own_backend(), sha256=None)
    with pytest.raises(NotInstallable, match=r"tells no SHA-256 of acme-1\.0\.tar\.gz"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, sdist)


def test_other_bytes_than_promised_are_not_built(store: UpstreamIndex, tmp_path: Path) -> None:
    store.faults["acme-1.0.tar.gz"] = "lie"
    assert "is not what was promised" in refused(store, with_own_backend(), tmp_path)


def test_a_wheel_is_nothing_to_build(store: UpstreamIndex, tmp_path: Path) -> None:
    index, file = listed(store, wheel("acme", "1.0"))
    with pytest.raises(NotInstallable, match="is a wheel already"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, file)
    with pytest.raises(NotInstallable, match="nothing can be built from"):
        SdistWheels(os.environ, tmp_path).wheel_of(index, replace(file, filename="acme-1.0.exe"))


def test_a_folder_of_any_name_will_do(store: UpstreamIndex, tmp_path: Path) -> None:
    made = sdist_of({"setup.py": EXTENSION.format(optional=False), "acme.c": "int x;\n"})
    folder = tmp_path / "o'brien's $HOME; folder"
    folder.mkdir()
    assert "its build calls a compiler" in refused(store, made, folder)


def test_a_folder_that_cannot_be_written_is_told(store: UpstreamIndex, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="GLUE_PKGMGR_CACHE"):
        built(store, with_own_backend(), tmp_path / "file" / "kept")
