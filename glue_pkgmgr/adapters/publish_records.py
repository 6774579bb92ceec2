"""The records of publications in a folder: one JSON file a release, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.publish_record import PublishRecord, publish_record_from_json, publish_record_to_json
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.whole_file import write_whole


class PublishRecordFolder:
    """Keeps records below `path`, which is made with the first of them; satisfies `ports.PublishRecords`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path_of(self, project: ProjectName, version: Version) -> Path:
        """Return where the record of a release lies, or would lie."""
        return self._path / f"{project}-{version}.json"

    def add(self, record: PublishRecord) -> None:
        """Keep `record`, in the place of one of the same release; see `ports.PublishRecords`."""
        target = self.path_of(record.project, record.version)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            write_whole(target, publish_record_to_json(record).encode())
        except OSError as e:
            raise SettingsError(
                f"cannot write the record of a publication, {target}: {e.strerror or e}; nothing is published "
                "without one: make the folder writable"
            ) from e

    def find(self, project: ProjectName, version: Version) -> PublishRecord | None:
        """Return the record of a release, None if there is none; see `ports.PublishRecords`."""
        path = self.path_of(project, version)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"cannot read the record of a publication, {path}: {e}; check the file") from e
        return publish_record_from_json(text, str(path))
