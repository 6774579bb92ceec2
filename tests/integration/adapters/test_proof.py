"""A release is proven with real uv and a real environment, from the index of the stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.adapters.proof import InstallProof
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.adapters.upload import TwineUploader
from glue_pkgmgr.core.index_url import IndexUrl
from glue_pkgmgr.core.publish_record import Proof, Proven
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from tests.integration.adapters.distributions import sdist, wheel
from tests.integration.adapters.loopback import (
    NO_PROXY,
    CodeArtifactService,
    Seen,
    codeartifact_service,
    index_url,
    reply,
    scripted,
)

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass
class Bench:
    """The stand-in, and a prover that knows no Python but our own."""

    service: CodeArtifactService
    folder: Path
    environ: Mapping[str, str]
    url: IndexUrl

    def wheel(self, name: str = "acme-demo", *, requires: str = "", upload: bool = True, **made: Any) -> Path:
        lines = "".join(f"Requires-Dist: {one}\n" for one in requires.split(",") if one)
        folder = self.folder / "dist"
        folder.mkdir(exist_ok=True)
        path = wheel(folder, name, "1.0", metadata=lambda text: text + lines, **made)
        if upload:
            TwineUploader(self.url, NO_PROXY).upload(path)
        return path

    def prove(self, *paths: Path, import_seconds: float = 60, **more: str) -> Proof:
        prover = InstallProof(
            {**self.environ, **more},
            metadata=WheelMetadata(self.folder),
            find_python=lambda version: None,
            import_seconds=import_seconds,
        )
        return prover.prove([describe(path) for path in paths], self.url, SimpleIndex(self.url, NO_PROXY))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with codeartifact_service(tmp_path / "service") as service:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        yield Bench(service, tmp_path, environ, service.index_url())


def test_a_release_is_installed_with_all_it_requires_and_imported(bench: Bench) -> None:
    bench.wheel("base")
    proof = bench.prove(bench.wheel(requires="base>=1", code="import base\n"))
    assert proof.proven is Proven.IMPORTED
    assert proof.python.startswith(f"{OURS}.")
    assert (proof.modules, proof.complete, proof.detail) == (("acme_demo",), True, "")


def test_requirements_the_repository_lacks_are_named_and_what_works_without_them_is_imported(bench: Bench) -> None:
    proof = bench.prove(bench.wheel(requires="absent-lib,base; python_version < '3'"))
    assert (proof.proven, proof.complete) == (Proven.IMPORTED, False)
    assert proof.detail == "absent-lib is not in the repository yet"


def test_what_needs_an_absent_requirement_at_once_is_installed_only(bench: Bench) -> None:
    proof = bench.prove(bench.wheel(requires="absent-lib", code="import absent_lib\n"))
    assert (proof.proven, proof.modules) == (Proven.INSTALLED, ())
    assert "absent-lib is not in the repository yet; acme_demo was not imported: ModuleNotFound" in proof.detail


def test_a_requirement_whose_version_is_not_there_is_told_in_the_words_of_uv(bench: Bench) -> None:
    bench.wheel("base")
    proof = bench.prove(bench.wheel(requires="base>=2"))
    assert (proof.proven, proof.complete) == (Proven.IMPORTED, False)
    assert "cannot be had from the repository yet" in proof.detail
    assert "base>=2" in proof.detail


@pytest.mark.parametrize("module", ["pyspark", "awsglue.context", "pandas"])
def test_what_the_glue_image_brings_is_not_missed(bench: Bench, module: str) -> None:
    proof = bench.prove(bench.wheel(code=f"import {module}\n"))
    assert (proof.proven, proof.complete) == (Proven.INSTALLED, True)
    assert f"acme_demo needs {module.partition('.')[0]}, which the Glue image brings" in proof.detail


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import undeclared_lib\n", "No module named 'undeclared_lib'; declare what it requires"),
        ("from acme_demo import lost\n", "ImportError: cannot import name 'lost'"),
        ("def broken(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("import os; print('so long', flush=True); os._exit(7)\n", "ended the process: so long"),
    ],
)
def test_a_release_that_cannot_be_imported_is_an_error(bench: Bench, code: str, told: str) -> None:
    path = bench.wheel(code=code)
    with pytest.raises(NotInstallable, match=told):
        bench.prove(path)


def test_a_release_whose_import_does_not_end_is_an_error_of_the_release(bench: Bench) -> None:
    path = bench.wheel(code="import time; time.sleep(60)\n")
    with pytest.raises(NotInstallable, match=r"importing acme_demo .* does not end: .*publish the next version"):
        bench.prove(path, import_seconds=1)


def test_a_module_may_change_the_arguments_and_the_folder_of_its_process(bench: Bench) -> None:
    proof = bench.prove(bench.wheel(code="import os, sys; sys.argv = []; os.chdir('/')\n"))
    assert proof.proven is Proven.IMPORTED


def test_a_broken_module_of_its_own_is_no_missing_requirement(bench: Bench) -> None:
    path = bench.wheel(requires="absent-lib", code="import acme_demo.lost\n")
    with pytest.raises(NotInstallable, match="acme_demo"):
        bench.prove(path)


def test_other_bytes_than_ours_are_not_installed(bench: Bench, tmp_path: Path) -> None:
    bench.wheel()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(NotInstallable, match=r"(?i)cannot be installed from there: .*hash.* who changed it"):
        bench.prove(wheel(other, "acme-demo", "1.0", code="x = 2\n"))


def test_a_file_that_the_index_does_not_hand_out_is_no_fault_of_the_release(bench: Bench) -> None:
    path = bench.wheel(upload=False)
    page: dict[str, Any] = {
        "meta": {"api-version": "1.0"},
        "name": "acme-demo",
        "files": [{"filename": path.name, "hashes": {}}],
    }

    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if not seen.path.startswith("/simple/"):
            return reply(handler, 404)
        page["files"][0]["url"] = f"{server.url}{path.name}"
        return reply(handler, 200, json.dumps(page).encode(), Content_Type="application/vnd.pypi.simple.v1+json")

    with scripted(answer) as server, pytest.raises(IndexAccessError, match="run again to prove it"):
        Bench(bench.service, bench.folder, bench.environ, index_url(server.url)).prove(path)


def test_what_is_not_on_the_index_is_an_error_whatever_the_machine_has(bench: Bench, tmp_path: Path) -> None:
    path = bench.wheel(upload=False)
    with pytest.raises(NotInstallable, match="cannot be installed from there"):
        bench.prove(path, UV_FIND_LINKS=str(path.parent), PIP_FIND_LINKS=str(path.parent))


def test_the_token_is_in_no_error(bench: Bench) -> None:
    path = bench.wheel(upload=False)
    bench.service.client.delete_repository(domain="acme", repository="approved")
    with pytest.raises(NotInstallable) as caught:
        bench.prove(path)
    assert bench.url.token.reveal() not in str(caught.value)
    assert bench.url.token.reveal() not in repr(caught.value.__cause__)


def test_imported_code_sees_no_credential_and_no_other_folder(bench: Bench, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"import os, sys\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)) + repr(sys.path))\n"
    secret = {"AWS_SECRET_ACCESS_KEY": "hush", "UV_DEFAULT_INDEX": "hush", "PYTHONPATH": "/hush"}
    bench.prove(bench.wheel(code=code), **secret)
    text = seen.read_text()
    assert "hush" not in text
    assert bench.url.token.reveal() not in text


def test_an_sdist_alone_is_served_and_no_more(bench: Bench, tmp_path: Path) -> None:
    proof = bench.prove(sdist(tmp_path, "acme-demo", "1.0"))
    assert str(proof) == "served by the index: it has no wheel, and jobs install nothing else"


@pytest.mark.parametrize(
    "made",
    [{"tag": "cp311-cp311-win_amd64"}, {"tag": "cp27-none-any"}, {"requires": "", "tag": "py2-none-any"}],
)
def test_a_wheel_for_other_machines_is_served_and_no_more(bench: Bench, made: dict[str, Any]) -> None:
    proof = bench.prove(bench.wheel(upload=False, **made))
    assert (proof.proven, proof.detail) == (Proven.SERVED, "none of its wheels fits a Python of this machine")


def test_a_python_that_the_release_does_not_admit_is_not_taken(bench: Bench, tmp_path: Path) -> None:
    path = wheel(tmp_path, "acme-demo", "1.0", metadata=lambda text: f"{text}Requires-Python: >=4\n")
    assert bench.prove(path).proven is Proven.SERVED


def test_the_oldest_python_of_glue_that_is_here_is_taken(bench: Bench) -> None:
    asked: list[tuple[int, int]] = []

    def find(version: tuple[int, int]) -> Path | None:
        asked.append(version)
        return Path(sys.executable) if version == (3, 10) else None

    path = bench.wheel()
    prover = InstallProof(bench.environ, metadata=WheelMetadata(bench.folder), find_python=find)
    proof = prover.prove([describe(path)], bench.url, SimpleIndex(bench.url, NO_PROXY))
    assert asked == [(3, 7), (3, 10)]
    assert proof.proven is Proven.IMPORTED


def test_a_wheel_with_nothing_to_import_is_installed(bench: Bench, tmp_path: Path) -> None:
    import zipfile

    path = bench.wheel(upload=False)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / path.name, "w") as new:
        for info in old.infolist():
            if not info.filename.endswith(".py"):
                new.writestr(info, old.read(info))
    TwineUploader(bench.url, NO_PROXY).upload(tmp_path / path.name)
    proof = bench.prove(tmp_path / path.name)
    assert (proof.proven, proof.detail) == (Proven.INSTALLED, "there is nothing in it to import")
