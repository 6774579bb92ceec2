"""Ids of launches: how a run is found again although StartJobRun has no client token."""

from __future__ import annotations

import hashlib
import re

from glue_pkgmgr.errors import SettingsError

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ATTEMPT = re.compile(r"-([2-9]|[1-9][0-9]{1,3})", re.ASCII)
_LONGEST = 1024  # characters


def launch_id(job: str, text: str) -> str:
    """Return the id, 32 hexadecimal digits, of the launch of `job` that its caller calls `text`.

    Such an id is taken as it is. Any other text, such as a scheduler's name for one task on one day, becomes a
    digest of itself and the job: the same launch for the same text, another one for another job.

    Raises: SettingsError for a text that is empty, very long, or has characters that cannot be printed.
    """
    if _ID.fullmatch(text):
        return text
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise SettingsError(f"{text[:80]!r} cannot name a launch: it takes 1 to {_LONGEST} printable characters")
    return hashlib.sha256(f"{job}\n{text}".encode()).hexdigest()[:32]


def attempt_id(launch: str, attempt: int) -> str:
    """Return what the run of that attempt of a launch carries: attempt 1 the id itself, the second `<id>-2`."""
    return launch if attempt == 1 else f"{launch}-{attempt}"


def attempt_of(launch: str, carried: str | None) -> int:
    """Return which attempt of `launch` a run is that carries this id, from 1; 0 if it is none of it."""
    if carried is None or not carried.startswith(launch):
        return 0
    rest = carried.removeprefix(launch)
    if not rest:
        return 1
    return int(rest[1:]) if _ATTEMPT.fullmatch(rest) else 0
