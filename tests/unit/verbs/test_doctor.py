"""The rules of `doctor`."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.record import Recorded
from glue_pkgmgr.core.repository import RepositoryLinks
from glue_pkgmgr.errors import RemoteError
from glue_pkgmgr.verbs.doctor import (
    Health,
    Verdict,
    diagnose,
    machine_checks,
    recorded_check,
    remote_checks,
    settings_checks,
    unknown,
)
from tests.stand_in import sample_settings
from tests.unit.core.test_record import RECORD
from tests.unit.verbs.locks import NOW, lock, pin

FINE = Verdict(Health.OK, "fine")


NOWHERE = RepositoryLinks(upstreams=(), external_connections=())
PUBLIC = replace(NOWHERE, external_connections=("public:pypi",))
STORE_BEHIND = replace(NOWHERE, upstreams=("pypi-store",))


def fail_with(error):
    raise error


def verdicts(checks):
    return {finding.check: finding.verdict for finding in diagnose(checks)}


def machine(**changes):
    answers = {
        "uv": lambda: "uv 1",
        "index": lambda: "http://127.0.0.1:9/",
        "java": lambda: Path("/java"),
        "python_for": lambda version: Path("/python"),
        "stand_in_lacks": list,
    }
    return verdicts(machine_checks(**{**answers, **changes}))


def test_findings_come_in_the_order_of_the_checks():
    found = diagnose({name: lambda: FINE for name in "cab"})
    assert [finding.check for finding in found] == ["c", "a", "b"]


def test_a_check_that_fails_does_not_keep_the_others_from_being_made():
    found = verdicts(
        {
            "ours": lambda: fail_with(RemoteError("AWS is away; wait")),
            "bug": lambda: fail_with(KeyError("x")),
            "good": lambda: FINE,
        }
    )
    assert found["ours"] == Verdict(Health.WRONG, "AWS is away; wait")
    assert found["bug"].health is Health.WRONG
    assert "KeyError" in found["bug"].detail
    assert found["good"] == FINE


def test_a_check_that_hangs_is_given_up_and_the_others_count():
    release = threading.Event()

    def hang():
        release.wait()
        return FINE

    hung, good = diagnose({"hung": hang, "good": lambda: FINE}, seconds=0.2)
    release.set()
    assert hung.verdict.health is Health.WRONG
    assert "no answer within 0.2 s" in hung.verdict.detail
    assert good.verdict == FINE


def test_what_is_not_looked_at_is_unknown_and_not_wrong():
    (finding,) = unknown({"job": lambda: fail_with(AssertionError("looked"))}, "no answer")
    assert finding.verdict == Verdict(Health.UNKNOWN, "no answer")


def test_a_complete_machine_is_all_ok():
    assert {verdict.health for verdict in machine().values()} == {Health.OK}


def test_what_only_the_stand_in_needs_is_a_warning_with_advice():
    found = machine(java=lambda: None, stand_in_lacks=lambda: ["moto"], python_for=lambda version: None)
    for check in ("Java", "stand-in", "job runs here"):
        assert found[check].health is Health.WARNING
        assert found[check].advice
    assert "moto" in found["stand-in"].detail


def test_an_absent_python_is_named_with_its_glue_version():
    found = machine(python_for=lambda version: None if version == (3, 7) else Path("/python"))
    assert found["job runs here"].health is Health.OK
    assert "not 3.0 (Python 3.7)" in found["job runs here"].detail


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "allowlist.toml").write_text("")
    return sample_settings(tmp_path)


def test_absent_files_of_the_settings_are_found(settings):
    (settings.root / "taxi.py").unlink()
    settings.policy.allowlist.unlink()
    found = verdicts(settings_checks(settings, NOW))
    assert found["settings"].health is Health.OK
    assert found["allow-list"].health is Health.WRONG
    assert found["lock taxi"] == Verdict(Health.WARNING, "no lock for Glue 5.1 yet", "glue-pkgmgr lock taxi")
    assert found["script taxi"].health is Health.WRONG


def test_records_that_are_whole_are_told_with_what_to_compare_later():
    whole = Recorded(launches=(RECORD,), entries=2, head="ab" * 32)
    assert verdicts(recorded_check(lambda: whole))["records"] == Verdict(
        Health.OK, "1 launch in 2 entries, the last abababababababab…"
    )
    assert verdicts(recorded_check(Recorded))["records"] == Verdict(Health.OK, "no launch yet")


def test_a_broken_chain_is_wrong_and_a_line_that_was_cut_off_a_warning():
    cut = Recorded(cut_off=("line 7 is cut off",), entries=7)
    assert verdicts(recorded_check(lambda: cut))["records"].health is Health.WARNING
    broken = verdicts(recorded_check(lambda: replace(cut, faults=("line 5 was changed",))))["records"]
    assert broken.health is Health.WRONG
    assert broken.detail == "0 launches in 7 entries; line 5 was changed (and 1 more)"


def test_a_damaged_lock_is_wrong(settings):
    settings.policy.locks.mkdir()
    (settings.policy.locks / settings.bundle("taxi").lock_filename).write_text("not = [a lock")
    assert verdicts(settings_checks(settings, NOW))["lock taxi"].health is Health.WRONG


def test_an_approval_that_ends_soon_is_a_warning_and_one_that_has_ended_makes_the_lock_wrong(settings):
    entry = '[[approvals]]\nproject = "acme"\nversions = "==1.0"\napproved-by = "us"\nreason = "why"\nuntil = {}\n'
    settings.policy.allowlist.write_text(entry.format("2026-12-01"))
    settings.policy.locks.mkdir()
    bundle = settings.bundle("taxi")
    request = tuple(str(item) for item in bundle.modules)
    held = lock(*(pin(f"{item.project}==0.2.0", internal=True) for item in bundle.modules), request=request)
    (settings.policy.locks / bundle.lock_filename).write_text(lock_to_toml(held))
    found = verdicts(settings_checks(settings, NOW))
    assert found["allow-list"].health is Health.WARNING
    assert found["allow-list"].detail.endswith("1 approval; soon ends acme==1.0 on 2026-12-01")
    assert found["lock taxi"].health is Health.WRONG
    assert "is not approved" in found["lock taxi"].detail


def remote(settings, *, approved=NOWHERE, store=PUBLIC, definition=None):
    links = {settings.codeartifact.approved_repository: approved, settings.codeartifact.store_repository: store}
    return verdicts(remote_checks(settings, links=links.__getitem__, definition=lambda job: definition))


def test_aws_as_it_should_be(settings):
    found = remote(settings, definition={"GlueVersion": "5.1"})
    assert {verdict.health for verdict in found.values()} == {Health.OK}


@pytest.mark.parametrize("links", [STORE_BEHIND, PUBLIC])
def test_an_approved_repository_that_looks_elsewhere_is_wrong(settings, links):
    found = remote(settings, approved=links)["repository approved"]
    assert found.health is Health.WRONG
    assert "nobody approved" in found.detail


def test_the_open_shape_is_a_warning_and_no_more_where_the_settings_ask_for_it(settings):
    opened = replace(settings, codeartifact=replace(settings.codeartifact, open_upstream=True))
    found = remote(opened, approved=STORE_BEHIND)["repository approved"]
    assert (found.health, "the stronger shape" in found.advice) == (Health.WARNING, True)
    assert remote(opened, approved=PUBLIC)["repository approved"].health is Health.WRONG


def test_a_store_without_a_public_index_is_a_warning(settings):
    assert remote(settings, store=NOWHERE)["repository pypi-store"].health is Health.WARNING


@pytest.mark.parametrize(
    ("definition", "told"), [(None, "no Glue job 'taxi-job'"), ({"GlueVersion": "4.0"}, "4.0")]
)
def test_a_job_that_is_absent_or_of_another_glue_version_is_wrong(settings, definition, told):
    found = remote(settings, definition=definition)["job taxi"]
    assert found.health is Health.WRONG
    assert told in found.detail
