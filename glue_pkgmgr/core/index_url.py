"""The authorization token and the index URL made of it: lifetime rules, secrets kept out of text."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from glue_pkgmgr.errors import SettingsError

USER = "aws"
"""The user name CodeArtifact expects beside a token (CodeArtifact User Guide, "Configure pip")."""

SHORTEST = timedelta(seconds=900)
LONGEST = timedelta(seconds=43_200)
MASK = "****"

_USER_OF_URL = re.compile(r"//[^/\s:@]*+:")
# A token by itself begins like every JSON object in Base64; it is more than a thousand characters long.
_BARE_TOKEN = re.compile(r"eyJ[A-Za-z0-9_=.-]{120,}")


def token_lifetime(seconds: int) -> timedelta:
    """Return `seconds` as a lifetime that CodeArtifact grants.

    Raises: SettingsError unless it is 0 (the rest of the role's session) or 900 to 43200.
    Source: CodeArtifact API, GetAuthorizationToken, `durationSeconds`.
    """
    lifetime = timedelta(seconds=seconds)
    if seconds and not SHORTEST <= lifetime <= LONGEST:
        raise SettingsError(
            f"a token cannot live {seconds} s: CodeArtifact grants 900 to 43200 s, "
            "or 0 for the rest of the role's session"
        )
    return lifetime


class AuthorizationToken:
    """A CodeArtifact token that prints harmlessly; `expires_at` is aware UTC."""

    # No dataclass: `asdict` would turn the secret into data.
    __slots__ = ("_expires_at", "_value")

    def __init__(self, value: str, expires_at: datetime) -> None:
        self._value = value
        self._expires_at = expires_at

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"AuthorizationToken({MASK}, expires_at={self._expires_at!r})"

    @property
    def expires_at(self) -> datetime:
        """When the token ends, aware UTC."""
        return self._expires_at

    def __reduce__(self) -> NoReturn:
        raise TypeError("an authorization token is not to be stored")

    def reveal(self) -> str:
        """Return the secret itself. Whoever calls this answers for where it goes."""
        return self._value

    def expired(self, now: datetime) -> bool:
        """Whether the token is no longer accepted at `now` (aware UTC)."""
        return now >= self._expires_at


@dataclass(frozen=True, slots=True)
class IndexUrl:
    """The URL of a repository's simple index, credentials inside; printed without them.

    `endpoint` is what GetRepositoryEndpoint answers for format `pypi`.
    """

    endpoint: str
    token: AuthorizationToken

    @property
    def plain(self) -> str:
        """The index URL without credentials. It ends with a slash: uv resolves links wrongly otherwise."""
        return f"{self.endpoint.rstrip('/')}/simple/"

    def __str__(self) -> str:
        return self._with(MASK)

    def reveal(self) -> str:
        """Return the URL with the token in it, as pip and uv read it."""
        return self._with(quote(self.token.reveal(), safe=""))

    def _with(self, password: str) -> str:
        parts = urlsplit(self.plain)
        return urlunsplit(parts._replace(netloc=f"{USER}:{password}@{parts.netloc}"))


def spellings(token: AuthorizationToken) -> tuple[str, ...]:
    """Return `token` in every form in which a program or a server may repeat it; nothing for an empty one.

    Plain, percent-encoded as in a URL, and as the header of a request carries it: a server that is asked for
    something may answer with all it was sent. Source: RFC 7617 (Basic authentication).
    """
    secret = token.reveal()
    if not secret:
        return ()
    return secret, quote(secret, safe=""), base64.b64encode(f"{USER}:{secret}".encode()).decode()


def redact(text: str, tokens: Iterable[AuthorizationToken]) -> str:
    """Return `text` with every one of `tokens`, however it is spelt, replaced by `****`."""
    for secret in (one for token in tokens for one in spellings(token)):
        text = text.replace(secret, MASK)
    return text


def without_credentials(text: str) -> str:
    """Return `text` of others without what looks like a secret: passwords in URLs, and bare tokens.

    pip masks the passwords of URLs itself, but not after a malformed scheme such as `https:://`. The time taken
    grows with the length of `text` only, whatever is in it: it may be a log line of 256 kB.
    """
    *before, last = text.split("@")
    masked = "@".join([*map(_without_password, before), last])
    return _BARE_TOKEN.sub(MASK, masked)


def _without_password(text: str) -> str:
    """Return `text`, which an `@` follows, with the password masked that it ends in, if it does."""
    if not text or text[-1].isspace():
        return text
    word = text.rsplit(maxsplit=1)[-1]
    user = _USER_OF_URL.search(word)
    if user is None or user.end() == len(word):
        return text
    return text[: len(text) - len(word) + user.end()] + MASK
