"""Who decides, where the command line does not say."""

from __future__ import annotations

import os

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import run

_ANSWER_SECONDS = 5.0


def author() -> str:
    """Return the name that git gives this user, else the login name. Raises: SettingsError if there is none."""
    try:
        name = run(["git", "config", "user.name"], timeout=_ANSWER_SECONDS).stdout.strip()
    except SettingsError:  # no git on this machine
        name = ""
    name = name or os.environ.get("USER", "")
    if not name:
        raise SettingsError("nobody to name as the one who decides; say it with --by NAME")
    return name
