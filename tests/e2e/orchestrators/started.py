"""What is known of a job run that somebody else has started."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from glue_pkgmgr.core.job import INSTALLER_OPTION, requirements_file
from tests.e2e.conftest import Road

INSTALLED = {"boto3": "1.40.61", "glueutils": "0.2.0", "more-itertools": "10.8.0"}

_RUN = re.compile(r"\bjr_[0-9a-f]{64}\b")
_TOKEN_IN_A_URL = re.compile(rb"//aws:[A-Za-z0-9_-]{32}")
_PIECE = 32  # characters of a token: enough to know it by


@dataclass(frozen=True)
class Started:
    """A job run as Glue tells it, the lines of its log, and its delivery."""

    run: dict[str, Any]
    log: list[str]

    @classmethod
    def of(cls, road: Road, run: str) -> Started:
        """Return the run with that id, whichever job it is of."""
        job = road.workspace.told("status", run)["job"]
        found = road.workspace.api("glue").get_job_run(JobName=job, RunId=run)["JobRun"]
        return cls(found, [line["text"] for line in road.workspace.told("logs", run)["lines"]])

    @property
    def versions(self) -> dict[str, str]:
        """What the script says it has imported, by project."""
        told = re.findall(r"^version\.([\w-]+)=(\S+)$", "\n".join(self.log), re.MULTILINE)
        return {project.replace("_", "-"): version for project, version in told}

    @property
    def delivery(self) -> str:
        """How it was told what to install, as its arguments show."""
        arguments = self.run["Arguments"]
        if requirements_file(arguments):
            return "requirements"
        return "index" if "--index-url=" in arguments[INSTALLER_OPTION] else "wheels"

    @property
    def token(self) -> str:
        """The token in the arguments of a run with the delivery `index`."""
        return str(self.run["Arguments"][INSTALLER_OPTION]).partition("//aws:")[2].partition("@")[0]


def runs_in(text: str) -> list[str]:
    """Return the ids of the runs that `text` names, each once, in the order of its words."""
    return list(dict.fromkeys(_RUN.findall(text)))


def tokens_in(content: bytes, tokens: Iterable[str]) -> bool:
    """Whether `content` has one of `tokens`, or a piece of one, or an index URL with any token."""
    pieces = (token[start : start + _PIECE] for token in tokens for start in range(0, len(token) - _PIECE, _PIECE))
    return bool(_TOKEN_IN_A_URL.search(content)) or any(piece.encode() in content for piece in pieces)
