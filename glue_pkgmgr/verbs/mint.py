"""Verb: a token, and the index URL made of it."""

from __future__ import annotations

from datetime import timedelta

from glue_pkgmgr.core.index_url import IndexUrl
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.ports import Repositories, TokenIssuer


def mint(
    address: RepositoryAddress, lifetime: timedelta, *, tokens: TokenIssuer, repositories: Repositories
) -> IndexUrl:
    """Return the index URL of a repository with a new token that is valid for `lifetime`.

    The token is minted last: its time should not pass while the endpoint is looked up.

    Raises: RemoteError.
    """
    endpoint = repositories.endpoint(address)
    return IndexUrl(endpoint, tokens.issue(address.domain, address.owner, lifetime))
