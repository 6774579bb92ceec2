"""A published release has its papers; withdrawn, it is refused at every door, and restored it is let in again."""

from __future__ import annotations

import json
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.process import run
from tests.e2e.command import LONGEST
from tests.e2e.workspace import until

pytestmark = pytest.mark.timeout(900)

RELEASE = "glueutils==0.2.0"
WHY = "by ann: deletes the table"


def installs(workspace) -> bool:
    """Whether pip installs the release with a valid token and nothing of ours."""
    url = workspace.ours("mint").stdout.strip()
    words = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--retries", "0", "--no-deps"]
    target = workspace.root / "withdrawn-or-not"
    finished = run(
        [*words, "--upgrade", "--target", target, "--index-url", url, RELEASE],
        env=installer_environment(workspace.environment, None),
        timeout=LONGEST,
        cwd=workspace.root,
    )
    return finished.ok


def test_a_publication_keeps_provenance_and_bill_of_materials(road):
    folder = road.workspace.folder / ".glue-pkgmgr" / "records" / "published"
    (record,) = road.told["publish"]["published"]
    digests = {one["filename"]: one["sha256"] for one in (*record["uploaded"], *record["already"])}
    statement = json.loads((folder / "glueutils-0.2.0.intoto.json").read_text())
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == digests
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["source"] == "glueutils"
    assert any(one["name"].startswith("hatchling-") for one in definition["resolvedDependencies"])
    bill = (folder / "glueutils-0.2.0.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert {one["name"] for one in json.loads(bill)["metadata"]["component"]["components"]} == set(digests)
    for text in (json.dumps(statement), bill):
        assert str(road.workspace.root) not in text


def test_a_lock_has_a_bill_of_materials_whose_bytes_do_not_change(road):
    workspace = road.workspace
    for _ in range(2):
        finished = workspace.run("lock", "--check", "--sbom", "sboms")
        assert finished.returncode == 0, finished.stderr
    bill = (workspace.folder / "sboms" / "taxi.glue-5.1.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    locked = next(one for one in road.told["lock"]["locks"] if one["bundle"] == "taxi")["releases"]
    assert {one["name"] for one in json.loads(bill)["components"]} == {one["project"] for one in locked}


def test_a_release_is_withdrawn_while_a_run_uses_it_and_restored(road):
    workspace = road.workspace
    launched = workspace.told("launch", "sleeping", "--no-wait")["run"]
    until(lambda: workspace.told("status", launched)["state"] == "RUNNING", "the run runs")
    assert installs(workspace)
    try:
        told = workspace.told("withdraw", RELEASE, "--reason", "deletes the table", "--by", "ann", "--yes")
        assert (told["archived"], told["noted"]) == (True, True)
        assert "taxi" in told["locks"]
        assert launched in [one["run"] for one in told["launches"]]
        assert not installs(workspace)
        for verb in (["check", RELEASE], ["lock"], ["lock", "--check"], ["launch", "taxi"], ["mirror", "sync"]):
            refused = workspace.ours(*verb)
            assert refused.returncode == 3, refused.stderr
            assert "withdrawn" in refused.stdout + refused.stderr, verb
            assert WHY in refused.stdout + refused.stderr, verb
        again = workspace.ours("publish")
        assert again.returncode != 0
        assert f"glue-pkgmgr restore {RELEASE}" in again.stderr
        # What was installed before goes on.
        assert workspace.told("status", launched)["state"] == "RUNNING"
    finally:
        restored = workspace.told("restore", RELEASE)
        workspace.ours("stop", launched)
    assert restored["published"]
    assert installs(workspace)
    assert workspace.run("lock", "--check").returncode == 0
    assert workspace.run("check", RELEASE).returncode == 0
