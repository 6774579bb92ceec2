"""Runs one call of a function: what Lambda's own runtime does around a handler.

    python -I -S -u bootstrap.py FOLDER RUNTIME

`FOLDER` has `call.json`, and gets `answer.json`; `RUNTIME` has the packages that come with Lambda. Only the
standard library: the function's Python has nothing else, and nothing of ours.

Source: AWS Lambda Developer Guide, "Define Lambda function handler in Python", "Using the Lambda context object",
"Lambda function errors in Python".
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class Context:
    """What a handler can ask about its call."""

    function_version = "$LATEST"
    identity = None
    client_context = None

    def __init__(self, call: dict[str, Any]) -> None:
        self.aws_request_id = call["request_id"]
        self.invoked_function_arn = call["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._ends = time.monotonic() + call["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the call may go on."""
        return max(0, int(1000 * (self._ends - time.monotonic())))


class Failure(Exception):
    """The function could not be called, or its answer not be told; `kind` is Lambda's name for it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def main(folder: Path, runtime: str) -> int:
    """Make the call and write its answer."""
    call = json.loads((folder / "call.json").read_text("utf-8"))
    sys.path[:] = [os.environ["LAMBDA_TASK_ROOT"], *sys.path, runtime]
    answer = _answer(call)
    unfinished = folder / "answer.new"
    unfinished.write_text(json.dumps(answer), encoding="utf-8")
    unfinished.replace(folder / "answer.json")
    return 0


def _answer(call: dict[str, Any]) -> dict[str, Any]:
    """Return `{"payload": …}`, which is JSON as text, or `{"error": …}`."""
    try:
        handler = _handler(os.environ["_HANDLER"])
        return {"payload": _json(handler(call["event"], Context(call)))}
    except Failure as e:
        print(f"[ERROR] {e.kind}: {e}", file=sys.stderr)
        return {"error": _told(e.kind, str(e), [], call)}
    except Exception as e:
        # From the handler on: what is above it is ours.
        frames = traceback.format_list(traceback.extract_tb(e.__traceback__)[1:])
        kind = type(e).__name__
        print(f"[ERROR] {kind}: {e}\nTraceback (most recent call last):\n{''.join(frames)}", file=sys.stderr)
        return {"error": _told(kind, str(e), frames, call)}


def _handler(name: str) -> Any:
    module, dot, function = name.rpartition(".")
    if not dot:
        raise Failure("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack")
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError as e:
        raise Failure("Runtime.ImportModuleError", f"Unable to import module '{module}': {e}") from e
    except SyntaxError as e:
        raise Failure("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {e}") from e
    try:
        return getattr(found, function)
    except AttributeError as e:
        raise Failure("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'") from e


def _json(result: object) -> str:
    try:
        return json.dumps(result)
    except (TypeError, ValueError) as e:
        raise Failure("Runtime.MarshalError", f"Unable to marshal response: {e}") from e


def _told(kind: str, message: str, frames: list[str], call: dict[str, Any]) -> dict[str, Any]:
    return {
        "errorMessage": message,
        "errorType": kind,
        "requestId": call["request_id"],
        "stackTrace": frames,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
