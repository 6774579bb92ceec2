"""Base environments and their clones, made by a real uv from a made index."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from glue_pkgmgr.cache import cache_folder, made_once
from glue_pkgmgr.errors import IndexAccessError, SettingsError
from glue_pkgmgr.local.jobs.environment import BaseEnvironment, base_environment, clone
from glue_pkgmgr.local.jobs.interpreters import nearest_python, python_for
from glue_pkgmgr.local.jobs.spark import machine_java
from tests.integration.local.glue_world import pip_pin, pip_wheel
from tests.integration.local.made_distributions import sdist, wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

ME = (sys.version_info[0], sys.version_info[1])
PYTHON = Path(os.path.realpath(sys.executable))


@pytest.fixture
def index() -> Iterator[UpstreamIndex]:
    with running_upstream() as upstream:
        upstream.add(pip_wheel())
        upstream.add(wheel("preset", "1.0", requires=["not-pinned"]))
        upstream.add(wheel("preset", "2.0"))
        upstream.add(sdist("source-only", "1.0"))
        yield upstream


def base(index: UpstreamIndex, cache: Path, *pins: str, said: list[str] | None = None) -> BaseEnvironment:
    say = (said if said is not None else []).append
    return base_environment("5.1", [pip_pin(), *pins], PYTHON, cache=cache, say=say, source=index.source)


def python(environment: Path, *arguments: str) -> str:
    finished = subprocess.run(
        [environment / "bin" / "python", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return finished.stdout.strip()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_the_base_holds_exactly_the_pins_without_their_dependencies(index: UpstreamIndex, tmp_path: Path) -> None:
    made = base(index, tmp_path, "preset==1.0")
    clone(made.folder, tmp_path / "run")

    listed = json.loads(python(tmp_path / "run", "-m", "pip", "list", "--format=json"))

    assert [f"{item['name']}=={item['version']}" for item in listed] == [pip_pin(), "preset==1.0"]
    assert made.left_out == {}


def test_the_base_is_made_once(index: UpstreamIndex, tmp_path: Path) -> None:
    said: list[str] = []
    first = base(index, tmp_path, "preset==1.0", said=said)
    asked = sum(index.requests.values())

    second = base(index, tmp_path, "preset==1.0", said=said)

    assert first == second
    assert len(said) == 1
    assert sum(index.requests.values()) == asked


def test_other_pins_make_another_base(index: UpstreamIndex, tmp_path: Path) -> None:
    assert base(index, tmp_path, "preset==1.0").folder != base(index, tmp_path, "preset==2.0").folder


def test_a_pin_without_a_wheel_is_left_out_and_named(index: UpstreamIndex, tmp_path: Path) -> None:
    pins = ("preset==1.0", "source-only==1.0", "unknown==3")

    made = base(index, tmp_path, *pins)

    assert set(made.left_out) == {"source-only==1.0", "unknown==3"}
    assert all(made.left_out.values())
    assert base(index, tmp_path, *pins).left_out == made.left_out


def test_an_index_that_fails_leaves_nothing_out_and_nothing_behind(index: UpstreamIndex, tmp_path: Path) -> None:
    index.faults["preset"] = "error"

    with pytest.raises(IndexAccessError, match="index reachable"):
        base(index, tmp_path, "preset==1.0", "unknown==3")

    assert not list(tmp_path.glob("environments/glue*")) + list(tmp_path.glob("environments/*partial*"))
    index.faults.clear()
    assert set(base(index, tmp_path, "preset==1.0", "unknown==3").left_out) == {"unknown==3"}


def test_the_pip_of_a_clone_changes_the_clone_only(index: UpstreamIndex, tmp_path: Path) -> None:
    made = base(index, tmp_path, "preset==1.0")
    before = contents(made.folder)
    clone(made.folder, tmp_path / "run")

    python(
        tmp_path / "run", "-m", "pip", "install", "--isolated", f"--index-url={index.source.url}", "preset==2.0"
    )
    version = python(tmp_path / "run", "-c", "import preset; print(preset.VERSION)")
    python(tmp_path / "run", "-m", "pip", "uninstall", "-y", "preset", "pip")

    assert version == "2.0"
    assert contents(made.folder) == before
    clone(made.folder, tmp_path / "next")
    assert python(tmp_path / "next", "-c", "import preset; print(preset.VERSION)") == "1.0"


def test_the_files_of_a_base_cannot_be_written_into(index: UpstreamIndex, tmp_path: Path) -> None:
    made = base(index, tmp_path, "preset==1.0")

    [module] = made.folder.rglob("preset/__init__.py")

    assert not module.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def test_the_scripts_of_a_clone_start_its_own_python(index: UpstreamIndex, tmp_path: Path) -> None:
    made = base(index, tmp_path, "preset==1.0")
    clone(made.folder, tmp_path / "run")

    shown = subprocess.run(
        [tmp_path / "run" / "bin" / "pip", "--version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert str(tmp_path / "run") in shown.stdout
    mentions = [
        path for path, content in contents(tmp_path / "run" / "bin").items() if b"/environments/" in content
    ]
    assert not mentions


def test_a_clone_is_made_where_links_cannot_be(
    index: UpstreamIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    made = base(index, tmp_path, "preset==1.0")
    monkeypatch.setattr(os, "link", no_links)
    clone(made.folder, tmp_path / "run")

    assert python(tmp_path / "run", "-c", "import preset; print(preset.VERSION)") == "1.0"


# -- the cache -----------------------------------------------------------------------------------------------


def test_the_cache_is_where_the_user_says() -> None:
    assert cache_folder({"GLUE_PKGMGR_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/glue-pkgmgr")
    assert cache_folder({"HOME": "/h"}) == Path("/h/.cache/glue-pkgmgr")


def test_of_two_at_once_one_makes_and_the_other_waits(tmp_path: Path) -> None:
    making = threading.Event()
    go_on = threading.Event()
    made: list[str] = []
    said: list[str] = []

    def slow(folder: Path) -> None:
        making.set()
        assert go_on.wait(30)
        (folder / "file").write_text("by the first")
        made.append("first")

    first = threading.Thread(target=made_once, args=(tmp_path / "thing", slow, said.append))
    first.start()
    assert making.wait(30)
    second = threading.Thread(
        target=made_once, args=(tmp_path / "thing", lambda _: made.append("second"), lambda text: go_on.set())
    )
    second.start()  # it says that it waits, which lets the first go on
    first.join(30)
    second.join(30)

    assert made == ["first"]
    assert (tmp_path / "thing" / "file").read_text() == "by the first"


def test_a_killed_maker_leaves_nothing_that_counts(tmp_path: Path) -> None:
    killed = f"""
import os, pathlib
from glue_pkgmgr.cache import made_once
def make(folder):
    (folder / "half").touch()
    os.kill(os.getpid(), 9)
made_once(pathlib.Path({str(tmp_path)!r}, "thing"), make, print)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run([sys.executable, "-c", killed], env=environment, timeout=30, check=False)
    assert finished.returncode == -9
    assert not (tmp_path / "thing").exists()

    made_once(tmp_path / "thing", lambda folder: (folder / "whole").touch(), print)

    assert [path.name for path in (tmp_path / "thing").iterdir()] == ["whole"]
    assert not list(tmp_path.glob(".thing.partial-*"))


def test_a_cache_that_cannot_be_written_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match="GLUE_PKGMGR_CACHE"):
        made_once(tmp_path / "file" / "thing", lambda _: None, print)


# -- interpreters and Java -----------------------------------------------------------------------------------


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def machine(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a machine whose programs and home are in `folder`."""
    return {"PATH": f"{folder / 'shims'}:{folder / 'bin'}", "HOME": str(folder), **variables}


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    name = "python{}.{}".format(*ME)
    program(tmp_path / "shims" / name, "echo 'command not found' >&2; exit 127")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / name).symlink_to(PYTHON)

    found = python_for(ME, machine(tmp_path))

    assert found is not None
    assert os.path.realpath(found) == str(PYTHON)


def test_an_interpreter_that_lies_about_its_version_or_is_none_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "shims" / "python3.99", "echo hello")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.99").symlink_to(PYTHON)

    assert python_for((3, 99), machine(tmp_path)) is None


@pytest.mark.parametrize(
    "place", [".pyenv/versions/{0}.{1}.9/bin/python3", ".local/share/uv/python/cpython-{0}.{1}.9-x/bin/python3"]
)
def test_what_pyenv_and_uv_have_installed_is_found(tmp_path: Path, place: str) -> None:
    link = tmp_path / place.format(*ME)
    link.parent.mkdir(parents=True)
    link.symlink_to(PYTHON)

    assert python_for(ME, machine(tmp_path)) is not None


def test_the_interpreter_behind_a_virtual_environment_is_meant(tmp_path: Path) -> None:
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=60)

    found = python_for(ME, {"PATH": str(tmp_path / "venv" / "bin"), "HOME": str(tmp_path)})

    assert found is not None
    assert tmp_path not in found.parents


def test_the_nearest_interpreter_is_found(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(PYTHON)

    found = nearest_python((ME[0], ME[1] + 1), machine(tmp_path))

    assert found is not None
    assert found[0] == ME
    assert nearest_python(ME, {"PATH": "/nonexistent", "HOME": "/nonexistent"}) is None


def java(path: Path, version: str) -> Path:
    home = path.parent.parent
    return program(
        path, f'echo "    java.home = {home}" >&2; echo "    java.specification.version = {version}" >&2'
    )


@pytest.mark.parametrize(
    ("version", "spark", "suits"),
    [
        ("17", "3.5.6", True),
        ("21", "4.1.1", True),
        ("1.8", "3.5.6", False),
        ("11", "3.5.4", False),
        ("24", "3.5.6", False),
        ("1.8", "3.3.0", True),
        ("17", "3.3.0", True),
        ("21", "3.3.0", False),
    ],
)
def test_java_must_suit_the_spark(tmp_path: Path, version: str, spark: str, suits: bool) -> None:
    java(tmp_path / "bin" / "java", version)

    assert machine_java(spark, machine(tmp_path)) == (tmp_path if suits else None)


def test_java_home_comes_first_and_a_broken_java_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "shims" / "java", "echo 'No Java runtime present' >&2; exit 1")
    java(tmp_path / "bin" / "java", "17")
    java(tmp_path / "chosen" / "bin" / "java", "17")

    assert machine_java("3.5.6", machine(tmp_path)) == tmp_path
    assert machine_java("3.5.6", machine(tmp_path, JAVA_HOME=str(tmp_path / "chosen"))) == tmp_path / "chosen"


def test_a_machine_without_java_has_none(tmp_path: Path) -> None:
    assert machine_java("3.5.6", machine(tmp_path)) is None
