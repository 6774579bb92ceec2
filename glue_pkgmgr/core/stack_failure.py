"""Why a change of a stack has failed: the first cause among its events, in one sentence.

Source: CloudFormation, "Handler error codes"; the reasons of events as resource handlers write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from glue_pkgmgr.core.denied import denied
from glue_pkgmgr.core.stack_change import StackEvent


class Kind(Enum):
    """What sort of a cause it is."""

    EXISTS = "exists already"
    DENIED = "a permission is missing"
    LIMIT = "a quota is used up"
    NOT_EMPTY = "it is not empty"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFailure:
    """The cause: which resource, in AWS's words without the noise, and what to do (may be empty)."""

    event: StackEvent
    kind: Kind
    message: str
    advice: str

    @property
    def sentence(self) -> str:
        """What failed, on what, and what to do."""
        one = self.event
        name = f" {one.physical_id}" if one.physical_id and one.physical_id != one.logical_id else ""
        told = f"{one.logical_id} ({one.type}{name}): {self.message}"
        return f"{told}; {self.advice}" if self.advice else told


# What others say that were given up because of the first.
_CANCELLED = re.compile(r"cancelled|The following resource\(s\) failed", re.IGNORECASE)
_HANDLED = re.compile(
    r'^Resource handler returned message: "(?P<message>.*)" '
    r"\(RequestToken: [^,]*, HandlerErrorCode: (?P<code>\w+)\)$",
    re.DOTALL,
)
_NOISE = re.compile(
    r"\s*\((?:Service|RequestToken|Request ID): [^()]*(?:\([^()]*\)[^()]*)*\)"
    r"|\s*\(SDK Attempt Count[^)]*\)"
)
_ENCODED = "Encoded authorization failure message"


def first_failure(events: Iterable[StackEvent]) -> StackFailure | None:
    """Return the cause of a failure from events in the order of time; None if they tell of none."""
    failed = [one for one in events if one.failed and not one.of_stack]
    causes = [one for one in failed if not _CANCELLED.search(one.reason)]
    chosen = (causes or failed)[:1]
    return explained(chosen[0]) if chosen else None


def failures(events: Sequence[StackEvent]) -> list[StackFailure]:
    """Return the cause of each resource that failed last, as those of a deletion do independently."""
    last = {one.logical_id: one for one in events if not one.of_stack}
    return [explained(one) for one in last.values() if one.failed]


def explained(event: StackEvent) -> StackFailure:
    """Return what the event of a failed resource means."""
    found = _HANDLED.match(event.reason.strip())
    code = found["code"] if found else ""
    message = _NOISE.sub("", found["message"] if found else event.reason).strip().rstrip(".") or "no reason given"
    message = " ".join(message.split())
    kind = _kind(code, event.reason)
    return StackFailure(event=event, kind=kind, message=message, advice=_ADVICE[kind](event, message))


def _kind(code: str, reason: str) -> Kind:
    if code in _CODES:
        return _CODES[code]
    return next((kind for pattern, kind in _WORDS if pattern.search(reason)), Kind.OTHER)


_CODES = {
    "AlreadyExists": Kind.EXISTS,
    "AccessDenied": Kind.DENIED,
    "UnauthorizedTaggingOperation": Kind.DENIED,
    "ServiceLimitExceeded": Kind.LIMIT,
}
_WORDS = (
    (re.compile(r"not authorized|Access ?Denied", re.IGNORECASE), Kind.DENIED),
    (re.compile(r"BucketNotEmpty|bucket you tried to delete is not empty", re.IGNORECASE), Kind.NOT_EMPTY),
    (
        re.compile(r"limit ?exceeded|quota ?exceeded|maximum number of|too ?many|LimitExceeded", re.IGNORECASE),
        Kind.LIMIT,
    ),
    (re.compile(r"already exists|AlreadyExists|EntityAlreadyExists", re.IGNORECASE), Kind.EXISTS),
)


def _advice_if_denied(event: StackEvent, message: str) -> str:
    if _ENCODED in message:
        return "`aws sts decode-authorization-message` tells which permission is missing"
    found = denied(message, event.physical_id or "*")
    return found.advice if found else "the caller lacks a permission for this type of resource"


_ADVICE: dict[Kind, Callable[[StackEvent, str], str]] = {
    Kind.EXISTS: lambda event, message: (
        "it belongs to no stack or to another one: give ours another name in the settings, or remove that one"
    ),
    Kind.DENIED: _advice_if_denied,
    Kind.LIMIT: lambda event, message: "have the quota raised (Service Quotas), or remove what is not needed",
    Kind.NOT_EMPTY: lambda event, message: "empty the bucket, all versions of its objects",
    Kind.OTHER: lambda event, message: "",
}
