"""Wheels that a backend has built: examined, and written anew so that nothing of the machine is left in them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.version import InvalidVersion, Version

from glue_pkgmgr.adapters.backend import SOURCE_DATE
from glue_pkgmgr.core.distribution import Distribution, InvalidFilename, parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.errors import NotInstallable, SettingsError

MOST_BYTES = 1024**3
"""Bytes the files of a wheel may have."""

_PURE = frozenset({"py3-none-any", "py2-none-any"})
_ELF = b"\x7fELF"  # how every program and library of Linux begins
_TIME = time.gmtime(SOURCE_DATE)[:6]
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def write_pure_wheel(built: Path, target: Path, sdist: Distribution, *, most_bytes: int = MOST_BYTES) -> None:
    """Write the wheel `built` of `sdist` to `target`, so that equal files give equal bytes.

    Order, times, permissions but the execute bit, and RECORD depend on names and contents alone. Files are
    stored, not deflated: what a deflated one looks like depends on the zlib of the machine.

    Raises: NotInstallable when the wheel is not pure Python, is of another project or version, or is damaged.
    Source: PEP 427 (file name, RECORD; metadata at the end of the archive).
    """
    _require_pure_name(built.name, sdist)
    try:
        with zipfile.ZipFile(built) as old, zipfile.ZipFile(target, "w") as new:
            infos = _members(old, built.name, most_bytes)
            folder = _metadata_folder(infos, built.name)
            _require_same_release(old.read(f"{folder}/METADATA"), built.name, sdist)
            _rewrite(old, new, infos, folder, _require_no_program)
    except _DAMAGE as e:
        raise NotInstallable(f"the build of {sdist.filename} gave no readable wheel: {e}") from e


def rewrite_wheel(built: Path, target: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Write the wheel `built`, pure or not, to `target`, so that equal files give equal bytes.

    What they depend on is told in `write_pure_wheel`.

    Raises: NotInstallable when the wheel is damaged or has a name in it that leads outside.
    """
    try:
        with zipfile.ZipFile(built) as old, zipfile.ZipFile(target, "w") as new:
            infos = _members(old, built.name, most_bytes)
            _rewrite(old, new, infos, _metadata_folder(infos, built.name), _any_content)
    except _DAMAGE as e:
        raise NotInstallable(f"{built.name}, as built, is no readable wheel: {e}") from e


def _require_pure_name(filename: str, sdist: Distribution) -> None:
    try:
        wheel = parse_filename(filename)
    except InvalidFilename as e:
        raise NotInstallable(f"the build of {sdist.filename} gave no wheel: {e}") from e
    if (wheel.project, wheel.version) != (sdist.project, sdist.version):
        raise NotInstallable(f"the build of {sdist.filename} gave a wheel of another release: {filename}")
    tags = {str(tag) for tag in wheel.tags}
    if not tags <= _PURE or "py3-none-any" not in tags:
        raise NotInstallable(
            f"{sdist.filename} is not pure Python: its build gave {filename}, and we publish only builds that are"
            " tagged py3-none-any"
        )


def _members(archive: zipfile.ZipFile, filename: str, most_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the files of a wheel by name."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    infos = {info.filename: info for info in files}
    if len(infos) != len(files):
        raise NotInstallable(f"{filename}, as built, holds a file twice")
    if astray := next((name for name in infos if name.startswith("/") or ".." in name.split("/")), None):
        raise NotInstallable(f"{filename}, as built, holds {astray!r}, which leads outside")
    if link := next((info.filename for info in files if stat.S_ISLNK(info.external_attr >> 16)), None):
        raise NotInstallable(f"{filename}, as built, holds {link!r}, a link: installers would make a file of it")
    if sum(info.file_size for info in files) > most_bytes:
        raise NotInstallable(f"{filename}, as built, has more than {most_bytes} bytes")
    return infos


def _metadata_folder(infos: Mapping[str, zipfile.ZipInfo], filename: str) -> str:
    tops = {name.partition("/")[0] for name in infos}
    folders = [top for top in tops if top.endswith(".dist-info") and f"{top}/METADATA" in infos]
    if len(folders) != 1:
        raise NotInstallable(f"{filename}, as built, has {len(folders)} .dist-info folders with METADATA, not one")
    return folders[0]


def _require_same_release(metadata: bytes, filename: str, sdist: Distribution) -> None:
    headers = BytesHeaderParser().parsebytes(metadata)
    name, version = str(headers["Name"]), str(headers["Version"])
    try:
        same = (project_name(name), Version(version)) == (sdist.project, sdist.version)
    except (SettingsError, InvalidVersion):
        same = False
    if not same:
        raise NotInstallable(f"the METADATA of {filename}, as built, is of another release: {name} {version}")


def _require_no_program(name: str, content: bytes) -> None:
    if content.startswith(_ELF):
        raise NotInstallable(f"the build is not pure Python: {name} is a program or library for Linux")


def _any_content(name: str, content: bytes) -> None:
    """Refuse nothing."""


def _rewrite(
    old: zipfile.ZipFile,
    new: zipfile.ZipFile,
    infos: Mapping[str, zipfile.ZipInfo],
    folder: str,
    require: Callable[[str, bytes], None],
) -> None:
    record = f"{folder}/RECORD"
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    for name in sorted(infos.keys() - {record}, key=lambda name: (name.startswith(f"{folder}/"), name)):
        content = old.read(infos[name])
        require(name, content)
        new.writestr(_plain(name, executable=bool(infos[name].external_attr >> 16 & stat.S_IXUSR)), content)
        rows.writerow([name, f"sha256={_urlsafe_sha256(content)}", len(content)])
    rows.writerow([record, "", ""])
    new.writestr(_plain(record), table.getvalue())


def _plain(name: str, *, executable: bool = False) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system = 3  # Unix, whose permissions these are
    info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    return info


def _urlsafe_sha256(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
