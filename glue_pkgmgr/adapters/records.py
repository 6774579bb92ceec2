"""The records of launches in a folder: one JSON file each, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from glue_pkgmgr.core.record import LaunchRecord, record_from_json, record_to_json
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.whole_file import write_whole


class RecordFolder:
    """Keeps records below `path`, which is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, record: LaunchRecord) -> None:
        """Keep `record`, in the place of one of the same launch.

        Raises: SettingsError when it cannot be written.
        """
        # The time first: a listing of the folder is in the order of the launches.
        target = self._path / f"{record.time:%Y%m%dT%H%M%SZ}-{record.launch}.json"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            write_whole(target, record_to_json(record).encode())
        except OSError as e:
            raise SettingsError(
                f"cannot write the record of a launch, {target}: {e.strerror or e}; no job runs without one: "
                "make the folder writable"
            ) from e

    def all(self) -> list[LaunchRecord]:
        """Return every record, the oldest first; none if the folder is absent.

        Raises: SettingsError naming a file that cannot be read or is no record.
        """
        return sorted(map(_read, sorted(self._path.glob("*.json"))), key=lambda it: (it.time, it.launch))


def _read(path: Path) -> LaunchRecord:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read the record of a launch, {path}: {e}; check the file") from e
    return record_from_json(text, str(path))
