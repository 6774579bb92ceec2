"""The pages of CodeArtifact's List operations."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from glue_pkgmgr.local.codeartifact.protocol import invalid

T = TypeVar("T")

DEFAULT_RESULTS = 100


def page_of(items: Sequence[T], params: Mapping[str, Any]) -> tuple[list[T], str | None]:
    """Return the items that `maxResults` and `nextToken` of `params` ask for, and the token of the next page.

    Raises: AwsError (ValidationException) for a token that was not given out here.
    """
    start = _start(params.get("nextToken"))
    end = start + int(params.get("maxResults", DEFAULT_RESULTS))
    following = urlsafe_b64encode(f"from:{end}".encode()).decode() if end < len(items) else None
    return list(items[start:end]), following


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        kind, _, position = urlsafe_b64decode(token).decode().partition(":")
        if kind == "from" and position.isdecimal():
            return int(position)
    except ValueError:
        pass
    raise invalid("nextToken was not given out by this service")
