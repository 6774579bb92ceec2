"""The text of an allow-list, edited as people would: whatever else stands in the file stays to the byte."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace

from glue_pkgmgr.core.allowlist import Approval, parse_allowlist
from glue_pkgmgr.errors import SettingsError

_EXCEPTION = re.compile(r"""\s*\[\[\s*(exceptions|"exceptions"|'exceptions')\s*\]\]""")
_HEADER = re.compile(r"""\s*\[\[\s*(approvals|"approvals"|'approvals')\s*\]\]""")


def with_approval(text: str, approval: Approval) -> str:
    """Return the allow-list `text` with `approval` added at its end, after a blank line.

    Raises: SettingsError when its entries are not written as `[[approvals]]`.
    """
    import tomlkit  # here: whoever only reads approvals needs none of it

    _headers(text)
    line_end = "\r\n" if "\r\n" in text else "\n"
    entry = tomlkit.dumps({"approvals": [_entry(approval)]}).strip().replace("\n", line_end)
    finished = text if not text or text.endswith("\n") else f"{text}{line_end}"
    blank = line_end if finished.strip() and finished.splitlines()[-1].strip() else ""
    return f"{finished}{blank}{entry}{line_end}"


def without_approvals(text: str, remove: Iterable[int]) -> str:
    """Return the allow-list `text` without the entries at the positions `remove` (from 0), comments kept.

    Raises: SettingsError when its entries are not written as `[[approvals]]`, or in a way that cannot be
    edited safely.
    """
    before = parse_allowlist(text, "the allow-list")
    lines = text.splitlines(keepends=True)
    headers = _headers(text)
    # An exception that stands between two approvals ends the first of them.
    ends = sorted({*headers, *_starts(lines, _EXCEPTION, len(before.exceptions)), len(lines)})
    gone = frozenset(remove)
    for position in gone:
        start = headers[position]
        end = next(line for line in ends if line > start)
        # What follows the last key, comments and blank lines, belongs to what comes next.
        while _is_blank_or_comment(lines[end - 1]):
            end -= 1
        while start and not lines[start - 1].strip():
            start -= 1
        lines[start:end] = [""] * (end - start)  # emptied, not deleted: the other positions stay right
    edited = "".join(lines)
    left = tuple(one for position, one in enumerate(before.approvals) if position not in gone)
    if parse_allowlist(edited, "the allow-list") != replace(before, approvals=left):
        raise SettingsError("the allow-list is written in a way that cannot be edited safely; edit it by hand")
    return edited


def _entry(approval: Approval) -> dict[str, object]:
    optional: dict[str, object] = {}
    if approval.until:
        optional["until"] = approval.until
    if approval.glue_versions:
        optional["glue-versions"] = sorted(approval.glue_versions)
    exceptions = {"allow-young": approval.allow_young, "allow-yanked": approval.allow_yanked}
    optional |= {key: reason for key, reason in exceptions.items() if reason}
    if approval.licence:
        optional["licence"] = approval.licence
    return {
        "project": str(approval.project),
        "versions": str(approval.versions),
        "approved-by": approval.approved_by,
        "reason": approval.reason,
        **optional,
    }


def _headers(text: str) -> list[int]:
    """Return the numbers, from 0, of the lines with which entries begin."""
    entries = len(parse_allowlist(text, "the allow-list").approvals)
    found = _starts(text.splitlines(keepends=True), _HEADER, entries)
    written_inline = not found and "approvals" in tomllib.loads(text)
    if len(found) != entries or written_inline:
        raise SettingsError("the allow-list can only be edited when its entries are written as [[approvals]]")
    return found


def _starts(lines: list[str], header: re.Pattern[str], expected: int) -> list[int]:
    found = [number for number, line in enumerate(lines) if header.match(line)]
    if len(found) > expected:  # a reason of several lines may hold such a line as well
        found = [number for number in found if _is_toml("".join(lines[:number]))]
    return found


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _is_blank_or_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
