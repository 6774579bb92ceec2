"""The verb part `publish_built` on its real adapters, against the stand-in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uv
from packaging.version import Version

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.sdist import SdistWheels
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.lockfile import LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.simple_api import IndexFile
from glue_pkgmgr.errors import NotInstallable
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.verbs import mint
from glue_pkgmgr.verbs.built import publish_built
from tests.integration.adapters.loopback import NO_PROXY, environment
from tests.integration.adapters.made_sdists import with_own_backend
from tests.integration.local.made_distributions import wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, REGION, Service, running_service
from tests.integration.local.upstream_index import running_upstream

ACME = project_name("acme")
APPROVED = RepositoryAddress(domain=DOMAIN, owner=ACCOUNT, region=REGION, repository="approved")
SDIST = with_own_backend()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_upstream() as upstream, running_service(tmp_path / "service") as running:
        running.usual_repositories(upstream)
        upstream.add(SDIST)
        yield running


def store_of(service: Service) -> SimpleIndex:
    token = AuthorizationToken(service.token(), datetime.now(UTC) + SHORTEST)
    return SimpleIndex(IndexUrl(service.endpoint("pypi-store"), token), NO_PROXY)


def locked(service: Service, builder: SdistWheels) -> tuple[Pin, BuiltFile]:
    """Return the pin that `lock` would write for the sdist in the store, and its wheel."""
    store = store_of(service)
    page = store.page(ACME)
    assert page is not None
    (sdist,) = page.files
    built = builder.wheel_of(store, sdist)
    return Pin(project=ACME, version=Version("1.0"), files=(_file(built),), built_from=_file(sdist)), built


def _file(file: BuiltFile | IndexFile) -> LockedFile:
    return LockedFile(filename=file.filename, sha256=file.sha256 or "", size=file.size)


def run(service: Service, pin: Pin, builder: SdistWheels) -> None:
    api = CodeArtifact(Clients(environment(service.url), REGION).client("codeartifact"))
    publish_built(
        pin,
        address=APPROVED,
        store=store_of(service),
        builder=builder,
        repositories=api,
        mint=lambda lifetime: mint.mint(APPROVED, lifetime, tokens=api, repositories=api),
        open_uploader=lambda url: TwineUploader(url, NO_PROXY),
        progress=lambda text: None,
    )


def origin(service: Service) -> dict[str, str]:
    described = service.client.describe_package(domain=DOMAIN, repository="approved", format="pypi", package=ACME)
    restrictions: dict[str, str] = described["package"]["originConfiguration"]["restrictions"]
    return restrictions


def test_the_built_wheel_is_what_a_client_gets_and_nobody_can_publish_beside_it(
    service: Service, tmp_path: Path
) -> None:
    builder = SdistWheels(NO_PROXY, tmp_path / "kept")
    pin, built = locked(service, builder)
    run(service, pin, builder)
    assert origin(service) == {"publish": "BLOCK", "upstream": "BLOCK"}
    assert service.upload("approved", wheel("acme", "1.1")).status_code == 403
    assert service.get("approved", f"simple/acme/1.0/{built.filename}").content == built.path.read_bytes()
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"acme==1.0 --hash=sha256:{built.sha256}\n")
    env = installer_environment({**NO_PROXY, "PATH": "/usr/bin:/bin"}, None)
    env["UV_DEFAULT_INDEX"] = service.index_url("approved")
    command = [uv.find_uv_bin(), "pip", "install", "--no-cache", "--python", sys.executable, "--target"]
    subprocess.run(
        [*command, tmp_path / "target", "--require-hashes", "--only-binary", ":all:", "-r", requirements],
        env=env,
        check=True,
        timeout=60,
        capture_output=True,
    )
    assert (tmp_path / "target" / "acme" / "__init__.py").read_text() == "x = 1\n"


def test_a_machine_that_has_not_built_it_yet_builds_the_same_and_a_second_time_is_no_error(
    service: Service, tmp_path: Path
) -> None:
    pin, built = locked(service, SdistWheels(NO_PROXY, tmp_path / "one"))
    other = SdistWheels(NO_PROXY, tmp_path / "two")
    for _ in range(2):
        run(service, pin, other)
    reply = service.client.list_package_version_assets(
        domain=DOMAIN, repository="approved", format="pypi", package="acme", packageVersion="1.0"
    )
    assert {one["name"]: one["hashes"]["SHA-256"] for one in reply["assets"]} == {built.filename: built.sha256}


def test_a_wheel_that_is_not_the_locked_one_stays_out(service: Service, tmp_path: Path) -> None:
    builder = SdistWheels(NO_PROXY, tmp_path / "kept")
    pin, built = locked(service, builder)
    pin = replace(pin, files=(replace(pin.files[0], sha256="f" * 64),))
    with pytest.raises(NotInstallable, match=f"built  {built.sha256}"):
        run(service, pin, builder)
    assert service.get("approved", "simple/acme/").status_code == 404
