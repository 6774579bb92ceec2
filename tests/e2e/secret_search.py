"""An exact search for known tokens, however they are written, and for where processes and files show them."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import tarfile
import threading
import traceback
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote_to_bytes

import psutil

_PIECE = 24  # letters of a token: enough to tell it, however it was cut
_RUN = re.compile(rb"[A-Za-z0-9_+/-]{%d,}" % _PIECE)
# What stands between the pieces of a text that was wrapped, quoted in JSON, or written as UTF-16.
_BETWEEN = re.compile(rb"\\+[nrt]|[\s\0\\\"'|]+|\xe2\x94\x82")
_LOOK_SECONDS = 0.1
_FILES_EVERY = 3  # looks at processes
_LARGEST_FILE = 1_000_000  # bytes


class TokenSearch:
    """Finds any 47 letters in a row of `tokens`: plain, in base64 or hexadecimal, wrapped, escaped or packed."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._pieces = {
            form[start : start + _PIECE]
            for token in tokens
            for form in _forms(token.encode())
            for start in range(0, len(form) - _PIECE + 1, _PIECE)
        }

    def finds(self, content: bytes) -> bool:
        """Whether there is a token, or a large piece of one, in `content`."""
        forms = [content, _BETWEEN.sub(b"", content)]
        if b"%" in content:
            forms.append(unquote_to_bytes(content))
        return any(map(self._in, forms)) or any(map(self.finds, _unpacked(content)))

    def _in(self, content: bytes) -> bool:
        pieces = self._pieces
        return any(
            run[start : start + _PIECE] in pieces
            for run in _RUN.findall(content)
            for start in range(len(run) - _PIECE + 1)
        )


def _forms(token: bytes) -> Iterator[bytes]:
    """Yield `token` as it may be written. What base64 makes of it depends on how many bytes are before it."""
    yield token
    yield token[::-1]
    yield token.hex().encode()
    for before in (b"", b"-", b"--"):
        yield base64.b64encode(before + token)[4:-4]
        yield base64.urlsafe_b64encode(before + token)[4:-4]


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield what is in an archive: zip (a wheel), gzip, tar in gzip (an sdist); nothing if it is none."""
    if content[:4] == b"PK\3\4":
        with suppress(zipfile.BadZipFile, RuntimeError), zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
    if content[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError):
            yield gzip.decompress(content)
    if content[257:262] == b"ustar":
        with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    yield file.read()


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield all that an exception tells, and those it came of: texts, arguments, attributes, traceback."""
    yield "".join(traceback.format_exception(error))
    todo, known = [error], set[int]()
    while todo:
        one = todo.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ()))
        todo += filter(None, (one.__cause__, one.__context__, *getattr(one, "exceptions", ())))


class Watch:
    """What shows for a while only, seen every 100 ms: arguments and environments of processes, and small files.

    Watched are the processes below those with the ids `above`, and the files below `folders`.
    """

    def __init__(self, above: Iterable[int], folders: Iterable[Path]) -> None:
        self.arguments: set[tuple[str, ...]] = set()
        self.environments: dict[str, tuple[str, ...]] = {}
        self.files: dict[bytes, Path] = {}
        self._above = list(above)
        self._folders = list(folders)
        self._read: set[tuple[Path, int, int]] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def seen_files(self) -> list[tuple[str, bytes]]:
        """Return the files seen so far, and what was in them."""
        return [(str(path), content) for content, path in list(self.files.items())]

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(_LOOK_SECONDS):
            self._look_at_processes()
            if looks % _FILES_EVERY == 0:
                self._look_at_files()
            looks += 1

    def _look_at_processes(self) -> None:
        for top in self._above:
            with suppress(psutil.Error):
                for process in psutil.Process(top).children(recursive=True):
                    self._note(process)

    def _note(self, process: psutil.Process) -> None:
        with suppress(psutil.Error):
            words = tuple(process.cmdline())
            self.arguments.add(words)
            # As one text: a process that has just begun may show what it was forked from.
            self.environments["\n".join(process.environ().values())] = words

    def _look_at_files(self) -> None:
        for folder in self._folders:
            for parent, _, names in os.walk(folder):
                for name in names:
                    with suppress(OSError):
                        self._note_file(Path(parent, name))

    def _note_file(self, path: Path) -> None:
        stat = path.stat()
        seen = (path, stat.st_mtime_ns, stat.st_size)
        if path.is_file() and stat.st_size <= _LARGEST_FILE and seen not in self._read:
            self.files[path.read_bytes()] = path
            self._read.add(seen)
