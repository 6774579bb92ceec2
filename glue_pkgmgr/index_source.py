"""The package index that pip is configured to use, and the environment in which we start pip and uv.

The machine's other pip settings (find-links, extra indexes) are never followed: a private index that
silently looks elsewhere as well is the attack this project exists to stop.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import run

# Asks pip itself, so that its files, variables, sections and built-in default rank as pip ranks them.
_ASK_PIP = """
import json
from pip._internal.commands import create_command
options, _ = create_command("install").parse_args([])
print(json.dumps({"index_url": options.index_url, "cert": options.cert, "no_index": options.no_index,
                  "proxy": options.proxy}))
"""
_ASK_SECONDS = 60.0
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_LONGEST_REASON = 400  # characters
_CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSource:
    """A package index and how to reach it. `url` ends in `/` and may hold credentials: hence no repr."""

    url: str = field(repr=False)
    ca_bundle: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    @property
    def redacted(self) -> str:
        """The URL without user and password: the form to print."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=host))


def configured_index(environ: Mapping[str, str]) -> IndexSource:
    """Return the index that `pip install` would use with `environ`, from pip's own reading of its settings.

    Only its index URL, CA bundle and proxy are taken. One process is started the first time.

    Raises: SettingsError when pip cannot be asked, or is told to use no index.
    Source: pip's user guide, "Configuration" (files, `PIP_*` variables and their precedence).
    """
    return _ask(tuple(sorted(environ.items())))


@lru_cache(maxsize=8)
def _ask(environ: tuple[tuple[str, str], ...]) -> IndexSource:
    # -P: a folder called `pip` where we happen to run is not pip.
    finished = run([sys.executable, "-P", "-c", _ASK_PIP], env=dict(environ), timeout=_ASK_SECONDS)
    if not finished.ok:
        # pip quotes lines of its configuration, which may hold credentials.
        told = _CREDENTIALS.sub("//****@", " ".join(finished.stderr.split()))
        reason = told[-_LONGEST_REASON:] or "no output"
        raise SettingsError(f"pip could not say which index it uses: {reason}; try `python -m pip config list`")
    answer = json.loads(finished.stdout)
    if answer["no_index"] or not answer["index_url"]:
        raise SettingsError("pip is configured to use no index (no-index); set index-url in pip's configuration")
    url = str(answer["index_url"])
    return IndexSource(
        url=url if url.endswith("/") else f"{url}/",
        ca_bundle=Path(answer["cert"]) if answer["cert"] else None,
        proxy=answer["proxy"] or None,
    )


def installer_environment(environ: Mapping[str, str], source: IndexSource | None) -> dict[str, str]:
    """Return `environ` for a pip or uv child that may look at `source` and nowhere else.

    Every `PIP_*` and `UV_*` variable and every configuration file of the machine is out of force; the CA
    bundle and the proxy stay. `source=None` sets no index: the command line decides, or nothing does.
    """
    kept = {k: v for k, v in environ.items() if not k.upper().startswith(("PIP_", "UV_"))}
    # A virtual environment of ours must not decide into which one a child installs.
    kept.pop("VIRTUAL_ENV", None)
    kept.update(
        PIP_CONFIG_FILE=os.devnull,
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        UV_NO_CONFIG="1",
        UV_PYTHON_DOWNLOADS="never",
    )
    if ca_bundle := _ca_bundle(environ, source):
        kept.update(PIP_CERT=ca_bundle, SSL_CERT_FILE=ca_bundle, REQUESTS_CA_BUNDLE=ca_bundle)
    if "UV_CACHE_DIR" in environ:  # where files are kept, not where they come from
        kept["UV_CACHE_DIR"] = environ["UV_CACHE_DIR"]
    if source is not None:
        kept.update(PIP_INDEX_URL=source.url, UV_DEFAULT_INDEX=source.url)
        if source.proxy:
            kept = {k: v for k, v in kept.items() if k not in ("http_proxy", "https_proxy")}  # they would win
            kept.update(HTTP_PROXY=source.proxy, HTTPS_PROXY=source.proxy)
    return kept


def _ca_bundle(environ: Mapping[str, str], source: IndexSource | None) -> str | None:
    if source is not None and source.ca_bundle:
        return str(source.ca_bundle)
    return next((environ[name] for name in _CA_VARIABLES if environ.get(name)), None)


def main(command: Sequence[str]) -> None:
    """Become `command` (a pip or uv call) in the environment that sees only the index pip is configured to use.

    This is how the project sets itself up: `python -m glue_pkgmgr.index_source COMMAND…`, stdlib and pip only.
    """
    environment = installer_environment(os.environ, configured_index(os.environ))
    os.execvpe(command[0], list(command), environment)  # noqa: S606 - to become the command is the point


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SettingsError, OSError) as e:
        sys.exit(f"error: {e}")
