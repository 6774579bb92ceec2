"""What the settings of the infrastructure refuse, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glue_pkgmgr.core.stack_settings import ExistingNetwork, StackSettings, subnets_of
from glue_pkgmgr.errors import SettingsError

KEY = "arn:aws:kms:us-east-1:111122223333:key/0a1b"
HERE = StackSettings(regions=("us-east-1",))
NETWORK = ExistingNetwork(vpc="vpc-0a1b2c3d", subnets=("subnet-0a1b2c3d",), zones=("us-east-1a",))


def test_a_vpc_is_halved_for_two_zones():
    assert subnets_of("10.0.0.0/24") == ("10.0.0.0/25", "10.0.0.128/25")
    assert subnets_of("192.168.4.0/27") == ("192.168.4.0/28", "192.168.4.16/28")


@pytest.mark.parametrize(
    ("cidr", "told"),
    [
        ("10.0.0.0/33", "'10.0.0.0/33' is not an IPv4 network such as 10.0.0.0/24"),
        ("10.0.0.1/24", "has host bits set"),
        ("10.0.0.0", "a /32; two subnets of a VPC need /16 to /27"),
        ("10.0.0.0/15", "a /15; two subnets"),
        ("10.0.0.0/28", "a /28; two subnets"),
        ("8.8.8.0/24", "8.8.8.0/24 is not within 10.0.0.0/8, 172.16.0.0/12"),
        ("fd00::/56", "is not an IPv4 network"),
        ("0.0.0.0/16", "is not within"),
        ("127.0.0.0/16", "is not within"),
        ("", "'' is not an IPv4 network"),
    ],
)
def test_what_no_vpc_can_have_is_refused(cidr, told):
    with pytest.raises(SettingsError, match=told) as refused:
        replace(HERE, cidr=cidr)
    assert str(refused.value).startswith("cidr: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Glue"}, "name: 'Glue' is not a stack name"),
        ({"name": "a" * 31}, "30 in all"),
        ({"regions": ()}, "regions is empty"),
        ({"regions": ("eu-west-1", "eu-west-1")}, "regions: eu-west-1 twice"),
        ({"regions": ("Europe",)}, "regions: 'Europe' is not an AWS region"),
        ({"kms_key": "alias/mine"}, "kms-key: 'alias/mine' is not the ARN of a KMS key"),
        (
            {"kms_key": KEY.replace("us-east-1", "eu-west-1")},
            "kms-key: the key is in eu-west-1, the stack in us-east-1",
        ),
        ({"permissions_boundary": "edge"}, "permissions-boundary: 'edge' is not the ARN of an IAM policy"),
        ({"principals": ("*",)}, r"principals: '\*' is not the ARN of an IAM role or user"),
        ({"existing_buckets": ("Bucket",)}, "existing-buckets: 'Bucket' is not the name of a bucket"),
        ({"sample_data": {"s3://trips/": "t.csv"}}, "sample-data: 's3://trips/' is not the URL of an object"),
        ({"notify": ("ops",)}, "notify: 'ops' is not an e-mail address"),
        ({"log_days": 100}, "log-days: 100 is not a time that CloudWatch Logs knows: 1, 3, 5"),
        ({"s3_prefix_list": "sg-0a1b2c3d"}, "s3-prefix-list: 'sg-0a1b2c3d' is not one"),
        ({"tags": {"aws:team": "x"}}, "does not begin with aws:"),
        ({"tags": {str(n): "" for n in range(51)}}, "tags: 51; a stack has 50 at most"),
        ({"endpoints": False}, "endpoints exist only in a VPC that is there; name it as vpc"),
        ({"regions": ("us-east-1", "eu-west-1"), "kms_key": KEY}, "kms-key is of one region"),
        ({"regions": ("us-east-1", "eu-west-1"), "network": NETWORK}, "vpc is of one region"),
    ],
)
def test_a_value_that_aws_would_refuse_is_refused_here(change, told):
    with pytest.raises(SettingsError, match=told):
        replace(HERE, **change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vpc": "10.0.0.0/24"}, "vpc: '10.0.0.0/24' is not one"),
        ({"subnets": ()}, "subnets is empty"),
        ({"subnets": ("subnet-0a1b2c3d",) * 2, "zones": ("us-east-1a",) * 2}, "subnets: subnet-0a1b2c3d twice"),
        ({"zones": ()}, "zones: 0 for 1 subnets; Glue wants the availability zone of each"),
        ({"zones": ("a",)}, "zones: 'a' is not one"),
        ({"route_tables": ("rtb",)}, "route-tables: 'rtb' is not one"),
    ],
)
def test_an_existing_network_is_named_in_full(change, told):
    with pytest.raises(SettingsError, match=told):
        replace(NETWORK, **change)


def test_partitions_and_boundaries_of_aws_are_taken():
    for region in ("cn-north-1", "us-gov-west-1", "ap-southeast-2"):
        assert StackSettings(regions=(region,)).regions == (region,)
    assert replace(HERE, permissions_boundary="arn:aws:iam::aws:policy/PowerUserAccess").permissions_boundary
