"""An archive for places without a connection: what lies in it, and every byte around that.

An uncompressed tar. Its files, in this order:

    SHA256SUMS                              the digest of every other file, for `sha256sum -c`
    allowlist.toml
    pylock.<bundle>-glue-<5-1>.toml         the locks; their wheels' paths are relative to them
    <project>/<wheel>
    simple/index.html, simple/<project>/index.html    an index of the wheels, with their hashes

all but the first sorted by name. The same content is the same file, to the byte, wherever it is written; so a
file that reads in any other way was changed. What is written here is thereby a format: other bytes for the same
content are another format, which older releases refuse.

Source: POSIX.1-2017, "pax Interchange Format" (tar), PEP 503 (index pages), PEP 751 (names of locks: `pylock.`,
a name without dots, `.toml`; installers take no other for a lock).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from urllib.parse import quote

from packaging.metadata import parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from glue_pkgmgr.core.allowlist import AllowList, parse_allowlist
from glue_pkgmgr.core.distribution import parse_filename, sha256_hex
from glue_pkgmgr.core.lockfile import Lock, LockedFile, lock_from_toml
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.simple_api import HTML_TYPE, IndexFile, IndexPage, parse_page, render_html
from glue_pkgmgr.errors import IndexAccessError, NotInstallable, SettingsError

SUMS = "SHA256SUMS"
ALLOWLIST = "allowlist.toml"

BLOCK = 512
"""Bytes of a tar header; contents are filled up to a multiple of it."""

END = bytes(2 * BLOCK)
"""The end of a tar file."""

LARGEST_TEXT = 16 * 1024 * 1024
"""The most bytes that a file other than a wheel may have."""

_LARGEST = 8**11 - 1  # bytes: eleven octal digits; CodeArtifact takes files up to 5 GB
_LONGEST_NAME = 100  # characters in a header without an extension
_LONGEST_EXTENSION = 2 * BLOCK  # bytes; project and wheel have at most 255 characters each

_LOCK = re.compile(r"pylock\.(?P<bundle>[A-Za-z0-9_-]+)-glue-(?P<glue>[0-9]+-[0-9]+)\.toml", re.ASCII)
_WHEEL = re.compile(r"(?P<project>[a-z0-9]+(-[a-z0-9]+)*)/(?P<filename>[A-Za-z0-9_.+!-]+\.whl)", re.ASCII)
_PAGE = re.compile(r"simple/([a-z0-9]+(-[a-z0-9]+)*/)?index\.html", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """A file of an archive: SHA-256 in hexadecimal, size in bytes. `content` is None for a wheel."""

    name: str
    sha256: str
    size: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """An archive as it was read: the SHA-256 of all of it in hexadecimal, and its files in their order."""

    sha256: str
    files: tuple[ArchivedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedWheel:
    """A wheel of an archive; `requires_python` is what it says of itself, if it does."""

    project: ProjectName
    filename: str
    sha256: str
    size: int
    requires_python: str | None = None

    @property
    def version(self) -> Version:
        """The version of its release."""
        return parse_filename(self.filename).version

    @property
    def name(self) -> str:
        """Its name in the archive."""
        return f"{self.project}/{self.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedLock:
    """The lock of a bundle for a Glue version: the bytes of its file, and what they say."""

    bundle: str
    glue_version: str
    content: bytes
    lock: Lock

    @classmethod
    def parse(cls, bundle: str, glue_version: str, content: bytes) -> CarriedLock:
        """Return the lock in `content`. Raises: SettingsError when it is not one."""
        where = _lock_name(bundle, glue_version)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as e:
            raise SettingsError(f"{where} is not UTF-8: {e}") from e
        return cls(bundle=bundle, glue_version=glue_version, content=content, lock=lock_from_toml(text, where))

    @property
    def name(self) -> str:
        """Its name in the archive."""
        return _lock_name(self.bundle, self.glue_version)


def _lock_name(bundle: str, glue_version: str) -> str:
    return f"pylock.{bundle}-glue-{glue_version.replace('.', '-')}.toml"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What an archive carries. The wheels are those that the locks name, sorted by name."""

    allowlist: bytes
    locks: tuple[CarriedLock, ...]
    wheels: tuple[CarriedWheel, ...]

    @cached_property
    def files(self) -> tuple[ArchivedFile, ...]:
        """Every file of the archive, in the order they lie in it."""
        return _archived(self.allowlist, {lock.name: lock.content for lock in self.locks}, self.wheels)

    @cached_property
    def approvals(self) -> AllowList:
        """What the allow-list says. Raises: SettingsError when it is not one."""
        try:
            return parse_allowlist(self.allowlist.decode("utf-8-sig"), ALLOWLIST)
        except UnicodeDecodeError as e:
            raise SettingsError(f"{ALLOWLIST} is not UTF-8: {e}") from e


def _archived(
    allowlist: bytes, locks: Mapping[str, bytes], wheels: Iterable[CarriedWheel]
) -> tuple[ArchivedFile, ...]:
    wheels = list(wheels)
    texts = {ALLOWLIST: allowlist, **locks, **_pages(wheels)}
    files = [
        *(_text(name, content) for name, content in texts.items()),
        *(ArchivedFile(name=wheel.name, sha256=wheel.sha256, size=wheel.size) for wheel in wheels),
    ]
    files.sort(key=lambda file: file.name)
    sums = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    return (_text(SUMS, sums.encode("ascii")), *files)


def _text(name: str, content: bytes) -> ArchivedFile:
    return ArchivedFile(name=name, sha256=sha256_hex([content]), size=len(content), content=content)


def _pages(wheels: Iterable[CarriedWheel]) -> dict[str, bytes]:
    """Return the pages of the index by name. Links are relative: the folder may lie anywhere."""
    by_project: dict[ProjectName, list[IndexFile]] = {}
    for wheel in sorted(wheels, key=lambda it: it.name):
        listed = IndexFile(
            filename=wheel.filename,
            url=f"../../{quote(wheel.name)}",
            hashes={"sha256": wheel.sha256},
            requires_python=wheel.requires_python,
        )
        by_project.setdefault(wheel.project, []).append(listed)
    pages = {
        _page_name(project): render_html(IndexPage(project=project, files=tuple(files)))
        for project, files in by_project.items()
    }
    links = "\n".join(f'<a href="{escape(project)}/">{escape(project)}</a><br>' for project in by_project)
    root = f"<!DOCTYPE html>\n<html>\n<head><title>Projects</title></head>\n<body>\n{links}\n</body>\n</html>\n"
    return {"simple/index.html": root.encode("ascii"), **pages}


def _page_name(project: str) -> str:
    return f"simple/{project}/index.html"


def wheels_of(locks: Iterable[Lock]) -> dict[str, tuple[ProjectName, LockedFile]]:
    """Return every wheel that the locks name, by its name in an archive.

    Raises: NotInstallable when two locks name other bytes under one name, or a name is none for an archive.
    """
    found: dict[str, tuple[ProjectName, LockedFile]] = {}
    for pin in (pin for lock in locks for pin in lock.installed):
        for file in pin.files:
            name = f"{pin.project}/{file.filename}"
            if not _WHEEL.fullmatch(name):
                raise NotInstallable(f"the name of wheel {file.filename!r} has other characters than wheels have")
            _, known = found.setdefault(name, (pin.project, file))
            if known.sha256 != file.sha256:
                raise NotInstallable(
                    f"the locks disagree about {file.filename}: {known.sha256} and {file.sha256}; "
                    "run `glue-pkgmgr lock`, and find out who changed it"
                )
    return found


def required_python(metadata: bytes) -> str | None:
    """Return the Python versions a wheel is for, by its METADATA; None where it does not tell what a page can.

    Source: core metadata specification, `Requires-Python`.
    """
    told = " ".join(parse_email(metadata)[0].get("requires_python", "").split())
    try:
        SpecifierSet(told)
    except InvalidSpecifier:
        return None
    # PEP 440 lets any text stand behind `===`.
    return told if told and told.isascii() and told.isprintable() else None


def is_wheel(name: str) -> bool:
    """Whether `name` is that of a wheel in an archive."""
    return _WHEEL.fullmatch(name) is not None


def is_known(name: str) -> bool:
    """Whether a file of an archive may have that name. None leads out of the folder it is unpacked in."""
    return name in (SUMS, ALLOWLIST) or any(rule.fullmatch(name) for rule in (_LOCK, _PAGE, _WHEEL))


def parse_archive(files: Iterable[ArchivedFile]) -> Archive:
    """Return what an archive with these files, in their order, carries: exactly what could be written again.

    Raises: NotInstallable naming the file that is missing, too many, changed, or not what the locks promise.
    """
    files = tuple(files)
    held = {file.name: file for file in files}
    _check_sums(held)
    _require_all({SUMS, ALLOWLIST}, set(held), "every archive has it")
    locks = {name: _content(held, name) for name in held if _LOCK.fullmatch(name)}
    wheels = _wheels(held)
    allowlist = _content(held, ALLOWLIST)
    expected = _archived(allowlist, locks, wheels)
    if files != expected:
        raise NotInstallable(_difference(files, expected))
    try:
        archive = Archive(allowlist=allowlist, locks=tuple(_locks(locks)), wheels=wheels)
        _ = archive.approvals
    except SettingsError as e:
        raise NotInstallable(str(e)) from e
    _require_locked(archive)
    return archive


def _content(held: Mapping[str, ArchivedFile], name: str) -> bytes:
    return held[name].content or b""


def _check_sums(held: Mapping[str, ArchivedFile]) -> None:
    """Compare every file with the list of digests. What else may be wrong with the list shows later."""
    lines = _content(held, SUMS).decode("utf-8", "replace").splitlines() if SUMS in held else []
    told = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, file in held.items():
        if name != SUMS and name in told and told[name] != file.sha256:
            raise NotInstallable(f"{name} was changed: {SUMS} says SHA-256 {told[name]}, it has {file.sha256}")
    _require_all(set(told), set(held), f"{SUMS} lists it")
    if strays := sorted(set(held) - set(told) - {SUMS}):
        raise NotInstallable(f"{strays[0]} does not belong there: {SUMS} does not list it")


def _require_all(names: set[str], held: set[str], why: str) -> None:
    if missing := sorted(names - held):
        raise NotInstallable(f"{missing[0]!r} is missing: {why}")


def _wheels(held: Mapping[str, ArchivedFile]) -> tuple[CarriedWheel, ...]:
    wheels = []
    for name, file in sorted(held.items()):
        if found := _WHEEL.fullmatch(name):
            project = ProjectName(found["project"])
            page = held.get(_page_name(project))
            wheels.append(
                CarriedWheel(
                    project=project,
                    filename=found["filename"],
                    sha256=file.sha256,
                    size=file.size,
                    requires_python=_told_by_page(project, found["filename"], page),
                )
            )
    return tuple(wheels)


def _told_by_page(project: ProjectName, filename: str, page: ArchivedFile | None) -> str | None:
    """Return what the page tells of a wheel; None, too, where it is no page: that shows when it is compared."""
    try:
        parsed = parse_page(page.content or b"" if page else b"", HTML_TYPE, f"file:///simple/{project}/")
    except IndexAccessError:
        return None
    return next((file.requires_python for file in parsed.files if file.filename == filename), None)


def _difference(files: Iterable[ArchivedFile], expected: Iterable[ArchivedFile]) -> str:
    """Say which file is not as it would be written for the rest."""
    there, written = {file.name: file for file in files}, {file.name: file for file in expected}
    if strays := sorted(set(there) - set(written)):
        return f"{strays[0]} does not belong there: it is the page of no wheel"
    if missing := sorted(set(written) - set(there)):
        return f"{missing[0]} is missing"
    if changed := sorted(name for name in written if there[name] != written[name]):
        # Another list of digests is what follows from another file.
        name = next((one for one in changed if one != SUMS), SUMS)
        return f"{name} is not what this release of glue-pkgmgr writes for the other files"
    return "its files lie in another order, or twice"


def _locks(contents: Mapping[str, bytes]) -> Iterator[CarriedLock]:
    for name, content in sorted(contents.items()):
        if found := _LOCK.fullmatch(name):
            yield CarriedLock.parse(found["bundle"], found["glue"].replace("-", "."), content)


def _require_locked(archive: Archive) -> None:
    """Compare the wheels with the locks."""
    wanted = wheels_of(lock.lock for lock in archive.locks)
    held = {wheel.name: wheel for wheel in archive.wheels}
    _require_all(set(wanted), set(held), "a lock names it")
    if strays := sorted(set(held) - set(wanted)):
        raise NotInstallable(f"{strays[0]} does not belong there: no lock names it")
    for name, (_, file) in wanted.items():
        wheel = held[name]
        if wheel.sha256 != file.sha256 or file.size not in (None, wheel.size):
            raise NotInstallable(
                f"{name} is not the locked wheel: locked is SHA-256 {file.sha256}, it has {wheel.sha256}"
            )


def padding(size: int) -> bytes:
    """Return what follows a content of `size` bytes up to the next header."""
    return bytes(-size % BLOCK)


def header(name: str, size: int) -> bytes:
    """Return what precedes the content of a file: one block, or three or more if its name is long.

    Mode 0644, time 0, owner and group 0 without names.

    Raises: NotInstallable for a file of 8 GiB or more.
    """
    if size > _LARGEST:
        raise NotInstallable(f"{name} has {size} bytes; a file of an archive has at most {_LARGEST}")
    written = name.encode("ascii")
    if len(written) <= _LONGEST_NAME:
        return _ustar(written, size, b"0")
    record = _record(b"path=" + written)
    extension = _ustar(b"././@PaxHeader", len(record), b"x") + record + padding(len(record))
    return extension + _ustar(written[:_LONGEST_NAME], size, b"0")


def _record(keyword: bytes) -> bytes:
    """Return a record of an extended header: its own length in decimal, a space, the keyword, a line end."""
    rest = len(keyword) + 2
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s\n" % (length, keyword)


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    fields = [
        name.ljust(_LONGEST_NAME, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0" * 2,  # owner, group
        b"%011o\0" % size,
        b"00000000000\0",  # time
        b" " * 8,  # stands for the checksum while that is computed
        kind,
        bytes(100),  # no link
        b"ustar\x0000",
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def next_header(take: Callable[[int], bytes]) -> tuple[str, int] | None:
    """Return name and size of the next file of a tar, None at its end. `take` gives exactly so many bytes.

    Only headers that `header` writes are taken: no links, devices, folders or owners.

    Raises: NotInstallable for any other; what `take` raises.
    """
    raw = block = take(BLOCK)
    if block == bytes(BLOCK):
        if take(BLOCK) != bytes(BLOCK):
            raise NotInstallable("the end is not that of an archive")
        return None
    name = block[:_LONGEST_NAME].rstrip(b"\0")
    if block[156:157] == b"x" and (length := _size(block)) <= _LONGEST_EXTENSION:
        record = take(length + len(padding(length)))
        name = record[:length].partition(b"path=")[2][:-1]
        block = take(BLOCK)
        raw += record + block
    shown, size = name.decode("ascii", "replace"), _size(block)
    if not name.isascii() or raw != header(shown, size):
        raise NotInstallable(f"the header of {shown!r} was changed, or is not one that glue-pkgmgr writes")
    return shown, size


def _size(block: bytes) -> int:
    """Return the size a header tells; a number no header can tell where it is none."""
    digits = block[124:135]
    return int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else 0
