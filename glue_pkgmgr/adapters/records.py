"""The records of launches in a folder: one file of lines that only grows."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from glue_pkgmgr.core.chain import START, digest
from glue_pkgmgr.core.job import JobRunId
from glue_pkgmgr.core.record import LaunchEnd, LaunchRecord, Recorded
from glue_pkgmgr.core.record_lines import Wanted, end_line, entry_line, previous_of, read_lines, run_line
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import Progress, silent

_LINES = "launches.jsonl"
_HEAD = "launches.head"
_PATIENCE = 30.0  # seconds; whoever holds the lock appends one line
_LONGEST_PAUSE = 0.01
_BLOCK = 64 * 1024
_WARNINGS_TOLD = 3

MakeLine = Callable[[str], bytes]
"""Makes a line that names the digest it is given, that of the line before."""


class AppendedRecords(ABC):
    """Records that are only ever appended to; satisfies `ports.LaunchRecords`.

    Whoever asks for `all` is told by `progress` what is wrong with them.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def add(self, record: LaunchRecord) -> None:
        """Append what is new of `record`: that it ended, else its run, else that it begins."""
        self._append(lambda previous: entry_line(record, previous))

    def complete(self, launch: str, run: JobRunId | None, end: LaunchEnd | None = None) -> None:
        """Append how a launch went on that was begun here or elsewhere."""
        if end:
            self._append(lambda previous: end_line(launch, run, end, previous))
        elif run:
            self._append(lambda previous: run_line(launch, run, previous))

    def all(self) -> tuple[LaunchRecord, ...]:
        """Return every launch, the oldest first."""
        found = self.read()
        for warning in found.warnings[:_WARNINGS_TOLD]:
            self._progress(f"warning: {warning}; see `glue-pkgmgr doctor`")
        return found.launches

    @abstractmethod
    def read(self, wanted: Wanted | None = None) -> Recorded:
        """Return the launches, with `wanted` those with such a release, and what is wrong."""

    @abstractmethod
    def _append(self, make: MakeLine) -> None: ...


class RecordFolder(AppendedRecords):
    """Keeps records in `launches.jsonl` in the folder `path`, which is made with the first of them.

    Beside it, `launches.head` holds the digest of the last line: it tells when lines are taken away at the end.
    """

    def __init__(self, path: Path, progress: Progress = silent) -> None:
        super().__init__(progress)
        self._path = path
        self._lines = path / _LINES
        self._noted = path / _HEAD

    def read(self, wanted: Wanted | None = None) -> Recorded:
        """Return the launches, with `wanted` those with such a release, and what is wrong; nothing if absent.

        Raises: SettingsError when the file cannot be read.
        """
        noted = self._head()  # before the lines: what is noted is written already
        try:
            with self._lines.open("rb") as file:
                lines = lines_until(file, self._whole_size(file.fileno()))
                return read_lines(lines, str(self._lines), wanted=wanted, noted=noted)
        except FileNotFoundError:
            return read_lines((), str(self._lines), noted=noted)
        except OSError as e:
            raise SettingsError(
                f"cannot read the records of launches, {self._lines}: {e.strerror or e}; check its permissions"
            ) from e

    def _whole_size(self, file: int) -> int:
        """Return the size of the file with no line in it that is being written just now."""
        size = os.fstat(file).st_size
        if not size or os.pread(file, 1, size - 1) == b"\n":
            return size
        with locked(file, fcntl.LOCK_SH, self._lines):
            return os.fstat(file).st_size

    def _append(self, make: MakeLine) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with self._opened() as file, locked(file, fcntl.LOCK_EX, self._lines):
                self._append_alone(file, make)
        except OSError as e:
            raise SettingsError(
                f"cannot write the record of a launch, {self._lines}: {e.strerror or e}; no job runs without one: "
                "make the folder writable, or free some space"
            ) from e

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._lines, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "Not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _append_alone(self, file: int, make: MakeLine) -> None:
        size = os.fstat(file).st_size
        last = _last_line(file, size)
        # What a killed writer has left becomes a line of its own, and a link of the chain like every other.
        missing_end = b"\n" if last and not last.endswith(b"\n") else b""
        line = make(self._previous(last + missing_end))
        try:
            _write(file, missing_end + line)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
        self._note(digest(line))
        if not size:
            _sync_folder(self._path)

    def _previous(self, last: bytes) -> str:
        """Return the digest that the next line has to name.

        It is that of the last line, unless the line that was noted as the last is not there any more: named by
        the next one, it stays missed for ever.
        """
        found = digest(last) if last else START
        noted = self._head()
        if noted in (None, found) or (last and noted == previous_of(last)):
            return found
        with self._lines.open("rb") as file:  # a computer that lost power may have lost the newest note
            return found if any(noted == digest(line) for line in file) else noted or found

    def _head(self) -> str | None:
        """Return the digest that was noted, None where there is none."""
        with suppress(OSError, UnicodeDecodeError):
            noted = self._noted.read_text(encoding="ascii").strip()
            return noted if len(noted) == len(START) else None
        return None

    def _note(self, head: str) -> None:
        # The line is written: to refuse the launch now, for want of this, would make the record a lie.
        with suppress(OSError):
            descriptor = os.open(self._noted, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(descriptor, f"{head}\n".encode(), 0)
            finally:
                os.close(descriptor)


@contextmanager
def locked(file: int, kind: int, path: Path) -> Iterator[None]:
    """Hold the lock `kind` of fcntl on an open file, called `path` in errors, while the block runs.

    Raises: SettingsError when somebody else keeps it for too long.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError as e:
            if time.monotonic() >= deadline:
                raise SettingsError(
                    f"another process has kept {path} locked for {_PATIENCE:g} s; end it, or try again"
                ) from e
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - not a secret
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def lines_until(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the lines of `file` that lie within its first `size` bytes: those that others add meanwhile do not."""
    for line in file:
        if size <= 0:
            return
        yield line[:size]
        size -= len(line)


def _last_line(file: int, size: int) -> bytes:
    """Return the last line of a file of `size` bytes, with its line end if it has one."""
    found = b""
    while size and b"\n" not in found[:-1]:
        begin = max(0, size - _BLOCK)
        found = os.pread(file, size - begin, begin) + found
        size = begin
    return found[found.rfind(b"\n", 0, -1) + 1 :]


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _sync_folder(path: Path) -> None:
    with suppress(OSError):  # not every file system can
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
