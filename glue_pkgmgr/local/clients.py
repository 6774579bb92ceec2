"""boto3 clients of a stand-in, untouched by the user's own AWS profile, credentials and proxies."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.session import Session

from glue_pkgmgr.local.state import ACCESS_KEY, StandIn

OWN_CALL = "glue-pkgmgr-stand-in"
"""A word in the user agent of the calls that make a stand-in what it is: no fault is meant for them."""

# Where botocore would look for them: name in the file, environment variables, default, conversion.
_NO_USER_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "max_attempts": 3},
    proxies={},
)


class Clients:
    """The clients of one stand-in, one per service. Safe for many threads.

    `agent` is a word for the user agent of all calls.
    """

    def __init__(self, stand_in: StandIn, *, agent: str = "") -> None:
        self._stand_in = stand_in
        self._config = _CONFIG.merge(Config(user_agent_extra=agent)) if agent else _CONFIG
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()  # a session is not made for threads, a client is
        self._session = boto3.session.Session(
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
            region_name=stand_in.region,
            botocore_session=Session(session_vars=_NO_USER_FILES),
        )

    def __call__(self, service: str) -> Any:
        """Return the client for `service`, by its name in boto3."""
        with self._making:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        endpoint = self._stand_in.s3_endpoint if service == "s3" else self._stand_in.endpoint
        return self._session.client(service, endpoint_url=endpoint, config=self._config)
