"""What a build has installed: pinned once, by hash, old enough, and exactly that ever after."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.adapters.build import ProjectBuild
from glue_pkgmgr.core.build_lock import FILENAME
from glue_pkgmgr.core.built_project import BuiltProject
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError, NotInstallable, SettingsError
from tests.integration.adapters.distributions import wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=30)
AGE = timedelta(days=7)

PYPROJECT = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import os, tarfile, zipfile
import acme_build

def get_requires_for_build_sdist(config_settings=None):
    return [{asked}]

def get_requires_for_build_wheel(config_settings=None):
    return [{asked}]

def build_sdist(folder, config_settings=None):
    with tarfile.open(os.path.join(folder, "acme-1.0.tar.gz"), "w:gz") as archive:
        for name in ("pyproject.toml", "backend.py"):
            archive.add(name, "acme-1.0/" + name)
    return "acme-1.0.tar.gz"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("acme.py", "built_with = " + repr(acme_build.x))
        archive.writestr("acme-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: acme\\nVersion: 1.0\\n")
        archive.writestr("acme-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return name
"""


class World:
    """An index with releases of `acme-build`, and a project that is built with it."""

    def __init__(self, index: UpstreamIndex, folder: Path) -> None:
        self.index, self.folder, self.source = index, folder, folder / "acme"
        self.told: list[str] = []
        self.source.mkdir()
        self.project()

    def project(self, requires: str = '"acme-build"', asked: str = "") -> None:
        (self.source / "pyproject.toml").write_text(PYPROJECT.format(requires=requires))
        (self.source / "backend.py").write_text(BACKEND.format(asked=asked))

    def release(self, version: str, project: str = "acme-build", uploaded: datetime | None = OLD) -> None:
        made = wheel(self.folder, project, version, f"x = {version!r}\n")
        self.index.add((made.name, made.read_bytes()), uploaded=uploaded)

    def build(self, *, renew: bool = False, now: datetime = NOW, age: timedelta = AGE) -> BuiltProject:
        environ = {**os.environ, "PIP_INDEX_URL": self.index.source.url, "UV_NO_CACHE": "1"}
        # Each time another cache: what was fetched before must not hide what the index says now.
        environ["UV_CACHE_DIR"] = str(self.folder / f"cache-{len(list(self.folder.glob('cache-*')))}")
        Path(environ["UV_CACHE_DIR"]).mkdir()
        builder = ProjectBuild(environ, minimum_age=age, clock=lambda: now, progress=self.told.append)
        return builder.build(self.source, self.folder / "out", renew=renew)

    @property
    def lock(self) -> Path:
        return self.source / FILENAME

    def refused(self, kind: type[GluePkgmgrError], **options: bool) -> str:
        with pytest.raises(kind) as caught:
            self.build(**options)
        assert type(caught.value) is kind or kind is SettingsError
        return str(caught.value)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running_upstream() as index:
        made = World(index, tmp_path)
        made.release("1.0")
        yield made


def pins(built: BuiltProject) -> list[str]:
    return [str(pin) for pin in built.inputs.pins]


def test_the_first_build_pins_what_it_needs_and_says_so(world: World) -> None:
    built = world.build()
    assert pins(built) == ["acme-build==1.0"]
    assert world.told[-1] == f"wrote {world.lock}: keep it in git"
    assert built.inputs.lock_sha256 is not None
    assert str(world.index.port) not in world.lock.read_text()
    assert "127.0.0.1" not in world.lock.read_text()


def test_later_releases_change_nothing_until_pins_are_renewed(world: World) -> None:
    before = world.build()
    text = world.lock.read_text()
    world.release("2.0")
    world.told.clear()
    assert world.build(now=NOW + timedelta(days=400)) == before
    assert world.told == ["building acme"]  # and nothing of pins
    assert world.lock.read_text() == text
    assert pins(world.build(renew=True)) == ["acme-build==2.0"]
    assert pins(world.build()) == ["acme-build==2.0"]


def test_a_release_younger_than_the_minimum_age_is_not_pinned(world: World) -> None:
    world.release("2.0", uploaded=NOW - timedelta(days=6))
    assert pins(world.build()) == ["acme-build==1.0"]
    assert pins(world.build(renew=True, now=NOW + timedelta(days=1, minutes=1))) == ["acme-build==2.0"]


def test_without_a_minimum_age_the_newest_is_pinned(world: World) -> None:
    world.release("2.0", uploaded=NOW - timedelta(minutes=1))
    assert pins(world.build(age=timedelta(0))) == ["acme-build==2.0"]


def test_a_release_whose_upload_time_is_not_told_is_never_pinned(world: World) -> None:
    world.project(requires='"acme-build==2.0"')
    world.release("2.0", uploaded=None)
    text = world.refused(NotInstallable)
    assert "acme-build==2.0 cannot be pinned" in text
    assert "uploaded before 2026-06-23 12:00 UTC" in text
    assert not world.lock.exists()


def test_what_the_backend_asks_for_beside_it_is_pinned_too(world: World) -> None:
    world.release("1.0", "acme-extra")
    world.project(asked='"acme-extra>=1"')
    assert pins(world.build()) == ["acme-build==1.0", "acme-extra==1.0"]
    requests = world.index.requests.copy()
    world.build()
    assert world.index.requests["acme_extra-1.0-py3-none-any.whl"] > requests["acme_extra-1.0-py3-none-any.whl"]


def test_pins_that_no_longer_fit_pyproject_are_an_error_that_says_how_to_renew(world: World) -> None:
    world.build()
    world.release("2.0")
    world.project(requires='"acme-build==2.0"')
    text = world.refused(SettingsError)
    assert "'acme-build==2.0' was not pinned" in text
    assert "`glue-pkgmgr build --lock" in text
    assert pins(world.build(renew=True)) == ["acme-build==2.0"]


def test_a_backend_that_asks_for_more_than_is_pinned_gets_nothing(world: World) -> None:
    world.build()
    world.release("1.0", "acme-extra")
    world.project(asked='"acme-extra"')
    assert "asks for 'acme-extra', which is not pinned" in world.refused(SettingsError)
    assert world.index.requests["acme-extra"] == 0


def test_other_bytes_than_pinned_are_never_installed(world: World) -> None:
    world.build()
    text = world.lock.read_text()
    world.lock.write_text(re.sub(r'sha256 = "\w+"', f'sha256 = "{"0" * 64}"', text))
    assert "serves other bytes than pylock.build.toml pins" in world.refused(NotInstallable)
    world.lock.write_text(text)
    evil = wheel(world.folder, "acme-build", "1.0", "x = 'evil'\n")
    world.index.add((evil.name, evil.read_bytes()), uploaded=OLD)
    assert "serves other bytes" in world.refused(NotInstallable)


@pytest.mark.parametrize(
    "text", ["not toml [", "lock-version = '1.0'\ncreated-by = 'x'\npackages = []\n", "\udcff"]
)
def test_a_lock_that_cannot_be_read_is_named(text: str, world: World) -> None:
    world.lock.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert str(world.lock) in world.refused(SettingsError)


def test_an_index_that_is_down_is_told(world: World) -> None:
    world.index.faults["acme-build"] = "error"
    assert "acme-build" in world.refused(IndexAccessError)
    assert not world.lock.exists()
    world.index.faults.clear()
    world.build()
    world.index.faults["acme-build"] = "error"
    assert "cannot install the build requirements acme-build==1.0" in world.refused(IndexAccessError)


def test_a_requirement_that_is_an_address_is_refused_before_anything_is_fetched(world: World) -> None:
    world.project(requires='"acme-build @ https://example.com/acme_build-1.0-py3-none-any.whl"')
    assert "cannot be pinned" in world.refused(SettingsError)
    assert not world.index.requests


def test_a_folder_that_cannot_be_written_is_named(world: World) -> None:
    world.lock.mkdir()
    (world.lock / "full").touch()
    assert str(world.lock) in world.refused(SettingsError)
    assert "cannot write" in world.refused(SettingsError, renew=True)


def test_pins_that_fail_to_be_renewed_stay_as_they_were(world: World) -> None:
    world.build()
    text = world.lock.read_text()
    world.index.faults["acme-build"] = "error"
    world.refused(IndexAccessError, renew=True)
    assert world.lock.read_text() == text
    assert list(world.source.glob(".pylock*")) == []
