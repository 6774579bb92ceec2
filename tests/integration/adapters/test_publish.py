"""The verb `publish` on its real adapters, against the stand-in and real clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import uv
from botocore.exceptions import ClientError
from packaging.version import Version

from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.adapters.proof import InstallProof
from glue_pkgmgr.adapters.publish_records import PublishRecordFolder
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader, check_upload
from glue_pkgmgr.core.index_url import SHORTEST, IndexUrl
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.publish_record import Proven, PublishRecord
from glue_pkgmgr.core.repository import RepositoryAddress, Status
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.local.jobs.interpreters import python_for
from glue_pkgmgr.verbs import mint
from glue_pkgmgr.verbs.publish import Planned, Publisher, candidates_of
from tests.integration.adapters.loopback import Seen, reply, scripted
from tests.integration.local import made_distributions
from tests.integration.local.made_distributions import wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, REGION, Service, running_service
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

ACME = project_name("acme-demo")
ONE = Version("1.0")
ENVIRON = {"no_proxy": "*", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}

# Publishes as the verb does, in a process that dies when `part` of the body of the first upload is sent.
DYING = """
import os, sys
from pathlib import Path
import requests_toolbelt
from tests.integration.adapters.test_publish import Bench

part = float(sys.argv[3])
read = requests_toolbelt.MultipartEncoderMonitor.read
def dying_read(self, size=-1):
    if self.bytes_read >= part * self.len:
        os.kill(os.getpid(), 9)
    return read(self, min(size, 65536) if size > 0 else size)
requests_toolbelt.MultipartEncoderMonitor.read = dying_read
Bench(sys.argv[1], Path(sys.argv[2])).publish([Path(path) for path in sys.argv[4:]])
"""

# Publishes in a process that tells which tokens it was given, with what words it started others, what it opened.
WATCHED = """
import json, os, sys
from pathlib import Path
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from tests.integration.adapters.test_publish import Bench

tokens, started, opened = [], [], []
issue = CodeArtifact.issue
def watched_issue(self, *arguments):
    tokens.append(issue(self, *arguments))
    return tokens[-1]
CodeArtifact.issue = watched_issue
def watch(event, arguments):
    if event == "subprocess.Popen":
        started.append([os.fspath(word) for word in arguments[1]])
    elif event == "open":
        opened.append(str(arguments[0]))
sys.addaudithook(watch)
Bench(sys.argv[1], Path(sys.argv[2])).publish([Path(path) for path in sys.argv[3:]])
print(json.dumps([[token.reveal() for token in tokens], started, opened]))
"""
ROOT = Path(__file__).parents[3]


@lru_cache
def find_python(version: tuple[int, int]) -> Path | None:
    return python_for(version, ENVIRON)


@dataclass
class Bench:
    """A publisher on real adapters for the stand-in at `url`, with its records in `folder`."""

    url: str
    folder: Path
    repository: str = "approved"
    told: list[str] = field(default_factory=list)

    @property
    def address(self) -> RepositoryAddress:
        return RepositoryAddress(domain=DOMAIN, owner=ACCOUNT, region=REGION, repository=self.repository)

    @property
    def codeartifact(self) -> CodeArtifact:
        from glue_pkgmgr.adapters.clients import Clients

        environ = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "no_proxy": "*",
        }
        return CodeArtifact(Clients(environ, REGION).client("codeartifact"))

    @property
    def publisher(self) -> Publisher:
        api, metadata = self.codeartifact, WheelMetadata(self.folder / "metadata")
        return Publisher(
            approved=self.address,
            store=RepositoryAddress(domain=DOMAIN, owner=ACCOUNT, region=REGION, repository="pypi-store"),
            internal=frozenset({ACME}),
            repositories=api,
            mint=lambda lifetime: mint.mint(self.address, lifetime, tokens=api, repositories=api),
            open_index=lambda url: SimpleIndex(url, ENVIRON),
            open_uploader=lambda url: TwineUploader(url, ENVIRON),
            inspect=lambda files: (),
            check_upload=check_upload,
            metadata=metadata,
            prover=InstallProof(ENVIRON, metadata=metadata, find_python=find_python),
            records=PublishRecordFolder(self.folder / "records"),
            commit_of=lambda folder: None,
            actor=lambda: "ann",
            clock=utc_now,
            progress=self.told.append,
        )

    def plan(self, paths: Sequence[Path]) -> list[Planned]:
        return self.publisher.plan(candidates_of(map(describe, paths), self.folder))

    def publish(self, paths: Sequence[Path]) -> PublishRecord:
        (record,) = self.publisher.publish(self.plan(paths))
        return record

    def held(self) -> dict[str, str]:
        return {asset.filename: asset.sha256 for asset in self.codeartifact.assets(self.address, ACME, ONE)}

    def index_url(self) -> str:
        api = self.codeartifact
        return mint.mint(self.address, SHORTEST, tokens=api, repositories=api).reveal()


def utc_now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path / "service") as running:
        running.usual_repositories(upstream)
        yield running


@pytest.fixture
def bench(service: Service, tmp_path: Path) -> Bench:
    return Bench(service.url, tmp_path)


def sdist(name: str, version: str, *, requires: Sequence[str] = ()) -> tuple[str, bytes]:
    return made_distributions.sdist(name, version, requires=requires, files={"acme_demo/__init__.py": b""})


Make = Callable[..., tuple[str, bytes]]
KINDS: dict[str, list[Make]] = {"wheel": [wheel], "sdist": [sdist], "both": [sdist, wheel]}


def files(folder: Path, makers: Sequence[Make], version: str = "1.0", **options: Any) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for make in makers:
        name, content = make("acme-demo", version, **options)
        (folder / name).write_bytes(content)
        paths.append(folder / name)
    return paths


def close(service: Service, repository: str, publish: str, upstream: str) -> None:
    service.client.put_package_origin_configuration(
        domain=DOMAIN,
        repository=repository,
        format="pypi",
        package="acme-demo",
        restrictions={"publish": publish, "upstream": upstream},
    )


def controls(service: Service, repository: str = "approved") -> dict[str, str]:
    told = service.client.describe_package(
        domain=DOMAIN, repository=repository, format="pypi", package="acme-demo"
    )
    restrictions: dict[str, str] = told["package"]["originConfiguration"]["restrictions"]
    return restrictions


@pytest.mark.parametrize("kinds", KINDS)
class TestWhatIsThereDecidesWhatIsDone:
    def test_nothing(self, kinds: str, bench: Bench, service: Service, tmp_path: Path) -> None:
        paths = files(tmp_path / "dist", KINDS[kinds])
        record = bench.publish(paths)
        assert [file.path for file in record.uploaded] == paths
        assert bench.held() == {path.name: describe(path).sha256 for path in paths}
        assert controls(service) == {"publish": "ALLOW", "upstream": "BLOCK"}
        assert record.proof is not None
        assert record.proof.proven is (Proven.SERVED if kinds == "sdist" else Proven.IMPORTED)

    def test_the_same(self, kinds: str, bench: Bench, tmp_path: Path) -> None:
        paths = files(tmp_path / "dist", KINDS[kinds])
        bench.publish(paths)
        before = bench.held()
        record = bench.publish(paths)
        assert ([*record.uploaded], [file.path for file in record.already]) == ([], paths)
        assert bench.told[-1].endswith("is already published in data-platform/approved")
        assert bench.held() == before

    def test_different(self, kinds: str, bench: Bench, tmp_path: Path) -> None:
        theirs = files(tmp_path / "theirs", KINDS[kinds])
        bench.publish(theirs)
        ours = files(tmp_path / "ours", KINDS[kinds], requires=["six"])
        before = bench.held()
        with pytest.raises(NotInstallable, match=r"other bytes.*the next free one is 1\.1") as caught:
            bench.publish(ours)
        for path in (*theirs, *ours):
            assert describe(path).sha256 in str(caught.value)
        assert bench.held() == before

    def test_partial(self, kinds: str, bench: Bench, tmp_path: Path) -> None:
        other = {"wheel": sdist, "sdist": wheel, "both": sdist}[kinds]
        first = files(tmp_path / "dist", [other])
        bench.publish(first)
        paths = files(tmp_path / "dist", KINDS[kinds])
        record = bench.publish(paths)
        assert [file.path for file in record.uploaded] == [path for path in paths if path not in first]
        assert bench.held() == {path.name: describe(path).sha256 for path in {*first, *paths}}

    def test_upstream_has_it(
        self, kinds: str, bench: Bench, service: Service, upstream: UpstreamIndex, tmp_path: Path
    ) -> None:
        upstream.add(wheel("acme-demo", "99.0"))
        paths = files(tmp_path / "dist", KINDS[kinds])
        bench.repository = "open"
        with pytest.raises(NotInstallable, match=r"offers acme-demo 99\.0 from upstream \(pypi-store\)") as caught:
            bench.publish(paths)
        assert bench.held() == {}
        # The command that is told does what it says.
        command = str(caught.value).partition("`")[2].partition("`")[0]
        options = dict(zip(command.split()[3::2], command.split()[4::2], strict=True))
        assert (options["--repository"], options["--package"]) == ("open", "acme-demo")
        close(service, "open", **dict(pair.split("=") for pair in options["--restrictions"].split(",")))
        record = bench.publish(paths)
        assert [file.path for file in record.uploaded] == paths

    def test_blocked(self, kinds: str, bench: Bench, service: Service, tmp_path: Path) -> None:
        close(service, "approved", "BLOCK", "BLOCK")
        with pytest.raises(NotInstallable, match="publish=BLOCK"):
            bench.publish(files(tmp_path / "dist", KINDS[kinds]))
        assert bench.held() == {}
        assert controls(service) == {"publish": "BLOCK", "upstream": "BLOCK"}


def test_a_public_project_of_the_name_is_not_even_asked_for_where_nothing_can_come_in(
    bench: Bench, upstream: UpstreamIndex, tmp_path: Path
) -> None:
    upstream.add(wheel("acme-demo", "99.0"))
    bench.publish(files(tmp_path / "dist", [wheel]))
    assert upstream.requests["acme-demo"] == 0


def test_what_came_in_from_the_public_index_is_refused_until_it_is_gone(
    bench: Bench, service: Service, upstream: UpstreamIndex, tmp_path: Path
) -> None:
    upstream.add(wheel("acme-demo", "99.0"))
    bench.repository = "open"
    page = service.get("open", "simple/acme-demo/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    service.get("open", f"simple/acme-demo/{page.json()['files'][0]['url']}")
    assert bench.codeartifact.brought_in(bench.address, ACME) == {Version("99.0")}
    close(service, "open", "ALLOW", "BLOCK")
    paths = files(tmp_path / "dist", [wheel])
    with pytest.raises(NotInstallable, match=r"holds acme-demo 99\.0 from the public index"):
        bench.publish(paths)
    bench.codeartifact.delete(bench.address, ACME, Version("99.0"))
    bench.publish(paths)
    assert any("the store holds acme-demo 99.0" in line for line in bench.told)


def test_a_withdrawn_release_is_not_called_published(bench: Bench, service: Service, tmp_path: Path) -> None:
    paths = files(tmp_path / "dist", [wheel])
    bench.publish(paths)
    service.client.update_package_versions_status(
        domain=DOMAIN,
        repository="approved",
        format="pypi",
        package="acme-demo",
        versions=["1.0"],
        targetStatus=Status.ARCHIVED.value,
    )
    with pytest.raises(NotInstallable, match="withdrawn"):
        bench.publish(paths)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999, 1.0], ids=["nothing", "half", "nearly all", "all"])
def test_killed_in_mid_upload_and_run_again_it_ends_complete(bench: Bench, tmp_path: Path, part: float) -> None:
    paths = files(tmp_path / "dist", [sdist, wheel])
    name, content = wheel("acme-demo", "1.0", payload=b"#" * 3_000_000)
    (tmp_path / "dist" / name).write_bytes(content)
    command = [sys.executable, "-c", DYING, bench.url, tmp_path, str(part), *reversed(paths)]
    killed = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    record = bench.publish(paths)
    assert record.proof is not None
    assert bench.held() == {path.name: describe(path).sha256 for path in paths}
    assert bench.publish(paths).uploaded == ()


def test_a_token_is_in_no_argument_and_no_file_and_pypirc_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".pypirc").write_text("[distutils]\nindex-servers = wrong\n")
    paths = files(tmp_path / "dist", [sdist, wheel])
    watched = subprocess.run(
        [sys.executable, "-c", WATCHED, bench.url, tmp_path, *paths],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert watched.returncode == 0, watched.stderr
    tokens, started, opened = json.loads(watched.stdout)
    assert len(tokens) == 1
    assert "uv" in {Path(words[0]).name for words in started}
    assert not [words for words in started if tokens[0][:32] in " ".join(words)]
    assert not [name for name in opened if name.endswith(".pypirc")]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"tokens.sqlite", "acme-demo-1.0.json"} <= {path.name for path in written}
    assert not [path for path in written if tokens[0][:32].encode() in path.read_bytes()]


def test_a_token_that_may_only_read_publishes_nothing_and_a_better_one_all(bench: Bench, tmp_path: Path) -> None:
    paths = files(tmp_path / "dist", [sdist, wheel])

    def refuse(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 403, b"not authorized to perform: codeartifact:PublishPackageVersion")

    with scripted(refuse) as server:

        def read_only(url: IndexUrl) -> TwineUploader:
            return TwineUploader(IndexUrl(server.url, url.token), ENVIRON)

        publisher = replace(bench.publisher, open_uploader=read_only)
        with pytest.raises(IndexAccessError, match="principal needs codeartifact:PublishPackageVersion"):
            publisher.publish(bench.plan(paths))
    assert len(server.seen) == 1
    assert bench.held() == {}
    assert bench.publish(paths).proof is not None
    assert bench.held().keys() == {path.name for path in paths}


def test_two_at_once_with_the_same_bytes_both_end_well(bench: Bench, service: Service, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = files(tmp_path / "dist", [sdist, wheel])
    benches = [Bench(service.url, tmp_path / name) for name in ("a", "b")]
    with ThreadPoolExecutor() as pool:
        records = list(pool.map(lambda one: one.publish(paths), benches))
    assert all(record.proof for record in records if record.uploaded)
    assert bench.held() == {path.name: describe(path).sha256 for path in paths}


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_a_client_of_others_installs_what_was_published(client: str, bench: Bench, tmp_path: Path) -> None:
    bench.publish(files(tmp_path / "dist", [wheel, sdist]))
    env = installer_environment(ENVIRON, None)
    target = tmp_path / "target"
    if client == "uv":
        env["UV_DEFAULT_INDEX"] = bench.index_url()
        command = [uv.find_uv_bin(), "pip", "install", "--no-cache", "--python", sys.executable]
    else:
        env["PIP_INDEX_URL"] = bench.index_url()
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir"]
    subprocess.run(
        [*command, "--target", target, "acme-demo==1.0"], env=env, check=True, timeout=120, capture_output=True
    )
    assert (target / "acme_demo" / "__init__.py").read_text() == "VERSION = '1.0'\n"


@pytest.mark.parametrize("absent", ["repository", "domain"])
def test_a_place_that_does_not_exist_is_told_before_anything_is_tried(
    absent: str, bench: Bench, service: Service, tmp_path: Path
) -> None:
    paths = files(tmp_path / "dist", [wheel])
    for repository in ("open", "approved", "pypi-store"):
        service.client.delete_repository(domain=DOMAIN, repository=repository)
    if absent == "domain":
        service.client.delete_domain(domain=DOMAIN)
    with pytest.raises(RemoteError, match=DOMAIN if absent == "domain" else "approved"):
        bench.publish(paths)


def test_more_files_than_a_release_may_have_are_refused_before_the_first(
    bench: Bench, service: Service, tmp_path: Path
) -> None:
    (path,) = files(tmp_path / "dist", [wheel])
    many = []
    for build in range(351):
        many.append(tmp_path / "dist" / f"acme_demo-1.0-{build}-py3-none-any.whl")
        many[-1].write_bytes(path.read_bytes())
    with pytest.raises(NotInstallable, match="would have 351 files; CodeArtifact takes up to 350"):
        bench.publish(many)
    with pytest.raises(ClientError):
        controls(service)


def test_metadata_that_is_not_utf8_in_the_second_file_keeps_the_first_from_being_uploaded(
    bench: Bench, service: Service, tmp_path: Path
) -> None:
    paths = files(tmp_path / "dist", [sdist, wheel])
    content = paths[1].read_bytes()
    paths[1].write_bytes(spoilt(content, b"made for a test", b"m\xe9de for a test"))
    with pytest.raises(SettingsError, match=r"acme_demo-1\.0-py3-none-any\.whl .*not UTF-8: byte 0xe9 in line 4"):
        bench.publish(paths)
    with pytest.raises(ClientError):
        controls(service)


def spoilt(archive: bytes, old: bytes, new: bytes) -> bytes:
    """Return a wheel with `new` in place of `old` in its METADATA."""
    import io
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(target, "w") as changed:
        for info in source.infolist():
            changed.writestr(info, source.read(info).replace(old, new))
    return target.getvalue()
