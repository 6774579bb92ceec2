"""boto3 clients of a stand-in, untouched by the user's own AWS profile, credentials and proxies."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.session import Session

from glue_pkgmgr.local.state import ACCESS_KEY, StandIn

# Where botocore would look for them: name in the file, environment variables, default, conversion.
_NO_USER_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}, proxies={})


class Clients:
    """Makes clients of one stand-in."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._session = boto3.session.Session(
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
            region_name=stand_in.region,
            botocore_session=Session(session_vars=_NO_USER_FILES),
        )

    def __call__(self, service: str) -> Any:
        """Return a client for `service`, by its name in boto3."""
        endpoint = self._stand_in.s3_endpoint if service == "s3" else self._stand_in.endpoint
        return self._session.client(service, endpoint_url=endpoint, config=_CONFIG)
