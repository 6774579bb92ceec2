"""Small wheels and sdists, made without a build backend."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: A demonstration\n"
_DATE = (2026, 1, 1, 0, 0, 0)  # the same files are the same bytes whenever they are made
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(
    folder: Path,
    project: str,
    version: str,
    code: str = "x = 1\n",
    *,
    metadata: Callable[[str], str] = str,
    tag: str = "py3-none-any",
    more: Mapping[str, str] | None = None,
) -> Path:
    """Make a wheel with one package of `code`, and `more` files by name; `metadata` changes its METADATA."""
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-{tag}.whl"
    files = {
        f"{name}/__init__.py": code,
        **(more or {}),
        f"{info}/METADATA": metadata(_METADATA.format(project=project, version=version)),
        f"{info}/WHEEL": _WHEEL.replace("py3-none-any", tag),
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(zipfile.ZipInfo(inner, _DATE), _bytes(text))
    return path


def sdist(
    folder: Path,
    project: str,
    version: str,
    code: str = "x = 1\n",
    *,
    metadata: Callable[[str], str] = str,
) -> Path:
    """Make an sdist with one package of `code`; `metadata` changes its PKG-INFO."""
    name = project.replace("-", "_")
    path = folder / f"{name}-{version}.tar.gz"
    files = {
        "PKG-INFO": metadata(_METADATA.format(project=project, version=version)),
        f"{name}/__init__.py": code,
    }
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for inner, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{inner}")
            member.size = len(_bytes(text))
            archive.addfile(member, io.BytesIO(_bytes(text)))
    return path


def _bytes(text: str) -> bytes:
    """Return `text` in UTF-8; its surrogates are bytes that are none."""
    return text.encode(errors="surrogateescape")
