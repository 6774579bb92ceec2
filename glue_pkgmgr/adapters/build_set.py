"""The build requirements of an sdist, pinned: releases that were there when it was uploaded, by hash."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import uv
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from glue_pkgmgr.adapters.backend import INSTALL_SECONDS, credentials, last_words
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from glue_pkgmgr.index_source import configured_index, installer_environment
from glue_pkgmgr.process import Finished, ProcessTimeout, run

EARLIEST = datetime(2024, 6, 1, tzinfo=UTC)
"""Build requirements of older sdists are taken as of this day: backends of their own day need an older Python.

setuptools 70.0.0, the newest then, runs on Python 3.11 to 3.13 and still reads what old `setup.py` files say.
"""

FIXED: Mapping[str, str] = MappingProxyType(
    {
        "flit-core==3.9.0": "7aada352fb0c7f5538c4fafeddf314d3a6a92ee8e2b1de70482329e42de70301",
        "hatchling==1.24.2": "5576ad05227cf96bb4bfd3a5dce31aa53eff05e95da57b40769bd5a3096b31b1",
        "packaging==24.0": "2ddfb553fdf02fb784c234c7ba6ccc288296ceabec964ad2eae3777778130bc5",
        "pathspec==0.12.1": "a0d503e138a4c123b27490a4f7beda6a01c6f288df0e4a8b79c7eb0dc7b4cc08",
        "pluggy==1.5.0": "44e1ad92c8ca002de6377e165f3e0f1be63266ab4d554740532335b9d75ea669",
        "poetry-core==1.9.0": "4e0c9c6ad8cf89956f03b308736d84ea6ddb44089d16f2adc94050108ec1f5a1",
        "setuptools==70.0.0": "54faa7f2e8d2d11bcd2c07bed282eef1046b5c080d1c32add737d7b5817b1ad4",
        "trove-classifiers==2024.5.22": "c43ade18704823e4afa3d9db7083294bc4708a5e02afbcefacd0e9d03a7a24ef",
        "wheel==0.43.0": "55c570405f142630c6b9f72fe09d9b67cf1477fcf543ae5b8dcb1f5b7377da81",
    }
)
"""The build tools of `EARLIEST` and the SHA-256 of their wheels, for sdists whose own set cannot be told."""

_FIXED_VERSIONS = {project_name(name): Version(version) for name, version in (pin.split("==") for pin in FIXED)}
# Resolved for every Python we run on, so that the set does not depend on which one that is.
_OLDEST_PYTHON = "3.11"
_SECONDS = 300.0
_NEEDED = frozenset(
    {"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
)
_NEEDED_PREFIXES = ("PIP_", "UV_", "LC_")
_NO_SOLUTION = 1  # uv's exit status; an index that cannot be read gives 2


class BuildSet:
    """What one build has installed; `install` is what `backend.build_distribution` asks for.

    `pins` are lines of a requirements file with hashes; `as_of` is the time (aware UTC) whose releases they
    are, None for the fixed set.
    """

    def __init__(
        self, environ: Mapping[str, str], python: Path, folder: Path, *, uploaded: datetime | None, now: datetime
    ) -> None:
        self.wanted: tuple[str, ...] = ()
        self.pins: tuple[str, ...] = ()
        # A time to come would let the set change until then.
        known = uploaded if uploaded is not None and uploaded <= now else None
        self.as_of = None if known is None else max(known, EARLIEST)
        self.python = python
        self._environ, self._folder = environ, folder
        self._index = configured_index(environ)

    def install(self, requirements: Collection[str]) -> None:
        """Pin `requirements` and all asked for before, and install exactly that set, wheels only.

        Raises: NotInstallable when they cannot be pinned; IndexAccessError.
        """
        wanted = tuple(sorted({*self.wanted, *map(_named_only, requirements)}))
        if wanted == self.wanted:
            return
        self.wanted = wanted
        self.pins = self._resolved()
        file = self._folder / "build-set.txt"
        file.write_text("\n".join(self.pins), encoding="utf-8")
        finished = self._uv("sync", "--require-hashes", file, timeout=INSTALL_SECONDS)
        if not finished.ok:
            raise IndexAccessError(
                f"cannot install the build requirements {', '.join(wanted)} from {self._index.redacted}: "
                f"{last_words(finished)}"
            )

    def _resolved(self) -> tuple[str, ...]:
        if self.as_of is None:
            return self._fixed("the index does not tell when the sdist was uploaded, or tells a time to come")
        finished = self._uv(
            *("compile", "-", "--no-header", "--no-annotate", "--generate-hashes"),
            *("--universal", "--python-version", _OLDEST_PYTHON, "--exclude-newer", self.as_of.isoformat()),
            given="\n".join(self.wanted),
            timeout=_SECONDS,
        )
        if finished.ok:
            return _lines(finished.stdout)
        if finished.returncode != _NO_SOLUTION:
            raise IndexAccessError(f"cannot read {self._index.redacted}: {last_words(finished)}")
        pins = self._fixed(f"no releases of {self.as_of:%Y-%m-%d} satisfy them: {last_words(finished)}")
        self.as_of = None
        return pins

    def _fixed(self, why: str) -> tuple[str, ...]:
        """Return the whole fixed set, if it satisfies all that is wanted."""
        unsatisfied = [text for text in self.wanted if not _satisfied(Requirement(text))]
        if unsatisfied:
            raise NotInstallable(
                f"the build requirements {', '.join(self.wanted)} cannot be pinned: {why}; and our fixed set "
                f"({', '.join(FIXED)}) does not satisfy {', '.join(unsatisfied)}"
            )
        return tuple(f"{pin} --hash=sha256:{sha256}" for pin, sha256 in FIXED.items())

    def _uv(self, *args: str | Path, timeout: float, given: str = "") -> Finished:
        try:
            return run(
                [
                    *(uv.find_uv_bin(), "pip", *args, "--quiet", "--python", self.python),
                    # An sdist here would be built with requirements that nobody pinned.
                    *("--only-binary", ":all:", "--index-strategy", "first-index"),
                ],
                env=_needed(installer_environment(self._environ, self._index)),
                cwd=self._folder,
                input=given.encode(),
                timeout=timeout,
                secrets=credentials(self._index),
            )
        except ProcessTimeout as e:
            raise IndexAccessError(
                f"{self._index.redacted} is too slow with the build requirements {', '.join(self.wanted)}: {e}"
            ) from e


def _needed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return of `environ` what uv needs to reach the index and its cache.

    It asks the environment's Python what it is; and a backend that ran before may have put another program there.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_PREFIXES) or name.lower().endswith("_proxy")
    }


def _named_only(text: str) -> str:
    """Return a requirement as text, refused if it is more than names and versions of an index."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as e:
        raise NotInstallable(f"{text!r} is not a build requirement: {e}") from e
    if requirement.url:
        raise NotInstallable(f"the build requirement {text!r} is an address: what lies there cannot be pinned")
    named = str(requirement)
    if not named.isprintable():  # a line break in a marker would begin a line of uv's input: an option, say
        raise NotInstallable(f"{text!r} is not a build requirement: it holds control characters")
    return named


def _satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    version = _FIXED_VERSIONS.get(project_name(requirement.name))
    return (
        version is not None
        and not requirement.extras
        and requirement.specifier.contains(version, prereleases=True)
    )


def _lines(text: str) -> tuple[str, ...]:
    """Return requirements with their hashes, one a line."""
    return tuple(" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line.strip())
