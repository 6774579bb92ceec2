"""What the settings of a job mean for Glue and S3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from glue_pkgmgr.local.seed import buckets
from tests.stand_in import BUCKET, sample_settings


def test_the_buckets_of_a_job_are_its_staging_its_script_and_its_bucket_arguments(tmp_path: Path) -> None:
    job = sample_settings(tmp_path).job("taxi")
    assert buckets(job) == {"staging-area", BUCKET}
    assert buckets(replace(job, script="s3://code/taxi.py")) == {"staging-area", BUCKET, "code"}
