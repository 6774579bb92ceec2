"""What of the settings goes into the plan of the infrastructure."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.plan import Place
from glue_pkgmgr.settings import Settings, parse_settings
from glue_pkgmgr.verbs.stack_plan import require_account, sample_data, stack_plan
from tests.unit.infra.plans import SETTINGS


def settings(folder: Path, *change: str, stack: str = "") -> Settings:
    text = SETTINGS.format(region="us-east-1", stack=stack, codeartifact="", policy="")
    return parse_settings(tomllib.loads(text.replace(*change) if change else text), folder / "glue-pkgmgr.toml")


def test_a_script_that_is_a_file_is_planned_under_its_hash(tmp_path):
    (tmp_path / "taxi.py").write_text("print(1)\n")
    plan = stack_plan(settings(tmp_path, "s3://staging/scripts/taxi.py", "taxi.py"))
    digest = hashlib.sha256(b"print(1)\n").hexdigest()
    assert plan.jobs[0].wanted.script == f"s3://staging/area/scripts/{digest}/taxi.py"


def test_a_script_that_is_missing_is_told_with_its_job(tmp_path):
    with pytest.raises(SettingsError, match=r"the script of job 'taxi' cannot be read: .*taxi\.py: No such file"):
        stack_plan(settings(tmp_path, "s3://staging/scripts/taxi.py", "taxi.py"))


def test_buckets_are_those_that_jobs_and_records_name(tmp_path):
    plan = stack_plan(settings(tmp_path, stack='existing-buckets = ["trips"]'))
    assert (plan.buckets, plan.made_buckets) == (("audit", "staging", "trips"), ("audit", "staging"))
    assert plan.records == Place(bucket="audit", prefix="records/")
    assert plan.archive == Place(bucket="staging", prefix="area/functions/")
    assert (plan.databases, plan.internal) == (("trips_db",), ("glueutils", "house-style"))


def test_sample_data_lies_in_the_bucket_of_its_region(tmp_path):
    (tmp_path / "trips.csv").write_text("year\n")
    stack = 'regions = ["us-east-1", "eu-west-1"]\nsample-data = { "s3://trips/data/t.csv" = "trips.csv" }'
    made = settings(tmp_path, stack=stack)
    assert sample_data(stack_plan(made), made) == {"s3://trips/data/t.csv": tmp_path / "trips.csv"}
    (url,) = sample_data(stack_plan(made, "eu-west-1"), made)
    assert url == "s3://trips-eu-west-1/data/t.csv"
    (tmp_path / "trips.csv").unlink()
    with pytest.raises(SettingsError, match=r"there is no file .*trips\.csv; correct sample-data under \[stack\]"):
        sample_data(stack_plan(made), made)


def test_a_stack_is_of_the_account_that_owns_the_domain(tmp_path):
    made = settings(tmp_path)
    require_account(made, made.codeartifact.owner, "glue-pkgmgr")
    with pytest.raises(SettingsError, match=r"are of account 999900001111, and owner under \[codeartifact\] is"):
        require_account(made, "999900001111", "glue-pkgmgr")


def test_a_name_that_gets_too_long_in_another_region_is_told_before_anything_is_made(tmp_path):
    regions = 'regions = ["us-east-1", "ap-southeast-2"]'
    long = f"b{'x' * 60}"
    made = settings(tmp_path, '"trips"', f'"{long}"', stack=regions)
    assert stack_plan(made).buckets
    with pytest.raises(SettingsError, match="has 76 characters, 63 at most; shorten the one in the settings"):
        stack_plan(made, "ap-southeast-2")
    made = settings(tmp_path, "shared/taxi-job", "r" * 60, stack=regions)
    with pytest.raises(SettingsError, match="has more than 64 characters"):
        stack_plan(made, "ap-southeast-2")


def test_without_a_job_there_is_nothing_to_launch_and_packages_all_the_same(tmp_path):
    from glue_pkgmgr.infra.stack import template

    text = SETTINGS.partition("[bundles.taxi]")[0].format(region="us-east-1", codeartifact="", policy="")
    made = template(stack_plan(parse_settings(tomllib.loads(text), tmp_path / "glue-pkgmgr.toml")))
    kinds = {one["Type"] for one in made["Resources"].values()}
    assert "AWS::CodeArtifact::Repository" in kinds
    assert not kinds & {"AWS::Glue::Job", "AWS::Lambda::Function", "AWS::S3::Bucket"}
    assert "RoleLauncher" not in made["Resources"]
    assert not {"Parameters", "Conditions"} & made.keys()
