"""`glue-pkgmgr mirror export` and `glue-pkgmgr mirror import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.core.archive import CarriedWheel
    from glue_pkgmgr.verbs.carry import Imported


@click.command(
    "export",
    short_help="Write what the locks name as one archive.",
    epilog=examples("glue-pkgmgr mirror export approved.tar"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.pass_obj
def export(session: Session, file: Path, force: bool) -> None:
    """Write the allow-list, the locks and every wheel they name into FILE, for a place without a connection.

    The wheels come from the approved repository. FILE is a tar archive: the same content gives the same bytes.
    Unpacked, it is a package index too. Carry the SHA-256 that is printed by another way than FILE.
    """
    exported = session.project().mirror_export(file, replace=force)
    locks = [(lock.bundle, lock.glue_version, str(len(lock.lock.installed)), lock.name) for lock in exported.locks]
    session.output.result(
        {
            "file": str(exported.path),
            "sha256": exported.sha256,
            "size": exported.size,
            "locks": [lock.name for lock in exported.locks],
            "wheels": [_data(wheel) for wheel in exported.wheels],
        },
        Table(("bundle", "glue", "to install", "lock in the archive"), locks),
        f"{exported.path}: {len(exported.wheels)} wheels, {exported.size} bytes",
        f"SHA-256 {exported.sha256}",
    )


@click.command(
    "import",
    short_help="Bring such an archive into the approved repository.",
    epilog=examples(
        "glue-pkgmgr mirror import approved.tar --sha256 DIGEST",
        "glue-pkgmgr mirror import approved.tar --replace-files",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sha256", metavar="DIGEST", help="Refuse any other archive than the one with this SHA-256.")
@click.option(
    "--replace-files", is_flag=True, help="Take the archive's allow-list and locks where others are here."
)
@click.pass_obj
def import_(session: Session, file: Path, sha256: str | None, replace_files: bool) -> None:
    """Bring the allow-list, the locks and the wheels of FILE into this project and the approved repository.

    All of FILE is checked before anything is changed; the settings here judge its locks. Safe to repeat and to
    interrupt. Exit status 3 if other files are here or something is not allowed, 4 if FILE was changed.
    """
    imported = session.project().mirror_import(file, sha256=sha256, replace_files=replace_files)
    session.output.result(_imported(imported), _shown(imported), f"SHA-256 of {file.name} {imported.sha256}")


def _shown(imported: Imported) -> Table:
    rows = [
        *((file.path.name, file.change.value) for file in imported.files),
        *((wheel.filename, "uploaded") for wheel in imported.uploaded),
        *((wheel.filename, "already there") for wheel in imported.already),
    ]
    return Table(("file", "what"), rows)


def _imported(imported: Imported) -> dict[str, object]:
    return {
        "file": str(imported.path),
        "sha256": imported.sha256,
        "repository": str(imported.repository),
        "files": [{"path": str(file.path), "change": file.change.value} for file in imported.files],
        "uploaded": [_data(wheel) for wheel in imported.uploaded],
        "already": [_data(wheel) for wheel in imported.already],
    }


def _data(wheel: CarriedWheel) -> dict[str, object]:
    return {
        "project": wheel.project,
        "version": str(wheel.version),
        "filename": wheel.filename,
        "sha256": wheel.sha256,
        "size": wheel.size,
    }
