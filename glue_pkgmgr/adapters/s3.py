"""Objects in Amazon S3 that a job reads: scripts, wheels, requirements files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.errors import SettingsError


class S3Staging:
    """Stores and deletes objects; satisfies `ports.Staging`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, url: str, content: bytes) -> None:
        """Store `content` as the object at `url`, encrypted with a KMS key. Raises: RemoteError."""
        with aws_errors(f"could not write {url}", needs="s3:PutObject and kms:GenerateDataKey"):
            self._client.put_object(**_object(url), Body=content, ServerSideEncryption="aws:kms")

    def put_file(self, url: str, path: Path) -> None:
        """Store the file at `path` unless an object of that size is there.

        Meant for keys that name the content's hash, where equal key and size mean equal bytes.
        Raises: RemoteError.
        """
        if self.size(url) == path.stat().st_size:
            return
        # One request, not boto3's transfer in parts, whose errors are of another kind: a wheel is far below 5 GB.
        with aws_errors(f"could not write {url}", needs="s3:PutObject"), path.open("rb") as content:
            self._client.put_object(**_object(url), Body=content)

    def size(self, url: str) -> int | None:
        """Return how many bytes the object at `url` has, None if there is none. Raises: RemoteError."""
        try:
            with aws_errors(f"could not look at {url}", needs="s3:GetObject"):
                return int(self._client.head_object(**_object(url))["ContentLength"])
        except RemoteRefusal as e:
            if e.absent:
                return None
            raise

    def delete(self, url: str) -> None:
        """Delete the object at `url`; none there is no error. Raises: RemoteError."""
        with aws_errors(f"could not delete {url}", needs="s3:DeleteObject"):
            self._client.delete_object(**_object(url))

    def https(self, url: str) -> str:
        """Return the `https://` URL of the object at `url`, as other services of AWS read it."""
        place = _object(url)
        return f"{self._client.meta.endpoint_url}/{place['Bucket']}/{quote(place['Key'])}"


def _object(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or len(parts.path) <= 1:
        raise SettingsError(f"{url!r} is not the s3:// URL of an object")
    return {"Bucket": parts.netloc, "Key": parts.path.removeprefix("/")}
