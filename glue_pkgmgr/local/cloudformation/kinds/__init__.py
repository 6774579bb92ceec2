"""The kinds of resources that the stand-in really makes, by their type in templates."""

from __future__ import annotations

from collections.abc import Mapping

from glue_pkgmgr.local.cloudformation.kinds.access import Alias, InlinePolicy, Key, ManagedPolicy, Role
from glue_pkgmgr.local.cloudformation.kinds.catalog import Connection, Database, Job, SecurityConfiguration
from glue_pkgmgr.local.cloudformation.kinds.kind import Kind
from glue_pkgmgr.local.cloudformation.kinds.network import (
    Endpoint,
    FlowLog,
    RouteTable,
    RouteTableAssociation,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)
from glue_pkgmgr.local.cloudformation.kinds.notices import Alarm, Topic, TopicPolicy
from glue_pkgmgr.local.cloudformation.kinds.packages import Domain, Repository
from glue_pkgmgr.local.cloudformation.kinds.storage import Bucket
from glue_pkgmgr.local.cloudformation.kinds.workflow import Function, LogGroup, Rule, StateMachine

KINDS: Mapping[str, Kind] = {
    "AWS::CloudWatch::Alarm": Alarm(),
    "AWS::CodeArtifact::Domain": Domain(),
    "AWS::CodeArtifact::Repository": Repository(),
    "AWS::EC2::FlowLog": FlowLog(),
    "AWS::EC2::RouteTable": RouteTable(),
    "AWS::EC2::SecurityGroup": SecurityGroup(),
    "AWS::EC2::SecurityGroupEgress": SecurityGroupRule("egress"),
    "AWS::EC2::SecurityGroupIngress": SecurityGroupRule("ingress"),
    "AWS::EC2::Subnet": Subnet(),
    "AWS::EC2::SubnetRouteTableAssociation": RouteTableAssociation(),
    "AWS::EC2::VPC": Vpc(),
    "AWS::EC2::VPCEndpoint": Endpoint(),
    "AWS::Events::Rule": Rule(),
    "AWS::Glue::Connection": Connection(),
    "AWS::Glue::Database": Database(),
    "AWS::Glue::Job": Job(),
    "AWS::Glue::SecurityConfiguration": SecurityConfiguration(),
    "AWS::IAM::ManagedPolicy": ManagedPolicy(),
    "AWS::IAM::Policy": InlinePolicy(),
    "AWS::IAM::Role": Role(),
    "AWS::IAM::RolePolicy": InlinePolicy(),
    "AWS::KMS::Alias": Alias(),
    "AWS::KMS::Key": Key(),
    "AWS::Lambda::Function": Function(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::SNS::Topic": Topic(),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::StepFunctions::StateMachine": StateMachine(),
}
