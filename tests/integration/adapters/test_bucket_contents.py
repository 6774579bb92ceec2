"""Buckets are emptied of every version of every object before they are removed: on moto's S3, which has some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from glue_pkgmgr.adapters.bucket_contents import BucketContents

BUCKET = "versioned"


@pytest.fixture
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield boto3.client(
            "s3",
            endpoint_url="http://{}:{}".format(*server.get_host_and_port()),
            region_name="us-east-1",
            aws_access_key_id="id",
            aws_secret_access_key="key",
        )
    finally:
        server.stop()


def fill(s3: Any) -> None:
    """Make a bucket that holds two versions of each of three objects, one of them deleted."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b/ä ö.txt", "deleted"):
        for content in (b"1", b"2"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    s3.delete_object(Bucket=BUCKET, Key="deleted")


def test_versions_and_what_marks_a_deleted_object_are_counted(s3: Any) -> None:
    contents = BucketContents(s3)
    assert contents.count(BUCKET, 100) is None
    fill(s3)
    assert contents.count(BUCKET, 100) == 7
    assert contents.count(BUCKET, 3) == 3


def test_an_emptied_bucket_can_be_removed(s3: Any) -> None:
    fill(s3)
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=BUCKET)
    BucketContents(s3).empty(BUCKET)
    s3.delete_bucket(Bucket=BUCKET)
    assert s3.list_buckets()["Buckets"] == []
