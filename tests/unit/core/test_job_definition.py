"""What the settings of a job mean for Glue, and what a definition can do to a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES, Delivery
from glue_pkgmgr.core.job_definition import (
    WantedJob,
    definition_of,
    differences,
    disagreements,
    grows,
    hazards,
    script_location,
)
from glue_pkgmgr.core.preflight import Finding, State
from glue_pkgmgr.errors import NotApproved
from tests.unit.verbs.locks import lock, pin

FULL = WantedJob(
    name="taxi-job",
    glue_version="5.1",
    script="s3://b/scripts/0/taxi.py",
    arguments={"S3_BUCKET": "b"},
    role="arn:aws:iam::1:role/taxi",
    worker_type="G.1X",
    workers=3,
    timeout=timedelta(minutes=7),
    concurrent_runs=2,
    connections=("vpc",),
)
BARE = WantedJob(name="taxi-job", glue_version="5.1", script="s3://b/scripts/0/taxi.py")
MADE = {
    "Name": "taxi-job",
    "Role": "arn:aws:iam::1:role/taxi",
    "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/scripts/0/taxi.py", "PythonVersion": "3"},
    "GlueVersion": "5.1",
    "WorkerType": "G.1X",
    "NumberOfWorkers": 3,
    "Timeout": 7,
    "MaxRetries": 0,
    "ExecutionProperty": {"MaxConcurrentRuns": 2},
    "Connections": {"Connections": ["vpc"]},
    "DefaultArguments": {"--job-language": "python", "--S3_BUCKET": "b"},
}
LOCK = lock(pin("acme==1.0"))
PREINSTALLED = lock(pin("boto3==1.40.61", ""))


def told(definition: dict[str, Any], wanted: WantedJob = FULL, way: Delivery = Delivery.INDEX) -> list[Finding]:
    return list(disagreements(definition, wanted, LOCK, way))


def test_a_new_definition_says_everything_the_settings_say() -> None:
    assert definition_of(FULL) == MADE


def test_only_what_the_settings_say_is_changed() -> None:
    there = {
        **MADE,
        "GlueVersion": "5.0",
        "NumberOfWorkers": 10,
        "Description": "by hand",
        "DefaultArguments": {"--TempDir": "s3://t/", "--S3_BUCKET": "other"},
        "ExecutionProperty": {"MaxConcurrentRuns": 9},
    }
    made = definition_of(replace(BARE, arguments={"S3_BUCKET": "b"}), there)
    assert made == {
        **there,
        "GlueVersion": "5.1",
        "DefaultArguments": {"--job-language": "python", "--TempDir": "s3://t/", "--S3_BUCKET": "b"},
    }


def test_a_definition_as_wanted_has_no_differences() -> None:
    assert differences(MADE, FULL) == ()
    assert differences(definition_of(BARE, MADE), BARE) == ()


def test_capacity_beside_workers_is_not_sent_back_nor_a_difference() -> None:
    there = {**MADE, "MaxCapacity": 3.0, "AllocatedCapacity": 3}
    assert differences(there, FULL) == ()
    assert definition_of(FULL, there) == MADE


@pytest.mark.parametrize(
    ("wanted", "there", "same"),
    [
        ("taxi", "arn:aws:iam::1:role/taxi", True),
        ("taxi", "arn:aws:iam::1:role/service/taxi", True),
        ("arn:aws:iam::1:role/taxi", "taxi", True),
        ("arn:aws:iam::1:role/taxi", "arn:aws:iam::2:role/taxi", False),
        ("taxi", "other", False),
    ],
)
def test_a_role_is_known_by_name_and_by_arn(wanted: str, there: str, same: bool) -> None:
    found = differences({**MADE, "Role": there}, replace(FULL, role=wanted))
    assert (found == ()) is same


def test_each_difference_names_its_member() -> None:
    there = {**MADE, "Timeout": 60, "DefaultArguments": {}, "Connections": {}}
    assert [str(one) for one in differences(there, FULL)] == [
        "Connections.Connections is not set, the settings say ['vpc']",
        "DefaultArguments.--S3_BUCKET is not set, the settings say b",
        "DefaultArguments.--job-language is not set, the settings say python",
        "Timeout is 60, the settings say 7",
    ]


def test_no_difference_shows_what_may_be_a_secret() -> None:
    there = {
        **MADE,
        "DefaultArguments": {"--db_password": "hunter2", "--S3_BUCKET": "b", "--url": "https://u:p@h/"},
    }
    wanted = replace(FULL, arguments={"--db_password": "correct horse", "S3_BUCKET": "c", "url": "x"})
    told = " ".join(str(one) for one in differences(there, wanted))
    for secret in ("hunter2", "horse", "u:p"):
        assert secret not in told
    assert "DefaultArguments.--db_password is ****, the settings say ****" in told
    assert "DefaultArguments.--S3_BUCKET is b, the settings say c" in told


def test_another_environment_is_an_error_in_a_launch_as_in_a_job() -> None:
    found = list(
        hazards(MADE, lock(pin("acme==1.0")), Delivery.WHEELS, {"python-virtual-env": "s3://b/env.tar.gz"})
    )
    assert [one.state for one in found] == [State.ERROR]
    assert "the launch has --python-virtual-env" in str(found[0])
    found = list(hazards(MADE, lock(pin("acme==1.0")), Delivery.WHEELS, {"--extra-py-files": "s3://b/x.zip"}))
    assert [one.state for one in found] == [State.WARNING]


def test_a_launch_that_lets_its_run_scale_is_known_to() -> None:
    assert grows(MADE, {"enable-auto-scaling": "true"})
    assert not grows(
        {**MADE, "DefaultArguments": {"--enable-auto-scaling": "true"}}, {"enable-auto-scaling": "false"}
    )


def test_another_glue_version_keeps_a_run_from_being_started() -> None:
    (found,) = told({**MADE, "GlueVersion": "5.0"})
    assert found.state is State.ERROR
    assert found.told == "Glue job 'taxi-job' runs Glue 5.0, its lock is for Glue 5.1"


@pytest.mark.parametrize(("way", "state"), [(Delivery.INDEX, State.ERROR), (Delivery.WHEELS, State.WARNING)])
def test_retries_by_glue_are_an_error_where_their_token_would_have_ended(way: Delivery, state: State) -> None:
    (found,) = told({**MADE, "MaxRetries": 2}, way=way)
    assert found.state is state
    assert "MaxRetries" in found.told


def test_a_definition_that_tells_no_retries_has_none() -> None:
    assert told({member: value for member, value in MADE.items() if member != "MaxRetries"}) == []


def test_what_a_run_can_live_with_is_a_warning_that_says_both_sides() -> None:
    (found,) = told({**MADE, "Timeout": 60})
    assert (found.state, found.told) == (
        State.WARNING,
        "Glue job 'taxi-job': Timeout is 60, the settings say 7",
    )
    assert "--fix" in found.advice


def test_another_kind_of_job_is_an_error() -> None:
    (found,) = told({**MADE, "Command": {**MADE["Command"], "Name": "pythonshell"}})  # type: ignore[dict-item]
    assert found.state is State.ERROR


@pytest.mark.parametrize("name", [MODULES, INSTALLER_OPTION, LAUNCH_ID, "--day"])
def test_an_argument_that_the_job_fixes_and_the_launch_gives_is_an_error(name: str) -> None:
    (found,) = hazards({**MADE, "NonOverridableArguments": {name: "x"}}, LOCK, Delivery.INDEX, {"day": "1"})
    assert found.state is State.ERROR
    assert f"fixes {name}," in found.told


def test_another_environment_is_an_error() -> None:
    definition = {**MADE, "DefaultArguments": {"--python-virtual-env": "s3://b/venv.tar.gz"}}
    (found,) = hazards(definition, LOCK, Delivery.WHEELS, {})
    assert found.state is State.ERROR


def test_what_a_job_installs_by_itself_is_refused_where_the_launch_installs_nothing() -> None:
    definition = {**MADE, "DefaultArguments": {MODULES: "six"}}
    (found,) = hazards(definition, PREINSTALLED, Delivery.INDEX, {})
    assert (found.state, found.error) == (State.ERROR, NotApproved)
    assert list(hazards(definition, LOCK, Delivery.INDEX, {})) == []  # the launch's own modules count


def test_nodes_that_come_later_and_files_beside_the_lock_are_warnings() -> None:
    definition = {
        **MADE,
        "DefaultArguments": {"--enable-auto-scaling": "true", "--extra-py-files": "s3://b/x.whl"},
    }
    found = list(hazards(definition, LOCK, Delivery.REQUIREMENTS, {}))
    assert [one.state for one in found] == [State.WARNING, State.WARNING]
    assert len(list(hazards(definition, LOCK, Delivery.WHEELS, {}))) == 1


def test_scripts_of_one_name_and_other_content_do_not_overwrite_one_another() -> None:
    first, second = (script_location("s3://b/area/", digit * 64, "taxi.py") for digit in "ab")
    assert first == f"s3://b/area/scripts/{'a' * 64}/taxi.py"
    assert first != second
