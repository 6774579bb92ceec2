"""`stack lint` through the command line: real files, and those that are none."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from glue_pkgmgr.cli.main import main

_OPEN = 'Resources:\n  Job:\n    Type: AWS::Glue::Job\n    Properties:\n      GlueVersion: "2.0"\n'
_CLOSED = _OPEN.replace("2.0", "5.1")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lint(capsys):
    def lint(*words, before=()):
        status = main([*before, "stack", "lint", *map(str, words)])
        return status, *capsys.readouterr()

    return lint


def test_a_finding_is_a_row_with_its_reason_and_its_fix(folder, lint):
    (folder / "t.yaml").write_text(_OPEN)
    status, out, err = lint("t.yaml")
    assert status == 3
    assert out.splitlines()[1].split()[:4] == ["t.yaml:5", "GPK601", "error", "Job"]
    assert "why: " in out
    assert "fix: " in out
    assert err == "error: 1 error\n"


def test_nothing_to_find_is_status_0(folder, lint):
    (folder / "t.yaml").write_text(_CLOSED)
    assert lint("t.yaml") == (0, "nothing found\n", "")


def test_json_has_all_of_it(folder, lint):
    (folder / "t.yaml").write_text(_OPEN)
    status, out, _ = lint("t.yaml", before=["--json"])
    told = json.loads(out)
    assert (status, told["clean"], told["suppressed"], told["not_judged"]) == (3, False, [], [])
    assert told["findings"] == [
        {
            "rule": "GPK601",
            "level": "error",
            "file": "t.yaml",
            "line": 5,
            "resource": "Job",
            "path": "Resources.Job.Properties.GlueVersion",
            "finding": "Glue 2.0 starts no runs since 2026-04-01",
            "suppressed_because": None,
        }
    ]
    assert told["rules"][0]["help"] == "README.md#gpk601"


def test_sarif_is_all_that_is_on_stdout(folder, lint):
    (folder / "t.yaml").write_text(_OPEN)
    status, out, _ = lint("--format", "sarif", "t.yaml")
    assert status == 3
    assert json.loads(out)["version"] == "2.1.0"
    assert lint("--format", "sarif", "t.yaml", before=["--json"])[0] == 2


def test_a_suppression_is_counted_and_shown(folder, lint):
    (folder / "t.yaml").write_text(_OPEN)
    status, out, _ = lint("--suppress", "GPK601@Job=ends with the year", "t.yaml")
    assert status == 0
    assert "ends with the year" in out
    assert out.endswith("nothing found, 1 suppressed\n")


def test_standard_input(lint, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_OPEN.encode())))
    status, out, _ = lint("-")
    assert (status, "-:5" in out) == (3, True)


def test_the_rules_alone(lint):
    status, out, _ = lint("--rules")
    assert status == 0
    assert "GPK101" in out
    assert "GPK101" in lint("--rules", before=["--json"])[1]


# --- files that are none


def binary(path):
    path.write_bytes(b"PK\x03\x04\x00\x00" + os.urandom(100))


def latin(path):
    path.write_bytes("Resources: {J: {Type: Größe}}".encode("latin-1"))


def deep(path):
    path.write_text("[" * 200_000)


def cyclic(path):
    path.write_text("Resources: &a {b: *a}")


def doubled(path):
    path.write_text('{"Resources": {},\n "Resources": {}}')


def large(path):
    with path.open("wb") as opened:
        opened.truncate(65 * 1024 * 1024)


def no_template(path):
    path.write_text("name: ci\non: push\n")


def pipeless(path):
    path.mkdir()


def foreign_manifest(path):
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "a web page"}')


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (binary, "is a binary file"),
        (latin, "is no text in UTF-8"),
        (deep, "more than 200 levels deep"),
        (cyclic, "the alias 'a' leads back to itself"),
        (doubled, "line 2: the key 'Resources' is there twice, first in line 1"),
        (large, "has more than 64 MB"),
        (no_template, "is no template: it has no resources"),
        (pipeless, "is a folder without a manifest.json"),
        (foreign_manifest, "its manifest.json is none of the CDK"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_what_is_no_template_is_told_in_a_sentence(folder, lint, make, told):
    make(folder / "t")
    status, out, err = lint("t")
    assert (status, out) == (2, "")
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_without_a_file_it_is_a_usage_error(lint):
    assert lint()[0] == 2
    assert lint("--internal", "not a name", "t")[0] == 2
    assert lint("--suppress", "GPK999=x", "t")[0] == 2
    assert lint("a\0b")[0] == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_other_shells_write_is_read(folder, lint, encoding):
    (folder / "t.json").write_text('{"Resources": {}}', encoding=encoding)
    assert lint("t.json")[0] == 0


def test_hostile_names_cannot_steer_the_terminal(folder, lint):
    (folder / "t.yaml").write_text(
        'Resources: {"J\\e[2J": {Type: AWS::Glue::Job, Properties: {GlueVersion: "2.0"}}}'
    )
    status, out, _ = lint("t.yaml")
    assert (status, "\x1b" in out) == (3, False)


# --- the CDK


def assembly(folder, **artifacts):
    folder.mkdir(exist_ok=True)
    told = {"version": "36.0.0", "artifacts": artifacts}
    (folder / "manifest.json").write_text(json.dumps(told))


def artifact(file):
    return {"type": "aws:cloudformation:stack", "properties": {"templateFile": file}}


def template(version, **resources):
    job = {"Type": "AWS::Glue::Job", "Properties": {"GlueVersion": version}}
    return json.dumps({"Resources": {"Job": job, **resources}}, indent=1)


def nested(file):
    return {"Type": "AWS::CloudFormation::Stack", "Metadata": {"aws:asset:path": file, "aws:asset:property": "x"}}


def test_a_folder_of_the_cdk_with_its_stages_and_nested_stacks(folder, lint):
    out_folder = folder / "cdk.out"
    stage = {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Prod"}}
    assembly(out_folder, Main=artifact("Main.template.json"), Prod=stage, Tree={"type": "cdk:tree"})
    inner = nested("Inner.nested.template.json")
    (out_folder / "Main.template.json").write_text(template("5.1", Inner=inner))
    (out_folder / "Inner.nested.template.json").write_text(template("1.0", Itself=inner))
    assembly(out_folder / "assembly-Prod", Job=artifact("Job.template.json"))
    (out_folder / "assembly-Prod" / "Job.template.json").write_text(template("0.9"))
    for name in ("cdk.out", "cdk.out/manifest.json"):
        status, out, _ = lint(name, before=["--json"])
        assert status == 3
        assert [one["file"] for one in json.loads(out)["findings"]] == [
            "cdk.out/Inner.nested.template.json",
            "cdk.out/assembly-Prod/Job.template.json",
        ]


@pytest.mark.parametrize("name", ["../t.json", "/etc/passwd", "no\0name"])
def test_a_manifest_leads_nowhere_else(folder, lint, name):
    (folder / "t.json").write_text(template("1.0"))
    assembly(folder / "cdk.out", Main=artifact(name))
    status, _, err = lint("cdk.out")
    assert status == 2
    assert "which is not inside it" in err


def test_a_manifest_that_leads_to_itself_ends(folder, lint):
    stage = {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}
    assembly(folder / "cdk.out", Itself=stage)
    assert lint("cdk.out")[0] == 0
