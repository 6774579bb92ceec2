from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.advisory import Advisory, VulnerabilityException
from glue_pkgmgr.core.allowlist import AllowList
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.licence import parse_licence_rule
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.names import ProjectName, Release, project_name
from glue_pkgmgr.core.policy import Policy, Reason
from glue_pkgmgr.core.request import Request, parse_request
from glue_pkgmgr.core.runtime import GlueRuntime, glue_runtime
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import IndexAccessError, NotApproved, NotInstallable
from glue_pkgmgr.ports import PackageIndex, ResolvedRelease, Unresolvable, VisibleIndex
from glue_pkgmgr.verbs.allowed_index import AllowedIndex
from glue_pkgmgr.verbs.resolve import Refusal, Resolution
from tests.fakes import FakeIndex, FakeMetadata, FakeResolver
from tests.unit.verbs.locks import NOW, approval, lock, pin, policy

ACME, DEP, BOTO3 = map(project_name, ("acme", "dep", "boto3"))
IMAGE_BOTO3 = glue_runtime("5.1").preinstalled[BOTO3]
ACME_WHEEL, DEP_WHEEL = "acme-1.0-py3-none-any.whl", "dep-1.0-py3-none-any.whl"


@dataclass
class ChoosingResolver:
    """Chooses the newest visible release of each project, with its dependencies; fails where one has none.

    `wants` says which projects a project requires.
    """

    wants: Mapping[ProjectName, Sequence[str]] = field(default_factory=dict)
    rounds: int = 0

    def resolve(
        self,
        request: Request,
        runtime: GlueRuntime,
        index: VisibleIndex,
        preferred: Mapping[ProjectName, Version],
    ) -> Sequence[ResolvedRelease]:
        self.rounds += 1
        chosen: dict[ProjectName, Version] = {}
        parents: dict[ProjectName, set[ProjectName]] = {}
        todo = [(item.project, item.specifier) for item in request]
        while todo:
            project, specifier = todo.pop()
            page = index.page(project)
            versions = [parse_filename(file.filename).version for file in page.files] if page else []
            fitting = sorted(one for one in versions if specifier.contains(one, prereleases=True))
            if not fitting:
                raise Unresolvable(f"there is no {project}")
            kept = preferred.get(project)
            chosen[project] = kept if kept in fitting else fitting[-1]
            index.metadata(project, next(f.filename for f in page.files if _is(f, chosen[project])))  # type: ignore[union-attr]
            for text in self.wants.get(project, ()):
                (item,) = parse_request(text)
                parents.setdefault(item.project, set()).add(project)
                todo.append((item.project, item.specifier))
        return [
            ResolvedRelease(project=project, version=version, wanted_by=tuple(sorted(parents.get(project, ()))))
            for project, version in sorted(chosen.items())
        ]


def _is(file: IndexFile, version: Version) -> bool:
    return parse_filename(file.filename).version == version


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
        metadata_reader=FakeMetadata({ACME_WHEEL: b"Metadata-Version: 2.1\nName: acme\nRequires-Dist: dep\n"}),
    )


def run(request: str, index: AllowedIndex, answer: Sequence[ResolvedRelease] | Exception, *looks_at: str) -> Lock:
    resolver = FakeResolver(answer, tuple(map(project_name, looks_at)))
    return Resolution(index=index, resolver=resolver).lock(parse_request(request))


# What the resolver may see


def test_an_internal_project_is_never_looked_for_in_the_store() -> None:
    store = FakeIndex({"acme-99.0-py3-none-any.whl": b"evil"})
    approved = FakeIndex({ACME_WHEEL: b"ours"})
    index = allowed(policy("acme==1.0", "acme==99.0", internal=("acme",)), store, approved)
    page = index.page(ACME)
    assert page is not None
    assert [file.filename for file in page.files] == [ACME_WHEEL]
    assert store.asked == []
    assert index.metadata(ACME, ACME_WHEEL) == b"Metadata-Version: 2.1\nName: acme\nRequires-Dist: dep\n"


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


def wheels(*requirements: str) -> FakeIndex:
    return FakeIndex({f"{one.replace('==', '-')}-py3-none-any.whl": one.encode() for one in requirements})


def choosing(
    rules: Policy, store: FakeIndex, wants: Mapping[str, Sequence[str]] | None = None, **more: object
) -> Resolution:
    by_name = {project_name(name): texts for name, texts in (wants or {}).items()}
    index = allowed(rules, store)
    return Resolution(index=index, resolver=ChoosingResolver(by_name), **more)  # type: ignore[arg-type]


def refusal(request: str, resolution: Resolution) -> Refusal:
    outcome = resolution.attempt(parse_request(request))
    assert isinstance(outcome, Refusal), outcome
    return outcome


CHAIN = {"acme": ["mid"], "mid": ["dep", "other"]}


def test_every_missing_approval_is_told_at_once_with_its_chain_and_the_command() -> None:
    store = wheels("acme==1.0", "mid==1.0", "dep==1.0", "dep==0.9", "other==3.0")
    with pytest.raises(NotApproved) as caught:
        choosing(policy("acme==1.0"), store, CHAIN).lock(parse_request("acme"))
    assert str(caught.value) == (
        "cannot lock acme for Glue 5.1: 3 releases are not approved\n"
        "  dep==1.0 (wanted by acme → mid) is not approved; also there: 0.9: not approved\n"
        "  mid==1.0 (wanted by acme) is not approved\n"
        "  other==3.0 (wanted by acme → mid) is not approved\n"
        '  approve what you want: glue-pkgmgr approve "dep==1.0" "mid==1.0" "other==3.0" --reason …'
    )


def test_what_is_approved_already_is_kept_when_approvals_are_missing_elsewhere() -> None:
    store = wheels("acme==1.0", "acme==2.0", "mid==1.0", "dep==1.0", "other==3.0", "other==4.0")
    missing = refusal("acme", choosing(policy("acme==1.0", "other==3.0"), store, CHAIN)).missing
    assert [str(one) for one in missing] == ["dep==1.0", "mid==1.0"]


def test_an_approved_version_that_does_not_fit_is_given_up_for_the_fewest_new_ones() -> None:
    store = wheels("acme==1.0", "mid==1.0", "mid==2.0", "dep==1.0")
    wants = {"acme": ["mid>=2"], "mid": ["dep"]}
    missing = refusal("acme", choosing(policy("acme==1.0", "mid==1.0", "dep==1.0"), store, wants)).missing
    assert [(str(one), one.others) for one in missing] == [("mid==2.0", "")]


def test_a_requested_version_that_only_lacks_approval_is_told_although_others_are_visible() -> None:
    missing = refusal("acme>=2", choosing(policy("acme==1.0"), wheels("acme==1.0", "acme==2.0"))).missing
    assert [(str(one), one.chain) for one in missing] == [("acme==2.0", (ACME,))]


def test_no_approval_of_a_pre_release_is_proposed_unless_it_was_asked_for() -> None:
    store = wheels("acme==1.0", "acme==2.0rc1")
    assert [str(one) for one in refusal("acme", choosing(policy(), store)).missing] == ["acme==1.0"]
    assert [str(one) for one in refusal("acme==2.0rc1", choosing(policy(), store)).missing] == ["acme==2.0rc1"]


def test_a_missing_approval_says_what_of_the_image_it_replaces() -> None:
    found = refusal("idna==3.12,acme", choosing(policy(), wheels("idna==3.12", "acme==1.0"))).missing
    assert [(one.project, str(one.replaces or "")) for one in found] == [("acme", ""), ("idna", "3.11")]


def test_a_missing_approval_says_what_a_reviewer_wants_to_know() -> None:
    store = FakeIndex({DEP_WHEEL: b"1234"})
    index = allowed(policy(), store)
    index.metadata_reader = FakeMetadata(
        {DEP_WHEEL: b"Metadata-Version: 2.4\nName: dep\nLicense-Expression: MIT\n"}
    )
    (one,) = refusal("dep", Resolution(index=index, resolver=ChoosingResolver())).missing
    assert (one.uploaded, one.size, one.licence) == (store.uploaded, 4, "MIT")


def test_a_solution_needs_more_than_approvals_where_other_rules_forbid_it() -> None:
    young = FakeIndex({ACME_WHEEL: b"a"}, uploaded=NOW - timedelta(days=1))
    with pytest.raises(NotInstallable) as caught:
        choosing(policy(), young).lock(parse_request("acme"))
    assert str(caught.value) == (
        "cannot lock acme for Glue 5.1\n"
        "  acme: none can be chosen: 1.0: younger than the minimum age (from 2026-11-28)"
    )


def test_an_obstacle_names_who_wants_it_and_what_could_be_chosen() -> None:
    store = wheels("acme==1.0", "dep==1.0")
    rules = policy("acme==1.0", "dep==1.0")
    found = refusal("acme", choosing(rules, store, {"acme": ["dep>=2"]}))
    assert found.missing == ()
    assert found.obstacles == ()
    store.files["dep-2.0-cp39-cp39-win_amd64.whl"] = b"x"
    rules = policy("acme==1.0", "dep==1.0", "dep==2.0")
    found = refusal("acme", choosing(rules, store, {"acme": ["dep>=2"]}))
    assert [str(one) for one in found.obstacles] == [
        "dep (wanted by acme): 1.0 can be chosen, 2.0: its wheels do not fit the Glue version"
    ]


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


def test_a_look_alike_of_ours_is_an_obstacle_and_no_missing_approval() -> None:
    rules = policy("acme-x==1.0", internal=("acmex",))
    found = refusal("acme-x", choosing(rules, FakeIndex({"acme_x-1.0-py3-none-any.whl": b"x"})))
    assert found.missing == ()
    assert found.obstacles[0].told == "the name is easily taken for one of ours; is acmex meant?"
    assert isinstance(found.error(), NotApproved)


def test_a_dependency_whose_name_looks_like_ours_is_refused_with_its_chain() -> None:
    rules = policy("acme==1.0", "dep-x==1.0", internal=("depx",))
    store = FakeIndex({ACME_WHEEL: b"x", "dep_x-1.0-py3-none-any.whl": b"x"})
    index = allowed(rules, store)
    index.metadata_reader = FakeMetadata(
        {ACME_WHEEL: b"Metadata-Version: 2.1\nName: acme\nRequires-Dist: dep-x\n"}
    )
    found = refusal("acme", Resolution(index=index, resolver=ChoosingResolver({ACME: ["dep-x"]})))
    assert [str(one) for one in found.obstacles] == [
        "dep-x (wanted by acme): the name is easily taken for one of ours; is depx meant?"
    ]
    assert isinstance(found.error(), NotApproved)


def test_a_look_alike_that_the_store_does_not_have_is_told_as_one() -> None:
    found = refusal("acme-x", choosing(policy("acme-x==1.0", internal=("acmex",)), FakeIndex()))
    assert [one.told for one in found.obstacles] == ["the name is easily taken for one of ours; is acmex meant?"]


def test_that_a_project_is_internal_is_told_where_only_the_store_could_have_the_version() -> None:
    rules = policy("acme==1.0", "acme==99.0", internal=("acme",))
    index = allowed(rules, wheels("acme==99.0"), wheels("acme==1.0"))
    found = refusal("acme==99.0", Resolution(index=index, resolver=ChoosingResolver()))
    assert [one.told for one in found.obstacles] == [
        "1.0 can be chosen; it is internal: a release of that name in the store is never taken"
    ]
    assert isinstance(found.error(), NotInstallable)


# What may be preferred


def test_versions_of_the_image_and_of_the_lock_before_are_preferred_but_not_of_what_is_upgraded() -> None:
    resolver = FakeResolver([release("acme==1.0")])
    index = allowed(policy("acme==1.0"), wheels("acme==1.0"))
    lock_before = {ACME: Version("0.5"), DEP: Version("0.1")}
    Resolution(index=index, resolver=resolver, preferred=lock_before, upgrade={ACME, BOTO3}).lock(
        parse_request("acme")
    )
    assert (ACME in resolver.preferred, BOTO3 in resolver.preferred) == (False, False)
    assert resolver.preferred[DEP] == Version("0.1")
    assert resolver.preferred[project_name("numpy")] == glue_runtime("5.1").preinstalled[project_name("numpy")]


# Bytes that changed


def test_a_file_with_other_bytes_than_a_lock_has_is_refused_and_named() -> None:
    held = lock(pin("acme==1.0", "f"))
    with pytest.raises(
        NotInstallable, match=r"acme-1\.0-py3-none-any\.whl is not the file that was locked: locked f{64}"
    ):
        choosing(policy("acme==1.0"), wheels("acme==1.0"), locked=[held]).lock(parse_request("acme"))


def test_a_file_that_joins_a_release_is_no_change_of_bytes() -> None:
    store = wheels("acme==1.0")
    first = choosing(policy("acme==1.0"), store).lock(parse_request("acme"))
    store.files["acme-1.0-cp311-cp311-manylinux2014_x86_64.whl"] = b"later"
    second = choosing(policy("acme==1.0"), store, locked=[first]).lock(parse_request("acme"))
    assert len(second.pins[0].files) == 2


# Licences


GPL = b"Metadata-Version: 2.4\nName: acme\nLicense-Expression: GPL-3.0-only\n"
MIT = b"Metadata-Version: 2.4\nName: acme\nLicense-Expression: MIT\n"
NO_GPL = parse_licence_rule([], ["GPL-3.0-only"])


def licensed(rules: Policy, **metadata: bytes) -> Resolution:
    resolution = choosing(rules, wheels("acme==1.0", "acme==2.0"))
    by_file = {f"acme-{version.replace('_', '.')}-py3-none-any.whl": text for version, text in metadata.items()}
    resolution.index.metadata_reader = FakeMetadata(by_file)
    return resolution


def both(**changes: object) -> Policy:
    return replace(policy("acme==1.0", "acme==2.0"), **changes)  # type: ignore[arg-type]


def test_a_release_whose_licence_is_refused_gives_way_to_another_one() -> None:
    resolution = licensed(both(licences=NO_GPL), **{"1_0": MIT, "2_0": GPL})
    (one,) = resolution.lock(parse_request("acme")).pins
    assert (str(one), one.licence) == ("acme==1.0", "MIT")


def test_without_another_one_the_licence_is_the_reason() -> None:
    with pytest.raises(NotInstallable, match=r"2\.0, 1\.0: its licence is refused \(GPL-3\.0-only is denied\)"):
        licensed(both(licences=NO_GPL), **{"1_0": GPL, "2_0": GPL}).lock(parse_request("acme"))


def test_the_licence_a_person_established_counts_and_is_locked() -> None:
    rules = replace(policy(approval("acme==2.0", licence="MIT")), licences=NO_GPL)
    (one,) = licensed(rules, **{"2_0": GPL}).lock(parse_request("acme")).pins
    assert (str(one), one.licence) == ("acme==2.0", "MIT")


def test_a_refused_licence_is_told_beside_the_approval_that_would_do_instead() -> None:
    rules = replace(policy("acme==1.0"), licences=NO_GPL)
    with pytest.raises(NotApproved) as caught:
        licensed(rules, **{"1_0": GPL, "2_0": MIT}).lock(parse_request("acme"))
    assert str(caught.value).splitlines()[1:3] == [
        "  acme: none can be chosen: 1.0: its licence is refused (GPL-3.0-only is denied)",
        "  acme==2.0 is not approved; also there: 1.0: its licence is refused (GPL-3.0-only is denied)",
    ]


def test_what_is_refused_again_and_again_ends_with_the_reasons() -> None:
    many = [f"acme=={number}.0" for number in range(1, 30)]
    resolution = choosing(replace(policy(*many), licences=NO_GPL), wheels(*many))
    by_file = {f"{one.replace('==', '-')}-py3-none-any.whl": GPL for one in many}
    resolution.index.metadata_reader = FakeMetadata(by_file)
    told: list[str] = []
    found = refusal("acme", replace(resolution, progress=told.append))
    assert "its licence is refused (GPL-3.0-only is denied)" in found.obstacles[0].told
    assert "29.0, 28.0, 27.0, 26.0, 25.0 and 7 more: its licence is refused" in found.obstacles[0].told
    assert len(told) < 25


def test_a_typo_in_a_name_is_told_with_what_may_be_meant() -> None:
    (found,) = refusal("requets", choosing(policy(), FakeIndex())).obstacles
    assert found.told == "not in the store; is requests meant?"


def test_our_own_releases_need_no_licence() -> None:
    index = allowed(
        replace(policy("acme==1.0", internal=("acme",)), licences=NO_GPL), approved=FakeIndex({ACME_WHEEL: b"a"})
    )
    assert Resolution(index=index, resolver=ChoosingResolver()).lock(parse_request("acme")).pins[0].internal


# Vulnerabilities


@dataclass
class FakeAdvisories:
    known: Mapping[str, Sequence[Advisory]]

    def of(self, releases: Sequence[Release]) -> Mapping[Release, Sequence[Advisory]]:
        return {one: self.known[f"{one[0]}=={one[1]}"] for one in releases if f"{one[0]}=={one[1]}" in self.known}


CVE = Advisory(id="PYSEC-1", aliases=("CVE-2026-1",), fixed=(Version("3.0"),))


def vulnerable(rules: Policy, *releases: str) -> Resolution:
    return choosing(
        rules, wheels("acme==1.0", "acme==2.0"), advisories=FakeAdvisories(dict.fromkeys(releases, (CVE,)))
    )


def test_a_vulnerable_release_gives_way_to_another_one() -> None:
    assert str(vulnerable(both(), "acme==2.0").lock(parse_request("acme")).pins[0]) == "acme==1.0"


def test_without_another_one_the_advisory_is_the_reason() -> None:
    with pytest.raises(
        NotInstallable, match=r"2\.0, 1\.0: known to be vulnerable \(PYSEC-1 \(CVE-2026-1; fixed in 3\.0\)"
    ):
        vulnerable(both(), "acme==1.0", "acme==2.0").lock(parse_request("acme"))


@pytest.mark.parametrize(("days", "version"), [(0, "2.0"), (-1, "1.0")])
def test_an_exception_counts_until_its_last_day(days: int, version: str) -> None:
    exception = VulnerabilityException(
        vulnerability="cve-2026-1",
        project=ACME,
        approved_by="security",
        reason="not reachable",
        until=NOW.date() + timedelta(days=days),
    )
    rules = both()
    rules = replace(rules, allowlist=AllowList(rules.allowlist.approvals, (exception,)))
    assert vulnerable(rules, "acme==2.0").lock(parse_request("acme")).pins[0].version == Version(version)


# What the Glue image would lose


def test_a_closure_that_breaks_the_image_is_refused_unless_the_jobs_do_without() -> None:
    resolution = choosing(policy("numpy==1.23.1"), wheels("numpy==1.23.1"))
    found = refusal("numpy==1.23.1", resolution)
    assert "pandas" in {one.project for one in found.breaks}
    with pytest.raises(NotInstallable, match=r"it would break what the Glue image brings\n  .*requires numpy"):
        raise found.error()
    without = replace(resolution, may_break={one.project for one in found.breaks})
    assert isinstance(without.attempt(parse_request("numpy==1.23.1")), Lock)


# Wheels built by us


@dataclass
class FakeBuilder:
    folder: Path
    fails: bool = False
    built: list[str] = field(default_factory=list)

    def wheel_of(self, index: PackageIndex, sdist: IndexFile) -> BuiltFile:
        self.built.append(sdist.filename)
        if self.fails:
            raise NotInstallable("needs a compiler")
        wheel = self.folder / sdist.filename.replace(".tar.gz", "-py3-none-any.whl")
        return BuiltFile(path=wheel, distribution=parse_filename(wheel.name), sha256="e" * 64, size=7)


def building(
    rules: Policy, store: FakeIndex, folder: Path, *, fails: bool = False
) -> tuple[Resolution, FakeBuilder]:
    builder = FakeBuilder(folder, fails)
    resolution = choosing(replace(rules, build_sdists=True), store)
    resolution.index.sdist_builder = builder
    return resolution, builder


def test_a_release_without_any_wheel_is_locked_as_the_wheel_we_build(tmp_path: Path) -> None:
    resolution, _ = building(policy("acme==1.0"), FakeIndex({"acme-1.0.tar.gz": b"sdist"}), tmp_path)
    (one,) = resolution.lock(parse_request("acme")).pins
    assert [(file.filename, file.sha256, file.size) for file in one.files] == [(ACME_WHEEL, "e" * 64, 7)]
    assert one.built_from is not None
    assert one.built_from.filename == "acme-1.0.tar.gz"


def test_what_nobody_approved_is_never_built(tmp_path: Path) -> None:
    resolution, builder = building(policy(), FakeIndex({"acme-1.0.tar.gz": b"sdist"}), tmp_path)
    assert refusal("acme", resolution).obstacles[0].told == "none can be chosen: 1.0: no wheel, only an sdist"
    assert builder.built == []


def test_an_sdist_that_cannot_be_built_is_hidden_with_the_reason(tmp_path: Path) -> None:
    store = FakeIndex({"acme-1.0.tar.gz": b"sdist"})
    resolution, _ = building(policy("acme==1.0"), store, tmp_path, fails=True)
    with pytest.raises(NotInstallable, match=r"needs a compiler"):
        resolution.lock(parse_request("acme"))
    assert resolution.index.refused[ACME, Version("1.0")][0] is Reason.NOT_BUILDABLE


def test_an_sdist_with_the_bytes_of_another_release_gives_no_wheel(tmp_path: Path) -> None:
    store = FakeIndex({"acme-2.0.tar.gz": b"sdist"})
    resolution, _ = building(policy("acme==2.0"), store, tmp_path)

    class Kept(FakeBuilder):
        def wheel_of(self, index: PackageIndex, sdist: IndexFile) -> BuiltFile:
            return super().wheel_of(index, replace(sdist, filename="acme-1.0.tar.gz"))

    resolution.index.sdist_builder = Kept(tmp_path)
    with pytest.raises(NotInstallable, match=r"acme-2\.0\.tar\.gz has the bytes of which acme-1\.0-"):
        resolution.lock(parse_request("acme"))


def test_the_lock_remembers_the_rules_it_was_made_under() -> None:
    rules = policy("acme==1.0")
    made = choosing(rules, wheels("acme==1.0")).lock(parse_request("acme"))
    assert made.allowlist_sha256 == rules.allowlist.digest([(ACME, Version("1.0"))], rules.runtime)
    assert made.minimum_age_days == 7


def test_an_approval_that_has_ended_is_missing() -> None:
    ended = policy(approval("acme==1.0", until=date(2026, 11, 21)))
    assert [str(one) for one in refusal("acme", choosing(ended, wheels("acme==1.0"))).missing] == ["acme==1.0"]
