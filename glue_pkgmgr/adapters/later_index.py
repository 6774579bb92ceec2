"""A package index that is not opened before it is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.ports import PackageIndex


class IndexOpenedLater:
    """An index that is opened when something of it is first asked for; satisfies `ports.PackageIndex`.

    To find out its address and a token takes a while, in which a resolver can start. May be used by several
    threads at once. If it cannot be opened, all of them are told.
    """

    def __init__(self, open_index: Callable[[], PackageIndex]) -> None:
        self._open = open_index
        self._lock = Lock()
        self._opened: PackageIndex | None = None
        self._failure: Exception | None = None

    def page(self, project: ProjectName) -> IndexPage | None:
        """Return the page of a project. Raises: what `ports.PackageIndex` raises; what opening it raises."""
        return self._index().page(project)

    def download(self, url: str, target: Path, sha256: str) -> None:
        """Store a file. Raises: what `ports.PackageIndex` raises; what opening the index raises."""
        self._index().download(url, target, sha256)

    def _index(self) -> PackageIndex:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._opened is None:
                try:
                    self._opened = self._open()
                except Exception as e:  # kept, for whoever asks next
                    self._failure = e
                    raise
            return self._opened
