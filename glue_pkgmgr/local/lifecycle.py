"""The life of a stand-in: up, down, status. Each works again after a kill at any moment."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import glue_pkgmgr
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.gateway import STATUS_PATH
from glue_pkgmgr.local.objects import rclone
from glue_pkgmgr.local.state import StandIn, StateFolder, without_aws
from glue_pkgmgr.process import end_tree
from glue_pkgmgr.settings import Settings

Progress = Callable[[str], None]

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LOG_TAIL_BYTES = 4096


class Condition(StrEnum):
    """How a stand-in is."""

    RUNNING = "running"
    NOT_RUNNING = "not running"
    KILLED = "killed"  # its process is gone, its record is not
    NOT_ANSWERING = "not answering"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInStatus:
    """The stand-in of a state folder: how it is, and its record unless none was started.

    `faults` are the rules of what it does wrong on demand; see `glue_pkgmgr.local.faults`.
    """

    state: Path
    condition: Condition
    stand_in: StandIn | None
    faults: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether it can be used."""
        return self.condition is Condition.RUNNING


def default_state(settings: Settings) -> Path:
    """Return the state folder a stand-in gets when nobody names another."""
    return settings.root / ".glue-pkgmgr" / "local"


def up(
    settings: Settings,
    *,
    state: Path,
    port: int = 0,
    nearest_python: bool = False,
    progress: Progress,
) -> StandIn:
    """Return the running stand-in of the folder `state`, started if need be, with what `settings` name in it.

    `port` 0 takes a free one. `nearest_python` lets a job run whose Python is not on this machine use the
    nearest one. Doing it again changes nothing that is as it should be. Interrupted or failed, it leaves no
    process that it started.

    Raises: SettingsError when the extra `local` is not installed, the port is taken, the folder cannot be
    written, or a running stand-in was started with other settings; RemoteError when it refuses its contents.
    """
    _require_parts()
    folder = StateFolder(state.absolute())
    folder.prepare()
    with folder.starting(_START_SECONDS):
        stand_in = _running(folder)
        if stand_in:
            _require_same(stand_in, settings, port, nearest_python)
            progress(f"stand-in is already running at {stand_in.endpoint}")
            _seed(settings, folder, stand_in, progress)
            return stand_in
        progress("starting the stand-in")
        stand_in = _start(folder, settings, port, nearest_python)
        try:
            _seed(settings, folder, stand_in, progress)
        except BaseException:
            _stop(folder, stand_in)
            raise
        progress(f"stand-in is running at {stand_in.endpoint}")
        return stand_in


def down(state: Path) -> bool:
    """End the stand-in of the folder `state` with its job runs; return whether one was running.

    Packages and objects stay. Raises: SettingsError when the folder cannot be used.
    """
    folder = StateFolder(state.absolute())
    if folder.read() is None:
        return False
    with folder.starting(_START_SECONDS):
        stand_in = folder.read()
        if stand_in is None:
            return False
        was_running = stand_in.alive
        _stop(folder, stand_in)
        return was_running


def status(state: Path) -> StandInStatus:
    """Return how the stand-in of the folder `state` is. Raises: SettingsError when its record is unreadable."""
    folder = StateFolder(state.absolute())
    stand_in = folder.read()
    told = _told(stand_in) if stand_in and stand_in.alive else None
    condition = _condition(stand_in, told)
    faults = tuple(told.get("faults", ())) if told else ()
    return StandInStatus(state=folder.root, condition=condition, stand_in=stand_in, faults=faults)


def _condition(stand_in: StandIn | None, told: Mapping[str, Any] | None) -> Condition:
    if stand_in is None:
        return Condition.NOT_RUNNING
    if told is not None:
        return Condition.RUNNING
    return Condition.NOT_ANSWERING if stand_in.alive else Condition.KILLED


def _told(stand_in: StandIn) -> Mapping[str, Any] | None:
    """Return what the process of the record tells; None when a later owner of its port answers, or nobody."""
    address = urlsplit(stand_in.endpoint)
    with closing(http.client.HTTPConnection(address.netloc, timeout=_ANSWER_SECONDS)) as connection:
        try:
            connection.request("GET", STATUS_PATH)
            told = json.load(connection.getresponse())
            return dict(told) if told["pid"] == stand_in.pid else None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None


def _running(folder: StateFolder) -> StandIn | None:
    """Return the stand-in that runs in `folder`; the record of one that was killed is removed."""
    stand_in = folder.read()
    match _condition(stand_in, _told(stand_in) if stand_in and stand_in.alive else None):
        case Condition.RUNNING:
            return stand_in
        case Condition.NOT_ANSWERING:
            raise SettingsError(
                f"the stand-in in {folder.root} runs but does not answer; `glue-pkgmgr local down` ends it"
            )
        case Condition.KILLED:
            folder.forget()
        case Condition.NOT_RUNNING:
            pass
    return None


def _require_parts() -> None:
    missing = [module for module in ("flask", "moto", "werkzeug") if importlib.util.find_spec(module) is None]
    if rclone() is None:
        missing.append("rclone")
    if missing:
        raise SettingsError(
            f"the stand-in needs {', '.join(missing)}; install the extra: pip install 'glue-pkgmgr[local]'"
        )


def _require_same(stand_in: StandIn, settings: Settings, port: int, nearest_python: bool) -> None:
    wanted: Mapping[str, tuple[Any, Any]] = {
        "account": (stand_in.account, settings.codeartifact.owner),
        "region": (stand_in.region, settings.codeartifact.region),
        "port": (urlsplit(stand_in.endpoint).port, port or urlsplit(stand_in.endpoint).port),
        "nearest-python": (stand_in.nearest_python, nearest_python or stand_in.nearest_python),
    }
    for name, (running, asked) in wanted.items():
        if running != asked:
            raise SettingsError(
                f"the running stand-in has {name} {running}, not {asked}; "
                "end it first with `glue-pkgmgr local down`, or use another folder with --state"
            )


def _seed(settings: Settings, folder: StateFolder, stand_in: StandIn, progress: Progress) -> None:
    from glue_pkgmgr.local.seed import seed, seeded

    folder.write_seeded(seeded(settings))
    seed(settings, stand_in, progress)


def _start(folder: StateFolder, settings: Settings, port: int, nearest_python: bool) -> StandIn:
    """Start the process and return its record once it is ready."""
    receiving, reporting = os.pipe()
    with closing(os.fdopen(receiving, "rb", buffering=0)) as pipe:
        try:
            process = _spawn(_command(folder, settings, port, nearest_python, reporting), folder, reporting)
        finally:
            os.close(reporting)
        try:
            process.wait(_START_SECONDS)  # it detaches itself at once
            import glue_pkgmgr.local.seed  # noqa: F401 - boto3 takes a while: loaded while the other one starts

            outcome = _await_line(pipe, time.monotonic() + _START_SECONDS)
        except BaseException:
            _end_group(process.pid, pipe)
            raise
        if "error" in outcome:
            _end_group(process.pid, pipe)
            raise SettingsError(outcome["error"])
    stand_in = folder.read()
    if not outcome or stand_in is None:
        raise SettingsError(f"the stand-in ended while it started: {_last_line(folder.log)}; see {folder.log}")
    return stand_in


def _command(
    folder: StateFolder, settings: Settings, port: int, nearest_python: bool, reporting: int
) -> list[str]:
    command = [sys.executable, "-m", "glue_pkgmgr.local.server"]
    command += ["--state", str(folder.root), "--report", str(reporting), "--port", str(port)]
    command += ["--account", settings.codeartifact.owner, "--region", settings.codeartifact.region]
    return [*command, "--nearest-python"] if nearest_python else command


def _spawn(command: list[str], folder: StateFolder, reporting: int) -> subprocess.Popen[bytes]:
    try:
        with folder.log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=without_aws(os.environ),
                cwd=Path(glue_pkgmgr.__file__).parents[1],  # so that `-m` finds this package, installed or not
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[reporting],
                start_new_session=True,  # no terminal, no Ctrl-C
            )
    except OSError as e:
        raise folder.unusable(e) from e


def _await_line(pipe: Any, deadline: float) -> dict[str, Any]:
    """Return the JSON object that arrives in `pipe`; an empty one when the other end closes without a word."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise SettingsError(f"the stand-in was not ready within {_START_SECONDS:g} s and was ended")
        chunk = pipe.read(4096)
        if not chunk:
            return {}
        line += chunk
    return dict(json.loads(line))


def _end_group(group: int, pipe: Any) -> None:
    """End the processes of a start that failed: SIGTERM, and SIGKILL when they do not let go of `pipe`."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        with suppress(SettingsError):
            while _await_line(pipe, time.monotonic() + _STOP_SECONDS):
                pass
        os.killpg(group, signal.SIGKILL)


def _stop(folder: StateFolder, stand_in: StandIn) -> None:
    """End `stand_in` if its process is still the one recorded, in order if it can, and forget it."""
    deadline = time.monotonic() + _STOP_SECONDS
    if stand_in.alive:
        with suppress(ProcessLookupError):
            os.kill(stand_in.pid, signal.SIGTERM)
    while stand_in.alive and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if stand_in.alive:
        end_tree(stand_in.pid)
    folder.forget()


def _last_line(log: Path) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
    return "its log cannot be read"
