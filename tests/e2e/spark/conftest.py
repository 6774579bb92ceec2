"""A real Spark that shares the folder of each bucket with S3, and a Glue Data Catalog on the loopback."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.core.runtime import RUNTIMES
from glue_pkgmgr.index_source import configured_index
from glue_pkgmgr.local.jobs.spark import log_settings, spark, spark_defaults

BUCKETS = ("job", "frames")
REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class SparkRuntime:
    """What a process needs to run a job, and where its buckets lie."""

    environment: dict[str, str]
    python_path: list[Path]
    s3: Path

    def bucket(self, name: str) -> Path:
        return self.s3 / name


@pytest.fixture(scope="session")
def catalogue() -> Iterator[str]:
    """The endpoint of a Glue Data Catalog."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory, catalogue: str) -> SparkRuntime:
    # The Spark of the newest Glue version that has this Python; else one that runs on it well enough.
    fitting = [glue.spark for glue in RUNTIMES.values() if glue.python == sys.version_info[:2]]
    version = (fitting or [RUNTIMES["5.1"].spark])[-1]
    found = spark(
        version,
        Path(sys.executable),
        cache=cache_folder(os.environ),
        say=lambda line: print(line, file=sys.stderr),
        source=configured_index(os.environ),
    )
    folder = tmp_path_factory.mktemp("spark")
    for name in BUCKETS:
        (folder / "s3" / name).mkdir(parents=True)
    conf = folder / "conf"
    conf.mkdir()
    # Less compiled by the JVM and fewer tasks: what runs here is over before either pays.
    quick = ["spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1", "spark.sql.shuffle.partitions=4"]
    (conf / "spark-defaults.conf").write_text(
        spark_defaults(s3_root=folder / "s3", work=folder, cores=2, settings=quick)
    )
    (conf / "log4j2.properties").write_text(log_settings(folder / "spark.log"))
    environment = {
        **found.environment(),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8",
        "AWS_ENDPOINT_URL": catalogue,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    python_path = [*found.python_path, REPOSITORY / "glueutils" / "src"]
    return SparkRuntime(environment=environment, python_path=python_path, s3=folder / "s3")


@pytest.fixture(scope="session")
def session(runtime: SparkRuntime) -> Iterator[Any]:
    """A Spark session in this process, for tests that would otherwise each start a JVM."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in runtime.environment.items():
            patch.setenv(name, value)
        for folder in reversed(runtime.python_path):
            patch.syspath_prepend(folder)
        from pyspark import SparkContext
        from pyspark.sql import SparkSession

        built = SparkSession.builder.getOrCreate()
        gateway = SparkContext._gateway
        yield built
        built.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=30)


@pytest.fixture(scope="session")
def glue(catalogue: str) -> Any:
    """A client of the Glue Data Catalog."""
    return boto3.client(
        "glue",
        endpoint_url=catalogue,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
