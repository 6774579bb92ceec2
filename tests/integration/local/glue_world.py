"""Job runs on real parts and a small image: rclone for S3, moto for the logs, a made index, a real pip."""

from __future__ import annotations

import importlib.metadata
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

from glue_pkgmgr.local.jobs.glue import GlueRuns, Image, create_app
from glue_pkgmgr.local.objects import ObjectServer
from glue_pkgmgr.local.state import without_aws
from tests.integration.local.made_distributions import wheel
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

BUCKET = "code"
LONG = 60.0
ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"}


@cache
def pip_wheel() -> tuple[str, bytes]:
    """Return file name and bytes of a wheel of the pip that is installed here: an image needs one."""
    pip = importlib.metadata.distribution("pip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in pip.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in ("RECORD", "INSTALLER"):
                archive.writestr(zipfile.ZipInfo(str(file), (2026, 1, 1, 0, 0, 0)), file.read_binary())
        archive.writestr(f"pip-{pip.version}.dist-info/RECORD", "")
    return f"pip-{pip.version}-py3-none-any.whl", buffer.getvalue()


@cache
def pip_pin() -> str:
    """Return the pin of `pip_wheel`."""
    return f"pip=={importlib.metadata.version('pip')}"


@dataclass
class GlueWorld:
    """The parts, and shortcuts to use them. `jobs` are the definitions, as GetJob would tell them."""

    environment: dict[str, str]
    s3_root: Path
    state: Path
    index: UpstreamIndex
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: GlueRuns = field(init=False)

    def client(self, service: str) -> Any:
        url = self.environment["AWS_ENDPOINT_URL_S3" if service == "s3" else "AWS_ENDPOINT_URL"]
        return _client(service, url)

    def definition(self, name: str) -> Mapping[str, Any]:
        if name not in self.jobs:
            error = {"Code": "EntityNotFoundException", "Message": f"Job {name} not found."}
            raise ClientError({"Error": error}, "GetJob")
        return self.jobs[name]

    def new_runs(self, **wishes: Any) -> GlueRuns:
        return GlueRuns(
            **{
                "job_definitions": self.definition,
                "logs": lambda: self.client("logs"),
                "state": self.state,
                "clock": lambda: datetime.now(UTC),
                "endpoints": self.environment,
                "s3_root": self.s3_root,
                "nearest_python": True,
                "image": lambda _: Image(pins=(pip_pin(), "preset==1.0"), spark=None),
                **wishes,
            }
        )

    def put(self, key: str, body: str | bytes) -> str:
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def job(self, script: str, *, name: str = "job", **definition: Any) -> str:
        """Define a job that runs the Python source `script`."""
        self.jobs[name] = {
            "Name": name,
            "Command": {"Name": "glueetl", "ScriptLocation": self.put(f"{name}.py", script)},
            "GlueVersion": "5.1",
            "DefaultArguments": {},
            **definition,
        }
        return name

    def start(self, job: str = "job", **request: Any) -> str:
        run_id: str = self.runs.handle("StartJobRun", {"JobName": job, **request})["JobRunId"]
        return run_id

    def get(self, run_id: str, job: str = "job") -> dict[str, Any]:
        run: dict[str, Any] = self.runs.handle("GetJobRun", {"JobName": job, "RunId": run_id})["JobRun"]
        return run

    def reach(self, run_id: str, *states: str, job: str = "job") -> dict[str, Any]:
        """Wait until the run is in one of `states`, and return it."""
        deadline = time.monotonic() + LONG
        while (run := self.get(run_id, job))["JobRunState"] not in states:
            assert run["JobRunState"] not in ENDED, run
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
        return run

    def end(self, run_id: str, job: str = "job") -> dict[str, Any]:
        return self.reach(run_id, *ENDED, job=job)

    def run(self, script: str, *, definition: Mapping[str, Any] | None = None, **request: Any) -> dict[str, Any]:
        """Define a job, run it to its end, and return the run."""
        return self.end(self.start(self.job(script, **(definition or {})), **request))

    def log(self, kind: str, run_id: str, group: str = "/aws-glue/jobs") -> list[str]:
        """Return the messages of the run's log `output` or `error`."""
        logs = self.client("logs")
        found = logs.get_log_events(
            logGroupName=f"{group}/{kind}", logStreamName=run_id, startFromHead=True, limit=10_000
        )
        return [event["message"] for event in found["events"]]

    def await_line(self, text: str, run_id: str, kind: str = "output") -> None:
        """Wait until a line of the run's log is `text`."""
        deadline = time.monotonic() + LONG
        while True:
            try:
                if text in self.log(kind, run_id):
                    return
            except ClientError:
                pass  # no log yet
            assert time.monotonic() < deadline
            time.sleep(0.05)


@cache
def _client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}),
    )


@contextmanager
def glue_world(folder: Path) -> Iterator[GlueWorld]:
    """Give a world whose files are in `folder`; when the block ends, no process of it is left."""
    s3_root = folder / "s3"
    (s3_root / BUCKET).mkdir(parents=True)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    objects = ObjectServer(s3_root, os.environ, on_end=lambda: None)
    with running_upstream() as index, closing(objects):
        index.add(pip_wheel())
        index.add(wheel("preset", "1.0"))
        environment = {
            **without_aws(os.environ),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto.get_host_and_port()[1]}",
            "AWS_ENDPOINT_URL_S3": objects.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PIP_INDEX_URL": index.source.url,
            "GLUE_PKGMGR_CACHE": str(folder / "cache"),
        }
        world = GlueWorld(environment=environment, s3_root=s3_root, state=folder / "runs", index=index)
        world.runs = world.new_runs()
        try:
            yield world
        finally:
            world.runs.close()
            moto.stop()


@contextmanager
def glue_api(runs: GlueRuns) -> Iterator[Any]:
    """Give a boto3 client for the wire form of `runs`."""
    server = make_server("127.0.0.1", 0, create_app(runs), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield _client("glue", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
