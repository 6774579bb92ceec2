from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.errors import IndexAccessError, NotApproved, NotInstallable, SettingsError
from glue_pkgmgr.ports import ResolvedRelease, Unresolvable
from glue_pkgmgr.settings import Bundle
from glue_pkgmgr.verbs.lock import AllowedIndex, faults, lock_bundle, read_lock, require_usable, resolve
from tests.fakes import FakeIndex, FakeMetadata, FakeResolver
from tests.unit.verbs.locks import NOW, approval, lock, pin, policy

ACME, DEP, BOTO3 = map(project_name, ("acme", "dep", "boto3"))
IMAGE_BOTO3 = glue_runtime("5.1").preinstalled[BOTO3]
ACME_WHEEL, DEP_WHEEL = "acme-1.0-py3-none-any.whl", "dep-1.0-py3-none-any.whl"


def release(requirement: str, *wanted_by: str) -> ResolvedRelease:
    project, _, version = requirement.partition("==")
    return ResolvedRelease(
        project=project_name(project), version=Version(version), wanted_by=tuple(map(project_name, wanted_by))
    )


def allowed(rules: Policy, store: FakeIndex | None = None, approved: FakeIndex | None = None) -> AllowedIndex:
    return AllowedIndex(
        policy=rules,
        store=store or FakeIndex(),
        approved=approved or FakeIndex(),
        metadata_reader=FakeMetadata({ACME_WHEEL: b"Name: acme"}),
    )


def run(request: str, index: AllowedIndex, answer: Sequence[ResolvedRelease] | Exception, *looks_at: str) -> Lock:
    resolver = FakeResolver(answer, tuple(map(project_name, looks_at)))
    return resolve(parse_request(request), index=index, resolver=resolver)


# What the resolver may see


def test_an_internal_project_is_never_looked_for_in_the_store() -> None:
    store = FakeIndex({"acme-99.0-py3-none-any.whl": b"evil"})
    approved = FakeIndex({ACME_WHEEL: b"ours"})
    index = allowed(policy("acme==1.0", "acme==99.0", internal=("acme",)), store, approved)
    page = index.page(ACME)
    assert page is not None
    assert [file.filename for file in page.files] == [ACME_WHEEL]
    assert store.asked == []
    assert index.metadata(ACME, ACME_WHEEL) == b"Name: acme"


def test_hidden_files_have_no_metadata() -> None:
    index = allowed(policy("acme==2.0"), FakeIndex({ACME_WHEEL: b"x"}))
    assert index.page(ACME) == IndexPage(project=ACME, files=())
    assert index.metadata(ACME, ACME_WHEEL) is None
    assert index.metadata(DEP, DEP_WHEEL) is None


def test_a_page_is_read_once() -> None:
    store = FakeIndex({ACME_WHEEL: b"x"})
    index = allowed(policy("acme==1.0"), store)
    for _ in range(3):
        index.page(ACME)
        index.page(DEP)
    assert store.asked == [ACME, DEP]


def test_a_page_that_gives_itself_another_name_shows_nothing_of_that_name() -> None:
    class Liar(FakeIndex):
        def page(self, project: object) -> IndexPage | None:  # type: ignore[override]
            return super().page(ACME)

    index = allowed(policy("acme==1.0", "dep==1.0"), Liar({ACME_WHEEL: b"x"}))
    assert index.page(DEP) == IndexPage(project=DEP, files=())


# The lock


def test_a_lock_has_the_closure_with_every_hash_and_who_wanted_it() -> None:
    index = allowed(policy("acme==1.0", "dep==1.0"), FakeIndex({ACME_WHEEL: b"a", DEP_WHEEL: b"d"}))
    made = run("acme[x]", index, [release("acme==1.0"), release("dep==1.0", "acme")])
    assert made.request == ("acme[x]",)
    assert [(str(one), one.wanted_by, len(one.files), one.internal) for one in made.pins] == [
        ("acme==1.0", (), 1, False),
        ("dep==1.0", ("acme",), 1, False),
    ]
    assert made.pins[0].files[0].sha256 == index.split(ACME).allowed[0].file.sha256  # type: ignore[union-attr]


def test_a_release_of_the_image_has_no_files_and_another_one_has() -> None:
    index = allowed(policy(), FakeIndex({f"boto3-{IMAGE_BOTO3}-py3-none-any.whl": b"x"}))
    made = run("boto3", index, [release(f"boto3=={IMAGE_BOTO3}")])
    assert made.pins[0].preinstalled
    assert made.installed == ()


def test_a_requested_project_that_others_want_too_is_wanted_by_the_request() -> None:
    index = allowed(policy("acme==1.0", "dep==1.0"), FakeIndex({ACME_WHEEL: b"a", DEP_WHEEL: b"d"}))
    made = run("acme,dep", index, [release("acme==1.0"), release("dep==1.0", "acme")])
    assert [one.wanted_by for one in made.pins] == [(), ()]


def test_an_internal_release_is_marked_so() -> None:
    index = allowed(policy("acme==1.0", internal=("acme",)), approved=FakeIndex({ACME_WHEEL: b"a"}))
    assert run("acme", index, [release("acme==1.0")]).pins[0].internal


def test_a_release_the_index_does_not_show_is_never_locked() -> None:
    index = allowed(policy("acme==1.0"), FakeIndex({ACME_WHEEL: b"a"}))
    with pytest.raises(NotInstallable, match=r"acme==9\.9 was chosen although no wheel of it is visible"):
        run("acme", index, [release("acme==9.9")])


# Why there is none


def test_a_missing_approval_is_told_project_by_project_with_the_command() -> None:
    index = allowed(policy("acme==1.0"), FakeIndex({ACME_WHEEL: b"a", DEP_WHEEL: b"d"}))
    with pytest.raises(NotApproved) as caught:
        run("acme", index, Unresolvable("because dep\n  is gone"), "dep")
    assert str(caught.value) == (
        "cannot lock acme for Glue 5.1\n"
        "  dep: every release is hidden (1.0: not approved)\n"
        "  because dep\n"
        "  is gone\n"
        '  approve what you need: glue-pkgmgr approve "dep==…" --reason …'
    )


def test_a_requested_version_that_only_lacks_approval_is_told_although_others_are_visible() -> None:
    index = allowed(policy("acme==1.0"), FakeIndex({ACME_WHEEL: b"a", "acme-2.0-py3-none-any.whl": b"b"}))
    with pytest.raises(NotApproved, match=r"acme: some releases are hidden \(2\.0: not approved\)"):
        run("acme>=2", index, Unresolvable("no"))


def test_releases_hidden_for_other_reasons_are_not_installable() -> None:
    young = FakeIndex({ACME_WHEEL: b"a"}, uploaded=NOW - timedelta(days=1))
    with pytest.raises(NotInstallable, match=r"hidden \(1\.0: younger than the minimum age\)"):
        run("acme", allowed(policy("acme==1.0"), young), Unresolvable("no"))


@pytest.mark.parametrize(
    ("internal", "expected"),
    [
        ((), "acme: not in the store; check the name"),
        (("acme",), "acme: not in the approved repository; publish it"),
    ],
)
def test_a_project_that_is_nowhere_is_told(internal: tuple[str, ...], expected: str) -> None:
    with pytest.raises(NotInstallable, match=expected):
        run("acme", allowed(policy("acme==1.0", internal=internal)), Unresolvable("no"))


def test_an_index_that_fails_is_not_taken_for_no_solution() -> None:
    with pytest.raises(IndexAccessError, match="500"):
        run("acme", allowed(policy("acme==1.0"), FakeIndex(broken=True)), [])


# Files


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(name="taxi", modules=parse_request("acme"), runtime=glue_runtime("5.1"))


def write(bundle: Bundle, folder: Path, content: bytes = b"a") -> tuple[Path, bool]:
    index = allowed(policy("acme==1.0"), FakeIndex({ACME_WHEEL: content}))
    locked = lock_bundle(bundle, folder, index=index, resolver=FakeResolver([release("acme==1.0")]))
    assert read_lock(bundle, folder) == locked.lock
    return locked.path, locked.changed


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


def test_a_lock_that_agrees_with_everything_has_no_faults(bundle: Bundle) -> None:
    held = lock(pin("acme==1.0"), pin(f"boto3=={IMAGE_BOTO3}", "", ("acme",)))
    assert faults(bundle, held, policy("acme==1.0")) == []
    require_usable(bundle, held, policy("acme==1.0"))


def test_every_disagreement_is_told_at_once(bundle: Bundle) -> None:
    held = lock(
        pin("acme==1.0"),
        pin("dep==1.0", wanted_by=("mid",)),
        pin("mid==1.0", wanted_by=("acme",)),
        pin("boto3==0.1", "", ("acme",)),
        request=("other",),
        glue="5.0",
    )
    rules = policy("acme==1.0", "mid==1.0", internal=("acme",))
    assert faults(bundle, held, rules) == [
        "the bundle asks for acme; the lock was made for other",
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
    assert faults(asked, held, policy("acme==1.0", "dep==1.0")) == ["it pins no release for acme>=2"]


def test_a_release_that_is_internal_no_more_is_a_fault(bundle: Bundle) -> None:
    assert (
        "no longer list it as internal"
        in faults(bundle, lock(pin("acme==1.0", internal=True)), policy("acme==1.0"))[0]
    )


def test_an_approval_that_ended_yesterday_makes_the_lock_unusable(bundle: Bundle) -> None:
    ended = policy(approval("acme==1.0", until=date(2026, 11, 21)))
    assert faults(bundle, lock(pin("acme==1.0")), ended) == ["acme==1.0 is not approved"]
