"""The records of launches in S3: numbered objects, never overwritten, and a copy of them here to read fast."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glue_pkgmgr.adapters.clients import RemoteRefusal, aws_errors
from glue_pkgmgr.adapters.records import AppendedRecords, MakeLine, lines_until, locked
from glue_pkgmgr.core.chain import START, digest
from glue_pkgmgr.core.record import Recorded
from glue_pkgmgr.core.record_lines import Wanted, read_lines
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.ports import Progress, silent

_FOLDER = "launches/"
_KEY = re.compile(r"(\d{12})\.json", re.ASCII)
_PATIENCE = 30.0  # seconds in which a writer tries to be the next
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds
_AT_ONCE = 32  # as many as the client keeps connections
_LONGEST_LINE = 4 * 1024 * 1024  # bytes; a record has thousands. What is longer is none of ours
_MANY = 1000  # objects whose fetching is worth a word
_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


@dataclass(frozen=True, slots=True)
class _Copied:
    """How far the copy goes: up to entry `number`, whose object had the entity tag `tag`, in `size` bytes."""

    number: int = 0
    tag: str = ""
    size: int = 0


class RecordBucket(AppendedRecords):
    """Keeps records below `url`, an `s3://` URL that ends with a slash.

    Entry N is the object `launches/N.json`, put only where none is: of several writers one is the next, and the
    others read what it wrote and come after it. `client` is boto3's; the copy lies in the folder `copy`.
    """

    def __init__(
        self,
        url: str,
        client: Any,
        copy: Path,
        *,
        progress: Progress = silent,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(progress)
        parts = urlsplit(url)
        self._url = f"{url}{_FOLDER}"
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.removeprefix('/')}{_FOLDER}"
        self._client = client
        self._copy = copy / "launches.jsonl"
        self._state = copy / "copied.json"
        self._sleep = sleep
        self._now = now
        self._head: tuple[int, str] | None = None  # number and digest of the last entry that we know of

    # --- writing

    def _append(self, make: MakeLine) -> None:
        number, previous = self._head or self._find_head()
        deadline = self._now() + _PATIENCE
        for attempt in count():
            line = make(previous)
            if self._put(number + 1, line):
                self._head = (number + 1, digest(line))
                return
            if self._now() >= deadline:
                raise RemoteError(
                    f"could not record a launch in {self._url}: for {_PATIENCE:g} s others were faster; try again"
                )
            most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
            self._sleep(random.uniform(0, most))  # noqa: S311 - not a secret
            number, previous = self._find_head(number)

    def _put(self, number: int, line: bytes) -> bool:
        """Put entry `number`; return False if there is another one."""
        try:
            with aws_errors(
                f"could not record a launch in {self._url}, and no job runs without a record",
                needs="s3:PutObject and kms:GenerateDataKey",
            ):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(number),
                    Body=line,
                    IfNoneMatch="*",
                    ContentType="application/json",
                    ServerSideEncryption="aws:kms",
                )
        except RemoteRefusal as e:
            if e.code not in _TAKEN:
                raise
            # An answer may have been lost and the request repeated: then what is there is ours.
            return self._line(number) == line
        return True

    def _find_head(self, known: int | None = None) -> tuple[int, str]:
        """Return number and digest of the last entry; `known` is the number of one that was there."""
        number = self._last_after(self._copied().number if known is None else known)
        line = self._line(number) if number else None
        if number and line is None:  # the copy is of what is there no more
            number = self._last_after(0)
            line = self._line(number) if number else None
        return number, digest(line) if line else START

    def _last_after(self, number: int) -> int:
        """Return the number of the last entry, `number` if none comes after it.

        S3 lists from the front only, a thousand at a time; whether anything comes after an entry is one question.
        """
        stride, last = _MANY, number
        while True:
            page, more = self._page(last)
            last = max(page, default=last)
            if not page or not more:
                return last
            while self._page(last + stride, most=1)[0]:
                last, stride = last + stride, stride * 2
            stride = max(stride // 2, _MANY)

    # --- reading

    def read(self, wanted: Wanted | None = None) -> Recorded:
        """Return the launches, with `wanted` those with such a release, and what is wrong.

        Objects never change: those that were fetched before are read from the copy.

        Raises: RemoteError; SettingsError when the copy cannot be written.
        """
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as file:
                with locked(file, fcntl.LOCK_EX, self._copy):
                    copied, lost = self._fetch(file)
                with self._copy.open("rb") as lines:
                    found = read_lines(lines_until(lines, copied.size), self._url, wanted=wanted)
        except OSError as e:
            raise SettingsError(
                f"cannot keep a copy of the records of launches, {self._copy}: {e.strerror or e}; "
                "free some space, or choose another folder with GLUE_PKGMGR_CACHE"
            ) from e
        return Recorded(
            launches=found.launches,
            faults=(*lost, *found.faults),
            cut_off=found.cut_off,
            entries=found.entries,
            head=found.head,
        )

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _fetch(self, file: int) -> tuple[_Copied, tuple[str, ...]]:
        """Add what is new to the copy; return how far it goes, and what is there no more."""
        copied = self._copied()
        if os.fstat(file).st_size < copied.size:
            copied = _Copied()
        os.ftruncate(file, copied.size)  # what a killed process has added, it has not noted
        page, more = self._page(max(copied.number - 1, 0))
        if copied.number and page.get(copied.number) != copied.tag:
            return copied, (
                f"{self._url}: entry {copied.number} is not what it was when it was read before: entries were "
                f"taken away or replaced. What was read is in {self._copy}: if the place was emptied on purpose, "
                "remove that",
            )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while new := {number: tag for number, tag in page.items() if number > copied.number}:
                copied = self._extend(file, copied, new, pool)
                if not more:
                    break
                self._progress(f"fetched {copied.number:,} records from {self._url}")
                page, more = self._page(copied.number)
        return copied, ()

    def _extend(self, file: int, copied: _Copied, new: Mapping[int, str], pool: ThreadPoolExecutor) -> _Copied:
        lines = dict(zip(new, pool.map(self._line, new), strict=True))
        last = max(new)
        content = b"".join(_one_line(lines.get(number)) for number in range(copied.number + 1, last + 1))
        written = os.pwrite(file, content, copied.size)
        if written < len(content):
            raise OSError("not all of it could be written")
        os.fsync(file)
        further = _Copied(last, new[last], copied.size + written)
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps({"number": further.number, "tag": further.tag, "size": further.size}))
        temporary.replace(self._state)
        return further

    def _copied(self) -> _Copied:
        try:
            content = json.loads(self._state.read_bytes())
            return _Copied(int(content["number"]), str(content["tag"]), int(content["size"]))
        except (OSError, ValueError, KeyError, TypeError):
            return _Copied()

    # --- objects

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:012d}.json"

    def _page(self, after: int, most: int = _MANY) -> tuple[dict[int, str], bool]:
        """Return the entity tags of up to `most` entries after `after`, by number, and whether more follow."""
        with aws_errors(f"could not list the records of launches in {self._url}", needs="s3:ListBucket"):
            listed = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._prefix, StartAfter=self._key(after), MaxKeys=most
            )
        found = (
            (_KEY.fullmatch(one["Key"].removeprefix(self._prefix)), one) for one in listed.get("Contents", ())
        )
        return {int(match[1]): str(one["ETag"]) for match, one in found if match}, bool(listed.get("IsTruncated"))

    def _line(self, number: int) -> bytes | None:
        """Return the bytes of an entry, None if it is not there."""
        try:
            with aws_errors(
                f"could not read the records of launches in {self._url}", needs="s3:GetObject and kms:Decrypt"
            ):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(number))
                content: bytes = answer["Body"].read(_LONGEST_LINE)
                return content
        except RemoteRefusal as e:
            if e.absent and e.code != "NoSuchBucket":
                return None
            raise


def copy_folder(cache: Path, url: str, endpoint: str | None) -> Path:
    """Return where the copy of the records below `url` lies; another `endpoint` is another S3."""
    return cache / "records" / hashlib.sha256(f"{endpoint or ''} {url}".encode()).hexdigest()[:32]


def _one_line(content: bytes | None) -> bytes:
    """Return an object as the one line that it has to be; an empty one if it is not there."""
    if content is None:
        return b"\n"
    return content.removesuffix(b"\n").replace(b"\n", b" ") + b"\n"
