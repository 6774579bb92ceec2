"""Writes `glue_pkgmgr/core/preinstalled_requirements.py`: what the releases in each Glue image require.

Run by hand after a change of `core/preinstalled.py`: `python -m tools.preinstalled_requirements`. The metadata
comes from the index that pip is configured to use. Wheels are downloaded for it, some 900 MB the first time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from glue_pkgmgr.adapters.metadata import WheelMetadata
from glue_pkgmgr.adapters.sdist_archive import unpack
from glue_pkgmgr.adapters.simple_index import SimpleIndex
from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.distribution import Distribution, InvalidFilename, parse_filename
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.runtime import RUNTIMES, GlueRuntime
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import GluePkgmgrError, NotInstallable
from glue_pkgmgr.index_source import configured_index
from glue_pkgmgr.ports import MetadataReader, PackageIndex

TARGET = Path(__file__).parents[1] / "glue_pkgmgr" / "core" / "preinstalled_requirements.py"

_WIDTH = 115
_NUMPY = project_name("numpy")
_NUMPY_2 = Version("2.0.0")
_BEFORE_NUMPY_2 = SpecifierSet("<2")
# The first pre-releases of NumPy 2 are of March 2024: what was compiled in the years before was so for NumPy 1.
_NUMPY_2_YEAR = datetime(2024, 1, 1, tzinfo=UTC)

_HEAD = '''"""What the pre-installed releases of each Glue version require: `project: requirement requirement …`.

Generated from `preinstalled.py` and the metadata of its releases; do not edit. To make it anew:
`python -m tools.preinstalled_requirements`. Environment markers are decided for the Glue version; requirements of
extras are left out, and so are projects that require nothing. Old metadata do not say `numpy<2`: it is added where
a wheel was compiled before there was a NumPy 2. Of the releases in `UNKNOWN` the index has no file.

Source: NumPy's guide for downstream authors (compiled for NumPy 1 does not run with NumPy 2).
"""

from __future__ import annotations
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a release says it requires: lines as in `Requires-Dist`, markers and all.

    `for_numpy_1` tells that it was compiled when there was no NumPy 2.
    """

    lines: tuple[str, ...]
    for_numpy_1: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Releases on an index, read for what they require."""

    index: PackageIndex
    metadata: MetadataReader
    _pages: dict[ProjectName, IndexPage | None] = field(default_factory=dict)

    def declared(self, project: ProjectName, version: Version, runtime: GlueRuntime) -> Declared | None:
        """Return what a release requires, None if the index has no file of it.

        Asked are, in this order, the wheel that fits `runtime` best, any wheel, the sdist.

        Raises: IndexAccessError; NotInstallable when a file is not what was promised or cannot be read.
        """
        files = [(file, named) for file, named in self._files(project) if named.version == version]
        if wheels := [(file, named) for file, named in files if named.is_wheel]:
            file, named = min(wheels, key=lambda pair: _preference(pair[0], pair[1], runtime))
            compiled = all(tag.platform != "any" for tag in named.tags)
            early = file.upload_time is not None and file.upload_time < _NUMPY_2_YEAR
            lines = _required_by(self.metadata.read(self.index, file))
            return Declared(lines=lines, for_numpy_1=compiled and early)
        if files:
            return Declared(lines=self._read_sdist(files[0][0]))
        return None

    def _files(self, project: ProjectName) -> Iterator[tuple[IndexFile, Distribution]]:
        if project not in self._pages:
            self._pages[project] = self.index.page(project)
        page = self._pages[project]
        for file in page.files if page else ():
            try:
                yield file, parse_filename(file.filename)
            except InvalidFilename:  # eggs and installers of old
                continue

    def _read_sdist(self, file: IndexFile) -> tuple[str, ...]:
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as scratch:
            sdist = Path(scratch) / file.filename
            self.index.download(file.url, sdist, file.sha256 or "")
            folder = unpack(sdist, Path(scratch) / "unpacked")
            pkg_info = folder / "PKG-INFO"
            if pkg_info.is_file() and (lines := _required_by(pkg_info.read_bytes())):
                return lines
            # Setuptools has long kept requirements out of an sdist's PKG-INFO and in a file of their own.
            kept = [*folder.glob("*.egg-info/requires.txt"), *folder.glob("*/*.egg-info/requires.txt")]
            return tuple(unconditional(kept[0].read_text("utf-8", errors="replace"))) if kept else ()


def _preference(file: IndexFile, named: Distribution, runtime: GlueRuntime) -> tuple[bool, int, int, str]:
    """Return a key that sorts the best wheel first: by fit, else the smallest."""
    rank = runtime.rank(named.tags)
    return rank is None, rank or 0, file.size or 0, file.filename


def _required_by(metadata: bytes) -> tuple[str, ...]:
    headers = BytesHeaderParser().parsebytes(metadata)
    return tuple(" ".join(str(line).split()) for line in headers.get_all("Requires-Dist", ()))


def unconditional(requires: str) -> Iterator[str]:
    """Yield the requirements of a `requires.txt` as `Requires-Dist` would have them, those of extras left out.

    Source: setuptools, "egg-info" formats (`[extra]`, `[:marker]`, `[extra:marker]`).
    """
    extra, marker = "", ""
    for line in filter(None, map(str.strip, requires.splitlines())):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
        elif not extra:
            yield f"{line}; {marker}" if marker else line


def applicable(declared: Declared, runtime: GlueRuntime) -> tuple[str, ...]:
    """Return what of `declared` holds in the image of `runtime`: one `project<specifier>` a project, sorted.

    Raises: InvalidRequirement for a line that is none.
    Source: PEP 508 (markers). The image's patch release of Python is not told; .0 is assumed, as uv does.
    """
    wanted: dict[ProjectName, SpecifierSet] = {}
    for requirement in map(Requirement, declared.lines):
        if requirement.marker is None or requirement.marker.evaluate(_environment(runtime)):
            name = project_name(requirement.name)
            wanted[name] = wanted.get(name, SpecifierSet()) & requirement.specifier
    if declared.for_numpy_1 and wanted.get(_NUMPY, _BEFORE_NUMPY_2).contains(_NUMPY_2):
        wanted[_NUMPY] &= _BEFORE_NUMPY_2
    return tuple(f"{name}{specifier}" for name, specifier in sorted(wanted.items()))


def _environment(runtime: GlueRuntime) -> dict[str, str]:
    full = f"{runtime.python_text}.0"
    return {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": runtime.python_text,
        "sys_platform": "linux",
    }


def render(known: Mapping[str, Mapping[ProjectName, Iterable[str]]], unknown: Mapping[str, Iterable[str]]) -> str:
    """Return the module: by Glue version, what each project requires, and the releases nothing is known of."""
    lines = {
        version: [f"{project}: {' '.join(required)}" for project, required in sorted(projects.items())]
        for version, projects in known.items()
    }
    names = {version: [" ".join(releases)] for version, releases in unknown.items()}
    return "\n".join([_HEAD, *_mapping("REQUIREMENTS", lines), "", *_mapping("UNKNOWN", names), ""])


def _mapping(name: str, lines: Mapping[str, Iterable[str]]) -> Iterator[str]:
    yield f"{name}: dict[str, str] = {{"
    for version, texts in lines.items():
        if body := [wrapped for text in texts for wrapped in _wrapped(text)]:
            yield f'    "{version}": """'
            yield from body
            yield '    """,'
        else:
            yield f'    "{version}": "",'
    yield "}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def generated(releases: Releases, runtimes: Iterable[GlueRuntime]) -> str:
    """Return the module for `runtimes`, read from `releases`.

    Raises: IndexAccessError; NotInstallable naming the release whose metadata cannot be used.
    """
    known: dict[str, dict[ProjectName, tuple[str, ...]]] = {}
    unknown: dict[str, list[str]] = {}
    for runtime in runtimes:
        required, missing = known.setdefault(runtime.version, {}), unknown.setdefault(runtime.version, [])
        for project, version in sorted(runtime.preinstalled.items()):
            declared = releases.declared(project, version, runtime)
            if declared is None:
                missing.append(f"{project}=={version}")
                continue
            try:
                required[project] = applicable(declared, runtime)
            except InvalidRequirement as e:
                raise NotInstallable(f"the metadata of {project}=={version} cannot be used: {e}") from e
    return render({version: _without_empty(required) for version, required in known.items()}, unknown)


def _without_empty(required: Mapping[ProjectName, tuple[str, ...]]) -> dict[ProjectName, tuple[str, ...]]:
    return {project: items for project, items in required.items() if items}


def main() -> None:
    """Write the module anew, from the index that pip is configured to use."""
    index = SimpleIndex(configured_index(os.environ), os.environ)
    metadata = WheelMetadata(cache_folder(os.environ) / "metadata")
    TARGET.write_text(generated(Releases(index=index, metadata=metadata), RUNTIMES.values()), "utf-8")
    print(f"wrote {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except GluePkgmgrError as e:
        sys.exit(f"error: {e}")
