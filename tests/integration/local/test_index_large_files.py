"""A 400 MB file goes in by upload, in from upstream, and out, without going through memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from urllib3.filepost import choose_boundary

from tests.integration.local.test_index_uploads import ServerProcess
from tests.integration.local.upstream_index import Served, running_upstream

SIZE = 400 * 10**6
CHUNK = 1 << 20
MOST_GROWTH = 64 << 20
FILENAME = "huge-1.0-py3-none-any.whl"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A file that is not all the same, made from a few repeated blocks."""
    path = tmp_path / FILENAME
    with path.open("wb") as file:
        for number in range(SIZE // CHUNK + 1):
            block = hashlib.sha256(str(number).encode()).digest() * (CHUNK // 32)
            file.write(block[: min(CHUNK, SIZE - file.tell())])
    return path


class Growth:
    """The most memory a process takes, beyond what it has at the start."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._start = self._most = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)

    def __enter__(self) -> Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def bytes(self) -> int:
        return self._most - self._start


def sha256_of(url: str, token: str) -> tuple[int, str]:
    """Download `url` in pieces and return its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with requests.get(url, auth=("aws", token), stream=True, timeout=120) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def form_body(path: Path, fields: dict[str, str], boundary: str) -> Iterator[bytes]:
    """Yield the upload form piece by piece: requests itself would build it in memory."""
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head = f'Content-Disposition: form-data; name="content"; filename="{path.name}"'
    yield f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
    yield f"\r\n--{boundary}--\r\n".encode()


class Sized:
    """An iterator of known length, so that the body has a Content-Length as those of twine and uv do."""

    def __init__(self, parts: Iterator[bytes], length: int) -> None:
        self._parts, self._length = parts, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


def test_a_large_file_never_is_in_memory(tmp_path: Path, huge: Path) -> None:
    with huge.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with running_upstream() as upstream:
        upstream.projects["huge"] = {FILENAME: Served(FILENAME, huge, digest)}
        server = ServerProcess(tmp_path / "state", upstream.source.url)
        try:
            service = server.service
            service.usual_repositories()
            token = service.token()
            fields = {":action": "file_upload", "name": "huge", "version": "1.0", "sha256_digest": digest}
            boundary = choose_boundary()
            length = sum(map(len, form_body(huge, fields, boundary)))
            urls = {name: f"{service.endpoint(name)}simple/huge/1.0/{FILENAME}" for name in ("approved", "open")}
            with Growth(server.process.pid) as growth:
                answer = requests.post(
                    service.endpoint("approved"),
                    data=Sized(form_body(huge, fields, boundary), length),
                    headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
                    auth=("aws", token),
                    timeout=300,
                )
                assert answer.status_code == 200, answer.text
                assert sha256_of(urls["approved"], token) == (SIZE, digest)
                service.client.delete_repository(
                    domain="data-platform", repository="approved"
                )  # so that the bytes are not here any more
                assert not list((tmp_path / "state" / "blobs").glob("*/*"))
                assert sha256_of(urls["open"], token) == (SIZE, digest)
            assert growth.bytes < MOST_GROWTH
        finally:
            server.kill()
    assert len(list((tmp_path / "state" / "blobs").glob("*/*"))) == 1
