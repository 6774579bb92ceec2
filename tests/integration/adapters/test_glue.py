"""The Glue, S3 and CloudWatch Logs adapters against moto's server, over the wire of boto3."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.glue import GlueJobs
from glue_pkgmgr.adapters.logs import CloudWatchLogs
from glue_pkgmgr.adapters.s3 import S3Staging
from glue_pkgmgr.core.job import LAUNCH_ID, JobRun, JobRunId, JobRunState, LogLine, Outcome
from glue_pkgmgr.errors import NoCapacity, RemoteError, SettingsError
from glue_pkgmgr.ports import NoAnswer, StartThrottled
from tests.integration.adapters.loopback import Scripted, Seen, environment, reply, scripted

REGION = "us-east-1"
RUN = JobRunId("jr_1")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def aws(server: str) -> Clients:
    return Clients(environment(server), REGION)


def answering(*answers: tuple[int, dict[str, Any]]) -> Any:
    """Return a server that gives `answers` in turn, the last one for ever."""
    left = list(answers)

    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        reply(handler, status, json.dumps(body).encode(), Content_Type="application/x-amz-json-1.1")

    return scripted(answer)


def glue_of(server: Scripted) -> GlueJobs:
    clients = Clients(environment(server.url), REGION)
    return GlueJobs(clients.client("glue"), clients.client("glue", read_seconds=1, attempts=1))


def refusal(code: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": code, "Message": "as told"}


PAGE = b"<html><body>" + b"Sign in to the network. " * 1000 + b"</body></html>"
STRANGE = [
    (200, PAGE),
    (200, b"[1, 2]"),
    (200, b"\xff\xfe\x00"),
    (200, b'{"JobRun": "x", "Job": "x", "JobRunId": null, "events": "x"}'),
    (200, b""),
    (204, b""),
    (302, b""),
    (400, PAGE),
    (407, PAGE),
]
"""What stands between AWS and us may answer: pages, and JSON of others."""


def strangely(status: int, body: bytes) -> Any:
    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        reply(handler, status, body, Location="/login")

    return scripted(answer)


@pytest.mark.parametrize(("status", "body"), STRANGE)
def test_what_is_no_answer_of_aws_is_an_error_in_a_sentence(status: int, body: bytes) -> None:
    with strangely(status, body) as server:
        jobs = glue_of(server)
        for call in (lambda: jobs.run("taxi", RUN), lambda: jobs.definition("taxi")):
            with pytest.raises(RemoteError, match=r"could not read .* of AWS[:;] check the proxy") as told:
                call()
            assert len(str(told.value)) < 800


@pytest.mark.parametrize(("status", "body"), STRANGE)
def test_after_no_answer_of_aws_to_a_start_the_run_may_be_there(status: int, body: bytes) -> None:
    with strangely(status, body) as server, pytest.raises(NoAnswer) as told:
        glue_of(server).start("taxi", {})
    assert len(str(told.value)) < 800


@pytest.mark.parametrize(("status", "body"), STRANGE)
def test_a_log_of_no_answer_of_aws_is_trouble_and_not_empty(status: int, body: bytes) -> None:
    with strangely(status, body) as server:
        reader = CloudWatchLogs(Clients(environment(server.url), REGION).client("logs")).open(
            JobRun(job="taxi", id=RUN, state=JobRunState.RUNNING)
        )
        assert reader.read() == []
        assert "the log cannot be read" in (reader.trouble or "")


# Glue


def test_a_job_is_started_read_and_listed(aws: Clients) -> None:
    client = aws.client("glue")
    client.create_job(Name="taxi", Role="r", Command={"Name": "glueetl"}, GlueVersion="5.1")
    jobs = GlueJobs(client)
    definition = jobs.definition("taxi")
    assert definition is not None
    assert definition["GlueVersion"] == "5.1"
    run = jobs.start("taxi", {"--day": "1"})
    assert jobs.run("taxi", run).id == run
    assert jobs.find("taxi", run) is not None
    assert [one.id for one in jobs.runs("taxi", 10)] == [run]


def test_a_job_or_run_that_is_not_there_is_none(aws: Clients) -> None:
    aws.client("glue").create_job(Name="other", Role="r", Command={"Name": "glueetl"})
    jobs = GlueJobs(aws.client("glue"))
    assert jobs.definition("absent") is None
    assert jobs.find("absent", RUN) is None
    with pytest.raises(RemoteError, match="could not read run jr_1 of Glue job 'absent'"):
        jobs.run("absent", RUN)


@pytest.mark.parametrize("code", ["ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"])
def test_a_start_at_a_limit_is_no_capacity(code: str) -> None:
    with answering(refusal(code)) as server, pytest.raises(NoCapacity, match="could not start Glue job 'taxi'"):
        glue_of(server).start("taxi", {})


def test_a_refused_start_tells_the_permission() -> None:
    with (
        answering(refusal("AccessDeniedException")) as server,
        pytest.raises(RemoteError, match="glue:StartJobRun"),
    ):
        glue_of(server).start("taxi", {})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, {"__type": "InternalServiceException", "Message": "as told"}), NoAnswer),
        ((400, {"__type": "OperationTimeoutException", "Message": "as told"}), NoAnswer),
        ((503, {}), NoAnswer),
        (refusal("ThrottlingException"), StartThrottled),
        ((429, {"__type": "TooManyRequestsException", "Message": "as told"}), StartThrottled),
    ],
)
def test_a_start_that_fails_is_not_sent_again_by_anybody_beneath(
    answer: tuple[int, dict[str, Any]], error: type[RemoteError]
) -> None:
    with answering(answer) as server:
        with pytest.raises(error, match="could not start Glue job 'taxi'"):
            glue_of(server).start("taxi", {})
        assert len(server.seen) == 1


@pytest.mark.parametrize("how", ["closed", "silent", "cut off"])
def test_a_start_without_an_answer_is_told_from_one_that_was_refused(how: str) -> None:
    released = threading.Event()

    def answer(seen: Seen, handler: BaseHTTPRequestHandler) -> None:
        if how == "silent":
            released.wait(30)
        elif how == "cut off":
            reply(handler, 200, b'{"JobRunId"', length=100)
        handler.close_connection = True

    with scripted(answer) as server:
        try:
            with pytest.raises(NoAnswer, match="could not start Glue job 'taxi': no answer came"):
                glue_of(server).start("taxi", {})
        finally:
            released.set()
        assert len(server.seen) == 1


def test_a_start_that_reached_nobody_is_not_in_doubt() -> None:
    with answering((200, {})) as server:
        jobs = glue_of(server)
    with pytest.raises(RemoteError, match="could not start Glue job 'taxi'") as refused:
        jobs.start("taxi", {})
    assert not isinstance(refused.value, NoAnswer)


def test_the_runs_of_a_launch_are_found_page_by_page_and_no_further() -> None:
    def page(*runs: tuple[str, str | None], more: bool = True) -> tuple[int, dict[str, Any]]:
        told = [
            told_run(Id=name, Arguments={LAUNCH_ID: launch} if launch else {})[1]["JobRun"]
            for name, launch in runs
        ]
        return 200, {"JobRuns": told, **({"NextToken": "t"} if more else {})}

    ours = "0123456789abcdef" * 2
    with answering(page(("jr_3", None)), page(("jr_2", f"{ours}-2"), ("jr_1", ours))) as server:
        assert [run.id for run in glue_of(server).launched("taxi", ours, 1000)] == ["jr_2", "jr_1"]
        assert len(server.seen) == 2
    with answering(page(("jr_3", None), ("jr_2", None))) as server:
        assert glue_of(server).launched("taxi", ours, 4) == []
        assert [json.loads(seen.body).get("MaxResults") for seen in server.seen] == [4, 2]
    with answering(page(more=False)) as server:
        assert glue_of(server).launched("taxi", ours, 4) == []


def told_run(**changes: object) -> tuple[int, dict[str, Any]]:
    return 200, {"JobRun": {"Id": "jr_1", "JobName": "taxi", "JobRunState": "RUNNING", **changes}}


@pytest.mark.parametrize("state", JobRunState)
def test_every_state_is_understood(state: JobRunState) -> None:
    with answering(told_run(JobRunState=state.value)) as server:
        assert glue_of(server).run("taxi", RUN) == JobRun(job="taxi", id=RUN, state=state)


def test_a_state_nobody_knows_is_told_as_it_is_and_ends_with_the_run() -> None:
    for changes, outcome in (({}, None), ({"CompletedOn": 1795348860}, Outcome.FAILED)):
        with answering(told_run(JobRunState="DREAMING", **changes)) as server:
            state = glue_of(server).run("taxi", RUN).state
        assert (str(state), state.outcome) == ("DREAMING", outcome)


def test_what_glue_says_holds_no_password() -> None:
    told = told_run(ErrorMessage="Looking in https:://aws:SECRET@host/simple/", StateDetail="//a:SECRET@b")
    with answering(told) as server:
        assert "SECRET" not in repr(glue_of(server).run("taxi", RUN))


def test_what_a_run_tells_is_read() -> None:
    reply_ = told_run(
        StartedOn=1795348800.5,
        CompletedOn=1795348860,
        ExecutionTime=60,
        GlueVersion="5.1",
        ErrorMessage="no",
        LogGroupName="/g",
    )
    with answering(reply_) as server:
        run = glue_of(server).run("taxi", RUN)
    assert run.started == datetime.fromtimestamp(1795348800.5, UTC)
    assert run.completed == datetime.fromtimestamp(1795348860, UTC)
    assert (run.execution_seconds, run.glue_version, run.error_message, run.log_group) == (60, "5.1", "no", "/g")


def test_runs_are_told_newest_first_and_no_more_than_asked_for() -> None:
    pages = [
        (200, {"JobRuns": [told_run(Id=f"jr_{n}", StartedOn=n)[1]["JobRun"] for n in page], **token})
        for page, token in (((1, 3), {"NextToken": "t"}), ((2, 0), {"NextToken": "u"}), ((4, 5), {}))
    ]
    with answering(*pages) as server:
        assert [run.id for run in glue_of(server).runs("taxi", 3)] == ["jr_3", "jr_2", "jr_1"]


def test_a_stop_that_aws_reports_as_failed_is_an_error() -> None:
    failed = {"Errors": [{"JobRunId": "jr_1", "ErrorDetail": {"ErrorCode": "X", "ErrorMessage": "it has ended"}}]}
    with (
        answering((200, failed)) as server,
        pytest.raises(RemoteError, match=r"could not stop run jr_1 .*: it has ended"),
    ):
        glue_of(server).stop("taxi", RUN)
    with answering((200, {"SuccessfulSubmissions": []})) as server:
        glue_of(server).stop("taxi", RUN)


# S3


@pytest.fixture
def bucket(aws: Clients) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket="staging")
    return client


def test_a_secret_object_is_stored_encrypted_and_deleted(bucket: Any) -> None:
    staging = S3Staging(bucket)
    staging.put("s3://staging/a/r.txt", b"secret")
    told = bucket.get_object(Bucket="staging", Key="a/r.txt")
    assert (told["Body"].read(), told["ServerSideEncryption"]) == (b"secret", "aws:kms")
    staging.delete("s3://staging/a/r.txt")
    staging.delete("s3://staging/a/r.txt")
    assert bucket.list_objects_v2(Bucket="staging", Prefix="a/").get("KeyCount") == 0


def test_a_file_is_stored_unless_one_of_its_size_is_there(bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(b"one")
    staging = S3Staging(bucket)
    for content, expected in ((b"one", b"one"), (b"two", b"one"), (b"three", b"three")):
        path.write_bytes(content)
        staging.put_file("s3://staging/w/a.whl", path)
        assert bucket.get_object(Bucket="staging", Key="w/a.whl")["Body"].read() == expected


def test_a_bucket_that_is_not_there_is_an_error_of_aws(bucket: Any, tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"x")
    staging = S3Staging(bucket)
    with pytest.raises(RemoteError, match="could not write s3://absent/a"):
        staging.put("s3://absent/a", b"x")
    with pytest.raises(RemoteError, match="could not write s3://absent/a"):
        staging.put_file("s3://absent/a", tmp_path / "a.whl")


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3:///key", "http://bucket/key", "/tmp/key"])
def test_what_is_no_object_is_refused(url: str, aws: Clients) -> None:
    with pytest.raises(SettingsError, match="is not the s3:// URL of an object"):
        S3Staging(aws.client("s3")).delete(url)


# Logs

STARTED = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def write(client: Any, run: str, stream: str, *lines: tuple[int, str], suffix: str = "") -> None:
    group = f"/{run}/{stream}"
    for make, names in (
        (client.create_log_group, {}),
        (client.create_log_stream, {"logStreamName": run + suffix}),
    ):
        try:
            make(logGroupName=group, **names)
        except client.exceptions.ResourceAlreadyExistsException:
            continue
    start = int(STARTED.timestamp() * 1000)
    events = [{"timestamp": start + after, "message": text} for after, text in lines]
    client.put_log_events(logGroupName=group, logStreamName=run + suffix, logEvents=events)


def job_run(name: str) -> JobRun:
    return JobRun(job="taxi", id=JobRunId(name), state=JobRunState.RUNNING, started=STARTED, log_group=f"/{name}")


def shown(lines: Sequence[LogLine]) -> list[str]:
    return [f"{line.stream}: {line.text}" for line in lines]


def test_each_line_is_told_once_in_the_order_of_time(aws: Clients) -> None:
    client = aws.client("logs")
    log = CloudWatchLogs(client).open(job_run("jr_a"))
    assert log.read() == []  # no log group yet
    assert log.trouble is None
    write(client, "jr_a", "output", (1, "first"), (30, "third"))
    write(client, "jr_a", "error", (20, "second\r\n"))
    assert shown(log.read()) == ["output: first", "error: second", "output: third"]
    assert log.read() == []
    write(client, "jr_a", "error", (10, "late"), (40_000, "next"))
    assert shown(log.read()) == ["error: late", "error: next"]
    write(client, "jr_a", "output", (40_000, "same time"), (90_000, "last"))
    assert shown(log.read()) == ["output: same time", "output: last"]
    assert [log.read() for _ in range(3)] == [[], [], []]


def test_lines_of_executors_are_told_apart_and_those_of_other_runs_are_not_read(aws: Clients) -> None:
    client = aws.client("logs")
    for suffix in ("", "_g-1", "-driver", "-7", "-progress-bar", "_attempt_1", "0"):
        write(client, "jr_b", "error", (1, f"of {suffix or 'the driver'}"), suffix=suffix)
    logs = CloudWatchLogs(client)
    assert shown(logs.open(job_run("jr_b")).read()) == ["error: of the driver", "error: of -driver"]
    lines = logs.open(job_run("jr_b"), executors=True).read()
    assert {line.executor: line.text for line in lines} == {"": "of -driver", "g-1": "of _g-1", "7": "of -7"}
    assert len(lines) == 4


def test_a_run_whose_streams_have_a_prefix_of_their_own_is_read(aws: Clients) -> None:
    client = aws.client("logs")
    write(client, "jr_d", "output", (1, "by prefix"), suffix="")
    client.create_log_stream(logGroupName="/jr_d/output", logStreamName="taxi-driver")
    start = int(STARTED.timestamp() * 1000)
    events = [{"timestamp": start - 1, "message": "of the run before"}, {"timestamp": start, "message": "mine"}]
    client.put_log_events(logGroupName="/jr_d/output", logStreamName="taxi-driver", logEvents=events)
    run = replace(job_run("jr_d"), log_streams="taxi")
    assert shown(CloudWatchLogs(client).open(run).read()) == ["output: mine"]


def test_a_line_that_is_older_than_its_run_by_another_clock_is_read(aws: Clients) -> None:
    client = aws.client("logs")
    write(client, "jr_g", "output", (-1500, "first"), (1, "second"))
    assert shown(CloudWatchLogs(client).open(job_run("jr_g")).read()) == ["output: first", "output: second"]


def test_lines_of_one_event_are_lines_and_a_huge_one_is_harmless(aws: Clients) -> None:
    client = aws.client("logs")
    huge = "x" * 200_000 + " https://aws:SECRET@host/simple/"
    write(client, "jr_e", "error", (1, "a\r\nb\n\nc\r\n"), (2, huge))
    lines = CloudWatchLogs(client).open(job_run("jr_e")).read()
    assert [line.text for line in lines] == ["a", "b", "", "c", huge.replace("SECRET", "****")]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InvalidParameterException"])
def test_a_log_that_may_not_be_read_gives_no_lines_and_says_why(code: str) -> None:
    with answering(refusal(code)) as server:
        client = Clients(environment(server.url), REGION).client("logs")
        log = CloudWatchLogs(client).open(job_run("jr_c"))
        assert (log.read(), log.more) == ([], False)
        assert "the log cannot be read" in (log.trouble or "")


def page(token: str | None, *texts: str) -> tuple[int, dict[str, Any]]:
    start = int(STARTED.timestamp() * 1000)
    events = [
        {"eventId": text, "logStreamName": "jr_f", "timestamp": start + n, "message": text}
        for n, text in enumerate(texts)
    ]
    return 200, {"events": events, **({"nextToken": token} if token else {})}


def test_a_long_log_is_read_a_part_at_a_time_and_nothing_of_it_is_lost() -> None:
    numbers = [str(n) for n in range(25)]
    seen: list[dict[str, Any]] = []

    def answer(asked: Seen, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(asked.body)
        seen.append(request)
        at = int(request.get("nextToken", 0))
        token = str(at + 1) if at + 1 < len(numbers) else None
        status, body = page(token, numbers[at]) if request["logGroupName"].endswith("error") else page(None)
        reply(handler, status, json.dumps(body).encode(), Content_Type="application/x-amz-json-1.1")

    with scripted(answer) as server:
        log = CloudWatchLogs(Clients(environment(server.url), REGION).client("logs")).open(job_run("jr_f"))
        read = [[line.text for line in log.read()] for _ in range(3)]
        assert [len(part) for part in read] == [10, 10, 5]
        assert [text for part in read for text in part] == numbers
        assert not log.more
        log.read()
    asked_for = [{name for name in request if "Stream" in name} for request in seen if "error" in str(request)]
    assert asked_for == [*[{"logStreamNamePrefix"}] * 25, *[{"logStreamNames"}] * 10]


def test_a_refusal_between_two_pages_loses_no_line() -> None:
    answers = [page(None), page("t", "a"), refusal("InvalidParameterException"), page(None), page(None, "a", "b")]
    with answering(*answers) as server:
        log = CloudWatchLogs(Clients(environment(server.url), REGION).client("logs")).open(job_run("jr_f"))
        assert [shown(log.read()), bool(log.trouble)] == [["error: a"], True]
        assert [shown(log.read()), log.trouble] == [["error: b"], None]
