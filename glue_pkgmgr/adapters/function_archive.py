"""Makes the zip of an AWS Lambda function: our package, the releases it needs, and a project's files.

All of it is Python or data, so it runs on either architecture; equal files give equal bytes.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import glue_pkgmgr
from glue_pkgmgr.core.function_archive import ALLOWLIST, LOCKS, PROJECT, PYTHON, SETTINGS, FunctionArchive
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.settings import Settings

_NEEDED = ("botocore", "packaging", "requests", "tomli", "tomlkit")
_SERVICES = frozenset({"codeartifact", "glue", "logs", "s3", "sts"})
"""What the function calls: the models of the other services are nine tenths of botocore."""

# Of ours: what only a person's machine needs.
_LEFT_OUT = frozenset({"cli", "infra", "local", "__main__.py", "check_up.py", "demo.py"})
# Of an installed distribution: what differs from machine to machine.
_OF_THE_MACHINE = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_COMPILED = (".so", ".pyd", ".dylib")
# What a requirement may depend on, as it is in Lambda: not on the machine that makes the archive.
_IN_LAMBDA = {
    **{"extra": "", "python_version": PYTHON, "python_full_version": f"{PYTHON}.0"},
    **{"implementation_name": "cpython", "platform_python_implementation": "CPython"},
    **{"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux", "platform_machine": "x86_64"},
}
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell


def project_files(settings: Settings) -> dict[str, bytes]:
    """Return settings, allow-list and all locks, by the name each has in the archive.

    Raises: SettingsError for one that cannot be read.
    """
    policy = settings.policy
    paths = {SETTINGS: settings.path, ALLOWLIST: policy.allowlist}
    for bundle in settings.bundles.values():
        paths[f"{LOCKS}/{bundle.lock_filename}"] = policy.locks / bundle.lock_filename
    return {f"{PROJECT}/{name}": _read(path) for name, path in paths.items()}


def function_archive(files: Mapping[str, bytes]) -> FunctionArchive:
    """Return the function that has `files` beside our package.

    Raises: SettingsError when a release we need is not installed, or cannot run without being compiled.
    """
    needed = sorted(_closure(_NEEDED), key=_name)
    content = dict(_own_files())
    for distribution in needed:
        content.update(_files_of(distribution))
    content.update(files)
    return FunctionArchive(
        content=_zipped(content),
        releases=tuple(f"{_name(one)}=={one.version}" for one in needed),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror}; the function has to have it") from e


def _name(distribution: metadata.Distribution) -> str:
    return canonicalize_name(distribution.metadata["Name"])


def _closure(names: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Yield the installed releases of `names` and all they require in Lambda, each once."""
    left, seen = list(names), set()
    while left:
        name = canonicalize_name(left.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError as e:
            raise SettingsError(f"{name} is not installed, and the function needs it: install us again") from e
        yield found
        wanted = map(Requirement, found.requires or ())
        left += [one.name for one in wanted if one.marker is None or one.marker.evaluate(_IN_LAMBDA)]


def _own_files() -> Iterator[tuple[str, bytes]]:
    root = Path(glue_pkgmgr.__file__).parent
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        if path.is_file() and "__pycache__" not in inside.parts and inside.parts[0] not in _LEFT_OUT:
            yield f"{root.name}/{inside.as_posix()}", path.read_bytes()


def _files_of(distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an installed release that are the same wherever it is installed."""
    files = [PurePosixPath(file) for file in distribution.files or ()]
    if not files:
        raise SettingsError(f"nobody knows which files {_name(distribution)} has: install it again, from a wheel")
    names = set(map(str, files))
    for file in files:
        if file.parts[0] == ".." or file.is_absolute() or _of_another_service(file):
            continue
        if file.suffix == ".pyc" or (file.parent.suffix == ".dist-info" and file.name in _OF_THE_MACHINE):
            continue
        if file.suffix in _COMPILED:
            _require_source(file, names, distribution)
            continue
        yield str(file), _read(Path(str(distribution.locate_file(file))))


def _of_another_service(file: PurePosixPath) -> bool:
    match file.parts:
        case ("botocore", "data", service, _, *_):
            return service not in _SERVICES
    return False


def _require_source(file: PurePosixPath, names: set[str], distribution: metadata.Distribution) -> None:
    """Refuse what runs only where it was compiled; where Python's source is beside it, that is used instead."""
    source = file.with_name(f"{file.name.partition('.')[0]}.py")
    if str(source) not in names and "__mypyc" not in file.name:  # which only other compiled files ask for
        raise SettingsError(f"{_name(distribution)} has {file}, which runs on machines like this only")


def _zipped(content: Mapping[str, bytes]) -> bytes:
    """Return a zip of `content`. Nothing is deflated: what that gives depends on the zlib of the machine."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3  # Unix, whose permissions these are
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content[name])
    return made.getvalue()
