"""Verb: a token, and the index URL made of it."""

from __future__ import annotations

from datetime import timedelta

from glue_pkgmgr.core.index_url import IndexUrl
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.ports import Repositories, TokenIssuer
from glue_pkgmgr.verbs.beside import beside


def mint(
    address: RepositoryAddress, lifetime: timedelta, *, tokens: TokenIssuer, repositories: Repositories
) -> IndexUrl:
    """Return the index URL of a repository with a new token that is valid for `lifetime`.

    The endpoint, which never changes, is looked up meanwhile where it is not known yet.

    Raises: RemoteError.
    """
    endpoint = beside(lambda: repositories.endpoint(address))
    token = tokens.issue(address.domain, address.owner, lifetime)
    return IndexUrl(endpoint.result(), token)
