"""Who calls AWS, as AWS sees it."""

from __future__ import annotations

from typing import Any

from glue_pkgmgr.adapters.clients import aws_errors


def caller_arn(client: Any) -> str:
    """Return the ARN of who calls; `client` is boto3's of STS.

    Raises: RemoteError; SettingsError without usable credentials.
    Source: GetCallerIdentity, which needs no permission.
    """
    with aws_errors("could not ask AWS who is calling"):
        return str(client.get_caller_identity()["Arn"])


def account_of(arn: str) -> str:
    """Return the account, 12 digits, in an ARN. Source: IAM User Guide, "Identify AWS resources with ARNs"."""
    return arn.split(":")[4]
