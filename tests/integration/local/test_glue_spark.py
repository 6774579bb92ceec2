"""A run on the whole image of a Glue version with its Spark, from the machine's own cache and index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.local.jobs.glue import Image
from tests.integration.local.glue_world import BUCKET, GlueWorld, glue_world

VERSION = "5.1"
SCRIPT = """
import json, subprocess, sys
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
trips = spark.read.csv("s3://code/data/", header=True)
shout = F.udf(lambda text: text.upper() + "!")
trips.withColumn("loud", shout("app")).write.partitionBy("app").parquet("s3://code/out/trips/")
back = spark.read.parquet("s3://code/out/trips/")
spark._jvm.org.apache.log4j.Logger.getLogger("the.job").warn("from the log of Spark")
listed = subprocess.run([sys.executable, "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
print(json.dumps({
    "rows": sorted([row.app, row.n, row.loud] for row in back.collect()),
    "spark": spark.version,
    "partitions": spark.conf.get("spark.sql.shuffle.partitions"),
    "zone": spark.conf.get("spark.sql.session.timeZone"),
    "installed": {p["name"]: p["version"] for p in json.loads(listed.stdout)},
}))
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GlueWorld]:
    with glue_world(tmp_path) as world:
        index = {k: v for k, v in os.environ.items() if k == "PIP_INDEX_URL"}
        environment = {k: v for k, v in world.environment.items() if k != "PIP_INDEX_URL"} | index
        environment["GLUE_PKGMGR_CACHE"] = str(cache_folder(os.environ))
        world.runs = world.new_runs(endpoints=environment, image=Image.of)
        yield world


@pytest.mark.timeout(900)  # the first time the image and Spark are fetched
def test_spark_runs_on_the_image_and_finds_its_buckets(world: GlueWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.integration.local.glue_world.LONG", 840.0)
    world.put("data/a.csv", 'app,n\n"Öl & Söhne, =%",1\nplain,2\n')

    run = world.run(
        SCRIPT, definition={"GlueVersion": VERSION}, Arguments={"--conf": "spark.sql.shuffle.partitions=3"}
    )

    log = world.log("output", run["Id"])
    assert run["JobRunState"] == "SUCCEEDED", (run, log, world.log("error", run["Id"]))
    told: dict[str, Any] = json.loads(log[-1])
    runtime = glue_runtime(VERSION)
    assert told["rows"] == [["plain", "2", "PLAIN!"], ["Öl & Söhne, =%", "1", "ÖL & SÖHNE, =%!"]]
    assert (told["spark"], told["partitions"], told["zone"]) == (runtime.spark, "3", "UTC")
    # Not Spark, which `pip list` does not show on Glue either; on another Python some releases may be left out.
    installed = {canonicalize_name(name): Version(version) for name, version in told["installed"].items()}
    assert installed.items() <= dict(runtime.preinstalled).items()
    assert any("from the log of Spark" in line for line in world.log("error", run["Id"]))
    assert not any("from the log of Spark" in line for line in log)
    objects = world.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="out/trips/")["Contents"]
    assert sorted(o["Key"].split("/")[2].partition("=")[0] for o in objects) == ["_SUCCESS", "app", "app"]
    assert not any(o["Key"].endswith(".crc") for o in objects)
