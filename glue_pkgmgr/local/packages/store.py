"""Domains, repositories and the releases in them, on disk: SQLite for what is known, a blob folder for the bytes.

A change is one transaction, and bytes are in place before the transaction that names them: a process killed at
any moment leaves the state before or after, never between.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import OriginControls, Status
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.packages.blobs import BlobFolder, Digests
from glue_pkgmgr.local.packages.releases import (
    Asset,
    Domain,
    Origin,
    Release,
    Repository,
    revision_of,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS domains (name TEXT PRIMARY KEY, owner TEXT NOT NULL, created TEXT NOT NULL,
    encryption_key TEXT);
CREATE TABLE IF NOT EXISTS repositories (
    id INTEGER PRIMARY KEY, domain TEXT NOT NULL REFERENCES domains, name TEXT NOT NULL, description TEXT,
    created TEXT NOT NULL, connection TEXT, UNIQUE (domain, name));
CREATE TABLE IF NOT EXISTS upstreams (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, position INTEGER NOT NULL,
    upstream INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, PRIMARY KEY (repository, position));
CREATE TABLE IF NOT EXISTS packages (
    id INTEGER PRIMARY KEY, repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    project TEXT NOT NULL, publish INTEGER NOT NULL, upstream INTEGER NOT NULL, UNIQUE (repository, project));
CREATE TABLE IF NOT EXISTS releases (
    id INTEGER PRIMARY KEY, package INTEGER NOT NULL REFERENCES packages ON DELETE CASCADE, version TEXT NOT NULL,
    status TEXT NOT NULL, origin_external INTEGER NOT NULL, origin_name TEXT NOT NULL, published TEXT NOT NULL,
    revision TEXT NOT NULL, UNIQUE (package, version));
CREATE TABLE IF NOT EXISTS assets (
    release INTEGER NOT NULL REFERENCES releases ON DELETE CASCADE, filename TEXT NOT NULL, sha256 TEXT NOT NULL,
    md5 TEXT, size INTEGER, upload_time TEXT, requires_python TEXT, yanked TEXT, PRIMARY KEY (release, filename));
CREATE INDEX IF NOT EXISTS assets_by_content ON assets (sha256);
CREATE TABLE IF NOT EXISTS blobs (
    md5 TEXT NOT NULL, sha1 TEXT NOT NULL, sha256 TEXT PRIMARY KEY, sha512 TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tags (
    arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
"""


class Occupied(Exception):
    """The name is taken, or by other content: nothing was changed."""


class PackageStore:
    """The stand-in's packages under `folder`. Safe for many threads of one process.

    Every method is one transaction; `with store.transaction():` makes one of several.

    Raises: SettingsError when another process has the folder open.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._mine = _locked(folder)
        self.blobs = BlobFolder(folder)
        self._lock = threading.RLock()
        self._depth = 0
        self._dropped: list[str] = []
        self._db = sqlite3.connect(folder / "packages.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        # With WAL this is safe against a killed process, and a commit need not wait for the disk.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.executescript(_SCHEMA)
        self._drop_nameless_blobs()

    def close(self) -> None:
        """Close the database; the store is of no use afterwards."""
        with self._lock:
            self._db.close()
            self._mine.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything in the block happen, or nothing of it. Blocks nest: the outermost commits."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                    self._dropped.clear()
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")
                self._remove_dropped()

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # --- domains ---------------------------------------------------------------------------------------------

    def create_domain(self, name: str, owner: str, encryption_key: str | None, now: datetime) -> Domain:
        """Add a domain. Raises: Occupied."""
        with self.transaction():
            if self.domain(name):
                raise Occupied(f"domain {name!r} exists already")
            self._db.execute(
                "INSERT INTO domains VALUES (?, ?, ?, ?)", (name, owner, now.isoformat(), encryption_key)
            )
        return Domain(name=name, owner=owner, created=now, encryption_key=encryption_key)

    def domain(self, name: str) -> Domain | None:
        """Return a domain by name."""
        return next((d for d in self.domains() if d.name == name), None)

    def domains(self) -> list[Domain]:
        """Return all domains, by name."""
        return [
            Domain(
                name=row["name"],
                owner=row["owner"],
                created=datetime.fromisoformat(row["created"]),
                encryption_key=row["encryption_key"],
            )
            for row in self._rows("SELECT * FROM domains ORDER BY name")
        ]

    def delete_domain(self, name: str) -> None:
        """Delete a domain. Raises: Occupied while it holds repositories."""
        with self.transaction():
            if self.repositories(name):
                raise Occupied(f"domain {name!r} still holds repositories: delete them first")
            self._db.execute("DELETE FROM domains WHERE name = ?", (name,))

    def size_of(self, domain: str) -> int:
        """Return how many bytes the assets of `domain` take; the same content counts once."""
        sql = """SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT a.sha256, a.size FROM assets a
                 JOIN releases r ON r.id = a.release JOIN packages p ON p.id = r.package
                 JOIN repositories o ON o.id = p.repository WHERE o.domain = ?)"""
        return int(self._rows(sql, domain)[0][0])

    # --- repositories ----------------------------------------------------------------------------------------

    def create_repository(
        self, domain: str, name: str, description: str | None, upstreams: Sequence[Repository], now: datetime
    ) -> Repository:
        """Add a repository to `domain`. Raises: Occupied."""
        with self.transaction():
            if self.repository(domain, name):
                raise Occupied(f"repository {name!r} exists already in domain {domain!r}")
            self._db.execute(
                "INSERT INTO repositories (domain, name, description, created) VALUES (?, ?, ?, ?)",
                (domain, name, description, now.isoformat()),
            )
            made = self._known(domain, name)
            self.set_upstreams(made, upstreams)
            return self._known(domain, name)

    def repository(self, domain: str, name: str) -> Repository | None:
        """Return a repository by name."""
        return next((r for r in self.repositories(domain) if r.name == name), None)

    def _known(self, domain: str, name: str) -> Repository:
        return next(r for r in self.repositories(domain) if r.name == name)

    def repositories(self, domain: str | None = None) -> list[Repository]:
        """Return the repositories of `domain`, or of all domains, by domain and name."""
        rows = self._rows(
            """SELECT r.*, d.owner FROM repositories r JOIN domains d ON d.name = r.domain
               WHERE ? IS NULL OR r.domain = ? ORDER BY r.domain, r.name""",
            domain,
            domain,
        )
        upstreams: dict[int, list[str]] = {}
        for row in self._rows(
            """SELECT u.repository, r.name FROM upstreams u JOIN repositories r ON r.id = u.upstream
               ORDER BY u.repository, u.position"""
        ):
            upstreams.setdefault(row["repository"], []).append(row["name"])
        return [_repository(row, upstreams.get(row["id"], [])) for row in rows]

    def set_description(self, repository: Repository, description: str) -> None:
        """Replace the description."""
        with self.transaction():
            self._db.execute("UPDATE repositories SET description = ? WHERE id = ?", (description, repository.id))

    def set_upstreams(self, repository: Repository, upstreams: Sequence[Repository]) -> None:
        """Replace the upstream repositories; the first is searched first."""
        with self.transaction():
            self._db.execute("DELETE FROM upstreams WHERE repository = ?", (repository.id,))
            self._db.executemany(
                "INSERT INTO upstreams VALUES (?, ?, ?)",
                [(repository.id, position, upstream.id) for position, upstream in enumerate(upstreams)],
            )

    def set_connection(self, repository: Repository, connection: str | None) -> None:
        """Set or remove the external connection."""
        with self.transaction():
            self._db.execute("UPDATE repositories SET connection = ? WHERE id = ?", (connection, repository.id))

    def delete_repository(self, repository: Repository) -> None:
        """Delete a repository with all its packages; others that had it as an upstream lose it."""
        with self.transaction():
            self._db.execute("DELETE FROM repositories WHERE id = ?", (repository.id,))
            self._drop_unused_blobs()

    # --- packages and releases -------------------------------------------------------------------------------

    def packages(self, repository: Repository) -> dict[ProjectName, OriginControls]:
        """Return every package of `repository` with its origin controls, by name."""
        rows = self._rows("SELECT * FROM packages WHERE repository = ? ORDER BY project", repository.id)
        return {ProjectName(row["project"]): _controls(row) for row in rows}

    def controls(self, repository: Repository, project: ProjectName) -> OriginControls | None:
        """Return the origin controls of a package, None when `repository` has no such package."""
        rows = self._rows("SELECT * FROM packages WHERE repository = ? AND project = ?", repository.id, project)
        return _controls(rows[0]) if rows else None

    def set_controls(self, repository: Repository, project: ProjectName, controls: OriginControls) -> None:
        """Set the origin controls of a package, which is made if missing."""
        with self.transaction():
            self._db.execute(
                """INSERT INTO packages (repository, project, publish, upstream) VALUES (?, ?, ?, ?)
                   ON CONFLICT DO UPDATE SET publish = excluded.publish, upstream = excluded.upstream""",
                (repository.id, project, controls.publish, controls.upstream),
            )

    def delete_package(self, repository: Repository, project: ProjectName) -> None:
        """Delete a package with all its releases and its origin controls."""
        with self.transaction():
            self._db.execute("DELETE FROM packages WHERE repository = ? AND project = ?", (repository.id, project))
            self._drop_unused_blobs()

    def releases(self, repository: Repository, project: ProjectName) -> dict[str, Release]:
        """Return every release of `project` that `repository` itself holds, by version text."""
        rows = self._rows(
            """SELECT r.*, p.project FROM releases r JOIN packages p ON p.id = r.package
               WHERE p.repository = ? AND p.project = ?""",
            repository.id,
            project,
        )
        assets: dict[int, dict[str, Asset]] = {row["id"]: {} for row in rows}
        for row in self._rows(
            """SELECT a.* FROM assets a JOIN releases r ON r.id = a.release JOIN packages p ON p.id = r.package
               WHERE p.repository = ? AND p.project = ? ORDER BY a.filename""",
            repository.id,
            project,
        ):
            if row["release"] in assets:
                assets[row["release"]][row["filename"]] = _asset(row)
        return {row["version"]: _release(row, assets[row["id"]]) for row in rows}

    def add_release(
        self,
        repository: Repository,
        project: ProjectName,
        version: str,
        origin: Origin,
        assets: Iterable[Asset],
        *,
        controls: OriginControls,
        now: datetime,
    ) -> None:
        """Add `assets` to a release; package and release are made if missing. What is there already stays.

        `controls` become those of the package if this makes it.

        Raises: Occupied when a file name is taken by other content.
        """
        with self.transaction():
            if self.controls(repository, project) is None:
                self.set_controls(repository, project, controls)
            release = self._release_id(repository, project, version, origin, now)
            present = self.releases(repository, project)[version].assets
            for asset in assets:
                self._add_asset(release, asset, present.get(asset.filename))
            self._set_revision(release, self.releases(repository, project)[version].assets.values())

    def _release_id(
        self, repository: Repository, project: ProjectName, version: str, origin: Origin, now: datetime
    ) -> int:
        self._db.execute(
            """INSERT OR IGNORE INTO releases
               (package, version, status, origin_external, origin_name, published, revision)
               SELECT id, ?, ?, ?, ?, ?, '' FROM packages WHERE repository = ? AND project = ?""",
            (version, Status.PUBLISHED, origin.external, origin.name, now.isoformat(), repository.id, project),
        )
        return self._id_of(repository, project, version)

    def _id_of(self, repository: Repository, project: ProjectName, version: str) -> int:
        sql = """SELECT r.id FROM releases r JOIN packages p ON p.id = r.package
                 WHERE p.repository = ? AND p.project = ? AND r.version = ?"""
        return int(self._rows(sql, repository.id, project, version)[0]["id"])

    def _add_asset(self, release: int, asset: Asset, present: Asset | None) -> None:
        if present is not None and present.sha256 != asset.sha256:
            raise Occupied(f"{asset.filename} exists already with other content (SHA-256 {present.sha256})")
        if present is None:
            self._db.execute(
                "INSERT INTO assets VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    release,
                    asset.filename,
                    asset.sha256,
                    asset.md5,
                    asset.size,
                    asset.upload_time.isoformat() if asset.upload_time else None,
                    asset.requires_python,
                    asset.yanked,
                ),
            )

    def _set_revision(self, release: int, assets: Iterable[Asset]) -> None:
        self._db.execute("UPDATE releases SET revision = ? WHERE id = ?", (revision_of(assets), release))

    def set_status(
        self, repository: Repository, project: ProjectName, versions: Iterable[str], status: Status
    ) -> None:
        """Set the status of releases that exist; DISPOSED deletes their assets, DELETED the releases too."""
        with self.transaction():
            for version in versions:
                self._set_status(self._id_of(repository, project, version), status)
            self._drop_unused_blobs()

    def _set_status(self, release: int, status: Status) -> None:
        if status is Status.DELETED:
            self._db.execute("DELETE FROM releases WHERE id = ?", (release,))
            return
        self._db.execute("UPDATE releases SET status = ? WHERE id = ?", (status, release))
        if status is Status.DISPOSED:
            self._db.execute("DELETE FROM assets WHERE release = ?", (release,))

    # --- bytes -----------------------------------------------------------------------------------------------

    def add_blob(self, unfinished: Path, digests: Digests) -> Path:
        """Take the flushed file `unfinished` over as the content of `digests.sha256`; return where it lies now."""
        with self.transaction():
            path = self.blobs.keep(unfinished, digests.sha256)
            self._db.execute(
                "INSERT OR IGNORE INTO blobs (md5, sha1, sha256, sha512, size) VALUES (?, ?, ?, ?, ?)",
                astuple(digests),
            )
            return path

    def blob(self, sha256: str) -> Digests | None:
        """Return the hashes of content that is here in bytes, None when it is only known by name."""
        rows = self._rows("SELECT * FROM blobs WHERE sha256 = ?", sha256)
        return Digests(**dict(rows[0])) if rows else None

    def _drop_unused_blobs(self) -> None:
        unused = self._rows("SELECT sha256 FROM blobs WHERE sha256 NOT IN (SELECT sha256 FROM assets)")
        self._dropped += [row["sha256"] for row in unused]
        self._db.executemany("DELETE FROM blobs WHERE sha256 = ?", [(row["sha256"],) for row in unused])

    def _remove_dropped(self) -> None:
        while self._dropped:
            sha256 = self._dropped.pop()
            if self.blob(sha256) is None:  # it may have come back in the same transaction
                self.blobs.remove(sha256)

    def _drop_nameless_blobs(self) -> None:
        """Remove the files of a process that was killed between placing them and naming them."""
        named = {row["sha256"] for row in self._rows("SELECT sha256 FROM blobs")}
        for sha256 in self.blobs.names() - named:
            self.blobs.remove(sha256)

    # --- tags ------------------------------------------------------------------------------------------------

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource, by key."""
        return {
            row["key"]: row["value"] for row in self._rows("SELECT * FROM tags WHERE arn = ? ORDER BY key", arn)
        }

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add `tags`, or replace their values."""
        with self.transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", [(arn, key, value) for key, value in tags.items()]
            )

    def remove_tags(self, arn: str, keys: Iterable[str] | None = None) -> None:
        """Remove the tags with `keys`, or all of them."""
        with self.transaction():
            for key in self.tags(arn) if keys is None else keys:
                self._db.execute("DELETE FROM tags WHERE arn = ? AND key = ?", (arn, key))


def _locked(folder: Path) -> IO[bytes]:
    """Return an open file that keeps `folder` ours; the system lets go of it when the process ends, however."""
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        lock.close()
        raise SettingsError(f"the packages in {folder} are in use by another process; stop it first") from e
    return lock


def _repository(row: sqlite3.Row, upstreams: Sequence[str]) -> Repository:
    return Repository(
        id=row["id"],
        domain=row["domain"],
        owner=row["owner"],
        name=row["name"],
        description=row["description"],
        created=datetime.fromisoformat(row["created"]),
        upstreams=tuple(upstreams),
        connection=row["connection"],
    )


def _controls(row: sqlite3.Row) -> OriginControls:
    return OriginControls(publish=bool(row["publish"]), upstream=bool(row["upstream"]))


def _release(row: sqlite3.Row, assets: dict[str, Asset]) -> Release:
    return Release(
        project=ProjectName(row["project"]),
        version=row["version"],
        status=Status(row["status"]),
        origin=Origin(external=bool(row["origin_external"]), name=row["origin_name"]),
        published=datetime.fromisoformat(row["published"]),
        revision=row["revision"],
        assets=assets,
    )


def _asset(row: sqlite3.Row) -> Asset:
    known: dict[str, Any] = {key: row[key] for key in row.keys() if key not in ("release", "upload_time")}  # noqa: SIM118
    time = row["upload_time"]
    return Asset(upload_time=datetime.fromisoformat(time) if time else None, **known)
