"""The store and our own releases as the resolver may see them; remembers what was hidden, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.licence import licence_of
from glue_pkgmgr.core.names import ProjectName, Release
from glue_pkgmgr.core.policy import AllowedFile, AllowedPage, Policy, Reason
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import NotInstallable

if TYPE_CHECKING:
    from glue_pkgmgr.ports import MetadataReader, PackageIndex, SdistBuilder


_READERS = 8  # pages read ahead at once: a resolver asks for as many itself


class Approvals(Enum):
    """How far approvals count, when the ones that are missing are looked for."""

    NEEDED = "everywhere"
    WHERE_SOME = "where an approved release suits the request"
    LEFT_ASIDE = "nowhere"


@dataclass(slots=True)
class AllowedIndex:
    """What the resolver may see of two indexes. Satisfies `ports.VisibleIndex`; used by several threads at once.

    A project in `policy.internal` is read from the approved repository and never from the store.
    """

    policy: Policy
    store: PackageIndex
    approved: PackageIndex
    metadata_reader: MetadataReader
    sdist_builder: SdistBuilder | None = None
    approvals: Approvals = Approvals.NEEDED
    wanted: Mapping[ProjectName, SpecifierSet] = field(default_factory=dict)
    refused: dict[Release, tuple[Reason, str]] = field(default_factory=dict)
    _pages: dict[ProjectName, Future[IndexPage | None]] = field(default_factory=dict)
    _pages_lock: Lock = field(default_factory=Lock)
    _split: dict[ProjectName, AllowedPage | None] = field(default_factory=dict)
    _metadata: dict[Release, bytes] = field(default_factory=dict)

    def with_approvals(self, approvals: Approvals, wanted: Mapping[ProjectName, SpecifierSet]) -> AllowedIndex:
        """Return the same index with another sense of approvals; pages that were read are not read again."""
        return replace(self, approvals=approvals, wanted=wanted, _split={}, _metadata=dict(self._metadata))

    def read_ahead(self, projects: Iterable[ProjectName]) -> None:
        """Begin to read the pages of `projects`, so that they are here, or on their way, when they are asked for.

        Nobody need ask. What goes wrong is told to whoever does, who tries again.
        """
        waiting: SimpleQueue[ProjectName] = SimpleQueue()
        for project in projects:
            waiting.put(project)

        def read() -> None:
            with suppress(Empty):
                while True:
                    project = waiting.get_nowait()
                    with suppress(Exception):
                        self._page(project)

        for _ in range(min(_READERS, waiting.qsize())):
            # Daemons: a command that ends, however it does, waits for no page that nobody asked for.
            Thread(target=read, name="read ahead", daemon=True).start()

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the visible files of a project; None if the index knows no such project."""
        split = self.split(project)
        return None if split is None else IndexPage(project=project, files=tuple(_as_wheels(split)))

    def metadata(self, project: ProjectName, filename: str) -> bytes | None:
        """Return the core metadata of a visible wheel.

        A wheel that is yet to be built is built for it. One that cannot be, or that requires something by its
        address, is hidden from now on, and said to be incompatible with every Python: the resolver then looks
        for another one.
        """
        split = self.split(project)
        for one in split.allowed if split else ():
            if _wheel_name(one) == filename:
                return self._metadata_of(project, one)
        return None

    def split(self, project: ProjectName) -> AllowedPage | None:
        """Return the page of a project, allowed and hidden files apart."""
        if project not in self._split:
            page = self._page(project)
            self._split[project] = None if page is None else self._judged(project, page)
        return self._split[project]

    def refuse(self, release: Release, reason: Reason, detail: str) -> None:
        """Hide a release from now on, for a reason that only a closer look has shown."""
        self.refused[release] = (reason, detail)
        self._split.pop(release[0], None)

    def splits(self) -> list[tuple[ProjectName, AllowedPage | None]]:
        """Return every page that was looked at, sorted by project."""
        return sorted(self._split.items())

    def files(self, project: ProjectName, version: Version) -> tuple[AllowedFile, ...]:
        """Return the visible files of a release, best first."""
        split = self.split(project)
        return split.of(version) if split else ()

    def built(self, project: ProjectName, sdist: AllowedFile) -> BuiltFile:
        """Return the wheel of a visible sdist. Raises: NotInstallable; IndexAccessError."""
        if self.sdist_builder is None:
            raise NotInstallable(f"{sdist.file.filename}: nothing here builds wheels")
        wheel = self.sdist_builder.wheel_of(self._source(project), sdist.file)
        if (wheel.distribution.project, wheel.distribution.version) != (project, sdist.distribution.version):
            # What is built is kept by the bytes of the sdist, and those may be listed under two names.
            raise NotInstallable(f"{sdist.file.filename} has the bytes of which {wheel.filename} was built before")
        return wheel

    def licence(self, project: ProjectName, version: Version) -> str | None:
        """Return the licence that counts for a visible release; None where none can be told."""
        return self.policy.licence_of(project, version, licence_of(self._any_metadata(project, version)))

    def requirements(self) -> dict[ProjectName, set[ProjectName]]:
        """Return which projects want which, by all metadata that was read so far."""
        found: dict[ProjectName, set[ProjectName]] = {}
        for (project, _), metadata in list(self._metadata.items()):
            found.setdefault(project, set()).update(_required(metadata))
        return found

    def _source(self, project: ProjectName) -> PackageIndex:
        return self.approved if project in self.policy.internal else self.store

    def _page(self, project: ProjectName) -> IndexPage | None:
        with self._pages_lock:
            reading = self._pages.get(project)
            if reading is not None:
                mine = False
            else:
                mine, reading = True, Future()
                self._pages[project] = reading
        if mine:
            self._read_page(project, reading)
        return reading.result()

    def _read_page(self, project: ProjectName, reading: Future[IndexPage | None]) -> None:
        """Read a page for everybody who waits for it; a failure is told to them, and then forgotten."""
        try:
            page = self._source(project).page(project)
        except BaseException as e:
            with self._pages_lock:
                del self._pages[project]
            reading.set_exception(e)
        else:
            # Whatever name the page gives itself: it was asked for as `project`, and is judged as that.
            reading.set_result(None if page is None else replace(page, project=project))

    def _judged(self, project: ProjectName, page: IndexPage) -> AllowedPage:
        split = self._without_refused(self.policy.split(page))
        suits = self.wanted.get(project, SpecifierSet())
        enough = any(suits.contains(one.distribution.version, prereleases=True) for one in split.allowed)
        if self.approvals is Approvals.NEEDED or (self.approvals is Approvals.WHERE_SOME and enough):
            return split
        return self._without_refused(replace(self.policy, assumed=self.wanted).split(page))

    def _without_refused(self, split: AllowedPage) -> AllowedPage:
        for (project, version), (reason, detail) in list(self.refused.items()):
            if project == split.project:
                split = split.without(version, reason, detail)
        return split

    def _any_metadata(self, project: ProjectName, version: Version) -> bytes:
        known = self._metadata.get((project, version))
        if known is not None:
            return known
        return self._metadata_of(project, self.files(project, version)[0])

    def _metadata_of(self, project: ProjectName, one: AllowedFile) -> bytes:
        release = (project, one.distribution.version)
        file = one.file
        source = self._source(project)
        if one.distribution.is_wheel:
            metadata = self.metadata_reader.read(source, file)
        else:
            try:
                metadata = self.metadata_reader.read_file(self.built(project, one).path)
            except NotInstallable as e:
                self.refuse(release, Reason.NOT_BUILDABLE, str(e))
                return _unusable(release)
        if required := _by_address(metadata):
            self.refuse(release, Reason.BY_ADDRESS, ", ".join(required))
            return _unusable(release)
        self._metadata[release] = metadata
        return metadata


def _as_wheels(split: AllowedPage) -> Iterable[IndexFile]:
    seen: set[str] = set()
    for one in split.allowed:
        name = _wheel_name(one)
        if name not in seen:  # a release may have two sdists; the better is built
            seen.add(name)
            # The wheel to be built has no digest yet; nobody installs by this page.
            yield one.file if one.distribution.is_wheel else replace(one.file, filename=name, hashes={}, size=None)


def _wheel_name(one: AllowedFile) -> str:
    if one.distribution.is_wheel:
        return one.file.filename
    return f"{one.distribution.project.replace('-', '_')}-{one.distribution.version}-py3-none-any.whl"


def _unusable(release: Release) -> bytes:
    project, version = release
    return f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nRequires-Python: <3\n".encode()


def _by_address(metadata: bytes) -> list[str]:
    """Return the names of what a release requires as `name @ URL`, also where a marker or an extra asks for it.

    pip follows such an address wherever the marker holds, past every index; the resolver sees one Python only.
    Source: PEP 508 (an `@` before the marker stands in nothing else).
    """
    from email.parser import BytesHeaderParser  # here: most commands look at no wheel

    required = map(str, BytesHeaderParser().parsebytes(metadata).get_all("Requires-Dist", []))
    return [name.strip() for name, at, _ in (one.partition(";")[0].partition("@") for one in required) if at]


def _required(metadata: bytes) -> set[ProjectName]:
    from packaging.metadata import parse_email

    raw, _ = parse_email(metadata)
    found = set()
    for line in raw.get("requires_dist", ()):
        try:
            found.add(ProjectName(canonicalize_name(Requirement(line).name)))
        except InvalidRequirement:  # what cannot be read is wanted by nobody
            continue
    return found
