"""A release is withdrawn and restored: what real pip and uv get then, with a valid token."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from packaging.version import Version

from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.repository import RepositoryAddress, Status
from glue_pkgmgr.errors import NotApproved, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.process import Finished, run
from glue_pkgmgr.project import Project
from tests.integration.local.made_distributions import sdist, wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, REGION, Service, running_service

BIN = Path(sys.executable).parent
APPROVED = RepositoryAddress(domain=DOMAIN, owner=ACCOUNT, region=REGION, repository="approved")
OURS, OLD, NEW = project_name("made-own"), Version("0.1.0"), Version("0.2.0")
RELEASE = "made-own==0.2.0"
SETTINGS = f"""\
[codeartifact]
domain = "{DOMAIN}"
owner = "{ACCOUNT}"
region = "{REGION}"
store = "pypi-store"
repository = "approved"

[policy]
internal = ["made-own"]

[bundles.one]
modules = ["made-own"]
glue-version = "5.1"
"""


@dataclass
class World:
    """A project with its service, a file of the release `RELEASE`, and a token that stays valid."""

    service: Service
    project: Project
    folder: Path
    token: str

    @property
    def codeartifact(self) -> CodeArtifact:
        return CodeArtifact(self.service.client)

    def status(self, version: Version = NEW) -> Status:
        return self.codeartifact.versions(APPROVED, OURS)[version]

    def file(self, filename: str = "made_own-0.2.0-py3-none-any.whl") -> int:
        """Ask for a file by its address, as a client would that has read the page before; return the answer."""
        url = f"{self.service.endpoint('approved')}simple/made-own/0.2.0/{filename}"
        return requests.get(url, auth=("aws", self.token), timeout=30).status_code

    def install(self, installer: str, requirement: str = RELEASE) -> Finished:
        target = self.folder / "installed"
        shutil.rmtree(target, ignore_errors=True)
        words = {
            "pip": (BIN / "pip", "install", "--no-cache-dir", "--retries", "0"),
            "uv": (BIN / "uv", "pip", "install", "--no-cache", "--python", sys.executable),
        }[installer]
        url = self.service.index_url("approved", self.token)
        environment = {**installer_environment(os.environ, None), "HOME": str(self.folder)}
        options = ("--no-deps", "--only-binary", ":all:", "--target", target, "--index-url", url)
        finished = run([*words, *options, requirement], env=environment, timeout=120, cwd=self.folder)
        assert self.token not in finished.stdout + finished.stderr
        return finished


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running_service(tmp_path / "state") as service:
        service.usual_repositories()
        for version in (OLD, NEW):
            assert service.upload("approved", wheel("made-own", str(version))).ok
        assert service.upload("approved", sdist("made-own", str(NEW))).ok
        (tmp_path / "glue-pkgmgr.toml").write_text(SETTINGS)
        (tmp_path / "allowlist.toml").write_text("# reviewed in git\n")
        environ = {
            "AWS_ENDPOINT_URL": service.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "GLUE_PKGMGR_CACHE": str(tmp_path / "cache"),
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "no_proxy": "*",
        }
        project = Project.load(tmp_path / "glue-pkgmgr.toml", environ=environ)
        project.approve(["made-own>=0.1"], by="ann", reason="ours")
        yield World(service, project, tmp_path, service.token())


def withdraw(world: World) -> None:
    world.project.withdraw(RELEASE, by="ann", reason="deletes the table")


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_withdrawn_release_is_refused_to_an_installer_with_a_valid_token_until_it_is_restored(
    world: World, installer: str
) -> None:
    assert world.install(installer).ok
    withdraw(world)
    refused = world.install(installer)
    assert not refused.ok
    assert "made-own" in refused.stderr
    assert world.install(installer, "made-own==0.1.0").ok
    world.project.restore(RELEASE)
    assert world.install(installer).ok


def test_no_file_of_it_is_handed_out_and_it_is_on_no_page(world: World) -> None:
    files = ("made_own-0.2.0-py3-none-any.whl", "made_own-0.2.0.tar.gz")
    found = [world.file(name) for name in files]
    withdraw(world)
    assert (found, [world.file(name) for name in files]) == ([200, 200], [404, 404])
    page = world.service.get("approved", "simple/made-own/").text
    assert "0.1.0" in page
    assert "0.2.0" not in page
    world.project.restore(RELEASE)
    assert [world.file(name) for name in files] == [200, 200]


def test_withdrawing_and_restoring_may_be_repeated_and_keeps_the_files(world: World) -> None:
    before = world.codeartifact.assets(APPROVED, OURS, NEW)
    text = (world.folder / "allowlist.toml").read_text()
    for _ in range(2):
        withdraw(world)
        assert (world.status(), world.status(OLD)) == (Status.ARCHIVED, Status.PUBLISHED)
    for _ in range(2):
        world.project.restore(RELEASE)
        assert world.status() is Status.PUBLISHED
    assert world.codeartifact.assets(APPROVED, OURS, NEW) == before
    assert (world.folder / "allowlist.toml").read_text() == text


def test_lock_takes_an_older_release_and_names_the_reason_where_there_is_none(world: World) -> None:
    assert [str(pin) for pin in world.project.lock()[0].lock.pins] == [RELEASE]
    withdraw(world)
    with pytest.raises(NotApproved, match=r"made-own==0\.2\.0 is withdrawn by ann: deletes the table"):
        world.project.lock_check()
    assert [str(pin) for pin in world.project.lock()[0].lock.pins] == ["made-own==0.1.0"]
    refused = world.project.check("made-own>=0.2")
    assert (refused.allowed, refused.exit_code) == (False, NotApproved.exit_code)
    assert refused.refusal is not None
    assert "0.2.0: withdrawn (by ann: deletes the table)" in str(refused.refusal.error())


def test_the_lock_that_names_it_is_good_again_after_a_restore(world: World) -> None:
    world.project.lock()
    uses = world.project.uses(RELEASE)
    assert (uses.bundles, uses.launches) == (("one",), ())
    withdraw(world)
    world.project.restore(RELEASE)
    assert not world.project.lock_check()[0].changed


def test_a_status_that_is_not_the_expected_one_is_left_and_told(world: World) -> None:
    with pytest.raises(
        RemoteError, match=r"to Archived: .*\(MISMATCHED_STATUS\), where Unlisted was expected; run"
    ):
        world.codeartifact.set_status(APPROVED, OURS, NEW, Status.ARCHIVED, expected=Status.UNLISTED)
    assert world.status() is Status.PUBLISHED


def test_a_release_that_is_not_there_has_no_status(world: World) -> None:
    with pytest.raises(RemoteError, match="NOT_FOUND"):
        world.codeartifact.set_status(APPROVED, OURS, Version("9"), Status.ARCHIVED, expected=Status.PUBLISHED)
    for absent in ("made-own==9", "made-own==0.2.0+x"):
        with pytest.raises(NotInstallable, match=r"it holds 0\.1\.0, 0\.2\.0"):
            world.project.withdraw(absent, by="ann", reason="why")


def test_what_was_disposed_of_cannot_be_withdrawn_any_more(world: World) -> None:
    world.service.client.dispose_package_versions(
        domain=DOMAIN, repository="approved", format="pypi", package="made-own", versions=["0.2.0"]
    )
    with pytest.raises(NotInstallable, match=r"is Disposed in .*: its files are gone for good"):
        withdraw(world)


def test_a_release_of_others_is_not_withdrawn(world: World) -> None:
    with pytest.raises(SettingsError, match="six is not a project of ours"):
        world.project.withdraw("six==1.17.0", by="ann", reason="why")
