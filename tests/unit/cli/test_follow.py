"""How a job run is watched."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from glue_pkgmgr.cli.follow import Waiting, follow
from glue_pkgmgr.cli.output import NORMAL, QUIET, VERBOSE, Output
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine


def run(state: JobRunState) -> JobRun:
    return JobRun(job="taxi", id=JobRunId("jr_1"), state=state)


def line(text: str, stream: str = "output") -> LogLine:
    return LogLine(time=datetime(2026, 11, 22, tzinfo=UTC), stream=stream, text=text)


EVENTS = [
    run(JobRunState.STARTING),
    line("Successfully installed glueutils-0.2.0", "error"),
    run(JobRunState.RUNNING),
    line("rows=12"),
    run(JobRunState.RUNNING),
    run(JobRunState.SUCCEEDED),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_end_is_the_last_state():
    assert follow(Output(stderr=io.StringIO()), EVENTS).run == run(JobRunState.SUCCEEDED)


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (QUIET, []),
        (NORMAL, ["STARTING", "RUNNING", "  rows=12", "SUCCEEDED"]),
        (
            VERBOSE,
            ["STARTING", "  Successfully installed glueutils-0.2.0", "RUNNING", "  rows=12", "SUCCEEDED"],
        ),
    ],
)
def test_without_a_terminal_states_and_the_scripts_lines_are_plain_lines(verbosity, shown):
    stderr = io.StringIO()
    follow(Output(stderr=stderr, verbosity=verbosity), EVENTS)
    assert stderr.getvalue().splitlines() == shown


def test_on_a_terminal_states_and_lines_stay_and_foreign_control_characters_do_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal()
    follow(Output(stderr=stderr), [*EVENTS[:3], line("\x1b]0;owned\x07"), EVENTS[-1]])
    shown = stderr.getvalue()
    assert "RUNNING\n" in shown
    assert r"\x1b]0;owned\x07" in shown
    assert "\x1b]0;owned" not in shown


def test_the_moving_line_tells_the_message_of_a_log_line_and_is_cut_to_one_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    stderr = Terminal()
    system_line = f"INFO\t2026-11-22T16:07:35.397\t5074\tsome.long.Name\t[main]\tCollecting {'x' * 90}"
    follow(Output(stderr=stderr), [run(JobRunState.RUNNING), line(system_line, "error"), EVENTS[-1]])
    drawn = [one for one in re.split(r"\x1b\[[0-9?]*[A-Za-z]|[\r\n]", stderr.getvalue()) if "Collecting" in one]
    assert drawn
    for one in drawn:
        assert re.fullmatch(r"\S [A-Z]+ \d s  Collecting x+…", one), one
        assert len(one) == 40


def test_what_was_not_shown_is_kept_no_longer_than_a_page():
    lines = [line(f"line {n}", "error") for n in range(100)]
    followed = follow(Output(stderr=io.StringIO()), [run(JobRunState.RUNNING), *lines, run(JobRunState.FAILED)])
    assert [one.text for one in followed.unseen] == [f"line {n}" for n in range(70, 100)]


def test_the_time_to_wait_is_counted_from_when_it_was_given():
    assert Waiting.of(None).left() is None
    left = Waiting.of("30m").left()
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
    assert Waiting(0.0).left() == timedelta()


@pytest.mark.parametrize(
    ("verbosity", "unseen"),
    [(QUIET, ["before", "shown", "after"]), (NORMAL, ["after"]), (VERBOSE, [])],
)
def test_unseen_is_what_came_after_the_last_line_that_was_shown(verbosity, unseen):
    lines = [line("before", "error"), line("shown"), line("after", "error")]
    followed = follow(
        Output(stderr=io.StringIO(), verbosity=verbosity),
        [run(JobRunState.RUNNING), *lines, run(JobRunState.FAILED)],
    )
    assert [one.text for one in followed.unseen] == unseen


def test_a_huge_line_is_cut_on_the_way_with_a_word_where_all_of_it_is():
    stderr = io.StringIO()
    follow(Output(stderr=stderr), [run(JobRunState.RUNNING), line("x" * 1_000_000), run(JobRunState.SUCCEEDED)])
    shown = stderr.getvalue().splitlines()[1]
    assert shown.endswith("xxx… (1,000,000 characters; `glue-pkgmgr logs` prints all)")
    assert len(shown) < 5000
