"""The text of an allow-list, edited as people would: whatever else stands in the file stays to the byte."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from glue_pkgmgr.core.allowlist import KINDS, AllowList, Approval, parse_allowlist
from glue_pkgmgr.core.withdrawal import Withdrawal
from glue_pkgmgr.errors import SettingsError

_HEADERS = {kind: re.compile(rf"""\s*\[\[\s*({kind}|"{kind}"|'{kind}')\s*\]\]""") for kind in KINDS}


def with_approval(text: str, approval: Approval) -> str:
    """Return the allow-list `text` with `approval` added at its end, after a blank line.

    Raises: SettingsError when its entries are not written as `[[approvals]]`.
    """
    return _with(text, "approvals", _approval_entry(approval))


def with_withdrawal(text: str, withdrawal: Withdrawal) -> str:
    """Return the allow-list `text` with `withdrawal` added at its end, after a blank line.

    Raises: SettingsError when its withdrawals are not written as `[[withdrawn]]`.
    """
    return _with(text, "withdrawn", _withdrawal_entry(withdrawal))


def without_approvals(text: str, remove: Iterable[int]) -> str:
    """Return the allow-list `text` without the approvals at the positions `remove` (from 0), comments kept.

    Raises: SettingsError when its entries are not written as `[[approvals]]`, or in a way that cannot be
    edited safely.
    """
    return _without(text, "approvals", remove)


def without_withdrawals(text: str, remove: Iterable[int]) -> str:
    """Return the allow-list `text` without the withdrawals at the positions `remove` (from 0), comments kept.

    Raises: SettingsError as `without_approvals` does.
    """
    return _without(text, "withdrawn", remove)


def _with(text: str, kind: str, entry: Mapping[str, object]) -> str:
    import tomlkit  # here: whoever only reads approvals needs none of it

    _headers(text, kind)
    line_end = "\r\n" if "\r\n" in text else "\n"
    written = tomlkit.dumps({kind: [entry]}).strip().replace("\n", line_end)
    finished = text if not text or text.endswith("\n") else f"{text}{line_end}"
    blank = line_end if finished.strip() and finished.splitlines()[-1].strip() else ""
    return f"{finished}{blank}{written}{line_end}"


def _without(text: str, kind: str, remove: Iterable[int]) -> str:
    before = parse_allowlist(text, "the allow-list")
    lines = text.splitlines(keepends=True)
    headers = _headers(text, kind)
    # An entry of another kind that stands between two ends the first of them.
    ends = sorted(
        {len(lines), *(start for one in KINDS for start in _starts(lines, one, len(_held(before, one))))}
    )
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
    left = tuple(one for position, one in enumerate(_held(before, kind)) if position not in gone)
    wanted: dict[str, Any] = {kind: left}
    if parse_allowlist(edited, "the allow-list") != replace(before, **wanted):
        raise SettingsError("the allow-list is written in a way that cannot be edited safely; edit it by hand")
    return edited


def _held(allowlist: AllowList, kind: str) -> Sequence[object]:
    entries: Sequence[object] = getattr(allowlist, kind)
    return entries


def _approval_entry(approval: Approval) -> dict[str, object]:
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


def _withdrawal_entry(withdrawal: Withdrawal) -> dict[str, object]:
    return {
        "project": str(withdrawal.project),
        "versions": str(withdrawal.versions),
        "withdrawn-by": withdrawal.withdrawn_by,
        "reason": withdrawal.reason,
        **({"on": withdrawal.on} if withdrawal.on else {}),
    }


def _headers(text: str, kind: str) -> list[int]:
    """Return the numbers, from 0, of the lines with which entries of a kind begin."""
    entries = len(_held(parse_allowlist(text, "the allow-list"), kind))
    found = _starts(text.splitlines(keepends=True), kind, entries)
    written_inline = not found and kind in tomllib.loads(text)
    if len(found) != entries or written_inline:
        raise SettingsError(f"the allow-list can only be edited when its entries are written as [[{kind}]]")
    return found


def _starts(lines: list[str], kind: str, expected: int) -> list[int]:
    found = [number for number, line in enumerate(lines) if _HEADERS[kind].match(line)]
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
