"""Tells the tests every token that a stand-in issues: it keeps their hashes only. Python runs this as it starts.

The process of the stand-in adds them to the file that E2E_TOKENS names; in every other process nothing is done.
"""

import os
import sys

if "glue_pkgmgr.local.server" in sys.orig_argv and (notes := os.environ.get("E2E_TOKENS")):
    import secrets
    from pathlib import Path

    _made = secrets.token_urlsafe

    def _noted(nbytes: int | None = None) -> str:
        token = _made(nbytes)
        with Path(notes).open("a", encoding="ascii") as file:
            file.write(f"{token}\n")
        return token

    secrets.token_urlsafe = _noted
