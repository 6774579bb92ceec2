from __future__ import annotations

import pytest

from glue_pkgmgr.local.jobs.arguments import (
    LIMIT_BYTES,
    ModuleRequest,
    customer_variables,
    effective_arguments,
    faults,
    spark_settings,
)


def test_fixed_arguments_win_over_the_runs_and_those_over_the_defaults_key_by_key() -> None:
    effective = effective_arguments(
        default={"--a": "default", "--b": "default", "--c": "default"},
        run={"--b": "run", "--c": "run", "--d": "run"},
        fixed={"--c": "fixed"},
    )

    assert effective == {"--a": "default", "--b": "run", "--c": "fixed", "--d": "run"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"--JOB_NAME": "x"}, "--JOB_NAME is reserved"),
        ({"--extra-jars": "s3://b/x.jar"}, "does not implement the argument --extra-jars"),
        ({"--python-virtual-env": "s3://b/v.tar.gz"}, "does not implement the argument --python-virtual-env"),
        ({"--job-language": "scala"}, "--job-language scala"),
        ({"--big": "x" * LIMIT_BYTES}, "260 KB"),
        ({"--nul": "a\0b"}, "'--nul' holds a character"),
        ({"--half": "\ud83d"}, "'--half' holds a character"),
    ],
)
def test_an_argument_that_cannot_be_honoured_is_a_fault(arguments: dict[str, str], word: str) -> None:
    [fault] = faults(arguments)

    assert word in fault


def test_ordinary_arguments_have_no_fault_up_to_the_limit() -> None:
    assert not list(faults({"--job-language": "python", "--k": "x" * (LIMIT_BYTES - 100)}))


def test_every_comma_separates_items_even_within_a_specifier() -> None:
    request = ModuleRequest.of({"--additional-python-modules": "pyyaml>=6.0,<7.0, boto3 ,,s3://b/x.whl"})

    assert request.items == ("pyyaml>=6.0", "<7.0", "boto3", "s3://b/x.whl")


def test_options_are_separated_by_blanks_and_the_requirements_option_is_kept_apart() -> None:
    request = ModuleRequest.of(
        {"--additional-python-modules": "s3://b/r.txt", "--python-modules-installer-option": " --no-deps  -r "}
    )

    assert request.options == ("--no-deps", "-r")
    assert request.names_requirements_file
    assert request.other_options == ["--no-deps"]


def test_without_arguments_nothing_is_asked_for() -> None:
    assert ModuleRequest.of({}) == ModuleRequest(items=(), options=())


def test_one_conf_value_may_hold_several_settings() -> None:
    assert spark_settings("a.b=1 --conf c=x y --conf  d=--confuse") == ["a.b=1", "c=x y", "d=--confuse"]
    assert spark_settings("--conf a=1") == ["a=1"]
    assert spark_settings(" ") == []


def test_customer_variables_need_their_prefix_and_may_be_quoted() -> None:
    text = 'CUSTOMER_A=1,CUSTOMER_B="x,y",PIP_INDEX_URL=evil,CUSTOMER_C='

    assert customer_variables(text) == {"CUSTOMER_A": "1", "CUSTOMER_B": "x,y", "CUSTOMER_C": ""}
