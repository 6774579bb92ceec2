"""Every error a user can meet, on one page: one base class, one exit status per cause.

A message says what failed, on what, and what to do about it; the cause is chained (`raise … from e`).
The command line turns any `GluePkgmgrError` into one sentence on stderr and its `exit_code`.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class GluePkgmgrError(Exception):
    """The root of all errors meant for a user; `exit_code` is the exit status of the command line."""

    exit_code = 2


class SettingsError(GluePkgmgrError):
    """The command, the settings or this machine's set-up is wrong: nothing was contacted or changed."""

    exit_code = 2


class NotApproved(GluePkgmgrError):
    """The allow-list does not cover what was asked for."""

    exit_code = 3


class NotInstallable(GluePkgmgrError):
    """Approved, but no set of files satisfies it: resolution, hash or Glue runtime."""

    exit_code = 4


class IndexAccessError(GluePkgmgrError):
    """A package index refused us or could not be read: token, permission, repository, network."""

    exit_code = 5


class RemoteError(GluePkgmgrError):
    """AWS, or the stand-in for it, refused a call or could not be reached."""

    exit_code = 6


class JobRunFailed(GluePkgmgrError):
    """A job run ended in FAILED or ERROR."""

    exit_code = 7


class JobRunStopped(GluePkgmgrError):
    """A job run ended in STOPPED, TIMEOUT or EXPIRED."""

    exit_code = 8


class DeadlineExceeded(GluePkgmgrError):
    """The caller's time to wait for a job run was over before the run was: it goes on."""

    exit_code = 8


class NoCapacity(GluePkgmgrError):
    """A run could not start for lack of capacity: concurrent runs, quota or queue."""

    exit_code = 9
