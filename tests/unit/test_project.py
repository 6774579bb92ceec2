"""A project decides what it can before anything is contacted: every endpoint here is one where nobody listens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.records import RecordFolder
from glue_pkgmgr.core.allowlist import AllowList
from glue_pkgmgr.core.job import LAUNCH_ID, Delivery, JobRun, JobRunState
from glue_pkgmgr.core.launch_id import launch_id
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import LaunchRecord
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.core.workflow import Execution, ExecutionStatus
from glue_pkgmgr.errors import NoCapacity, NotApproved, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.project import Project
from glue_pkgmgr.verbs.mirrored import Unlocked
from glue_pkgmgr.wiring import Wiring
from tests.fakes import FakeCodeArtifact, FakeIndex, FakeJobs, FakeLogs, FakeStaging, FakeStateMachines
from tests.unit.verbs.locks import approval, lock, pin, wheel_name

SETTINGS = """\
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "us-east-1"
store = "store"
repository = "approved"

[bundles.taxi]
modules = ["acme==1.0"]
glue-version = "{glue}"

[jobs.taxi]
name = "taxi-job"
script = "taxi.py"
bundle = "taxi"
staging = "s3://staging/"
"""
NOW = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


class Contacted(BaseException):
    """Something outside was asked."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    def contact(*args: object, **kwargs: object) -> None:
        raise Contacted

    monkeypatch.setattr("glue_pkgmgr.adapters.clients.Clients.client", contact)
    path = tmp_path / "glue-pkgmgr.toml"
    path.write_text(SETTINGS.format(glue="5.1"))
    (tmp_path / "locks").mkdir()
    (tmp_path / "allowlist.toml").write_text("")
    yield Project.load(path, environ={"USER": "ann"}, clock=lambda: NOW)


def hold(project: Project, request: str = "acme==1.0") -> None:
    """Write the lock of the bundle."""
    bundle = project.settings.bundle("taxi")
    held = lock(pin("acme==1.0"), request=(request,))
    releases = [(one.project, one.version) for one in held.pins]
    digest = AllowList((approval("acme==1.0"),)).digest(releases, held.runtime)
    text = lock_to_toml(replace(held, allowlist_sha256=digest))
    (project.settings.policy.locks / bundle.lock_filename).write_text(text)


def approve(project: Project, until: date | None = None, glue: tuple[str, ...] = ()) -> None:
    project.approve(["acme==1.0"], by="us", reason="why", until=until, glue_versions=glue)


def test_launching_what_nobody_approved_is_refused_before_aws_is_asked(project: Project) -> None:
    hold(project)
    with pytest.raises(NotApproved, match=r"acme==1\.0 is not approved"):
        project.launch("taxi")


@pytest.mark.parametrize(
    ("until", "glue"), [(date(2026, 11, 21), ()), (None, ("5.0",))], ids=["expired", "other Glue version"]
)
def test_an_approval_that_does_not_count_refuses_a_launch_before_aws_is_asked(
    project: Project, until: date | None, glue: tuple[str, ...]
) -> None:
    hold(project)
    before = Project(project.settings, environ={}, clock=lambda: datetime(2026, 11, 20, tzinfo=UTC))
    approve(before, until, glue)
    with pytest.raises(NotApproved, match="may not be used"):
        project.launch("taxi-job")


def test_an_approval_counts_through_its_last_day_in_utc(project: Project) -> None:
    hold(project)
    approve(project, date(2026, 11, 22))
    with pytest.raises(Contacted):
        project.launch("taxi")


def test_launching_other_modules_is_checked_the_same_way(project: Project) -> None:
    hold(project)
    approve(project)
    with pytest.raises(NotApproved, match=r"other: no approval names other"):
        project.launch("taxi", modules="acme==1.0,other")
    with pytest.raises(NotApproved, match=r"2\.0 is not approved"):
        project.launch("taxi", modules=["acme==2.0"])
    with pytest.raises(SettingsError, match="not a request item"):
        project.launch("taxi", modules="acme @ http://127.0.0.1/x.whl")
    with pytest.raises(Contacted):
        project.launch("taxi", modules="acme==1.0")


def test_a_lock_made_for_another_request_is_refused(project: Project) -> None:
    hold(project, "acme")
    approve(project)
    with pytest.raises(NotApproved, match=r"the bundle asks for acme==1\.0; the lock was made for acme"):
        project.launch("taxi")


def test_a_launch_that_is_refused_leaves_no_record(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(project)
    approve(project)
    for name in ("jobs", "codeartifact"):
        monkeypatch.setattr(Wiring, name, None)
    with pytest.raises(SettingsError, match="is reserved by Glue"):
        project.launch("taxi", arguments={"JOB_NAME": "x"})
    assert not (project.settings.root / ".glue-pkgmgr" / "records").exists()


def test_an_unknown_delivery_or_job_is_told(project: Project) -> None:
    hold(project)
    approve(project)
    with pytest.raises(SettingsError, match="unknown delivery 'pigeon'; known are requirements, wheels, index"):
        project.launch("taxi", delivery="pigeon")
    with pytest.raises(SettingsError, match="no job 'taxo'"):
        project.launch("taxo", delivery=Delivery.INDEX)


def test_a_bundle_without_a_lock_is_told(project: Project) -> None:
    with pytest.raises(SettingsError, match="has no lock"):
        project.launch("taxi")
    with pytest.raises(SettingsError, match="has no lock"):
        project.lock_check()


def test_locks_are_checked_against_the_allow_list_without_network(project: Project) -> None:
    hold(project)
    with pytest.raises(NotApproved, match="the lock of bundle 'taxi' may not be used"):
        project.lock_check(["taxi"])
    approve(project)
    (checked,) = project.lock_check()
    assert (checked.bundle, checked.changed) == ("taxi", False)


def test_a_check_is_for_the_glue_version_of_the_bundles_unless_one_is_named(project: Project) -> None:
    boto3 = {glue: glue_runtime(glue).preinstalled[project_name("boto3")] for glue in ("4.0", "5.1")}
    assert boto3["4.0"] != boto3["5.1"]
    assert project.check("other").runtime.version == "5.1"
    refused = project.check(f"boto3=={boto3['5.1']}", glue_version="4.0")
    assert (refused.allowed, refused.runtime.version) == (False, "4.0")


def test_nothing_to_publish_is_told(project: Project) -> None:
    with pytest.raises(SettingsError, match="nothing to publish"):
        project.publish()


@pytest.mark.parametrize("seconds", [1, 899, 43_201])
def test_a_lifetime_that_is_not_granted_is_refused_before_aws_is_asked(project: Project, seconds: int) -> None:
    with pytest.raises(SettingsError, match="a token cannot live"):
        project.mint(seconds)


def test_approvals_are_changed_and_shown(project: Project) -> None:
    approve(project)
    assert [one.project for one in project.approvals().approvals] == ["acme"]
    assert [one.project for one in project.revoke(["acme"])] == ["acme"]
    assert project.approvals().approvals == ()


def test_the_settings_are_found_in_a_folder_above(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project.settings.root / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Project.load(environ={}).settings.path == project.settings.path


def test_without_settings_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="`glue-pkgmgr init`"):
        Project.load(environ={})


def test_a_project_can_begin_from_python(tmp_path: Path) -> None:
    begun = Project.init(tmp_path / "glue-pkgmgr.toml")
    assert (begun.settings.root, begun.approvals().approvals) == (tmp_path, ())
    with pytest.raises(SettingsError, match="exists"):
        Project.init(tmp_path / "glue-pkgmgr.toml")


def test_a_stand_in_that_was_never_started_is_not_running_and_can_be_ended(tmp_path: Path) -> None:
    begun = Project.init(tmp_path / "glue-pkgmgr.toml")
    assert not begun.local_status().running
    assert begun.local_down() is False


def test_what_was_revoked_is_not_mirrored(project: Project) -> None:
    hold(project)
    for mirror in (project.mirror_sync, project.mirror_verify):
        with pytest.raises(NotApproved, match=r"acme==1\.0 is not approved"):
            mirror()


# launches are recorded


@pytest.fixture
def launching(project: Project) -> Project:
    """A project whose job can be started, on fakes of AWS."""
    hold(project)
    approve(project)
    remote = FakeCodeArtifact()
    remote.put("approved", wheel_name("acme==1.0"), "a" * 64)
    definition = {"Name": "taxi-job", "GlueVersion": "5.1", "Command": {"Name": "glueetl"}}
    index = FakeIndex({wheel_name("acme==1.0"): b""})
    vars(project._wiring).update(
        codeartifact=remote,
        jobs=FakeJobs(definitions={"taxi-job": definition}),
        staging=FakeStaging(),
        open_index=lambda url: index,
    )
    return project


def records(project: Project) -> list[LaunchRecord]:
    return list(RecordFolder(project.settings.root / ".glue-pkgmgr" / "records").all())


def test_a_launch_is_recorded_with_its_run(launching: Project) -> None:
    launched = launching.launch("taxi", delivery="index")
    (record,) = records(launching)
    assert (record.job, record.run, record.time, record.by) == ("taxi-job", launched.run, NOW, "ann")
    assert record.installs(project_name("acme"), Version("1.0"))
    assert record.arguments == launching.settings.job("taxi").arguments
    allowlist = launching.settings.policy.allowlist.read_bytes()
    assert record.allowlist_sha256 == hashlib.sha256(allowlist).hexdigest()
    settings = launching.settings
    lock_file = settings.policy.locks / settings.job("taxi").bundle.lock_filename
    assert record.lock_sha256 == hashlib.sha256(lock_file.read_bytes()).hexdigest()
    assert "fake-token" not in (launching.settings.root / ".glue-pkgmgr/records/launches.jsonl").read_text()


def test_arguments_that_look_like_secrets_are_refused_before_aws_is_asked(launching: Project) -> None:
    with pytest.raises(SettingsError, match="holds a URL with a password") as refused:
        launching.launch("taxi", arguments={"URL": "https://ann:hunter2@host/"})
    assert "hunter2" not in str(refused.value)
    assert launching._wiring.jobs.asked == []
    assert records(launching) == []


def test_arguments_are_recorded_without_secrets(launching: Project) -> None:
    launching.launch("taxi", delivery="index", arguments={"YEAR": "2024", "KEY_OF_X": "hunter2"})
    (record,) = records(launching)
    assert {name: record.arguments[name] for name in ("YEAR", "KEY_OF_X")} == {"YEAR": "2024", "KEY_OF_X": "****"}


def test_launches_are_recorded_where_the_settings_say(launching: Project, tmp_path: Path) -> None:
    elsewhere = Project(replace(launching.settings, records=tmp_path / "audit"), environ={}, clock=launching.clock)
    vars(elsewhere._wiring).update(vars(launching._wiring) | {"_settings": elsewhere.settings})
    elsewhere.launch("taxi", delivery="index")
    assert [one.job for one in RecordFolder(tmp_path / "audit").all()] == ["taxi-job"]
    assert records(launching) == []


def test_the_same_launch_is_started_once_and_its_record_completed(launching: Project) -> None:
    first = launching.launch("taxi", delivery="index", launch_id="nightly 2026-11-22")
    again = launching.launch("taxi", delivery="index", launch_id="nightly 2026-11-22")
    assert first.launched is not None
    assert again.launched is None
    assert (again.id, again.launch) == (first.id, first.launch)
    assert len(launching._wiring.jobs.started) == 1
    assert [one.run for one in records(launching)] == [first.run]
    other = launching.launch("taxi", delivery="index", launch_id="nightly 2026-11-23")
    assert other.id != first.id


def test_a_launch_that_was_killed_before_its_run_was_recorded_is_taken_up(launching: Project) -> None:
    first = launching.launch("taxi", delivery="index", launch_id="nightly")
    fresh = Project(launching.settings, environ={}, clock=launching.clock)
    vars(fresh._wiring).update({k: v for k, v in vars(launching._wiring).items() if k != "_settings"})
    # Revoked meanwhile: what runs already is found all the same.
    fresh.revoke(["acme"])
    found = fresh.launch("taxi", launch_id="nightly")
    assert found.id == first.id


def test_a_launch_that_has_ended_is_told_and_not_started_again(launching: Project) -> None:
    told: list[str] = []
    launching._launching._progress = told.append
    launching.launch("taxi", delivery="index", launch_id="nightly")
    jobs = launching._wiring.jobs
    jobs.begun = [replace(run, state=JobRunState.SUCCEEDED) for run in jobs.begun]
    launching.launch("taxi", delivery="index", launch_id="nightly")
    assert told[-1] == "launch nightly has a run, nothing is started: jr_1 is SUCCEEDED"


def test_arguments_for_another_launcher_are_checked_and_recorded(launching: Project) -> None:
    made = launching.job_arguments("taxi", delivery="index", arguments={"day": "1"})
    assert made.arguments["--day"] == "1"
    assert made.arguments["--additional-python-modules"] == "acme==1.0"
    (record,) = records(launching)
    assert (record.launch, record.run) == (made.launch, None)
    assert launching._wiring.jobs.started == []
    with pytest.raises(SettingsError, match="is reserved by Glue"):
        launching.job_arguments("taxi", arguments={"JOB_NAME": "x"})


def test_a_preflight_tells_everything_and_starts_nothing(launching: Project) -> None:
    launching.revoke(["acme"])
    launching._wiring.jobs.definitions.clear()
    found = launching.preflight("taxi", arguments={"JOB_NAME": "x"})
    assert [one.check for one in found.errors] == ["lock", "arguments", "job definition"]
    assert (launching._wiring.jobs.started, records(launching)) == ([], [])


def test_a_launch_that_may_fix_its_job_does_so_only_if_nothing_else_is_wrong(launching: Project) -> None:
    jobs, told = launching._wiring.jobs, list[str]()
    launching._launching._progress = told.append
    (launching.settings.root / "taxi.py").write_text("print('hello')")
    jobs.definitions["taxi-job"] = {**jobs.definitions["taxi-job"], "GlueVersion": "5.0"}
    with pytest.raises(SettingsError, match=r"runs Glue 5\.0"):
        launching.launch("taxi", delivery="index")
    launching._wiring.codeartifact.held.clear()
    with pytest.raises(NotInstallable):
        launching.launch("taxi", delivery="index", fix=True)
    assert jobs.definitions["taxi-job"]["GlueVersion"] == "5.0"
    launching._wiring.codeartifact.put("approved", wheel_name("acme==1.0"), "a" * 64)
    launching.launch("taxi", delivery="index", fix=True)
    assert jobs.definitions["taxi-job"]["GlueVersion"] == "5.1"
    assert "changing taxi-job: GlueVersion is 5.0, the settings say 5.1" in told


def test_runs_that_used_a_release_are_told_without_a_network(launching: Project) -> None:
    launched = launching.launch("taxi", delivery="index")
    found = Project(launching.settings, environ={}).runs_using("Acme<2, other")
    assert [(one.launch.run, [str(it) for it in one.releases]) for one in found.runs] == [
        (launched.run, ["acme==1.0"])
    ]
    assert (found.jobs, found.warnings) == (("taxi-job",), ())
    assert launching.runs_using("acme>1", job="taxi").runs == ()
    with pytest.raises(SettingsError, match="no job 'other'"):
        launching.runs_using("acme", job="other")


def test_nothing_starts_that_cannot_be_recorded(launching: Project) -> None:
    (launching.settings.root / ".glue-pkgmgr").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot write the record of a launch"):
        launching.launch("taxi", delivery="index")
    assert launching._wiring.jobs.started == []


def test_a_start_that_is_refused_stays_recorded_without_a_run(launching: Project) -> None:
    launching._wiring.jobs.full = True
    with pytest.raises(NoCapacity):
        launching.launch("taxi", delivery="index")
    assert [record.run for record in records(launching)] == [None]


def test_what_is_refused_before_the_start_is_not_recorded(launching: Project) -> None:
    launching.revoke(["acme"])
    with pytest.raises(NotApproved):
        launching.launch("taxi", delivery="index")
    assert records(launching) == []


# pruning


def test_pruning_needs_a_lock_of_every_bundle(launching: Project) -> None:
    unlocked = Unlocked(project=project_name("other"), version=Version("1.0"), internal=False)
    (launching.settings.policy.locks / launching.settings.bundle("taxi").lock_filename).unlink()
    for refused in (
        lambda: launching.mirror_sync(every_bundle=True),
        lambda: launching.mirror_prune([unlocked]),
    ):
        with pytest.raises(SettingsError, match="lock"):
            refused()
    assert launching._wiring.codeartifact.events == []


# by a state machine


def by_state_machine(launching: Project, *ends: Execution) -> FakeStateMachines:
    """Return what stands for Step Functions, where an execution has a run that succeeds."""
    machines = FakeStateMachines(list(ends))
    vars(launching._wiring)["state_machines"] = machines
    return machines


EXECUTED = "arn:aws:states:us-east-1:111122223333:execution:glue-pkgmgr:1"


def test_a_state_machine_is_asked_with_the_words_of_its_contract(launching: Project) -> None:
    refused = Execution(arn="", status=ExecutionStatus.FAILED, error="NotApproved", cause="acme is not approved")
    machines = by_state_machine(launching, refused)
    with pytest.raises(NotApproved, match=f"{EXECUTED} ended in FAILED: acme is not approved"):
        list(launching.workflow("taxi", modules="acme", arguments={"YEAR": "2024"}, delivery="wheels"))
    ((machine, content, name),) = machines.started
    assert (machine, name) == (launching.settings.stack.name, None)
    assert json.loads(content) == {
        "job": "taxi",
        "pythonmodules": "acme",
        "arguments": {"YEAR": "2024"},
        "delivery": "wheels",
    }


def test_a_name_of_a_launch_is_the_name_of_its_execution(launching: Project) -> None:
    machines = by_state_machine(launching, Execution(arn="", status=ExecutionStatus.ABORTED))
    for _ in range(2):
        with pytest.raises(RemoteError, match="ended in ABORTED"):
            list(launching.workflow("taxi", launch_id="nightly 2026-11-22"))
    assert {name for _, _, name in machines.started} == {launch_id("taxi-job", "nightly 2026-11-22")}


def test_the_run_of_an_execution_is_on_record_where_it_was_launched_only(launching: Project) -> None:
    by_state_machine(launching, Execution(arn="", status=ExecutionStatus.SUCCEEDED))
    jobs = launching._wiring.jobs
    jobs.start("taxi-job", {LAUNCH_ID: launch_id("taxi-job", EXECUTED)})
    jobs.script = lambda job, run: JobRun(job=job, id=run, state=JobRunState.SUCCEEDED)
    vars(launching._wiring).update(logs=FakeLogs())
    for run in launching.workflow("taxi"):
        assert run.wait().succeeded
    assert records(launching) == []
