"""A small template whose resources are named after its stack, with one type that no stand-in has."""

from __future__ import annotations

import json
from typing import Any

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "RoleName": {"Fn::Sub": "${AWS::StackName}-role"},
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        },
        "Policies": [
            {
                "PolicyName": "own",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "s3:GetObject",
                            "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                        }
                    ],
                },
            }
        ],
    },
}
STATES = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "Result": "${Job}", "End": True}}}


def resources(stack: str) -> dict[str, Any]:
    """Return the resources of the template, by logical id."""
    return {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": f"{stack}-bucket", "VersioningConfiguration": {"Status": "Enabled"}},
        },
        "Domain": {"Type": "AWS::CodeArtifact::Domain", "Properties": {"DomainName": f"{stack}-domain"}},
        "Approved": {
            "Type": "AWS::CodeArtifact::Repository",
            "Properties": {
                "RepositoryName": "approved",
                "DomainName": {"Fn::GetAtt": ["Domain", "Name"]},
                "Description": "what jobs install from",
            },
        },
        "Store": {
            "Type": "AWS::CodeArtifact::Repository",
            "Properties": {
                "RepositoryName": "store",
                "DomainName": {"Fn::GetAtt": "Domain.Name"},
                "ExternalConnections": ["public:pypi"],
            },
        },
        "Role": ROLE,
        "Database": {
            "Type": "AWS::Glue::Database",
            "Properties": {
                "CatalogId": {"Ref": "AWS::AccountId"},
                "DatabaseInput": {"Name": {"Fn::Join": ["_", [{"Ref": "AWS::StackName"}, "db"]]}},
            },
        },
        "Job": {
            "Type": "AWS::Glue::Job",
            "DependsOn": "Logs",
            "Properties": {
                "Name": f"{stack}-job",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "GlueVersion": "5.1",
                "MaxRetries": 0,
                "Timeout": {"Ref": "Minutes"},
                "Command": {
                    "Name": "glueetl",
                    "PythonVersion": "3",
                    "ScriptLocation": {"Fn::Sub": "s3://${Bucket}/job.py"},
                },
                "Tags": {"made-by": "stack"},
            },
        },
        "Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": f"/{stack}/jobs", "RetentionInDays": 30},
        },
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": f"{stack}-machine",
                "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "DefinitionString": json.dumps(STATES),
                "DefinitionSubstitutions": {"Job": {"Ref": "Job"}},
                "LoggingConfiguration": {"Level": "ERROR", "IncludeExecutionData": False},
            },
        },
        "Broker": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"BrokerName": f"{stack}-broker"}},
    }


def template(stack: str, *, without: tuple[str, ...] = (), **changed: Any) -> str:
    """Return the template as text; `changed` has resources that are added or replaced, by logical id."""
    found = {name: one for name, one in {**resources(stack), **changed}.items() if name not in without}
    outputs = {
        "Role": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
        "Bucket": {"Description": "Where scripts are.", "Value": {"Ref": "Bucket"}},
    }
    return json.dumps(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": {"Minutes": {"Type": "Number", "Default": 10}},
            "Resources": found,
            "Outputs": {name: one for name, one in outputs.items() if name in found},
        }
    )
