"""What the linters of others say of our template: nothing that is not explained in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.local.state import without_aws
from glue_pkgmgr.process import Finished, run
from tests.e2e.command import LONGEST
from tests.e2e.orchestrators.tool import interpreter
from tests.unit.infra.plans import made
from tests.unit.infra.test_stack import VARIANTS

pytestmark = pytest.mark.timeout(900)

LOCKS = Path(__file__).parent
MODULES = {"cfn-lint": "cfnlint.runner.cli", "checkov": "checkov.main"}
TEMPLATES: Mapping[str, dict[str, Any]] = {
    **{name.replace(" ", "-"): made(stack) for name, stack in VARIANTS.items()},
    "open-and-built": made('imports = "publish"', codeartifact='upstream = "open"', policy='sdists = "build"'),
    "gov": made(region="us-gov-west-1"),
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the template of each kind of settings."""
    folder = tmp_path_factory.mktemp("templates")
    for name, template in TEMPLATES.items():
        (folder / f"{name}.json").write_text(json.dumps(template, indent=1))
    return folder


def linted(tool: str, *words: str, folder: Path) -> Finished:
    # As modules: the scripts of an environment name the place where it was made, before it was moved.
    # cfn-lint imports its own main module before it is run as one, and runpy warns of that.
    program = [interpreter(tool, LOCKS), "-W", "ignore::RuntimeWarning", "-m", MODULES[tool], *words]
    return run(program, env=without_aws(os.environ), timeout=LONGEST, cwd=folder)


def test_cfn_lint_finds_nothing(templates):
    # What a type is allowed to be is judged for one region: that it exists elsewhere is no property of ours. Rules
    # of the level of information are judged, too.
    files = sorted(name.name for name in templates.glob("*.json"))
    found = linted("cfn-lint", "--include-checks", "I", "--regions", "us-east-1", "--", *files, folder=templates)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_checkov_fails_nothing_and_every_exception_has_its_reason(templates):
    """An exception that nothing needs any more would hide the next finding: without them, those alone fail."""
    bare = json.loads((templates / "as-it-is.json").read_text())
    explained = {
        (one["id"], name)
        for name, resource in bare["Resources"].items()
        for one in resource.pop("Metadata", {}).get("checkov", {}).get("skip", ())
    }
    (templates / "bare.json").write_text(json.dumps(bare, indent=1))
    words = ("--framework", "cloudformation", "--directory", ".", "--output", "json", "--skip-download")
    found = linted("checkov", *words, folder=templates)
    told = json.loads(found.stdout)
    failed = [
        (one["check_id"], one["resource"], Path(one["file_path"]).stem) for one in told["results"]["failed_checks"]
    ]
    assert [one for one in failed if one[2] != "bare"] == []
    assert {(check, name.rpartition(".")[2]) for check, name, file in failed if file == "bare"} == explained
    assert told["summary"]["parsing_errors"] == 0
    reasons = [one["check_result"]["suppress_comment"] for one in told["results"]["skipped_checks"]]
    assert reasons
    assert all(len(reason) > 20 for reason in reasons)
