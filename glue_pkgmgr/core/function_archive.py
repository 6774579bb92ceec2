"""The code of an AWS Lambda function as it is deployed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

RUNTIME, PYTHON = "python3.13", "3.13"
"""Always the same, whatever Python makes the archive: a team on different machines deploys one function."""

HANDLER = "glue_pkgmgr.functions.launch.handler"

SECONDS, MEMORY = 300, 1024
"""What a call may take, in MB the latter: staging wheels of some hundred megabytes, or AWS being slow."""

PROJECT = "glue_pkgmgr_project"
"""The folder of a project's files in the archive, and the names they have in it."""
SETTINGS, ALLOWLIST, LOCKS = "glue-pkgmgr.toml", "allowlist.toml", "locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionArchive:
    """A zip with everything a function needs beside Python itself.

    `runtime` and `handler` are as CreateFunction takes them. `releases` are those of others in it, as
    `name==version`, sorted.
    """

    content: bytes = field(repr=False)
    releases: tuple[str, ...]

    @property
    def handler(self) -> str:
        """What is called."""
        return HANDLER

    @property
    def runtime(self) -> str:
        """The Python it is for."""
        return RUNTIME

    @property
    def sha256(self) -> str:
        """The SHA-256 of the zip, as 64 hexadecimal digits: to name an object after."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def code_sha256(self) -> str:
        """The same in base64, as GetFunction tells it (`CodeSha256`)."""
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()
