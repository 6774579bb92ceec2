from __future__ import annotations

from pathlib import Path

import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.jobs.spark import log_settings, spark_defaults


def read(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_every_bucket_is_mounted_where_its_objects_lie(tmp_path: Path) -> None:
    for bucket in ("raw", "my.bucket"):
        (tmp_path / "s 3" / bucket).mkdir(parents=True)
    (tmp_path / "s 3" / "file").touch()

    settings = read(spark_defaults(s3_root=tmp_path / "s 3", work=tmp_path, cores=2, settings=[]))

    mounts = {key: value for key, value in settings.items() if "mounttable" in key}
    assert mounts == {
        "spark.hadoop.fs.viewfs.mounttable.raw.linkFallback": f"file://{tmp_path}/s%203/raw",
        "spark.hadoop.fs.viewfs.mounttable.my.bucket.linkFallback": f"file://{tmp_path}/s%203/my.bucket",
    }
    assert settings["spark.master"] == "local[2]"


def test_the_jobs_own_settings_win(tmp_path: Path) -> None:
    given = ["spark.ui.enabled=true", "spark.extra=a=b"]

    settings = read(spark_defaults(s3_root=tmp_path / "none", work=tmp_path, cores=2, settings=given))

    assert settings["spark.ui.enabled"] == "true"
    assert settings["spark.extra"] == "a=b"


def test_a_setting_without_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'spark\.broken' is not of the form key=value"):
        spark_defaults(s3_root=tmp_path, work=tmp_path, cores=2, settings=["spark.broken"])


def test_spark_logs_into_the_given_file(tmp_path: Path) -> None:
    assert f"fileName = {tmp_path / 'spark.log'}\n" in log_settings(tmp_path / "spark.log")
