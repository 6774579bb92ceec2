"""What the end of a run tells: phases, cost, what was installed, links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.cause import cause_of
from glue_pkgmgr.core.cost import Cost, cost_of, price_per_dpu_hour
from glue_pkgmgr.core.job import JobRun, JobRunId, JobRunState, LogLine
from glue_pkgmgr.core.links import console_links
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.phases import Phases, phases_of
from glue_pkgmgr.core.run_log import RunLog, installed_against
from glue_pkgmgr.core.run_result import RunResult
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import JobRunFailed, JobRunStopped

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
INSTALLER = "INFO\t2026-11-22\t1\tcom.amazonaws.services.glue.PythonModuleInstaller\t[main]\tSTDOut Stream "


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def job_run(**changes: object) -> JobRun:
    values = {"job": "taxi", "id": JobRunId("jr_1"), "state": JobRunState.SUCCEEDED, **changes}
    return JobRun(**values)  # type: ignore[arg-type]


def line(seconds: float, text: str, stream: str = "error", executor: str = "") -> LogLine:
    return LogLine(time=after(seconds), stream=stream, text=text, executor=executor)


def log_of(*lines: LogLine) -> RunLog:
    log = RunLog()
    log.add(lines)
    return log


# Phases


def test_the_seconds_of_a_run_are_told_by_what_they_went_into() -> None:
    run = job_run(started=NOW, completed=after(200), execution_seconds=110)
    log = log_of(
        line(85, "Preparing"),
        line(100, f"{INSTALLER}Collecting acme"),
        line(120, f"{INSTALLER}Successfully installed acme-1.0"),
        line(125, "hello", "output"),
    )
    phases = phases_of(run, log, waited=60, ran_user_code=True)
    assert phases == Phases(waited=60, started=40, installed=20, ran=80)
    assert list(phases.as_data()) == ["waited", "started", "installed", "ran"]


def test_without_an_installer_the_script_runs_from_when_the_workers_are_there() -> None:
    run = job_run(started=NOW, completed=after(100), execution_seconds=70)
    phases = phases_of(run, log_of(), waited=10, ran_user_code=True)
    assert phases == Phases(waited=10, started=20, installed=0, ran=70)


def test_what_never_ran_user_code_ran_for_no_time() -> None:
    run = job_run(started=NOW, completed=after(100), execution_seconds=31)
    installing = log_of(line(70, f"{INSTALLER}ERROR: no"))
    assert phases_of(run, installing, waited=0, ran_user_code=False) == Phases(
        waited=0, started=70, installed=30, ran=0
    )
    assert phases_of(run, log_of(), waited=0, ran_user_code=False) == Phases(
        waited=0, started=100, installed=0, ran=0
    )


def test_a_run_that_does_not_tell_its_times_has_no_phases() -> None:
    assert phases_of(job_run(started=NOW), log_of(), waited=0, ran_user_code=True) is None
    assert phases_of(job_run(completed=NOW), log_of(), waited=0, ran_user_code=True) is None


moments = st.floats(min_value=-1000, max_value=1000)


@given(
    st.tuples(moments, moments),
    st.integers(min_value=0, max_value=2000),
    st.lists(moments, max_size=4),
    moments,
    st.booleans(),
)
def test_phases_are_never_negative_and_together_are_all_of_the_run_whatever_clocks_say(
    times: tuple[float, float], execution: int, lines: list[float], waited: float, ran: bool
) -> None:
    began, ended = times
    run = job_run(started=after(began), completed=after(ended), execution_seconds=execution)
    log = log_of(*(line(at, f"{INSTALLER}x") for at in lines))
    phases = phases_of(run, log, waited=waited, ran_user_code=ran)
    assert phases is not None
    spent = phases.as_data().values()
    assert min(spent) >= 0
    assert sum(spent) == pytest.approx(max(ended - began, 0), abs=1e-3)


# Cost


@pytest.mark.parametrize(
    ("told", "hours", "usd"),
    [
        ({"glue_version": "5.1"}, "0.5000", "0.2200"),
        ({"glue_version": "4.0"}, "0.5000", "0.2200"),
        ({"glue_version": "6.0"}, "0.5000", "0.1540"),
        ({"glue_version": "5.1", "execution_class": "FLEX"}, "0.5000", "0.1450"),
        ({"glue_version": "5.1", "worker_type": "R.1X"}, "0.5000", "0.2600"),
        ({"glue_version": "5.1", "worker_type": "G.2X"}, "1.0000", "0.4400"),
        ({"glue_version": "6.0", "execution_class": "FLEX"}, "0.5000", None),
        ({"glue_version": "6.0", "worker_type": "R.1X"}, "0.5000", None),
        ({"glue_version": "auto"}, "0.5000", None),
        ({"glue_version": None}, "0.5000", None),
        ({"glue_version": "5.1", "worker_type": None, "max_capacity": 0.0625}, "0.0563", "0.0248"),
        ({"glue_version": "5.1", "worker_type": "X.9X", "max_capacity": 10.0}, "9.0000", "3.9600"),
        ({"glue_version": "5.1", "dpu_seconds": 277.0}, "0.0769", "0.0339"),
    ],
)
def test_a_run_costs_what_its_workers_cost(told: dict[str, object], hours: str, usd: str | None) -> None:
    given = {"worker_type": "G.1X", "workers": 2, "execution_seconds": 900, **told}
    if given["worker_type"] == "X.9X":
        given["execution_seconds"] = 3240
    if given["worker_type"] is None:
        given["execution_seconds"] = 3240
    cost = cost_of(job_run(**given))
    assert cost is not None
    assert (cost.dpu_hours, cost.usd) == (Decimal(hours), None if usd is None else Decimal(usd))


def test_a_minute_is_billed_at_least() -> None:
    short = job_run(worker_type="G.1X", workers=2, execution_seconds=1, glue_version="5.1")
    assert cost_of(short) == Cost(dpu_hours=Decimal("0.0333"), usd=Decimal("0.0147"))
    told = job_run(worker_type="G.1X", workers=2, execution_seconds=30, dpu_seconds=60.0, glue_version="5.1")
    assert cost_of(told) == Cost(dpu_hours=Decimal("0.0333"), usd=Decimal("0.0147"))


def test_a_run_that_never_got_its_workers_costs_nothing() -> None:
    cost = cost_of(job_run(worker_type="G.1X", workers=2, glue_version="5.1"))
    assert cost == Cost(dpu_hours=Decimal(0), usd=Decimal(0))
    assert str(cost) == "0.0000 DPU-hours, 0.0000 USD (list price us-east-1, August 2026)"


def test_what_is_not_known_is_said_not_guessed() -> None:
    assert cost_of(job_run(execution_seconds=9)) is None
    assert price_per_dpu_hour(job_run(glue_version="6.0", execution_class="FLEX")) is None
    assert str(Cost(dpu_hours=Decimal(1), usd=None)) == "1 DPU-hours, no list price known"


# What was installed


def locked(*pins: str) -> Lock:
    made = [pin.split("==") for pin in pins]
    return Lock(
        runtime=glue_runtime("5.1"),
        request=("acme",),
        pins=tuple(
            Pin(
                project=project_name(name),
                version=Version(version),
                files=(
                    LockedFile(filename=f"{name.replace('-', '_')}-{version}-py3-none-any.whl", sha256="a" * 64),
                ),
            )
            for name, version in made
        ),
    )


def test_what_was_installed_as_locked_is_told_whatever_hyphens_there_are() -> None:
    words = ["Typing_Extensions-4.0", "acme-utils-2.0-1", "b-1.0+local.1", "c-1.0-rc.1"]
    lock = locked("acme-utils==2.0.post1", "b==1.0+local.1", "c==1.0rc1", "typing-extensions==4.0")
    found = installed_against(lock, words)
    assert found.releases == ("typing-extensions==4.0", "acme-utils==2.0.post1", "b==1.0+local.1", "c==1.0rc1")
    assert found.as_locked


def test_other_versions_missing_and_unlocked_releases_are_told() -> None:
    found = installed_against(locked("a==1", "b==2", "c==3"), ["a-1", "b-2.5", "evil-9"])
    assert (found.missing, found.other, found.as_locked) == (("c==3",), ("b==2.5", "evil==9"), False)


@given(st.lists(st.text(max_size=30)))
def test_no_words_of_pip_break_the_reading(words: list[str]) -> None:
    installed_against(locked("acme==1.0"), words)


def test_what_pip_says_it_installed_is_read_from_the_drivers_log_only() -> None:
    log = log_of(
        line(1, f"{INSTALLER}Successfully installed acme-1.0 b-2.0\r"),
        line(1, f"{INSTALLER}Successfully installed other-9", executor="g-1"),
        line(2, "Successfully installed liar-1", "output"),
        line(3, f"{INSTALLER}joined without line breakSuccessfully installed c-3"),
    )
    assert log.installed == ["acme-1.0", "b-2.0", "c-3"]


def test_the_lines_of_one_event_belong_together_and_a_long_log_is_bounded() -> None:
    log = log_of(
        line(1, f"{INSTALLER}ERROR: THESE PACKAGES"), line(1, "    acme==1.0 from https://h/x"), line(2, "x")
    )
    assert list(log.installer) == ["ERROR: THESE PACKAGES", "acme==1.0 from https://h/x"]
    log.add(line(n, f"{INSTALLER}{'x' * 9000}") for n in range(2000))
    assert len(log.installer) == 500
    assert sum(map(len, log.installer)) <= 1_000_000
    assert len(log.tail) == 30


def test_what_the_installer_repeats_of_a_url_is_masked() -> None:
    log = log_of(line(1, f"{INSTALLER}pip install --index-url https:://aws:SECRET@host/simple/"))
    assert "SECRET" not in str(log.installer)


# Links


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_links_lead_to_the_console_of_the_partition(region: str, host: str) -> None:
    links = console_links(job_run(job="my job/1"), region)
    assert links["run"] == f"https://{host}/gluestudio/home?region={region}#/job/my%20job%2F1/run/jr_1"
    assert links["log error"] == (
        f"https://{host}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
        "$252Faws-glue$252Fjobs$252Ferror$3FlogStreamNameFilter$3Djr_1"
    )
    assert list(links) == ["run", "log output", "log error"]


def test_a_console_nobody_may_reach_has_no_links() -> None:
    assert console_links(job_run(), "us-iso-east-1") == {}


# The result


def result(state: JobRunState, message: str | None = None) -> RunResult:
    run = job_run(state=state, error_message=message, execution_seconds=9)
    return RunResult(run=run, cause=cause_of(run, RunLog()), phases=None, cost=None, installed=None, tail=())


def test_a_success_raises_nothing_and_returns_itself() -> None:
    ended = result(JobRunState.SUCCEEDED)
    assert ended.raise_for_state() is ended
    assert (ended.succeeded, ended.exit_status, ended.sentence) == (True, 0, "run jr_1 of taxi ended in SUCCEEDED")


@pytest.mark.parametrize(
    ("state", "error"), [(JobRunState.FAILED, JobRunFailed), (JobRunState.TIMEOUT, JobRunStopped)]
)
def test_every_other_end_is_an_error_that_says_why_and_what_to_do(
    state: JobRunState, error: type[JobRunFailed]
) -> None:
    ended = result(state, "it broke")
    with pytest.raises(error, match=rf"run jr_1 of taxi ended in {state}: .*it broke; ") as caught:
        ended.raise_for_state()
    assert caught.value.exit_code == ended.exit_status
    assert "RUN" not in str(caught.value)
