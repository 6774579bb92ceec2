"""Spans of time as people type them: `30m`, `1h30m`, `90s`."""

from __future__ import annotations

import re
from datetime import timedelta

from glue_pkgmgr.errors import SettingsError

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s?)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Return the span that `text` names: days, hours, minutes, seconds in that order; a bare number is seconds.

    Raises: SettingsError for anything else, and for no time at all.
    """
    match = _DURATION.fullmatch(text.strip())
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not span:
        raise SettingsError(f"{text!r} is not a span of time such as 30m, 1h30m or 90s")
    return span


def duration_text(span: timedelta) -> str:
    """Return `span` as `parse_duration` reads it, parts of a second left out: `1h30m`."""
    rest = int(span.total_seconds())
    text = ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
