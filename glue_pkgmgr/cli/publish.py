"""`glue-pkgmgr publish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.build import file_data
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.verbs.publish import PublishRecord


@click.command(
    "publish",
    short_help="Build, upload and verify an internal project.",
    epilog=examples("glue-pkgmgr publish", "glue-pkgmgr publish glueutils"),
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(session: Session, path: Path | None) -> None:
    """Build the project in PATH, by default every one in the settings, and upload it.

    It is done when the index serves every file with its hash. Publishing the same bytes again changes
    nothing; other bytes under a published file's name are refused.
    """
    records = session.project().publish(path)
    rows = [
        (file.filename, "uploaded" if file in record.uploaded else "already there", file.sha256)
        for record in records
        for file in record.files
    ]
    session.output.result(
        {"published": [_data(record) for record in records]}, Table(("file", "what", "sha256"), rows)
    )


def _data(record: PublishRecord) -> dict[str, object]:
    return {
        "project": record.project,
        "version": str(record.version),
        "repository": str(record.repository),
        "index": record.index,
        "uploaded": [file_data(file) for file in record.uploaded],
        "already": [file_data(file) for file in record.already],
        "time": record.time.isoformat(),
    }
