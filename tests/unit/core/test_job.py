from __future__ import annotations

import pytest

from glue_pkgmgr.core.job import (
    INSTALLER_OPTION,
    MODULES,
    Delivery,
    JobRunState,
    Outcome,
    index_arguments,
    requirements_arguments,
    requirements_file,
    requirements_location,
    wheels_arguments,
)
from glue_pkgmgr.core.runtime import glue_runtime


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
