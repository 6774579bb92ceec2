"""Functions of a stand-in, called by boto3, by the AWS command line and by a state machine."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import down, up
from glue_pkgmgr.local.state import ACCESS_KEY, StandIn, StateFolder
from tests.stand_in import sample_settings

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
ROLE = "arn:aws:iam::111122223333:role/function"
AWS = Path(sys.executable).parent / "aws"

# One file with all that functions do here: which of it is the handler's name.
CODE = """
import os, subprocess, sys, time

def echo(event, context):
    print("hello from", context.function_name)
    print("to stderr", file=sys.stderr)
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis()}

def place(event, context):
    import boto3, packaging_of_nobody

def where(event, context):
    import boto3
    return {
        "account": boto3.client("sts").get_caller_identity()["Account"],
        "cwd": os.getcwd(), "root": os.environ["LAMBDA_TASK_ROOT"], "temporary": os.environ["TMPDIR"],
        "variables": sorted(os.environ), "greeting": os.environ.get("GREETING"),
        "modules": sorted(name for name in sys.modules if name in ("glue_pkgmgr", "site", "moto")),
    }

class TooBad(Exception):
    pass

def fails(event, context):
    raise TooBad("it is " + event["how"])

def exits(event, context):
    os._exit(3)

def says_nothing(event, context):
    return {object()}

def sleeps(event, context):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
    time.sleep(600)

def grows(event, context):
    kept = []
    while True:
        kept.append(bytearray(16 * 1024 * 1024))
        time.sleep(0.05)
"""


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    home = tmp_path_factory.mktemp("project")
    yield up(sample_settings(home), state=home / "state", progress=lambda _: None)
    down(home / "state")


@pytest.fixture(scope="module")
def clients(stand_in: StandIn) -> Clients:
    return Clients(stand_in)


@pytest.fixture(scope="module")
def functions(clients: Clients) -> Any:
    """Return the boto3 client, with a function for each handler of `CODE`."""
    made = clients("lambda")
    names = [line.partition("(")[0].removeprefix("def ") for line in CODE.splitlines() if line.startswith("def ")]
    for name in names:
        made.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=ROLE,
            Handler=f"code.{name}",
            Code={"ZipFile": zipped(code=CODE)},
            Timeout=60,
            MemorySize=256,
            Environment={"Variables": {"GREETING": "good morning"}},
        )
    return made


def called(functions: Any, name: str, event: object = None, **more: Any) -> tuple[Any, Any]:
    """Return the answer and the reply of a call."""
    reply = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail", **more)
    return json.loads(reply["Payload"].read()), reply


def test_a_function_gets_its_event_and_its_answer_is_told(functions: Any) -> None:
    answer, reply = called(functions, "echo", {"week": [12]})
    assert (reply["StatusCode"], reply["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in reply
    assert answer["event"] == {"week": [12]}
    assert 0 < answer["left"] <= 60_000
    assert f"START RequestId: {answer['id']}" in base64.b64decode(reply["LogResult"]).decode()


def test_what_it_prints_is_in_its_log(functions: Any, clients: Clients) -> None:
    answer, _ = called(functions, "echo")
    found = clients("logs").filter_log_events(logGroupName="/aws/lambda/echo")["events"]
    lines = [event["message"] for event in found]
    start = next(i for i, line in enumerate(lines) if answer["id"] in line)
    assert lines[start + 1 : start + 3] == ["hello from echo", "to stderr"]
    assert lines[start + 3] == f"END RequestId: {answer['id']}"
    assert "Memory Size: 256 MB\tMax Memory Used: " in lines[start + 4]


def test_it_has_what_lambda_brings_and_nothing_of_ours(functions: Any, stand_in: StandIn) -> None:
    answer, _ = called(functions, "where")
    assert answer["account"] == stand_in.account
    assert answer["cwd"] == answer["root"]
    assert answer["greeting"] == "good morning"
    assert answer["modules"] == []
    assert {"AWS_LAMBDA_FUNCTION_NAME", "AWS_ENDPOINT_URL", "AWS_REGION"} <= set(answer["variables"])
    assert "HOME" not in answer["variables"]
    assert not Path(answer["temporary"]).exists()  # by now


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("fails", "TooBad", "it is late"),
        ("exits", "Runtime.ExitError", "exit status 3"),
        ("says_nothing", "Runtime.MarshalError", "Unable to marshal response"),
        ("place", "ModuleNotFoundError", "packaging_of_nobody"),
    ],
)
def test_how_it_fails_is_told_as_lambda_tells(functions: Any, name: str, kind: str, message: str) -> None:
    answer, reply = called(functions, name, {"how": "late"})
    assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
    assert answer["errorType"] == kind
    assert message in answer["errorMessage"]


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        ("nobody.handler", "Runtime.ImportModuleError"),
        ("code.nobody", "Runtime.HandlerNotFound"),
        ("handler", "Runtime.MalformedHandlerName"),
    ],
)
def test_a_handler_that_is_not_there_is_told(functions: Any, handler: str, kind: str) -> None:
    functions.update_function_configuration(FunctionName="exits", Handler=handler)
    answer, reply = called(functions, "exits")
    functions.update_function_configuration(FunctionName="exits", Handler="code.exits")
    assert (reply["FunctionError"], answer["errorType"]) == ("Unhandled", kind)


def children_in(log: str) -> list[int]:
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("child ")]


def test_a_call_that_takes_too_long_is_ended_with_its_whole_tree(functions: Any) -> None:
    functions.update_function_configuration(FunctionName="sleeps", Timeout=1)
    answer, reply = called(functions, "sleeps")
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Task timed out after 1.00 seconds")
    (child,) = children_in(base64.b64decode(reply["LogResult"]).decode())
    assert not psutil.pid_exists(child)


def test_a_call_that_takes_too_much_memory_is_ended(functions: Any) -> None:
    answer, _ = called(functions, "grows")
    assert answer["errorType"] == "Runtime.OutOfMemory"
    assert "signal: killed" in answer["errorMessage"]


def test_nobody_has_to_wait_for_a_call(functions: Any, clients: Clients) -> None:
    reply = functions.invoke(FunctionName="echo", InvocationType="Event", Payload=b'{"who": "nobody"}')
    assert reply["StatusCode"] == 202
    assert functions.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204


def test_a_function_can_be_told_how_many_calls_there_may_be(functions: Any, stand_in: StandIn) -> None:
    functions.put_function_concurrency(FunctionName="echo", ReservedConcurrentExecutions=0)
    impatient = boto3.client(
        "lambda",
        endpoint_url=stand_in.endpoint,
        region_name=stand_in.region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        impatient.invoke(FunctionName="echo")
    assert functions.get_function_concurrency(FunctionName="echo")["ReservedConcurrentExecutions"] == 0
    functions.delete_function_concurrency(FunctionName="echo")
    called(functions, "echo")


def test_code_comes_from_s3_too_and_can_be_changed(functions: Any, clients: Clients) -> None:
    s3 = clients("s3")
    s3.create_bucket(Bucket="functions")
    s3.put_object(Bucket="functions", Key="one.zip", Body=zipped(code="def handler(e, c): return 1"))
    made = functions.create_function(
        FunctionName="changing",
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="code.handler",
        Code={"S3Bucket": "functions", "S3Key": "one.zip"},
    )
    assert (made["State"], made["Timeout"], made["MemorySize"]) == ("Active", 3, 128)
    assert called(functions, "changing")[0] == 1
    changed = functions.update_function_code(
        FunctionName=made["FunctionArn"], ZipFile=zipped(code="def handler(e, c): return 2")
    )
    assert changed["CodeSha256"] != made["CodeSha256"]
    assert called(functions, made["FunctionArn"])[0] == 2
    with pytest.raises(ClientError, match=r"GetObject\. S3 Error Code: NoSuchKey"):
        functions.update_function_code(FunctionName="changing", S3Bucket="functions", S3Key="none.zip")
    functions.tag_resource(Resource=made["FunctionArn"], Tags={"team": "data"})
    assert functions.get_function(FunctionName="changing")["Tags"] == {"team": "data"}
    functions.delete_function(FunctionName="changing")
    with pytest.raises(functions.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"):
        functions.get_function(FunctionName="changing")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"FunctionName": "echo"}, "ResourceConflictException.*already exist: echo"),
        ({"Runtime": "nodejs22.x"}, "does not implement the runtime nodejs22.x"),
        ({"Runtime": "python3.2"}, "python3.2 is not on this machine"),
        ({"Timeout": 901}, "Timeout: 901 is outside 1 to 900"),
        ({"Layers": ["arn:aws:lambda:us-east-1:111122223333:layer:x:1"]}, "does not implement Layers"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "Lambda sets AWS_REGION itself"),
        ({"Code": {"ZipFile": b"not a zip"}}, "Could not unzip"),
        ({"Code": {}}, "provide a source"),
    ],
)
def test_what_cannot_be_a_function_is_refused(functions: Any, changes: dict[str, Any], told: str) -> None:
    wish = {
        "FunctionName": "new",
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "code.echo",
        "Code": {"ZipFile": zipped(code=CODE)},
    }
    with pytest.raises(ClientError, match=told):
        functions.create_function(**{**wish, **changes})
    assert "new" not in {one["FunctionName"] for one in functions.list_functions()["Functions"]}


def test_an_operation_it_lacks_fails_loudly(functions: Any) -> None:
    with pytest.raises(ClientError, match="does not implement PublishVersion"):
        functions.publish_version(FunctionName="echo")


def test_the_aws_command_line_calls_it(functions: Any, stand_in: StandIn, tmp_path: Path) -> None:
    environ = {**stand_in.environment(os.environ), "HOME": str(tmp_path), "AWS_PAGER": ""}
    finished = subprocess.run(
        [AWS, "lambda", "invoke", "--function-name", "echo", "--payload", '{"a": 1}', "out.json"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads((tmp_path / "out.json").read_text())["event"] == {"a": 1}


def test_a_state_machine_calls_it_and_knows_its_errors(functions: Any, clients: Clients) -> None:
    def task(name: str) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": name, "Payload": {"how.$": "$.how"}},
            "ResultSelector": {"told.$": "$.Payload"},
        }

    machine = {
        "StartAt": "Echo",
        "States": {
            "Echo": {**task("echo"), "ResultPath": "$.echo", "Next": "Fail"},
            "Fail": {**task("fails"), "Catch": [{"ErrorEquals": ["TooBad"], "Next": "Caught"}], "Next": "Never"},
            "Caught": {"Type": "Pass", "Parameters": {"told.$": "States.StringToJson($.Cause)"}, "Next": "End"},
            "End": {"Type": "Fail", "Error": "Caught", "CausePath": "$.told.errorMessage"},
            "Never": {"Type": "Succeed"},
        },
    }
    end = executed(clients("stepfunctions"), machine, {"how": "late"})
    assert (end["status"], end["error"], end["cause"]) == ("FAILED", "Caught", "it is late")


def executed(states: Any, machine: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    made = states.create_state_machine(name="calling", definition=json.dumps(machine), roleArn=ROLE)
    execution = states.start_execution(stateMachineArn=made["stateMachineArn"], input=json.dumps(given))
    deadline = time.monotonic() + 60
    while (end := states.describe_execution(executionArn=execution["executionArn"]))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    states.delete_state_machine(stateMachineArn=made["stateMachineArn"])
    return dict(end)


def test_no_call_outlives_the_stand_in(functions: Any, stand_in: StandIn, clients: Clients) -> None:
    functions.update_function_configuration(FunctionName="sleeps", Timeout=600)
    waiting = threading.Thread(target=lambda: _quietly(functions), daemon=True)
    waiting.start()
    process = psutil.Process(stand_in.pid)
    deadline = time.monotonic() + 30
    while not (
        found := [one for one in process.children(recursive=True) if "bootstrap.py" in " ".join(one.cmdline())]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (state,) = {Path(part).parents[2] for one in found for part in one.cmdline() if "/calls/" in part}
    down(state)
    _, alive = psutil.wait_procs(found, timeout=10)
    assert alive == []
    assert StateFolder(state).read() is None
    waiting.join(30)


def _quietly(functions: Any) -> None:
    try:
        functions.invoke(FunctionName="sleeps")
    except Exception:  # the stand-in is gone
        return
