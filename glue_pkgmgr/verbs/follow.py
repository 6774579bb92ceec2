"""Verb: follow a job run to its end, and say how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from glue_pkgmgr.core.job import JobRun, JobRunId, LogLine, Outcome
from glue_pkgmgr.errors import JobRunFailed, JobRunStopped, RemoteError
from glue_pkgmgr.ports import Clock, JobLogs, JobService, Staging

_FIRST_POLL = 0.5  # seconds
_SLOWEST_POLL = 10.0  # seconds; one run then costs GetJobRun 6 calls a minute
_POLL_GROWTH = 1.15
# The driver's script may begin before the last executor has read the requirements file.
_OTHER_NODES = timedelta(minutes=1)
_INSTALLED = re.compile(r"Successfully installed ([^\r\n]+)")

Event = JobRun | LogLine
"""What following yields: the run whenever its state changed, and its log lines."""


def follow(
    job: str,
    run_id: JobRunId,
    *,
    jobs: JobService,
    logs: JobLogs,
    staging: Staging,
    clock: Clock,
    sleep: Callable[[float], None],
) -> Iterator[Event]:
    """Yield the run whenever its state changes, and its log lines, until it has ended.

    The last event is the run in its final state. A requirements file of the run, which holds a token, is
    deleted once every node must have installed, a minute after the script's first line, or when the run has
    ended. Whoever follows a run later does so too.

    Raises: RemoteError when the run can no longer be read; after the last event, when the requirements file
    could not be deleted.
    """
    run = jobs.run(job, run_id)
    if run.state.outcome is None:
        yield run
    secret, installed = run.requirements_file, None
    new_lines = logs.follow(run)
    pause = _FIRST_POLL
    while True:
        latest = jobs.run(job, run_id)
        # Read after the state: what a run printed before it ended is there when the end is seen.
        lines = next(new_lines)
        begun = len(lines) if installed else _first_output(lines)
        if installed is None and begun < len(lines):
            installed = clock()
            # The script has begun: that it runs is told before what it says, not at the next look.
            again = jobs.run(job, run_id)
            latest = latest if again.state.outcome else again
        if secret and installed and clock() - installed >= _OTHER_NODES:
            with suppress(RemoteError):  # tried again at the end
                staging.delete(secret)
                secret = None
        yield from lines[:begun]
        if latest.state is not run.state and latest.state.outcome is None:
            pause = _FIRST_POLL
            yield latest
        yield from lines[begun:]
        if latest.state.outcome:
            break
        run = latest
        sleep(pause)
        pause = min(pause * _POLL_GROWTH, _SLOWEST_POLL)
    left = _undeleted(secret, staging) if secret else None
    yield latest
    if left:
        raise left


def _first_output(lines: Sequence[LogLine]) -> int:
    """Return where the script's own output begins in `lines`; their number if there is none of it."""
    return next((n for n, line in enumerate(lines) if line.stream == "output"), len(lines))


def _undeleted(secret: str, staging: Staging) -> RemoteError | None:
    try:
        staging.delete(secret)
    except RemoteError as e:
        return e
    return None


def raise_for_state(run: JobRun) -> None:
    """Raise JobRunFailed or JobRunStopped with the cause unless the run has succeeded."""
    cause = f": {run.error_message}" if run.error_message else ""
    sentence = f"run {run.id} of {run.job} ended in {run.state}{cause}; `glue-pkgmgr logs {run.id}` shows its log"
    match run.state.outcome:
        case Outcome.FAILED:
            raise JobRunFailed(sentence)
        case Outcome.STOPPED:
            raise JobRunStopped(sentence)
        case Outcome.SUCCEEDED | None:
            return


def installed_releases(lines: Iterable[LogLine]) -> list[str]:
    """Return what pip says it installed, as `project-version`, in the order of its words."""
    return [release for line in lines if (match := _INSTALLED.search(line.text)) for release in match[1].split()]
