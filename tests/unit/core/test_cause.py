"""Why runs fail, told from what pip and Glue really say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.cause import Cause, CauseKind, cause_of
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine, UnknownState
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.run_log import RunLog
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import IndexAccessError, JobRunFailed, JobRunStopped, NoCapacity, NotInstallable

K, S = CauseKind, JobRunState
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOCK = Lock(
    runtime=glue_runtime("5.1"),
    request=("acme",),
    pins=(
        Pin(
            project=project_name("acme"),
            version=Version("1.0"),
            files=(LockedFile(filename="acme-1.0-py3-none-any.whl", sha256="a" * 64),),
        ),
    ),
)
NONE = (
    "ERROR: Could not find a version that satisfies the requirement acme==1.0 (from versions: none)",
    "ERROR: No matching distribution found for acme==1.0",
)
LAUNCH_ERROR = "LAUNCH ERROR | Installation of Additional Python Modules failed: "


def installer(*said: str) -> list[LogLine]:
    columns = "INFO\t2026-11-22T12:00:00.000\t5074\tcom.amazonaws.services.glue.PythonModuleInstaller\t[main]\t"
    return [LogLine(time=NOW, stream="error", text=f"{columns}STDError Stream {text}") for text in said]


def failed(
    *said: str,
    message: str | None = LAUNCH_ERROR,
    script: str | None = None,
    seconds: int = 31,
    state: JobRunState | UnknownState = S.FAILED,
    detail: str | None = None,
    lock: Lock | None = None,
    token_expires: datetime | None = None,
) -> Cause:
    log = RunLog()
    log.add(installer(*said))
    if script is not None:
        log.add([LogLine(time=NOW, stream="output", text=script)])
    run = JobRun(
        job="taxi",
        id=JobRunId("jr_1"),
        state=state,
        error_message=message,
        state_detail=detail,
        execution_seconds=seconds,
    )
    cause = cause_of(run, log, lock=lock, token_expires=token_expires)
    assert cause is not None
    return cause


# Installing


@pytest.mark.parametrize(
    "told",
    [
        # pip 23.0.1, 24.0, 26
        ["WARNING: 401 Error, Credentials not correct for https://aws:****@host/simple/acme/", *NONE],
        ["ERROR: HTTP error 403 while getting https://host/simple/acme/acme-1.0-py3-none-any.whl"],
        ["ERROR: 403 Client Error: Forbidden for url: https://host/simple/acme/"],
    ],
)
def test_a_refused_token_does_not_look_like_a_missing_package(told: list[str]) -> None:
    cause = failed(*told)
    assert cause.kind is K.TOKEN_REFUSED
    assert cause.kind.error is IndexAccessError
    assert cause.exit_status == 5
    assert "the index refused the token (40" in cause.sentence
    assert cause.retryable


def test_a_token_that_had_ended_is_told_with_the_time() -> None:
    cause = failed(*NONE, lock=LOCK, token_expires=NOW - timedelta(seconds=1))
    assert cause.sentence == (
        "the index refused the token while pip looked for acme==1.0: it had ended at 11:59:59 UTC, before pip was "
        "done"
    )
    assert (cause.kind, cause.module, cause.retryable) == (K.TOKEN_REFUSED, "acme==1.0", True)


def test_a_locked_release_that_the_index_does_not_show_is_most_likely_a_refused_token() -> None:
    assert failed(*NONE, lock=LOCK).kind is K.TOKEN_REFUSED
    other = failed("ERROR: No matching distribution found for other==1", lock=LOCK)
    assert (other.kind, other.exit_status, other.retryable) == (K.NOT_FOUND, 4, False)


@pytest.mark.parametrize(
    ("told", "kind", "module", "says"),
    [
        (NONE, K.NOT_FOUND, "acme==1.0", "pip found nothing of acme==1.0"),
        (
            [NONE[0].replace("none", "0.8, 0.9"), NONE[1]],
            K.NOT_FOUND,
            "acme==1.0",
            "it has 0.8, 0.9",
        ),
        (
            [
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated",
                "    acme==1.0 from https://host/acme-1.0-py3-none-any.whl (from -r /tmp/r.txt (line 4)):",
                "        Expected sha256 aaaa",
                "             Got        bbbb",
            ],
            K.HASH_MISMATCH,
            "acme==1.0",
            "acme==1.0 has not the bytes that the lock names",
        ),
        (
            ["ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==."],
            K.HASH_MISMATCH,
            None,
            "a file has not the bytes",
        ),
        (
            [
                "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError("
                "'<pip._vendor...>: Failed to establish a new connection: [Errno -2] Name or service not known')'",
                *NONE,
            ],
            K.INDEX_UNREACHABLE,
            None,
            "the index could not be reached",
        ),
        (
            ["ERROR: Could not install packages due to an OSError: ResponseError('too many 503 error responses')"],
            K.INDEX_UNREACHABLE,
            None,
            "the index could not be reached",
        ),
        (["ERROR: Invalid requirement: '<7.0'"], K.BAD_REQUEST, "<7.0", "cannot read the requirement <7.0"),
        (
            ["ERROR: Invalid requirement: '<7.0': Expected package name at the start of dependency specifier"],
            K.BAD_REQUEST,
            "<7.0",
            "splits the list of modules at every comma",
        ),
        (
            [
                "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting",
                "ERROR: ResolutionImpossible: for help visit the documentation",
            ],
            K.CONFLICT,
            "a==1 and b==2",
            "a==1 and b==2 cannot be installed together",
        ),
        (
            ["ERROR: Package 'acme' requires a different Python: 3.11.6 not in '>=3.12'"],
            K.UNFIT_FILE,
            "acme",
            "acme needs Python >=3.12; the run has 3.11.6",
        ),
        (
            ["ERROR: acme-1.0-cp39-cp39-linux_x86_64.whl is not a supported wheel on this platform."],
            K.UNFIT_FILE,
            "acme-1.0-cp39-cp39-linux_x86_64.whl",
            "is no wheel for the Glue runtime",
        ),
        (
            ["ERROR: glue_common.whl is not a valid wheel filename."],
            K.UNFIT_FILE,
            "glue_common.whl",
            "valid wheel",
        ),
        (
            ["error: subprocess-exited-with-error", "ERROR: Failed building wheel for acme"],
            K.BUILD_FAILED,
            "acme",
            "acme came without a wheel",
        ),
        (
            ["ERROR: file:///tmp/x.zip does not appear to be a Python project: neither 'setup.py' nor"],
            K.BUILD_FAILED,
            None,
            "a module came without a wheel",
        ),
        (
            ["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"],
            K.DISK_FULL,
            None,
            "disk was full",
        ),
        (["ERROR: something new"], K.NOT_INSTALLED, None, "could not be installed: something new"),
        ([], K.NOT_INSTALLED, None, "the modules could not be installed"),
    ],
)
@pytest.mark.parametrize("glue", ["4.0", "5.0", "2026"])
def test_what_pip_said_is_read(told: list[str], kind: CauseKind, module: str | None, says: str, glue: str) -> None:
    message = {
        "4.0": "LAUNCH ERROR | Python Module Installer indicates modules that failed to install, check logs from "
        "the PythonModuleInstaller.Please refer logs for details.",
        "5.0": "LAUNCH ERROR | Installation of Additional Python Modules failed, please see the logs for more "
        "detailsPlease refer logs for details.",
        "2026": LAUNCH_ERROR + " ".join(line for line in told if line.startswith("ERROR:")),
    }[glue]
    cause = failed(*told, message=message)
    assert (cause.kind, cause.module) == (kind, module)
    assert says in cause.sentence
    assert cause.advice
    assert not cause.ran_user_code
    assert cause.kind.error in (NotInstallable, IndexAccessError, JobRunFailed)


def test_glues_message_alone_is_enough() -> None:
    cause = failed(message=f"{LAUNCH_ERROR}ERROR: Invalid requirement: '<7.0'")
    assert (cause.kind, cause.ran_user_code) == (K.BAD_REQUEST, False)


def test_what_pip_says_of_other_packages_after_installing_is_no_cause() -> None:
    harmless = "ERROR: pip's dependency resolver does not currently take into account all the packages"
    cause = failed(harmless, message="ValueError: no column", script="hello")
    assert (cause.kind, cause.ran_user_code) == (K.SCRIPT, True)


# What failed otherwise


@pytest.mark.parametrize(
    ("message", "ran", "kind", "says", "error"),
    [
        (
            "ModuleNotFoundError: No module named 'polars.io'",
            True,
            K.MODULE_MISSING,
            "imports polars.io",
            JobRunFailed,
        ),
        (
            "ValueError: no column 'trips'",
            True,
            K.SCRIPT,
            "the script failed: ValueError: no column",
            JobRunFailed,
        ),
        ("Command failed with exit code 137", True, K.OUT_OF_MEMORY, "for want of memory", JobRunFailed),
        ("java.lang.OutOfMemoryError: Java heap space", True, K.OUT_OF_MEMORY, "out of memory", JobRunFailed),
        (
            "An error occurred (AccessDeniedException): role is not authorized to perform: glue:GetTable on x",
            True,
            K.ACCESS_DENIED,
            "AWS refused it a call",
            JobRunFailed,
        ),
        (
            "Exceeded maximum concurrent compute capacity",
            False,
            K.NO_CAPACITY,
            "there were no workers",
            NoCapacity,
        ),
        (
            "The specified subnet does not have enough free addresses to satisfy the request.",
            False,
            K.NO_CAPACITY,
            "there were no workers",
            NoCapacity,
        ),
        (
            "LAUNCH ERROR | Could not find S3 endpoint or NAT gateway for subnetId: subnet-1 in Vpc vpc-1",
            False,
            K.SET_UP,
            "not set up to run: Could not find S3 endpoint",
            JobRunFailed,
        ),
        (
            "LAUNCH ERROR | Error downloading from S3 for bucket: b, key: k. Access Denied",
            False,
            K.SET_UP,
            "Error downloading from S3 for bucket: b",
            JobRunFailed,
        ),
        ("Internal service error : x", False, K.SERVICE, "Glue itself failed", JobRunFailed),
        ("Internal service error : x", True, K.SCRIPT, "the script failed: Internal", JobRunFailed),
        ("something else", False, K.UNKNOWN, "the script never began: something else", JobRunFailed),
        (None, True, K.SCRIPT, "the script failed: hello", JobRunFailed),
        (None, False, K.UNKNOWN, "Glue gave no reason", JobRunFailed),
    ],
)
def test_what_glue_said_is_read(
    message: str | None, ran: bool, kind: CauseKind, says: str, error: type[Exception]
) -> None:
    cause = failed(message=message, script="hello" if ran else None, seconds=100 if ran else 0)
    assert (cause.kind, cause.kind.error, cause.ran_user_code) == (kind, error, ran)
    assert says in cause.sentence


@pytest.mark.parametrize(
    "message", ["SystemExit: 1", "SystemExit", "KeyError: 'x'", "acme.errors.TripError: none"]
)
def test_an_exception_is_the_script_s_even_if_it_ended_before_a_second_or_a_line(message: str) -> None:
    run = JobRun(job="taxi", id=JobRunId("jr_1"), state=JobRunState.FAILED, error_message=message)
    cause = cause_of(run, RunLog())
    assert cause is not None
    assert (cause.kind, cause.ran_user_code) == (CauseKind.SCRIPT, True)
    assert cause.sentence == f"the script failed: {message}"


def test_capacity_is_no_cause_once_the_script_has_run() -> None:
    cause = failed(message="Resource unavailable", script="hello")
    assert (cause.kind, cause.retryable) == (K.SCRIPT, False)


@pytest.mark.parametrize(
    ("state", "kind", "status"),
    [
        (S.STOPPED, K.STOPPED, 8),
        (S.TIMEOUT, K.TIMEOUT, 8),
        (S.EXPIRED, K.EXPIRED, 8),
        (S.ERROR, K.JOB_GONE, 7),
        (UnknownState("DREAMT", True), K.SCRIPT, 7),
    ],
)
def test_every_other_end_has_a_cause(state: JobRunState | UnknownState, kind: CauseKind, status: int) -> None:
    cause = failed(message=None, script="hello", state=state)
    assert (cause.kind, cause.exit_status, cause.retryable) == (kind, status, False)


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.RUNNING, S.WAITING, UnknownState("DREAMING", False)])
def test_what_succeeded_or_goes_on_has_none(state: JobRunState | UnknownState) -> None:
    assert cause_of(JobRun(job="taxi", id=JobRunId("jr_1"), state=state), RunLog()) is None


def test_errors_of_stopped_runs_are_their_own() -> None:
    assert failed(state=S.TIMEOUT, message=None).kind.error is JobRunStopped


def test_only_what_never_ran_and_may_pass_is_retried() -> None:
    retried = {kind for kind in K for ran in (False, True) if made(kind, ran).retryable}
    assert retried == {K.TOKEN_REFUSED, K.INDEX_UNREACHABLE, K.NO_CAPACITY, K.SERVICE}
    assert not any(made(kind, True).retryable for kind in K)


def made(kind: CauseKind, ran: bool) -> Cause:
    return Cause(kind=kind, sentence="s", advice="a", ran_user_code=ran)


# Whatever they say


SECRET = "S3CRETpassword"
pieces = st.sampled_from(
    [
        *NONE,
        f"Looking in indexes: https:://aws:{SECRET}@host/simple/",
        f"ERROR: Invalid requirement: 'acme @ https://aws:{SECRET}@host/x'",
        f"ERROR: No matching distribution found for https://aws:{SECRET}@host/{'x' * 300}",
        f"could not find a version that satisfies the requirement {'y' * 190}https://aws:{SECRET}@host",
        f"ERROR: {'z' * 290}//aws:{SECRET}@h",
        "LAUNCH ERROR | Python Module",
        "{0} {said} %s",
        "ERROR:",
        "\x00\x1b[2J\r\n",
        "DO NOT MATCH THE HASHES",
    ]
)


@given(
    st.lists(pieces | st.text(max_size=80), max_size=6),
    st.none() | st.lists(pieces | st.text(max_size=80), max_size=3).map(" ".join),
    st.sampled_from([state for state in S if state.outcome]),
    st.booleans(),
    st.integers(min_value=0, max_value=10**6),
)
def test_a_cause_is_one_short_line_without_secrets_whatever_is_said(
    said: list[str], message: str | None, state: JobRunState, ran: bool, seconds: int
) -> None:
    if state is S.SUCCEEDED:
        return
    cause = failed(
        *said, message=message, detail=message, script="".join(said) if ran else None, seconds=seconds, state=state
    )
    told = f"{cause.sentence} {cause.advice} {cause.module}"
    assert SECRET not in told
    assert not any(SECRET[:n] in told for n in range(6, len(SECRET)))
    assert "\n" not in told
    assert len(told) < 1200
    assert cause.sentence


@pytest.mark.parametrize("text", ["ERROR: " * 100_000, "//a:" * 200_000, "Package '" * 100_000, "x" * 2_000_000])
def test_huge_messages_are_read_at_once(text: str) -> None:
    began = datetime.now(UTC)
    failed(text, text, message=LAUNCH_ERROR + text)
    assert datetime.now(UTC) - began < timedelta(seconds=10)
