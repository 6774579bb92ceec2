"""What the settings of a job mean for Glue and S3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from glue_pkgmgr.local.cloudformation.maker import Inventory
from glue_pkgmgr.local.seed import buckets, seeded
from glue_pkgmgr.local.state import StateFolder
from tests.stand_in import BUCKET, sample_settings


def test_the_buckets_of_a_job_are_its_staging_its_script_and_its_bucket_arguments(tmp_path: Path) -> None:
    job = sample_settings(tmp_path).job("taxi")
    assert buckets(job) == {"staging-area", BUCKET}
    assert buckets(replace(job, script="s3://code/taxi.py")) == {"staging-area", BUCKET, "code"}


def test_what_is_made_has_the_types_that_templates_have_for_it(tmp_path: Path) -> None:
    assert seeded(sample_settings(tmp_path)) == [
        ("AWS::CodeArtifact::Domain", "the-domain"),
        ("AWS::CodeArtifact::Repository", "the-domain/approved"),
        ("AWS::CodeArtifact::Repository", "the-domain/pypi-store"),
        ("AWS::Glue::Database", "taxi_db"),
        ("AWS::Glue::Job", "taxi-job"),
        ("AWS::IAM::Role", "taxi-job"),
        ("AWS::S3::Bucket", "staging-area"),
        ("AWS::S3::Bucket", BUCKET),
    ]


def test_what_was_made_by_others_before_is_remembered_beside_what_stacks_make(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.write_seeded([("AWS::S3::Bucket", "a")])
    folder.write_seeded([("AWS::S3::Bucket", "b")])
    inventory = Inventory(seeded=folder.seeded, made=folder.made)
    inventory.add("AWS::S3::Bucket", "c")
    inventory.add("AWS::S3::Bucket", "c")
    assert [inventory.holds("AWS::S3::Bucket", name) for name in "abcd"] == [True, True, True, False]
    inventory.remove("AWS::S3::Bucket", "c")
    assert not Inventory(seeded=folder.seeded, made=folder.made).holds("AWS::S3::Bucket", "c")
