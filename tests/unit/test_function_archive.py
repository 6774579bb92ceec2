"""The zip of the function: a pure function of files, with nothing in it that ties it to this machine."""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from pathlib import Path

import pytest

from glue_pkgmgr.adapters import function_archive as module
from glue_pkgmgr.adapters.function_archive import function_archive, project_files
from glue_pkgmgr.core.function_archive import FunctionArchive
from glue_pkgmgr.errors import SettingsError
from tests.unit.verbs.locks import settings

FILES = {"glue_pkgmgr_project/glue-pkgmgr.toml": b"# settings"}


@pytest.fixture(scope="module")
def archive() -> FunctionArchive:
    return function_archive(FILES)


@pytest.fixture(scope="module")
def names(archive: FunctionArchive) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(archive.content)).namelist())


def test_the_same_files_give_the_same_bytes(archive: FunctionArchive) -> None:
    assert function_archive(dict(FILES)) == archive
    assert function_archive({**FILES, "more": b""}).sha256 != archive.sha256


def test_it_has_our_package_but_not_what_only_a_machine_of_ours_needs(names: set[str]) -> None:
    assert {"glue_pkgmgr/functions/launch.py", "glue_pkgmgr/project.py", *FILES} <= names
    assert not [name for name in names if name.startswith(("glue_pkgmgr/local", "glue_pkgmgr/cli"))]


def test_it_has_what_we_need_of_others_and_names_the_releases(archive: FunctionArchive, names: set[str]) -> None:
    assert {one.partition("==")[0] for one in archive.releases} >= {"botocore", "packaging", "requests", "urllib3"}
    assert {"botocore/session.py", "packaging/pylock.py", "certifi/cacert.pem"} <= names
    assert list(archive.releases) == sorted(archive.releases)


def test_what_else_our_files_import_is_for_what_no_function_does(
    archive: FunctionArchive, names: set[str]
) -> None:
    zipped = zipfile.ZipFile(io.BytesIO(archive.content))
    imported = set()
    for name in names:
        if name.startswith("glue_pkgmgr/") and name.endswith(".py"):
            for node in ast.walk(ast.parse(zipped.read(name))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.partition(".")[0])
    there = {name.partition("/")[0].removesuffix(".py") for name in names}
    # Building, publishing, proving, resolving; and ending processes, of which a function starts none.
    elsewhere = {"build", "cyclonedx", "packageurl", "psutil", "rich", "twine", "uv"}
    assert imported - there - set(sys.stdlib_module_names) <= elsewhere


def test_it_has_the_models_of_the_services_it_calls_only(names: set[str]) -> None:
    models = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert models == {"codeartifact", "glue", "logs", "s3", "sts"}
    assert "botocore/data/endpoints.json" in names


def test_it_runs_on_either_architecture_and_tells_nothing_of_this_machine(archive: FunctionArchive) -> None:
    zipped = zipfile.ZipFile(io.BytesIO(archive.content))
    assert not [name for name in zipped.namelist() if name.endswith((".so", ".pyc", "/RECORD", "direct_url.json"))]
    assert {info.date_time for info in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert str(Path.home()).encode() not in archive.content


def test_it_is_far_below_what_lambda_takes_directly(archive: FunctionArchive) -> None:
    assert len(archive.content) < 20_000_000  # of 50 MB zipped


def test_a_release_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NEEDED", ("surely-not-there",))
    with pytest.raises(SettingsError, match="surely-not-there is not installed"):
        function_archive({})


def test_a_project_without_a_lock_has_no_function(tmp_path: Path) -> None:
    made = settings(tmp_path)
    made.path.write_text("")
    made.policy.allowlist.write_text("")
    with pytest.raises(SettingsError, match=r"cannot read .*pylock\.toml"):
        project_files(made)
