from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from glue_pkgmgr.core.job import Delivery, JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.record import LaunchRecord, recorded_launch
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.errors import RemoteError, SettingsError
from glue_pkgmgr.verbs.runs import forget_secret, logs, runs, status, stop, using
from tests.fakes import FakeJobs, FakeLogs, FakeRecords, FakeStaging
from tests.unit.verbs.locks import NOW, lock, pin


def run(
    number: int, job: str = "a", state: JobRunState = JobRunState.RUNNING, *, minutes: int | None = None
) -> JobRun:
    started = None if minutes is None else NOW + timedelta(minutes=minutes)
    return JobRun(job=job, id=JobRunId(f"jr_{number}"), state=state, started=started)


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs(
        definitions={"a": {}, "b": {}},
        known={"a": [run(3, minutes=3), run(1, minutes=1)], "b": [run(2, "b", minutes=2), run(0, "b")]},
    )


def test_runs_of_all_jobs_are_told_newest_first(jobs: FakeJobs) -> None:
    assert [one.id for one in runs(["a", "b"], jobs=jobs)] == ["jr_3", "jr_2", "jr_1", "jr_0"]
    assert [one.id for one in runs(["a", "b"], jobs=jobs, most=2)] == ["jr_3", "jr_2"]


def test_a_job_named_twice_or_not_there_yet_does_no_harm(jobs: FakeJobs) -> None:
    assert [one.id for one in runs(["b", "absent", "b"], jobs=jobs)] == ["jr_2", "jr_0"]


def test_a_run_is_found_among_all_jobs(jobs: FakeJobs) -> None:
    assert status("jr_2", ["a", "b"], jobs=jobs).job == "b"


@pytest.mark.parametrize("text", ["", "2", "jr_", "jr_1\n", "jr_1;x", "JR_1", "jr_" + "x" * 251])
def test_what_is_no_run_id_is_refused_before_aws_is_asked(text: str) -> None:
    with pytest.raises(SettingsError, match="is not the id of a job run"):
        status(text, ["a"], jobs=FakeJobs())


def test_an_unknown_run_is_told_with_the_jobs_looked_at(jobs: FakeJobs) -> None:
    with pytest.raises(SettingsError, match=r"no job of the settings \(a, b\) has a run jr_9"):
        status("jr_9", ["a", "b"], jobs=jobs)
    with pytest.raises(SettingsError, match="there is none"):
        status("jr_9", [], jobs=jobs)


def recorded(number: int, job: str, *releases: str) -> LaunchRecord:
    image = "" if number == 3 else "a"
    held = lock(*(pin(one, image) for one in releases))
    return recorded_launch(f"{number:032x}", job, held, by="ann", time=NOW, delivery=Delivery.WHEELS)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("boto3<1.40", {1: ["boto3==1.39.9"], 4: ["boto3==1.39.0rc1"]}),
        ("Boto3 ==1.40.61", {2: ["boto3==1.40.61"], 3: ["boto3==1.40.61"]}),
        ("boto3[crt]==1.40.61,other", {2: ["boto3==1.40.61"], 3: ["boto3==1.40.61"]}),
        ("a.b,boto3<1", {1: ["a-b==2.0"]}),
        ("a_b<3,boto3<1.40", {1: ["a-b==2.0", "boto3==1.39.9"], 4: ["boto3==1.39.0rc1"]}),
        ("acme", {}),
    ],
)
def test_runs_are_found_by_the_releases_they_were_to_have(request_: str, found: dict[int, list[str]]) -> None:
    records = FakeRecords()
    records.add(recorded(1, "x", "a-b==2.0", "boto3==1.39.9"))
    records.add(recorded(2, "y", "boto3==1.40.61"))
    records.add(recorded(3, "x", "boto3==1.40.61"))
    records.add(recorded(4, "x", "boto3==1.39.0rc1"))
    told = using(parse_request(request_), None, records=records)
    assert {int(one.launch.launch, 16): [str(it) for it in one.releases] for one in told.runs} == found
    of_x = using(parse_request(request_), "x", records=records)
    assert [one for one in told.runs if one.launch.job == "x"] == list(of_x.runs)


def test_logs_are_what_there_is_now() -> None:
    lines = [LogLine(time=NOW, stream="output", text="hello")]
    assert logs(run(1), reader=FakeLogs([lines, lines])) == lines
    assert logs(run(1), reader=FakeLogs()) == []


def test_a_log_that_cannot_be_read_is_an_error_not_an_empty_one() -> None:
    with pytest.raises(RemoteError, match="no permission"):
        logs(run(1), reader=FakeLogs(trouble="no permission"))


@pytest.mark.parametrize("state", JobRunState)
def test_only_a_run_that_goes_on_is_asked_to_stop(state: JobRunState) -> None:
    one = run(1, state=state)
    jobs = FakeJobs(known={"a": [one]})
    assert stop(one, jobs=jobs) == one
    assert jobs.stopped == ([] if state.outcome else ["jr_1"])


SECRET = f"s3://bucket/staging/requirements/{'0' * 32}.txt"


def left(state: JobRunState, completed: datetime | None) -> JobRun:
    return JobRun(job="taxi-job", id=JobRunId("jr_1"), state=state, completed=completed, requirements_file=SECRET)


def forget(run: JobRun, now: datetime, refused: int = 0) -> list[str]:
    staging = FakeStaging(refuse_deletes=refused)
    staging.put(SECRET, b"with a token")
    forget_secret(run, staging=staging, now=now)
    return list(staging.objects)


def test_what_nobody_followed_to_its_end_is_forgotten_when_somebody_looks() -> None:
    assert forget(left(JobRunState.FAILED, NOW), NOW + timedelta(minutes=5)) == []


def test_a_run_that_goes_on_keeps_its_requirements_file() -> None:
    assert forget(left(JobRunState.RUNNING, None), NOW) == [SECRET]


def test_a_token_that_has_long_expired_costs_no_call() -> None:
    assert forget(left(JobRunState.SUCCEEDED, NOW), NOW + timedelta(hours=13)) == [SECRET]


def test_a_refused_deletion_does_not_hide_the_run() -> None:
    assert forget(left(JobRunState.SUCCEEDED, NOW), NOW, refused=1) == [SECRET]
