"""Which index pip uses, asked of the real pip; what pip and uv are started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.index_source import IndexSource, configured_index, installer_environment
from tests.integration.local.made_distributions import wheel
from tests.integration.local.upstream_index import running_upstream


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Give an environment with no configuration of pip at all."""
    folder = tmp_path / "home"
    folder.mkdir()
    return {
        "HOME": str(folder),
        "PATH": os.defpath,
        "XDG_CONFIG_HOME": str(folder),
        "XDG_CONFIG_DIRS": str(folder),
    }


def configure(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "pip.conf"
    path.write_text(text)
    return {"PIP_CONFIG_FILE": str(path)}


def test_the_file_of_pip_is_followed_but_not_where_else_it_would_look(
    home: dict[str, str], tmp_path: Path
) -> None:
    text = (
        "[global]\nindex-url = http://127.0.0.1:9/main\nextra-index-url = http://127.0.0.1:9/extra\n"
        "find-links = /somewhere\ncert = /ca.pem\nproxy = http://127.0.0.1:9/\n"
    )
    source = configured_index(home | configure(tmp_path, text))
    assert (source.url, source.ca_bundle, source.proxy) == (
        "http://127.0.0.1:9/main/",
        Path("/ca.pem"),
        "http://127.0.0.1:9/",
    )


def test_a_variable_ranks_above_the_file_and_the_install_section_above_the_global_one(
    home: dict[str, str], tmp_path: Path
) -> None:
    text = "[global]\nindex-url = http://127.0.0.1:9/a/\n[install]\nindex-url = http://127.0.0.1:9/b/\n"
    environ = home | configure(tmp_path, text)
    assert configured_index(environ).url == "http://127.0.0.1:9/b/"
    assert configured_index(environ | {"PIP_INDEX_URL": "http://127.0.0.1:9/c"}).url == "http://127.0.0.1:9/c/"


def test_no_index_is_told(home: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="configured to use no index"):
        configured_index(home | {"PIP_NO_INDEX": "1"})


def test_a_broken_configuration_is_told_in_the_words_of_pip(home: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pip could not say which index it uses: .*pip\.conf"):
        configured_index(home | configure(tmp_path, "no section\n"))


def test_credentials_in_a_broken_configuration_are_not_told(home: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"http://\*\*\*\*@127\.0\.0\.1") as caught:
        configured_index(home | configure(tmp_path, "index-url = http://user:s3cret@127.0.0.1:9/\n"))
    assert "s3cret" not in str(caught.value)


def test_a_folder_called_pip_where_we_run_is_not_pip(
    home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert configured_index(home | {"PIP_INDEX_URL": "http://127.0.0.1:9/here/"}).url == "http://127.0.0.1:9/here/"


def test_an_index_is_printed_without_its_credentials() -> None:
    source = IndexSource(url="https://user:s3cret@127.0.0.1:9/simple/", proxy="http://u:s3cret@127.0.0.1:9/")
    assert source.redacted == "https://127.0.0.1:9/simple/"
    assert "s3cret" not in repr(source)


def test_nothing_of_the_machines_own_configuration_is_in_force() -> None:
    noise = {
        "PIP_EXTRA_INDEX_URL": "x",
        "pip_find_links": "x",
        "PIP_INDEX_URL": "x",
        "UV_INDEX": "x",
        "UV_EXTRA_INDEX_URL": "x",
        "VIRTUAL_ENV": "x",
        "KEPT": "yes",
        "UV_CACHE_DIR": "/cache",
        "PIP_CERT": "/ca.pem",
    }
    source = IndexSource(url="http://127.0.0.1:9/simple/")
    environ = installer_environment(noise, source)
    assert not {"PIP_EXTRA_INDEX_URL", "pip_find_links", "UV_INDEX", "UV_EXTRA_INDEX_URL", "VIRTUAL_ENV"} & set(
        environ
    )
    assert (environ["PIP_CONFIG_FILE"], environ["UV_NO_CONFIG"]) == (os.devnull, "1")
    assert environ["PIP_INDEX_URL"] == environ["UV_DEFAULT_INDEX"] == source.url
    assert (environ["KEPT"], environ["UV_CACHE_DIR"]) == ("yes", "/cache")
    assert environ["SSL_CERT_FILE"] == environ["REQUESTS_CA_BUNDLE"] == environ["PIP_CERT"] == "/ca.pem"


def test_without_a_source_no_index_is_set() -> None:
    environ = installer_environment({"PIP_INDEX_URL": "x", "UV_DEFAULT_INDEX": "x"}, None)
    assert not {"PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_CERT"} & set(environ)


def test_the_proxy_and_the_certificates_of_pip_rank_above_those_of_the_environment() -> None:
    source = IndexSource(url="http://127.0.0.1:9/", ca_bundle=Path("/pip.pem"), proxy="http://127.0.0.1:8/")
    given = {"http_proxy": "x", "https_proxy": "x", "NO_PROXY": "y", "SSL_CERT_FILE": "/other.pem"}
    environ = installer_environment(given, source)
    assert not {"http_proxy", "https_proxy"} & set(environ)
    assert environ["HTTP_PROXY"] == environ["HTTPS_PROXY"] == "http://127.0.0.1:8/"
    assert (environ["NO_PROXY"], environ["SSL_CERT_FILE"]) == ("y", "/pip.pem")


def test_an_installer_started_this_way_asks_the_configured_index_and_no_other(
    home: dict[str, str], tmp_path: Path
) -> None:
    with running_upstream() as index, running_upstream() as noise:
        index.add(wheel("acme", "1.0"))
        noise.add(wheel("acme", "2.0"))
        text = f"[global]\nindex-url = {index.source.url}\nextra-index-url = {noise.source.url}\n"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(tmp_path / "got"), "acme"]
        finished = subprocess.run(
            [sys.executable, "-m", "glue_pkgmgr.index_source", *command],
            env=home | configure(tmp_path, text),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["acme-1.0-py3-none-any.whl"]
    assert noise.requests == {}


def test_without_an_index_the_set_up_says_so_in_one_line(home: dict[str, str]) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "glue_pkgmgr.index_source", "pip"],
        env=home | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: pip is configured to use no index")
    assert finished.stderr.count("\n") == 1
