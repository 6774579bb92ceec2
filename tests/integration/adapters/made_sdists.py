"""Sdists made in memory for builds: projects of real backends, and one that brings its own backend."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

# A backend that lives in the project: nothing has to be installed for it.
_OWN_BACKEND = """
import os, sys, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    {before}
    with zipfile.ZipFile(os.path.join(folder, {wheel!r}), "w") as archive:
        archive.writestr("acme/__init__.py", "x = 1\\n")
        archive.writestr("acme-1.0.dist-info/METADATA", {metadata!r})
        archive.writestr("acme-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr("acme-1.0.dist-info/RECORD", "")
    return {wheel!r}
{more}
"""
_OWN_PYPROJECT = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
"""
_MODULE = {"acme/__init__.py": '"""Acme."""\n__version__ = "1.0"\n', "acme/data/table.txt": "1\n"}
PROJECTS: Mapping[str, Mapping[str, str]] = {
    "setup.py": {
        "setup.py": "from setuptools import setup\n"
        "setup(name='acme', version='1.0', packages=['acme', 'acme.data'], package_data={'': ['*.txt']})\n",
        "acme/data/__init__.py": "",
    },
    "setuptools": {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools>=61"]\n'
        'build-backend = "setuptools.build_meta"\n[project]\nname = "acme"\nversion = "1.0"\n'
        'scripts.acme = "acme:main"\n'
        '[tool.setuptools]\npackages = ["acme"]\npackage-data.acme = ["data/*"]\n',
    },
    "hatchling": {
        "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "acme"\nversion = "1.0"\n',
    },
    "flit": {
        "pyproject.toml": '[build-system]\nrequires = ["flit_core>=3.4,<4"]\n'
        'build-backend = "flit_core.buildapi"\n[project]\nname = "acme"\nversion = "1.0"\n'
        'dynamic = ["description"]\n',
    },
}
"""Projects that build `acme` 1.0 with the backends most sdists use."""


def sdist_of(files: Mapping[str, str], name: str = "acme-1.0.tar.gz") -> tuple[str, bytes]:
    """Return name and bytes of an sdist with `files` in its one folder."""
    buffer = io.BytesIO()
    folder = name.removesuffix(".tar.gz")
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for inner, text in files.items():
            member = tarfile.TarInfo(f"{folder}/{inner}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return name, buffer.getvalue()


def real(backend: str) -> tuple[str, bytes]:
    """Return an sdist of one of `PROJECTS`."""
    return sdist_of({**_MODULE, **PROJECTS[backend]})


def with_own_backend(
    before: str = "pass",
    *,
    requires: str = "",
    wheel: str = "acme-1.0-py3-none-any.whl",
    metadata: str = "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
    more: str = "",
) -> tuple[str, bytes]:
    """Return an sdist whose backend runs `before` (statements on one line) and then writes `wheel`."""
    return sdist_of(
        {
            "pyproject.toml": _OWN_PYPROJECT.format(requires=requires),
            "backend.py": _OWN_BACKEND.format(before=before, wheel=wheel, metadata=metadata, more=more),
        }
    )
