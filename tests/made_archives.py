"""Small archives, made in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from glue_pkgmgr.core.allowlist import parse_allowlist
from glue_pkgmgr.core.archive import END, Archive, ArchivedFile, CarriedLock, CarriedWheel, header, padding
from glue_pkgmgr.core.distribution import parse_filename, sha256_hex
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin, lock_to_toml
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.runtime import glue_runtime
from tests.integration.local.made_distributions import wheel

ACME, DEP = wheel("acme", "1.0", requires=["dep"]), wheel("dep", "2.0")

ALLOWLIST = b"""\
# Reviewed in git.
[[approvals]]
project = "acme"
versions = "==1.0"
approved-by = "us"
reason = "why"

[[approvals]]
project = "dep"
versions = "==2.0"
approved-by = "us"
reason = "acme needs it"
"""


@dataclass
class Made:
    """An archive, and the bytes of its wheels by file name."""

    archive: Archive
    wheels: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The bytes of its file."""
        return tar(self.archive.files, self.wheels)


def made_pin(made: tuple[str, bytes], *, internal: bool = False, wanted_by: Sequence[str] = ()) -> Pin:
    """Return the pin of one made wheel."""
    filename, content = made
    file = parse_filename(filename)
    return Pin(
        project=file.project,
        version=file.version,
        files=(LockedFile(filename=filename, sha256=sha256_hex([content]), size=len(content)),),
        wanted_by=tuple(map(ProjectName, wanted_by)),
        internal=internal,
    )


def carried_lock(
    *pins: Pin, bundle: str = "taxi", glue: str = "5.1", request: Sequence[str] = ("acme",)
) -> CarriedLock:
    """Return a lock as `glue-pkgmgr lock` would have written it with a minimum age of 7 days."""
    runtime = glue_runtime(glue)
    approvals = parse_allowlist(ALLOWLIST.decode(), "allowlist.toml")
    lock = Lock(
        runtime=runtime,
        request=tuple(request),
        pins=tuple(sorted(pins, key=lambda pin: pin.project)),
        allowlist_sha256=approvals.digest([(pin.project, pin.version) for pin in pins], runtime),
        minimum_age_days=7,
    )
    return CarriedLock.parse(bundle, glue, lock_to_toml(lock).encode())


def carried_wheel(made: tuple[str, bytes], requires_python: str | None = ">=3.8") -> CarriedWheel:
    filename, content = made
    return CarriedWheel(
        project=parse_filename(filename).project,
        filename=filename,
        sha256=sha256_hex([content]),
        size=len(content),
        requires_python=requires_python,
    )


def made_archive(
    *made: tuple[str, bytes], locks: Sequence[CarriedLock] | None = None, allowlist: bytes = ALLOWLIST
) -> Made:
    """Return the archive of wheels that one lock names, by default those of `acme` and its dependency."""
    wheels = made or (ACME, DEP)
    carried = locks if locks is not None else [carried_lock(made_pin(ACME), made_pin(DEP, wanted_by=["acme"]))]
    archive = Archive(
        allowlist=allowlist,
        locks=tuple(carried),
        wheels=tuple(sorted(map(carried_wheel, wheels), key=lambda one: one.name)),
    )
    return Made(archive, dict(wheels))


def tar(files: Sequence[ArchivedFile], wheels: Mapping[str, bytes]) -> bytes:
    """Return an archive of `files`, consistent or not."""
    blocks = []
    for file in files:
        content = wheels[file.name.rpartition("/")[2]] if file.content is None else file.content
        blocks += [header(file.name, file.size), content, padding(file.size)]
    return b"".join([*blocks, END])
