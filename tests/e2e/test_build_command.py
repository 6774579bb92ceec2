"""`glue-pkgmgr build` as it is typed: files with digests, everything that is found in them, exit statuses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e.command import Command

SETTINGS = """
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "us-east-1"
store = "store"
repository = "approved"
[policy]
internal = ["acme"]
[publish]
projects = ["acme"]
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# Packs every file of the folder acme: what the author has left there gets into the release.
BACKEND = '''
import os, tarfile, zipfile

METADATA = """Metadata-Version: 2.4
Name: acme
Version: {version}
License-Expression: MIT
Requires-Python: >=3.7
Description-Content-Type: text/markdown

# acme
"""

def files():
    return [os.path.join(folder, name) for folder, _, names in os.walk("acme") for name in names]

def build_sdist(folder, config_settings=None):
    {before}
    with open("PKG-INFO", "w") as file:
        file.write(METADATA)
    with tarfile.open(os.path.join(folder, "acme-{version}.tar.gz"), "w:gz") as archive:
        for name in ["PKG-INFO", "pyproject.toml", "backend.py", *files()]:
            archive.add(name, "acme-{version}/" + name)
    return "acme-{version}.tar.gz"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "acme-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for one in files():
            archive.write(one)
        archive.writestr("acme-{version}.dist-info/METADATA", METADATA)
        archive.writestr("acme-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return name
'''


@pytest.fixture
def command(tmp_path: Path) -> Command:
    (tmp_path / "home").mkdir()
    (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
    (tmp_path / "acme" / "acme").mkdir(parents=True)
    (tmp_path / "acme" / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "acme" / "acme" / "__init__.py").write_text("x = 1\n")
    write(tmp_path)
    return Command.in_folder(tmp_path, tmp_path / "home")


def write(folder: Path, version: str = "1.0", before: str = "pass") -> None:
    (folder / "acme" / "backend.py").write_text(BACKEND.replace("{version}", version).replace("{before}", before))


def test_every_project_of_the_settings_is_built_and_its_digests_are_told(command: Command) -> None:
    done = command.run("build")
    assert done.returncode == 0, done.stderr
    built = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (command.folder / "acme/dist").iterdir()
    }
    assert built.keys() == {"acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"}
    assert all(f"{name} " in done.stdout and digest in done.stdout for name, digest in built.items())
    assert "error" not in done.stdout
    assert done.stderr == "building acme\npinning what acme is built with\n"


def test_a_program_gets_files_findings_and_inputs(command: Command) -> None:
    done = command.run("--json", "build", "acme", "--out", "out")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert [file["path"] for file in told["files"]] == ["out/acme-1.0.tar.gz", "out/acme-1.0-py3-none-any.whl"]
    assert told["findings"] == []
    [inputs] = told["inputs"]
    assert (inputs["lock_sha256"], inputs["requirements"]) == (None, [])
    assert not (command.folder / "acme" / "dist").exists()


def test_everything_that_is_wrong_is_told_at_once_and_the_status_says_so(command: Command) -> None:
    package = command.folder / "acme" / "acme"
    (package / ".env").write_text("PASSWORD=hunter2\n")
    (package / "old.pyc").write_text("")
    key = "AKIA" + "Z2X4C6V8B1N3M5L7"
    (package / "settings.py").write_text(f"KEY = '{key}'\n")
    done = command.run("build")
    assert done.returncode == 2
    for words in ("acme/.env: a file for secrets", "acme/old.pyc", "settings.py: an AWS access key in line 1"):
        assert words in done.stdout
    assert "not fit to be published: " in done.stderr
    assert key not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    as_json = command.run("--json", "build")
    assert as_json.returncode == 2
    assert {one["rule"] for one in json.loads(as_json.stdout)["findings"]} == {"secret", "cache"}


def test_a_development_version_is_built_only_to_be_looked_at(command: Command) -> None:
    write(command.folder, "1.1.dev3")
    done = command.run("build")
    assert done.returncode == 2
    assert "1.1.dev3 is a development version" in done.stdout
    assert command.run("build", "--allow-dev").returncode == 0


def test_a_backend_that_fails_is_quoted(command: Command) -> None:
    write(command.folder, before='raise SystemExit("no compiler found")')
    done = command.run("build")
    assert done.returncode == 2
    assert "cannot build acme" in done.stderr
    assert "no compiler found" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_project_is_named(command: Command) -> None:
    (command.folder / "empty").mkdir()
    for path, words in (("missing", "missing is not a folder"), ("empty", "it has no pyproject.toml")):
        done = command.run("build", path)
        assert done.returncode == 2
        assert words in done.stderr
