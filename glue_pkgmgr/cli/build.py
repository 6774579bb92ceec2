"""`glue-pkgmgr build`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.built_file import BuiltFile


@click.command(
    "build",
    short_help="Build a project's wheel and sdist, reproducibly.",
    epilog=examples("glue-pkgmgr build", "glue-pkgmgr build glueutils"),
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(session: Session, path: Path | None) -> None:
    """Build the sdist and the wheel of the project in PATH, by default every one in the settings.

    Equal sources give equal bytes. The files lie in the project's dist folder.
    """
    project = session.project()
    paths = [path] if path else project.settings.projects
    if not paths:
        raise SettingsError("nothing to build: name a folder, or list folders as `projects` under [publish]")
    files = [file for one in paths for file in project.build(one)]
    session.output.result({"files": [file_data(file) for file in files]}, file_table(files))


def file_table(files: Iterable[BuiltFile]) -> Table:
    """Return built files as people read them."""
    return Table(("file", "bytes", "sha256"), [(file.filename, str(file.size), file.sha256) for file in files])


def file_data(file: BuiltFile) -> dict[str, object]:
    """Return a built file as programs read it; `size` is in bytes."""
    return {"filename": file.filename, "path": str(file.path), "size": file.size, "sha256": file.sha256}
