from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import glue_pkgmgr
from glue_pkgmgr.local.state import without_aws

# In a process of its own: a correction stays in force for as long as its process.
SCRIPT = """
import json, sys, boto3
from moto import mock_aws
if sys.argv[1] == "corrected":
    from glue_pkgmgr.local import job_definitions
    job_definitions.correct(); job_definitions.correct()
with mock_aws():
    glue = boto3.client("glue", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    command = {"Name": "glueetl", "ScriptLocation": "s3://b/x.py"}
    glue.create_job(Name="taxi", Role="r", Command=command, GlueVersion="5.0", Timeout=7, Tags={"team": "data"})
    run = glue.start_job_run(JobName="taxi")["JobRunId"]
    try:
        told = glue.update_job(JobName="taxi", JobUpdate={"Role": "r", "Command": command, "GlueVersion": "5.1"})
        job = glue.get_job(JobName="taxi")["Job"]
        tags = glue.get_tags(ResourceArn="arn:aws:glue:us-east-1:123456789012:job/taxi")["Tags"]
        kept = glue.get_job_run(JobName="taxi", RunId=run)["JobRun"]["Id"] == run
        try:
            glue.update_job(JobName="absent", JobUpdate={})
            absent = "found"
        except glue.exceptions.EntityNotFoundException:
            absent = "not found"
        answer = [told["JobName"], job["GlueVersion"], job.get("Timeout"), tags, kept, absent]
    except NotImplementedError:
        answer = "not implemented"
    print(json.dumps(answer))
"""


def answers(how: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        cwd=Path(glue_pkgmgr.__file__).parents[1],
        env=without_aws(os.environ),  # an endpoint set for other tests would be asked instead
        capture_output=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_an_update_puts_all_of_a_definition_in_the_place_of_the_one_before() -> None:
    assert answers("corrected") == ["taxi", "5.1", None, {"team": "data"}, True, "not found"]


def test_moto_still_needs_the_addition() -> None:
    # When this fails, moto has learnt it: take the addition out.
    assert answers("as it is") == "not implemented"
