"""Why a job run did not succeed, in one sentence: what Glue and pip say, read as a person would read it.

pip ends an installation that failed for a token, a network or a missing release in the same words; the lines
before tell them apart. Glue's messages have changed between versions: they are known by their kernel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple, assert_never

from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.core.job import JobRun, JobRunState, Outcome
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.run_log import RunLog
from glue_pkgmgr.errors import (
    GluePkgmgrError,
    IndexAccessError,
    JobRunFailed,
    JobRunStopped,
    NoCapacity,
    NotInstallable,
    SettingsError,
)

_LONGEST = 300  # characters of a message of others that are quoted
_MOST_READ = 20_000  # and that are read
_LAUNCH_ERROR = "LAUNCH ERROR"


class CauseKind(Enum):
    """Kinds of causes, as far as what to do differs. The values are what programs read."""

    TOKEN_REFUSED = "token-refused"  # noqa: S105 - the index let pip not in
    INDEX_UNREACHABLE = "index-unreachable"
    HASH_MISMATCH = "hash-mismatch"
    NOT_FOUND = "not-found"  # not in the index, or no file of it for the runtime
    CONFLICT = "conflict"
    UNFIT_FILE = "unfit-file"  # a wheel for another Python or platform, or none at all
    BUILD_FAILED = "build-failed"
    BAD_REQUEST = "bad-request"  # what pip was given is no requirement
    NOT_INSTALLED = "not-installed"  # the installer failed, and did not say why
    NO_CAPACITY = "no-capacity"
    SERVICE = "service"  # Glue's own failure
    SET_UP = "set-up"  # network, role or files of the job
    MODULE_MISSING = "module-missing"
    OUT_OF_MEMORY = "out-of-memory"
    DISK_FULL = "disk-full"
    ACCESS_DENIED = "access-denied"
    SCRIPT = "script"
    JOB_GONE = "job-gone"
    STOPPED = "stopped"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def error(self) -> type[GluePkgmgrError]:
        """The error that a run with such a cause is raised as; its exit status is the command line's."""
        match self:
            case CauseKind.TOKEN_REFUSED | CauseKind.INDEX_UNREACHABLE:
                return IndexAccessError
            case (
                CauseKind.HASH_MISMATCH
                | CauseKind.NOT_FOUND
                | CauseKind.CONFLICT
                | CauseKind.UNFIT_FILE
                | CauseKind.BUILD_FAILED
                | CauseKind.BAD_REQUEST
                | CauseKind.NOT_INSTALLED
            ):
                return NotInstallable
            case CauseKind.NO_CAPACITY:
                return NoCapacity
            case CauseKind.STOPPED | CauseKind.TIMEOUT | CauseKind.EXPIRED:
                return JobRunStopped
            case (
                CauseKind.SERVICE
                | CauseKind.SET_UP
                | CauseKind.MODULE_MISSING
                | CauseKind.OUT_OF_MEMORY
                | CauseKind.DISK_FULL
                | CauseKind.ACCESS_DENIED
                | CauseKind.SCRIPT
                | CauseKind.JOB_GONE
                | CauseKind.UNKNOWN
            ):
                return JobRunFailed
            case _:
                assert_never(self)

    @property
    def passing(self) -> bool:
        """Whether the same start may well succeed a moment later, with a new token."""
        return self in (
            CauseKind.TOKEN_REFUSED,
            CauseKind.INDEX_UNREACHABLE,
            CauseKind.NO_CAPACITY,
            CauseKind.SERVICE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a run did not succeed.

    `module` is the requirement or import name it is about, if one was named. `advice` says what to do.
    `ran_user_code` is False only where the script certainly never began.
    """

    kind: CauseKind
    sentence: str
    advice: str
    ran_user_code: bool
    module: str | None = None

    @property
    def retryable(self) -> bool:
        """Whether starting once more cannot do anything twice, and may help."""
        return self.kind.passing and not self.ran_user_code

    @property
    def exit_status(self) -> int:
        """The exit status of a command whose run ended so."""
        return self.kind.error.exit_code


def cause_of(
    run: JobRun, log: RunLog, *, lock: Lock | None = None, token_expires: datetime | None = None
) -> Cause | None:
    """Return why `run` ended as it did; None if it succeeded, or goes on.

    `lock` is what it was to install, `token_expires` the end of its token, aware UTC; both if known.
    """
    if run.state.outcome in (None, Outcome.SUCCEEDED):
        return None
    # Before anything is cut out of it, or off: a part of a secret is not known as one.
    run = replace(
        run,
        error_message=without_credentials(run.error_message or "")[:_MOST_READ],
        state_detail=without_credentials(run.state_detail or "")[:_MOST_READ],
    )
    ran = _ran_user_code(run, log)
    if run.state.outcome is Outcome.STOPPED:
        return _stopped(run, ran)
    if run.state is JobRunState.ERROR:
        return Cause(
            kind=CauseKind.JOB_GONE,
            sentence=f"Glue could not run it: {_said(run) or 'its job or trigger is gone'}",
            advice="look whether the job still exists: `glue-pkgmgr doctor`",
            ran_user_code=ran,
        )
    if not ran and (found := _not_installed(run, log, lock, token_expires)):
        return found
    return _failed(run, log, ran)


# How Glue tells of an exception of the script: its name, and what it says.
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w{0,80}\.){0,8}[A-Z]\w{0,80}(?:Error|Exit|Interrupt)(?::|\s*$)", re.ASCII)


def _ran_user_code(run: JobRun, log: RunLog) -> bool:
    if _LAUNCH_ERROR in (run.error_message or "").upper():
        return False
    # A script that ends within a second may leave neither a line of its own nor a second of execution.
    if log.script_began or _EXCEPTION.match(run.error_message or ""):
        return True
    return run.execution_seconds > 0 and not _fatal(log.installer)


def _stopped(run: JobRun, ran: bool) -> Cause:
    said = _said(run)
    match run.state:
        case JobRunState.TIMEOUT:
            kind, sentence = CauseKind.TIMEOUT, "it ran longer than its timeout"
            advice = "raise the job's timeout-minutes, or give it more workers"
        case JobRunState.EXPIRED:
            kind, sentence = CauseKind.EXPIRED, "it waited longer for its workers than it may"
            advice = "launch it again when there is capacity, or with the execution class STANDARD"
        case _:
            kind, sentence = CauseKind.STOPPED, "somebody stopped it"
            advice = "launch it again if that was not meant"
    return Cause(kind=kind, sentence=_joined(sentence, said), advice=advice, ran_user_code=ran)


# --- what never was installed


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a text with `pattern` in it means.

    `{0}` and so on in the sentence are what the pattern captured, `unnamed` if nothing; `{said}` is what Glue
    said. A sign `before` counts only where the script never began.
    """

    pattern: re.Pattern[str]
    kind: CauseKind
    sentence: str
    advice: str
    unnamed: str = "the modules"
    before: bool = False

    def cause(self, text: str, *, ran: bool, said: str = "") -> Cause | None:
        """Return the cause if `text` shows the sign."""
        if ran and self.before:
            return None
        match = self.pattern.search(text)
        if match is None:
            return None
        found = [group.strip() for group in match.groups() if group and group.strip()]
        return Cause(
            kind=self.kind,
            sentence=_short(self.sentence.format(*(found or [self.unnamed]), said=said or "it gave no reason")),
            advice=self.advice.format(*(found or ["what it asked for"])),
            ran_user_code=ran,
            module=_short(found[0]) if found and "{0}" in self.sentence else None,
        )


_CHECK = "check it for the job's Glue version: `glue-pkgmgr check`, then lock again"
_LARGER = "take larger workers"
_BUILD_ONCE = 'let `glue-pkgmgr mirror sync` build it once: sdists = "build" under [policy]'

_UNREACHABLE = _Sign(
    re.compile(
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Max retries exceeded|connection broken|"
        r"ProxyError|name resolution|Name or service not known|Connection refused|Connection reset|SSLError|"
        r"SSLCert|confirming the ssl certificate|too many (50\d) error|\b(50\d) (?:Server )?Error|"
        r"HTTP error (50\d)|ProtocolError|IncompleteRead|RemoteDisconnected"
    ),
    CauseKind.INDEX_UNREACHABLE,
    "the index could not be reached, or failed, while pip asked it",
    "check the VPC endpoint codeartifact.repositories, its private DNS and the security group of the job's "
    "connection, then launch again",
)

_UNFIT = (
    _Sign(
        re.compile(r"Package '([^']{1,200})' requires a different Python: (\S{1,40}) not in '([^']{1,200})'"),
        CauseKind.UNFIT_FILE,
        "{0} needs Python {2}; the run has {1}",
        _CHECK,
    ),
    _Sign(
        re.compile(r"(\S{1,250}) is not a supported wheel on this platform"),
        CauseKind.UNFIT_FILE,
        "{0} is no wheel for the Glue runtime",
        _CHECK,
    ),
    _Sign(
        re.compile(
            r"(\S{1,250}) is not a valid wheel filename|Wheel '([^']{1,200})' located at \S{1,500} is invalid"
        ),
        CauseKind.UNFIT_FILE,
        "{0} is no valid wheel",
        "upload it under its own name",
    ),
    _Sign(
        re.compile(r"Invalid requirement: '?([^':\n]{1,200})"),
        CauseKind.BAD_REQUEST,
        "pip cannot read the requirement {0}: Glue splits the list of modules at every comma",
        "give one specifier for each module (`==` or `~=`), or launch from a lock",
        unnamed="it was given",
    ),
    _Sign(
        re.compile(
            r"Cannot install (.{1,200}?) because|ResolutionImpossible|Double requirement given: (\S{1,200})"
        ),
        CauseKind.CONFLICT,
        "{0} cannot be installed together",
        "install from a lock, which is resolved as a whole",
    ),
    _Sign(
        re.compile(r"No space left on device"), CauseKind.DISK_FULL, "the disk was full while pip worked", _LARGER
    ),
    _Sign(
        re.compile(
            r"Failed building wheel for ([^\s,]{1,200})|Could not build wheels for ([^\s,]{1,200})|"
            r"Failed to build ([^\s,']{1,200})"
        ),
        CauseKind.BUILD_FAILED,
        "{0} came without a wheel and could not be built in the job",
        _BUILD_ONCE,
    ),
    _Sign(
        re.compile(
            r"metadata-generation-failed|subprocess-exited-with-error|does not appear to be a Python project"
        ),
        CauseKind.BUILD_FAILED,
        "{0} came without a wheel and could not be built in the job",
        _BUILD_ONCE,
        unnamed="a module",
    ),
)

_HASHES = re.compile(r"DO NOT MATCH THE HASHES|require-hashes mode", re.IGNORECASE)
_HASHED = re.compile(r"\s*([A-Za-z0-9][\w.-]{0,200}==[^\s;]{1,100})(?: from |\s*--hash|:?\s*$)", re.ASCII)
_REFUSED = re.compile(r"\b(40[137]) (?:Client )?Error|HTTP error (40[137])\b|Credentials not correct")
_NO_RELEASE = re.compile(
    r"satisfies the requirement (\S[^()\n]{0,200})(?: \(from [^)]*\))? \(from versions: ([^)]*)"
)
_NO_MATCH = re.compile(r"No matching distribution found for ([^\s(]{1,200})")
_ERROR = re.compile(r"\bERROR:\s*(\S.*)")
_HARMLESS = "pip's dependency resolver does not currently"


def _fatal(installer: Sequence[str]) -> list[str]:
    """Return the errors pip told that end an installation."""
    return [match[1] for line in installer if (match := _ERROR.search(line)) and _HARMLESS not in line]


def _not_installed(run: JobRun, log: RunLog, lock: Lock | None, token_expires: datetime | None) -> Cause | None:
    """Return why the modules were not installed; None if that is not what happened."""
    message = run.error_message or ""
    if "python module" not in message.lower() and not _fatal(log.installer):
        return None
    # The log first: Glue's message quotes pip's last words only, and older versions do not quote it at all.
    told = [*log.installer, message]
    text = "\n".join(told)
    missing = _no_release(text)
    if _HASHES.search(text):
        return _other_bytes(told)
    if refused := _REFUSED.search(text):
        return _refused(refused[1] or refused[2], missing, log, token_expires)
    for sign in (_UNREACHABLE, *_UNFIT):
        if cause := sign.cause(text, ran=False):
            return cause
    return _missing(missing, lock, log, token_expires) if missing else _unexplained(told)


def _other_bytes(told: Sequence[str]) -> Cause:
    module = next((match[1] for line in told if (match := _HASHED.match(line))), None)
    return Cause(
        kind=CauseKind.HASH_MISMATCH,
        sentence=f"{module or 'a file'} has not the bytes that the lock names",
        advice="run `glue-pkgmgr mirror verify`: the approved repository no longer holds what was locked",
        ran_user_code=False,
        module=module,
    )


def _refused(status: str | None, missing: _Missing | None, log: RunLog, expires: datetime | None) -> Cause:
    module = _short(missing.module) if missing else None
    if expires and log.install_ended and log.install_ended >= expires:
        why = f"it had ended at {expires:%H:%M:%S} UTC, before pip was done"
        advice = "launch again: a new run gets a new token; one that waits long needs a longer one"
    else:
        why = "it may have ended, or who minted it may not read there"
        advice = "launch again for a new token; if that is refused too: `glue-pkgmgr doctor`"
    told = f" ({status})" if status else ""
    return Cause(
        kind=CauseKind.TOKEN_REFUSED,
        sentence=f"the index refused the token{told} while pip looked for {module or 'the modules'}: {why}",
        advice=advice,
        ran_user_code=False,
        module=module,
    )


class _Missing(NamedTuple):
    """A requirement that pip found no release for, and the versions that it saw, as it tells them."""

    module: str
    versions: str = ""


def _no_release(text: str) -> _Missing | None:
    if match := _NO_RELEASE.search(text):
        return _Missing(match[1].strip(), match[2].strip())
    match = _NO_MATCH.search(text)
    return _Missing(match[1]) if match else None


def _missing(missing: _Missing, lock: Lock | None, log: RunLog, expires: datetime | None) -> Cause:
    module = _short(missing.module)
    if missing.versions not in ("", "none"):
        sentence = f"the index has {module} not, or no file of it for the Glue runtime; it has {missing.versions}"
        advice = "run `glue-pkgmgr mirror sync`, then `glue-pkgmgr mirror verify`"
    elif lock is not None and _names(lock, missing.module):
        # It was in the repository when the run was launched: CodeArtifact answers a refused token and a missing
        # package alike, and pip tells neither status.
        return _refused(None, missing, log, expires)
    else:
        sentence = f"pip found nothing of {module}: the index has it not, or refused the token without saying so"
        advice = "approve, lock and mirror it (`glue-pkgmgr check`); if it is there, launch again for a new token"
    return Cause(
        kind=CauseKind.NOT_FOUND, sentence=_short(sentence), advice=advice, ran_user_code=False, module=module
    )


def _names(lock: Lock, requirement: str) -> bool:
    try:
        project = project_name(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])
    except SettingsError:
        return False
    return any(pin.project == project for pin in lock.installed)


def _unexplained(told: Sequence[str]) -> Cause:
    errors = _fatal(told)
    return Cause(
        kind=CauseKind.NOT_INSTALLED,
        sentence=_short(f"the modules could not be installed{f': {errors[0]}' if errors else ''}"),
        advice="read what the installer logged: `glue-pkgmgr logs RUN`",
        ran_user_code=False,
    )


# --- what failed otherwise


_FAILURES = (
    _Sign(
        re.compile(
            r"concurrent (?:compute|(?:job )?runs)|resources? (?:is |are )?(?:currently )?unavailable|"
            r"insufficient (?:capacity|resources)|not enough capacity|free (?:IP )?addresses|"
            r"number of IP addresses|maximum capacity",
            re.IGNORECASE,
        ),
        CauseKind.NO_CAPACITY,
        "there were no workers for it: {said}",
        "launch it later, or with fewer workers",
        before=True,
    ),
    _Sign(
        re.compile(r"ModuleNotFoundError: No module named '?([\w.]{1,200})"),
        CauseKind.MODULE_MISSING,
        "the script imports {0}, which neither the Glue image nor the installed modules have",
        "add the project that brings it to the bundle, approve it, and lock again",
    ),
    _Sign(
        re.compile(r"OutOfMemory|MemoryError|memory limits|Container killed", re.IGNORECASE),
        CauseKind.OUT_OF_MEMORY,
        "it ran out of memory: {said}",
        _LARGER,
    ),
    _Sign(
        re.compile(r"exit (?:code|status) 137"),
        CauseKind.OUT_OF_MEMORY,
        "it was killed, most often for want of memory: {said}",
        _LARGER,
    ),
    _Sign(re.compile(r"No space left on device"), CauseKind.DISK_FULL, "the disk was full: {said}", _LARGER),
    _Sign(
        re.compile(
            r"S3 endpoint or NAT gateway|error downloading from S3|subnet|security group|assume role|"
            r"is not the S3 path",
            re.IGNORECASE,
        ),
        CauseKind.SET_UP,
        "the job is not set up to run: {said}",
        "compare the job with its settings: `glue-pkgmgr doctor`",
        before=True,
    ),
    _Sign(
        re.compile(
            r"not authorized to perform:? ?([\w:*]{1,100})?|Access ?Denied|Lake Formation perm", re.IGNORECASE
        ),
        CauseKind.ACCESS_DENIED,
        "AWS refused it a call: {said}",
        "allow the job's role {0}",
    ),
    _Sign(
        re.compile(r"internal (?:service )?(?:error|failure)|InternalServiceException|service unavailable", re.I),
        CauseKind.SERVICE,
        "Glue itself failed: {said}",
        "launch it again",
        before=True,
    ),
)


def _failed(run: JobRun, log: RunLog, ran: bool) -> Cause:
    said, text = _said(run), f"{run.error_message or ''}\n{run.state_detail or ''}"
    for sign in _FAILURES:
        if cause := sign.cause(text, ran=ran, said=said):
            return cause
    if not ran:
        return Cause(
            kind=CauseKind.UNKNOWN,
            sentence=f"the script never began: {said or 'Glue gave no reason'}",
            advice="read what Glue logged: `glue-pkgmgr logs RUN`",
            ran_user_code=False,
        )
    last = next((line.text for line in reversed(log.tail) if line.text.strip()), "")
    return Cause(
        kind=CauseKind.SCRIPT,
        sentence=f"the script failed: {said or _short(last) or 'it gave no reason'}",
        advice="read its traceback: `glue-pkgmgr logs RUN`",
        ran_user_code=True,
    )


# --- words


def _said(run: JobRun) -> str:
    """Return what Glue said of the end of `run`, in one line and without its own markers."""
    text = re.sub(r"^\s*LAUNCH ERROR\s*\|\s*", "", run.error_message or run.state_detail or "")
    return _short(text.replace("Please refer logs for details.", ""))


def _joined(sentence: str, said: str) -> str:
    return f"{sentence}: {said}" if said else sentence


def _short(text: str) -> str:
    """Return `text` of others in one line of bearable length, without credentials and full stop."""
    line = " ".join(without_credentials(text).split()).rstrip(". ")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
