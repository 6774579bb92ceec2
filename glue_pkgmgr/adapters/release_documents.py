"""Documents about releases in a folder, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.whole_file import write_whole


class DocumentFolder:
    """Keeps documents below `path`, which is made with the first of them; satisfies `ports.ReleaseDocuments`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> str | None:
        """Return the document called `name`, None if there is none. Raises: SettingsError if it is unreadable."""
        path = self._path / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"cannot read {path}: {e}; check the file, or move it away") from e

    def write(self, name: str, text: str) -> Path:
        """Keep `text` as the document called `name`, and return where. Raises: SettingsError."""
        path = self._path / name
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode())
        except OSError as e:
            raise SettingsError(
                f"cannot write {path}: {e.strerror or e}; make the folder writable and run it again"
            ) from e
        return path
