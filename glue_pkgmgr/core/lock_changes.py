"""What differs between two locks, release by release."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One project that two locks treat differently. A pin is None where the lock has no such project."""

    project: ProjectName
    before: Pin | None
    after: Pin | None

    @property
    def told(self) -> str:
        """The change in a word or two, as people read it."""
        before, after = self.before, self.after
        if before is None:
            return "added"
        if after is None:
            return "removed"
        if before.version != after.version:
            return "upgraded" if before.version < after.version else "downgraded"
        if before.preinstalled != after.preinstalled:
            return "now in the Glue image" if after.preinstalled else "no longer in the Glue image"
        return "other files"


def changes(before: Lock | None, after: Lock) -> tuple[Change, ...]:
    """Return every project of which the two locks install something else, sorted by project.

    `before` is None where there was no lock. Who wants a release, and its licence, are no change.
    """
    old = {pin.project: pin for pin in before.pins} if before else {}
    new = {pin.project: pin for pin in after.pins}
    return tuple(
        Change(project=project, before=old.get(project), after=new.get(project))
        for project in sorted({*old, *new})
        if _content(old.get(project)) != _content(new.get(project))
    )


def _content(pin: Pin | None) -> tuple[Version, frozenset[str]] | None:
    return None if pin is None else (pin.version, frozenset(file.sha256 for file in pin.files))
