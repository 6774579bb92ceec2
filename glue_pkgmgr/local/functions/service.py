"""The functions of one stand-in, for as long as it lives, and the operations on them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import logging
import re
import shutil
import threading
import uuid
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from glue_pkgmgr.local.functions.call import MOST_BYTES, Answer, Call
from glue_pkgmgr.local.functions.configuration import (
    Code,
    Function,
    PythonVersion,
    checked_name,
    default_log_group,
    settings_of,
)
from glue_pkgmgr.local.functions.wire import LambdaError, invalid
from glue_pkgmgr.local.jobs.interpreters import nearest_python, python_for
from glue_pkgmgr.local.jobs.log_stream import LogStream

_log = logging.getLogger(__name__)

Params = Mapping[str, Any]

_MOST_UNPACKED = 262_144_000  # bytes
_CLOSE_SECONDS = 30.0
# Source: AWS Lambda Developer Guide, "Runtime-included packages" of Python: the SDK and what it needs.
_WITH_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
_TO_AWS = re.compile(r"AWS_\w+|NO_PROXY|no_proxy")


class Functions:
    """The functions of one stand-in. Safe for many threads.

    `clients` makes a boto3 client of the stand-in for a service; `logs` returns one for CloudWatch Logs; `state`
    is a folder of ours, emptied here; `endpoints` the environment that leads boto3 to the stand-in and nowhere
    else; `clock` returns aware UTC. With `nearest_python` a runtime whose Python this machine lacks runs on the
    nearest one.
    """

    def __init__(
        self,
        *,
        clients: Callable[[str], Any],
        logs: Callable[[], Any],
        state: Path,
        endpoints: Mapping[str, str],
        account: str,
        region: str,
        clock: Callable[[], datetime],
        nearest_python: bool = False,
    ) -> None:
        self._clients = clients
        self._logs = logs
        self._state = state
        self._endpoints = dict(endpoints)
        self._account = account
        self._region = region
        self._clock = clock
        self._nearest_python = nearest_python
        self._lock = threading.RLock()
        self._functions: dict[str, Function] = {}
        self._pythons: dict[PythonVersion, Path] = {}
        self._calls: dict[str, tuple[str, Call]] = {}
        self._threads: set[threading.Thread] = set()
        self._closing = False
        shutil.rmtree(state, ignore_errors=True)  # of a stand-in before
        (state / "code").mkdir(parents=True)
        self._runtime = _runtime(state / "runtime")

    def close(self) -> None:
        """End every call and wait until none of their processes is left."""
        with self._lock:
            self._closing = True
            calls, threads = [call for _, call in self._calls.values()], list(self._threads)
        for call in calls:
            call.stop()
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    # -- the API, by the names of its operations ----------------------------------------------------------

    def create_function(self, params: Params) -> dict[str, Any]:
        """Make a function. Raises: LambdaError."""
        name = checked_name(params["FunctionName"])
        if params.get("PackageType", "Zip") != "Zip":
            raise invalid("the stand-in runs zips, not images")
        for needed in ("Runtime", "Handler"):
            if needed not in params:
                raise invalid(f"{needed} is mandatory for functions created with deployment packages (zip)")
        settings = settings_of(params, name)
        self._python(settings["python"])
        code = self._code(name, params["Code"])
        with self._lock:
            if name in self._functions:
                raise LambdaError("ResourceConflictException", f"Function already exist: {name}")
            made = Function(
                **{"log_group": default_log_group(name), **settings},
                name=name,
                arn=f"arn:aws:lambda:{self._region}:{self._account}:function:{name}",
                code=code,
                modified=self._clock(),
                revision=str(uuid.uuid4()),
            )
            self._functions[name] = made
        return made.as_api()

    def update_function_code(self, params: Params) -> dict[str, Any]:
        """Give a function other code. Raises: LambdaError."""
        function = self._function(params)
        code = self._code(function.name, params)
        if params.get("DryRun"):
            return replace(function, code=code).as_api()
        changes: dict[str, Any] = {"code": code}
        if "Architectures" in params:
            changes["architectures"] = tuple(params["Architectures"])
        return self._changed(function.name, **changes).as_api()

    def update_function_configuration(self, params: Params) -> dict[str, Any]:
        """Change what a function is run with. Raises: LambdaError."""
        function = self._function(params)
        settings = settings_of(params, function.name)
        if "python" in settings:
            self._python(settings["python"])
        settings["told"] = {**function.told, **settings["told"]}
        return self._changed(function.name, **settings).as_api()

    def get_function(self, params: Params) -> dict[str, Any]:
        """Return a function with its tags. Raises: LambdaError."""
        function = self._function(params)
        return {
            "Configuration": function.as_api(),
            "Code": {"RepositoryType": "S3", "Location": function.code.folder.as_uri()},
            **({"Tags": dict(function.tags)} if function.tags else {}),
            **({"Concurrency": _concurrency(function)} if function.reserved is not None else {}),
        }

    def get_function_configuration(self, params: Params) -> dict[str, Any]:
        """Return the configuration of a function. Raises: LambdaError."""
        return self._function(params).as_api()

    def list_functions(self, params: Params) -> dict[str, Any]:
        """Return the configurations of all functions, by name."""
        start, most = int(params.get("Marker") or 0), int(params.get("MaxItems") or 50)
        with self._lock:
            found = [self._functions[name].as_api() for name in sorted(self._functions)]
        more = {"NextMarker": str(start + most)} if start + most < len(found) else {}
        return {"Functions": found[start : start + most], **more}

    def delete_function(self, params: Params) -> dict[str, Any]:
        """Forget a function. Raises: LambdaError."""
        function = self._function(params)
        with self._lock:
            self._functions.pop(function.name, None)
        return {}

    def put_function_concurrency(self, params: Params) -> dict[str, Any]:
        """Say how many calls of a function there may be at once. Raises: LambdaError."""
        name = self._function(params).name
        return _concurrency(self._changed(name, reserved=int(params["ReservedConcurrentExecutions"])))

    def get_function_concurrency(self, params: Params) -> dict[str, Any]:
        """Return how many calls of a function there may be at once. Raises: LambdaError."""
        return _concurrency(self._function(params))

    def delete_function_concurrency(self, params: Params) -> dict[str, Any]:
        """Let a function be called as often as anybody likes. Raises: LambdaError."""
        self._changed(self._function(params).name, reserved=None)
        return {}

    def list_tags(self, params: Params) -> dict[str, Any]:
        """Return the tags of a function. Raises: LambdaError."""
        return {"Tags": dict(self._function(params, "Resource").tags)}

    def tag_resource(self, params: Params) -> dict[str, Any]:
        """Add tags to a function. Raises: LambdaError."""
        function = self._function(params, "Resource")
        self._changed(function.name, tags={**function.tags, **params["Tags"]})
        return {}

    def untag_resource(self, params: Params) -> dict[str, Any]:
        """Take tags from a function. Raises: LambdaError."""
        function = self._function(params, "Resource")
        left = {key: value for key, value in function.tags.items() if key not in params.get("TagKeys", ())}
        self._changed(function.name, tags=left)
        return {}

    def invoke(self, params: Params, event: bytes, *, wait: bool) -> Answer | None:
        """Call a function with the JSON `event`, and return its answer; None where nobody waits for it.

        Raises: LambdaError when it cannot be called at all; what goes wrong in it is in the answer.
        """
        function = self._function(params)
        if len(event) > MOST_BYTES:
            raise LambdaError("RequestTooLargeException", f"Request must be smaller than {MOST_BYTES} bytes")
        try:
            json.loads(event or b"{}")
        except ValueError as e:
            raise LambdaError(
                "InvalidRequestContentException", f"Could not parse request body into json: {e}"
            ) from e
        request_id = str(uuid.uuid4())
        call = self._call(function, event or b"{}", request_id)
        answers: list[Answer] = []
        thread = threading.Thread(
            target=self._run, args=(request_id, call, answers), name=f"call {function.name}", daemon=True
        )
        with self._lock:
            self._enter(function, request_id, call)
            self._threads.add(thread)
        thread.start()
        if not wait:
            return None
        thread.join()
        if not answers:
            raise LambdaError("ServiceException", f"the call of {function.name} could not be made")
        return answers[0]

    # -- what the operations need -------------------------------------------------------------------------

    def _function(self, params: Params, member: str = "FunctionName") -> Function:
        name = checked_name(params[member])
        if params.get("Qualifier", "$LATEST") != "$LATEST":
            raise LambdaError("ResourceNotFoundException", f"Function not found: {name}:{params['Qualifier']}")
        with self._lock:
            found = self._functions.get(name)
        if found is None:
            arn = f"arn:aws:lambda:{self._region}:{self._account}:function:{name}"
            raise LambdaError("ResourceNotFoundException", f"Function not found: {arn}")
        return found

    def _changed(self, name: str, **changes: Any) -> Function:
        with self._lock:
            function = self._functions[name]
            changed = replace(function, **changes, modified=self._clock(), revision=str(uuid.uuid4()))
            self._functions[name] = changed
        return changed

    def _python(self, version: PythonVersion) -> Path:
        with self._lock:
            if version not in self._pythons:
                self._pythons[version] = self._find_python(version)
            return self._pythons[version]

    def _find_python(self, version: PythonVersion) -> Path:
        if python := python_for(version, self._endpoints):
            return python
        nearest = nearest_python(version, self._endpoints) if self._nearest_python else None
        if nearest is None:
            text = ".".join(map(str, version))
            raise invalid(
                f"python{text} is not on this machine; install it (`uv python install {text}`), choose another"
                " Runtime, or start the stand-in with the nearest Python allowed"
            )
        return nearest[1]

    def _code(self, name: str, place: Params) -> Code:
        """Return the unpacked code that a request brings or names. Raises: LambdaError."""
        content = self._zip(place)
        digest = hashlib.sha256(content).digest()
        folder = self._state / "code" / f"{name}-{digest.hex()[:16]}-{uuid.uuid4().hex[:8]}"
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(info.file_size for info in archive.infolist()) > _MOST_UNPACKED:
                    raise invalid(f"Unzipped size must be smaller than {_MOST_UNPACKED} bytes")
                if any(".." in PurePosixPath(one).parts or one.startswith("/") for one in archive.namelist()):
                    raise invalid("the zip holds a name that leads outside")
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError) as e:
            raise invalid(f"Could not unzip uploaded file: {e}") from e
        return Code(folder=folder, size=len(content), sha256=base64.b64encode(digest).decode())

    def _zip(self, place: Params) -> bytes:
        if place.get("ImageUri"):
            raise invalid("the stand-in runs zips, not images")
        if "ZipFile" in place:
            return bytes(place["ZipFile"])
        if not place.get("S3Bucket") or not place.get("S3Key"):
            raise invalid("Please provide a source for function code.")
        version = {"VersionId": place["S3ObjectVersion"]} if place.get("S3ObjectVersion") else {}
        try:
            found = self._clients("s3").get_object(Bucket=place["S3Bucket"], Key=place["S3Key"], **version)
            return bytes(found["Body"].read())
        except ClientError as e:
            error = e.response["Error"]
            raise invalid(
                f"Error occurred while GetObject. S3 Error Code: {error.get('Code')}."
                f" S3 Error Message: {error.get('Message')}"
            ) from e
        except BotoCoreError as e:
            raise LambdaError("ServiceException", f"S3 did not answer: {e}") from e

    def _call(self, function: Function, event: bytes, request_id: str) -> Call:
        stream = f"{self._clock():%Y/%m/%d}/[$LATEST]{request_id.replace('-', '')}"
        return Call(
            function,
            event,
            request_id=request_id,
            python=self._python(function.python),
            runtime=self._runtime,
            environment={name: value for name, value in self._endpoints.items() if _TO_AWS.fullmatch(name)},
            folder=self._state / "calls" / request_id,
            log=LogStream(self._logs(), function.log_group, stream, self._clock),
            log_stream=stream,
        )

    def _enter(self, function: Function, request_id: str, call: Call) -> None:
        """Take note of a call, with the lock held. Raises: LambdaError where there is no room for it."""
        if self._closing:
            raise LambdaError("ServiceException", "the stand-in is stopping")
        running = sum(name == function.name for name, _ in self._calls.values())
        if function.reserved is not None and running >= function.reserved:
            raise LambdaError("TooManyRequestsException", "Rate Exceeded.")
        self._calls[request_id] = function.name, call

    def _run(self, request_id: str, call: Call, answers: list[Answer]) -> None:
        try:
            answers.append(call.run())
        except Exception:
            _log.exception("a call could not be made")
        finally:
            with self._lock:
                self._calls.pop(request_id, None)
                self._threads.discard(threading.current_thread())


def _concurrency(function: Function) -> dict[str, Any]:
    return {} if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}


def _runtime(folder: Path) -> Path:
    """Make `folder` with links to the packages that Lambda's Python brings, and to nothing else of ours."""
    folder.mkdir(parents=True)
    for name in _WITH_LAMBDA:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        target = origin.parent if origin.name == "__init__.py" else origin
        with suppress(FileExistsError):
            (folder / target.name).symlink_to(target)
    return folder
