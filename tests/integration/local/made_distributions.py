"""Small wheels and sdists made in memory: real enough for pip, uv and twine."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def metadata(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str = ">=3.8",
    licence: str = "MIT",
) -> str:
    """Return the core metadata of a made distribution."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: {name} made for a test",
        "Home-page: http://127.0.0.1/home",
        f"License: {licence}",
        f"Requires-Python: {requires_python}",
        *(f"Requires-Dist: {requirement}" for requirement in requires),
        "",
        f"# {name}\n\nIts readme.",
    ]
    return "\n".join(lines)


def wheel(
    name: str, version: str, *, payload: bytes = b"", requires: Sequence[str] = (), licence: str = "MIT"
) -> tuple[str, bytes]:
    """Return file name and bytes of a wheel whose one module has `version` and `payload` in it."""
    module = name.replace("-", "_").lower()
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"VERSION = {version!r}\n".encode() + payload,
        f"{info}/METADATA": metadata(name, version, requires=requires, licence=licence).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_urlsafe(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), content)
    return f"{module}-{version}-py3-none-any.whl", buffer.getvalue()


def sdist(
    name: str, version: str, *, requires: Sequence[str] = (), files: Mapping[str, bytes] | None = None
) -> tuple[str, bytes]:
    """Return file name and bytes of an sdist that holds its metadata, and `files` by their path in it."""
    module = name.replace("-", "_").lower()
    held = {"PKG-INFO": metadata(name, version, requires=requires).encode(), **(files or {})}
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path, content in held.items():
            member = tarfile.TarInfo(f"{module}-{version}/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"{module}-{version}.tar.gz", buffer.getvalue()


def sha256(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of a file's, in hexadecimal."""
    data = content.read_bytes() if isinstance(content, Path) else content
    return hashlib.sha256(data).hexdigest()


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
