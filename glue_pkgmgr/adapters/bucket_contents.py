"""What is in buckets, all versions of it: counted and removed before the buckets themselves can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.errors import RemoteError

_MOST_AT_ONCE = 1000  # keys in one DeleteObjects


class BucketContents:
    """The contents of buckets; satisfies `ports.BucketService`. `client` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def count(self, bucket: str, most: int) -> int | None:
        """Return how many versions of objects a bucket holds, at most `most`; None without such a bucket.

        Raises: RemoteError.
        """
        found = 0
        try:
            with aws_errors(f"could not look into bucket {bucket!r}", needs="s3:ListBucketVersions"):
                for page in self._pages(bucket):
                    found += len(page)
                    if found >= most:
                        return most
        except RemoteRefusal as e:
            if e.absent:
                return None
            raise
        return found

    def empty(self, bucket: str) -> int:
        """Remove every version of every object, and return how many; no bucket has none. Raises: RemoteError."""
        removed = 0
        failed = f"could not empty bucket {bucket!r}"
        needs = "s3:ListBucketVersions, s3:DeleteObject and s3:DeleteObjectVersion"
        try:
            with aws_errors(failed, needs=needs):
                # Always the first page: what it names is gone when it is read again.
                while page := next(self._pages(bucket), []):
                    reply = self._client.delete_objects(Bucket=bucket, Delete={"Objects": page, "Quiet": True})
                    for error in reply.get("Errors", ()):
                        raise RemoteError(
                            f"{failed}: {error.get('Key')}: {error.get('Message')} ({error.get('Code')}); "
                            f"the caller needs {needs}, and no object lock"
                        )
                    removed += len(page)
        except RemoteRefusal as e:
            if not e.absent:
                raise
        return removed

    def _pages(self, bucket: str) -> Iterator[list[dict[str, str]]]:
        """Yield what is in a bucket as DeleteObjects takes it."""
        from botocore.exceptions import ClientError

        try:
            for page in self._listed("list_object_versions", bucket):
                found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        except ClientError as e:
            if e.response["Error"]["Code"] != "NotImplemented":
                raise
            # A store without versions, as the stand-in's.
            for page in self._listed("list_objects_v2", bucket):
                yield [{"Key": one["Key"]} for one in page.get("Contents", ())]

    def _listed(self, operation: str, bucket: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator(operation)
        yield from pages.paginate(Bucket=bucket, PaginationConfig={"PageSize": _MOST_AT_ONCE})
