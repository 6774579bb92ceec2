"""Faults on demand in a whole stand-in, as clients nobody here wrote meet them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from glue_pkgmgr.core.job import JobRunState
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.local.gateway import FAULTS_PATH
from glue_pkgmgr.local.lifecycle import down, status, up
from glue_pkgmgr.local.state import StandIn
from glue_pkgmgr.local.switches import FaultInForce, Switches
from glue_pkgmgr.settings import Settings
from tests.stand_in import BUCKET, sample_settings

JOB = "many"
DOMAIN = {"domain": "the-domain", "domainOwner": "111122223333"}
ENDS = [state for state in JobRunState if state.outcome is not None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def settings(home: Path) -> Settings:
    return sample_settings(home)


@pytest.fixture(scope="module")
def stand_in(settings: Settings, home: Path) -> Iterator[StandIn]:
    yield up(settings, state=home / "state", progress=lambda _: None)
    down(home / "state")


@pytest.fixture(scope="module")
def client(stand_in: StandIn) -> Callable[[str], Any]:
    """boto3 that asks once, so that a test sees each answer."""
    made = {
        service: boto3.client(
            service,
            endpoint_url=stand_in.endpoint,
            region_name=stand_in.region,
            aws_access_key_id="a",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        for service in ("codeartifact", "glue", "iam", "logs", "s3", "stepfunctions", "sts")
    }
    made["glue"].create_job(
        Name=JOB,
        Role="taxi-job",
        GlueVersion="5.1",
        Command={"Name": "glueetl", "ScriptLocation": "s3://staging-area/nothing.py"},
        ExecutionProperty={"MaxConcurrentRuns": 300},
    )
    return made.__getitem__


@pytest.fixture(autouse=True)
def switches(stand_in: StandIn) -> Iterator[Switches]:
    yield stand_in.switches
    stand_in.switches.clear()


CALLS: dict[str, Callable[[Any], Any]] = {
    "codeartifact": lambda client: client.list_repositories(),
    "glue": lambda client: client.get_job_runs(JobName=JOB),
    "iam": lambda client: client.list_roles(),
    "logs": lambda client: client.describe_log_groups(),
    "s3": lambda client: client.list_objects_v2(Bucket=BUCKET),
    "stepfunctions": lambda client: client.list_state_machines(),
    "sts": lambda client: client.get_caller_identity(),
}
OPERATIONS = {
    "codeartifact": "codeartifact:ListRepositories",
    "glue": "glue:GetJobRuns",
    "iam": "iam:ListRoles",
    "logs": "logs:DescribeLogGroups",
    "s3": "s3:ListObjectsV2",
    "stepfunctions": "states:ListStateMachines",
    "sts": "sts:GetCallerIdentity",
}


@pytest.mark.parametrize(
    ("service", "asked", "told"),
    [
        ("codeartifact", "429", (429, "ThrottlingException")),
        ("codeartifact", "500", (500, "InternalServerException")),
        ("codeartifact", "ConflictException", (409, "ConflictException")),
        ("glue", "429", (400, "ThrottlingException")),
        ("glue", "500", (500, "InternalServiceException")),
        ("glue", "503", (503, "ServiceUnavailable")),
        ("glue", "403", (400, "AccessDeniedException")),
        ("glue", "ConcurrentRunsExceededException", (400, "ConcurrentRunsExceededException")),
        ("iam", "403", (403, "AccessDenied")),
        ("logs", "429", (400, "ThrottlingException")),
        ("logs", "503", (500, "ServiceUnavailableException")),
        ("s3", "429", (503, "SlowDown")),
        ("s3", "500", (500, "InternalError")),
        ("s3", "403", (403, "AccessDenied")),
        ("stepfunctions", "503", (503, "ServiceUnavailable")),
        ("sts", "429", (400, "Throttling")),
        ("sts", "ExpiredToken", (400, "ExpiredToken")),
        ("sts", "502", (502, "502")),
    ],
)
def test_a_service_refuses_in_its_own_shape(
    client: Callable[[str], Any], switches: Switches, service: str, asked: str, told: tuple[int, str]
) -> None:
    with switches.faults(f"{OPERATIONS[service]}={asked}*1"):
        with pytest.raises(ClientError) as refused:
            CALLS[service](client(service))
        CALLS[service](client(service))
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == told


@pytest.mark.parametrize("service", CALLS)
def test_any_call_can_be_lost_dropped_or_slow(
    client: Callable[[str], Any], switches: Switches, service: str
) -> None:
    with switches.faults(f"{OPERATIONS[service]}=lost*1", "all=dropped*1", "all=30ms"):
        for _ in range(2):
            with pytest.raises(BotoCoreError):
                CALLS[service](client(service))
        began = time.monotonic()
        CALLS[service](client(service))
        assert time.monotonic() - began >= 0.03


def test_a_start_whose_answer_is_lost_has_happened_and_a_dropped_one_has_not(
    client: Callable[[str], Any], switches: Switches
) -> None:
    glue = client("glue")
    for answer, started in (("lost", 1), ("dropped", 0)):
        mark = {"--mark": answer}
        with (
            switches.faults(f"glue:StartJobRun={answer}", "run:end=SUCCEEDED"),
            pytest.raises(ConnectionClosedError),
        ):
            glue.start_job_run(JobName=JOB, Arguments=mark)
        runs = glue.get_job_runs(JobName=JOB)["JobRuns"]
        assert [run["Arguments"] for run in runs].count(mark) == started


def test_a_put_whose_answer_is_lost_has_happened(client: Callable[[str], Any], switches: Switches) -> None:
    s3 = client("s3")
    with switches.faults("s3:PutObject=lost"), pytest.raises(BotoCoreError):
        s3.put_object(Bucket=BUCKET, Key="lost", Body=b"x" * 3_000_000)
    assert s3.head_object(Bucket=BUCKET, Key="lost")["ContentLength"] == 3_000_000
    s3.delete_object(Bucket=BUCKET, Key="lost")


# --- the index and its tokens


@pytest.fixture
def page(client: Callable[[str], Any]) -> Callable[[], requests.Response]:
    """Ask for a page of the index, which has no such project, with a token minted now."""
    codeartifact = client("codeartifact")
    endpoint = codeartifact.get_repository_endpoint(**DOMAIN, repository="approved", format="pypi")
    token = codeartifact.get_authorization_token(**DOMAIN)["authorizationToken"]
    url = f"{endpoint['repositoryEndpoint']}simple/boto3/"
    return lambda: requests.get(url, auth=("aws", token), timeout=30)


def test_the_index_refuses_as_told(page: Callable[[], requests.Response], switches: Switches) -> None:
    with switches.faults(*(f"index:page={status}*1" for status in (401, 429, 502)), "index:file=500"):
        told = [page() for _ in range(4)]
    assert [answer.status_code for answer in told] == [401, 429, 502, 404]
    assert told[0].headers["WWW-Authenticate"].startswith("Basic")
    assert "no release of boto3" in told[3].text


def test_a_dead_token_is_refused_with_401_or_404_and_lives_again_afterwards(
    page: Callable[[], requests.Response], switches: Switches, client: Callable[[str], Any]
) -> None:
    assert "no release of boto3" in page().text
    with switches.faults("token:dies=now"):
        assert page().status_code == 401
    with switches.faults("token:dies=install", "token:answer=404", "run:end=SUCCEEDED"):
        assert "no release of boto3" in page().text
        start(client)
        until(lambda: "no valid token" in page().text)
        assert (page().status_code, "WWW-Authenticate" in page().headers) == (404, False)
    assert "no release of boto3" in page().text


# --- job runs


def start(client: Callable[[str], Any], job: str = JOB) -> str:
    return str(client("glue").start_job_run(JobName=job)["JobRunId"])


def look(client: Callable[[str], Any], run: str, job: str = JOB) -> dict[str, Any]:
    return dict(client("glue").get_job_run(JobName=job, RunId=run)["JobRun"])


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def reach(client: Callable[[str], Any], run: str, *states: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        told = look(client, run)
        return told if told["JobRunState"] in states else None

    return dict(until(found))


def test_runs_end_in_each_state_and_execute_nothing(client: Callable[[str], Any], switches: Switches) -> None:
    with switches.faults(*(f"run:end={state}*1" for state in ENDS), "run:message=why: a=b*2*1", "run:seconds=60"):
        runs = [start(client) for _ in ENDS]
        ended = [reach(client, run, *ENDS) for run in runs]
    assert [run["JobRunState"] for run in ended] == list(ENDS)
    assert ended[0]["ErrorMessage"] == "why: a=b*2"
    assert {run["ExecutionTime"] for run in ended} == {60}
    assert all("ErrorMessage" in run for run in ended[1:] if run["JobRunState"] not in ("SUCCEEDED", "STOPPED"))


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        (["run:waiting=ever"], "WAITING"),
        (["run:waiting=50ms", "run:starting=ever"], "STARTING"),
        (["run:waiting=50ms", "run:starting=50ms", "run:running=ever"], "RUNNING"),
        (["run:running=ever", "run:state=PAUSED"], "PAUSED"),
    ],
)
def test_a_run_stays_in_any_state_and_is_stopped_there(
    client: Callable[[str], Any], switches: Switches, rules: list[str], state: str
) -> None:
    with switches.faults(*rules, "run:end=EXPIRED"):
        run = start(client)
        assert ("StateDetail" in reach(client, run, state)) is (state == "WAITING")
        client("glue").batch_stop_job_run(JobName=JOB, JobRunIds=[run])
        assert "ErrorMessage" not in reach(client, run, "STOPPED")


def test_a_run_that_waits_does_not_start_because_another_ends(
    client: Callable[[str], Any], switches: Switches
) -> None:
    with switches.faults("run:waiting=ever*1", "run:end=SUCCEEDED"):
        waiting, other = start(client), start(client)
        reach(client, other, "SUCCEEDED")
        assert look(client, waiting)["JobRunState"] == "WAITING"
        client("glue").batch_stop_job_run(JobName=JOB, JobRunIds=[waiting])
        reach(client, waiting, "STOPPED")


def test_many_simulated_runs_cost_little(client: Callable[[str], Any], switches: Switches) -> None:
    switches.forget_calls()
    with switches.faults("run:waiting=100ms", "run:end=SUCCEEDED"):
        runs = {start(client) for _ in range(100)}
        until(
            lambda: (
                {
                    run["JobRunState"]
                    for run in client("glue").get_job_runs(JobName=JOB)["JobRuns"]
                    if run["Id"] in runs
                }
                == {"SUCCEEDED"}
            )
        )
    count = switches.calls()["glue:StartJobRun"]
    assert (count.count, 1 <= count.busiest_second <= 100) == (100, True)
    assert "glue:GetJob" not in switches.calls()  # of the stand-in itself


# --- logs


def messages(client: Callable[[str], Any], run: str, kind: str = "output") -> list[str]:
    found = client("logs").filter_log_events(
        logGroupName=f"/aws-glue/jobs/{kind}", logStreamNamePrefix=run, limit=10_000
    )
    return [event["message"] for event in found["events"]]


def test_a_simulated_run_has_its_lines_in_order(client: Callable[[str], Any], switches: Switches) -> None:
    with switches.faults(
        "run:lines=500", "run:huge-line=300000", "run:error-line=INFO\\tpip", "run:end=FAILED", "logs:endings=crlf"
    ):
        run = start(client)
        reach(client, run, "FAILED")
    lines = messages(client, run)
    assert lines[:500] == [f"line {number}\r\n" for number in range(1, 501)]
    assert sum(len(line.rstrip()) for line in lines[500:]) == 300_000
    assert messages(client, run, "error") == ["INFO\tpip\r\n"]


def test_lines_come_late_and_out_of_order(client: Callable[[str], Any], switches: Switches) -> None:
    with switches.faults("run:lines=4", "logs:late=200ms", "logs:mixed=300ms"):
        run = start(client)
        reach(client, run, "SUCCEEDED")
        until(lambda: len(messages_if_there(client, run)) == 4)
    found = client("logs").filter_log_events(logGroupName="/aws-glue/jobs/output", logStreamNamePrefix=run)[
        "events"
    ]
    assert [event["message"] for event in found] == ["line 1", "line 2", "line 3", "line 4"]
    late = [event["ingestionTime"] - found[0]["timestamp"] for event in found]
    assert [late[1] >= 200, late[3] >= 200, late[0] >= 500, late[2] >= 500] == [True] * 4


def test_log_groups_are_missing_or_forbidden(client: Callable[[str], Any], switches: Switches) -> None:
    with switches.faults("run:line=hello", "run:end=SUCCEEDED"):
        run = start(client)
        reach(client, run, "SUCCEEDED")
    for rule, code in (
        ("logs:missing=ever", "ResourceNotFoundException"),
        ("logs:FilterLogEvents=403", "AccessDeniedException"),
    ):
        with switches.faults(rule), pytest.raises(ClientError, match=code):
            messages(client, run)
    with switches.faults("logs:missing=200ms", "run:end=SUCCEEDED"):
        with pytest.raises(ClientError):
            messages(client, run)
        start(client)
        assert until(lambda: messages_if_there(client, run)) == ["hello"]


def messages_if_there(client: Callable[[str], Any], run: str) -> list[str]:
    try:
        return messages(client, run)
    except ClientError:
        return []


# --- the switches themselves


def test_the_stand_in_itself_meets_no_fault(
    client: Callable[[str], Any], switches: Switches, settings: Settings, home: Path
) -> None:
    rules = ["glue:GetJob=503", "logs:PutLogEvents=503", "s3=503", "iam=lost", "codeartifact=429"]
    with switches.faults(*rules, "run:line=hello"):
        run = start(client)
        reach(client, run, "SUCCEEDED")
        up(settings, state=home / "state", progress=lambda _: None)
        assert messages(client, run) == ["hello"]
        assert status(home / "state").faults == (*rules, "run:line=hello")
    assert status(home / "state").faults == ()


def test_rules_replace_those_before_and_tell_how_often_they_were_used(
    client: Callable[[str], Any], switches: Switches
) -> None:
    switches.set("glue=503")
    assert switches.set("sts=1ms*2", "run:line=a  b\\n") == switches.in_force()
    client("sts").get_caller_identity()
    assert switches.in_force() == [
        FaultInForce(rule="sts=1ms*2", used=1),
        FaultInForce(rule="run:line=a  b\\n", used=0),
    ]
    with pytest.raises(SettingsError, match="did you mean 'StartJobRun'"):
        switches.set("s3=503", "glue:StartJobrun=503")
    with pytest.raises(SettingsError, match="did you mean 'SlowDown'"):
        switches.set("s3=SlowDwn")
    assert [one.rule for one in switches.in_force()] == ["sts=1ms*2", "run:line=a  b\\n"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"rules": 3}', b'{"rules": [3]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_list_of_rules_is_refused(stand_in: StandIn, switches: Switches, body: bytes) -> None:
    switches.set("sts=1ms")
    answer = requests.put(f"{stand_in.endpoint}{FAULTS_PATH}", data=body, timeout=30)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert requests.post(f"{stand_in.endpoint}{FAULTS_PATH}", timeout=30).status_code == 405
    assert len(switches.in_force()) == 1


def test_where_no_stand_in_answers_that_is_said() -> None:
    with pytest.raises(RemoteError, match="local up"):
        Switches("http://127.0.0.1:1").calls()
