"""Leads a botocore that is too old for AWS_ENDPOINT_URL to the stand-in: left alone, it would call AWS.

Glue 3.0 and 4.0 have such a botocore, and a job may install one anywhere. All versions take the hosts of the
services from a data file, and look for it in the folder AWS_DATA_PATH first.

Source: botocore's changelog (1.31.0: endpoint variables) and `botocore.loaders`.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

_FIRST_WITH_ENDPOINT_VARIABLES = Version("1.31.0")
_INFO = "botocore-*.dist-info"


def is_old(environment: Path) -> bool:
    """Whether the Python environment in `environment` has a botocore that ignores AWS_ENDPOINT_URL."""
    for info in environment.glob(f"lib/python*/site-packages/{_INFO}"):
        try:
            return (
                Version(info.name.removeprefix("botocore-").removesuffix(".dist-info"))
                < _FIRST_WITH_ENDPOINT_VARIABLES
            )
        except InvalidVersion:
            continue
    return False


def redirect(folder: Path, *, endpoint: str, s3_endpoint: str, region: str) -> dict[str, str]:
    """Write into `folder` what sends every service to `endpoint`, and S3 to `s3_endpoint`.

    Both are `http://HOST:PORT`. Return the environment variables that make botocore read it.
    """
    (folder / "endpoints.json").write_text(json.dumps(_endpoints(endpoint, s3_endpoint, region)))
    settings = folder / "aws-config"
    # The bucket as part of the host name has no meaning for an address, and the host of a global STS is fixed.
    settings.write_text("[default]\nsts_regional_endpoints = regional\ns3 =\n    addressing_style = path\n")
    return {"AWS_DATA_PATH": str(folder), "AWS_CONFIG_FILE": str(settings)}


def _endpoints(endpoint: str, s3_endpoint: str, region: str) -> dict[str, object]:
    s3 = {**_host(s3_endpoint), "signatureVersions": ["s3v4"]}
    return {
        "version": 3,
        "partitions": [
            {
                "partition": "aws",
                "partitionName": "AWS Standard",
                "dnsSuffix": "amazonaws.com",
                "regionRegex": r"^(us|eu|ap|sa|ca|me|af|il|mx)\-\w+\-\d+$",
                "regions": {region: {"description": "the stand-in"}},
                "defaults": {**_host(endpoint), "signatureVersions": ["v4"]},
                "services": {
                    "s3": {
                        "partitionEndpoint": "aws-global",  # resolved by some calls in us-east-1
                        "endpoints": {region: s3, "aws-global": {**s3, "credentialScope": {"region": region}}},
                    }
                },
            }
        ],
    }


def _host(endpoint: str) -> dict[str, object]:
    return {"hostname": urlsplit(endpoint).netloc, "protocols": ["http"]}
