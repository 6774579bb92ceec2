"""One call of a function: a process tree of its own, bounded in time and memory; its output goes to a log."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from glue_pkgmgr.local import warden
from glue_pkgmgr.local.functions import bootstrap
from glue_pkgmgr.local.functions.configuration import Function
from glue_pkgmgr.local.jobs.log_stream import LogStream

MOST_BYTES = 6 * 1024 * 1024
"""Of an event, and of an answer. Source: AWS Lambda Developer Guide, "Lambda quotas"."""

_LOOK_SECONDS = 0.1  # between two looks at the time
_MEMORY_SECONDS = 0.5  # and at the memory, which costs more
_CHUNK = 65536
_TAIL_BYTES = 4096  # Source: AWS Lambda API, Invoke, `LogType`
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call gave: JSON, and the last 4 KB of its log. `failed` says that the JSON tells an error."""

    payload: bytes
    failed: bool
    log: bytes


class Call:
    """A call of `function` with the JSON `event`. `stop` ends it from another thread.

    `python` is the interpreter, `runtime` a folder with the packages that Lambda brings, `environment` the way to
    AWS; `folder` is the call's own, made here and removed at its end.
    """

    def __init__(
        self,
        function: Function,
        event: bytes,
        *,
        request_id: str,
        python: Path,
        runtime: Path,
        environment: Mapping[str, str],
        folder: Path,
        log: LogStream,
        log_stream: str,
    ) -> None:
        self._function = function
        self._event = event
        self._id = request_id
        self._python = python
        self._runtime = runtime
        self._environment = environment
        self._folder = folder
        self._log = log
        self._log_stream = log_stream
        self._tail = b""
        self._most_memory = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()

    def run(self) -> Answer:
        """Make the call, wait for its end, and return what it gave."""
        began = monotonic()
        self._say(f"START RequestId: {self._id} Version: $LATEST\n")
        try:
            ending = self._run(began + self._function.seconds)
            payload, failed = self._outcome(ending)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        if ending:
            self._say(f"{json.loads(payload)['errorMessage']}\n")
        took = 1000 * (monotonic() - began)
        self._say(f"END RequestId: {self._id}\n")
        self._say(
            f"REPORT RequestId: {self._id}\tDuration: {took:.2f} ms\tBilled Duration: {int(took) + 1} ms\t"
            f"Memory Size: {self._function.memory} MB\tMax Memory Used: {self._most_memory // _MEGABYTE} MB\t\n"
        )
        self._log.close()
        return Answer(payload=payload, failed=failed, log=self._tail)

    def stop(self) -> None:
        """Begin to end it."""
        self._stopped.set()

    def _say(self, text: str) -> None:
        self._take(text.encode())

    def _take(self, data: bytes) -> None:
        self._log.write(data)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def _run(self, deadline: float) -> str:
        """Run the process to its end and return why it was ended; empty if it ended by itself."""
        (self._folder / "tmp").mkdir(parents=True)
        call = {
            "event": json.loads(self._event),
            "request_id": self._id,
            "arn": self._function.arn,
            "seconds": self._function.seconds,
        }
        (self._folder / "call.json").write_text(json.dumps(call), encoding="utf-8")
        process = warden.start(
            [self._python, "-I", "-S", "-u", bootstrap.__file__, self._folder, self._runtime],
            env=self._variables(),
            cwd=self._function.code.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._process = process
        ending = ""
        looked = monotonic()
        assert process.stdout is not None  # noqa: S101 - it was asked for
        assert process.stdin is not None  # noqa: S101
        with selectors.DefaultSelector() as pipes, process.stdout as output:
            pipes.register(output, selectors.EVENT_READ)
            while True:
                if pipes.select(_LOOK_SECONDS):
                    data = os.read(output.fileno(), _CHUNK)
                    if not data:
                        break
                    self._take(data)
                if not ending and (ending := self._limit_met(deadline, looked)):
                    process.stdin.close()
                if monotonic() - looked >= _MEMORY_SECONDS:
                    looked = monotonic()
                    self._log.flush()
        process.wait()
        with suppress(OSError):
            process.stdin.close()
        return ending

    def _limit_met(self, deadline: float, looked: float) -> str:
        if self._stopped.is_set():
            return "stopped"
        if monotonic() >= deadline:
            return "time"
        # The first look comes at once: a short call is told with its memory, too.
        if not self._most_memory or monotonic() - looked >= _MEMORY_SECONDS:
            self._most_memory = max(self._most_memory, self._memory())
        return "memory" if self._most_memory > self._function.memory * _MEGABYTE else ""

    def _memory(self) -> int:
        """Return the bytes of memory that the processes of the call take by now, the warden's own excepted."""
        assert self._process is not None  # noqa: S101 - asked while it runs
        total = 0
        with suppress(psutil.Error):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def _variables(self) -> dict[str, str]:
        """Return the environment of the process: what Lambda sets, the way to AWS, the function's own."""
        function = self._function
        return {
            **self._environment,
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(self._folder / "tmp"),
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(function.code.folder),
            "LAMBDA_RUNTIME_DIR": str(self._runtime),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._log_stream,
            **function.variables,
        }

    def _outcome(self, ending: str) -> tuple[bytes, bool]:
        """Return the answer, and whether it is an error. Source: what Lambda's runtimes have been seen to tell."""
        request = f"RequestId: {self._id} Error:"
        if ending == "time":
            told = f"{request} Task timed out after {self._function.seconds:.2f} seconds"
            return _error("Sandbox.Timedout", told)
        if ending == "memory":
            return _error("Runtime.OutOfMemory", f"{request} Runtime exited with error: signal: killed")
        try:
            answer: dict[str, Any] = json.loads((self._folder / "answer.json").read_text("utf-8"))
        except FileNotFoundError:
            status = self._process.returncode if self._process else None
            return _error("Runtime.ExitError", f"{request} Runtime exited with error: exit status {status}")
        if "error" in answer:
            return json.dumps(answer["error"]).encode(), True
        payload = str(answer["payload"]).encode()
        if len(payload) > MOST_BYTES:
            told = f"Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes)."
            return _error("Function.ResponseSizeTooLarge", told)
        return payload, False


def _error(kind: str, message: str) -> tuple[bytes, bool]:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode(), True
