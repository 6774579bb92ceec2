from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.arguments import argument_faults, run_arguments
from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES, ModuleArguments
from glue_pkgmgr.errors import SettingsError

NONE = ModuleArguments("")


def test_arguments_get_their_dashes_once() -> None:
    given_names = {"S3_BUCKET": "b", "--day": "-7", "enable-metrics": "", "conf": "k=v --conf a=b"}
    assert run_arguments(given_names, ModuleArguments("acme==1.0", "--no-deps")) == {
        "--S3_BUCKET": "b",
        "--day": "-7",
        "--enable-metrics": "",
        "--conf": "k=v --conf a=b",
        MODULES: "acme==1.0",
        INSTALLER_OPTION: "--no-deps",
    }


def test_no_modules_are_no_argument() -> None:
    assert run_arguments({}, NONE) == {}


@pytest.mark.parametrize("name", [MODULES, INSTALLER_OPTION, MODULES.removeprefix("--")])
def test_what_is_installed_is_not_for_the_caller_to_say(name: str) -> None:
    with pytest.raises(SettingsError, match="decided by the lock"):
        run_arguments({name: "evil"}, NONE)


@pytest.mark.parametrize(
    "name", ["JOB_NAME", "--JOB_RUN_ID", "JOB_ID", "SECURITY_CONFIGURATION", "debug", "mode", "endpoint"]
)
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="reserved by Glue"):
        run_arguments({name: "x"}, NONE)


def test_a_launch_runs_no_other_script_than_the_jobs() -> None:
    with pytest.raises(SettingsError, match="--scriptLocation would run another script than the job's"):
        run_arguments({"scriptLocation": "s3://data/mine.py"}, NONE)


@pytest.mark.parametrize("name", ["", "--", "-x", "---x", "a b", "a=b", "a\n", "é", "1st", "a,b"])
def test_names_that_glue_could_not_read_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name of a job argument"):
        run_arguments({name: "x"}, NONE)


def test_one_argument_under_two_spellings_is_refused() -> None:
    with pytest.raises(SettingsError, match="--day is given twice"):
        run_arguments({"day": "1", "--day": "2"}, NONE)


@pytest.mark.parametrize("value", ["-x", "--day", "-1e5", "-inf", "-", "-1.", "-1,5", "-\u0663"])
def test_a_value_that_looks_like_an_option_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="--day: Glue's parser"):
        run_arguments({"day": value}, NONE)


@given(st.text(max_size=10) | st.from_regex(r"-[0-9.e-]{0,4}", fullmatch=True))
def test_every_value_that_passes_is_read_back_by_the_parser_glue_is_built_on(value: str) -> None:
    try:
        arguments = run_arguments({"day": value}, NONE)
    except SettingsError:
        return
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--day")
    assert parser.parse_known_args([part for pair in arguments.items() for part in pair])[0].day == value


def test_arguments_end_at_260_kilobytes() -> None:
    room = 260 * 1024 - len("--text")
    assert run_arguments({"text": "x" * room}, NONE)
    with pytest.raises(SettingsError, match=rf"are {260 * 1024 + 1} bytes long; Glue accepts {260 * 1024}"):
        run_arguments({"text": "x" * (room + 1)}, NONE)
    with pytest.raises(SettingsError, match="bytes long"):
        run_arguments({"text": "é" * (room // 2 + 1)}, NONE)


def test_a_run_carries_the_id_of_its_launch() -> None:
    assert run_arguments({}, NONE, "0" * 32) == {LAUNCH_ID: "0" * 32}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        run_arguments({"JOB_NAME": "x", "day": "-x", "a b": "1", "password": "hunter2"}, NONE)
    assert [
        line.partition(" ")[2].partition(":")[0].partition(" ")[0] for line in str(refused.value).split("\n")
    ] == [
        "--JOB_NAME",
        "--day",
        "b'",
        "--password",
    ]
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", ["--JOB_NAME=evil", "x --JOB_NAME=evil", "a\t--JOB_ID b", f"x {MODULES}=six"])
def test_an_option_hidden_in_a_value_is_refused(value: str) -> None:
    (fault,) = argument_faults({"note": value})
    assert "could be read as that argument" in fault


@pytest.mark.parametrize("value", ["see--JOB_NAME=x", "spark.a=b --conf spark.c=d", "x --JOB_NAMES=1"])
def test_a_value_that_hides_nothing_passes(value: str) -> None:
    assert argument_faults({"conf": value}) == ()


@pytest.mark.parametrize(
    ("name", "taken"),
    [("JOB", "--JOB_ID, --JOB_NAME, --JOB_RUN_ID"), ("Temp", "--TempDir"), ("job-book", "--job-b")],
)
def test_a_name_that_the_parser_takes_for_another_is_refused(name: str, taken: str) -> None:
    (fault,) = argument_faults({name: "x"})
    assert f"takes it for the beginning of {taken}" in fault


def test_what_glue_itself_takes_can_be_given() -> None:
    assert argument_faults({"TempDir": "s3://b/t/", "job-bookmark-option": "job-bookmark-enable"}) == ()


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_command_line_can_hold_is_refused(value: str) -> None:
    (fault,) = argument_faults({"note": value})
    assert "a character that no command line can" in fault


def test_a_value_that_is_no_text_is_refused() -> None:
    (fault,) = argument_faults({"year": 2024})  # type: ignore[dict-item]
    assert fault == "argument --year: 2024 is not a text; Glue arguments are texts"


PARSED = ["JOB_NAME", "JOB_ID", "JOB_RUN_ID", "SECURITY_CONFIGURATION", "TempDir", "encryption-type"]
PARSED += ["RedshiftTempDir", "job-bookmark-option", "job-bookmark-from", "job-bookmark-to", "enable-data-lineage"]


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
        | st.sampled_from([one[:4] for one in PARSED]),
        st.text(max_size=12) | st.sampled_from(["--JOB_NAME=evil", "x --JOB_NAME=evil", "-1", "--JOB_NAME evil"]),
        max_size=4,
    )
)
def test_no_arguments_that_pass_change_what_glue_itself_says(arguments: dict[str, str]) -> None:
    try:
        passed = run_arguments(
            arguments, ModuleArguments("acme==1.0", "--no-deps --index-url=https://h/"), "0" * 32
        )
    except SettingsError:
        return
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in PARSED:
        parser.add_argument(f"--{name}")
    words = [
        "--JOB_NAME",
        "taxi",
        "--JOB_ID",
        "j",
        "--JOB_RUN_ID",
        "r",
        *(w for pair in passed.items() for w in pair),
    ]
    found = vars(parser.parse_known_args(words)[0])
    assert (found["JOB_NAME"], found["JOB_ID"], found["JOB_RUN_ID"]) == ("taxi", "j", "r")
    given = {name.replace("-", "_"): value for name, value in arguments.items() if name in PARSED}
    assert {name: value for name, value in found.items() if value and not name.startswith("JOB_")} == {
        name: value for name, value in given.items() if value
    }
