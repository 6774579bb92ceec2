"""S3 on a loopback port, served by `rclone serve s3` from a folder per bucket."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local import warden

_log = logging.getLogger(__name__)

LISTING_SECONDS = 0.005
"""How long rclone remembers the listing of a folder: what others write into it shows after that time."""

_LISTENING = re.compile(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]")
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


def rclone() -> Path | None:
    """Return the rclone program: the one installed beside this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / "rclone"
    if beside.exists():
        return beside
    found = shutil.which("rclone")
    return Path(found) if found else None


class ObjectServer:
    """A running `rclone serve s3`; `endpoint` is its URL."""

    def __init__(self, folder: Path, environ: Mapping[str, str], on_end: Callable[[], None]) -> None:
        """Serve the folders in `folder` as buckets; `on_end` is called when rclone has ended, whatever the cause.

        Raises: SettingsError when rclone does not come up.
        """
        program = rclone()
        if program is None:
            raise SettingsError("rclone is missing; install the extra: pip install 'glue-pkgmgr[local]'")
        _sweep(folder)
        self._on_end = on_end
        self._announced: SimpleQueue[str] = SimpleQueue()
        self._process = warden.start(
            _command(program, folder),
            env={k: v for k, v in environ.items() if not k.startswith("RCLONE_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        threading.Thread(target=self._follow, args=[self._process.stdout], daemon=True).start()
        try:
            self.endpoint = self._announced.get(timeout=_START_SECONDS)
        except Empty:
            self.endpoint = ""
        if not self.endpoint:
            self.close()
            raise SettingsError("rclone did not start to serve S3; its own words are in the stand-in's server.log")

    def close(self) -> None:
        """Stop serving; no process is left."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self, output: IO[bytes]) -> None:
        """Copy what rclone says to the log. Port 0 lets the system choose a free port; rclone says which."""
        for line in output:
            text = line.decode(errors="replace").rstrip()
            _log.info("rclone: %s", text)
            if found := _LISTENING.search(text):
                self._announced.put(found[1])
        self._on_end()
        self._announced.put("")  # whoever still waits for a port waits in vain


def _sweep(folder: Path) -> None:
    """Remove what an rclone that was killed had not finished to receive; no listing ever showed it."""
    for unfinished in folder.rglob(".rclone_temp_*"):
        unfinished.unlink(missing_ok=True)


def _command(program: Path, folder: Path) -> list[str | Path]:
    return [
        program,
        "serve",
        "s3",
        "--addr=127.0.0.1:0",
        f"--config={os.devnull}",  # remotes of the machine's user are none of our business
        # Spark writes into the same folders: a listing that was remembered hides its files. Not 0, for then
        # rclone's own clean-up of listings never rests and takes a whole core.
        f"--dir-cache-time={LISTING_SECONDS}s",
        "--poll-interval=0",
        "--max-header-bytes=65536",  # the default of 4096 is too small for long session tokens
        "--stats=0",
        str(folder),
    ]
