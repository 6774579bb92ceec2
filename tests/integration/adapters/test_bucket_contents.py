"""Buckets are emptied of every version of every object before they are removed: on moto's S3, which has some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from glue_pkgmgr.adapters.bucket_contents import BucketContents


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


@pytest.fixture
def bucket() -> str:
    """Return the name of a bucket of this test alone: every server of moto in a process has the same ones."""
    return f"versioned-{uuid4()}"


def fill(s3: Any, bucket: str) -> None:
    """Make a bucket that holds two versions of each of three objects, one of them deleted."""
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b/ä ö.txt", "deleted"):
        for content in (b"1", b"2"):
            s3.put_object(Bucket=bucket, Key=key, Body=content)
    s3.delete_object(Bucket=bucket, Key="deleted")


def test_versions_and_what_marks_a_deleted_object_are_counted(s3: Any, bucket: str) -> None:
    contents = BucketContents(s3)
    assert contents.count(bucket, 100) is None
    fill(s3, bucket)
    assert contents.count(bucket, 100) == 7
    assert contents.count(bucket, 3) == 3


def test_an_emptied_bucket_can_be_removed(s3: Any, bucket: str) -> None:
    fill(s3, bucket)
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    BucketContents(s3).empty(bucket)
    s3.delete_bucket(Bucket=bucket)
    assert bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}
