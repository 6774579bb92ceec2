"""Every service of a stand-in, asked by clients nobody here wrote: boto3 and the AWS command line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.state import StandIn, StateFolder
from glue_pkgmgr.settings import Settings
from tests.stand_in import BUCKET, sample_settings

ACCOUNT = "111122223333"
REGION = "eu-west-1"
AWS = Path(sys.executable).parent / "aws"
MEBIBYTE = 2**20


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def settings(home: Path) -> Settings:
    return sample_settings(home)


@pytest.fixture(scope="module")
def stand_in(settings: Settings, home: Path) -> Iterator[StandIn]:
    yield up(settings, state=home / "state", progress=silent)
    down(home / "state")


@pytest.fixture
def client(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """boto3 as a user has it: led to the stand-in by the environment alone."""
    environ = stand_in.environment(os.environ)
    for name in os.environ.keys() - environ.keys():
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return boto3.session.Session().client


@pytest.fixture
def aws(stand_in: StandIn, tmp_path: Path) -> Callable[..., str]:
    """The AWS command line with an empty home directory."""
    environ = {**stand_in.environment(os.environ), "HOME": str(tmp_path), "AWS_PAGER": ""}

    def run(*arguments: str | Path, status: int = 0) -> str:
        finished = subprocess.run(
            [AWS, *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert finished.returncode == status, finished.stderr
        return finished.stdout if status == 0 else finished.stderr

    return run


def test_sts_answers_for_the_owner_of_the_domain(client: Callable[[str], Any]) -> None:
    assert client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_a_role_can_be_assumed_and_used(client: Callable[[str], Any], stand_in: StandIn) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/taxi-job"
    assert client("iam").get_role(RoleName="taxi-job")["Role"]["Arn"] == role
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = boto3.session.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    names = [b["Name"] for b in session.client("s3").list_buckets()["Buckets"]]
    assert BUCKET in names
    assert session.client("codeartifact").list_repositories()["repositories"]


def test_what_the_settings_name_is_there(client: Callable[[str], Any]) -> None:
    codeartifact = client("codeartifact")
    domain = {"domain": "the-domain", "domainOwner": ACCOUNT}
    store = codeartifact.describe_repository(**domain, repository="pypi-store")["repository"]
    approved = codeartifact.describe_repository(**domain, repository="approved")["repository"]
    assert [c["externalConnectionName"] for c in store["externalConnections"]] == ["public:pypi"]
    assert (approved["upstreams"], approved["externalConnections"]) == ([], [])
    for repository, publish in (("pypi-store", "BLOCK"), ("approved", "ALLOW")):
        package = codeartifact.list_packages(**domain, repository=repository, format="pypi")["packages"]
        controls = {p["package"]: p["originConfiguration"]["restrictions"] for p in package}
        blocked = {"publish": publish, "upstream": "BLOCK"}
        assert controls == {"glueutils": blocked, "house-style": blocked}
    assert sorted(b["Name"] for b in client("s3").list_buckets()["Buckets"])[:2] == ["staging-area", BUCKET]
    digest = hashlib.sha256(b"print('hello')\n").hexdigest()
    script = client("s3").get_object(Bucket="staging-area", Key=f"glue-pkgmgr/scripts/{digest}/taxi.py")
    assert script["Body"].read() == b"print('hello')\n"
    assert client("glue").get_database(Name="taxi_db")["Database"]["Name"] == "taxi_db"
    job = client("glue").get_job(JobName="taxi-job")["Job"]
    assert (job["GlueVersion"], job["Timeout"], job["MaxRetries"]) == ("5.1", 7, 0)


def test_the_catalogue_holds_tables_and_partitions(client: Callable[[str], Any]) -> None:
    glue = client("glue")
    where = {"DatabaseName": "taxi_db", "TableName": "trips"}
    columns = [{"Name": "trips", "Type": "bigint"}]
    location = f"s3://{BUCKET}/trips/"
    glue.create_table(
        DatabaseName="taxi_db",
        TableInput={
            "Name": "trips",
            "PartitionKeys": [{"Name": "year", "Type": "int"}],
            "StorageDescriptor": {"Columns": columns, "Location": location},
        },
    )
    partition = {
        "Values": ["2026"],
        "StorageDescriptor": {"Columns": columns, "Location": f"{location}year=2026/"},
    }
    assert glue.batch_create_partition(**where, PartitionInputList=[partition]).get("Errors", []) == []
    assert [p["Values"] for p in glue.get_partitions(**where)["Partitions"]] == [["2026"]]
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(DatabaseName="taxi_db", Name="nothing")


def test_logs_are_kept_and_read(client: Callable[[str], Any]) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/aws-glue/jobs/test")
    stream = {"logGroupName": "/aws-glue/jobs/test", "logStreamName": "run"}
    logs.create_log_stream(**stream)
    logs.put_log_events(**stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": "hällo"}])
    events = logs.get_log_events(**stream, startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["hällo"]


def test_step_functions_and_event_bridge_answer(client: Callable[[str], Any]) -> None:
    assert client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert [bus["Name"] for bus in client("events").list_event_buses()["EventBuses"]] == ["default"]


def test_a_job_run_is_ours(client: Callable[[str], Any]) -> None:
    glue = client("glue")
    assert glue.get_job_runs(JobName="taxi-job")["JobRuns"] == []
    with pytest.raises(ClientError) as refused:
        glue.start_job_run(JobName="no-such-job")
    assert refused.value.response["Error"]["Code"] == "EntityNotFoundException"


@pytest.mark.parametrize("key", ["plain.csv", "a/b c/year=2026/ü %=+&.parquet"])
def test_an_object_comes_back_as_it_was_put(client: Callable[[str], Any], key: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"0123456789", ContentType="text/csv")
    found = s3.get_object(Bucket=BUCKET, Key=key)
    assert (found["Body"].read(), found["ContentType"]) == (b"0123456789", "text/csv")
    assert s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=2-4")["Body"].read() == b"234"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"][0]["Size"] == 10
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    assert requests.get(url, timeout=10).content == b"0123456789"
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key=key)


def test_a_large_object_in_parts_comes_back_equal(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    content = os.urandom(50 * MEBIBYTE)
    s3.upload_fileobj(io.BytesIO(content), BUCKET, "large.bin")
    assert s3.head_object(Bucket=BUCKET, Key="large.bin")["ContentLength"] == len(content)
    received = io.BytesIO()
    s3.download_fileobj(BUCKET, "large.bin", received)
    assert received.getvalue() == content
    s3.delete_object(Bucket=BUCKET, Key="large.bin")


def test_an_object_put_at_once_is_downloaded_in_parts(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    content = os.urandom(20 * MEBIBYTE)
    s3.put_object(Bucket=BUCKET, Key="whole.bin", Body=content)
    received = io.BytesIO()
    s3.download_fileobj(BUCKET, "whole.bin", received)
    assert received.getvalue() == content
    s3.delete_object(Bucket=BUCKET, Key="whole.bin")


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("put_object_tagging", {"Key": "kept", "Tagging": {"TagSet": []}}),
        ("put_object_acl", {"Key": "kept", "ACL": "private"}),
        ("get_object_tagging", {"Key": "kept"}),
        ("put_object", {"Key": "kept", "Body": b"lost", "IfNoneMatch": '"0f"'}),
        ("put_object", {"Key": "kept", "Body": b"lost", "IfMatch": "*"}),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
        ("get_bucket_policy", {}),
    ],
)
def test_what_s3_lacks_is_refused_and_destroys_nothing(
    client: Callable[[str], Any], operation: str, arguments: dict[str, Any]
) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    with pytest.raises(ClientError, match=r"The stand-in (does not implement|implements no)") as refused:
        getattr(s3, operation)(Bucket=BUCKET, **arguments)
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert s3.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    s3.delete_object(Bucket=BUCKET, Key="kept")


def test_an_object_that_exists_is_not_written_if_it_had_to_be_new(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    new = {"Bucket": BUCKET, "Key": "once ü/1.json", "IfNoneMatch": "*"}
    s3.put_object(**new, Body=b"first")
    with pytest.raises(ClientError) as refused:
        s3.put_object(**new, Body=b"second" * MEBIBYTE)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=BUCKET, Key=new["Key"])["Body"].read() == b"first"
    s3.delete_object(Bucket=BUCKET, Key=new["Key"])
    s3.put_object(**new, Body=b"third")
    s3.delete_object(Bucket=BUCKET, Key=new["Key"])


def test_an_upload_in_parts_is_not_completed_over_another_object(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    name = {"Bucket": BUCKET, "Key": "parts.bin"}
    upload = {**name, "UploadId": s3.create_multipart_upload(**name)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"late")["ETag"]}
    s3.put_object(**name, Body=b"early")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]}, IfNoneMatch="*")
    assert s3.get_object(**name)["Body"].read() == b"early"
    s3.abort_multipart_upload(**upload)
    s3.delete_object(**name)


def test_of_two_who_write_a_new_object_at_the_same_time_one_does(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    ready = threading.Barrier(2)

    def write(key: str, body: bytes) -> bytes | None:
        ready.wait(timeout=30)
        try:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as e:
            assert e.response["Error"]["Code"] == "PreconditionFailed"
            return None
        return body

    with ThreadPoolExecutor(2) as both:
        for number in range(20):
            key = f"raced/{number}"
            outcome = [both.submit(write, key, body) for body in (b"one", b"two" * 100_000)]
            written = [body for body in (each.result(timeout=60) for each in outcome) if body is not None]
            assert len(written) == 1
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == written[0]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"raced/{number}"} for number in range(20)]})


def test_a_part_of_an_object_passes_the_clients_own_checks(client: Callable[[str], Any]) -> None:
    strict = client("s3")  # its default is to compare every checksum it is told
    strict.put_object(Bucket=BUCKET, Key="checked", Body=b"0123456789", Metadata={"my_key": "kept"})
    part = strict.get_object(Bucket=BUCKET, Key="checked", Range="bytes=2-4")
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["Body"].read() == b"234"
    whole = strict.get_object(Bucket=BUCKET, Key="checked")
    assert whole["Body"].read() == b"0123456789"
    assert {name.lower() for name in whole["Metadata"]} == {"my_key"}
    strict.delete_object(Bucket=BUCKET, Key="checked")


def test_a_body_of_unknown_length_is_refused_as_s3_does(client: Callable[[str], Any]) -> None:
    url = client("s3").generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "stream"})
    answer = requests.put(url, data=iter([b"a", b"b"]), timeout=30)  # requests sends an iterator in chunks
    assert (answer.status_code, "MissingContentLength" in answer.text) == (411, True)
    assert client("s3").list_objects_v2(Bucket=BUCKET, Prefix="stream").get("Contents", []) == []


def test_a_large_body_for_a_missing_bucket_gets_the_answer_of_s3(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.put_object(Bucket="no-such-bucket", Key="large", Body=b"x" * (20 * MEBIBYTE))


def test_an_upload_that_breaks_off_leaves_nothing(home: Path, client: Callable[[str], Any]) -> None:
    target = urlsplit(
        client("s3").generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "broken"})
    )
    folder = StateFolder(home / "state").s3 / BUCKET

    def begun() -> bool:
        return bool(list(folder.glob(".rclone_temp_*")))

    with socket.create_connection(("127.0.0.1", target.port or 0)) as connection:
        head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: s3\r\nContent-Length: 9000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 3_000_000)
        until(begun)
    until(lambda: not begun())
    assert client("s3").list_objects_v2(Bucket=BUCKET, Prefix="broken").get("Contents", []) == []
    assert list(folder.glob("*broken*")) == []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_written_into_the_folder_of_a_bucket_is_an_object_at_once(
    client: Callable[[str], Any], home: Path
) -> None:
    s3 = client("s3")
    folder = StateFolder(home / "state").s3 / BUCKET / "from-spark"
    for number in range(100):  # the folder has been listed before the second one is written
        folder.mkdir(exist_ok=True)
        (folder / f"part-{number:02}.parquet").write_bytes(b"x")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="from-spark/")["Contents"]
        assert [o["Key"] for o in listed] == [f"from-spark/part-{n:02}.parquet" for n in range(number + 1)]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": o["Key"]} for o in listed]})
    assert not folder.exists()
    assert BUCKET in [b["Name"] for b in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/../../outside"])
def test_no_key_leads_out_of_the_bucket(client: Callable[[str], Any], home: Path, key: str) -> None:
    with pytest.raises(ClientError):
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert list(home.rglob("outside")) == []


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sqs", "list_queues", {}),
        ("redshift", "describe_clusters", {}),
        ("dynamodb", "list_tables", {}),
        ("cloudformation", "list_types", {}),
        ("cloudwatch", "list_managed_insight_rules", {"ResourceARN": "arn:x"}),
        ("glue", "list_blueprints", {}),
        ("logs", "list_anomalies", {}),
        ("iam", "get_organizations_access_report", {"JobId": "0" * 36}),
        ("stepfunctions", "validate_state_machine_definition", {"definition": "{}"}),
    ],
)
def test_what_is_not_implemented_says_so_once(
    client: Callable[[str], Any], service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match=r"in the stand-in|The stand-in does not implement") as refused:
        getattr(client(service), operation)(**arguments)
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    answer = refused.value.response["ResponseMetadata"]
    assert (answer["HTTPStatusCode"], answer["RetryAttempts"]) == (501, 0)


def test_an_unsigned_request_is_refused(stand_in: StandIn) -> None:
    answer = requests.get(f"{stand_in.endpoint}/v1/domain?domain=the-domain", timeout=10)
    assert (answer.status_code, answer.json()["__type"]) == (403, "MissingAuthenticationToken")


def test_nothing_of_moto_itself_can_be_reached(stand_in: StandIn) -> None:
    assert requests.post(f"{stand_in.endpoint}/moto-api/reset", timeout=10).status_code == 403


def test_the_aws_command_line_copies_objects(aws: Callable[..., str], tmp_path: Path) -> None:
    source, back = tmp_path / "data ü.csv", tmp_path / "back.csv"
    source.write_bytes(os.urandom(9 * MEBIBYTE))
    url = f"s3://{BUCKET}/cli/data ü.csv"
    aws("s3", "cp", source, url)
    assert "data ü.csv" in aws("s3", "ls", f"s3://{BUCKET}/cli/")
    aws("s3", "cp", url, back)
    assert back.read_bytes() == source.read_bytes()
    aws("s3", "rm", url)


def test_the_aws_command_line_reads_jobs_logs_and_identity(aws: Callable[..., str]) -> None:
    jobs = json.loads(aws("glue", "get-jobs"))["Jobs"]
    assert [job["Name"] for job in jobs] == ["taxi-job"]
    assert "logGroups" in json.loads(aws("logs", "describe-log-groups"))
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == ACCOUNT
    assert "does not implement dynamodb" in aws("dynamodb", "list-tables", status=255)


def test_the_aws_command_line_gets_a_token_and_an_endpoint(aws: Callable[..., str], stand_in: StandIn) -> None:
    domain = ["--domain", "the-domain", "--domain-owner", ACCOUNT]
    token = json.loads(aws("codeartifact", "get-authorization-token", *domain, "--duration-seconds", "900"))
    endpoint = json.loads(
        aws("codeartifact", "get-repository-endpoint", *domain, "--repository", "approved", "--format", "pypi")
    )["repositoryEndpoint"]
    assert endpoint.startswith(f"{stand_in.endpoint}/pypi/")
    page = requests.get(
        f"{endpoint.rstrip('/')}/simple/glueutils/", auth=("aws", token["authorizationToken"]), timeout=10
    )
    unknown = requests.get(f"{endpoint.rstrip('/')}/simple/glueutils/", auth=("aws", "guess"), timeout=10)
    assert page.status_code in {200, 404}  # nothing is published yet
    assert unknown.status_code == 401


def test_a_restart_keeps_packages_and_objects(settings: Settings, tmp_path: Path) -> None:
    state = tmp_path / "state"
    try:
        first = Clients(up(settings, state=state, progress=silent))
        first("s3").put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
        first("codeartifact").create_repository(domain="the-domain", repository="another")
        token = first("codeartifact").get_authorization_token(domain="the-domain")["authorizationToken"]
        down(state)
        again = up(settings, state=state, progress=silent)
        second = Clients(again)
        assert second("s3").get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
        names = [r["name"] for r in second("codeartifact").list_repositories()["repositories"]]
        assert names == ["another", "approved", "pypi-store"]
        index = second("codeartifact").get_repository_endpoint(
            domain="the-domain", repository="approved", format="pypi"
        )["repositoryEndpoint"]
        page = requests.get(f"{index.rstrip('/')}/simple/glueutils/", auth=("aws", token), timeout=10)
        assert page.status_code != 401
    finally:
        down(state)


def test_what_a_stand_in_keeps_holds_no_token(stand_in: StandIn, home: Path) -> None:
    token = Clients(stand_in)("codeartifact").get_authorization_token(domain="the-domain")["authorizationToken"]
    kept = [path for path in (home / "state").rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if token.encode() in path.read_bytes()] == []
