from __future__ import annotations

import json
from pathlib import Path

import pytest

from glue_pkgmgr.local.jobs.old_botocore import is_old, redirect


@pytest.mark.parametrize(
    ("version", "old"), [("1.27.59", True), ("1.30.9", True), ("1.31.0", False), ("1.44.5", False)]
)
def test_botocore_reads_endpoint_variables_since_1_31(tmp_path: Path, version: str, old: bool) -> None:
    (tmp_path / "lib" / "python3.10" / "site-packages" / f"botocore-{version}.dist-info").mkdir(parents=True)

    assert is_old(tmp_path) is old


def test_an_environment_without_botocore_needs_nothing(tmp_path: Path) -> None:
    assert not is_old(tmp_path)


def test_every_host_that_is_written_is_the_stand_ins(tmp_path: Path) -> None:
    variables = redirect(
        tmp_path, endpoint="http://127.0.0.1:1", s3_endpoint="http://127.0.0.1:2", region="eu-west-1"
    )

    [partition] = json.loads((tmp_path / "endpoints.json").read_text())["partitions"]
    assert partition["defaults"]["hostname"] == "127.0.0.1:1"
    assert {e["hostname"] for e in partition["services"]["s3"]["endpoints"].values()} == {"127.0.0.1:2"}
    assert variables["AWS_DATA_PATH"] == str(tmp_path)
