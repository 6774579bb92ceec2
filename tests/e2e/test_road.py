"""The whole road by the command line: publish, approve, lock, mirror, mint, launch, Parquet, and afterwards."""

from __future__ import annotations

import csv
import os
import subprocess
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from glue_jobs.sample_trips import MISFITS
from glue_pkgmgr.local.jobs.interpreters import python_for
from tests.e2e.command import LONGEST
from tests.e2e.conftest import BUCKET, needs_python_of_glue_5
from tests.e2e.spark.written import read_rows
from tests.e2e.workspace import MARK, Workspace, ended, marked, until, until_runs_are_removed

# A machine with an empty cache fetches Spark and the releases of the Glue image first.
pytestmark = pytest.mark.timeout(900)

TO_INSTALL = {"glueutils==0.2.0", "more-itertools==10.8.0"}


def sums(rows: list[dict[str, str]]) -> dict[tuple[int, str, int], int]:
    """Return the trips by year, app and week."""
    found: dict[tuple[int, str, int], int] = defaultdict(int)
    for row in rows:
        found[int(row["year"]), row["app"], int(row["week"])] += int(row["trips"])
    return found


def sums_of_csv(file: Path) -> dict[tuple[int, str, int], int]:
    """Return the sums of a sample without the rows that do not fit, which are its last."""
    with file.open(encoding="utf-8", newline="") as text:
        return sums(list(csv.DictReader(text))[: -len(MISFITS)])


def text_of_log(workspace: Workspace, run: str) -> str:
    """Return the whole log of a run."""
    return "\n".join(line["text"] for line in workspace.told("logs", run)["lines"])


class TestBeforeALaunch:
    def test_the_stand_in_listens_on_loopback_only(self, road):
        stand_in = psutil.Process(road.told["up"]["pid"])
        processes = [stand_in, *stand_in.children(recursive=True)]
        listening = {
            connection.laddr.ip
            for process in processes
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}

    def test_publish_uploads_wheel_and_sdist(self, road):
        (record,) = road.told["publish"]["published"]
        assert (record["project"], record["version"]) == ("glueutils", "0.2.0")
        assert [file["filename"] for file in record["uploaded"]] == [
            "glueutils-0.2.0.tar.gz",
            "glueutils-0.2.0-py3-none-any.whl",
        ]

    def test_approve_adds_each_release_for_who_asked(self, road):
        added = road.told["approve"]["added"]
        assert {one["project"] for one in added} == {"boto3", "glueutils", "more-itertools"}
        assert {one["approved_by"] for one in added} == {"ann"}

    def test_check_resolves_the_closure_and_writes_nothing(self, road):
        told = road.told["check"]
        assert told["allowed"] is True
        assert {one["project"] for one in told["releases"] if one["from"] != "Glue image"} == {
            "glueutils",
            "more-itertools",
        }

    def test_the_lock_has_a_hash_for_every_file_to_install(self, road):
        locks = {one["bundle"]: one for one in road.told["lock"]["locks"]}
        assert locks["taxi"]["changed"] is True
        assert road.told["lock --check"]["locks"][0]["changed"] is False
        text = Path(locks["taxi"]["path"]).read_text()
        assert text.count("sha256") >= len(TO_INSTALL)

    def test_mirror_copies_what_others_made_and_finds_what_we_published(self, road):
        synced = {one["release"]: one["presence"] for one in road.told["mirror sync"]["releases"]}
        assert synced == {"glueutils==0.2.0": "present", "more-itertools==10.8.0": "copied"}
        verified = {one["release"]: one["presence"] for one in road.told["mirror verify"]["releases"]}
        assert verified == dict.fromkeys(TO_INSTALL, "present")

    def test_a_plain_pip_installs_with_the_minted_url(self, road, tmp_path):
        minted = road.workspace.ours("mint")
        assert minted.returncode == 0
        target = tmp_path / "target"
        words = ["pip", "install", "-q", "--target", str(target), "--no-deps", "glueutils", "more-itertools"]
        installed = subprocess.run(
            words,
            env={
                **road.workspace.environment,
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_FIND_LINKS": "",
                "PIP_INDEX_URL": minted.stdout.strip(),
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert installed.returncode == 0, installed.stderr
        assert {path.name for path in target.glob("*.dist-info")} == {
            "glueutils-0.2.0.dist-info",
            "more_itertools-10.8.0.dist-info",
        }


@pytest.fixture(scope="module", params=["requirements", "wheels", "index"])
def delivered(request, road):
    """Launch the taxi job with each delivery, into an empty output folder; return what `launch` told."""
    removed = road.workspace.client("aws", "s3", "rm", "--recursive", f"s3://{BUCKET}/dataoutput/")
    assert removed.returncode == 0, removed.stderr
    return road.workspace.told("-v", "launch", "taxi", "--delivery", request.param)


class TestTaxiJob:
    def test_it_succeeds_and_launch_tells_what_was_installed_how(self, road, delivered):
        assert delivered["state"] == "SUCCEEDED"
        assert delivered["error_message"] is None
        assert (delivered["token_expires"] is None) == (delivered["delivery"] == "wheels")
        releases = {f"{one['project']}=={one['version']}" for one in delivered["releases"]}
        assert releases >= {"boto3==1.40.61", *TO_INSTALL}
        assert {"accepted", "installed", "ran"} <= set(delivered["seconds"])

    def test_pip_installed_the_locked_releases_and_nothing_else(self, road, delivered):
        log = text_of_log(road.workspace, delivered["run"])
        installed = [line for line in log.splitlines() if "Successfully installed" in line]
        assert [line.partition("Successfully installed ")[2] for line in installed] == [
            "glueutils-0.2.0 more-itertools-10.8.0"
        ]
        for fact in ("boto3=1.40.61", "glueutils=0.2.0", "more_itertools=10.8.0"):
            assert f"version.{fact}" in log.splitlines()

    def test_another_engine_reads_back_the_sums_of_the_input(self, road, delivered):
        bucket = road.workspace.state / "s3" / BUCKET
        assert sums(read_rows(bucket / "dataoutput" / "taxidataparquet")) == sums_of_csv(road.trips)

    def test_rows_that_do_not_fit_are_kept_aside(self, road, delivered):
        folder = road.workspace.state / "s3" / BUCKET / "dataoutput" / "_rejected"
        lines = [line for file in folder.glob("*.json") for line in file.read_text().splitlines()]
        assert len(lines) == road.sample.misfits

    def test_the_catalogue_has_the_table_and_every_partition(self, road, delivered):
        glue = road.workspace.api("glue")
        where = {"DatabaseName": "codeartifactblog_glue_db"}
        table = glue.get_table(**where, Name="taxidataparquet")["Table"]
        assert [key["Name"] for key in table["PartitionKeys"]] == ["year", "app"]
        assert table["StorageDescriptor"]["Location"].rstrip("/") == f"s3://{BUCKET}/dataoutput/taxidataparquet"
        pages = glue.get_paginator("get_partitions").paginate(**where, TableName="taxidataparquet")
        values = {tuple(one["Values"]) for page in pages for one in page["Partitions"]}
        assert values == {(str(year), app) for year, app, _ in sums_of_csv(road.trips)}

    def test_status_and_runs_know_it(self, road, delivered):
        status = road.workspace.told("status", delivered["run"])
        assert (status["state"], status["glue_version"]) == ("SUCCEEDED", "5.1")
        assert status["run"] in {one["run"] for one in road.workspace.told("runs", "taxi")["runs"]}

    def test_nothing_of_the_run_is_left_but_its_output(self, road, delivered):
        until_runs_are_removed(road.workspace)
        assert processes_of(delivered["run"]) == []


class TestStop:
    def test_a_run_in_mid_flight_is_stopped_with_its_whole_tree(self, road):
        workspace = road.workspace
        run = workspace.told("launch", "taxi", "--no-wait")["run"]
        until(lambda: "version.boto3" in text_of_log(workspace, run), "the script starts Spark")
        until(lambda: bool(processes_of(run, "java")), "the Java process of Spark")
        assert workspace.told("stop", run)["state"] in ("STOPPING", "STOPPED")
        until(lambda: workspace.told("status", run)["state"] == "STOPPED", "the run is stopped")
        assert processes_of(run) == []

    def test_whoever_follows_it_gets_status_8_and_another_one_meanwhile_9(self, road):
        workspace = road.workspace
        words = workspace.within(*workspace.command.words("launch", "sleeping", "--modules", "boto3"))
        following = subprocess.Popen(
            words,
            cwd=workspace.folder,
            env=dict(workspace.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for line in following.stderr:
                if "sleeping" in line and "job" not in line:
                    break
            too_many = workspace.ours("launch", "sleeping", "--modules", "boto3")
            (run,) = [one for one in workspace.told("runs", "sleeping")["runs"] if one["state"] == "RUNNING"]
            assert workspace.ours("stop", run["run"]).returncode == 0
            _, err = following.communicate(timeout=60)
        finally:
            following.kill()
        assert too_many.returncode == 9
        assert "Concurrent runs exceeded" in too_many.stderr
        assert following.returncode == 8
        assert err.splitlines()[-1].startswith(f"error: run {run['run']} of sleeping-job ended in STOPPED")


def processes_of(run: str, name: str = "") -> list[psutil.Process]:
    """Return the processes of a job run, by its folder in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "name"]):
        line = " ".join(process.info["cmdline"] or ())
        if run in line and name in process.info["name"]:
            found.append(process)
    return found


@pytest.mark.skipif(not python_for((3, 13), os.environ), reason="Glue 6.0 needs Python 3.13, which is not here")
def test_glue_6_runs_the_same_script(road):
    told = road.workspace.told("launch", "six")
    assert (told["state"], told["glue_version"]) == ("SUCCEEDED", "6.0")
    table = road.workspace.state / "s3" / "trips-six" / "dataoutput" / "taxidataparquet"
    assert sums(read_rows(table)) == sums_of_csv(road.trips)


@needs_python_of_glue_5
def test_down_leaves_nothing_running_and_up_again_finds_what_was_made(tmp_path):
    workspace = Workspace.make(tmp_path, glue_versions={})
    assert workspace.run("local", "up").returncode == 0
    workspace.told("publish")
    workspace.told("launch", "sleeping", "--modules", "boto3", "--no-wait")
    until(lambda: len(marked(workspace.environment[MARK])) > 3, "the processes of the run")
    stopped = workspace.run("local", "down")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert ended(workspace.environment[MARK], seconds=0) == []
    assert workspace.run("local", "up").returncode == 0
    (record,) = workspace.told("publish")["published"]
    assert len(record["already"]) == 2
    assert workspace.run("local", "down").returncode == 0
    assert ended(workspace.environment[MARK]) == []
