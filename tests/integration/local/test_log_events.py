from __future__ import annotations

from functools import partial

from tests.integration.local.moto_process import answers_of

SCRIPT = """
import json, sys, time, boto3
from moto import mock_aws
if sys.argv[1] == "corrected":
    from glue_pkgmgr.local import log_events
    log_events.correct(); log_events.correct()
with mock_aws():
    logs = boto3.client("logs", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    logs.create_log_group(logGroupName="g")
    for stream in ("jr_a", "jr_a_g-1", "jr_b"):
        logs.create_log_stream(logGroupName="g", logStreamName=stream)
        events = [{"timestamp": int(time.time() * 1000), "message": stream}]
        logs.put_log_events(logGroupName="g", logStreamName=stream, logEvents=events)
    def answer(**given):
        return sorted(e["message"] for e in logs.filter_log_events(logGroupName="g", **given)["events"])
    try:
        logs.filter_log_events(logGroupName="absent", logStreamNamePrefix="jr")
        absent = "found"
    except logs.exceptions.ResourceNotFoundException:
        absent = "not found"
    print(json.dumps([answer(logStreamNamePrefix="jr_a"), answer(logStreamNamePrefix="jr_c"), answer(), absent]))
"""
answers = partial(answers_of, SCRIPT)


def test_a_prefix_leaves_other_streams_out() -> None:
    assert answers("corrected") == [["jr_a", "jr_a_g-1"], [], ["jr_a", "jr_a_g-1", "jr_b"], "not found"]


def test_moto_still_needs_the_correction() -> None:
    # When this fails, moto has learnt it: take the correction out.
    assert answers("as it is") != answers("corrected")
