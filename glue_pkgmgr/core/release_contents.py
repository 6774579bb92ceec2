"""A wheel or sdist as an adapter has read it, with what in it looks like a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from glue_pkgmgr.core.distribution import Distribution

LONGEST_READ = 1024 * 1024
"""Bytes of a member up to which it is searched for secrets: they are written by hand, into small files."""


class Kind(StrEnum):
    """What a member of an archive is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive under its `name`. `secrets` says in words what in it looks like one."""

    name: str
    kind: Kind = Kind.FILE
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContents:
    """A wheel or sdist as an adapter has read it.

    `metadata` is its METADATA or PKG-INFO, None where it has none. `damage` says why the archive could not be
    read to its end, `rendering` what `twine check --strict` says against it; both are empty if all is well.
    """

    distribution: Distribution
    members: tuple[Member, ...]
    metadata: bytes | None
    damage: str = ""
    rendering: str = ""


def inspected(name: str, kind: Kind, content: bytes | None) -> Member:
    """Return the member called `name`, searched for secrets. `content` is None where it was not read.

    What is found is told by its kind and line, never by its text.
    """
    return Member(name=name, kind=kind, secrets=(*_secret_by_name(name, content), *secrets_in(content or b"")))


_SECRET_FILES = frozenset(
    {
        ".env",
        ".envrc",
        ".netrc",
        "_netrc",
        ".pypirc",
        ".npmrc",
        ".pgpass",
        ".htpasswd",
        ".git-credentials",
        ".dockercfg",
        "credentials",
        "credentials.json",
        "credentials.csv",
        "accesskeys.csv",
        "rootkey.csv",
        "secrets.toml",
        "secrets.json",
        "secrets.yaml",
        "secrets.yml",
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "pip.conf",
    }
)
_SECRET_SUFFIXES = (".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
_ENVIRONMENT = re.compile(r"\.env\..+")
_EXAMPLES = (".example", ".sample", ".template", ".dist")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def _secret_by_name(path: str, content: bytes | None) -> tuple[str, ...]:
    name = PurePosixPath(path).name.lower()
    if name.endswith(".pem") and _CERTIFICATE not in (content or b""):  # certificates are no secret
        return ("a key by its name",)
    if name.endswith(_SECRET_SUFFIXES):
        return ("a key by its name",)
    if name in _SECRET_FILES or (_ENVIRONMENT.fullmatch(name) and not name.endswith(_EXAMPLES)):
        return ("a file for secrets by its name",)
    return ()


# What it is, a text without which it is not there (in lower case: to look for one takes no time), and its form.
# Of AWS: unique ids of keys and of temporary keys. Source: IAM User Guide, "IAM identifiers" (unique ID prefixes).
_PATTERNS = (
    (
        "an AWS access key",
        (b"akia", b"asia"),
        re.compile(rb"(?<![A-Za-z0-9/+])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9/+])"),
    ),
    (
        "an AWS secret key",
        (b"secret",),
        re.compile(
            rb"(?i:aws_?secret_?access_?key|secret_?key)[\"']?\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+]{40}(?![\w/+=])"
        ),
    ),
    (
        "an AWS session token",
        (b"session",),
        re.compile(rb"(?i:aws_?session_?token)[\"']?\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+=]{100}"),
    ),
    (
        "a private key",
        (b"private key",),
        re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----"),
    ),
    ("an index URL with a token", (b"://aws:",), re.compile(rb"://aws:[\w.~+/=%-]{20,}@")),
    ("an authorization token", (b"eyj",), re.compile(rb"(?<![\w.-])eyJ[\w-]{16,}\.[\w-]{8,}\.[\w-]{16,}")),
    (
        "an access token",
        (*(b"gh%c_" % kind for kind in b"pousr"), b"github_pat_", b"pypi-age", b"xox"),
        re.compile(rb"(?<!\w)(?:gh[pousr]_\w{36}|github_pat_\w{40,}|pypi-AgE[\w-]{50,}|xox[abprs]-[\w-]{20,})"),
    ),
)
_EXAMPLE = b"EXAMPLE"  # what AWS's own documentation writes into keys that are none


def secrets_in(content: bytes) -> tuple[str, ...]:
    """Return what in `content` looks like a secret: its kind, and the first line (from 1) where one stands."""
    found = []
    lowered = content.lower()
    for kind, marks, pattern in _PATTERNS:
        if not any(mark in lowered for mark in marks):
            continue
        match = next((one for one in pattern.finditer(content) if _EXAMPLE not in one[0]), None)
        if match:
            line = content.count(b"\n", 0, match.start()) + 1
            found.append(f"{kind} in line {line}")
    return tuple(found)
