"""The authorization tokens handed out: kept as hashes only, across restarts, and no longer than they live."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from glue_pkgmgr.core.index_url import AuthorizationToken
from glue_pkgmgr.local.faults import Faults

_BYTES = 768  # of randomness: 1024 characters, the length of a real token


class TokenBook:
    """Issues tokens and tells which are good. `clock` returns aware UTC; the file `path` is made if missing.

    `faults` may let tokens die before their time.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], faults: Faults | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._faults = faults or Faults()
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # With WAL this is safe against a killed process, and a commit need not wait for the disk.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            """CREATE TABLE IF NOT EXISTS tokens
               (sha256 TEXT PRIMARY KEY, domain TEXT NOT NULL, expires REAL NOT NULL)"""
        )

    def issue(self, domain: str, lifetime: timedelta) -> AuthorizationToken:
        """Return a new token for `domain`; every repository in it accepts it for `lifetime`."""
        now = self._clock()
        # Whole seconds, as the API tells the time: what is announced is what is kept.
        expires = (now + lifetime).replace(microsecond=0)
        value = secrets.token_urlsafe(_BYTES)
        with self._lock:
            self._db.execute("DELETE FROM tokens WHERE expires <= ?", (now.timestamp(),))
            self._db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (_hash(value), domain, expires.timestamp()))
        self._faults.minted(_hash(value))
        return AuthorizationToken(value, expires_at=expires.astimezone(UTC))

    def accepts(self, domain: str, value: str) -> bool:
        """Whether `value` is a token of `domain` that has not expired, nor been killed by a fault."""
        with self._lock:
            row = self._db.execute(
                "SELECT domain, expires FROM tokens WHERE sha256 = ?", (_hash(value),)
            ).fetchone()
        lives = row is not None and row[0] == domain and self._clock().timestamp() < row[1]
        return lives and not self._faults.killed(_hash(value))

    def close(self) -> None:
        """Close the book's file."""
        with self._lock:
            self._db.close()


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
