"""The infrastructure through the command line: shown, deployed, interrupted, refused, removed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from glue_pkgmgr.cli.main import main
from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.state import StandIn, StateFolder
from tests.e2e.command import Command
from tests.e2e.workspace import until
from tests.stacks import resources, template
from tests.stand_in import naming, sample_settings

REFUSED, NO_CAPACITY = 6, 9


@dataclass(frozen=True)
class Stacks:
    """Our command in a project, led to a running stand-in."""

    command: Command
    stand_in: StandIn

    @property
    def api(self) -> Any:
        return Clients(self.stand_in)("cloudformation")

    def write(self, name: str, text: str) -> str:
        """Write a template and return its file."""
        path = self.command.folder / f"{name}.json"
        path.write_text(text)
        return str(path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command as `Command.run` does, but in this process, which saves the start of one."""
        words = ["--config", str(self.command.folder / "glue-pkgmgr.toml"), *arguments]
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as out:
            patched.setattr(os, "environ", dict(self.command.environment))
            with redirect_stderr(StringIO()) as err:
                status = main(words)
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    def remove(self, name: str) -> None:
        """Remove a stack without our command."""
        self.api.delete_stack(StackName=name)
        until(lambda: self.status(name) == "absent", f"stack {name} is removed")

    def told(self, *arguments: str, status: int = 0) -> Any:
        done = self.run("--json", "-q", "stack", *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)

    def status(self, name: str) -> str:
        try:
            return str(self.api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
        except self.api.exceptions.ClientError:
            return "absent"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    folder = tmp_path_factory.mktemp("project")
    sample_settings(folder)
    (folder / "allowlist.toml").touch()
    command = Command.in_folder(folder, tmp_path_factory.mktemp("home"))
    started = command.run("-q", "local", "up")
    assert started.returncode == 0, started.stderr
    stand_in = StateFolder(folder / ".glue-pkgmgr" / "local").read()
    assert stand_in is not None
    yield Stacks(Command(folder, stand_in.environment(command.environment)), stand_in)
    assert command.run("local", "down").returncode == 0
    assert naming(folder) == []


def options(name: str, file: str) -> tuple[str, ...]:
    return ("--stack", name, "--template", file)


def test_from_nothing_to_a_stack_and_back(stacks: Stacks) -> None:
    file = stacks.write("whole", template("whole"))
    planned = stacks.told("diff", *options("whole", file))
    assert (planned["creates"], {one["action"] for one in planned["changes"]}) == (True, {"add"})
    assert stacks.status("whole") == "absent"
    done = stacks.told("deploy", *options("whole", file))
    assert (done["status"], done["outputs"]["Bucket"]) == ("CREATE_COMPLETE", "whole-bucket")
    assert "skipped: the stand-in has no AWS::AmazonMQ::Broker" in {one["note"] for one in done["notes"]}
    assert stacks.told("diff", *options("whole", file))["unchanged"] is True
    again = stacks.run("stack", "deploy", *options("whole", file))
    assert (again.returncode, again.stdout) == (0, "stack whole: no changes\n")

    Clients(stacks.stand_in)("s3").put_object(Bucket="whole-bucket", Key="a/b", Body=b"x")
    asked = stacks.run("stack", "destroy", "--stack", "whole")
    assert asked.returncode == 2
    assert "whole-bucket" in asked.stdout
    assert "1 version of objects" in asked.stdout
    assert "pass --yes" in asked.stderr
    assert stacks.status("whole") == "CREATE_COMPLETE"
    gone = stacks.told("destroy", "--stack", "whole", "--yes")
    assert gone["emptied"] == [{"bucket": "whole-bucket", "versions": 1}]
    assert len(gone["removed"]) == len(resources("whole"))
    assert stacks.told("destroy", "--stack", "whole", "--yes")["removed"] == []


def test_what_would_be_lost_is_asked_about_and_a_failure_leaves_all_as_it_was(stacks: Stacks) -> None:
    first = stacks.write("first", template("loss"))
    stacks.told("deploy", *options("loss", first))
    job = resources("loss")["Job"]
    job["Properties"]["Timeout"] = 99
    later = stacks.write("later", template("loss", without=("Database",), Job=job))
    unasked = stacks.run("stack", "deploy", *options("loss", later))
    assert (unasked.returncode, "it would lose Database (AWS::Glue::Database)" in unasked.stderr) == (2, True)
    assert "Timeout: 10 -> 99" in unasked.stderr
    with stacks.stand_in.switches.faults("glue:UpdateJob=403*1"):
        failed = stacks.run("stack", "deploy", "--yes", *options("loss", later))
    assert failed.returncode == REFUSED
    sentence = failed.stderr.splitlines()[-1]
    assert '{"Effect": "Allow", "Action": "glue:UpdateJob", "Resource": "arn:aws:glue:' in sentence
    assert sentence.endswith("everything is as it was before")
    assert stacks.told("deploy", "--yes", *options("loss", later))["status"] == "UPDATE_COMPLETE"
    stacks.remove("loss")


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ("iam:CreateRole=EntityAlreadyExists", REFUSED, "already exists; it belongs to no stack"),
        ("glue:CreateJob=ResourceNumberLimitExceededException", NO_CAPACITY, "have the quota raised"),
        ("cloudformation:CreateChangeSet=403", REFUSED, "the caller needs cloudformation:CreateChangeSet"),
    ],
)
def test_a_creation_that_fails_is_told_in_a_sentence_and_leaves_nothing(
    stacks: Stacks, fault: str, status: int, told: str
) -> None:
    file = stacks.write("fails", template("fails"))
    with stacks.stand_in.switches.faults(fault):
        failed = stacks.run("-q", "stack", "deploy", *options("fails", file))
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (status, "", 1)
    assert told in failed.stderr
    assert stacks.status("fails") == "absent"
    buckets = Clients(stacks.stand_in)("s3").list_buckets()["Buckets"]
    assert "fails-bucket" not in {one["Name"] for one in buckets}


def test_a_stack_that_others_left_in_rollback_is_made_anew(stacks: Stacks) -> None:
    body = template("stuck")
    with stacks.stand_in.switches.faults("iam:CreateRole=403"):
        made = stacks.api.create_change_set(
            StackName="stuck",
            ChangeSetName="x",
            ChangeSetType="CREATE",
            TemplateBody=body,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        stacks.api.execute_change_set(ChangeSetName=made["Id"])
        until(lambda: stacks.status("stuck") == "ROLLBACK_COMPLETE", "the stack is rolled back")
    file = stacks.write("stuck", body)
    looked = stacks.run("stack", "diff", *options("stuck", file))
    assert (looked.returncode, "`stack deploy` removes what is left" in looked.stderr) == (REFUSED, True)
    assert stacks.told("deploy", *options("stuck", file))["status"] == "CREATE_COMPLETE"
    stacks.remove("stuck")


def test_a_killed_deployment_goes_on_and_the_next_one_waits_for_it(stacks: Stacks) -> None:
    file = stacks.write("killed", template("killed"))
    with stacks.stand_in.switches.faults("iam:CreateRole=4s*1"):
        first = stacks.command.start("stack", "deploy", *options("killed", file))
        try:
            until(lambda: stacks.status("killed") == "CREATE_IN_PROGRESS", "the deployment has begun")
        finally:
            first.kill()
            first.communicate(timeout=60)
        again = stacks.run("stack", "deploy", *options("killed", file))
    assert (again.returncode, again.stdout) == (0, "stack killed: no changes\n")
    assert "waiting for the end of a change that is under way" in again.stderr
    stacks.remove("killed")


def test_what_cannot_be_a_template_is_refused_before_anything(stacks: Stacks) -> None:
    large = json.dumps({"Resources": {"A": {"Type": "AWS::S3::Bucket", "Metadata": "x" * 60_000}}})
    for text, told in (("Resources:", "is not JSON"), (large, "--staging s3://")):
        refused = stacks.run("stack", "deploy", *options("refused", stacks.write("refused", text)))
        assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
    assert stacks.status("refused") == "absent"


def test_the_template_of_the_settings_is_deployed_and_then_changes_nothing(stacks: Stacks) -> None:
    done = stacks.told("deploy")
    assert done["status"] == "CREATE_COMPLETE"
    assert {one["type"] for one in done["notes"] if one["note"].startswith("skipped")} == {
        "AWS::CodeArtifact::PackageGroup",
        "AWS::S3::BucketPolicy",
    }
    assert stacks.told("diff")["unchanged"] is True
    gone = stacks.told("destroy", "--yes")
    assert {one["resource"] for one in gone["removed"]} == {one["resource"] for one in done["changes"]}
