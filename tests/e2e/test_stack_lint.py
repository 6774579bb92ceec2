"""`stack lint` as a shell and a code scanning service meet it: a process of its own, without settings."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from glue_pkgmgr.infra.lint.registry import RULES
from tests.e2e.command import ROOT, Command
from tests.e2e.readme import README

_TEMPLATES = ROOT / "tests" / "unit" / "infra" / "lint" / "templates"


@pytest.fixture
def command(tmp_path):
    for name in ("open.yaml", "closed.yaml"):
        shutil.copy(_TEMPLATES / name, tmp_path)
    return Command.in_folder(tmp_path, tmp_path)


def test_the_statuses_that_a_pipeline_reads(command):
    refused = command.run("stack", "lint", "--format", "sarif", "open.yaml")
    assert refused.returncode == 3
    assert {one["ruleId"] for one in json.loads(refused.stdout)["runs"][0]["results"]} == {one.id for one in RULES}
    assert re.fullmatch(r"error: \d+ errors, \d+ warnings\n", refused.stderr)
    assert command.run("stack", "lint", "--internal", "glueutils", "closed.yaml").returncode == 0
    absent = command.run("stack", "lint", "absent.yaml")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr.startswith("error: cannot read 'absent.yaml'")


def test_every_rule_has_its_place_in_the_readme():
    rows = re.findall(r'^\| <a id="(gpk\d+)"></a>`(GPK\d+)` \| (\w+) \| (.+?) \|', README, re.MULTILINE)
    assert [(anchor, name, level, title) for anchor, name, level, title in rows] == [
        (rule.help.partition("#")[2], rule.id, rule.level.value, rule.title) for rule in RULES
    ]
