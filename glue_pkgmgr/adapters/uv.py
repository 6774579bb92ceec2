"""uv as the resolver."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv
from packaging.version import Version

from glue_pkgmgr.adapters.view import View
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.request import Request
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import NotInstallable
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.ports import ResolvedRelease, Unresolvable, VisibleIndex
from glue_pkgmgr.process import run

_SECONDS = 300.0
# `name==version    # via a, b`: what `--annotation-style line` writes.
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?:\s+# via (?P<via>.+))?")
_REQUEST = "-r -"  # how uv names requirements read from standard input
# The glibc versions uv knows as a platform. The view hides wheels that do not fit, so a newer one is safe.
_UV_GLIBC_MINORS = (17, 28, *range(31, 41))


class UvResolver:
    """Resolves with `uv pip compile` against a loopback view; satisfies `ports.Resolver`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def resolve(
        self,
        request: Request,
        runtime: GlueRuntime,
        index: VisibleIndex,
        preferred: Mapping[ProjectName, Version],
    ) -> Sequence[ResolvedRelease]:
        """Return the closure of `request`, sorted by project; see `ports.Resolver`."""
        view = View(index)
        with view.serving(), tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as folder:
            output = Path(folder) / "closure.txt"
            # uv takes the pins of an output file that exists as preferences.
            output.write_text("".join(f"{name}=={version}\n" for name, version in preferred.items()))
            finished = run(
                self._command(runtime, output),
                env=_seeing_only(view, installer_environment(self._environ, None)),
                input="\n".join(str(item) for item in request).encode(),
                timeout=_SECONDS,
            )
            if view.failures:
                raise view.failures[0]
            if not finished.ok:
                raise Unresolvable(_without_view(finished.stderr, view.url))
            return _parse(output.read_text(encoding="utf-8"))

    def _command(self, runtime: GlueRuntime, output: Path) -> list[str | Path]:
        minor = min(m for m in _UV_GLIBC_MINORS if m >= runtime.glibc[1])
        return [
            *(uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header", "--no-cache"),
            *("--annotation-style", "line", "--only-binary", ":all:", "--index-strategy", "first-index"),
            # uv wants some Python; left alone, it tries those on PATH, working or not.
            *("--python", sys.executable),
            *("--python-version", runtime.python_text, "--python-platform", f"x86_64-manylinux_2_{minor}"),
            # Hidden pre-releases are hidden by the view; those it shows were approved by name.
            *("--prerelease", "allow", "--output-file", output),
        ]


def _seeing_only(view: View, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` for a uv that sees `view`, through no proxy, and nothing else."""
    return {
        **{name: value for name, value in environ.items() if not name.lower().endswith("_proxy")},
        "UV_DEFAULT_INDEX": view.url,
        "UV_HTTP_RETRIES": "0",  # what stands behind the view was tried again already
        "UV_HTTP_TIMEOUT": f"{_SECONDS:.0f}",  # a wheel is fetched whole before its metadata is answered
    }


def _parse(text: str) -> list[ResolvedRelease]:
    releases = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:  # a release left out would be a lock with a hole in it
            raise NotInstallable(f"uv answered with a line that is no release: {line!r}; please report this")
        wanted_by = (via.strip() for via in (match["via"] or "").split(","))
        releases.append(
            ResolvedRelease(
                project=project_name(match["name"]),
                version=Version(match["version"]),
                wanted_by=tuple(sorted(project_name(via) for via in wanted_by if via and via != _REQUEST)),
            )
        )
    return sorted(releases, key=lambda release: release.project)


def _without_view(text: str, url: str) -> str:
    return text.replace(url, "the index").strip().removeprefix("error: ")
