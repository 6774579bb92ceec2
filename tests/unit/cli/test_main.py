"""The command line as a whole: help, exit statuses, and what is told when something goes wrong."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from itertools import dropwhile

import click
import pytest

from glue_pkgmgr import errors
from glue_pkgmgr.adapters.clients import RemoteRefusal
from glue_pkgmgr.cli.command_line import cli
from glue_pkgmgr.cli.help_page import OPTIONS, VERBS
from glue_pkgmgr.cli.main import main
from glue_pkgmgr.cli.session import Session

STATUSES = {
    errors.SettingsError: 2,
    errors.NotApproved: 3,
    errors.NotInstallable: 4,
    errors.IndexAccessError: 5,
    errors.RemoteError: 6,
    errors.JobRunFailed: 7,
    errors.JobRunStopped: 8,
    errors.DeadlineExceeded: 8,
    errors.NoCapacity: 9,
}


def commands() -> list[tuple[str, click.Command]]:
    """Return every command by the words that call it, those inside groups too."""
    found = []
    for verb in VERBS:
        command = importlib.import_module(f"glue_pkgmgr.cli.{verb}").command
        found.append((verb, command))
        if isinstance(command, click.Group):
            found += [(f"{verb} {name}", inner) for name, inner in command.commands.items()]
    return found


@pytest.fixture
def failing(monkeypatch):
    """Make every verb that needs the settings end with an error of the test's choice."""

    def fail_with(error):
        def project(self):
            raise error

        monkeypatch.setattr(Session, "project", project)

    return fail_with


def test_programs_are_told_the_kind_of_error_that_is_public(failing, capsys):
    failing(RemoteRefusal("no such thing", "ResourceNotFoundException"))
    assert main(["--json", "approvals"]) == RemoteRefusal.exit_code
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "RemoteError"


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_each_error_has_its_exit_status_and_one_sentence(failing, capsys, kind, status):
    failing(kind("the roof leaks; close it"))
    assert main(["approvals"]) == status
    assert capsys.readouterr() == ("", "error: the roof leaks; close it\n")


def test_no_error_class_is_without_an_exit_status_in_this_test():
    known = {one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__}
    assert known == {*STATUSES, errors.GluePkgmgrError}


def test_with_json_an_error_is_one_object_on_stdout(failing, capsys):
    failing(errors.NotApproved("polars==1 is not approved"))
    assert main(["--json", "approvals"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {"kind": "NotApproved", "message": "polars==1 is not approved", "exit_status": 3}
    }
    assert err == ""


def test_an_interrupt_is_130_and_says_what_goes_on(monkeypatch, capsys):
    def project(self):
        self.left_behind = "run jr_1 goes on"
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "project", project)
    assert main(["approvals"]) == 130
    assert capsys.readouterr().err.strip() == "error: interrupted; run jr_1 goes on"


def test_an_interrupt_while_the_command_line_is_loaded_is_130_too(monkeypatch, capsys):
    def invoke(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("glue_pkgmgr.cli.command_line.invoke", invoke)
    assert main(["approvals"]) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_an_unexpected_exception_is_named_a_bug_without_a_traceback(failing, capsys):
    failing(ZeroDivisionError("division by zero"))
    assert main(["approvals"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ZeroDivisionError: division by zero; this is a bug in glue-pkgmgr")
    assert "Traceback" not in err


def test_with_v_an_unexpected_exception_shows_where_it_happened(failing, capsys):
    failing(ZeroDivisionError("division by zero"))
    assert main(["-v", "approvals"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["aprove", "boto3==1"], "no verb 'aprove'; did you mean approve"),
        (["xyzzy"], "the verbs are init, build"),
        (["approve", "boto3==1"], "Missing option '--reason'"),
        (["approve", "boto3==1", "--reason", "r", "--until", "soon"], "'soon' does not match"),
        (["check"], "Missing argument 'REQUEST'"),
        (["mint", "--ttl", "long"], "'long' is not a valid integer"),
        (["launch", "taxi", "--delivery", "pigeon"], "'pigeon' is not one of 'requirements'"),
        (["--bogus", "check"], "No such option '--bogus'"),
        (["-v", "-q", "approvals"], "-v and -q exclude each other"),
    ],
)
def test_bad_words_are_refused_with_status_2(capsys, words, told):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert told in err


def test_bad_words_with_json_are_one_object_too(capsys):
    assert main(["--json", "--bogus"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_status"] == 2


def test_json_of_a_command_that_exec_would_run_is_not_ours(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a stand-in of the checkout would run the command
    assert main(["local", "exec", "--bogus", "--json"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("option", ["--json", "-q", "--config"])
def test_an_option_that_belongs_before_the_verb_is_recognised_after_it(capsys, option):
    assert main(["approvals", option]) == 2
    assert f"{option} is written before the verb" in capsys.readouterr().err


def test_no_verb_shows_the_help_on_stderr_with_status_2(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: the verb is missing\nUsage: glue-pkgmgr")


def test_help_lists_every_verb_with_its_line(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert any(row.split(maxsplit=1) == [verb, line] for row in out.splitlines())


def test_help_is_the_same_page_wherever_it_is_asked_for(capsys):
    pages = set()
    for words in (["--help"], ["-h"], ["-q", "--help"]):
        assert main(words) == 0
        pages.add(capsys.readouterr().out)
    assert len(pages) == 1
    assert max(map(len, pages.pop().splitlines())) <= 80


def test_help_tells_every_option_before_the_verb():
    told = {frozenset(words.removesuffix(" FILE").split(", ")) for words in OPTIONS}
    assert told == {frozenset(one.opts) for one in cli.params} | {frozenset(("-h", "--help"))}


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_of_a_verb_is_the_one_its_command_tells(verb):
    command = importlib.import_module(f"glue_pkgmgr.cli.{verb}").command
    assert command.name == verb
    assert command.short_help == VERBS[verb]


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_every_help_ends_with_examples_and_fits_80_columns(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  Examples:" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("words", "command"), commands())
def test_every_example_can_be_parsed(words, command):
    for example in command.epilog.splitlines()[2:]:
        given = typed(example)
        assert given[: len(words.split())] == words.split()
        rest = given[len(words.split()) :]
        if isinstance(command, click.Group):
            command.commands[rest[0]].make_context(words, rest[1:])
        else:
            command.make_context(words, rest)


def typed(example: str) -> list[str]:
    """Return the words of an example from the verb on: what stands around our command is left out."""
    ours = example.rpartition("glue-pkgmgr ")[2]
    words = shlex.split(re.split(r'\)"| \| ', ours)[0])
    return list(dropwhile(lambda word: word in ("--json", "-v"), words))
