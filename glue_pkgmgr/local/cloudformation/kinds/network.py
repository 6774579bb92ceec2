"""What a private network consists of: moto's EC2, in which no packet ever travels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glue_pkgmgr.local.cloudformation.kinds.kind import (
    Kind,
    Made,
    Wanted,
    absent_is_fine,
    document,
    exists,
    tag_list,
)


class NetworkKind(Kind):
    """A kind of EC2, which has no names: all but the tags of such a resource is for ever."""

    api_name = ""  # of the type, in tags

    def left_out(self, properties: Mapping[str, Any]) -> list[str]:
        """Return nothing: EC2 says what it does not do."""
        return []

    def needs_replacement(self, changed: frozenset[str]) -> bool:
        """Whether anything but the tags changes."""
        return bool(changed - {"Tags"})

    def create(self, wanted: Wanted) -> Made:
        """Make one."""
        physical = self.make(wanted.client("ec2"), wanted)
        return Made(id=physical, attributes=self.attributes(wanted, physical))

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Leave it as it is: tags are only told."""
        return Made(id=physical, attributes=self.attributes(wanted, physical))

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove one."""
        with absent_is_fine():
            self.remove(wanted.client("ec2"), wanted, physical)

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make one and return its id."""
        raise NotImplementedError

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove the one with that id."""
        raise NotImplementedError

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return what `Fn::GetAtt` of it is."""
        return {}

    def tags(self, wanted: Wanted) -> dict[str, Any]:
        """Return the tags as a part of the arguments of a creation."""
        tags = tag_list(wanted.properties)
        return {"TagSpecifications": [{"ResourceType": self.api_name, "Tags": tags}]} if tags else {}


class Vpc(NetworkKind):
    """AWS::EC2::VPC."""

    api_name = "vpc"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make a VPC."""
        made = ec2.create_vpc(CidrBlock=wanted.properties["CidrBlock"], **self.tags(wanted))["Vpc"]
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            if name in wanted.properties:
                ec2.modify_vpc_attribute(VpcId=made["VpcId"], **{name: {"Value": bool(wanted.properties[name])}})
        return str(made["VpcId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove a VPC."""
        ec2.delete_vpc(VpcId=physical)

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return id and addresses."""
        return {"VpcId": physical, "CidrBlock": wanted.properties["CidrBlock"]}


class Subnet(NetworkKind):
    """AWS::EC2::Subnet."""

    api_name = "subnet"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make a subnet."""
        arguments = wanted.only("ec2", "CreateSubnetRequest")
        return str(ec2.create_subnet(**arguments, **self.tags(wanted))["Subnet"]["SubnetId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove a subnet."""
        ec2.delete_subnet(SubnetId=physical)

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return id, zone and network."""
        told = {name: str(wanted.properties.get(name, "")) for name in ("AvailabilityZone", "VpcId", "CidrBlock")}
        return {"SubnetId": physical, **told}


class RouteTable(NetworkKind):
    """AWS::EC2::RouteTable."""

    api_name = "route-table"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make a route table."""
        made = ec2.create_route_table(VpcId=wanted.properties["VpcId"], **self.tags(wanted))
        return str(made["RouteTable"]["RouteTableId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove a route table."""
        ec2.delete_route_table(RouteTableId=physical)

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return the id."""
        return {"RouteTableId": physical}


class RouteTableAssociation(NetworkKind):
    """AWS::EC2::SubnetRouteTableAssociation."""

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Give a subnet a route table."""
        arguments = wanted.only("ec2", "AssociateRouteTableRequest")
        return str(ec2.associate_route_table(**arguments)["AssociationId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Take it away again."""
        ec2.disassociate_route_table(AssociationId=physical)

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return the id."""
        return {"Id": physical}


class SecurityGroup(NetworkKind):
    """AWS::EC2::SecurityGroup."""

    named_by = "GroupName"
    longest_name = 255
    api_name = "security-group"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make a security group with its own rules; rules for what leaves replace the one for everything."""
        properties = wanted.properties
        with exists(wanted, "InvalidGroup.Duplicate"):
            group = ec2.create_security_group(
                GroupName=wanted.name,
                Description=properties["GroupDescription"],
                VpcId=properties["VpcId"],
                **self.tags(wanted),
            )["GroupId"]
        for rule in properties.get("SecurityGroupIngress", []):
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_permission(rule)])
        if egress := properties.get("SecurityGroupEgress"):
            everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything])
            for rule in egress:
                ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[_permission(rule)])
        return str(group)

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove a security group."""
        ec2.delete_security_group(GroupId=physical)

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return id and network."""
        return {"GroupId": physical, "VpcId": str(wanted.properties["VpcId"])}


class SecurityGroupRule(NetworkKind):
    """AWS::EC2::SecurityGroupIngress and AWS::EC2::SecurityGroupEgress, by the `direction`."""

    def __init__(self, direction: str) -> None:
        self._direction = direction

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Add a rule to a group."""
        authorize = getattr(ec2, f"authorize_security_group_{self._direction}")
        made = authorize(GroupId=wanted.properties["GroupId"], IpPermissions=[_permission(wanted.properties)])
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Take the rule out of its group."""
        revoke = getattr(ec2, f"revoke_security_group_{self._direction}")
        revoke(GroupId=wanted.properties["GroupId"], IpPermissions=[_permission(wanted.properties)])

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return the id."""
        return {"Id": physical}


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of a template as the API takes it."""
    told = {"Description": rule["Description"]} if "Description" in rule else {}
    found = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    ends = {
        "IpRanges": [{"CidrIp": rule["CidrIp"], **told}] if "CidrIp" in rule else [],
        "Ipv6Ranges": [{"CidrIpv6": rule["CidrIpv6"], **told}] if "CidrIpv6" in rule else [],
        "UserIdGroupPairs": [
            {"GroupId": rule[name], **told}
            for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId")
            if name in rule
        ],
        "PrefixListIds": [
            {"PrefixListId": rule[name], **told}
            for name in ("SourcePrefixListId", "DestinationPrefixListId")
            if name in rule
        ],
    }
    return {**found, **{name: value for name, value in ends.items() if value}}


class Endpoint(NetworkKind):
    """AWS::EC2::VPCEndpoint."""

    api_name = "vpc-endpoint"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make an endpoint."""
        # The default of EC2, which moto needs to be told when it removes one.
        kind = wanted.properties.get("VpcEndpointType", "Gateway")
        arguments = wanted.only("ec2", "CreateVpcEndpointRequest", VpcEndpointType=kind)
        if "PolicyDocument" in arguments:
            arguments["PolicyDocument"] = document(arguments["PolicyDocument"])
        return str(ec2.create_vpc_endpoint(**arguments, **self.tags(wanted))["VpcEndpoint"]["VpcEndpointId"])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove an endpoint."""
        ec2.delete_vpc_endpoints(VpcEndpointIds=[physical])

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return the id."""
        return {"Id": physical}


class FlowLog(NetworkKind):
    """AWS::EC2::FlowLog."""

    api_name = "vpc-flow-log"

    def make(self, ec2: Any, wanted: Wanted) -> str:
        """Make a flow log."""
        arguments = wanted.only("ec2", "CreateFlowLogsRequest", ResourceIds=[wanted.properties["ResourceId"]])
        return str(ec2.create_flow_logs(**arguments)["FlowLogIds"][0])

    def remove(self, ec2: Any, wanted: Wanted, physical: str) -> None:
        """Remove a flow log."""
        ec2.delete_flow_logs(FlowLogIds=[physical])

    def attributes(self, wanted: Wanted, physical: str) -> dict[str, str]:
        """Return the id."""
        return {"Id": physical}
