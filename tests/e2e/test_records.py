"""Records of launches in the S3 of the stand-in, as several machines share them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from glue_pkgmgr.adapters.record_bucket import RecordBucket
from tests.e2e.conftest import BUCKET, needs_python_of_glue_5
from tests.unit.core.test_record import RECORD

pytestmark = [pytest.mark.timeout(900), needs_python_of_glue_5]


def test_writers_at_once_make_one_chain(road, tmp_path):
    place, client = f"s3://{BUCKET}/many-writers/", road.workspace.api("s3")

    def write(writer):
        records = RecordBucket(place, client, tmp_path / str(writer))
        for number in range(3):
            records.add(replace(RECORD, launch=f"{10 * writer + number:032x}"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    found = RecordBucket(place, client, tmp_path / "reader").read()
    assert (found.entries, len(found.launches), found.warnings) == (9, 9, ())


def test_a_launch_is_recorded_in_s3_and_found_by_what_it_used(road):
    workspace = road.workspace
    settings = (workspace.folder / "glue-pkgmgr.toml").read_text()
    shared = workspace.folder / "shared.toml"
    shared.write_text(f'{settings}\n[records]\nplace = "s3://{BUCKET}/audit"\n')
    config = ("--config", str(shared))
    launched = workspace.told(*config, "launch", "probe", "--no-wait")
    told = workspace.told(*config, "runs", "--using", "more-itertools<11")
    assert [(one["run"], one["releases"][0]["from"]) for one in told["runs"]] == [(launched["run"], "repository")]
    assert told["warnings"] == []
    assert workspace.told(*config, "runs", "--using", "more-itertools<10")["runs"] == []
    listed = workspace.api("s3").list_objects_v2(Bucket=BUCKET, Prefix="audit/")["Contents"]
    assert [one["Key"] for one in listed][:2] == [f"audit/launches/{number:012d}.json" for number in (1, 2)]
    workspace.told(*config, "stop", launched["run"])
