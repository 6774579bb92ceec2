"""Buckets of S3. What rclone serves has objects, and nothing of what guards or describes them."""

from __future__ import annotations

from glue_pkgmgr.local.cloudformation.kinds.kind import Exists, Kind, Made, Wanted, absent_is_fine, is_there


class Bucket(Kind):
    """AWS::S3::Bucket."""

    named_by = "BucketName"
    replacing = frozenset({"BucketName"})
    lower_case = True
    longest_name = 63
    survives = True

    def create(self, wanted: Wanted) -> Made:
        """Make a bucket; not one of rclone's answers tells that it was there before, so that is asked."""
        s3 = wanted.client("s3")
        if is_there(s3.head_bucket, Bucket=wanted.name):
            raise Exists(wanted.name)
        # For its oldest region S3 refuses to be told the location.
        oldest = wanted.region == "us-east-1"
        where = {} if oldest else {"CreateBucketConfiguration": {"LocationConstraint": wanted.region}}
        s3.create_bucket(Bucket=wanted.name, **where)
        return self.update(wanted, wanted.name)

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change nothing: there is nothing in it that could be changed."""
        suffix = "amazonaws.com.cn" if wanted.partition == "aws-cn" else "amazonaws.com"
        return Made(
            id=physical,
            attributes={
                "Arn": f"arn:{wanted.partition}:s3:::{physical}",
                "DomainName": f"{physical}.s3.{suffix}",
                "RegionalDomainName": f"{physical}.s3.{wanted.region}.{suffix}",
            },
        )

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove an empty bucket."""
        with absent_is_fine():
            wanted.client("s3").delete_bucket(Bucket=physical)
