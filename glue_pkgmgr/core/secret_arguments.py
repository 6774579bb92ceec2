"""What of a job's arguments may be kept, or given at all: everything but what looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping

from glue_pkgmgr.core.index_url import MASK
from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES

# A `PARTITION_KEY` is hidden as well: its value can be asked of Glue, a secret cannot be unsaid.
_SECRET_NAME = re.compile(
    "passw|passphrase|passcode|(?<![a-z])pass(?![a-z])|pwd|secret|token|key|cred|auth|bearer|cookie|signature|private"
    "|index.?url",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"://[^/?#\s]*@"  # a URL with a user, who may have a password
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}"  # an AWS access key
    r"|\beyJ[\w-]{8}"  # a JSON object in base64: JWT, tokens of CodeArtifact
    r"|-----BEGIN"
    r"|(?:pass\w*|pwd|secret|token|key|sig\w*|credential)[\"']?\s*[=:]",  # in a query, a connection text, in JSON
    re.IGNORECASE,
)
# What nobody types: long, of letters in both cases and of digits. Digests in hexadecimal are not.
_RANDOM = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])(?:[A-Za-z0-9+/]{40}\Z|[A-Za-z0-9+=_-]{32,})", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9+=_-]+", re.ASCII)
_LONGEST = 1024  # characters
_USER_IN_URL = re.compile(r"(://)[^/?#\s@]*@")
# Told by the delivery and the releases, or in a field of its own.
_NOT_KEPT = frozenset({MODULES, INSTALLER_OPTION, LAUNCH_ID})

# To refuse an argument takes more than to hide it: a name that ends in one of these.
_SECRET_ENDING = re.compile(
    r"(?:^|(?<=[^a-z]))(?:password|passwd|passphrase|pwd|secret|token|credentials?|apikey"
    r"|(?:api|access|auth|private|secret|account|encryption|signing)[^a-z]?key)$"
)
_NO_SECRET = re.compile(
    r"|true|false|yes|no|none|arn:\S+|s3://\S+|ssm:\S+|secretsmanager:\S+|\{\{resolve:.+\}\}", re.IGNORECASE
)
_BLATANT: Mapping[str, re.Pattern[str]] = {
    "holds a URL with a password": re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@"),
    "holds an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "holds what looks like a token": re.compile(r"\beyJ[\w-]{8,}\.[\w.-]{8,}|\beyJ[\w.-]{120,}"),
    "holds a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_secret(name: str, value: str) -> str:
    """Return why the argument `name` (without `--`) seems to carry a secret in clear; empty if it does not.

    By what the value holds, or by a name that ends like a secret's: `db_password`, but not `password_column`. A
    value that only says where a secret lies, such as an ARN, is none.
    """
    if why := blatant_secret(value):
        return why
    ending = _SECRET_ENDING.search(_CAMEL.sub("_", name).lower())
    if ending and not _NO_SECRET.fullmatch(value.strip()):
        return f"its name ends in {ending[0].replace('_', ' ')!r}, with what may be one as its value"
    return ""


def blatant_secret(value: str) -> str:
    """Return why `value` itself, whatever its name, is a secret in clear; empty if it does not seem to be one."""
    return next((why for why, pattern in _BLATANT.items() if pattern.search(value)), "")


def without_secrets(arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments of a job with `****` for each value that is, or may be, a secret; sorted by name.

    Names come with `--` or without and are returned without. The arguments that install are left out.
    """
    kept = {
        name.removeprefix("--"): without_secret(name, value)
        for name, value in arguments.items()
        if f"--{name.removeprefix('--')}" not in _NOT_KEPT
    }
    return dict(sorted(kept.items()))


def without_secret(name: str, value: str) -> str:
    """Return the value of the argument `name`, `****` if it is, or may be, a secret."""
    return MASK if _secret(name, value) else value


def without_users(text: str) -> str:
    """Return `text`, such as a message, with `****` for users and passwords in URLs, cut after 1024 characters."""
    return _USER_IN_URL.sub(rf"\1{MASK}@", text)[:_LONGEST]


def _secret(name: str, value: str) -> bool:
    return bool(
        len(value) > _LONGEST
        or _SECRET_NAME.search(name)
        or _SECRET_VALUE.search(value)
        or any(map(_RANDOM.match, (value, *_WORD.findall(value))))
    )
