"""What a stand-in keeps on disk: one folder with its packages, objects, runs, log, and where it listens."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.local.switches import Switches

ACCESS_KEY = "stand-in"
"""The access key, and the secret, that clients of a stand-in sign with. Nobody checks the signature."""

_LOCK_POLL_SECONDS = 0.05
# Process start times are computed from the boot time, which a clock step may move a little.
_SAME_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A stand-in that was started: its process, and where its services listen.

    `endpoint` and `s3_endpoint` are URLs without a path; `process_started` is the start of process `pid` in
    seconds since the epoch: together they name one process for ever, a pid alone does not. `nearest_python`: a
    job run whose Python is not on this machine gets the nearest one instead of a refusal.
    """

    pid: int
    process_started: float
    endpoint: str
    s3_endpoint: str
    account: str
    region: str
    nearest_python: bool
    started: datetime

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return is_alive(self.pid, self.process_started)

    @property
    def switches(self) -> Switches:
        """What makes it do wrong on demand, and tells which calls came to it."""
        from glue_pkgmgr.local.switches import Switches

        return Switches(self.endpoint)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` changed so that any AWS client talks to this stand-in and to nothing else.

        The user's own AWS profile, configuration and credentials are out of force. Path-style S3 addresses
        need no setting: the SDKs use them for an endpoint that is an IP address.
        """
        return {
            **without_aws(base),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.s3_endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


def without_aws(base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with no way to AWS in it: no credentials, profile, endpoint or file; loopback unproxied."""
    kept = {k: v for k, v in base.items() if not k.startswith("AWS_") or k in _HARMLESS}
    # Both spellings: curl and Go read the lower-case one first, others only one of the two.
    unproxied = ",".join(filter(None, [base.get("NO_PROXY") or base.get("no_proxy"), "127.0.0.1,localhost"]))
    return {
        **kept,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
    }


_HARMLESS = frozenset({"AWS_PAGER", "AWS_DEFAULT_OUTPUT", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"})


def is_alive(pid: int, started: float) -> bool:
    """Return whether the process `pid` that began at `started` (seconds since the epoch) runs."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_START_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state folder of one stand-in. Packages and objects in it survive a restart; the rest is per process."""

    root: Path

    @property
    def log(self) -> Path:
        """What the stand-in's process and its children print."""
        return self.root / "server.log"

    @property
    def packages(self) -> Path:
        """The packages of the CodeArtifact service."""
        return self.root / "packages"

    @property
    def s3(self) -> Path:
        """The objects of S3: a folder per bucket."""
        return self.root / "s3"

    @property
    def runs(self) -> Path:
        """The working folders of job runs."""
        return self.root / "runs"

    @property
    def seeded(self) -> Path:
        """Types and names of the resources that `local up` has made."""
        return self.root / "seeded.json"

    @property
    def made(self) -> Path:
        """Types and names of the resources that stacks have made and that outlive the process."""
        return self.root / "made.json"

    @property
    def functions(self) -> Path:
        """The code of Lambda functions, and the working folders of their calls."""
        return self.root / "functions"

    @property
    def _record(self) -> Path:
        return self.root / "stand-in.json"

    def prepare(self) -> None:
        """Make the folders. Raises: SettingsError when that is not possible."""
        try:
            for folder in (self.root, self.packages, self.s3, self.runs):
                folder.mkdir(parents=True, exist_ok=True)
            # Nothing in here belongs into anybody's history.
            (self.root / ".gitignore").write_text("*\n", encoding="ascii")
        except OSError as e:
            raise self.unusable(e) from e

    def unusable(self, error: OSError) -> SettingsError:
        """Return the error that tells the user why this folder cannot be written."""
        reason = error.strerror or str(error)
        return SettingsError(
            f"cannot write the stand-in's state folder {self.root}: {reason}; "
            "make room or give it another folder with --state"
        )

    def starting(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the folder for one start or stop at a time, waiting up to `timeout` seconds for another's end.

        Raises: SettingsError when another one is still at it.
        """
        return self._held(
            "starting.lock",
            timeout,
            f"another `local up` or `local down` is at work in {self.root}; try again when it is done",
        )

    def serving(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the folder for the one process that serves from it, waiting up to `timeout` seconds.

        Raises: SettingsError when another process still does.
        """
        return self._held(
            "serving.lock",
            timeout,
            f"another stand-in still serves from {self.root}; `glue-pkgmgr local down` ends it",
        )

    @contextmanager
    def _held(self, name: str, timeout: float, refusal: str) -> Iterator[None]:
        try:
            # Not inherited by children: the kernel lets the lock go with this process, however it ends.
            descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise self.unusable(e) from e
        try:
            deadline = time.monotonic() + timeout
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise SettingsError(refusal)
                time.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> StandIn | None:
        """Return the stand-in last started here, running or not; None when there is none."""
        try:
            return _parse(json.loads(self._record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as e:
            raise SettingsError(f"cannot read {self._record}: {e.strerror}; check its permissions") from e
        except (ValueError, KeyError, TypeError) as e:
            raise SettingsError(
                f"{self._record} is damaged ({e}); end the stand-in's process if there is one and delete the file"
            ) from e

    def write(self, stand_in: StandIn) -> None:
        """Record `stand_in` as the one running here, in one step."""
        record = {**asdict(stand_in), "started": stand_in.started.isoformat()}
        unfinished = self._record.with_suffix(".new")
        unfinished.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(self._record)

    def write_seeded(self, made: Iterable[tuple[str, str]]) -> None:
        """Note what `local up` makes, beside what it made before; in one step."""
        with suppress(FileNotFoundError, ValueError):
            made = {*made, *map(tuple, json.loads(self.seeded.read_text(encoding="utf-8")))}
        unfinished = self.seeded.with_suffix(".new")
        unfinished.write_text(json.dumps(sorted(made)), encoding="utf-8")
        unfinished.replace(self.seeded)

    def forget(self) -> None:
        """Remove the record of a stand-in that has ended."""
        with suppress(FileNotFoundError):
            self._record.unlink()


def _locked(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _parse(record: Mapping[str, Any]) -> StandIn:
    return StandIn(**{**record, "started": datetime.fromisoformat(record["started"])})
