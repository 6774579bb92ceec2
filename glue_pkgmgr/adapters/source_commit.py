"""The commit that a folder is at, as git tells it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from glue_pkgmgr.core.publish_record import Commit
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.process import Finished, run

_SECONDS = 5.0
_BUT_BUILT = ":(exclude)dist"


def source_commit(folder: Path, environ: Mapping[str, str]) -> Commit | None:
    """Return the commit that `folder` is at, None where there is none, no git, or no answer within seconds.

    It is dirty if anything below `folder` differs from it, new files included; ignored files and the folder's own
    `dist`, where builds put theirs, do not count.
    """
    head = _git(folder, environ, "rev-parse", "--verify", "HEAD")
    if head is None or not head.ok:
        return None
    status = _git(folder, environ, "status", "--porcelain", "--", ".", _BUT_BUILT)
    # What could not be compared is not called clean.
    return Commit(id=head.stdout.strip(), dirty=status is None or not status.ok or bool(status.stdout.strip()))


def _git(folder: Path, environ: Mapping[str, str], *words: str) -> Finished | None:
    # A repository may name a program that git is to start for `status`; looking needs none, and no lock.
    command = ["git", "-c", "core.fsmonitor=false", *words]
    env = {"PATH": environ.get("PATH", os.defpath), "HOME": environ.get("HOME", ""), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return run(command, env=env, cwd=folder, timeout=_SECONDS)
    except SettingsError:
        return None
