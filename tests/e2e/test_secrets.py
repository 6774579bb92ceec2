"""Where a token is, and where it is not: after runs that went well, and after every way to fail."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BUCKET, Road
from tests.e2e.workspace import Workspace, until, until_runs_are_removed

pytestmark = pytest.mark.timeout(900)

# 768 random bytes in base64url: neither a hash (one case), nor a name, has so long a run of these letters.
LIKE_A_TOKEN = re.compile(rb"[A-Za-z0-9_-]{100,}")
# The header that a client sends: base64 of `aws:` and the token.
LIKE_A_HEADER = re.compile(rb"YXdzO[A-Za-z0-9+/]{100,}")
PIECE = 32  # letters of a known token: enough to tell it, however it was cut


@dataclass
class Evidence:
    """What the commands of this module have left: tokens we got to see, runs by what started them."""

    workspace: Workspace
    tokens: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, *arguments: str) -> None:
        """Run our command, remember how it ended, and which run it started."""
        finished = self.workspace.ours("-v", *arguments)
        self.statuses[name] = finished.returncode
        self.said[name] = finished.stdout + finished.stderr
        for run in re.findall(r"\bjr_[0-9a-f]{64}\b", finished.stdout)[:1]:
            self.runs[name] = run

    def arguments(self, name: str) -> dict[str, str]:
        """Return the arguments of the run that the command `name` has started."""
        return self.record(name).get("Arguments", {})

    def record(self, name: str) -> dict[str, Any]:
        """Return the run that the command `name` has started, as the Glue API tells it."""
        for page in self.pages():
            for run in page["JobRuns"]:
                if run["Id"] == self.runs[name]:
                    return dict(run)
        raise AssertionError(f"{name} has started no run")

    def pages(self) -> Iterator[dict[str, Any]]:
        """Yield all job runs of the stand-in."""
        glue = self.workspace.api("glue")
        for job in glue.get_jobs()["Jobs"]:
            yield from glue.get_paginator("get_job_runs").paginate(JobName=job["Name"])


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


@pytest.fixture(scope="module")
def evidence(road: Road) -> Evidence:
    """Return what is left of runs with each delivery, of failures, and of everything done here before."""
    seen = Evidence(road.workspace)
    minted = road.workspace.ours("-v", "mint")
    seen.tokens.append(minted.stdout.partition("aws:")[2].partition("@")[0])
    for delivery in ("requirements", "wheels", "index"):
        seen.command(delivery, "launch", "probe", "--delivery", delivery)
    seen.command("script fails", "launch", "raising", "--delivery", "index")
    seen.command("wrong request", "launch", "probe", "--modules", "polars==1.30.0", "--delivery", "index")
    seen.command("reserved argument", "launch", "probe", "--delivery", "index", "--arg", "JOB_NAME=x")
    with tokens_that_expire_at_once(road.workspace):
        for delivery in ("requirements", "wheels", "index"):
            seen.command(f"expired {delivery}", "launch", "probe", "--delivery", delivery)
        seen.command("expired publish", "publish", str(next_release(road.workspace)))
        seen.command("expired lock", "lock")
    with road.workspace.stand_in.switches.faults("token:dies=install"):
        for delivery in ("requirements", "index"):
            seen.command(f"dead {delivery}", "launch", "probe", "--delivery", delivery, "--retries", "0")
    seen.tokens += [token_of(seen.arguments(name)) for name in ("index", "script fails", "dead index")]
    seen.tokens.append(requirements_token(seen))
    until_runs_are_removed(road.workspace)
    return seen


def next_release(workspace: Workspace) -> Path:
    """Return the folder of a release of the sample library that is not published yet."""
    folder = workspace.root / "next" / "glueutils"
    shutil.copytree(workspace.folder / "glueutils", folder, ignore=shutil.ignore_patterns("dist"))
    module = folder / "src" / "glueutils" / "__init__.py"
    module.write_text(module.read_text().replace('"0.2.0"', '"0.3.0"'))
    return folder


def token_of(arguments: dict[str, str]) -> str:
    """Return the token in the arguments of an `index` delivery."""
    return arguments["--python-modules-installer-option"].partition("aws:")[2].partition("@")[0]


def requirements_token(seen: Evidence) -> str:
    """Follow a run whose requirements file is caught while it is there; return the token in it."""
    workspace = seen.workspace
    words = workspace.within(*workspace.command.words("-v", "launch", "probe", "--delivery", "requirements"))
    launching = subprocess.Popen(
        words,
        cwd=workspace.folder,
        env=dict(workspace.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        text = _caught(requirements_folder(workspace), launching)
        out, _ = launching.communicate(timeout=120)
    finally:
        launching.kill()
    workspace.printed.append(out)
    seen.statuses["caught"] = launching.returncode
    return text.partition("aws:")[2].partition("@")[0]


def _caught(folder: Path, launching: subprocess.Popen[str]) -> str:
    while launching.poll() is None:
        for file in folder.glob("*.txt"):
            try:
                if text := file.read_text():
                    return text
            except FileNotFoundError:
                continue
        time.sleep(0.005)
    raise AssertionError("the run has ended, and no requirements file was ever there")


def requirements_folder(workspace: Workspace) -> Path:
    """Return where requirements files are staged."""
    return workspace.state / "s3" / BUCKET / "glue-pkgmgr" / "requirements"


def leaks(content: bytes, tokens: Iterable[str]) -> list[str]:
    """Return what is or looks like a token in `content`, and like the header that carries one."""
    found = [match.decode() for match in LIKE_A_TOKEN.findall(content) if mixed(match)]
    found += [match.decode() for match in LIKE_A_HEADER.findall(content)]
    for token in tokens:
        pieces = (token[start : start + PIECE] for start in range(0, len(token) - PIECE + 1, PIECE))
        found += [piece for piece in pieces if piece.encode() in content]
    return [f"{one[:8]}…" for one in found]


def mixed(text: bytes) -> bool:
    """Whether text is random: small and capital letters and digits, and not digests beside each other.

    A database keeps texts without anything between them, so hexadecimal digests and names form long runs; of
    a token only a quarter of the characters are hexadecimal.
    """
    hexadecimal = len(re.findall(rb"[0-9a-f]", text))
    return hexadecimal < len(text) / 2 and all(re.search(kind, text) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))


def test_each_command_ended_as_it_should(evidence):
    assert evidence.statuses == {
        **dict.fromkeys(("requirements", "wheels", "index", "caught"), 0),
        "script fails": 7,
        "wrong request": 3,
        "reserved argument": 2,
        "expired wheels": 0,  # they are in S3 since the run before, and no token is needed
        **dict.fromkeys(("expired requirements", "expired index", "expired publish", "expired lock"), 5),
        **dict.fromkeys(("dead requirements", "dead index"), 5),
    }


def test_the_search_finds_tokens_where_they_are(evidence):
    for token in evidence.tokens:
        assert len(token) == 1024
        for text in (token, token[100:300], base64.b64encode(f"aws:{token}".encode()).decode()):
            assert leaks(f"before {text} after".encode(), [])
        assert leaks(token[500:580].encode(), [token])


def test_no_file_holds_a_token(evidence):
    root = evidence.workspace.root
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {"tokens.sqlite", "server.log", "taxi.glue-5.1.pylock.toml"} <= {path.name for path in files}
    found = {str(path): leaks(path.read_bytes(), evidence.tokens) for path in files}
    assert {path: leak for path, leak in found.items() if leak} == {}


def test_no_command_but_mint_prints_one(evidence):
    assert len(evidence.workspace.printed) > 30
    assert [text[:80] for text in evidence.workspace.printed if leaks(text.encode(), evidence.tokens)] == []


def test_no_log_holds_one(evidence):
    logs = evidence.workspace.api("logs")
    events = 0
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            messages = [event["message"] for answer in pages for event in answer["events"]]
            events += len(messages)
            assert leaks("\n".join(messages).encode(), evidence.tokens) == []
    assert events > 50


def test_no_run_record_holds_one_but_in_the_arguments_of_an_index_delivery(evidence):
    for page in evidence.pages():
        for run in page["JobRuns"]:
            given = dict(run.get("Arguments", {}))
            given.pop("--python-modules-installer-option", None)
            given.pop("--dagster-pipes-context", None)  # base64, as long as a token
            told = json.dumps({**run, "Arguments": given}, default=str)
            assert leaks(told.encode(), evidence.tokens) == []
    for name in ("requirements", "wheels", "dead requirements"):
        assert leaks(json.dumps(evidence.arguments(name)).encode(), evidence.tokens) == []


def test_no_job_definition_or_listing_holds_one(evidence):
    workspace = evidence.workspace
    definitions = workspace.api("glue").get_jobs()["Jobs"]
    told = [json.dumps(definitions, default=str), workspace.run("-v", "local", "status").stdout]
    told += [json.dumps(workspace.told(*words)) for words in (["runs"], ["doctor"])]
    told += [json.dumps(workspace.told("logs", run)) for name, run in evidence.runs.items() if "index" in name]
    assert leaks("\n".join(told).encode(), evidence.tokens) == []


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
