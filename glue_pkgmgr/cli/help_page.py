"""What `glue-pkgmgr --help` prints: plain text, so that it needs no library of options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PROGRAM = "glue-pkgmgr"

VERBS: Mapping[str, str] = {
    "init": "Write the settings file and an empty allow-list.",
    "build": "Build a project's wheel and sdist, reproducibly.",
    "publish": "Build, upload and verify internal projects.",
    "withdraw": "Take back a release of our own.",
    "restore": "Let a withdrawn release be used again.",
    "approve": "Add approvals to the allow-list.",
    "revoke": "Remove approvals from the allow-list.",
    "approvals": "Show the allow-list.",
    "check": "Tell whether a request is approved and installable.",
    "lock": "Resolve bundles to exact releases with hashes.",
    "mirror": "Fill the approved repository from the locks, or compare them.",
    "mint": "Print a short-lived index URL: a secret.",
    "launch": "Start a job with exactly the locked releases, and follow it.",
    "runs": "List job runs, newest first.",
    "status": "Show one job run.",
    "logs": "Print the log of a job run.",
    "stop": "Stop a job run.",
    "stack": "Show, deploy and remove the AWS infrastructure.",
    "local": "Run the stand-in for AWS on this machine.",
    "doctor": "Show what is set up, what is missing, what to do.",
}
"""Every verb and its line of help."""

OPTIONS: Mapping[str, str] = {
    "--config FILE": "Settings file; by default glue-pkgmgr.toml here or above.",
    "--json": "Print one JSON object on stdout.",
    "-v, --verbose": "Tell more on stderr.",
    "-q, --quiet": "No progress on stderr, only errors.",
    "-h, --help": "Show this message and exit.",
}
"""The options before the verb."""


def help_page() -> str:
    """Return the help of the whole command, at most 80 columns wide, without a line end."""
    lines = [
        f"Usage: {PROGRAM} [OPTIONS] VERB ...",
        "",
        "  Private, approved and pinned Python packages for AWS Glue jobs.",
        "",
        "Options:",
        *_definitions(OPTIONS.items()),
        "",
        "Verbs:",
        *_definitions(VERBS.items()),
        "",
        f"  Every verb explains itself: {PROGRAM} VERB --help",
    ]
    return "\n".join(lines)


def _definitions(pairs: Iterable[tuple[str, str]]) -> list[str]:
    known = list(pairs)
    width = max(len(term) for term, _ in known)
    return [f"  {term:{width}}  {told}" for term, told in known]
