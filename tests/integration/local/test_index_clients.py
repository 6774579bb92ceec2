"""The stand-in as its users' own tools see it: pip, uv, twine and the AWS command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.process import Finished, run
from tests.integration.local.made_distributions import sha256, wheel
from tests.integration.local.package_service import DOMAIN, REGION, Service, running_service
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

BIN = Path(sys.executable).parent
TOOL_SECONDS = 120.0


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        index.add(wheel("made-base", "1.0"), uploaded=datetime(2024, 1, 1, tzinfo=UTC))
        index.add(wheel("made-base", "2.0"), uploaded=datetime(2025, 1, 1, tzinfo=UTC))
        index.add(wheel("made-top", "1.0", requires=["made-base>=1.0"]))
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path / "state") as running:
        running.usual_repositories(upstream)
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "installed"


def tool(*args: str | Path, home: Path, secret: str = "", **variables: str) -> Finished:
    """Run a tool with an empty home and none of the machine's own pip settings."""
    environment = {**installer_environment(os.environ, None), "HOME": str(home), "PYTHONNOUSERSITE": "1"}
    finished = run([BIN / args[0], *args[1:]], env={**environment, **variables}, timeout=TOOL_SECONDS, cwd=home)
    if secret:
        assert secret not in finished.stdout + finished.stderr
    return finished


def installed(target: Path) -> set[str]:
    return {folder.name.removesuffix(".dist-info") for folder in target.glob("*.dist-info")}


class TestPip:
    def install(
        self, service: Service, home: Path, target: Path, *args: str, token: str | None = None
    ) -> Finished:
        token = token or service.token()
        url = service.index_url("open", token)
        options = ("--no-cache-dir", "--no-build-isolation", "--retries", "0", "--target", str(target))
        return tool("pip", "install", "--index-url", url, *options, *args, home=home, secret=token)

    def test_installs_a_closure_through_the_upstream(self, service: Service, home: Path, target: Path) -> None:
        finished = self.install(service, home, target, "made-top")
        assert finished.ok, finished.stderr
        assert installed(target) == {"made_top-1.0", "made_base-2.0"}

    def test_accepts_the_hashes_of_the_page_and_no_others(
        self, service: Service, home: Path, target: Path
    ) -> None:
        right = sha256(wheel("made-base", "2.0")[1])
        for digest, ok in ((right, True), ("0" * 64, False)):
            requirements = home / "requirements.txt"
            requirements.write_text(f"made-base==2.0 --hash=sha256:{digest}\n")
            finished = self.install(service, home, target, "--require-hashes", "-r", str(requirements))
            assert finished.ok is ok, finished.stderr

    def test_sees_when_a_release_was_uploaded(self, service: Service, home: Path, target: Path) -> None:
        finished = self.install(service, home, target, "made-base", "--uploaded-prior-to", "2024-06-01")
        assert finished.ok, finished.stderr
        assert installed(target) == {"made_base-1.0"}

    def test_finds_nothing_with_a_wrong_token(self, service: Service, home: Path, target: Path) -> None:
        finished = self.install(service, home, target, "made-base", token="wrong-token")
        assert not finished.ok
        assert "No matching distribution found for made-base" in finished.stderr


class TestUv:
    def install(self, service: Service, home: Path, target: Path, *args: str) -> Finished:
        token = service.token()
        command = ("uv", "pip", "install", "--no-cache", "--python", sys.executable, "--target", str(target))
        return tool(
            *(*command, *args),
            home=home,
            secret=token,
            UV_DEFAULT_INDEX=service.index_url("open", token),
        )

    def test_installs_a_closure_through_the_upstream(self, service: Service, home: Path, target: Path) -> None:
        finished = self.install(service, home, target, "made-top")
        assert finished.ok, finished.stderr
        assert installed(target) == {"made_top-1.0", "made_base-2.0"}

    def test_sees_when_a_release_was_uploaded(self, service: Service, home: Path, target: Path) -> None:
        finished = self.install(service, home, target, "made-base", "--exclude-newer", "2024-06-01T00:00:00Z")
        assert finished.ok, finished.stderr
        assert installed(target) == {"made_base-1.0"}

    def test_publishes_and_again_without_harm(self, service: Service, home: Path) -> None:
        file = written(home, wheel("made-own", "0.2.0"))
        token = service.token()
        for _ in range(2):
            finished = tool(
                *("uv", "publish", "--publish-url", service.endpoint("approved"), file),
                home=home,
                secret=token,
                UV_PUBLISH_USERNAME="aws",
                UV_PUBLISH_PASSWORD=token,
            )
            assert finished.ok, finished.stderr
        assert held(service, "made-own") == {file.name: sha256(file.read_bytes())}


class TestTwine:
    def upload(self, service: Service, home: Path, file: Path) -> Finished:
        token = service.token()
        return tool(
            *("twine", "upload", "--non-interactive", "--disable-progress-bar"),
            *("--repository-url", service.endpoint("approved"), file),
            home=home,
            secret=token,
            TWINE_USERNAME="aws",
            TWINE_PASSWORD=token,
        )

    def test_publishes_and_is_told_of_other_content(self, service: Service, home: Path) -> None:
        file = written(home, wheel("made-own", "0.2.0"))
        assert self.upload(service, home, file).ok
        assert held(service, "made-own") == {file.name: sha256(file.read_bytes())}
        written(home, wheel("made-own", "0.2.0", payload=b"# other\n"))
        finished = self.upload(service, home, file)
        assert not finished.ok
        assert "409" in finished.stdout + finished.stderr


class TestAws:
    def aws(self, service: Service, home: Path, *args: str) -> Finished:
        finished = tool(
            *("aws", "codeartifact", *args),
            home=home,
            PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}",
            PIP_CONFIG_FILE="",  # a machine's own, which the command must be free to write beside
            AWS_ENDPOINT_URL=service.url,
            AWS_DEFAULT_REGION=REGION,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
        )
        assert finished.ok, finished.stderr
        return finished

    def login(self, service: Service, home: Path, name: str) -> None:
        self.aws(service, home, "login", "--tool", name, "--domain", DOMAIN, "--repository", "approved")

    def test_login_lets_twine_publish_and_pip_install(self, service: Service, home: Path, target: Path) -> None:
        file = written(home, wheel("made-own", "0.2.0"))
        self.login(service, home, "twine")
        finished = tool("twine", "upload", "--non-interactive", "-r", "codeartifact", file, home=home)
        assert finished.ok, finished.stderr + finished.stdout
        self.login(service, home, "pip")
        (written_config,) = home.rglob("pip.conf")
        finished = tool(
            *("pip", "install", "--no-cache-dir", "--target", target, "made-own"),
            home=home,
            PIP_CONFIG_FILE=str(written_config),
            PIP_EXTRA_INDEX_URL="",
            PIP_FIND_LINKS="",
        )
        assert finished.ok, finished.stderr
        assert installed(target) == {"made_own-0.2.0"}

    def test_lists_the_assets_of_a_version(self, service: Service, home: Path) -> None:
        made = wheel("made-own", "0.2.0")
        assert service.upload("approved", made).ok
        finished = self.aws(
            *(service, home, "list-package-version-assets", "--domain", DOMAIN, "--repository", "approved"),
            *("--format", "pypi", "--package", "made-own", "--package-version", "0.2.0", "--output", "json"),
        )
        (asset,) = json.loads(finished.stdout)["assets"]
        assert (asset["name"], asset["size"]) == (made[0], len(made[1]))
        assert asset["hashes"]["SHA-256"] == sha256(made[1])


def written(folder: Path, made: tuple[str, bytes]) -> Path:
    path = folder / made[0]
    path.write_bytes(made[1])
    return path


def held(service: Service, project: str) -> dict[str, str]:
    """Return the SHA-256 of every file of version 0.2.0 in `approved`."""
    told = service.client.list_package_version_assets(
        domain=DOMAIN, repository="approved", format="pypi", package=project, packageVersion="0.2.0"
    )
    return {asset["name"]: asset["hashes"]["SHA-256"] for asset in told["assets"]}
