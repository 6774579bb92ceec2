"""`glue-pkgmgr build`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import EXIT_DONE, SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.built_file import BuiltFile
    from glue_pkgmgr.core.built_project import BuildInputs
    from glue_pkgmgr.core.release_checks import Finding


@click.command(
    "build",
    short_help="Build a project's wheel and sdist, reproducibly.",
    epilog=examples("glue-pkgmgr build", "glue-pkgmgr build glueutils", "glue-pkgmgr build --lock glueutils"),
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where the files go; by default dist in the project's folder.",
)
@click.option("--lock", is_flag=True, help="First pin anew what the project is built with: pylock.build.toml.")
@click.option("--allow-dev", is_flag=True, help="Let development and local versions pass.")
@click.pass_obj
def command(session: Session, *, path: Path | None, out: Path | None, lock: bool, allow_dev: bool) -> int:
    """Build the sdist and the wheel of the project in PATH, by default every one in the settings, and check them.

    Equal sources give equal bytes. What the build needs is installed as the project's pylock.build.toml pins it;
    where there is none, it is made. Exit status 2 if the files are not fit to be published.
    """
    project = session.project()
    paths = [path] if path else project.settings.projects
    if not paths:
        raise SettingsError("nothing to build: name a folder, or list folders as `projects` under [publish]")
    built = [project.build(one, out=out, lock=lock, allow_dev=allow_dev) for one in paths]
    files = [file for one in built for file in one.files]
    findings = [finding for one in built for finding in one.findings]
    data = {
        "files": [file_data(file) for file in files],
        "findings": [_finding_data(one) for one in findings],
        "inputs": [_inputs_data(one.inputs) for one in built],
    }
    parts: list[Table | str] = ["", _finding_table(findings)] if findings else []
    session.output.result(data, file_table(files), *parts)
    return _concluded(session, findings)


def _concluded(session: Session, findings: Iterable[Finding]) -> int:
    from glue_pkgmgr.core.release_checks import errors_of

    if not (errors := len(errors_of(findings))):
        return EXIT_DONE
    session.output.conclude(f"not fit to be published: {errors} error{'s' if errors > 1 else ''}, see above")
    return SettingsError.exit_code


def file_table(files: Iterable[BuiltFile]) -> Table:
    """Return built files as people read them."""
    return Table(("file", "bytes", "sha256"), [(file.filename, str(file.size), file.sha256) for file in files])


def file_data(file: BuiltFile) -> dict[str, object]:
    """Return a built file as programs read it; `size` is in bytes."""
    return {"filename": file.filename, "path": str(file.path), "size": file.size, "sha256": file.sha256}


def _finding_table(findings: Iterable[Finding]) -> Table:
    rows = [(one.level.value, one.rule, _kinds(one), one.told, one.hint) for one in findings]
    return Table(("found", "rule", "in", "what", "what to do"), rows)


def _kinds(finding: Finding) -> str:
    kinds = ("wheel" if name.endswith(".whl") else "sdist" for name in finding.files)
    return ", ".join(dict.fromkeys(kinds))


def _finding_data(finding: Finding) -> dict[str, object]:
    return {
        "level": finding.level.value,
        "rule": finding.rule,
        "files": list(finding.files),
        "told": finding.told,
        "hint": finding.hint,
    }


def _inputs_data(inputs: BuildInputs) -> dict[str, object]:
    return {
        "lock_sha256": inputs.lock_sha256,
        "requirements": [str(pin) for pin in inputs.pins],
        "python": inputs.python,
    }
