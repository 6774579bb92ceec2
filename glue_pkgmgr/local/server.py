"""The process of a stand-in: all its services behind one loopback port, with rclone as a child for S3.

    python -m glue_pkgmgr.local.server --state FOLDER --account ID --region NAME --report DESCRIPTOR …

It detaches itself, and writes one JSON line to the pipe `DESCRIPTOR` when it is ready or cannot start.
SIGTERM ends it in order: job runs, the port, S3, the record in the state folder.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from werkzeug.serving import WSGIRequestHandler, make_server

from glue_pkgmgr.errors import GluePkgmgrError, SettingsError
from glue_pkgmgr.local.faults import Faults
from glue_pkgmgr.local.functions.app import create_app as create_functions_app
from glue_pkgmgr.local.functions.service import Functions
from glue_pkgmgr.local.gateway import Gateway
from glue_pkgmgr.local.jobs.glue import GlueRuns
from glue_pkgmgr.local.jobs.glue import create_app as create_glue_app
from glue_pkgmgr.local.moto_services import moto_services
from glue_pkgmgr.local.objects import ObjectServer
from glue_pkgmgr.local.s3_front import RAW_HEADERS, S3Front
from glue_pkgmgr.local.state import StandIn, StateFolder
from glue_pkgmgr.local.switchboard import Switchboard
from glue_pkgmgr.ports import utc_now

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

_BACKLOG = 128
_WATCH_SECONDS = 2.0
_TAKE_OVER_SECONDS = 30.0
_IDLE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a stand-in is started with. `port` 0 means any free one."""

    state: Path
    account: str
    region: str
    port: int
    nearest_python: bool


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM and return the exit status."""
    if os.fork():
        os._exit(0)  # whoever started us need not wait for the end of a child that has its own life
    options, report = _parse(argv)
    starter = _Starter(report)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log_to_stderr()
    try:
        serve(options, stop, starter.ready)
    except Exception as e:  # whoever started us waits for a word
        _log.exception("the stand-in ends")
        starter.failed(str(e) if isinstance(e, GluePkgmgrError) else f"{type(e).__name__}: {e}")
        return 1
    return 0


class _Starter:
    """Whoever waits for this process to be ready, at the other end of a pipe.

    The pipe is never closed here: its end tells the other side that this process is gone.
    """

    def __init__(self, pipe: int) -> None:
        os.set_inheritable(pipe, False)
        self._pipe = pipe

    def ready(self) -> None:
        """Say so. Raises: BrokenPipeError if nobody waits any more: then there is nothing to start."""
        self._say(ready=True)

    def failed(self, error: str) -> None:
        """Say why, if that is still of interest."""
        with suppress(OSError):
            self._say(error=error)

    def _say(self, **outcome: Any) -> None:
        os.write(self._pipe, json.dumps(outcome).encode() + b"\n")


def serve(options: Options, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve until `stop` is set; `ready` is called once every service answers.

    Raises: SettingsError when the port is taken or a part cannot be started.
    """
    state = StateFolder(options.state)
    with ExitStack() as closers:
        closers.enter_context(state.serving(_TAKE_OVER_SECONDS))
        closers.callback(state.forget)
        listener = closers.enter_context(closing(listen(options.port)))
        objects = _objects(state, stop)
        closers.enter_context(closing(objects))
        stand_in = _record(options, listener)
        moto = moto_services(stand_in.account, listener.getsockname()[1])
        faults = Faults()
        switchboard = Switchboard(faults)
        runs = _glue_runs(state, stand_in, faults)
        functions = _functions(state, stand_in, faults)
        gateway = Gateway(
            packages=_packages(state, stand_in, dict(os.environ), faults, closers),
            glue_runs=create_glue_app(runs),
            s3=S3Front(objects.endpoint),
            stacks=_stacks(state, stand_in, closers),
            functions=create_functions_app(functions),
            moto=moto,
            status=lambda: {
                "pid": stand_in.pid,
                "started": stand_in.started.isoformat(),
                "faults": [str(rule) for rule, _ in faults.in_force()],
            },
            switchboard=switchboard,
        )
        closers.enter_context(closing(_Door(listener, gateway)))
        # Ended before the door closes: the last lines of a run reach its log through it.
        closers.enter_context(closing(runs))
        closers.enter_context(closing(functions))
        state.write(stand_in)
        _log.info("ready at %s", stand_in.endpoint)
        ready()
        # A token's clock runs while its bearer waits for a run to be accepted: nothing is looked up then.
        threading.Thread(target=runs.prepare, name="prepare", daemon=True).start()
        # Somebody who deletes the state folder is done with the stand-in, and could not stop it any more.
        while state.root.is_dir() and not stop.wait(_WATCH_SECONDS):
            pass
        _log.info("stopping")


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback port `port`, 0 for any free one. Raises: SettingsError if taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port in TIME_WAIT after a restart is free; one that somebody listens on stays taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError as e:
        listener.close()
        if e.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} of 127.0.0.1 is taken by another program; choose another, or none for any free port"
            ) from e
        raise SettingsError(f"cannot listen on port {port} of 127.0.0.1: {e.strerror}") from e
    return listener


def _objects(state: StateFolder, stop: threading.Event) -> ObjectServer:
    def ended() -> None:
        if not stop.is_set():
            _log.error("rclone has ended: without S3 there is no stand-in")
        stop.set()

    return ObjectServer(state.s3, os.environ, on_end=ended)


def _record(options: Options, listener: socket.socket) -> StandIn:
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return StandIn(
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        endpoint=endpoint,
        s3_endpoint=endpoint,
        account=options.account,
        region=options.region,
        nearest_python=options.nearest_python,
        started=utc_now(),
    )


def _packages(
    state: StateFolder, stand_in: StandIn, environ: Mapping[str, str], faults: Faults, closers: ExitStack
) -> WSGIApplication:
    """Return the CodeArtifact API and the package index; upstream is the index pip is configured to use."""
    from glue_pkgmgr.index_source import configured_index
    from glue_pkgmgr.local.codeartifact.app import create_app
    from glue_pkgmgr.local.packages.store import PackageStore
    from glue_pkgmgr.local.packages.tokens import TokenBook

    store = closers.enter_context(closing(PackageStore(state.packages)))
    tokens = closers.enter_context(closing(TokenBook(state.packages / "tokens.sqlite", utc_now, faults)))
    app: WSGIApplication = create_app(
        store=store,
        tokens=tokens,
        upstream=lambda: configured_index(environ),
        account=stand_in.account,
        region=stand_in.region,
        base_url=lambda: stand_in.endpoint,
        clock=utc_now,
    )
    return app


def _stacks(state: StateFolder, stand_in: StandIn, closers: ExitStack) -> WSGIApplication:
    """Return CloudFormation. Its calls are as good as anybody's: faults are meant for them, too."""
    from glue_pkgmgr.local.clients import Clients
    from glue_pkgmgr.local.cloudformation.api import StackOperations
    from glue_pkgmgr.local.cloudformation.app import create_app
    from glue_pkgmgr.local.cloudformation.maker import Inventory

    operations = StackOperations(
        account=stand_in.account,
        region=stand_in.region,
        clients=Clients(stand_in),
        inventory=Inventory(seeded=state.seeded, made=state.made),
        clock=utc_now,
    )
    closers.enter_context(closing(operations))
    return create_app(operations)


def _glue_runs(state: StateFolder, stand_in: StandIn, faults: Faults) -> GlueRuns:
    from glue_pkgmgr.local.clients import OWN_CALL, Clients
    from glue_pkgmgr.local.late_logs import LateLogs

    clients = Clients(stand_in, agent=OWN_CALL)
    return GlueRuns(
        job_definitions=lambda name: dict(clients("glue").get_job(JobName=name)["Job"]),
        logs=lambda: LateLogs(clients("logs"), faults),
        state=state.runs,
        clock=utc_now,
        endpoints=stand_in.environment(os.environ),
        s3_root=state.s3,
        nearest_python=stand_in.nearest_python,
        faults=faults,
    )


def _functions(state: StateFolder, stand_in: StandIn, faults: Faults) -> Functions:
    from glue_pkgmgr.local.clients import OWN_CALL, Clients
    from glue_pkgmgr.local.late_logs import LateLogs

    clients = Clients(stand_in, agent=OWN_CALL)
    return Functions(
        clients=clients,
        logs=lambda: LateLogs(clients("logs"), faults),
        state=state.functions,
        endpoints=stand_in.environment(os.environ),
        account=stand_in.account,
        region=stand_in.region,
        clock=utc_now,
        nearest_python=stand_in.nearest_python,
    )


class _Door:
    """Answers HTTP requests on a listening socket with a WSGI application, a thread per connection."""

    def __init__(self, listener: socket.socket, application: WSGIApplication) -> None:
        host, port = listener.getsockname()
        self._server = make_server(
            host, port, application, threaded=True, request_handler=_RequestHandler, fd=listener.fileno()
        )
        threading.Thread(target=self._server.serve_forever, args=[0.1], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()


class _RequestHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def make_environ(self) -> WSGIEnvironment:
        return {**super().make_environ(), RAW_HEADERS: self.headers.items()}

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        # Or it would wait for another request, and the client for an answer that never comes.
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        # A follower asks for a run's state all the time: only what went wrong is worth a line.
        if str(code) >= "400":
            _log.info("%s: %s", self.requestline.translate(_NO_CONTROLS), code)


_NO_CONTROLS = dict.fromkeys((*range(32), 127), "?")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.Formatter.converter = time.gmtime
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # It logs the states of a failing execution with what they hold, and that may be a token.
    logging.getLogger("moto").setLevel(logging.CRITICAL)


def _parse(argv: Sequence[str]) -> tuple[Options, int]:
    parser = argparse.ArgumentParser(prog="glue_pkgmgr.local.server")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--nearest-python", action="store_true")
    given = vars(parser.parse_args(argv))
    report: int = given.pop("report")
    return Options(**given), report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
