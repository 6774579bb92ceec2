"""Proves a release: installed from its index alone into a throw-away environment, and imported there."""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uv
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.import_names import import_names
from glue_pkgmgr.core.index_url import IndexUrl, spellings
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.publish_record import Proof, Proven
from glue_pkgmgr.core.runtime import RUNTIMES, known_from_images
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.ports import MetadataReader, PackageIndex
from glue_pkgmgr.process import Finished, ProcessTimeout, run

PythonVersion = tuple[int, int]

_INSTALL_SECONDS = 600.0
_IMPORT_SECONDS = 120.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# What every Glue image brings beside the releases that pip lists there.
_SPARK = frozenset({"pyspark", "awsglue", "py4j"})
_LONGEST_REASON = 400  # characters of what a program printed
# uv's words when the index is at fault, whatever the release is like.
_NOT_FETCHED = ("failed to fetch", "error sending request", "operation timed out")
_OTHER_BYTES = "hash mismatch"
# Prints nothing: what is imported may print itself. A module that ends the process leaves no answer.
_IMPORT = """
import importlib, json, platform, sys
answer, *names = sys.argv[1:]
failed = {}
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as e:
        absent = e.name if isinstance(e, ModuleNotFoundError) else None
        failed[name] = [isinstance(e, ImportError), absent, f"{type(e).__name__}: {e}"]
with open(answer, "w") as file:
    json.dump({"python": platform.python_version(), "failed": failed}, file)
"""


class InstallProof:
    """Installs with uv, which sees the index and nothing else, not even its own cache; satisfies `ports.Prover`.

    `find_python` returns the interpreter of a Python version, None if this machine has none.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        metadata: MetadataReader,
        find_python: Callable[[PythonVersion], Path | None],
        import_seconds: float = _IMPORT_SECONDS,
    ) -> None:
        self._environ = environ
        self._metadata = metadata
        self._find_python = find_python
        self._import_seconds = import_seconds

    def prove(self, files: Sequence[BuiltFile], url: IndexUrl, index: PackageIndex) -> Proof:
        """Install the release of `files`, import it, and tell how far that got; see `ports.Prover`.

        The Python is the oldest of a Glue version that the release admits and this machine has, else our own.
        Requirements are installed along if the index has them all; a release is not blamed for those that the
        repository does not hold yet, or that only the Glue image brings.
        """
        wheels = [file for file in files if file.distribution.is_wheel]
        if not wheels:
            return Proof(proven=Proven.SERVED, detail="it has no wheel, and jobs install nothing else")
        fitting = self._fitting(wheels)
        if fitting is None:
            return Proof(proven=Proven.SERVED, detail="none of its wheels fits a Python of this machine")
        wheel, python, version = fitting
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-proof-") as folder:
            trial = _Trial(Path(folder), python, url, self._environ, self._import_seconds)
            release = f"{wheel.distribution.project}=={wheel.distribution.version}"
            trial.install(release, wheels)
            lacking = self._lacking(wheel, version, index) or trial.complete(release)
            return _judged(release, trial.imported(_modules(wheel)), _modules(wheel), lacking)

    def _fitting(self, wheels: Sequence[BuiltFile]) -> tuple[BuiltFile, Path, PythonVersion] | None:
        """Return a wheel, a Python it fits, and that Python's version."""
        platforms = list(platform_tags())
        for version in dict.fromkeys([*(one.python for one in RUNTIMES.values()), sys.version_info[:2]]):
            tags = set(_tags(version, platforms))
            fits = [one for one in wheels if one.distribution.tags & tags and self._admits(one, version)]
            if fits and (python := self._python(version)):
                return fits[0], python, version
        return None

    def _python(self, version: PythonVersion) -> Path | None:
        return Path(sys.executable) if version == sys.version_info[:2] else self._find_python(version)

    def _admits(self, wheel: BuiltFile, version: PythonVersion) -> bool:
        told = parse_email(self._metadata.read_file(wheel.path))[0].get("requires_python", "")
        # The last patch release there may be: `>=3.10.2` is no reason against Python 3.10.
        return SpecifierSet(told).contains(f"{version[0]}.{version[1]}.99")

    def _lacking(self, wheel: BuiltFile, version: PythonVersion, index: PackageIndex) -> str:
        """Return which direct requirements the index does not have at all, as a sentence; none: ''."""
        raw = parse_email(self._metadata.read_file(wheel.path))[0]
        absent = [one for one in _required(raw.get("requires_dist", []), version) if index.page(one) is None]
        if not absent:
            return ""
        return f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not in the repository yet"


@dataclass(frozen=True, slots=True)
class _Trial:
    """One throw-away environment in `folder`."""

    folder: Path
    python: Path
    url: IndexUrl
    environ: Mapping[str, str]
    import_seconds: float

    def install(self, release: str, wheels: Sequence[BuiltFile]) -> None:
        """Install `release` without what it requires; only one of `wheels` to the byte counts.

        Raises: NotInstallable; IndexAccessError.
        """
        self._require_ok(self._uv("venv", "--no-project", "--python", self.python, self._environment), release)
        hashes = " ".join(f"--hash=sha256:{wheel.sha256}" for wheel in wheels)
        wanted = f"{release} {hashes}\n".encode()
        self._require_ok(self._pip_install("--no-deps", "--require-hashes", "-r", "-", given=wanted), release)

    def complete(self, release: str) -> str:
        """Install what `release` requires; return why that is not possible yet, '' if it was."""
        finished = self._pip_install("--", release)
        return (
            "" if finished.ok else f"what it requires cannot be had from the repository yet: {_reason(finished)}"
        )

    def imported(self, modules: Sequence[str]) -> dict[str, Any]:
        """Import `modules` one by one; return the Python version, and what went wrong by module.

        The code of the release runs here, without any credential.

        Raises: NotInstallable if it ends the process, or does not come to an end.
        """
        answer = self.folder / "answer.json"
        # A file: the start of a program may not be longer than the system allows, and -c has a name in errors.
        command: list[str | Path] = [self._environment / "bin" / "python", "-I", "-B", "-c", _IMPORT, answer]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        try:
            finished = run([*command, *modules], env=env, cwd=self.folder, timeout=self.import_seconds)
        except ProcessTimeout as e:
            raise NotInstallable(
                f"importing {', '.join(modules)} from the installed wheel does not end: {e}; the release is "
                "published: correct it and publish the next version"
            ) from e
        if not answer.is_file():
            raise NotInstallable(
                f"importing {', '.join(modules)} from the installed wheel ended the process: {_reason(finished)}; "
                "the release is published: correct it and publish the next version"
            )
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return told

    @property
    def _environment(self) -> Path:
        return self.folder / "environment"

    def _pip_install(self, *words: str | Path, given: bytes | None = None) -> Finished:
        where = ("--python", self._environment / "bin" / "python")
        return self._uv("pip", "install", "--no-cache", "--only-binary", ":all:", *where, *words, given=given)

    def _uv(self, *words: str | Path, given: bytes | None = None) -> Finished:
        quiet = [*words, "--quiet"] if words[0] == "venv" else ["--quiet", *words]
        try:
            return run(
                [uv.find_uv_bin(), *quiet],
                env=self._seeing_only_the_index(),
                # Not where we happen to run: there may be a pyproject.toml that is not meant for this.
                cwd=self.folder,
                input=given,
                timeout=_INSTALL_SECONDS,
                secrets=spellings(self.url.token),
            )
        except ProcessTimeout as e:
            raise IndexAccessError(
                f"published, but it takes too long to install it from {self.url.plain}: {e}; run again to prove "
                "it: nothing is uploaded twice"
            ) from e

    def _seeing_only_the_index(self) -> dict[str, str]:
        kept = installer_environment(self.environ, None)
        if urlsplit(self.url.endpoint).hostname in _LOOPBACK:
            kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
        withheld = {name: value for name, value in kept.items() if not name.startswith(("AWS_", "TWINE_"))}
        return {**withheld, "UV_DEFAULT_INDEX": self.url.reveal()}

    def _require_ok(self, finished: Finished, release: str) -> None:
        """Raises: NotInstallable when the release is at fault, or its bytes are; IndexAccessError."""
        if finished.ok:
            return
        failed = f"{release} is published, and the index serves it, but it cannot be installed from there"
        told = finished.stderr.lower()
        if any(words in told for words in _NOT_FETCHED):
            raise IndexAccessError(
                f"{failed}: {_reason(finished)}; run again to prove it: nothing is uploaded twice"
            )
        advice = (
            "do not use this release before it is known who changed it"
            if _OTHER_BYTES in told
            else "correct it and publish the next version"
        )
        raise NotInstallable(f"{failed}: {_reason(finished)}; {advice}")


def _judged(release: str, told: Mapping[str, Any], modules: Sequence[str], lacking: str) -> Proof:
    """Return the proof that an import gives. Raises: NotInstallable when the release itself is at fault."""
    reasons = [lacking] if lacking else []
    for module, (import_error, absent, words) in told["failed"].items():
        top = (absent or "").partition(".")[0]
        brought = bool(top) and (top in _SPARK or project_name(top) in known_from_images())
        if brought:
            reasons.append(f"{module} needs {top}, which the Glue image brings")
        elif lacking and import_error and top not in {one.partition(".")[0] for one in modules}:
            reasons.append(f"{module} was not imported: {words}")
        else:
            raise NotInstallable(
                f"{release} is published and can be installed, but `import {module}` fails: {words}; declare what "
                "it requires, or correct it, and publish the next version"
            )
    return Proof(
        proven=Proven.INSTALLED if told["failed"] or not modules else Proven.IMPORTED,
        python=told["python"],
        modules=tuple(module for module in modules if module not in told["failed"]),
        complete=not lacking,
        detail="; ".join(reasons) if modules else "there is nothing in it to import",
    )


def _modules(wheel: BuiltFile) -> tuple[str, ...]:
    with zipfile.ZipFile(wheel.path) as archive:
        return import_names(archive.namelist())


def _tags(version: PythonVersion, platforms: Sequence[str]) -> Iterator[Tag]:
    interpreter = f"cp{version[0]}{version[1]}"
    return chain(
        cpython_tags(version, platforms=platforms),
        compatible_tags(version, interpreter=interpreter, platforms=platforms),
    )


def _required(requirements: Sequence[str], version: PythonVersion) -> list[ProjectName]:
    """Return the projects that are required with Python `version`, without extras, sorted."""
    text = f"{version[0]}.{version[1]}"
    environment = {"python_version": text, "python_full_version": f"{text}.99", "extra": ""}
    found = map(Requirement, requirements)
    return sorted({project_name(one.name) for one in found if not one.marker or one.marker.evaluate(environment)})


def _reason(finished: Finished) -> str:
    told = " ".join((finished.stdout + finished.stderr).split())
    return told[-_LONGEST_REASON:] or f"status {finished.returncode}"
