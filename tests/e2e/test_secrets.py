"""Where a token is, and where it is not: with every verb and delivery, after each failure, and meanwhile.

Every token that the stand-in has issued is known here, and searched for, not for what looks like one.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest

from glue_pkgmgr.errors import GluePkgmgrError
from glue_pkgmgr.project import Project
from tests.e2e.conftest import BUCKET, Road
from tests.e2e.many_commands import ManyCommands
from tests.e2e.secret_search import TokenSearch, Watch, texts_of
from tests.e2e.workspace import Workspace, until, until_runs_are_removed

pytestmark = pytest.mark.timeout(900)

VOICES = [(*how, *form) for how, form in product([(), ("-v",), ("-q",)], [(), ("--json",)])]
DELIVERIES = ("requirements", "wheels", "index")
WITH_TOKEN = ("requirements", "index")
# One for each voice: a job runs once at a time.
JOBS = ("taxi", "probe", "raising", "exiting", "killed", "sleeping")
S3_RECORDS = "recorded-in-s3.toml"
INDEX_OPTION = "--python-modules-installer-option"

REFUSALS = {
    "index:page=401": 5,
    "index:page=403": 5,
    "codeartifact:GetAuthorizationToken=403": 6,
    "glue:StartJobRun=403": 6,
}
NEEDS_A_TOKEN = tuple(fault for fault in REFUSALS if not fault.startswith("glue:"))
API_FAULTS = (
    "run:seconds=1",
    "index:page=dropped",
    "index:page=404",
    "s3:PutObject=403",
    "glue:GetJob=403",
    "glue:StartJobRun=ConcurrentRunsExceededException",
    "codeartifact=403",
)
PIP = "INFO\\t2026-11-24\\t1\\tcom.amazonaws.services.glue.PythonModuleInstaller\\t[main]\\tSTDError Stream "
FAILED = (
    "run:end=FAILED",
    "run:lines=3",
    f"run:error-line={PIP}WARNING: 401 Error, Credentials not correct for http://h/simple/acme/",
    "run:message=LAUNCH ERROR | Installation of Additional Python Modules failed: ERROR: No matching "
    "distribution found for acme==1.0",
)


@dataclass
class Evidence:
    """What the commands of this module have left: how they ended, what they printed, and what was seen meanwhile.

    `runs` are those started, by what started them; `raised` the texts of what the Python API raised.
    """

    workspace: Workspace
    watch: Watch
    processes: list[ManyCommands]
    runs: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    raised: dict[str, list[str]] = field(default_factory=dict)

    def command(self, name: str, *arguments: str) -> None:
        """Run our command, remember how it ended, and which run it started."""
        finished = self.workspace.ours("-v", *arguments)
        self._note(name, finished.returncode, finished.stdout, finished.stderr)

    def at_once(self, *lists: Sequence[Sequence[str]]) -> None:
        """Run lists of commands, those of one list one after the other, the lists at once."""

        def run_all(commands: Sequence[Sequence[str]], process: ManyCommands) -> None:
            for command in commands:
                ended = process.run(command)
                self._note(" ".join(command), ended.status, ended.stdout, ended.stderr)
                self.workspace.printed.extend(
                    [ended.stderr] if "mint" in command else [ended.stdout, ended.stderr]
                )

        with ThreadPoolExecutor(len(lists)) as pool:
            list(pool.map(run_all, lists, self.processes))

    def _note(self, name: str, status: int, out: str, err: str) -> None:
        self.statuses[name] = status
        self.said[name] = out + err
        for run in re.findall(r"\bjr_[0-9a-f]{64}\b", out)[:1]:
            self.runs[name] = run

    def raises(self, name: str, call: Callable[[], object]) -> None:
        """Have `call` fail, and remember all that its exception tells."""
        with pytest.raises(GluePkgmgrError) as raised:
            call()
        self.raised[name] = list(texts_of(raised.value))

    def arguments(self, name: str) -> dict[str, str]:
        """Return the arguments of the run that the command `name` has started."""
        return self.record(name).get("Arguments", {})

    def record(self, name: str) -> dict[str, Any]:
        """Return the run that the command `name` has started, as the Glue API tells it."""
        for run in self.all_runs():
            if run["Id"] == self.runs[name]:
                return run
        raise AssertionError(f"{name} has started no run")

    def all_runs(self) -> Iterator[dict[str, Any]]:
        """Yield all job runs of the stand-in."""
        glue = self.workspace.api("glue")
        for job in glue.get_jobs()["Jobs"]:
            for page in glue.get_paginator("get_job_runs").paginate(JobName=job["Name"]):
                yield from page["JobRuns"]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file of the workspace: the project's, the stand-in's, those at home, temporary ones."""
        for path in self.workspace.root.rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield each object in S3: where it is, and its bytes with everything that is told of it."""
        s3 = self.workspace.api("s3")
        for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for key in (one["Key"] for one in page.get("Contents", ())):
                    answer = s3.get_object(Bucket=bucket, Key=key)
                    told = json.dumps(answer["ResponseMetadata"], default=str) + str(answer.get("Metadata"))
                    yield f"s3://{bucket}/{key}", f"{key} {told} ".encode() + answer["Body"].read()

    def logs(self) -> Iterator[tuple[str, bytes]]:
        """Yield each log group of CloudWatch: its name, and all that is in it."""
        logs = self.workspace.api("logs")
        for page in logs.get_paginator("describe_log_groups").paginate():
            for group in (one["logGroupName"] for one in page["logGroups"]):
                pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
                messages = [event["message"] for answer in pages for event in answer["events"]]
                yield group, "\n".join(messages).encode()


@pytest.fixture(scope="module")
def evidence(road: Road) -> Evidence:
    """Return what is left of all verbs and deliveries, of failures, and of everything done here before."""
    workspace = road.workspace
    text = (workspace.folder / "glue-pkgmgr.toml").read_text()
    (workspace.folder / S3_RECORDS).write_text(f'{text}\n[records]\nplace = "s3://{BUCKET}/records/"\n')
    folders = (workspace.root / "tmp", workspace.home, requirements_folder(workspace))
    environment = workspace.stand_in.environment(workspace.environment)
    with Watch([psutil.Process().pid, workspace.stand_in.pid], folders) as watch, ExitStack() as stack:
        processes = [stack.enter_context(ManyCommands(workspace.folder, environment)) for _ in range(8)]
        seen = Evidence(workspace, watch, processes)
        real_runs(seen)
        everything_in_every_voice(seen)
        failures_in_every_voice(seen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(workspace.root / "tmp"))
            failures_of_the_api(seen, Project.load(workspace.folder / "glue-pkgmgr.toml", environ=environment))
        until_runs_are_removed(workspace)
    return seen


def real_runs(seen: Evidence) -> None:
    """Launch with each delivery, and as it fails: with a token that dies, with a script that raises."""
    workspace = seen.workspace
    for delivery in DELIVERIES:
        seen.command(delivery, "launch", "probe", "--delivery", delivery)
    seen.command("script fails", "launch", "raising", "--delivery", "index")
    with tokens_that_expire_at_once(workspace):
        for delivery in WITH_TOKEN:
            seen.command(f"expired {delivery}", "launch", "probe", "--delivery", delivery)
        seen.command("expired publish", "publish", str(next_release(workspace)))
        seen.command("expired lock", "lock")
    with workspace.stand_in.switches.faults("token:dies=install"):
        for delivery in WITH_TOKEN:
            seen.command(f"dead {delivery}", "launch", "probe", "--delivery", delivery, "--retries", "0")


def everything_in_every_voice(seen: Evidence) -> None:
    """Run every verb that has to do with a token or a run, quiet and talkative, as text and as JSON."""
    workspace, run = seen.workspace, seen.runs["index"]
    making = [
        ("publish", "glueutils"),
        ("lock",),
        ("lock", "--check"),
        ("mirror", "sync"),
        ("mirror", "verify"),
        ("mirror", "export", str(workspace.root / "approved.tar"), "--force"),
        ("withdraw", "glueutils==9.9.9", "--reason", "none", "--yes", "--by", "ann"),
        ("approvals",),
    ]
    asking = [
        ("mint",),
        ("check", "boto3,glueutils==0.2.0"),
        ("check", "more-itertools"),
        ("runs",),
        ("runs", "--using", "boto3"),
        ("status", run),
        ("logs", run),
        ("logs", "--follow", run),
        ("stop", run),
        ("doctor",),
        ("local", "status"),
        ("launch", "probe", "--modules", "polars==1.30.0"),
        ("launch", "probe", "--delivery", "index", "--arg", "JOB_NAME=x"),
    ]
    starting = [("--delivery", delivery) for delivery in DELIVERIES]
    starting += [("--dry-run",), ("--fix", "--dry-run"), ("--no-wait",)]
    with workspace.stand_in.switches.faults("run:end=SUCCEEDED", "run:lines=3"):
        seen.at_once(*launches(starting), in_every_voice(making), in_every_voice(asking))


def failures_in_every_voice(seen: Evidence) -> None:
    """Launch with each delivery, quiet and talkative, as text and as JSON, while something fails."""
    switches = seen.workspace.stand_in.switches
    deliveries = [("--delivery", delivery, "--retries", "0") for delivery in DELIVERIES]
    with switches.faults(*FAILED):
        seen.at_once(*launches(deliveries))
    for fault in REFUSALS:
        with switches.faults("run:end=SUCCEEDED", fault):
            seen.at_once(*launches([(*words, "--launch-id", f"{words[1]} {fault}") for words in deliveries]))


def launches(kinds: Sequence[Sequence[str]]) -> list[list[tuple[str, ...]]]:
    """Return what launches in each kind: a list for each voice. Every other has its records in S3."""
    return [
        [("--config", config, *voice, "launch", job, *words) for words in kinds]
        for voice, job, config in zip(VOICES, JOBS, 3 * [S3_RECORDS, "glue-pkgmgr.toml"], strict=True)
    ]


def in_every_voice(commands: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return [(*voice, *command) for command in commands for voice in VOICES]


def failures_of_the_api(seen: Evidence, project: Project) -> None:
    """Fail with the Python API, whose exceptions orchestration code logs as it likes."""
    switches = seen.workspace.stand_in.switches
    for delivery, fault in [
        *product(WITH_TOKEN, REFUSALS),
        *product(["requirements"], API_FAULTS),
        ("index", "glue:GetJobRun=403"),
    ]:
        with switches.faults("run:end=FAILED", fault):
            seen.raises(
                f"{delivery}: {fault}",
                lambda: project.launch("probe", delivery=delivery).wait().raise_for_state(),  # noqa: B023
            )
    with switches.faults("index=401"):
        seen.raises("publish", lambda: project.publish([seen.workspace.root / "next" / "glueutils"]))
        seen.raises("lock", project.lock)


@contextmanager
def tokens_that_expire_at_once(workspace: Workspace) -> Iterator[None]:
    """Let every token issued meanwhile be out of date before it is used."""
    with closing(sqlite3.connect(workspace.state / "packages" / "tokens.sqlite", timeout=30)) as book:
        book.execute(
            "CREATE TRIGGER expired AFTER INSERT ON tokens BEGIN UPDATE tokens SET expires = 0"
            " WHERE sha256 = new.sha256; END"
        )
        try:
            yield
        finally:
            book.execute("DROP TRIGGER expired")


def next_release(workspace: Workspace) -> Path:
    """Return the folder of a release of the sample library that is not published yet."""
    folder = workspace.root / "next" / "glueutils"
    shutil.copytree(workspace.folder / "glueutils", folder, ignore=shutil.ignore_patterns("dist"))
    module = folder / "src" / "glueutils" / "__init__.py"
    module.write_text(module.read_text().replace('"0.2.0"', '"0.3.0"'))
    return folder


def requirements_folder(workspace: Workspace) -> Path:
    """Return where requirements files are staged."""
    return workspace.state / "s3" / BUCKET / "glue-pkgmgr" / "requirements"


@pytest.fixture(scope="module")
def search(evidence: Evidence) -> TokenSearch:
    """Return what finds every token issued so far."""
    return TokenSearch(evidence.workspace.issued)


def test_each_command_ended_as_it_should(evidence):
    assert len(evidence.statuses) > 200
    wrong = {name: status for name, status in evidence.statuses.items() if status != expected(name)}
    assert wrong == {}, [evidence.said[name] for name in wrong]


def expected(name: str) -> int:
    """Return the exit status with which the command `name` should end."""
    if "--delivery wheels" in name and name.endswith(NEEDS_A_TOKEN):
        return 0  # they are in S3 since the run before
    ends = {**REFUSALS, "script fails": 7, "--by ann": 4, "polars==1.30.0": 3, "JOB_NAME=x": 2, "--retries 0": 5}
    begins = {"expired": 5, "dead": 5}
    return next(
        iter(
            [
                *(status for end, status in ends.items() if name.endswith(end)),
                *(status for begin, status in begins.items() if name.startswith(begin)),
                0,
            ]
        )
    )


def found(search: TokenSearch, places: Iterable[tuple[str, bytes | str]]) -> list[str]:
    """Return those of the places whose content has a token in it."""
    return [
        place
        for place, content in places
        if search.finds(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    ]


@pytest.fixture(scope="module")
def token(evidence: Evidence) -> str:
    """Return one of the tokens that were issued."""
    token = evidence.workspace.issued[-1]
    assert len(token) == 1024
    return token


class TestTheSearch:
    def test_every_token_is_known(self, evidence: Evidence) -> None:
        with closing(sqlite3.connect(evidence.workspace.state / "packages" / "tokens.sqlite")) as book:
            kept = {digest for (digest,) in book.execute("SELECT sha256 FROM tokens")}
        assert len(kept) > 20
        assert kept <= {sha256(token.encode()).hexdigest() for token in evidence.workspace.issued}

    @pytest.mark.parametrize(
        "written",
        [
            str.encode,
            lambda token: token[500:560].encode(),
            lambda token: base64.b64encode(f"aws:{token}".encode()),
            lambda token: base64.encodebytes(f"user:{token}".encode()),
            lambda token: base64.urlsafe_b64encode(json.dumps({"t": token}).encode()),
            lambda token: json.dumps(json.dumps({"text": textwrap.fill(token, 30)})).encode(),
            lambda token: "".join(f"%{ord(letter):02x}" for letter in token).encode(),
            lambda token: token.encode("utf-16-le"),
            lambda token: token[::-1].encode(),
            lambda token: repr(textwrap.wrap(token, 40)).encode(),
            lambda token: gzip.compress(token.encode()),
            lambda token: zipped(token.encode()),
        ],
    )
    def test_a_token_is_found_however_it_is_written(
        self, search: TokenSearch, token: str, written: Callable[[str], bytes]
    ) -> None:
        content = written(token)
        assert search.finds(content)
        if content[:2] not in (b"PK", b"\x1f\x8b"):
            assert search.finds(b"before/" + content + b"_after")

    def test_what_is_no_token_is_not_found(self, search: TokenSearch) -> None:
        other = secrets.token_urlsafe(768)
        assert not search.finds(f"{other} {base64.b64encode(other.encode()).decode()}".encode())

    def test_a_planted_token_is_found_wherever_it_is(
        self, evidence: Evidence, search: TokenSearch, token: str
    ) -> None:
        workspace, key = evidence.workspace, "planted"
        s3, logs = workspace.api("s3"), workspace.api("logs")
        file = workspace.root / key
        file.write_text(token)
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"", Metadata={"note": token})
        logs.create_log_group(logGroupName=key)
        logs.create_log_stream(logGroupName=key, logStreamName=key)
        event = {"timestamp": int(time.time() * 1000), "message": token}
        logs.put_log_events(logGroupName=key, logStreamName=key, logEvents=[event])
        try:
            assert found(search, evidence.files()) == [str(file)]
            assert found(search, evidence.objects()) == [f"s3://{BUCKET}/{key}"]
            assert found(search, evidence.logs()) == [key]
        finally:
            file.unlink()
            s3.delete_object(Bucket=BUCKET, Key=key)
            logs.delete_log_group(logGroupName=key)

    def test_a_planted_token_is_found_where_it_is_for_a_while(self, tmp_path: Path) -> None:
        token, words = secrets.token_urlsafe(768), [sys.executable, "-c", "import sys; sys.stdin.read()"]
        search, file = TokenSearch([token]), tmp_path / "planted"
        with Watch([psutil.Process().pid], [tmp_path]) as watch:

            def seen() -> list[list[str]]:
                arguments = [(words[1], "\n".join(words)) for words in set(watch.arguments) if words]
                environments = [(words[1], text) for text, words in dict(watch.environments).items() if words]
                return [found(search, place) for place in (arguments, environments, watch.seen_files())]

            for given, environ in (([*words, token], {}), (words, {"PLANTED": token})):
                file.write_text(token)
                with subprocess.Popen(given, env={**os.environ, **environ}, stdin=subprocess.PIPE):
                    until(lambda: bool(seen()[1 if environ else 0]), "the process is seen")  # noqa: B023
                file.unlink()
        assert seen() == [["-c"], ["-c"], [str(file)]]

    def test_a_token_in_the_cause_of_an_exception_is_found(self, search: TokenSearch, token: str) -> None:
        error = GluePkgmgrError("harmless")
        error.__context__ = ValueError({"Authorization": token})
        assert found(search, (("text", text) for text in texts_of(error)))
        assert not found(search, [("text", str(error))])


def zipped(content: bytes) -> bytes:
    """Return a zip file with `content` in it, compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", content)
    return file.getvalue()


class TestWhereTokensAre:
    """Whose rows are the documented places: README.md, "launch" and "Security"."""

    def test_no_file_holds_one(self, evidence: Evidence, search: TokenSearch) -> None:
        files = dict(evidence.files())
        names = {Path(path).name for path in files}
        assert {"tokens.sqlite", "server.log", "taxi.glue-5.1.pylock.toml", "launches.jsonl"} <= names
        assert found(search, files.items()) == []

    def test_files_that_are_there_for_a_while_hold_one_only_as_the_requirements_of_a_run(
        self, evidence: Evidence, search: TokenSearch
    ) -> None:
        holding = {Path(path).parent for path in found(search, evidence.watch.seen_files())}
        assert holding == {requirements_folder(evidence.workspace)}

    def test_no_object_in_s3_holds_one_but_while_its_run_installs(
        self, evidence: Evidence, search: TokenSearch
    ) -> None:
        objects = dict(evidence.objects())
        assert any("/records/" in place for place in objects)
        assert any("/wheels/" in place for place in objects)
        assert found(search, objects.items()) == []

    def test_no_command_but_mint_prints_one(self, evidence: Evidence, search: TokenSearch) -> None:
        assert len(evidence.workspace.printed) > 250
        assert found(search, ((text[:80], text) for text in evidence.workspace.printed)) == []

    def test_no_log_holds_one(self, evidence: Evidence, search: TokenSearch) -> None:
        logs = dict(evidence.logs())
        assert sum(len(text.splitlines()) for text in logs.values()) > 100
        assert found(search, logs.items()) == []

    def test_no_run_holds_one_but_in_the_arguments_of_an_index_delivery(
        self, evidence: Evidence, search: TokenSearch
    ) -> None:
        runs = list(evidence.all_runs())
        holding = {run["Id"] for run in runs if search.finds(run["Arguments"].get(INDEX_OPTION, "").encode())}
        assert {evidence.runs[name] for name in ("index", "script fails", "dead index")} <= holding
        assert evidence.runs["requirements"] not in holding
        for run in runs:
            run["Arguments"].pop(INDEX_OPTION, None)
        assert found(search, ((run["Id"], json.dumps(run, default=str)) for run in runs)) == []

    def test_no_job_definition_holds_one(self, evidence: Evidence, search: TokenSearch) -> None:
        jobs = evidence.workspace.api("glue").get_jobs()["Jobs"]
        assert found(search, [("jobs", json.dumps(jobs, default=str))]) == []

    def test_no_process_is_started_with_one_but_those_of_a_run_with_an_index_delivery(
        self, evidence: Evidence, search: TokenSearch
    ) -> None:
        # The arguments of the run are those of its script as well, and Glue's own pip is given the option.
        runs = {run["Id"] for run in evidence.all_runs() if INDEX_OPTION in run["Arguments"]}
        holding = found(search, ((" ".join(words), "\n".join(words)) for words in evidence.watch.arguments))
        assert holding != []
        ids = [set(re.findall(r"\bjr_[0-9a-f]{64}", words)) for words in holding]
        assert [words[:100] for words, of in zip(holding, ids, strict=True) if not of or of - runs] == []

    def test_no_process_has_one_in_its_environment_but_the_uv_that_proves_a_publication(
        self, evidence: Evidence, search: TokenSearch
    ) -> None:
        environments = evidence.watch.environments.items()
        assert len(environments) > 30
        holding = found(search, ((Path(words[0]).name, text) for text, words in environments if words))
        assert set(holding) <= {"uv"}

    def test_no_exception_of_the_api_holds_one(self, evidence: Evidence, search: TokenSearch) -> None:
        raised = [(name, text) for name, texts in evidence.raised.items() for text in texts]
        assert found(search, raised) == []


def test_a_followed_run_leaves_no_requirements_file(evidence):
    left = evidence.workspace.client("aws", "s3", "ls", "--recursive", f"s3://{BUCKET}/glue-pkgmgr/requirements/")
    assert left.stdout == ""


def test_an_expired_token_is_named_wherever_we_are_the_client(evidence):
    for name in ("expired requirements", "expired index", "expired publish", "expired lock"):
        assert "error: " in evidence.said[name]
        assert re.search("token|401", evidence.said[name].partition("error: ")[2]), evidence.said[name]
    for name in ("dead requirements", "dead index"):
        assert "the index refused the token" in evidence.said[name]
        # pip tells of the 401 of an index page in the log only, in the stand-in as on Glue.
        assert "(from versions: none)" in evidence.record(name)["ErrorMessage"]
        log = json.dumps(evidence.workspace.told("logs", evidence.runs[name]))
        assert "WARNING: 401 Error, Credentials not correct for" in log


def test_a_run_nobody_follows_loses_its_requirements_file_when_somebody_looks(road):
    workspace = road.workspace
    words = workspace.within(*workspace.command.words("launch", "sleeping", "--delivery", "requirements"))
    launching = subprocess.Popen(
        words,
        cwd=workspace.folder,
        env=dict(workspace.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in launching.stderr:
            if "STARTING" in line:
                break
        launching.send_signal(signal.SIGINT)
        _, err = launching.communicate(timeout=60)
    finally:
        launching.kill()
    assert launching.returncode == 130
    assert [file.suffix for file in requirements_folder(workspace).glob("*")] == [".txt"]
    (run,) = re.findall(r"`glue-pkgmgr logs --follow (jr_[0-9a-f]{64})`", err.splitlines()[-1])
    workspace.told("stop", run)
    until(lambda: workspace.told("status", run)["state"] == "STOPPED", "the run is stopped")
    assert list(requirements_folder(workspace).glob("*")) == []
