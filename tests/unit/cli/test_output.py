"""What is printed, where, and what is kept from a terminal."""

from __future__ import annotations

import io
import json

import pytest

from glue_pkgmgr.cli.output import QUIET, VERBOSE, Failure, Output, ReaderGone, Table, harmless, plain_lines

TABLE = Table(("project", "versions", "reason"), [("boto3", "==1.40.61", "matches the image"), ("six", "", "x")])


class Terminal(io.StringIO):
    def isatty(self):
        return True


class ClosedPipe(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def output(**options):
    stdout, stderr = options.pop("stdout", io.StringIO()), options.pop("stderr", io.StringIO())
    return Output(stdout=stdout, stderr=stderr, **options), stdout, stderr


def test_a_table_in_a_pipe_has_aligned_columns_that_awk_can_count():
    told, stdout, _ = output()
    told.result({}, TABLE)
    assert stdout.getvalue().splitlines() == [
        "project  versions   reason",
        "boto3    ==1.40.61  matches the image",
        "six      -          x",
    ]


def test_a_long_cell_pushes_only_its_own_row_aside():
    lines = plain_lines(("a", "b"), [("x" * 100, "y"), ("short", "z")])
    assert lines[1] == "x" * 100 + "  y"
    assert len(lines[2]) < 70


def test_a_table_on_a_terminal_is_drawn_and_holds_every_cell(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told, stdout, _ = output(stdout=Terminal())
    told.result({}, TABLE)
    for cell in ("project", "boto3", "==1.40.61", "matches the image"):
        assert cell in stdout.getvalue()
    assert "─" in stdout.getvalue()


def test_a_column_without_a_word_is_not_drawn_on_a_terminal():
    told, stdout, _ = output(stdout=Terminal())
    told.result({}, Table(("check", "what to do"), [("Python", "")]))
    assert "Python" in stdout.getvalue()
    assert "what to do" not in stdout.getvalue()


RUN, DIGEST = "jr_" + "0" * 64, "f" * 64


@pytest.mark.parametrize("width", [40, 80, 100, 300])
def test_no_word_of_a_table_is_broken_on_a_terminal_however_narrow(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    told, stdout, _ = output(stdout=Terminal())
    what = Table(("what", "value"), [("run", RUN), ("state", "FAILED"), ("cause", "some sentences, " * 9)])
    told.result({}, Table(("run", "job", "sha256"), [(RUN, "taxi", DIGEST), (RUN, "taxi", "")]), what)
    lines = stdout.getvalue().splitlines()
    assert stdout.getvalue().count(RUN) == 3
    assert stdout.getvalue().count(DIGEST) == 1
    assert all(len(line) <= width for line in lines if RUN not in line and DIGEST not in line)


def test_what_is_too_long_comes_below_its_row_with_the_name_of_a_column_that_is_left_out(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told, stdout, _ = output(stdout=Terminal())
    told.result(
        {},
        Table(("run", "job", "state"), [(RUN, "taxi", "?")]),
        Table(("what", "value"), [("the run of it", RUN), ("job", "taxi")]),
    )
    lines = stdout.getvalue().splitlines()
    assert lines[1:5] == [" job    state", " ────────────", " taxi   ?", f"   run  {RUN}"]
    assert lines[7:11] == [" what            value", " " + "─" * 21, " the run of it", f"   {RUN}"]
    assert lines[11] == " job             taxi"


def test_long_cells_below_a_row_share_a_line_where_they_fit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    told, stdout, _ = output(stdout=Terminal())
    rows = [("remove", "Key", "AWS::KMS::Key"), ("remove", "r" * 26, "t" * 26), ("remove", "R" * 33, "T" * 33)]
    told.result({}, Table(("what", "resource", "type"), rows))
    assert stdout.getvalue().splitlines()[4:-1] == [
        " remove",
        f"   {'r' * 26}   {'t' * 26}",
        " remove",
        f"   {'R' * 33}",
        f"   {'T' * 33}",
    ]


@pytest.mark.parametrize("variable", ["NO_COLOR", None])
def test_colour_only_on_a_terminal_that_wants_it(monkeypatch, variable):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    told, stdout, stderr = output(stdout=Terminal(), stderr=Terminal())
    told.result({}, Table(("state",), [("FAILED",)]))
    told.error(Failure("X", "no", 2))
    assert ("\x1b[" in stderr.getvalue()) is (variable is None)
    # NO_COLOR is about colour: a bold heading may stay.
    assert ("31m" in stdout.getvalue()) is (variable is None)


def test_a_no_is_red_where_it_is_a_refusal_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    told, stdout, _ = output(stdout=Terminal())
    told.result({}, Table(("bundle", "changed"), [("taxi", "no")]))
    assert "\x1b" not in stdout.getvalue()
    told.result({}, Table(("item", "approved"), [("polars", "no")]))
    assert "31m" in stdout.getvalue()


def test_nothing_is_coloured_in_a_pipe():
    told, stdout, stderr = output()
    told.result({}, Table(("state",), [("FAILED",)]))
    told.error(Failure("X", "no", 2))
    assert "\x1b" not in stdout.getvalue() + stderr.getvalue()


def test_json_prints_exactly_one_object_and_nothing_else():
    told, stdout, stderr = output(as_json=True)
    told.line("a log line")
    told.result({"company": "Ærø & Søn"}, TABLE, "text")
    told.conclude("it failed")
    told.quote("the log", ["line"])
    assert json.loads(stdout.getvalue()) == {"company": "Ærø & Søn"}
    assert stderr.getvalue() == ""


def test_quiet_leaves_out_progress_and_keeps_errors():
    told, _, stderr = output(verbosity=QUIET)
    told.progress("working")
    told.detail("a detail")
    told.error(Failure("X", "no", 2, hint="try this"))
    assert stderr.getvalue() == "error: no\ntry this\n"


@pytest.mark.parametrize(("verbosity", "shown"), [(VERBOSE, True), (0, False)])
def test_details_only_when_asked_for(verbosity, shown):
    told, _, stderr = output(verbosity=verbosity)
    told.detail("a detail")
    assert ("a detail" in stderr.getvalue()) is shown


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("over\rwritten", r"over\rwritten"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b31m", r"\x9b31m"),
        ("line\nline\ttab", "line\nline\ttab"),
        ("Ærø, 東京 ½", "Ærø, 東京 ½"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_instead(foreign, shown):
    assert harmless(foreign) == shown


def test_every_way_to_print_neutralises():
    told, stdout, stderr = output(verbosity=VERBOSE)
    evil = "\x1b[2J"
    told.result({}, evil, Table(("a",), [(evil,)]))
    told.line(evil)
    told.progress(evil)
    told.detail(evil)
    told.error(Failure("X", evil, 2, hint=evil))
    told.conclude(evil)
    told.quote("log", [evil])
    assert "\x1b" not in stdout.getvalue() + stderr.getvalue()
    assert (stdout.getvalue() + stderr.getvalue()).count(r"\x1b[2J") == 9


def test_a_line_break_in_a_cell_does_not_break_the_row():
    told, stdout, _ = output()
    told.result({}, Table(("a", "b"), [("one\ntwo", "three")]))
    assert stdout.getvalue().splitlines()[1] == "one two  three"


def test_a_result_that_nobody_reads_ends_the_command():
    told, _, _ = output(stdout=ClosedPipe())
    with pytest.raises(ReaderGone):
        told.result({}, "text")


def test_progress_that_nobody_reads_does_not_end_the_work():
    told, stdout, _ = output(stderr=ClosedPipe())
    told.progress("working")
    told.result({}, "done")
    assert stdout.getvalue() == "done\n"


def test_a_line_of_progress_is_written_at_once_as_several_threads_tell_theirs():
    class Pieces(io.StringIO):
        def write(self, text):
            pieces.append(text)
            return len(text)

    pieces: list[str] = []
    told, _, _ = output(stderr=Pieces())
    told.progress("one")
    told.progress("two")
    assert pieces == ["one\n", "two\n"]


@pytest.mark.parametrize(("stderr", "live"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_moving_line_only_on_a_terminal(monkeypatch, stderr, live):
    monkeypatch.setenv("TERM", "xterm")
    told, _, _ = output(stderr=stderr)
    assert told.live is live


def test_no_moving_line_when_quiet_or_on_a_dumb_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert not output(stderr=Terminal(), verbosity=QUIET)[0].live
    monkeypatch.setenv("TERM", "dumb")
    assert not output(stderr=Terminal())[0].live
