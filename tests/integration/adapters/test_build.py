from __future__ import annotations

import os
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.build import ProjectBuild
from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.release_reader import ReleaseReader
from glue_pkgmgr.core.release_checks import ReleaseRules
from glue_pkgmgr.errors import NotInstallable, SettingsError
from glue_pkgmgr.verbs.build import build
from tests.integration.adapters.loopback import Seen, reply, scripted

GLUEUTILS = Path(__file__).parents[3] / "glueutils"

WEEK = timedelta(days=7)

# A build backend that lives in the project: nothing has to be installed for it.
BACKEND = """
import io, os, tarfile, time, zipfile

def build_sdist(folder, config_settings=None):
    {before}
    with tarfile.open(os.path.join(folder, "acme_demo-1.0.tar.gz"), "w:gz") as archive:
        names = sorted(os.listdir("."), reverse=bool(os.environ.get("REVERSED")))
        for name in names:
            if os.path.isfile(name):
                archive.add(name, "acme_demo-1.0/" + name)
        data = b"Metadata-Version: 2.1\\nName: acme-demo\\nVersion: 1.0\\n"
        member = tarfile.TarInfo("acme_demo-1.0/PKG-INFO")
        member.size, member.mtime = len(data), time.time()
        archive.addfile(member, io.BytesIO(data))
    return "acme_demo-1.0.tar.gz"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "acme_demo-1.0-py3-none-any.whl"
    with open("generated", "w") as file:
        file.write(os.environ["SOURCE_DATE_EPOCH"] + os.environ["TZ"])
    moment = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for file in sorted(os.listdir(".")):
            if os.path.isfile(file):
                member = zipfile.ZipInfo("acme_demo/" + file, moment)
                member.external_attr = os.stat(file).st_mode << 16
                archive.writestr(member, open(file, "rb").read())
        metadata = "Metadata-Version: 2.1\\nName: acme-demo\\nVersion: 1.0\\n"
        archive.writestr("acme_demo-1.0.dist-info/METADATA", metadata)
        archive.writestr("acme_demo-1.0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
[project]
name = "acme-demo"
version = "1.0"
"""


def project(folder: Path, *, before: str = "pass", requires: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(requires=requires))
    (folder / "backend.py").write_text(BACKEND.format(before=before))
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    return folder


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def digests(source: Path, out: Path, **environ: str) -> dict[str, str]:
    builder = ProjectBuild({**os.environ, **environ}, minimum_age=WEEK)
    return {file.filename: file.sha256 for file in builder.build(source, out).files}


def test_sdist_and_wheel_lie_in_the_folder_and_nothing_else(tmp_path: Path) -> None:
    source = project(tmp_path / "acme")
    builder = ProjectBuild(os.environ, minimum_age=WEEK)
    built = build(source, builder=builder, reader=ReleaseReader(), rules=ReleaseRules(), out=tmp_path / "out")
    files = list(built.files)
    assert not (source / "pylock.build.toml").exists()  # it needs nothing
    assert built.inputs.lock_sha256 is None
    assert [file.filename for file in files] == ["acme_demo-1.0.tar.gz", "acme_demo-1.0-py3-none-any.whl"]
    assert sorted(file.path for file in files) == sorted((tmp_path / "out").iterdir())
    assert [describe(file.path) for file in files] == files


def test_folder_umask_time_zone_and_order_of_files_do_not_change_a_byte(tmp_path: Path) -> None:
    with umask(0o022):
        first = digests(project(tmp_path / "a"), tmp_path / "out-a")
    with umask(0o077):
        source = project(tmp_path / "elsewhere" / "b")
        for path in source.iterdir():
            os.utime(path, (10**9, 10**9))
        second = digests(source, tmp_path / "out-b", TZ="Asia/Tokyo", REVERSED="1", SOURCE_DATE_EPOCH="1")
    assert first == second


def test_an_sdist_holds_no_trace_of_who_built_it_and_when(tmp_path: Path) -> None:
    with umask(0o077):
        digests(project(tmp_path / "acme"), tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "acme_demo-1.0.tar.gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, "", "")}
    assert {m.mtime for m in members.values()} == {1_577_836_800}
    assert members["acme_demo-1.0/tool.sh"].mode == 0o755
    assert members["acme_demo-1.0/backend.py"].mode == 0o644


def test_the_first_python_3_11_builds_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = digests(project(tmp_path / "a"), tmp_path / "out-a")
    monkeypatch.delattr(tarfile, "data_filter")  # both came with 3.11.4
    monkeypatch.delattr(tarfile.TarInfo, "replace")
    assert digests(project(tmp_path / "b"), tmp_path / "out-b") == today


def test_the_wheel_is_made_of_the_sdist_not_of_the_folder(tmp_path: Path) -> None:
    digests(project(tmp_path / "acme"), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "acme_demo-1.0-py3-none-any.whl") as archive:
        members = {member.filename: member for member in archive.infolist()}
    assert "acme_demo/PKG-INFO" in members
    assert stat.S_IMODE(members["acme_demo/generated"].external_attr >> 16) == 0o644


SECRETS = ("AWS_SECRET_ACCESS_KEY", "TWINE_PASSWORD", "CODEARTIFACT_AUTH_TOKEN", "CI_JOB_TOKEN", "PIP_INDEX_URL")


def test_a_backend_sees_no_credentials(tmp_path: Path) -> None:
    source = project(tmp_path / "acme", before='raise SystemExit(" ".join(sorted(os.environ)))')
    with pytest.raises(SettingsError) as caught:
        digests(source, tmp_path / "out", HARMLESS="x", **dict.fromkeys(SECRETS, "x"))
    assert "HARMLESS" in str(caught.value)
    for name in SECRETS:
        assert name not in str(caught.value)


def test_a_backend_has_no_home_folder_of_ours(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".pypirc").write_text("password")
    read = 'print(open(os.path.expanduser("~/.pypirc")).read())'
    with pytest.raises(SettingsError, match="No such file"):
        digests(project(tmp_path / "acme", before=read), tmp_path / "out", HOME=str(tmp_path / "home"))


def test_a_backend_that_fails_is_quoted_and_leaves_nothing(tmp_path: Path) -> None:
    source = project(tmp_path / "acme", before='print("looking for a compiler"); raise SystemExit("none found")')
    with pytest.raises(SettingsError, match="cannot build acme") as caught:
        digests(source, tmp_path / "out")
    assert "looking for a compiler" in str(caught.value)
    assert "none found" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_was_built_before_stays_when_a_build_fails(tmp_path: Path) -> None:
    before = digests(project(tmp_path / "good"), tmp_path / "out")
    with pytest.raises(SettingsError):
        digests(project(tmp_path / "bad", before="1/0"), tmp_path / "out")
    assert {path.name: describe(path).sha256 for path in (tmp_path / "out").iterdir()} == before


def test_what_a_killed_build_left_goes_away_and_what_another_works_in_stays(tmp_path: Path) -> None:
    left, under_way = tmp_path / "out" / ".building-left", tmp_path / "out" / ".building-now"
    for folder in (left, under_way):
        (folder / "environment").mkdir(parents=True)
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    digests(project(tmp_path / "acme"), tmp_path / "out")
    assert (left.exists(), under_way.exists()) == (False, True)


def test_a_folder_without_pyproject_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"it has no pyproject\.toml"):
        digests(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[build-system\n", "parse"),
        ("[build-system]\nrequires = 'hatchling'\n", "requires"),
        (
            '[build-system]\nrequires = []\nbuild-backend = "no_such_backend"\nbackend-path = ["."]\n',
            "no_such_backend",
        ),
    ],
)
def test_a_pyproject_that_cannot_be_used_says_why(content: str, told: str, tmp_path: Path) -> None:
    source = tmp_path / "acme"
    source.mkdir()
    (source / "pyproject.toml").write_text(content)
    with pytest.raises(SettingsError, match=told):
        digests(source, tmp_path / "out")


def test_a_pyproject_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    source = project(tmp_path / "acme")
    (source / "pyproject.toml").write_bytes(b"[build-system]\nrequires = []\n# caf\xe9\n")
    with pytest.raises(SettingsError, match=r"pyproject\.toml is not UTF-8 \(byte 34\)"):
        digests(source, tmp_path / "out")


def test_a_backend_path_outside_the_project_is_refused(tmp_path: Path) -> None:
    source = project(tmp_path / "acme")
    (source / "pyproject.toml").write_text(PYPROJECT.format(requires="").replace('["."]', '["../.."]'))
    with pytest.raises(SettingsError, match="backend-path in pyproject"):
        digests(source, tmp_path / "out")


ELSEWHERE = 'os.path.join("..", "..", "..", "precious-1.0.tar.gz")'


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ('return "acme_demo-1.0.tar.gz"', "put no such file there"),
        ("return None", "answered no file name"),
        (f"return {ELSEWHERE}", "put no such file there"),
        ('open(os.path.join(folder, "acme.tgz"), "w"); return "acme.tgz"', "wrong name"),
        ('open(os.path.join(folder, "acme-1.0.zip"), "w"); return "acme-1.0.zip"', "not the sdist"),
        (
            'tarfile.open(os.path.join(folder, "acme-1.0.tar.gz"), "w").close(); return "acme-1.0.tar.gz"',
            "not a gzip",
        ),
        (
            'tarfile.open(os.path.join(folder, "acme-1.0.tar.gz"), "w:gz").close(); return "acme-1.0.tar.gz"',
            "holds nothing, not one folder",
        ),
    ],
)
def test_what_a_backend_says_it_built_has_to_be_there(before: str, told: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious-1.0.tar.gz"
    precious.write_text("somebody's own")
    with pytest.raises(SettingsError, match=told):
        digests(project(tmp_path / "acme", before=before), tmp_path / "out")
    assert precious.read_text() == "somebody's own"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_backend_that_asks_for_what_is_no_requirement_is_refused(tmp_path: Path) -> None:
    source = project(tmp_path / "acme")
    with (source / "backend.py").open("a") as backend:
        backend.write("\ndef get_requires_for_build_wheel(config_settings=None):\n    return [1]\n")
    with pytest.raises(SettingsError, match="asks for 1, which is no requirement"):
        digests(source, tmp_path / "out")


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write to"):
        digests(project(tmp_path / "acme"), tmp_path / "file" / "out")


def test_a_folder_in_the_place_of_a_built_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out" / "acme_demo-1.0.tar.gz").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"cannot write what was built .*Is a directory \(.*acme_demo-1"):
        digests(project(tmp_path / "acme"), tmp_path / "out")


def test_build_requirements_come_from_the_configured_index_and_nowhere_else(tmp_path: Path) -> None:
    def nothing(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 404)

    source = project(tmp_path / "acme", requires='"acme-build-tool==1.0"')
    with scripted(nothing) as index, scripted(nothing) as other:
        environ = {
            "PIP_INDEX_URL": f"{index.url.replace('://', '://user:hidden@')}simple/",
            "PIP_EXTRA_INDEX_URL": f"{other.url}simple/",
            "UV_EXTRA_INDEX_URL": f"{other.url}simple/",
            "UV_NO_CACHE": "1",
        }
        with pytest.raises(NotInstallable, match=r"acme-build-tool==1\.0 .* from http://127") as caught:
            digests(source, tmp_path / "out", **environ)
    assert any(seen.path == "/simple/acme-build-tool/" for seen in index.seen)
    assert other.seen == []
    assert "hidden" not in str(caught.value)


def test_the_sample_library_gives_the_same_bytes_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    copies = []
    for name, mask, stamp in (("one", 0o022, 10**9), ("two/deep er", 0o077, 1_700_000_001)):
        with umask(mask):
            source = tmp_path / name
            shutil.copytree(
                GLUEUTILS,
                source,
                copy_function=shutil.copyfile,
                ignore=shutil.ignore_patterns("dist", "__pycache__"),
            )
            for path in source.rglob("*"):
                os.utime(path, (stamp, stamp))
            home = tmp_path / f"home-{stamp}"
            home.mkdir()
            machine = {"one": {}, "two/deep er": {"TZ": "Asia/Tokyo", "LANG": "tr_TR", "HOME": str(home)}}[name]
            builder = ProjectBuild({**os.environ, **machine}, minimum_age=WEEK)
            built = builder.build(source, tmp_path / f"out-{stamp}")
            copies.append({file.filename: file.sha256 for file in built.files})
    assert copies[0] == copies[1]
    assert len(copies[0]) == 2


def test_describe_refuses_what_is_no_distribution(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SettingsError, match=r"notes\.txt"):
        describe(tmp_path / "notes.txt")
    with pytest.raises(SettingsError, match="cannot read"):
        describe(tmp_path / "acme-1.0.tar.gz")
