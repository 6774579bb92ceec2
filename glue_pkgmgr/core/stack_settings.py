"""What the settings say of the AWS infrastructure: names, and what is there already and is to be used."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from glue_pkgmgr.errors import SettingsError

_STACK = re.compile(r"[a-z][a-z0-9-]{0,29}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_OBJECT = re.compile(rf"s3://{_BUCKET.pattern}/[^?#\s]*[^/?#\s]", re.ASCII)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+", re.ASCII)
_IDS = {
    "vpc": re.compile(r"vpc-[0-9a-f]{8,17}", re.ASCII),
    "subnets": re.compile(r"subnet-[0-9a-f]{8,17}", re.ASCII),
    "route-tables": re.compile(r"rtb-[0-9a-f]{8,17}", re.ASCII),
    "zones": re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d[a-z0-9-]{1,12}", re.ASCII),
    "s3-prefix-list": re.compile(r"pl-[0-9a-f]{8,17}", re.ASCII),
}
_ARN = "arn:aws(?:-cn|-us-gov)?:"
_KEY = re.compile(rf"{_ARN}kms:(?P<region>[a-z0-9-]+):\d{{12}}:key/[A-Za-z0-9-]+", re.ASCII)
_BOUNDARY = re.compile(rf"{_ARN}iam::(\d{{12}}|aws):policy/[\w+=,.@/-]+", re.ASCII)
_PRINCIPAL = re.compile(rf"{_ARN}iam::\d{{12}}:(role|user)/[\w+=,.@/-]+", re.ASCII)
_LARGEST, _SMALLEST = 16, 27  # prefix lengths: a VPC is /16 to /28, and two subnets of /28 have to fit
# Source: RFC 1918, and RFC 6598 for the last; Amazon VPC User Guide, "VPC CIDR blocks".
_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_MOST_TAGS, _LONGEST_KEY, _LONGEST_VALUE = 50, 128, 256

# Source: CloudWatch Logs API, PutRetentionPolicy, `retentionInDays`.
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingNetwork:
    """A VPC that is there: its private subnets, the availability zone of each, and their route tables."""

    vpc: str
    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    route_tables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.vpc:
            raise SettingsError("vpc is missing: the VPC that the subnets, zones and route tables are of")
        for key, ids in (
            ("vpc", (self.vpc,)),
            ("subnets", self.subnets),
            ("zones", self.zones),
            ("route-tables", self.route_tables),
        ):
            _all_match(key, ids)
        _distinct("subnets", self.subnets)
        if len(self.zones) != len(self.subnets):
            raise SettingsError(
                f"zones: {len(self.zones)} for {len(self.subnets)} subnets; Glue wants the availability zone of "
                "each, in their order"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """The infrastructure as the settings describe it. Without an existing network, a VPC of `cidr` is made.

    `regions` are where it is wanted, never empty. `endpoints` says whether VPC endpoints are made. `principals`
    are ARNs that may take up its roles; none means that the account's own policies decide. `log_days` is how long
    logs are kept, `keep` that what holds data stays when the stack is deleted.
    """

    regions: tuple[str, ...]
    name: str = "glue-pkgmgr"
    cidr: str = "10.0.0.0/24"
    network: ExistingNetwork | None = None
    endpoints: bool = True
    s3_prefix_list: str | None = None
    kms_key: str | None = None
    permissions_boundary: str | None = None
    existing_buckets: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    sample_data: Mapping[str, str] = field(default_factory=dict)
    log_days: int = 365
    keep: bool = False
    imports: bool = False

    def __post_init__(self) -> None:
        """Check every value. Raises: SettingsError."""
        if not _STACK.fullmatch(self.name):
            raise SettingsError(
                f"name: {self.name!r} is not a stack name: a small letter, then small letters, digits and '-', "
                "30 in all: role names begin with it"
            )
        _distinct("regions", self.regions)
        for region in self.regions:
            if not _REGION.fullmatch(region):
                raise SettingsError(f"regions: {region!r} is not an AWS region, such as eu-west-1")
        subnets_of(self.cidr)
        if self.s3_prefix_list is not None:
            _all_match("s3-prefix-list", (self.s3_prefix_list,))
        _arn("kms-key", self.kms_key, _KEY, "the ARN of a KMS key")
        _arn("permissions-boundary", self.permissions_boundary, _BOUNDARY, "the ARN of an IAM policy")
        for principal in self.principals:
            _arn("principals", principal, _PRINCIPAL, "the ARN of an IAM role or user")
        for bucket in self.existing_buckets:
            if not _BUCKET.fullmatch(bucket):
                raise SettingsError(f"existing-buckets: {bucket!r} is not the name of a bucket")
        for address in self.notify:
            if not _ADDRESS.fullmatch(address):
                raise SettingsError(f"notify: {address!r} is not an e-mail address")
        if self.log_days not in RETENTION_DAYS:
            known = ", ".join(map(str, sorted(RETENTION_DAYS)))
            raise SettingsError(f"log-days: {self.log_days} is not a time that CloudWatch Logs knows: {known}")
        if not self.endpoints and self.network is None:
            raise SettingsError("endpoints exist only in a VPC that is there; name it as vpc, or have them made")
        _check_tags(self.tags)
        _check_sample_data(self.sample_data)
        self._check_one_region()

    def _check_one_region(self) -> None:
        """Refuse what belongs to one region when there are several, or to another one."""
        if len(self.regions) > 1:
            for key, value in (("vpc", self.network), ("kms-key", self.kms_key)):
                if value is not None:
                    raise SettingsError(
                        f"{key} is of one region, and regions are {', '.join(self.regions)}; write settings for "
                        "each"
                    )
        form = _KEY.fullmatch(self.kms_key or "")
        if form and form["region"] != self.regions[0]:
            raise SettingsError(f"kms-key: the key is in {form['region']}, the stack in {self.regions[0]}")


def subnets_of(cidr: str) -> tuple[str, str]:
    """Return the two halves of a VPC's `cidr`, one subnet for each of two zones.

    Raises: SettingsError for what is no private IPv4 network, or one of a size that no VPC has.
    """
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as e:
        raise SettingsError(f"cidr: {cidr!r} is not an IPv4 network such as 10.0.0.0/24: {e}") from e
    if not _LARGEST <= network.prefixlen <= _SMALLEST:
        raise SettingsError(f"cidr: {cidr} is a /{network.prefixlen}; two subnets of a VPC need /16 to /27")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise SettingsError(
            f"cidr: {cidr} is not within {', '.join(map(str, _PRIVATE))}: it would hide other addresses"
        )
    first, second = network.subnets()
    return str(first), str(second)


def _all_match(key: str, ids: Iterable[str]) -> None:
    """Refuse an id that is not of the kind that `key` names."""
    for one in ids:
        if not _IDS[key].fullmatch(one):
            raise SettingsError(f"{key}: {one!r} is not one; it would match {_IDS[key].pattern}")


def _distinct(key: str, values: Iterable[str]) -> None:
    listed = list(values)
    if not listed:
        raise SettingsError(f"{key} is empty")
    if twice := sorted({value for value in listed if listed.count(value) > 1}):
        raise SettingsError(f"{key}: {', '.join(twice)} twice")


def _arn(key: str, value: str | None, form: re.Pattern[str], what: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise SettingsError(f"{key}: {value!r} is not {what}")


def _check_sample_data(paths: Mapping[str, str]) -> None:
    for url in paths:
        if not _OBJECT.fullmatch(url):
            raise SettingsError(f"sample-data: {url!r} is not the URL of an object, s3://bucket/key")


def _check_tags(tags: Mapping[str, str]) -> None:
    # Source: CloudFormation API, CreateChangeSet, `Tags`.
    if len(tags) > _MOST_TAGS:
        raise SettingsError(f"tags: {len(tags)}; a stack has {_MOST_TAGS} at most")
    for key, value in tags.items():
        if not key or len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE or key.lower().startswith("aws:"):
            raise SettingsError(
                f"tags: {key!r} = {value!r}: a key has 1 to {_LONGEST_KEY} characters and does not begin with "
                f"aws:, a value has {_LONGEST_VALUE} at most"
            )
