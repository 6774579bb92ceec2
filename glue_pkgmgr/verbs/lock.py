"""Verb: a bundle's request becomes its lock, a file in git."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.lock_changes import Change, changes
from glue_pkgmgr.core.lockfile import Lock, lock_to_toml
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import Advisories
from glue_pkgmgr.verbs import lock_file
from glue_pkgmgr.verbs.resolve import Resolution, vulnerabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A bundle's lock, where it is written, and whether the file changes.

    `changes` are the releases that differ from the lock before, sorted by project.
    """

    bundle: str
    path: Path
    lock: Lock
    changed: bool
    changes: tuple[Change, ...] = ()


def lock_bundle(
    bundle: Bundle, before: Lock | None, resolution: Resolution, folder: Path, *, write: bool = True
) -> Locked:
    """Resolve `bundle` and write its lock into `folder`. An equal file is left alone; so is any unless `write`.

    `before` is the lock to tell the changes from.

    Raises: what `Resolution.lock` raises; SettingsError when the file cannot be written.
    """
    path = folder / bundle.lock_filename
    lock = resolution.lock(bundle.modules)
    text = lock_to_toml(lock)
    changed = lock_file.written_text(path) != text
    if changed and write:
        lock_file.write_text(path, text)
    return Locked(bundle=bundle.name, path=path, lock=lock, changed=changed, changes=changes(before, lock))


def require_known(upgrade: Collection[ProjectName], bundles: Sequence[Bundle], locks: Iterable[Lock]) -> None:
    """Raise SettingsError for a project to upgrade that neither a bundle asks for nor a lock pins."""
    known = {item.project for bundle in bundles for item in bundle.modules}
    known |= {pin.project for lock in locks for pin in lock.pins}
    for project in sorted(upgrade):
        if project not in known:
            bundle = next(
                (f"; for the bundle: `lock {one.name} --upgrade`" for one in bundles if one.name == project), ""
            )
            raise SettingsError(f"no lock has a project {project} to upgrade{bundle}")


def preferred(before: Lock, upgrade: Collection[ProjectName] | None) -> dict[ProjectName, Version]:
    """Return the versions of `before` that are to stay where they fit.

    `upgrade` names the projects that are to get a newer version; empty means all, None means none.
    """
    if upgrade is None:
        return before.versions
    return {pin.project: pin.version for pin in before.pins if upgrade and pin.project not in upgrade}


def vulnerable(lock: Lock, advisories: Advisories, policy: Policy) -> list[str]:
    """Return, in words, which releases of others in `lock` are known to be vulnerable by now.

    Raises: as `Advisories.of`.
    """
    releases = [pin.release for pin in lock.installed if not pin.internal]
    found = vulnerabilities(releases, advisories, policy) if releases else {}
    return [
        f"{project}=={version} is known to be vulnerable: {told}" for (project, version), told in found.items()
    ]
