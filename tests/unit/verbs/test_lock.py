from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.advisory import Advisory, VulnerabilityException
from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.licence import parse_licence_rule
from glue_pkgmgr.core.lock_faults import ending, faults, require_usable, unusable
from glue_pkgmgr.core.lockfile import Lock, LockedFile
from glue_pkgmgr.core.names import Release, project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.errors import NotApproved, SettingsError
from glue_pkgmgr.ports import ResolvedRelease
from glue_pkgmgr.verbs.allowed_index import AllowedIndex
from glue_pkgmgr.verbs.lock import lock_bundle, preferred, require_known, vulnerable
from glue_pkgmgr.verbs.lock_file import read_lock
from glue_pkgmgr.verbs.resolve import Resolution
from tests.fakes import FakeIndex, FakeMetadata, FakeResolver
from tests.unit.verbs.locks import approval, lock, pin, policy

ACME, DEP, BOTO3 = map(project_name, ("acme", "dep", "boto3"))
IMAGE_BOTO3 = glue_runtime("5.1").preinstalled[BOTO3]
ACME_WHEEL, DEP_WHEEL = "acme-1.0-py3-none-any.whl", "dep-1.0-py3-none-any.whl"


def release(requirement: str, *wanted_by: str) -> ResolvedRelease:
    project, _, version = requirement.partition("==")
    return ResolvedRelease(
        project=project_name(project), version=Version(version), wanted_by=tuple(map(project_name, wanted_by))
    )


# Files


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(name="taxi", modules=parse_request("acme"), runtime=glue_runtime("5.1"))


def write(bundle: Bundle, folder: Path, content: bytes = b"a") -> tuple[Path, bool]:
    resolution = resolving(policy("acme==1.0"), {ACME_WHEEL: content}, "acme==1.0")
    locked = lock_bundle(bundle, None, resolution, folder)
    assert read_lock(bundle, folder) == locked.lock
    return locked.path, locked.changed


def test_of_two_who_lock_at_once_each_finds_a_whole_lock(bundle: Bundle, tmp_path: Path) -> None:
    resolutions = [resolving(policy("acme==1.0"), {ACME_WHEEL: content}, "acme==1.0") for content in (b"a", b"b")]
    write(bundle, tmp_path)

    def again(number: int) -> Lock:
        lock_bundle(bundle, None, resolutions[number % 2], tmp_path)
        return read_lock(bundle, tmp_path)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(again, range(200)))
    assert {one.pins for one in found} <= {one.lock(bundle.modules).pins for one in resolutions}
    assert [path.name for path in tmp_path.iterdir()] == [bundle.lock_filename]


def resolving(rules: Policy, files: dict[str, bytes], *answer: str) -> Resolution:
    index = AllowedIndex(
        policy=rules, store=FakeIndex(files), approved=FakeIndex(), metadata_reader=FakeMetadata()
    )
    return Resolution(index=index, resolver=FakeResolver([release(one) for one in answer]))


def test_a_lock_is_written_once_and_again_only_when_it_changes(bundle: Bundle, tmp_path: Path) -> None:
    path, changed = write(bundle, tmp_path / "locks")
    assert changed
    assert path == tmp_path / "locks" / "taxi.glue-5.1.pylock.toml"
    assert write(bundle, tmp_path / "locks") == (path, False)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert write(bundle, tmp_path / "locks") == (path, False)
    assert write(bundle, tmp_path / "locks", b"other bytes") == (path, True)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("there", [b"not a lock", b"\xff\xfe"])
def test_whatever_stood_in_place_of_the_lock_is_replaced(bundle: Bundle, tmp_path: Path, there: bytes) -> None:
    (tmp_path / bundle.lock_filename).write_bytes(there)
    assert write(bundle, tmp_path)[1]


def test_a_folder_that_cannot_be_made_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write"):
        write(bundle, tmp_path / "file" / "locks")


def test_an_absent_or_unreadable_lock_is_named_with_the_way_out(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"bundle 'taxi' has no lock for Glue 5\.1; run `glue-pkgmgr lock taxi`"
    ):
        read_lock(bundle, tmp_path)
    (tmp_path / bundle.lock_filename).write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="cannot read"):
        read_lock(bundle, tmp_path)


# May it still be used?


def agreed(held: Lock, rules: Policy) -> Lock:
    """Return the lock as it would have been written under `rules`."""
    installed = [(one.project, one.version) for one in held.installed]
    digest = rules.allowlist.digest(installed, held.runtime)
    return replace(held, allowlist_sha256=digest, minimum_age_days=rules.minimum_age.days)


def test_a_lock_that_agrees_with_everything_has_no_faults(bundle: Bundle) -> None:
    held = agreed(lock(pin("acme==1.0"), pin(f"boto3=={IMAGE_BOTO3}", "", ("acme",))), policy("acme==1.0"))
    assert faults(bundle, held, policy("acme==1.0")) == []
    require_usable(bundle, held, policy("acme==1.0"))


def test_every_disagreement_is_told_at_once(bundle: Bundle) -> None:
    held = lock(
        pin("acme==1.0"),
        pin("dep==1.0", wanted_by=("mid",)),
        pin("mid==1.0", wanted_by=("acme",)),
        pin("boto3==0.1", "", ("acme",)),
        request=("other", "acme"),
        glue="5.0",
    )
    rules = policy("acme==1.0", "mid==1.0", internal=("acme",))
    assert faults(bundle, held, rules) == [
        "the bundle asks for acme; the lock was made for other, acme",
        "the bundle is for Glue 5.1, the lock for 5.0",
        "it pins no release for other",
        "dep==1.0 is not approved (wanted by acme → mid)",
        "boto3==0.1 is not in the Glue 5.0 image",
        "acme==1.0 was locked from the store, but the settings list it as internal: it may only come from us",
    ]
    with pytest.raises(NotApproved, match=r"the lock of bundle 'taxi' may not be used; .*\n  the bundle asks"):
        require_usable(bundle, held, rules)


@pytest.mark.parametrize("pins", [(), ("dep==1.0",), ("acme==1.0",)], ids=["nothing", "another", "too old"])
def test_a_lock_that_pins_nothing_for_what_was_asked_is_a_fault(bundle: Bundle, pins: tuple[str, ...]) -> None:
    asked = replace(bundle, modules=parse_request("acme>=2"))
    held = lock(*map(pin, pins), request=("acme>=2",))
    found = faults(asked, held, policy("acme==1.0", "dep==1.0"))
    assert found[0] == "it pins no release for acme>=2"
    assert found[1:] == (["dep==1.0 is wanted by nothing that is asked for"] if pins == ("dep==1.0",) else [])


@pytest.mark.parametrize("wanted_by", [(), ("ghost",), ("dep",), ("island",)])
def test_a_release_that_nothing_leads_to_from_the_request_is_a_fault(
    bundle: Bundle, wanted_by: tuple[str, ...]
) -> None:
    held = lock(pin("acme==1.0"), pin("dep==1.0", wanted_by=wanted_by), pin("island==1.0", wanted_by=("dep",)))
    assert unusable(bundle, held, policy("acme==1.0", "dep==1.0", "island==1.0")) == [
        "dep==1.0 is wanted by nothing that is asked for",
        "island==1.0 is wanted by nothing that is asked for",
    ]


def test_a_wheel_that_the_glue_version_does_not_take_is_a_fault(bundle: Bundle) -> None:
    file = LockedFile(filename="acme-1.0-cp312-cp312-win_amd64.whl", sha256="f" * 64)
    held = lock(replace(pin("acme==1.0"), files=(file,)))
    assert unusable(bundle, held, policy("acme==1.0")) == [f"{file.filename} is for other platforms than Glue 5.1"]


def test_a_release_that_is_internal_no_more_is_a_fault(bundle: Bundle) -> None:
    assert (
        "no longer list it as internal"
        in faults(bundle, lock(pin("acme==1.0", internal=True)), policy("acme==1.0"))[0]
    )


def test_an_approval_that_ended_yesterday_makes_the_lock_unusable(bundle: Bundle) -> None:
    ended = policy(approval("acme==1.0", until=date(2026, 11, 21)))
    assert faults(bundle, lock(pin("acme==1.0")), ended) == ["acme==1.0 is not approved"]


# What the rules say of it later


def with_rules(rules: Policy, **changes: object) -> Policy:
    return replace(rules, **changes)  # type: ignore[arg-type]


def test_other_approvals_that_still_let_it_in_are_a_fault_of_the_file_but_not_of_the_launch(
    bundle: Bundle,
) -> None:
    held = agreed(lock(pin("acme==1.0")), policy("acme==1.0"))
    wider = policy("acme==1.0", approval("acme==1.0", glue_versions=["5.1"]))
    assert faults(bundle, held, wider) == ["other approvals let its releases in than when it was made"]
    assert unusable(bundle, held, wider) == []


def test_a_longer_approval_of_somebody_else_changes_nothing(bundle: Bundle) -> None:
    held = agreed(lock(pin("acme==1.0")), policy("acme==1.0"))
    longer = policy(approval("acme==1.0", until=date(2030, 1, 1)), "other==2.0")
    assert faults(bundle, held, longer) == []


def test_a_raised_minimum_age_asks_for_a_new_lock(bundle: Bundle) -> None:
    rules = policy("acme==1.0")
    held = agreed(lock(pin("acme==1.0")), rules)
    stricter = with_rules(rules, minimum_age=timedelta(days=14))
    assert unusable(bundle, held, stricter) == [
        "it was made with a minimum age of 7 days; the settings ask for 14"
    ]
    assert unusable(bundle, held, with_rules(rules, minimum_age=timedelta(0))) == []
    ours = agreed(lock(pin("acme==1.0", internal=True)), policy("acme==1.0", internal=("acme",)))
    assert (
        unusable(bundle, ours, with_rules(policy("acme==1.0", internal=("acme",)), minimum_age=timedelta(9))) == []
    )


def test_a_licence_that_is_denied_by_now_is_a_fault_unless_a_person_established_another(bundle: Bundle) -> None:
    rules = with_rules(policy("acme==1.0"), licences=parse_licence_rule([], ["GPL-3.0-only"]))
    held = agreed(lock(replace(pin("acme==1.0"), licence="GPL-3.0-only")), rules)
    assert unusable(bundle, held, rules) == ["acme==1.0: GPL-3.0-only is denied"]
    known = with_rules(policy(approval("acme==1.0", licence="MIT")), licences=rules.licences)
    assert unusable(bundle, held, known) == []


def test_a_wheel_of_ours_is_a_fault_where_sdists_are_refused_by_now(bundle: Bundle) -> None:
    sdist = LockedFile(filename="acme-1.0.tar.gz", sha256="b" * 64)
    rules = with_rules(policy("acme==1.0"), build_sdists=True)
    held = agreed(lock(replace(pin("acme==1.0"), built_from=sdist)), rules)
    assert unusable(bundle, held, rules) == []
    assert unusable(bundle, held, policy("acme==1.0")) == [
        "acme==1.0 was built from an sdist, which the settings refuse"
    ]


def test_a_pin_that_looks_like_ours_is_a_fault(bundle: Bundle) -> None:
    rules = policy("acme==1.0", internal=("acmee",))
    held = agreed(lock(pin("acme==1.0")), rules)
    assert unusable(bundle, held, rules) == ["acme is easily taken for our own acmee"]


def test_a_lock_that_breaks_the_image_is_a_fault_unless_the_bundle_does_without(bundle: Bundle) -> None:
    rules = policy("acme==1.0", "numpy==1.23.1")
    held = agreed(lock(pin("acme==1.0"), pin("numpy==1.23.1", wanted_by=("acme",))), rules)
    found = unusable(bundle, held, rules)
    assert any(one.startswith("pandas==2.3.3 requires numpy") for one in found)
    broken = {project_name(one.partition("==")[0]) for one in found}
    assert unusable(replace(bundle, may_break=frozenset(broken)), held, rules) == []


# What is announced


def test_an_approval_that_ends_within_thirty_days_is_announced_unless_another_one_goes_on() -> None:
    soon, later = approval("acme==1.0", until=date(2026, 12, 1)), approval("acme==1.0", until=date(2027, 12, 1))
    held = lock(pin("acme==1.0"), pin(f"boto3=={IMAGE_BOTO3}", ""))
    assert ending(held, policy(soon)) == ["the approval of acme==1.0 ends 2026-12-01, in 9 days"]
    assert ending(held, policy(soon, later)) == []
    assert ending(held, policy(soon, "acme==1.0")) == []
    assert ending(held, policy(later)) == []


# What stays, and what is upgraded


def test_versions_of_the_lock_before_stay_unless_they_are_to_be_upgraded() -> None:
    before = lock(pin("acme==1.0"), pin("dep==1.0"))
    both = {ACME: Version("1.0"), DEP: Version("1.0")}
    assert preferred(before, None) == both
    assert preferred(before, frozenset()) == {}
    assert preferred(before, frozenset({ACME})) == {DEP: Version("1.0")}


def test_a_dry_run_writes_nothing_and_tells_what_would_change(bundle: Bundle, tmp_path: Path) -> None:
    resolution = resolving(policy("acme==1.0"), {ACME_WHEEL: b"a"}, "acme==1.0")
    before = lock(pin("acme==0.9"), pin("dep==1.0"))
    locked = lock_bundle(bundle, before, resolution, tmp_path, write=False)
    assert list(tmp_path.iterdir()) == []
    assert locked.changed
    assert [(one.project, one.told) for one in locked.changes] == [("acme", "upgraded"), ("dep", "removed")]


def test_a_vulnerability_that_became_known_since_is_told_unless_an_exception_covers_it() -> None:
    class Known:
        def of(self, releases: Sequence[Release]) -> Mapping[Release, Sequence[Advisory]]:
            return {one: (Advisory(id="CVE-2026-1"),) for one in releases}

    held = lock(pin("acme==1.0"), pin("ours==1.0", internal=True), pin(f"boto3=={IMAGE_BOTO3}", ""))
    rules = policy("acme==1.0", internal=("ours",))
    assert vulnerable(held, Known(), rules) == ["acme==1.0 is known to be vulnerable: CVE-2026-1"]
    exception = VulnerabilityException(
        vulnerability="CVE-2026-1", project=ACME, approved_by="us", reason="why", until=date(2026, 11, 22)
    )
    lifted = with_rules(rules, allowlist=replace(rules.allowlist, exceptions=(exception,)))
    assert vulnerable(held, Known(), lifted) == []


def test_what_nobody_has_cannot_be_upgraded(bundle: Bundle) -> None:
    held = [lock(pin("acme==1.0"), pin("dep==1.0", wanted_by=("acme",)))]
    require_known([ACME, DEP], [bundle], held)
    require_known([ACME], [bundle], [])
    with pytest.raises(SettingsError, match=r"no lock has a project other to upgrade$"):
        require_known([project_name("other")], [bundle], held)
    with pytest.raises(
        SettingsError, match=r"no lock has a project taxi to upgrade; for the bundle: `lock taxi --up"
    ):
        require_known([project_name("taxi")], [bundle], held)
