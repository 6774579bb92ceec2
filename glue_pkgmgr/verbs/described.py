"""What is kept beside the record of a publication: where the release comes from, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from glue_pkgmgr.core.provenance import statement, statement_text
from glue_pkgmgr.core.publish_record import PublishRecord
from glue_pkgmgr.ports import MetadataReader, ReleaseDocuments
from glue_pkgmgr.verbs.publish import Candidate

STATEMENT_SUFFIX = ".intoto.json"
"""The end of the file name of a statement of provenance."""

BILL_SUFFIX = ".cdx.json"
"""The end of the file name of a bill of materials, by which others' tools know it."""


def describe(
    candidate: Candidate,
    record: PublishRecord | None,
    *,
    root: Path,
    version: str,
    documents: ReleaseDocuments,
    metadata: MetadataReader,
    bill: Callable[[PublishRecord, bytes], str],
) -> None:
    """Keep a statement of provenance and a bill of materials of a release, unless those there tell all its files.

    `record` is that of its publication: where it was published from somewhere else there is none, and nothing is
    kept. Files that were built elsewhere have no statement: how they were built is not known here. `root` is the
    folder of the settings, `version` that of this tool; `bill` makes the bill of a record and its METADATA.

    Raises: SettingsError when a document cannot be written or read; NotInstallable for a wheel without METADATA.
    """
    if record is None or record.digests != {file.filename: file.sha256 for file in candidate.files}:
        return
    if candidate.inputs and not _told(documents.read(f"{_name(record)}{STATEMENT_SUFFIX}"), record):
        content = statement(record, candidate.inputs, source=_below(candidate.folder, root), version=version)
        documents.write(f"{_name(record)}{STATEMENT_SUFFIX}", statement_text(content))
    if not _told(documents.read(f"{_name(record)}{BILL_SUFFIX}"), record):
        wheels = (file for file in candidate.files if file.distribution.is_wheel)
        wheel = next(wheels, None)
        documents.write(
            f"{_name(record)}{BILL_SUFFIX}", bill(record, metadata.read_file(wheel.path) if wheel else b"")
        )


def _name(record: PublishRecord) -> str:
    return f"{record.project}-{record.version}"


def _told(document: str | None, record: PublishRecord) -> bool:
    """Whether a document is about every file of the release."""
    return document is not None and all(digest in document for digest in record.digests.values())


def _below(folder: Path, root: Path) -> str:
    """Return `folder` as it is called below `root`; its bare name where it lies elsewhere."""
    folder, root = folder.resolve(), root.resolve()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
