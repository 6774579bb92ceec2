"""Index pages on disk, so that one that has not changed is not sent and read through again."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

from glue_pkgmgr.core.kept_page import keep_page, read_kept_page
from glue_pkgmgr.core.simple_api import IndexPage

_MOST = 300  # pages, some of which have 5 MB; the ones kept longest ago go first


class KeptPages:
    """The pages that were read before, under `folder`, by their URL.

    A URL names domain, owner and repository, and a page is used only after its index has said, to a token that is
    valid now, that it is still the one with this entity tag. Every failure of the disk is a page that is not here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, url: str) -> tuple[str, IndexPage] | None:
        """Return entity tag and page that were kept for `url`; None if there are none."""
        try:
            return read_kept_page(self._path(url).read_bytes(), url)
        except OSError:
            return None

    def keep(self, url: str, etag: str, page: IndexPage) -> None:
        """Keep `page`, which `url` answered with `etag`."""
        with suppress(OSError):  # a cache that cannot be written is slow, not wrong
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as temporary:
                temporary.write(keep_page(page, url, etag))
            Path(temporary.name).replace(self._path(url))
            self._forget_the_oldest()

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.page"

    def _forget_the_oldest(self) -> None:
        pages = list(self._folder.iterdir())
        if len(pages) > _MOST:
            pages.sort(key=lambda path: path.stat().st_mtime)
            for path in pages[: len(pages) - _MOST]:
                path.unlink(missing_ok=True)
