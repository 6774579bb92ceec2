"""The upload form: what is taken, what is refused, and what a killed process leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from glue_pkgmgr.core.simple_api import JSON_TYPE
from tests.integration.local.made_distributions import sdist, sha256, wheel
from tests.integration.local.package_service import DOMAIN, NOWHERE, Service, running_service
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

MADE = wheel("glueutils", "0.2.0")


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        index.add(wheel("six", "1.16.0"))
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path) as running:
        running.usual_repositories(upstream)
        yield running


def files_of(service: Service, repository: str, project: str) -> dict[str, str]:
    """Return the SHA-256 of every file on the page of `project`."""
    page = service.get(repository, f"simple/{project}/", headers={"Accept": JSON_TYPE})
    return {file["filename"]: file["hashes"]["sha256"] for file in page.json()["files"]}


class TestTaken:
    def test_a_published_file_is_on_the_page_with_its_hash_time_and_python(self, service: Service) -> None:
        before = service.now()
        assert service.upload("approved", MADE, requires_python=">=3.11").status_code == 200
        page = service.get("approved", "simple/glueutils/", headers={"Accept": JSON_TYPE}).json()
        (file,) = page["files"]
        assert file["hashes"]["sha256"] == sha256(MADE[1])
        assert file["requires-python"] == ">=3.11"
        assert file["upload-time"] >= before.strftime("%Y-%m-%dT%H:%M:%S")
        assert service.get("approved", f"simple/glueutils/{file['url']}").content == MADE[1]

    def test_the_same_file_again_is_a_success_and_more_files_may_follow(self, service: Service) -> None:
        for made in (MADE, MADE, sdist("glueutils", "0.2.0")):
            assert service.upload("approved", made).status_code == 200
        assert set(files_of(service, "approved", "glueutils")) == {MADE[0], "glueutils-0.2.0.tar.gz"}

    def test_right_digests_are_accepted(self, service: Service) -> None:
        digests = {"sha256_digest": sha256(MADE[1]), "md5_digest": hashlib.md5(MADE[1]).hexdigest()}
        assert service.upload("approved", MADE, **digests).status_code == 200

    def test_a_version_is_kept_in_its_normal_form(self, service: Service) -> None:
        filename, content = wheel("Glue_Utils", "1.0")
        odd = (filename.replace("1.0", "1.0rc1"), content)
        assert service.upload("approved", odd, name="Glue.Utils", version="1.0-RC1").status_code == 200
        assert list(files_of(service, "approved", "glue-utils")) == [odd[0]]

    def test_two_at_once_of_the_same_file_make_one(self, service: Service) -> None:
        token = service.token()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: service.upload("approved", MADE, token=token), range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len(list((service.folder / "blobs").glob("*/*"))) == 1

    def test_of_two_at_once_with_other_content_one_wins(self, service: Service) -> None:
        token = service.token()
        variants = [wheel("glueutils", "0.2.0", payload=b"# %d\n" % n) for n in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda made: service.upload("approved", made, token=token), variants))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        assert len(list((service.folder / "blobs").glob("*/*"))) == 1


class TestRefused:
    def test_another_content_is_409_and_the_first_stays(self, service: Service) -> None:
        assert service.upload("approved", MADE).ok
        answer = service.upload("approved", wheel("glueutils", "0.2.0", payload=b"# other\n"))
        assert answer.status_code == 409
        assert "other content" in answer.text
        assert files_of(service, "approved", "glueutils") == {MADE[0]: sha256(MADE[1])}

    def test_a_version_that_is_upstream_is_409_and_another_is_taken(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        assert service.upload("open", wheel("six", "1.16.0")).status_code == 409
        assert service.upload("open", wheel("six", "1.16.1")).status_code == 200

    def test_when_upstream_cannot_be_asked_nothing_is_published(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        upstream.faults["glueutils"] = "error"
        assert service.upload("open", MADE).status_code == 502
        assert service.upload("approved", MADE).status_code == 200

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"sha256_digest": "0" * 64}, "sha256"),
            ({"md5_digest": "0" * 32}, "md5"),
            ({"name": "other"}, "does not belong"),
            ({"version": "0.3.0"}, "does not belong"),
            ({"version": "not a version"}, "version"),
            ({":action": "submit"}, ":action"),
        ],
    )
    def test_a_form_that_contradicts_the_file_is_400(
        self, service: Service, fields: dict[str, str], said: str
    ) -> None:
        answer = service.upload("approved", MADE, **fields)
        assert answer.status_code == 400
        assert said in answer.text
        assert service.get("approved", "simple/glueutils/").status_code == 404
        assert not list((service.folder / "blobs").glob("*/*"))

    @pytest.mark.parametrize(
        "filename",
        [
            "../../glueutils-0.2.0-py3-none-any.whl",
            "/etc/glueutils-0.2.0-py3-none-any.whl",
            "../../glueutils-0.2.0.tar.gz",
            "..\\glueutils-0.2.0-py3-none-any.whl",
            "glueutils-0.2.0.exe",
            "glueutils-0.2.0-py3-none-any.whl.part",
            "glueutils.whl",
        ],
    )
    def test_a_name_that_is_no_distribution_is_400(self, service: Service, filename: str) -> None:
        answer = service.upload("approved", (filename, MADE[1]), name="glueutils", version="0.2.0")
        assert answer.status_code == 400
        assert not list(service.folder.parent.glob("*.whl"))

    def test_a_form_without_a_file_is_400(self, service: Service) -> None:
        answer = requests.post(
            service.endpoint("approved"),
            data={":action": "file_upload", "name": "glueutils", "version": "0.2.0"},
            auth=("aws", service.token()),
            timeout=10,
        )
        assert answer.status_code == 400

    def test_without_a_good_token_the_answer_is_401_also_after_a_large_body(self, service: Service) -> None:
        large = wheel("glueutils", "0.2.0", payload=b"#" * 20_000_000)
        assert service.upload("approved", large, token="expired").status_code == 401
        assert service.get("approved", "simple/glueutils/").status_code == 404

    def test_publish_block_is_403(self, service: Service) -> None:
        service.client.put_package_origin_configuration(
            domain=DOMAIN,
            repository="approved",
            format="pypi",
            package="glueutils",
            restrictions={"publish": "BLOCK", "upstream": "ALLOW"},
        )
        assert service.upload("approved", MADE).status_code == 403

    def test_an_upload_cut_off_midway_leaves_nothing(self, service: Service) -> None:
        parts = urlsplit(service.endpoint("approved"))
        prepared = requests.Request(
            "POST",
            service.endpoint("approved"),
            data={":action": "file_upload", "name": "glueutils", "version": "0.2.0"},
            files={"content": wheel("glueutils", "0.2.0", payload=b"#" * 3_000_000)},
            auth=("aws", service.token()),
        ).prepare()
        assert isinstance(prepared.body, bytes)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in prepared.headers.items()
        )
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(head.encode() + b"\r\n" + prepared.body[:2_000_000])
        assert service.upload("approved", MADE).status_code == 200
        assert files_of(service, "approved", "glueutils") == {MADE[0]: sha256(MADE[1])}


_SERVE = """
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from werkzeug.serving import make_server
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.codeartifact.app import create_app
from glue_pkgmgr.local.packages.store import PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook
folder, port, now = Path(sys.argv[1]), [0], lambda: datetime.now(UTC)
app = create_app(store=PackageStore(folder), tokens=TokenBook(folder / "tokens.sqlite", now),
                 upstream=lambda: IndexSource(url=sys.argv[2]), account="111122223333", region="us-east-1",
                 base_url=lambda: f"http://127.0.0.1:{port[0]}", clock=now)
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
server = make_server("127.0.0.1", 0, app, threaded=True)
port[0] = server.server_port
print(port[0], flush=True)
server.serve_forever()
"""


class ServerProcess:
    """A stand-in in a process of its own."""

    def __init__(self, folder: Path, source: str = NOWHERE.url, largest_file: int | None = None) -> None:
        limit = [] if largest_file is None else [str(largest_file)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(folder), source, *limit],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        self.service = Service(folder, url=f"http://127.0.0.1:{port}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_a_disk_that_takes_no_more_is_507_and_the_next_upload_works(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, largest_file=1_000_000)
    try:
        server.service.usual_repositories()
        answer = server.service.upload("approved", wheel("glueutils", "0.1", payload=b"#" * 3_000_000))
        assert answer.status_code == 507
        assert "cannot keep the file" in answer.text
        assert server.service.upload("approved", MADE).status_code == 200
        assert files_of(server.service, "approved", "glueutils") == {MADE[0]: sha256(MADE[1])}
        assert not list((tmp_path / "incoming").iterdir())
    finally:
        server.kill()


def test_a_server_killed_in_the_middle_of_uploads_keeps_only_whole_packages(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        server.service.usual_repositories()
        made = [wheel("glueutils", f"0.{number}", payload=b"#" * 2_000_000) for number in range(200)]
        token = server.service.token()
        server.service.endpoint("approved")  # known before the server goes
        acknowledged: list[str] = []

        def publish(one: tuple[str, bytes]) -> None:
            try:
                if server.service.upload("approved", one, token=token).ok:
                    acknowledged.append(one[0])
            except requests.RequestException:
                pass  # the server is gone
            if len(acknowledged) == 3:
                server.process.send_signal(signal.SIGKILL)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(publish, made))
    finally:
        server.kill()
    assert 3 <= len(acknowledged) < len(made)
    contents = dict(made)
    with running_service(tmp_path) as service:
        listed = files_of(service, "approved", "glueutils")
        assert set(acknowledged) <= set(listed)
        for filename, promised in listed.items():
            version = filename.split("-")[1]
            arrived = service.get("approved", f"simple/glueutils/{version}/{filename}").content
            assert sha256(arrived) == promised == sha256(contents[filename])
        assert not list((tmp_path / "incoming").iterdir())
        named = {path.name for path in (tmp_path / "blobs").glob("*/*")}
        assert named == set(listed.values())
        again = next(one for one in made if one[0] not in listed)
        assert service.upload("approved", again).ok
