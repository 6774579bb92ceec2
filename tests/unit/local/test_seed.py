"""What the settings of a job mean for Glue and S3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from glue_pkgmgr.local.seed import buckets, job_definition
from tests.stand_in import BUCKET, sample_settings


def test_a_job_definition_says_everything_the_settings_say(tmp_path: Path) -> None:
    job = sample_settings(tmp_path).job("taxi")
    assert job_definition(job, script_url="s3://b/taxi.py", role_arn="arn:aws:iam::1:role/r") == {
        "Name": "taxi-job",
        "Role": "arn:aws:iam::1:role/r",
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/taxi.py", "PythonVersion": "3"},
        "GlueVersion": "5.1",
        "WorkerType": "G.1X",
        "NumberOfWorkers": 2,
        "Timeout": 7,
        "MaxRetries": 0,
        "ExecutionProperty": {"MaxConcurrentRuns": 2},
        "DefaultArguments": {
            "--job-language": "python",
            "--S3_BUCKET": BUCKET,
            "--GLUE_DATABASE": "taxi_db",
        },
    }


def test_the_buckets_of_a_job_are_its_staging_its_script_and_its_bucket_arguments(tmp_path: Path) -> None:
    job = sample_settings(tmp_path).job("taxi")
    assert buckets(job) == {"staging-area", BUCKET}
    assert buckets(replace(job, script="s3://code/taxi.py")) == {"staging-area", BUCKET, "code"}
