from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.job import (
    INSTALLER_OPTION,
    MODULES,
    Delivery,
    JobRunState,
    ModuleArguments,
    Outcome,
    index_arguments,
    requirements_arguments,
    requirements_file,
    requirements_location,
    run_arguments,
    wheels_arguments,
)
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import SettingsError

NONE = ModuleArguments("")


def test_every_state_of_a_run_goes_on_or_has_one_outcome() -> None:
    assert {state: state.outcome for state in JobRunState} == {
        JobRunState.STARTING: None,
        JobRunState.RUNNING: None,
        JobRunState.STOPPING: None,
        JobRunState.WAITING: None,
        JobRunState.SUCCEEDED: Outcome.SUCCEEDED,
        JobRunState.FAILED: Outcome.FAILED,
        JobRunState.ERROR: Outcome.FAILED,
        JobRunState.STOPPED: Outcome.STOPPED,
        JobRunState.TIMEOUT: Outcome.STOPPED,
        JobRunState.EXPIRED: Outcome.STOPPED,
    }


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
    with pytest.raises(SettingsError, match=f"are {260 * 1024 + 1} bytes long; Glue accepts {260 * 1024}"):
        run_arguments({"text": "x" * (room + 1)}, NONE)
    with pytest.raises(SettingsError, match="bytes long"):
        run_arguments({"text": "é" * (room // 2 + 1)}, NONE)


def test_the_index_delivery_pins_and_adds_nothing() -> None:
    url = "https://aws:token@127.0.0.1/simple/"
    arguments = index_arguments(["a==1", "b==2"], url)
    assert arguments.as_arguments() == {MODULES: "a==1,b==2", INSTALLER_OPTION: f"--no-deps --index-url={url}"}
    assert "token" not in repr(arguments)
    assert index_arguments([], url).as_arguments() == {}


def test_the_requirements_delivery_holds_only_a_path() -> None:
    assert requirements_arguments("s3://b/r.txt").as_arguments() == {
        MODULES: "s3://b/r.txt",
        INSTALLER_OPTION: "-r",
    }


def test_the_wheels_delivery_asks_no_index() -> None:
    arguments = wheels_arguments(["s3://b/a.whl", "s3://b/b.whl"]).as_arguments()
    assert arguments == {MODULES: "s3://b/a.whl,s3://b/b.whl", INSTALLER_OPTION: "--no-deps --no-index"}
    assert wheels_arguments([]).as_arguments() == {}


@pytest.mark.parametrize(
    ("glue", "followed", "expected"),
    [
        ("5.1", True, Delivery.REQUIREMENTS),
        ("5.0", True, Delivery.REQUIREMENTS),
        ("6.0", False, Delivery.WHEELS),
        ("4.0", True, Delivery.WHEELS),
        ("3.0", False, Delivery.WHEELS),
    ],
)
def test_the_default_delivery_is_the_most_private_one(glue: str, followed: bool, expected: Delivery) -> None:
    assert Delivery.default(glue_runtime(glue), followed=followed) is expected


def test_the_requirements_file_of_a_run_is_known_by_its_arguments() -> None:
    url = requirements_location("s3://bucket/glue-pkgmgr/", "0123456789abcdef" * 2)
    assert requirements_file(requirements_arguments(url).as_arguments()) == url


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {MODULES: "boto3==1.40.61"},
        {MODULES: "s3://bucket/requirements.txt", INSTALLER_OPTION: "-r"},  # somebody's own
        {MODULES: f"s3://bucket/requirements/{'0' * 32}.txt"},
        {MODULES: f"s3://bucket/requirements/{'0' * 32}.txt,six", INSTALLER_OPTION: "-r"},
    ],
)
def test_other_peoples_files_are_never_taken_for_ours(arguments: dict[str, str]) -> None:
    assert requirements_file(arguments) is None
