"""A plan of Terraform is judged as a template is, what is known only after apply among it."""

from __future__ import annotations

import json

import pytest


def plan(*resources, configuration=(), changes=()):
    declared = [
        {"address": address, "mode": "managed", "type": address.partition(".")[0], "values": values, **rest}
        for address, values, rest in resources
    ]
    return json.dumps(
        {
            "format_version": "1.2",
            "planned_values": {"root_module": {"resources": declared}},
            "resource_changes": list(changes),
            "configuration": {
                "root_module": {
                    "resources": [
                        {"address": address, "expressions": expressions} for address, expressions in configuration
                    ]
                }
            },
        }
    )


def document(*statements):
    return json.dumps({"Statement": list(statements)})


def allow(action, resource="*", **rest):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **rest}


@pytest.fixture
def found(found):
    """Return what is found in the plan of some resources, sorted: a plan is one long line."""
    return lambda text: sorted(found(text, file="plan.json"))


def test_a_job(found):
    arguments = {
        "--additional-python-modules": "awswrangler",
        "--url": "https://aws:abc@host/simple/",
        "--python-modules-installer-option": "--extra-index-url=https://host/simple/",
    }
    values = {"glue_version": "2.0", "command": [{"name": "glueetl"}], "default_arguments": arguments}
    assert found(plan(("aws_glue_job.j", values, {}))) == [
        "GPK101 aws_glue_job.j",
        "GPK201 aws_glue_job.j",
        "GPK202 aws_glue_job.j",
        "GPK601 aws_glue_job.j",
    ]


def test_what_terraform_takes_for_sensitive_stands_in_clear_in_a_job(found):
    values = {"glue_version": "5.1", "default_arguments": {"--x": "abc"}}
    marked = {"sensitive_values": {"default_arguments": {"--x": True}}}
    assert found(plan(("aws_glue_job.j", values, marked))) == ["GPK101 aws_glue_job.j"]


def test_an_environment_and_a_connection(found):
    text = plan(
        ("aws_lambda_function.f", {"environment": [{"variables": {"API_TOKEN": "abc"}}]}, {}),
        ("aws_glue_connection.c", {"connection_properties": {"PASSWORD": "abc"}}, {}),
    )
    assert found(text) == ["GPK102 aws_glue_connection.c", "GPK102 aws_lambda_function.f"]


def test_a_trigger_gives_arguments_too(found):
    values = {"actions": [{"job_name": "j", "arguments": {"--x": "abc", "--additional-python-modules": "six"}}]}
    marked = {"sensitive_values": {"actions": [{"arguments": {"--x": True}}]}}
    assert found(plan(("aws_glue_trigger.t", values, marked))) == [
        "GPK101 aws_glue_trigger.t",
        "GPK202 aws_glue_trigger.t",
    ]


def test_a_policy_of_aws_has_the_bearer(found):
    token = allow("codeartifact:GetAuthorizationToken", "arn:aws:codeartifact:r:1:domain/d")
    arn = "arn:aws:iam::aws:policy/AWSCodeArtifactReadOnlyAccess"
    text = plan(
        ("aws_iam_role.r", {"name": "r"}, {}),
        ("aws_iam_role_policy.p", {"role": "r", "policy": document(token)}, {}),
        ("aws_iam_role_policy_attachment.a", {"role": "r", "policy_arn": arn}, {}),
    )
    assert found(text) == []


def test_policies_of_a_role_from_everywhere_count_together(found):
    token = allow("codeartifact:GetAuthorizationToken", "arn:aws:codeartifact:r:1:domain/d")
    condition = {"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}}
    bearer = allow("sts:GetServiceBearerToken", Condition=condition)
    role = ("aws_iam_role.r", {"name": "r"}, {})
    inline = ("aws_iam_role_policy.p", {"role": "r", "policy": document(token)}, {})
    assert found(plan(role, inline)) == ["GPK301 aws_iam_role_policy.p"]
    policy = ("aws_iam_policy.b", {"policy": document(bearer)}, {})
    attached = ("aws_iam_role_policy_attachment.a", {"role": "r"}, {})
    reference = {"policy_arn": {"references": ["aws_iam_policy.b.arn", "aws_iam_policy.b"]}}
    configuration = [("aws_iam_role_policy_attachment.a", reference)]
    assert found(plan(role, inline, policy, attached, configuration=configuration)) == []


def test_a_policy_that_is_made_during_apply_is_read_from_its_document(judged):
    role = ("aws_iam_role.r", {"name": "r"}, {})
    inline = ("aws_iam_role_policy.p", {"role": "r"}, {})
    name = "data.aws_iam_policy_document.d"
    change = {
        "address": name,
        "mode": "data",
        "type": "aws_iam_policy_document",
        "change": {
            "after": {
                "statement": [
                    {"effect": "Allow", "actions": ["s3:*"]},
                    {"effect": "Allow", "actions": ["iam:PassRole"], "resources": ["*"]},
                    {"effect": "Allow", "actions": ["codeartifact:ReadFromRepository"], "resources": [None]},
                ]
            }
        },
    }
    configuration = [("aws_iam_role_policy.p", {"policy": {"references": [f"{name}.json", name]}})]
    report = judged(plan(role, inline, configuration=configuration, changes=[change]), file="plan.json")
    assert [one.rule.id for one in report.findings] == ["GPK304", "GPK305"]
    unseen = judged(plan(role, inline, configuration=configuration), file="plan.json")
    assert (unseen.findings, [one.resource for one in unseen.unseen]) == ((), ["aws_iam_role_policy.p"])


def test_repositories_by_reference(found):
    text = plan(
        ("aws_codeartifact_domain.d", {"domain": "d"}, {}),
        (
            "aws_codeartifact_repository.store",
            {"repository": "store", "external_connections": [{"external_connection_name": "public:pypi"}]},
            {},
        ),
        ("aws_codeartifact_repository.ours", {"repository": "ours", "upstream": [{}]}, {}),
        configuration=[
            (
                "aws_codeartifact_repository.ours",
                {
                    "upstream": [
                        {"repository_name": {"references": ["aws_codeartifact_repository.store.repository"]}}
                    ]
                },
            )
        ],
    )
    assert found(text) == ["GPK401 aws_codeartifact_repository.ours", "GPK402 aws_codeartifact_domain.d"]


def test_modules_within_modules(found):
    job = {
        "address": "module.a.module.b[0].aws_glue_job.j",
        "type": "aws_glue_job",
        "values": {"glue_version": "1.0"},
    }
    inner = {"address": "module.a.module.b[0]", "resources": [job]}
    outer = {"address": "module.a", "child_modules": [inner]}
    text = json.dumps({"planned_values": {"root_module": {"child_modules": [outer]}}})
    assert found(text) == ["GPK601 module.a.module.b[0].aws_glue_job.j"]


def test_a_state_is_judged_too(found):
    values = {"address": "aws_glue_job.j", "type": "aws_glue_job", "values": {"glue_version": "1.0"}}
    assert found(json.dumps({"values": {"root_module": {"resources": [values]}}})) == ["GPK601 aws_glue_job.j"]


def test_endpoints_and_a_workflow(found):
    call = "arn:aws:states:::aws-sdk:codeartifact:getAuthorizationToken"
    text = plan(
        ("aws_vpc.v", {}, {}),
        ("aws_vpc_endpoint.s3", {"service_name": "com.amazonaws.us-east-1.s3"}, {}),
        ("aws_vpc_endpoint.glue", {"service_name": "com.amazonaws.us-east-1.glue"}, {}),
        ("aws_glue_connection.c", {"name": "c", "connection_type": "NETWORK"}, {}),
        ("aws_glue_job.j", {"glue_version": "5.1", "connections": ["c"]}, {}),
        ("aws_sfn_state_machine.m", {"definition": json.dumps({"States": {"A": {"Resource": call}}})}, {}),
    )
    assert found(text) == [
        "GPK103 aws_sfn_state_machine.m",
        *["GPK501 aws_glue_connection.c"] * 3,
    ]


_KINDS = (
    "aws_glue_job",
    "aws_glue_connection",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_policy",
    "aws_iam_role_policy_attachment",
    "aws_s3_bucket_policy",
    "aws_lambda_function",
    "aws_codeartifact_repository",
    "awscc_codeartifact_package_group",
    "aws_sfn_state_machine",
    "aws_vpc_endpoint",
)


@pytest.mark.parametrize("values", [None, [], "x", {"policy": 1}, {"policy": "{"}, {"policy": "[]"}, {"role": {}}])
def test_a_plan_of_another_shape_is_read_past(found, values):
    resources = [(f"{kind}.x", values, {}) for kind in _KINDS]
    assert set(found(plan(*resources))) <= {
        "GPK602 aws_glue_job.x",
        "GPK402 aws_codeartifact_repository.x",
    }
