"""The network that jobs run in: private subnets, endpoints of the services they call, no way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glue_pkgmgr.core.stack_settings import subnets_of
from glue_pkgmgr.infra.actions import CATALOG, LOGS, LOOK_FOR_RELEASES, OBJECTS, START, STOP, WATCH
from glue_pkgmgr.infra.expressions import (
    ACCOUNT,
    Json,
    Resources,
    allow,
    arn,
    explained,
    get,
    policy,
    ref,
    resource,
    s3_arn,
    sub,
)
from glue_pkgmgr.infra.key import key_arn
from glue_pkgmgr.infra.packages import domain_arn, package_arn, repository_arn
from glue_pkgmgr.infra.plan import StackPlan

_TLS_PORT = 443
_ANYWHERE = "0.0.0.0/0"
_JOBS, _CALLERS, _ENDPOINTS = "JobSecurityGroup", "FunctionSecurityGroup", "EndpointSecurityGroup"
# Source: AWS CDK, `InterfaceVpcEndpointAwsService`: in China the endpoint of STS has another name than the others.
_CHINA_STS = "cn.com.amazonaws"


def network_resources(plan: StackPlan) -> Resources:
    """Return the VPC unless there is one, the security groups, the endpoints and Glue's connections."""
    made: Resources = {} if plan.stack.network else _vpc(plan)
    made |= _security_groups(plan)
    if plan.stack.endpoints:
        made |= _endpoints(plan)
    return made | _connections(plan)


def vpc_id(plan: StackPlan) -> Any:
    """Return the VPC."""
    return plan.stack.network.vpc if plan.stack.network else ref("Vpc")


def subnet_ids(plan: StackPlan) -> list[Any]:
    """Return the private subnets."""
    return list(plan.stack.network.subnets) if plan.stack.network else [ref("SubnetA"), ref("SubnetB")]


def function_security_group() -> Json:
    """Return the security group of the workflow's function."""
    return get(_CALLERS, "GroupId")


def connection_names(plan: StackPlan) -> list[str]:
    """Return the names of the connections, one for each subnet: Glue takes another if a zone is down."""
    return [f"{plan.name}-network-{number}" for number in range(1, len(subnet_ids(plan)) + 1)]


def connection_id(number: int) -> str:
    """Return the name of a connection in the template."""
    return f"Connection{number}"


def _vpc(plan: StackPlan) -> Resources:
    vpc = resource(
        "AWS::EC2::VPC",
        {
            "CidrBlock": plan.stack.cidr,
            # Private names of endpoints need both.
            "EnableDnsHostnames": True,
            "EnableDnsSupport": True,
            "Tags": _named("vpc"),
        },
    )
    made: Resources = {
        "Vpc": vpc,
        # It has no route but those within the VPC and, through an endpoint, to S3.
        "RouteTable": resource("AWS::EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": _named("private")}),
    }
    for number, (letter, cidr) in enumerate(zip("AB", subnets_of(plan.stack.cidr), strict=True)):
        made[f"Subnet{letter}"] = resource(
            "AWS::EC2::Subnet",
            {
                "VpcId": ref("Vpc"),
                "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]},
                "CidrBlock": cidr,
                "MapPublicIpOnLaunch": False,
                "Tags": _named(f"private-{letter.lower()}"),
            },
        )
        made[f"Subnet{letter}Routes"] = resource(
            "AWS::EC2::SubnetRouteTableAssociation",
            {"SubnetId": ref(f"Subnet{letter}"), "RouteTableId": ref("RouteTable")},
        )
    return made


def _named(what: str) -> list[Json]:
    return [{"Key": "Name", "Value": sub(f"${{AWS::StackName}}-{what}")}]


# --- security groups


def _security_groups(plan: StackPlan) -> Resources:
    return {
        _JOBS: _group(plan, "Glue job runs"),
        _CALLERS: _group(plan, "The function that launches job runs"),
        _ENDPOINTS: _group(plan, "VPC endpoints: admits those two only"),
        # Source: AWS Glue Developer Guide, "Setting up Amazon VPC for JDBC connections": nodes of a run talk to
        # each other on any port, so the group admits itself, and nothing else.
        "JobsFromJobs": _rule("Ingress", _JOBS, "Nodes of a run among themselves", peer=_JOBS, ports=(0, 65535)),
        "JobsToJobs": _rule("Egress", _JOBS, "Nodes of a run among themselves", peer=_JOBS, ports=(0, 65535)),
        "JobsToEndpoints": _rule("Egress", _JOBS, "AWS services", peer=_ENDPOINTS),
        "JobsToS3": _to_s3(plan, _JOBS),
        "FunctionToEndpoints": _rule("Egress", _CALLERS, "AWS services", peer=_ENDPOINTS),
        "FunctionToS3": _to_s3(plan, _CALLERS),
        "EndpointsFromJobs": _rule("Ingress", _ENDPOINTS, "Glue job runs", peer=_JOBS),
        "EndpointsFromFunction": _rule("Ingress", _ENDPOINTS, "The function", peer=_CALLERS),
    }


def _group(plan: StackPlan, description: str) -> Json:
    # A group that is given no rule for what goes out may send anything anywhere: this one leaves nothing out.
    nowhere = {
        "IpProtocol": "icmp",
        "FromPort": 252,
        "ToPort": 86,
        "CidrIp": "255.255.255.255/32",
        "Description": "Nothing: in place of the rule for everything that a new group gets",
    }
    properties = {"GroupDescription": description, "VpcId": vpc_id(plan), "SecurityGroupEgress": [nowhere]}
    return resource("AWS::EC2::SecurityGroup", properties)


def _rule(
    direction: str, group: str, description: str, *, peer: str, ports: tuple[int, int] = (_TLS_PORT, _TLS_PORT)
) -> Json:
    other = "SourceSecurityGroupId" if direction == "Ingress" else "DestinationSecurityGroupId"
    properties = {
        "GroupId": get(group, "GroupId"),
        "IpProtocol": "tcp",
        "FromPort": ports[0],
        "ToPort": ports[1],
        other: get(peer, "GroupId"),
        "Description": description,
    }
    return resource(f"AWS::EC2::SecurityGroup{direction}", properties)


def _to_s3(plan: StackPlan, group: str) -> Json:
    """Return the rule that lets `group` reach S3, whose addresses are public ones behind the gateway endpoint.

    A template cannot look up the list of them, which has another id in every region; where the settings do not
    give it, the route table alone keeps traffic from going elsewhere: it has no other way out.
    """
    prefix_list = plan.stack.s3_prefix_list
    properties = {
        "GroupId": get(group, "GroupId"),
        "IpProtocol": "tcp",
        "FromPort": _TLS_PORT,
        "ToPort": _TLS_PORT,
        "Description": "S3, through its gateway endpoint",
        "DestinationPrefixListId": prefix_list,
        "CidrIp": None if prefix_list else _ANYWHERE,
    }
    return resource("AWS::EC2::SecurityGroupEgress", properties)


# --- endpoints


def _endpoints(plan: StackPlan) -> Resources:
    made: Resources = {}
    network = plan.stack.network
    tables = list(network.route_tables) if network else [ref("RouteTable")]
    if tables:
        properties = {
            "VpcEndpointType": "Gateway",
            "ServiceName": sub("com.amazonaws.${AWS::Region}.s3"),
            "VpcId": vpc_id(plan),
            "RouteTableIds": tables,
            "PolicyDocument": policy(_s3_statements(plan)),
        }
        made["EndpointS3"] = resource("AWS::EC2::VPCEndpoint", properties)
    for name, service, statements in _interfaces(plan):
        prefix = _CHINA_STS if service == "sts" and plan.region.startswith("cn-") else "com.amazonaws"
        properties = {
            "VpcEndpointType": "Interface",
            "ServiceName": sub(f"{prefix}.${{AWS::Region}}.{service}"),
            "VpcId": vpc_id(plan),
            "SubnetIds": subnet_ids(plan),
            "SecurityGroupIds": [get(_ENDPOINTS, "GroupId")],
            "PrivateDnsEnabled": True,
            "PolicyDocument": policy(statements),
        }
        made[f"Endpoint{name}"] = resource("AWS::EC2::VPCEndpoint", properties)
    return made


def _here(sid: str, actions: Sequence[str], resources: Sequence[Any]) -> Json:
    """Return a statement of an endpoint's policy: who is of this account may do this, nobody anything else."""
    return allow(sid, actions, resources, principal={"AWS": ACCOUNT})


def _through_gateway(sid: str, actions: Sequence[str], resources: Sequence[Any]) -> Json:
    """Return a statement of the policy of a gateway endpoint, which says the same in other words.

    Source: AWS PrivateLink Guide, "Principals for gateway endpoints": there the ARN of an account is its root user
    alone, which would shut out every role.
    """
    here = {"StringEquals": {"aws:PrincipalAccount": ref("AWS::AccountId")}}
    return allow(sid, actions, resources, here, principal="*")


def _s3_statements(plan: StackPlan) -> list[Json]:
    buckets = plan.buckets
    if not buckets:
        nothing = [s3_arn("no-bucket-is-named-in-the-settings")]
        return [_through_gateway("NoBucket", ["s3:ListBucket"], nothing)]
    elsewhere = sorted({job.scripts for job in plan.jobs if job.scripts.partition("/")[0] not in buckets})
    whole, objects = ([s3_arn(f"{bucket}{rest}") for bucket in buckets] for rest in ("", "/*"))
    statements = [
        _through_gateway("Buckets", ["s3:ListBucket", "s3:GetBucketLocation"], whole),
        _through_gateway("Objects", OBJECTS, objects),
    ]
    if elsewhere:
        scripts = [s3_arn(script) for script in elsewhere]
        statements.append(_through_gateway("Scripts", ["s3:GetObject"], scripts))
    return statements


def _interfaces(plan: StackPlan) -> list[tuple[str, str, list[Json]]]:
    """Return the interface endpoints: name in the template, service, statements of the policy."""
    approved = repository_arn(plan, plan.repository)
    # Roles say which jobs, tables and logs.
    reading = ["glue:GetConnection", "glue:GetJobBookmark"]
    return [
        (
            "CodeArtifactApi",
            "codeartifact.api",
            [
                _here("Tokens", ["codeartifact:GetAuthorizationToken"], [domain_arn(plan)]),
                _here("Approved", ["codeartifact:GetRepositoryEndpoint"], [approved]),
                _here("Locked", LOOK_FOR_RELEASES, [package_arn(plan, plan.repository, "*")]),
                _here("Bearer", ["sts:GetServiceBearerToken"], ["*"]),
            ],
        ),
        (
            "CodeArtifactRepositories",
            "codeartifact.repositories",
            [_here("Read", ["codeartifact:ReadFromRepository"], [approved])],
        ),
        (
            "Glue",
            "glue",
            [
                _here("Runs", [*START, *WATCH, *STOP], [arn("glue", "job/*")]),
                _here("Catalogue", [*CATALOG, *reading], [arn("glue", "*")]),
                # It knows no resources, so no ARN is the one that is asked for.
                _here("Encryption", ["glue:GetSecurityConfiguration"], ["*"]),
            ],
        ),
        (
            "Logs",
            "logs",
            [
                _here(
                    "Runs",
                    [*LOGS, "logs:FilterLogEvents"],
                    [arn("logs", "log-group:/aws-glue/*")],
                )
            ],
        ),
        ("Kms", "kms", [_here("Key", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], [key_arn(plan)])]),
        ("Sts", "sts", [_here("Who", ["sts:GetCallerIdentity", "sts:GetServiceBearerToken"], ["*"])]),
    ]


# --- connections of Glue


def _connections(plan: StackPlan) -> Resources:
    network = plan.stack.network
    zones: list[Any] = (
        list(network.zones)
        if network
        else [get("SubnetA", "AvailabilityZone"), get("SubnetB", "AvailabilityZone")]
    )
    made: Resources = {}
    for number, (subnet, zone) in enumerate(zip(subnet_ids(plan), zones, strict=True), start=1):
        place = {
            "AvailabilityZone": zone,
            "SecurityGroupIdList": [get(_JOBS, "GroupId")],
            "SubnetId": subnet,
        }
        connection = {
            "Name": connection_names(plan)[number - 1],
            "ConnectionType": "NETWORK",
            "ConnectionProperties": {},
            "PhysicalConnectionRequirements": place,
        }
        properties = {"CatalogId": ref("AWS::AccountId"), "ConnectionInput": connection}
        one = resource("AWS::Glue::Connection", properties)
        if network:
            one = explained(one, W3010="The zone is that of the subnet, which is there and named in the settings")
        made[connection_id(number)] = one
    return made
