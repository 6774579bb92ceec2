"""The verb `publish` on its real adapters, against the stand-in and real clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import uv
from packaging.version import Version

from glue_pkgmgr.adapters.build import describe
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import NotInstallable, RemoteError
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.verbs import mint
from glue_pkgmgr.verbs.publish import PublishRecord, publish
from tests.integration.adapters.distributions import sdist, wheel
from tests.integration.adapters.loopback import (
    APPROVED,
    NO_PROXY,
    CodeArtifactService,
    codeartifact_service,
)

ACME = project_name("acme-demo")
ONE = Version("1.0")

# Uploads a wheel through the same adapter as `publish`; `broken` makes it die when the body is half sent.
DYING_UPLOAD = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import requests_toolbelt
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl

endpoint, path, half = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
read = requests_toolbelt.MultipartEncoderMonitor.read
def dying_read(self, size=-1):
    if self.bytes_read > half:
        os.kill(os.getpid(), 9)
    return read(self, size)
requests_toolbelt.MultipartEncoderMonitor.read = dying_read
token = AuthorizationToken(sys.stdin.read(), datetime.max.replace(tzinfo=UTC))
TwineUploader(IndexUrl(endpoint, token), {"no_proxy": "*"}).upload(path)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CodeArtifactService]:
    with codeartifact_service(tmp_path / "service") as running:
        yield running


def run(service: CodeArtifactService, paths: Sequence[Path]) -> PublishRecord:
    api = service.codeartifact
    return publish(
        [describe(path) for path in paths],
        address=APPROVED,
        internal=frozenset({ACME}),
        repositories=api,
        mint=lambda lifetime: mint.mint(APPROVED, lifetime, tokens=api, repositories=api),
        open_index=lambda url: SimpleIndex(url, NO_PROXY),
        open_uploader=lambda url: TwineUploader(url, NO_PROXY),
        clock=lambda: service.now,
        progress=lambda text: None,
    )


@pytest.mark.parametrize("kinds", ["wheel", "sdist", "both"])
@pytest.mark.parametrize("before", ["nothing", "same", "different", "partial"])
def test_what_is_there_decides_what_is_done(
    kinds: str, before: str, service: CodeArtifactService, tmp_path: Path
) -> None:
    makers = {"wheel": [wheel], "sdist": [sdist], "both": [sdist, wheel]}[kinds]
    paths = [make(tmp_path, "acme-demo", "1.0") for make in makers]
    if before == "same":
        run(service, paths)
    elif before == "partial":
        run(service, paths[:1])
    elif before == "different":
        other = tmp_path / "other"
        other.mkdir()
        run(service, [makers[0](other, "acme-demo", "1.0", code="x = 2\n")])
        with pytest.raises(NotInstallable, match="other bytes"):
            run(service, paths)
        assert len(service.codeartifact.assets(APPROVED, ACME, ONE)) == 1
        return
    record = run(service, paths)
    expected = {"nothing": paths, "same": [], "partial": paths[1:]}[before]
    assert [file.path for file in record.uploaded] == expected
    held = {asset.filename: asset.sha256 for asset in service.codeartifact.assets(APPROVED, ACME, ONE)}
    assert held == {path.name: describe(path).sha256 for path in paths}


def test_the_project_is_closed_to_upstreams_from_the_first_publish_on(
    service: CodeArtifactService, tmp_path: Path
) -> None:
    run(service, [wheel(tmp_path, "acme-demo", "1.0")])
    package = service.client.describe_package(
        domain="acme", repository="approved", format="pypi", package="acme-demo"
    )["package"]
    assert package["originConfiguration"]["restrictions"] == {"publish": "ALLOW", "upstream": "BLOCK"}


def test_an_upload_killed_half_way_leaves_nothing_and_is_finished_by_running_again(
    service: CodeArtifactService, tmp_path: Path
) -> None:
    path = wheel(tmp_path, "acme-demo", "1.0", code="#" * 3_000_000)
    url = service.index_url()
    killed = subprocess.run(
        [sys.executable, "-c", DYING_UPLOAD, url.endpoint, path, "1500000"],
        input=url.token.reveal().encode(),
        check=False,
        timeout=60,
    )
    assert killed.returncode == -9
    assert list(service.codeartifact.assets(APPROVED, ACME, ONE)) == []
    assert [file.path for file in run(service, [path]).uploaded] == [path]


def test_a_client_of_others_installs_what_was_published(service: CodeArtifactService, tmp_path: Path) -> None:
    run(service, [wheel(tmp_path, "acme-demo", "1.0"), sdist(tmp_path, "acme-demo", "1.0")])
    env = installer_environment({**NO_PROXY, "PATH": "/usr/bin:/bin"}, None)
    env["UV_DEFAULT_INDEX"] = service.index_url().reveal()
    target = tmp_path / "target"
    command = [uv.find_uv_bin(), "pip", "install", "--no-cache", "--python", sys.executable, "--target", target]
    subprocess.run([*command, "acme-demo==1.0"], env=env, check=True, timeout=60, capture_output=True)
    assert (target / "acme_demo" / "__init__.py").read_text() == "x = 1\n"


def test_a_repository_that_does_not_exist_is_told(service: CodeArtifactService, tmp_path: Path) -> None:
    service.client.delete_repository(domain="acme", repository="approved")
    with pytest.raises(RemoteError, match="approved"):
        run(service, [wheel(tmp_path, "acme-demo", "1.0")])
