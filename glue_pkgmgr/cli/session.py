"""What one run of the command line has at hand: its output, and the project its settings describe."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from glue_pkgmgr.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

    from glue_pkgmgr.project import Project


class Session:
    """The options given before the verb. Handed to each command by click.

    `config` is the settings file that was named. `left_behind` says what goes on elsewhere if the command is
    interrupted now.
    """

    def __init__(self, output: Output, config: Path | None = None) -> None:
        self.output = output
        self.config = config
        self.left_behind = ""

    def project(self) -> Project:
        """Return the project of the settings file. Raises: SettingsError."""
        from glue_pkgmgr.project import Project

        return Project.load(self.config, progress=self.output.progress)


def today() -> date:
    """Return the day it is in UTC, by which approvals expire."""
    return datetime.now(UTC).date()
