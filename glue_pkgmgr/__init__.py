"""Private, approved and pinned Python packages for AWS Glue jobs.

`Project.load()` reads the settings and offers every verb of the command line as a method. Errors descend
from `GluePkgmgrError`. Nothing here prints or ends the process; importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glue_pkgmgr.errors import DeadlineExceeded as DeadlineExceeded
    from glue_pkgmgr.errors import GluePkgmgrError as GluePkgmgrError
    from glue_pkgmgr.errors import IndexAccessError as IndexAccessError
    from glue_pkgmgr.errors import JobRunFailed as JobRunFailed
    from glue_pkgmgr.errors import JobRunStopped as JobRunStopped
    from glue_pkgmgr.errors import NoCapacity as NoCapacity
    from glue_pkgmgr.errors import NotApproved as NotApproved
    from glue_pkgmgr.errors import NotInstallable as NotInstallable
    from glue_pkgmgr.errors import RemoteError as RemoteError
    from glue_pkgmgr.errors import SettingsError as SettingsError
    from glue_pkgmgr.project import Project as Project

_ERRORS = (
    "DeadlineExceeded",
    "GluePkgmgrError",
    "IndexAccessError",
    "JobRunFailed",
    "JobRunStopped",
    "NoCapacity",
    "NotApproved",
    "NotInstallable",
    "RemoteError",
    "SettingsError",
)
__all__ = ["Project", *_ERRORS]  # noqa: PLE0604 - the names are texts, spelled once


def __getattr__(name: str) -> object:
    # Imported on use, so that `glue-pkgmgr --help` does not pay for what it does not need (PEP 562).
    if name == "Project":
        return import_module("glue_pkgmgr.project").Project
    if name in _ERRORS:
        return getattr(import_module("glue_pkgmgr.errors"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
