"""The process tree of one job run, and its two logs on their way to CloudWatch."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

import glue_pkgmgr
from glue_pkgmgr.local import warden
from glue_pkgmgr.local.jobs.log_stream import LogStream
from glue_pkgmgr.local.jobs.runner import RunReport, RunSpec

_FLUSH_SECONDS = 0.25
_CHUNK = 65536


class RunProcess:
    """A started run. Iterate over `progress()` until it ends; only then everything is in the logs.

    `environment` is the whole environment of the runner. `output` takes what the script prints, `error` what
    the system tells.
    """

    def __init__(
        self, spec: RunSpec, environment: Mapping[str, str], *, output: LogStream, error: LogStream
    ) -> None:
        self._folder = Path(spec.folder)
        readable, writable = os.pipe()
        try:
            self._process = warden.start(
                [sys.executable, "-m", "glue_pkgmgr.local.jobs.runner", str(readable)],
                env=environment,
                cwd=Path(glue_pkgmgr.__file__).parents[1],  # where `-m` finds us, installed or not
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[readable],
            )
        finally:
            os.close(readable)
        # In a thread: a pipe holds less than the 260 KB that arguments may take.
        threading.Thread(target=_hand_over, args=(writable, spec.to_json()), daemon=True).start()
        self._logs = {self._process.stdout: output, self._process.stderr: error}

    def progress(self) -> Iterator[RunReport | None]:
        """Yield the latest report at least four times a second, and return when no process is left."""
        with selectors.DefaultSelector() as pipes:
            for pipe, log in self._logs.items():
                assert pipe is not None  # noqa: S101 - both were asked for
                pipes.register(pipe, selectors.EVENT_READ, log)
            flushed = monotonic()
            while pipes.get_map():
                for key, _ in pipes.select(_FLUSH_SECONDS):
                    data = os.read(key.fd, _CHUNK)
                    key.data.write(data)
                    if not data:
                        pipes.unregister(key.fileobj)
                if monotonic() - flushed >= _FLUSH_SECONDS:
                    for log in self._logs.values():
                        log.flush()
                    flushed = monotonic()
                    yield self.report()
        self._process.wait()
        for pipe, log in self._logs.items():
            log.close()
            assert pipe is not None  # noqa: S101
            pipe.close()

    def report(self) -> RunReport | None:
        """Return how far the runner says it is; None before it has said anything."""
        return RunReport.read(self._folder)

    @property
    def exit_status(self) -> int | None:
        """The runner's exit status, 128 + N for signal N; None while it runs."""
        return self._process.returncode

    def stop(self) -> None:
        """Begin to end the process tree; `progress()` goes on until it has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def _hand_over(descriptor: int, text: str) -> None:
    with suppress(BrokenPipeError), open(descriptor, "w", encoding="utf-8") as pipe:
        pipe.write(text)
