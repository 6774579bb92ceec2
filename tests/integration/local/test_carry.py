"""An archive on its way between two places that know nothing of each other, each with a stand-in of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.core.runtime import RUNTIMES
from glue_pkgmgr.errors import NotApproved, NotInstallable
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.process import Finished, run
from glue_pkgmgr.project import Project
from tests.integration.local.made_distributions import sha256, wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, REGION, Service, running_service
from tests.made_archives import ALLOWLIST, carried_lock, made_pin

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
ACME, DEP = (
    wheel("acme", "1.0", requires=["dep"], payload=b"#" * 100_000),
    wheel("dep", "2.0", payload=b"# good\n"),
)
GLUE = next((version for version, it in RUNTIMES.items() if it.python == sys.version_info[:2]), None)
LOCK = f"pylock.taxi-glue-{(GLUE or '').replace('.', '-')}.toml"
SETTINGS = f"""\
[codeartifact]
domain = "{DOMAIN}"
owner = "{ACCOUNT}"
region = "{REGION}"
store = "pypi-store"
repository = "approved"

[policy]
internal = ["acme"]

[bundles.taxi]
modules = ["acme"]
glue-version = "{GLUE or "5.1"}"
"""

# Runs a verb on a project, and dies as if the machine lost its power when the second file is to be sent.
DYING = """
import os, sys
from pathlib import Path
from glue_pkgmgr.adapters import simple_index, upload
from glue_pkgmgr.project import Project

def dying_the_second_time(kind, name):
    method, times = getattr(kind, name), []
    def called(self, *arguments):
        times.append(arguments)
        if len(times) > 1:
            os.kill(os.getpid(), 9)
        return method(self, *arguments)
    setattr(kind, name, called)

dying_the_second_time(upload.TwineUploader, "upload")
dying_the_second_time(simple_index.SimpleIndex, "download")
getattr(Project.load(Path(sys.argv[2])), sys.argv[1])(Path(sys.argv[3]))
"""

pytestmark = pytest.mark.skipif(GLUE is None, reason="no Glue version has this Python")


@dataclass
class Place:
    """A project in `folder`, and the stand-in it works with."""

    folder: Path
    service: Service

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.service.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "GLUE_PKGMGR_CACHE": str(self.folder / "cache"),
            "no_proxy": "*",
        }

    @property
    def settings(self) -> Path:
        return self.folder / "glue-pkgmgr.toml"

    @property
    def project(self) -> Project:
        return Project.load(self.settings, environ=self.environ)

    def killed(self, verb: str, path: Path) -> None:
        """Run a verb of the project in a process that dies in the middle of it."""
        environ = {**os.environ, **self.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", DYING, verb, self.settings, path]
        finished = subprocess.run(command, env=environ, cwd=self.folder, check=False, timeout=60)
        assert finished.returncode == -signal.SIGKILL

    def held(self) -> dict[str, str]:
        """Return the SHA-256 of every file of the approved repository."""
        client, where = self.service.client, {"domain": DOMAIN, "repository": "approved"}
        found = {}
        for package in client.list_packages(**where)["packages"]:
            one = {**where, "format": "pypi", "package": package["package"]}
            for version in client.list_package_versions(**one)["versions"]:
                told = client.list_package_version_assets(**one, packageVersion=version["version"])
                found.update({asset["name"]: asset["hashes"]["SHA-256"] for asset in told["assets"]})
        return found

    def origin(self, project: str) -> Any:
        package = self.service.client.describe_package(
            domain=DOMAIN, repository="approved", format="pypi", package=project
        )["package"]
        return package["originConfiguration"]["restrictions"]


def place(folder: Path, service: Service) -> Place:
    made = Place(folder, service)
    service.usual_repositories()
    made.settings.write_text(SETTINGS)
    return made


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """The place with a connection: approvals, a lock, and its wheels in the approved repository."""
    with running_service(tmp_path / "here" / "state") as service:
        made = place(tmp_path / "here", service)
        (made.folder / "allowlist.toml").write_bytes(ALLOWLIST)
        lock = carried_lock(made_pin(ACME, internal=True), made_pin(DEP, wanted_by=["acme"]), glue=GLUE or "5.1")
        (made.folder / "locks").mkdir()
        (made.folder / "locks" / f"taxi.glue-{GLUE}.pylock.toml").write_bytes(lock.content)
        for one in (ACME, DEP):
            assert service.upload("approved", one).ok
        yield made


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Place]:
    """The place without one: its own stand-in, and settings only."""
    with running_service(tmp_path / "there" / "state") as service:
        yield place(tmp_path / "there", service)


def tool(*args: str | Path, home: Path, **variables: str) -> Finished:
    """Run an installer that can reach this machine's files and servers, and nothing else."""
    dead = "http://127.0.0.1:9"
    environment = {
        **installer_environment(os.environ, None),
        "HOME": str(home),
        "PYTHONNOUSERSITE": "1",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), dead),
        "NO_PROXY": "127.0.0.1",
    }
    return run([BIN / args[0], *args[1:]], env={**environment, **variables}, timeout=120, cwd=home)


def installed(target: Path) -> set[str]:
    return {folder.name.removesuffix(".dist-info") for folder in target.glob("*.dist-info")}


PIP = ("pip", "install", "--no-cache-dir", "--retries", "0")
UV = ("uv", "pip", "install", "--no-cache", "--python", sys.executable)


class TestFromPlaceToPlace:
    def test_what_was_exported_here_is_what_the_other_place_holds(
        self, here: Place, there: Place, tmp_path: Path
    ) -> None:
        exported = here.project.mirror_export(tmp_path / "made.tar")
        imported = there.project.mirror_import(tmp_path / "made.tar", sha256=exported.sha256)
        assert there.held() == here.held()
        assert [wheel.filename for wheel in imported.uploaded] == [ACME[0], DEP[0]]
        assert [locked.bundle for locked in there.project.lock_check()] == ["taxi"]
        for name in ("allowlist.toml", f"locks/taxi.glue-{GLUE}.pylock.toml"):
            assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes()

    def test_what_the_other_place_exports_is_the_same_archive(
        self, here: Place, there: Place, tmp_path: Path
    ) -> None:
        first = here.project.mirror_export(tmp_path / "first.tar")
        there.project.mirror_import(first.path)
        second = there.project.mirror_export(tmp_path / "second.tar")
        assert second.path.read_bytes() == first.path.read_bytes()

    def test_clients_of_the_other_place_install_it(self, here: Place, there: Place, tmp_path: Path) -> None:
        here.project.mirror_export(tmp_path / "made.tar")
        there.project.mirror_import(tmp_path / "made.tar")
        url = there.service.index_url("approved")
        for command in (PIP, UV):
            target = tmp_path / command[0]
            finished = tool(*command, "--index-url", url, "--target", target, "acme", home=tmp_path)
            assert finished.ok, finished.stderr
            assert installed(target) == {"acme-1.0", "dep-2.0"}

    def test_only_our_own_projects_may_be_published_to_afterwards(
        self, here: Place, there: Place, tmp_path: Path
    ) -> None:
        here.project.mirror_export(tmp_path / "made.tar")
        there.project.mirror_import(tmp_path / "made.tar")
        assert there.origin("acme") == {"publish": "ALLOW", "upstream": "BLOCK"}
        assert there.origin("dep") == {"publish": "BLOCK", "upstream": "BLOCK"}
        assert not there.service.upload("approved", wheel("dep", "6.6")).ok

    def test_no_host_and_no_secret_is_carried(self, here: Place, tmp_path: Path) -> None:
        path = here.project.mirror_export(tmp_path / "made.tar").path
        carried = path.read_bytes().replace(ACME[1], b"").replace(DEP[1], b"")
        for secret in (b"http", b"127.0.0.1", DOMAIN.encode(), ACCOUNT.encode(), str(tmp_path).encode()):
            assert secret not in carried

    def test_what_is_approved_no_more_is_not_exported(self, here: Place, tmp_path: Path) -> None:
        here.project.revoke(["dep"])
        with pytest.raises(NotApproved, match=r"dep==2\.0 is not approved"):
            here.project.mirror_export(tmp_path / "made.tar")
        assert not list(tmp_path.glob("*made.tar*"))

    def test_other_bytes_in_the_approved_repository_are_not_exported(self, here: Place, tmp_path: Path) -> None:
        here.service.client.delete_package_versions(
            domain=DOMAIN, repository="approved", format="pypi", package="dep", versions=["2.0"]
        )
        assert here.service.upload("approved", wheel("dep", "2.0", payload=b"# evil\n")).ok
        with pytest.raises(NotInstallable, match="not what was promised"):
            here.project.mirror_export(tmp_path / "made.tar")
        assert not list(tmp_path.glob("*made.tar*"))

    def test_a_changed_archive_leaves_the_other_place_as_it_was(
        self, here: Place, there: Place, tmp_path: Path
    ) -> None:
        path = here.project.mirror_export(tmp_path / "made.tar").path
        path.write_bytes(path.read_bytes().replace(b"VERSION = '2.0'", b"VERSION = '6.6'", 1))
        with pytest.raises(NotInstallable, match=r"dep/dep-2\.0-py3-none-any\.whl was changed"):
            there.project.mirror_import(path)
        assert there.held() == {}
        assert there.service.client.list_packages(domain=DOMAIN, repository="approved")["packages"] == []
        assert {one.name for one in there.folder.iterdir()} == {"state", "glue-pkgmgr.toml"}


class TestPowerCuts:
    def test_an_import_killed_between_two_uploads_is_completed_by_the_next_one(
        self, here: Place, there: Place, tmp_path: Path
    ) -> None:
        path = here.project.mirror_export(tmp_path / "made.tar").path
        there.killed("mirror_import", path)
        assert list(there.held()) == [ACME[0]]
        assert there.origin("dep") == {"publish": "ALLOW", "upstream": "BLOCK"}
        imported = there.project.mirror_import(path)
        assert [wheel.filename for wheel in imported.uploaded] == [DEP[0]]
        assert there.held() == here.held()
        assert there.origin("dep") == {"publish": "BLOCK", "upstream": "BLOCK"}

    def test_an_export_killed_between_two_wheels_leaves_no_archive_and_is_completed_by_the_next_one(
        self, here: Place, tmp_path: Path
    ) -> None:
        path = tmp_path / "made.tar"
        here.killed("mirror_export", path)
        assert not path.exists()
        here.project.mirror_export(path)
        assert [one.name for one in tmp_path.iterdir() if one.name.lstrip(".").startswith("made")] == ["made.tar"]


class TestCommandLine:
    @pytest.fixture
    def command(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
        def command(at: Place, status: int, *words: str | Path) -> tuple[str, str]:
            for name, value in at.environ.items():
                monkeypatch.setenv(name, value)
            assert main(["--config", str(at.settings), *map(str, words)]) == status
            return capsys.readouterr()

        return command

    def test_export_tells_the_digest_to_carry_by_another_way(
        self, here: Place, tmp_path: Path, command: Callable[..., Any]
    ) -> None:
        path = tmp_path / "made.tar"
        out, err = command(here, 0, "mirror", "export", path)
        digest = sha256(path)
        assert f"SHA-256 {digest}" in out
        assert f"{path}: 2 wheels, {path.stat().st_size} bytes" in out
        assert LOCK in out
        assert err.splitlines() == [f"fetching {ACME[0]}", f"fetching {DEP[0]}", "writing made.tar"]
        told = json.loads(command(here, 0, "--json", "mirror", "export", path, "--force")[0])
        assert (told["file"], told["sha256"], told["size"]) == (str(path), digest, path.stat().st_size)
        assert told["locks"] == [LOCK]
        assert told["wheels"][1] == {
            "project": "dep",
            "version": "2.0",
            "filename": DEP[0],
            "sha256": sha256(DEP[1]),
            "size": len(DEP[1]),
        }

    def test_an_existing_file_needs_force(self, here: Place, tmp_path: Path, command: Callable[..., Any]) -> None:
        (tmp_path / "made.tar").write_text("another one")
        _, err = command(here, 2, "mirror", "export", tmp_path / "made.tar")
        assert "--force" in err

    def test_import_tells_what_it_did(
        self, here: Place, there: Place, tmp_path: Path, command: Callable[..., Any]
    ) -> None:
        path = here.project.mirror_export(tmp_path / "made.tar").path
        out, err = command(there, 0, "mirror", "import", path, "--sha256", sha256(path))
        assert [line.split(maxsplit=1) for line in out.splitlines()] == [
            ["file", "what"],
            [f"taxi.glue-{GLUE}.pylock.toml", "written"],
            ["allowlist.toml", "written"],
            [ACME[0], "uploaded"],
            [DEP[0], "uploaded"],
            ["SHA-256", f"of made.tar {sha256(path)}"],
        ]
        assert f"uploading {DEP[0]} to {DOMAIN}/approved" in err
        told = json.loads(command(there, 0, "--json", "mirror", "import", path)[0])
        assert [file["change"] for file in told["files"]] == ["unchanged", "unchanged"]
        assert (told["uploaded"], [one["filename"] for one in told["already"]]) == ([], [ACME[0], DEP[0]])
        assert (told["sha256"], told["repository"]) == (sha256(path), f"{DOMAIN}/approved")

    def test_every_refusal_has_its_status(
        self, here: Place, there: Place, tmp_path: Path, command: Callable[..., Any]
    ) -> None:
        path = here.project.mirror_export(tmp_path / "made.tar").path
        (there.folder / "allowlist.toml").write_text("# ours\n")
        assert "nothing was changed" in command(there, 4, "mirror", "import", path, "--sha256", "0" * 64)[1]
        assert "--replace-files" in command(there, 3, "mirror", "import", path)[1]
        assert "cannot read" in command(there, 2, "mirror", "import", tmp_path / "absent.tar")[1]
        assert there.held() == {}
        command(there, 0, "mirror", "import", path, "--replace-files")
        assert there.held() == here.held()


@pytest.fixture
def unpacked(here: Place, tmp_path: Path) -> Path:
    """The archive, unpacked with tar, in a folder whose name needs quoting."""
    path = here.project.mirror_export(tmp_path / "made.tar").path
    folder = tmp_path / "un packed+"
    folder.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
    return folder


class TestUnpacked:
    @pytest.mark.parametrize("options", [(*PIP, "--no-index"), (*UV, "--no-index")], ids=["pip", "uv"])
    def test_installers_take_the_lock(self, options: tuple[str, ...], unpacked: Path, tmp_path: Path) -> None:
        self.check(options, ["-r", unpacked / LOCK], tmp_path)

    @pytest.mark.parametrize("options", [PIP, UV], ids=["pip", "uv"])
    def test_installers_take_it_for_an_index(
        self, options: tuple[str, ...], unpacked: Path, tmp_path: Path
    ) -> None:
        self.check(options, ["--index-url", f"{unpacked.as_uri()}/simple/", "acme"], tmp_path)

    @pytest.mark.parametrize(
        ("options", "variables"),
        [
            ((*PIP, "--no-index", "-r"), {}),
            ((*UV, "--no-index", "-r"), {}),
            (PIP, {"PIP_INDEX_URL": ""}),
            (UV, {"UV_DEFAULT_INDEX": ""}),
        ],
        ids=["pip lock", "uv lock", "pip index", "uv index"],
    )
    def test_installers_refuse_a_wheel_that_was_changed(
        self, options: tuple[str, ...], variables: Mapping[str, str], unpacked: Path, tmp_path: Path
    ) -> None:
        (unpacked / "dep" / DEP[0]).write_bytes(wheel("dep", "2.0", payload=b"# evil\n")[1])
        wanted = "acme" if variables else unpacked / LOCK
        index = {name: f"{unpacked.as_uri()}/simple/" for name in variables}
        finished = tool(*options, wanted, "--target", str(tmp_path / "target"), home=tmp_path, **index)
        assert not finished.ok
        assert "hash" in finished.stderr.lower()

    def check(self, options: tuple[str, ...], wanted: list[str | Path], tmp_path: Path) -> None:
        target = tmp_path / "target"
        finished = tool(*options, "--target", target, *wanted, home=tmp_path)
        assert finished.ok, finished.stderr
        assert installed(target) == {"acme-1.0", "dep-2.0"}
