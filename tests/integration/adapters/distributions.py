"""Small wheels and sdists, made without a build backend."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: A demonstration\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(folder: Path, project: str, version: str, code: str = "x = 1\n") -> Path:
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", code)
        archive.writestr(f"{info}/METADATA", _METADATA.format(project=project, version=version))
        archive.writestr(f"{info}/WHEEL", _WHEEL)
        archive.writestr(f"{info}/RECORD", "")
    return path


def sdist(folder: Path, project: str, version: str, code: str = "x = 1\n") -> Path:
    name = project.replace("-", "_")
    path = folder / f"{name}-{version}.tar.gz"
    files = {
        "PKG-INFO": _METADATA.format(project=project, version=version),
        f"{name}/__init__.py": code,
    }
    with tarfile.open(path, "w:gz") as archive:
        for inner, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{inner}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path
