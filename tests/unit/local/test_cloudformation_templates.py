"""What templates ask for: functions, conditions, parameters, the order of resources, and what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glue_pkgmgr.local.cloudformation.changes import changes
from glue_pkgmgr.local.cloudformation.intrinsics import Later
from glue_pkgmgr.local.cloudformation.protocol import CloudFormationError
from glue_pkgmgr.local.cloudformation.template import Blueprint, Pseudo, Template

PSEUDO = Pseudo(account="111122223333", region="eu-west-1", stack="taxi", stack_id="arn:stack/taxi/1")
BUCKET = {"Type": "AWS::S3::Bucket"}
NO_VALUE = {"Ref": "AWS::NoValue"}


def blueprint(resources: Any, *, pseudo: Pseudo = PSEUDO, values: Any = None, **sections: Any) -> Blueprint:
    template = Template(json.dumps({"Resources": resources, **sections}))
    return Blueprint(template=template, pseudo=pseudo, parameters=template.values(values or {}, {}))


def planned(value: Any, **sections: Any) -> Any:
    """Return what `value` becomes as a property of a resource beside a bucket `Other`."""
    resources = {"Other": BUCKET, "It": {"Type": "AWS::Glue::Job", "Properties": {"Name": value}}}
    return blueprint(resources, **sections).resources["It"].planned.get("Name")


def resolved(value: Any, **sections: Any) -> Any:
    """Return what `value` becomes once `Other` is made."""
    made = blueprint({"Other": BUCKET}, **sections)
    return made.resolved(value, lambda name: f"made-{name}", lambda name, part: f"{part} of {name}")


def refusal(resources: Any, **sections: Any) -> str:
    with pytest.raises(CloudFormationError) as raised:
        _ = blueprint(resources, **sections).resources
    return str(raised.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "AWS::Partition"}, "aws"),
        ({"Ref": "Other"}, "made-Other"),
        ({"Fn::GetAtt": ["Other", "Arn"]}, "Arn of Other"),
        ({"Fn::GetAtt": "Other.Nested.Arn"}, "Nested.Arn of Other"),
        (
            {"Fn::Sub": "${AWS::AccountId}/${Other}/${Other.Arn}/${!Literal}"},
            "111122223333/made-Other/Arn of Other/${Literal}",
        ),
        ({"Fn::Sub": ["${own}-${Other}", {"own": {"Ref": "AWS::StackName"}}]}, "taxi-made-Other"),
        ({"Fn::Join": ["/", ["a", {"Ref": "Other"}, 3, True]]}, "a/made-Other/3/true"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "eu-west-1a"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::Length": ["a", "b"]}, 2),
        ({"Fn::ToJsonString": {"a": {"Ref": "Other"}}}, '{"a":"made-Other"}'),
        ({"kept": 1, "left out": NO_VALUE}, {"kept": 1}),
        (["kept", NO_VALUE], ["kept"]),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_a_function_becomes_its_result(value: Any, expected: Any) -> None:
    assert resolved(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Other"}, "{Other}"),
        ({"Fn::Sub": "x-${Other.Arn}"}, "x-{Other.Arn}"),
        (
            {"Fn::Select": [3, {"Fn::Split": ["-", {"Ref": "Other"}]}]},
            'Fn::Select [3, "Fn::Split [\\"-\\", \\"{Other}\\"]"]',
        ),
        ({"Fn::Cidr": [{"Fn::GetAtt": ["Other", "CidrBlock"]}, 2]}, 'Fn::Cidr ["{Other.CidrBlock}", 2]'),
    ],
)
def test_what_is_known_only_later_stands_for_itself(value: Any, expected: str) -> None:
    found = planned(value)
    assert (type(found), found) == (Later, expected)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::Equals": [{"Ref": "Env"}, "prod"]}, True),
        ({"Fn::Not": [{"Condition": "Never"}]}, True),
        ({"Fn::And": [{"Condition": "Never"}, {"Fn::Equals": ["a", "a"]}]}, False),
        ({"Fn::Or": [{"Condition": "Never"}, {"Fn::Equals": ["a", "a"]}]}, True),
    ],
)
def test_a_condition_decides_about_values_resources_and_outputs(condition: Any, holds: bool) -> None:
    sections = {
        "Parameters": {"Env": {"Type": "String", "Default": "prod"}},
        "Conditions": {"It": condition, "Never": {"Fn::Equals": ["a", "b"]}},
        "Outputs": {"Told": {"Value": "x", "Condition": "It"}},
    }
    resources = {
        "Always": {"Type": "AWS::Glue::Job", "Properties": {"Name": {"Fn::If": ["It", "yes", NO_VALUE]}}},
        "Maybe": {**BUCKET, "Condition": "It"},
    }
    made = blueprint(resources, **sections)
    assert made.resources["Always"].planned == ({"Name": "yes"} if holds else {})
    assert ("Maybe" in made.resources) is holds
    assert len(list(made.outputs(str, lambda *_: ""))) == int(holds)


def test_a_branch_that_is_not_taken_needs_nothing() -> None:
    sections = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}}
    job = {"Type": "AWS::Glue::Job", "Properties": {"Name": {"Fn::If": ["Never", {"Ref": "Gone"}, "plain"]}}}
    made = blueprint({"Gone": {**BUCKET, "Condition": "Never"}, "It": job}, **sections)
    assert (list(made.resources), made.resources["It"].planned) == (["It"], {"Name": "plain"})


def test_resources_are_made_after_what_they_need_and_else_as_written() -> None:
    resources = {
        "C": {**BUCKET, "DependsOn": ["B"]},
        "B": {"Type": "AWS::Glue::Job", "Properties": {"Role": {"Fn::Sub": "${A.Arn}"}}},
        "D": BUCKET,
        "A": {"Type": "AWS::IAM::Role"},
    }
    assert list(blueprint(resources).resources) == ["D", "A", "B", "C"]


def test_parameters_have_values_of_the_request_of_the_stack_or_their_default() -> None:
    template = Template(
        json.dumps(
            {"Resources": {"A": BUCKET}, "Parameters": {n: {"Type": "String", "Default": "d"} for n in "xyz"}}
        )
    )
    assert template.values({"x": "given", "y": None}, {"y": "before"}) == {"x": "given", "y": "before", "z": "d"}


def test_a_list_of_a_parameter_is_a_list() -> None:
    sections = {"Parameters": {"Zones": {"Type": "CommaDelimitedList", "Default": "a,b"}}}
    assert planned({"Ref": "Zones"}, **sections) == ["a", "b"]


@pytest.mark.parametrize(
    ("resources", "sections", "told"),
    [
        ({}, {}, "At least one Resources member must be defined"),
        ({"A": {}}, {}, "[/Resources/A] has no Type"),
        ({"A": BUCKET}, {"Ressources": {}}, "Invalid template property or properties [Ressources]"),
        ({"A": {**BUCKET, "DependsOn": "B"}}, {}, "Unresolved resource dependencies [B]"),
        ({"A": {**BUCKET, "Properties": {"x": {"Ref": "B"}}}}, {}, "Unresolved resource dependencies [B]"),
        (
            {"A": {**BUCKET, "Properties": {"x": {"Fn::Sub": "${B.Arn}"}}}},
            {},
            "Unresolved resource dependencies [B]",
        ),
        (
            {"A": {**BUCKET, "DependsOn": "B"}, "B": {**BUCKET, "DependsOn": "A"}},
            {},
            "Circular dependency between resources: [A, B]",
        ),
        ({"A": {**BUCKET, "Condition": "C"}}, {}, "unresolved condition dependency C"),
        ({"A": BUCKET}, {"Parameters": {"P": {"Type": "String"}}}, "Parameters: [P] must have values"),
        ({"A": {**BUCKET, "Properties": {"x": {"Fn::GetAtt": "A"}}}}, {}, "every Fn::GetAtt has two"),
        ({"A": {**BUCKET, "Properties": {"x": {"Fn::Select": [9, ["a"]]}}}}, {}, "Fn::Select cannot be computed"),
        (
            {"A": {**BUCKET, "Properties": {"x": {"Fn::ImportValue": "x"}}}},
            {},
            "does not implement Fn::ImportValue",
        ),
        ({"A": {**BUCKET, "Properties": {"x": {"Fn::FindInMap": ["m", "a", "b"]}}}}, {}, "mapping for m::a::b"),
    ],
)
def test_a_template_that_cannot_be_deployed_is_refused(resources: Any, sections: Any, told: str) -> None:
    assert told in refusal(resources, **sections)


@pytest.mark.parametrize("text", ["{", '["a"]', "{}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(CloudFormationError, match="Template format error"):
        Template(text)


def test_named_iam_resources_need_a_capability() -> None:
    named = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "x"}}
    assert blueprint({"A": named}).template.capabilities == ["CAPABILITY_NAMED_IAM"]
    assert blueprint({"A": {"Type": "AWS::IAM::Role"}}).template.capabilities == ["CAPABILITY_IAM"]
    assert blueprint({"A": BUCKET}).template.capabilities == []


@pytest.mark.parametrize(
    ("region", "expected"),
    [("cn-north-1", "aws-cn amazonaws.com.cn"), ("us-gov-west-1", "aws-us-gov amazonaws.com")],
)
def test_other_partitions_have_their_own_names(region: str, expected: str) -> None:
    pseudo = Pseudo(account="1", region=region, stack="s", stack_id="i")
    value = {"Fn::Sub": "${AWS::Partition} ${AWS::URLSuffix}"}
    assert planned(value, pseudo=pseudo) == expected


def test_two_templates_differ_in_what_is_added_changed_replaced_and_removed() -> None:
    def job(**properties: Any) -> Any:
        return {"Type": "AWS::Glue::Job", "Properties": {"Name": "j", **properties}}

    before = blueprint(
        {"Same": BUCKET, "Gone": BUCKET, "J": job(Timeout=1, Command={"a": 1, "b": 2}), "R": job(Name="a")}
    )
    after = blueprint({"Same": BUCKET, "J": job(Command={"a": 1, "b": 3}), "R": job(Name="b"), "New": BUCKET})
    found = [one["ResourceChange"] for one in changes(before.resources, after.resources, {"J": "j", "Gone": "g"})]
    told = [(one["Action"], one["LogicalResourceId"], one.get("Replacement")) for one in found]
    assert told == [
        ("Modify", "J", "False"),
        ("Modify", "R", "True"),
        ("Add", "New", None),
        ("Remove", "Gone", None),
    ]
    targets = [one["Target"] for one in found[0]["Details"]]
    assert [(one["Path"], one["BeforeValue"], one["AfterValue"]) for one in targets] == [
        ("/Properties/Command/b", "2", "3"),
        ("/Properties/Timeout", "1", None),
    ]
    assert found[3]["PhysicalResourceId"] == "g"


def test_the_same_template_differs_in_nothing() -> None:
    resources = {"A": {**BUCKET, "Properties": {"BucketName": {"Fn::Sub": "${AWS::StackName}-${B}"}}}, "B": BUCKET}
    assert changes(blueprint(resources).resources, blueprint(resources).resources, {}) == []
