"""A chain of lines: each names the SHA-256 of the one before, so that none is changed or taken away unseen."""

from __future__ import annotations

import hashlib

START = "0" * 64
"""What the first line of a chain names."""


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line with its line end, as the line after it names it, and `sha256sum` tells it."""
    return hashlib.sha256(line).hexdigest()
