"""HTTP sessions: bounded in time, proxies and CA bundle from the environment that is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from glue_pkgmgr.index_source import IndexSource

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0  # without a byte
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
"""Answers that may be different a moment later."""

READING = Retry(
    total=4,
    connect=2,
    read=1,  # a silent server has already taken a minute
    backoff_factor=0.3,
    backoff_jitter=0.3,
    backoff_max=8,
    status_forcelist=RETRIED_STATUSES,
    allowed_methods={"GET", "HEAD"},
    retry_after_max=30,
    raise_on_status=False,
)
"""For requests that change nothing: four more tries within some seconds."""

ONCE = Retry(total=0, redirect=0, raise_on_status=False)
"""For requests whose body cannot be sent again by urllib3."""


class Transport(HTTPAdapter):
    """Sends every request with a timeout, and with the proxies and CA bundle of one environment.

    requests itself reads the process's environment, ranks `REQUESTS_CA_BUNDLE` above a session's own
    bundle, and has no timeout: an adapter is the one place all requests of a session pass, twine's too.
    """

    def __init__(
        self, environ: Mapping[str, str], source: IndexSource | None = None, retries: Retry = READING
    ) -> None:
        self._proxies = _proxies(environ)
        if source is not None and source.proxy:
            self._proxies.update(http=source.proxy, https=source.proxy)
        self._ca_bundle = _ca_bundle(environ, source)
        super().__init__(max_retries=retries)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send `request`; see `requests.adapters.HTTPAdapter.send`."""
        kwargs["timeout"] = kwargs.get("timeout") or (_CONNECT_SECONDS, _READ_SECONDS)
        kwargs["verify"] = self._ca_bundle or True
        kwargs["proxies"] = self._proxies_for(request.url or "")
        return super().send(request, *args, **kwargs)

    def _proxies_for(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in _LOOPBACK or proxy_bypass_environment(parts.netloc.rpartition("@")[2], self._proxies):
            return {}
        return {scheme: proxy for scheme, proxy in self._proxies.items() if scheme != "no"}


def new_session(environ: Mapping[str, str], source: IndexSource | None = None) -> requests.Session:
    """Return a session for reading: retries, timeouts, no netrc, nothing from the process's environment."""
    return mounted(requests.Session(), Transport(environ, source))


def mounted(session: requests.Session, transport: Transport) -> requests.Session:
    """Return `session` with all its requests going through `transport`."""
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, transport)
    return session


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables by scheme, `no` for the exceptions; lower case ranks above upper case."""
    found = {}
    for name in sorted(environ, key=str.isupper, reverse=True):
        scheme, _, ending = name.lower().rpartition("_")
        if ending == "proxy" and scheme in ("http", "https", "all", "no") and environ[name]:
            found[scheme] = environ[name]
    return found


def _ca_bundle(environ: Mapping[str, str], source: IndexSource | None) -> str | None:
    if source is not None and source.ca_bundle:
        return str(source.ca_bundle)
    bundles = (environ[name] for name in _CA_VARIABLES if environ.get(name))
    return next((bundle for bundle in bundles if Path(bundle).exists()), None)


def first_cause(error: BaseException) -> str:
    """Return, in words, what was first to go wrong with a request; no address, which may hold credentials."""
    while isinstance(
        inner := error.__cause__ or error.__context__ or getattr(error, "reason", None), BaseException
    ):
        error = inner
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text and "@" not in text else type(error).__name__
