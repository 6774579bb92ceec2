from __future__ import annotations

from functools import partial

from tests.integration.local.moto_process import answers_of

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
answers = partial(answers_of, SCRIPT)


def test_an_update_puts_all_of_a_definition_in_the_place_of_the_one_before() -> None:
    assert answers("corrected") == ["taxi", "5.1", None, {"team": "data"}, True, "not found"]


def test_moto_still_needs_the_addition() -> None:
    # When this fails, moto has learnt it: take the addition out.
    assert answers("as it is") == "not implemented"
