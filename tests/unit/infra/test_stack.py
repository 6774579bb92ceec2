"""What holds of the template whatever the settings say, and what each setting changes in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.expressions import word
from glue_pkgmgr.infra.roles import job_statements
from glue_pkgmgr.infra.stack import LARGEST_BODY, template_text
from glue_pkgmgr.infra.stack import template as template_of
from tests.unit.infra.plans import made, plan

OWN_VPC = """vpc = "vpc-0123456789abcdef0"
subnets = ["subnet-0123456789abcdef0"]
zones = ["us-east-1a"]
route-tables = ["rtb-0123456789abcdef0"]
"""
VARIANTS = {
    "as it is": "",
    "an existing network": OWN_VPC,
    "existing endpoints": f'{OWN_VPC}endpoints = "existing"',
    "an existing key": 'kms-key = "arn:aws:kms:us-east-1:111122223333:key/0a1b"',
    "everything kept": 'when-destroyed = "keep"\nnotify = ["ops@example.com"]\ns3-prefix-list = "pl-63a5400a"',
    "a boundary": 'permissions-boundary = "arn:aws:iam::111122223333:policy/edge"',
}

# Source: Service Authorization Reference: actions without a resource type.
KNOW_NO_RESOURCE = {
    *("cloudwatch:PutMetricData", "glue:GetSecurityConfiguration", "sts:GetServiceBearerToken"),
    *("sts:GetCallerIdentity", "xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups"),
    *("ec2:DescribeSubnets", "ec2:DescribeVpcAttribute", "ec2:DescribeVpcEndpoints"),
    *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups"),
    *("logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
    *("logs:PutResourcePolicy", "logs:UpdateLogDelivery"),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def template(request: pytest.FixtureRequest) -> dict[str, Any]:
    return made(request.param)


def resources(template: dict[str, Any], kind: str) -> dict[str, Any]:
    return {n: one["Properties"] for n, one in template["Resources"].items() if one["Type"] == kind}


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in template["Resources"].items():
        properties = one["Properties"]
        documents = [properties.get("PolicyDocument"), properties.get("AssumeRolePolicyDocument")]
        documents += [inline["PolicyDocument"] for inline in properties.get("Policies", ())]
        for document in filter(None, documents):
            yield from ((name, statement) for statement in document["Statement"])


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def test_the_same_plan_gives_the_same_bytes():
    assert template_text(plan()) == template_text(plan())
    assert json.loads(template_text(plan(), compact=True)) == json.loads(template_text(plan()))


def test_a_template_with_one_job_is_small_enough_to_be_sent_as_it_is():
    (job, _) = plan().jobs
    assert len(template_text(replace(plan(), jobs=(job,)), compact=True).encode()) < LARGEST_BODY


def test_whatever_is_referred_to_is_there(template):
    known = {*template["Resources"], *template["Parameters"]}

    def check(value: Any) -> None:
        match value:
            case {"Ref": name}:
                assert name in known or name.startswith("AWS::")
            case {"Fn::GetAtt": [name, _]}:
                assert name in template["Resources"]
            case dict():
                for part in value.values():
                    check(part)
            case list():
                for part in value:
                    check(part)

    check(template["Resources"])
    check(template["Outputs"])
    for one in template["Resources"].values():
        assert set(one.get("DependsOn", ())) <= known


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
def test_no_partition_is_written_into_an_arn(region):
    template = made(region=region)
    machine = resources(template, "AWS::StepFunctions::StateMachine")["StateMachine"].pop("Definition")
    assert not [text for text in texts(template) if text.startswith("arn:aws")]
    partition = {"us": "aws", "cn": "aws-cn"}[region[:2]] if "gov" not in region else "aws-us-gov"
    assert {text.split(":")[1] for text in texts(machine) if text.startswith("arn:")} == {partition}
    assert not [text for text in texts(template) if text.endswith(".amazonaws.com.cn")]


def test_in_china_the_endpoint_of_sts_has_its_own_name():
    services = [
        e["ServiceName"]["Fn::Sub"] for e in resources(made(region="cn-north-1"), "AWS::EC2::VPCEndpoint").values()
    ]
    assert "cn.com.amazonaws.${AWS::Region}.sts" in services
    assert "com.amazonaws.${AWS::Region}.kms" in services


def test_nothing_leads_to_the_internet(template):
    kinds = {one["Type"] for one in template["Resources"].values()}
    assert not kinds & {
        *("AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EgressOnlyInternetGateway"),
        *(
            "AWS::EC2::Route",
            "AWS::EC2::VPCGatewayAttachment",
            "AWS::EC2::EIP",
            "AWS::EC2::TransitGatewayAttachment",
        ),
        "AWS::EC2::VPCPeeringConnection",
    }
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in resources(template, "AWS::EC2::Subnet").values())


def test_nobody_is_admitted_but_jobs_and_the_function(template):
    rules = resources(template, "AWS::EC2::SecurityGroupIngress")
    admitted = {
        (rule["GroupId"]["Fn::GetAtt"][0], rule["SourceSecurityGroupId"]["Fn::GetAtt"][0])
        for rule in rules.values()
    }
    assert admitted == {
        ("JobSecurityGroup", "JobSecurityGroup"),
        ("EndpointSecurityGroup", "JobSecurityGroup"),
        ("EndpointSecurityGroup", "FunctionSecurityGroup"),
    }
    assert not any("SecurityGroupIngress" in g for g in resources(template, "AWS::EC2::SecurityGroup").values())


def test_every_service_that_a_run_calls_has_an_endpoint_with_a_policy_of_its_own():
    endpoints = resources(made(), "AWS::EC2::VPCEndpoint")
    assert sorted(e["ServiceName"]["Fn::Sub"].rpartition("}.")[2] for e in endpoints.values()) == [
        *("codeartifact.api", "codeartifact.repositories", "glue", "kms", "logs", "s3", "sts")
    ]
    assert all(endpoint["PolicyDocument"]["Statement"] for endpoint in endpoints.values())
    interfaces = [e for e in endpoints.values() if e["VpcEndpointType"] == "Interface"]
    assert all(endpoint["PrivateDnsEnabled"] for endpoint in interfaces)


def test_a_gateway_endpoint_admits_the_roles_of_the_account_and_not_its_root_user(template):
    endpoints = resources(template, "AWS::EC2::VPCEndpoint")
    gateways = {name for name, one in endpoints.items() if one["VpcEndpointType"] == "Gateway"}
    for name, statement in statements(template):
        if name in gateways:
            assert statement["Principal"] == "*"
            assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}


def test_what_is_called_from_the_network_is_admitted_by_an_endpoint():
    template = made()
    endpoints = resources(template, "AWS::EC2::VPCEndpoint")
    admitted = [(action, r) for n, s in statements(template) if n in endpoints for action, r in asked(s)]
    services = {action.partition(":")[0] for action, _ in admitted}
    inside = {"PolicyOfLaunching", "PolicyOfEveryRun", "FunctionRole", "RoleTaxiJob"}
    assert inside <= template["Resources"].keys()
    needed = {
        (action, where)
        for name, s in statements(template)
        if name in inside and s["Effect"] == "Allow" and "Principal" not in s
        for action, where in asked(s)
        # Lambda itself writes what a function prints.
        if action.partition(":")[0] in services and where != "FunctionLog"
    }
    assert len(needed) > 40
    refused = [
        (action, where)
        for action, where in needed
        if not any(action == one and fnmatchcase(where, pattern) for one, pattern in admitted)
    ]
    assert refused == []


def asked(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each action of a statement with each of its resources, as text."""
    for action in statement["Action"]:
        for where in statement["Resource"]:
            match where:
                case {"Fn::Sub": text}:
                    yield action, text
                case {"Fn::GetAtt": [name, _]}:
                    yield action, name
                case str():
                    yield action, where


def test_no_action_is_a_wildcard(template):
    allowed = [
        (name, action) for name, s in statements(template) if s["Effect"] == "Allow" for action in s["Action"]
    ]
    assert not [(name, action) for name, action in allowed if "*" in action]


def test_everything_is_a_resource_only_where_the_service_knows_none(template):
    for name, statement in statements(template):
        if statement["Effect"] == "Allow" and "*" in statement.get("Resource", ()):
            assert set(statement["Action"]) <= KNOW_NO_RESOURCE, (name, statement["Sid"])


def test_a_role_is_passed_to_glue_only_and_only_that_of_a_job(template):
    passing = [(name, s) for name, s in statements(template) if "iam:PassRole" in s["Action"]]
    ((name, statement),) = passing
    assert name == "RoleLauncher"
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}
    assert [r["Fn::Sub"].rpartition(":")[2] for r in statement["Resource"]] == [
        "role/shared/taxi-job",
        "role/taxi-job",
    ]


def test_a_bearer_token_is_for_codeartifact_only(template):
    of_roles = ("Role", "Policy", "Function")
    found = [one for one in statements(template) if "sts:GetServiceBearerToken" in one[1]["Action"]]
    found = [one for one in found if one[0].startswith(of_roles)]
    assert {name for name, _ in found} == {"PolicyOfLaunching", "RoleMirror", "RolePublisher", "RoleReader"}
    for _, statement in found:
        assert statement["Condition"] == {"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}}


def test_a_role_for_a_service_is_taken_up_by_that_service_only(template):
    trusted = {
        n: s["Principal"]
        for n, s in statements(template)
        if s["Action"] == "sts:AssumeRole" and "Service" in s["Principal"]
    }
    services = {name: principal["Service"] for name, principal in trusted.items()}
    assert (
        services.items()
        >= {"FunctionRole": "lambda.amazonaws.com", "StateMachineRole": "states.amazonaws.com"}.items()
    )
    assert services["RoleTaxiJob"] == "glue.amazonaws.com"


def test_the_approved_repository_has_no_upstream_and_only_the_store_looks_outside():
    found = resources(made(), "AWS::CodeArtifact::Repository")
    assert "Upstreams" not in found["ApprovedRepository"]
    assert "ExternalConnections" not in found["ApprovedRepository"]
    assert found["StoreRepository"]["ExternalConnections"] == ["public:pypi"]


def test_an_open_upstream_is_what_the_settings_have_to_ask_for():
    template = made(codeartifact='upstream = "open"')
    approved = resources(template, "AWS::CodeArtifact::Repository")["ApprovedRepository"]
    assert approved["Upstreams"] == [{"Fn::GetAtt": ["StoreRepository", "Name"]}]
    assert restriction(template, "/pypi/*", "InternalUpstream") == ["approved"]


def restriction(template: dict[str, Any], pattern: str, kind: str) -> list[str]:
    (group,) = (
        g for g in resources(template, "AWS::CodeArtifact::PackageGroup").values() if g["Pattern"] == pattern
    )
    told = group["OriginConfiguration"]["Restrictions"][kind]
    assert (told["RestrictionMode"] == "BLOCK") != ("Repositories" in told)
    return list(told.get("Repositories", []))


def test_names_of_our_own_are_published_only_and_all_others_come_from_the_store_only():
    template = made()
    kinds = ("Publish", "ExternalUpstream", "InternalUpstream")
    assert [restriction(template, "/pypi//glueutils$", kind) for kind in kinds] == [["approved"], [], []]
    assert [restriction(template, "/pypi/*", kind) for kind in kinds] == [[], ["pypi-store"], []]


@pytest.mark.parametrize("change", [{"policy": 'sdists = "build"'}, {"stack": 'imports = "publish"'}])
def test_releases_of_others_are_published_where_the_settings_have_us_do_so(change):
    template = made(**change)
    assert restriction(template, "/pypi/*", "Publish") == ["approved"]
    mirror = [a for name, s in statements(template) if name == "RoleMirror" for a in s["Action"]]
    assert "codeartifact:PublishPackageVersion" in mirror
    assert "codeartifact:PublishPackageVersion" not in [
        a for n, s in statements(made()) if n == "RoleMirror" for a in s["Action"]
    ]


def test_every_bucket_is_private_encrypted_versioned_and_logged():
    buckets = resources(made(), "AWS::S3::Bucket")
    named = {bucket["BucketName"] for bucket in buckets.values() if isinstance(bucket["BucketName"], str)}
    assert named == {"staging", "trips", "audit"}
    for name, bucket in buckets.items():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert name == "AccessLogs" or bucket["LoggingConfiguration"]["DestinationBucketName"] == {
            "Ref": "AccessLogs"
        }
    policies = resources(made(), "AWS::S3::BucketPolicy")
    for policy in policies.values():
        assert policy["PolicyDocument"]["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_requirements_file_is_read_by_its_jobs_only_and_does_not_last():
    template = made()
    (denied,) = (
        s for n, s in statements(template) if n == "BucketStagingPolicy" and s["Sid"].startswith("OnlyJobs")
    )
    assert denied["Resource"] == [{"Fn::Sub": "arn:${AWS::Partition}:s3:::staging/area/requirements/*"}]
    readers = denied["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert [r["Fn::Sub"].rpartition(":")[2] for r in readers] == ["role/shared/taxi-job", "role/taxi-job"]
    rules = resources(template, "AWS::S3::Bucket")["BucketStaging"]["LifecycleConfiguration"]["Rules"]
    (rule,) = (r for r in rules if r.get("Prefix") == "area/requirements/")
    assert (rule["ExpirationInDays"], rule["NoncurrentVersionExpiration"]) == (1, {"NoncurrentDays": 1})


def test_a_record_is_written_only_where_there_is_none():
    (denied,) = (s for n, s in statements(made()) if n == "BucketAuditPolicy" and s["Sid"] == "RecordsAreAdded")
    assert denied["Resource"] == [{"Fn::Sub": "arn:${AWS::Partition}:s3:::audit/records/launches/*"}]
    assert denied["Condition"]["Null"] == {"s3:if-none-match": "true"}


def test_a_job_is_as_the_settings_say_with_nothing_left_to_defaults():
    job = resources(made(), "AWS::Glue::Job")["JobTaxi"]
    assert (job["Name"], job["GlueVersion"], job["MaxRetries"], job["Timeout"]) == ("taxi-job", "5.1", 0, 60)
    assert (job["WorkerType"], job["NumberOfWorkers"]) == ("G.1X", 2)
    assert job["DefaultArguments"] == {
        "--enable-metrics": "true",
        "--job-bookmark-option": "job-bookmark-enable",
        "--job-language": "python",
        "--S3_BUCKET": "trips",
        "--GLUE_DATABASE": "trips_db",
    }
    assert job["SecurityConfiguration"] == {"Ref": "SecurityConfiguration"}
    assert job["Connections"] == {"Connections": ["glue-pkgmgr-network-1", "glue-pkgmgr-network-2"]}
    assert not [text for text in texts(job) if "index-url" in text or "additional-python-modules" in text]


def test_every_log_group_is_encrypted_and_forgets():
    groups = resources(made("log-days = 90"), "AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {90}
    assert all("KmsKeyId" in group for group in groups.values())
    assert "/aws-glue/jobs/glue-pkgmgr-encrypted-role/taxi-job/error" in [
        g["LogGroupName"] for g in groups.values()
    ]


def test_what_happens_in_the_network_that_is_made_is_logged():
    template = made()
    (flow,) = resources(template, "AWS::EC2::FlowLog").values()
    assert (flow["ResourceId"], flow["TrafficType"]) == ({"Ref": "Vpc"}, "ALL")
    group = template["Resources"][flow["LogGroupName"]["Ref"]]
    assert (group["Type"], group["Properties"]["LogGroupName"]) == ("AWS::Logs::LogGroup", "/glue-pkgmgr/flow")
    (writing, _) = (s for n, s in statements(template) if n == "RoleFlowLogs" and "Sid" in s)
    assert writing["Resource"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/glue-pkgmgr/flow:*"}
    ]


def test_access_logs_lie_in_a_bucket_that_s3_alone_writes_and_that_forgets():
    template = made("log-days = 90")
    logs = resources(template, "AWS::S3::Bucket")["AccessLogs"]
    assert [rule["ExpirationInDays"] for rule in logs["LifecycleConfiguration"]["Rules"]] == [90]
    (writing,) = (s for n, s in statements(template) if n == "AccessLogsPolicy" and s["Effect"] == "Allow")
    assert writing["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert writing["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_no_record_expires_and_what_was_overwritten_stays_for_a_year_at_least():
    for days, kept in ((90, 365), (1096, 1096)):
        template = made(f"log-days = {days}")
        rules = resources(template, "AWS::S3::Bucket")["BucketAudit"]["LifecycleConfiguration"]["Rules"]
        (rule,) = (r for r in rules if r.get("Prefix") == "records/")
        assert "ExpirationInDays" not in rule
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": kept}


def test_failed_runs_failed_executions_and_changed_packages_are_told():
    template = made('notify = ["ops@example.com"]')
    rules = resources(template, "AWS::Events::Rule")
    assert all(rule["Targets"] == [{"Arn": {"Ref": "Notices"}, "Id": "notices"}] for rule in rules.values())
    assert {name: rule["EventPattern"]["detail"] for name, rule in rules.items()} == {
        "PackageChanges": {"domainName": ["acme"], "repositoryName": ["approved"]},
        "FailedRuns": {"jobName": ["taxi-job", "tolls-job"], "state": ["FAILED", "TIMEOUT"]},
    }
    alarms = resources(template, "AWS::CloudWatch::Alarm")
    assert all(one["AlarmActions"] == [{"Ref": "Notices"}] for one in alarms.values())
    assert {
        name: (one["Namespace"], one["MetricName"], one["Dimensions"][0]["Value"]) for name, one in alarms.items()
    } == {
        "FailedRunsAlarm": ("AWS/Events", "TriggeredRules", rules["FailedRuns"]["Name"]),
        "FailedWorkflowsAlarm": ("AWS/States", "ExecutionsFailed", {"Ref": "StateMachine"}),
    }
    (address,) = resources(template, "AWS::SNS::Subscription").values()
    assert (address["Endpoint"], address["TopicArn"]) == ("ops@example.com", {"Ref": "Notices"})


def test_what_holds_data_outlives_a_change_and_with_keep_the_stack():
    for stack, end in (("", "Delete"), ('when-destroyed = "keep"', "RetainExceptOnCreate")):
        found = {
            one["Type"]: (one["DeletionPolicy"], one["UpdateReplacePolicy"])
            for one in made(stack)["Resources"].values()
            if "DeletionPolicy" in one
        }
        kinds = ("S3::Bucket", "KMS::Key", "CodeArtifact::Domain", "CodeArtifact::Repository", "Logs::LogGroup")
        assert found == {f"AWS::{kind}": (end, "Retain") for kind in kinds}


# --- what is there already


def test_an_existing_network_is_used_and_none_is_made():
    template = made(OWN_VPC)
    kinds = {one["Type"] for one in template["Resources"].values()}
    assert not kinds & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::RouteTable", "AWS::EC2::FlowLog"}
    (connection,) = resources(template, "AWS::Glue::Connection").values()
    place = connection["ConnectionInput"]["PhysicalConnectionRequirements"]
    assert (place["SubnetId"], place["AvailabilityZone"]) == ("subnet-0123456789abcdef0", "us-east-1a")
    gateway = resources(template, "AWS::EC2::VPCEndpoint")["EndpointS3"]
    assert (gateway["VpcId"], gateway["RouteTableIds"]) == ("vpc-0123456789abcdef0", ["rtb-0123456789abcdef0"])


def test_existing_endpoints_are_not_made_again():
    assert resources(made(f'{OWN_VPC}endpoints = "existing"'), "AWS::EC2::VPCEndpoint") == {}


def test_an_existing_key_encrypts_everything():
    arn = "arn:aws:kms:us-east-1:111122223333:key/0a1b"
    template = made(f'kms-key = "{arn}"')
    assert resources(template, "AWS::KMS::Key") == {}
    assert resources(template, "AWS::CodeArtifact::Domain")["Domain"]["EncryptionKey"] == arn


def test_a_permissions_boundary_bounds_every_role():
    arn = "arn:aws:iam::111122223333:policy/edge"
    roles = resources(made(f'permissions-boundary = "{arn}"'), "AWS::IAM::Role")
    assert {role["PermissionsBoundary"] for role in roles.values()} == {arn}
    assert not any("PermissionsBoundary" in role for role in resources(made(), "AWS::IAM::Role").values())


def test_an_existing_bucket_is_used_and_not_made():
    template = made('existing-buckets = ["trips"]')
    assert "BucketTrips" not in template["Resources"]
    assert "arn:${AWS::Partition}:s3:::trips/*" in list(texts(template))


def test_named_principals_alone_take_up_the_roles_of_people():
    arn = "arn:aws:iam::111122223333:role/ci"
    template = made(f'principals = ["{arn}"]')
    trusted = [
        s["Principal"] for n, s in statements(template) if n == "RolePublisher" and s["Action"] == "sts:AssumeRole"
    ]
    assert trusted == [{"AWS": [arn]}]


def test_s3_is_reached_by_its_prefix_list_where_it_is_known():
    rule = resources(made('s3-prefix-list = "pl-63a5400a"'), "AWS::EC2::SecurityGroupEgress")["JobsToS3"]
    assert rule["DestinationPrefixListId"] == "pl-63a5400a"
    assert "CidrIp" not in rule


def test_in_a_further_region_names_of_the_whole_account_have_its_name():
    stack = 'regions = ["us-east-1", "eu-west-1"]\nexisting-buckets = ["audit"]'
    template = made(stack, in_region="eu-west-1")
    roles = {role["RoleName"] for role in resources(template, "AWS::IAM::Role").values()}
    assert {"taxi-job-eu-west-1", "glue-pkgmgr-publisher-eu-west-1"} <= roles
    buckets = [
        b["BucketName"]
        for b in resources(template, "AWS::S3::Bucket").values()
        if isinstance(b["BucketName"], str)
    ]
    assert buckets == ["staging-eu-west-1", "trips-eu-west-1"]
    job = resources(template, "AWS::Glue::Job")["JobTaxi"]
    assert job["DefaultArguments"]["--S3_BUCKET"] == "trips-eu-west-1"
    assert job["Command"]["ScriptLocation"] == "s3://staging-eu-west-1/scripts/taxi.py"
    assert made(stack, in_region="us-east-1") == made('existing-buckets = ["audit"]')


def test_a_region_that_the_settings_do_not_name_is_refused():
    with pytest.raises(SettingsError, match="no stack in eu-west-1 by the settings; known: us-east-1"):
        plan(in_region="eu-west-1")


def test_a_job_whose_role_is_there_brings_none():
    first, second = plan().jobs
    there = replace(second, role="arn:aws:iam::111122223333:role/there")
    template = template_of(replace(plan(), jobs=(first, there)))
    assert resources(template, "AWS::Glue::Job")["JobTolls"]["Role"] == "arn:aws:iam::111122223333:role/there"
    assert "there" not in {role["RoleName"] for role in resources(template, "AWS::IAM::Role").values()}


def test_a_script_that_lies_elsewhere_in_s3_can_be_read_and_no_more():
    first, second = plan().jobs
    elsewhere = replace(first, wanted=replace(first.wanted, script="s3://shared-scripts/taxi.py"))
    template = template_of(replace(plan(), jobs=(elsewhere, second)))
    script = {"Fn::Sub": "arn:${AWS::Partition}:s3:::shared-scripts/taxi.py"}
    held = {(n, s["Sid"]): s["Action"] for n, s in statements(template) if script in s.get("Resource", ())}
    assert held == {
        ("RoleTaxiJob", "ReadStaged"): ["s3:GetObject"],
        ("PolicyOfLaunching", "SeeScripts"): ["s3:GetObject"],
        ("EndpointS3", "Scripts"): ["s3:GetObject"],
    }
    assert "shared-scripts" not in [b["BucketName"] for b in resources(template, "AWS::S3::Bucket").values()]


# --- the workflow


def test_there_is_no_workflow_before_its_function_is_in_s3():
    template = made()
    parts = {name for name, one in template["Resources"].items() if one.get("Condition") == "HasFunctionArchive"}
    assert {"Function", "FunctionRole", "StateMachine", "StateMachineRole", "FailedWorkflowsAlarm"} <= parts
    assert template["Parameters"]["FunctionArchive"]["Default"] == ""
    for name, one in template["Resources"].items():
        if name not in parts:
            referred = set(texts({k: v for k, v in one.items() if k != "Type"}))
            assert not referred & parts, name


def test_a_state_machine_may_do_what_its_states_call_and_no_more():
    template = made()
    machine = resources(template, "AWS::StepFunctions::StateMachine")["StateMachine"]
    states = machine["Definition"]["States"].values()
    tasks = [state for state in states if state["Type"] == "Task"]
    assert {task["Resource"] for task in tasks} == {"arn:aws:states:::lambda:invoke"}
    assert {task["Parameters"]["FunctionName"] for task in tasks} == {"${Function}"}
    assert machine["DefinitionSubstitutions"] == {"Function": {"Fn::GetAtt": ["Function", "Arn"]}}
    held = {s["Sid"]: s for n, s in statements(template) if n == "StateMachineRole" and "Sid" in s}
    assert held.keys() == {"Launch", "DeliverLogs", "Trace"}
    assert (held["Launch"]["Action"], held["Launch"]["Resource"]) == (
        ["lambda:InvokeFunction"],
        [{"Fn::GetAtt": ["Function", "Arn"]}],
    )


def test_a_workflow_logs_no_data_and_is_traced():
    machine = resources(made(), "AWS::StepFunctions::StateMachine")["StateMachine"]
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert resources(made(), "AWS::Lambda::Function")["Function"]["TracingConfig"] == {"Mode": "Active"}


def test_words_of_different_texts_differ():
    words = [word(text) for text in ("a-1", "a1", "a_b", "a-b", "ab", "A-b", "a/b", "é", "")]
    assert len(set(words)) == len(words)
    assert all(w.isalnum() and w.isascii() for w in words)


def test_policies_stay_within_their_limits_with_many_jobs():
    first, _ = plan().jobs
    names = [f"nightly-job-{n:02}" for n in range(40)]
    jobs = tuple(
        replace(first, key=name, role=f"role-of-{name}", wanted=replace(first.wanted, name=name)) for name in names
    )
    template = template_of(replace(plan(), jobs=jobs))
    for name, one in template["Resources"].items():
        # Source: IAM User Guide, "IAM and AWS STS quotas": characters without white space, of all of a role's own.
        limits = {"AWS::IAM::Role": 10_240, "AWS::IAM::ManagedPolicy": 6_144, "AWS::S3::BucketPolicy": 20_480}
        properties = one["Properties"]
        inline = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents = inline or [properties.get("PolicyDocument")]
        if limit := limits.get(one["Type"]):
            assert sum(len(json.dumps(resolved(d), separators=(",", ":"))) for d in documents) <= limit, name


def resolved(value: Any) -> Any:
    """Return `value` with texts as long as those that CloudFormation puts in place of expressions."""
    match value:
        case {"Fn::Sub": text}:
            known = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "1" * 12}
            return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], "x" * 24), text)
        case {"Fn::GetAtt": _} | {"Ref": _}:
            return "x" * 80
        case dict():
            return {key: resolved(part) for key, part in value.items()}
        case list():
            return [resolved(part) for part in value]
    return value


def test_a_job_writes_nothing_that_another_job_runs():
    made = plan()
    staged = {job.staging.below("*") for job in made.jobs}
    for job in (job for job in made.jobs if job.data):
        (denied,) = [one for one in job_statements(made, job.role) if one.get("Sid") == "LeaveStagedAlone"]
        told = json.dumps(denied["Resource"])
        assert all(place in told for place in staged), told
