"""However a request is spelled, `check` lets pass only what the approvals cover: tried against a second opinion.

The second opinion knows nothing of `packaging`: a version is a `Made` one first, and text only afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from glue_pkgmgr.core.allowlist import make_approval
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.request import Request, parse_request
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.ports import ResolvedRelease, Unresolvable, VisibleIndex
from glue_pkgmgr.verbs.allowed_index import AllowedIndex
from glue_pkgmgr.verbs.check import Checked, check
from glue_pkgmgr.verbs.resolve import Resolution
from tests.fakes import FakeIndex, FakeMetadata
from tests.unit.verbs.locks import policy

PROJECT = project_name("acme-tools")
HARD = settings(derandomize=True, deadline=None, database=None, max_examples=150)


@dataclass(frozen=True)
class Made:
    """A version in parts, as PEP 440 names them; `release` ends in no zero. `pre` is its letter and number."""

    epoch: int = 0
    release: tuple[int, ...] = (1,)
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None
    local: str = ""

    def __str__(self) -> str:
        """Return the normal form."""
        text = f"{self.epoch}!" if self.epoch else ""
        text += ".".join(map(str, self.release or (0,)))
        text += f"{self.pre[0]}{self.pre[1]}" if self.pre else ""
        text += "" if self.post is None else f".post{self.post}"
        text += "" if self.dev is None else f".dev{self.dev}"
        return text + (f"+{self.local}" if self.local else "")

    @property
    def unusual(self) -> bool:
        """Whether it is a pre-release, a development release or a local one: approved by name only."""
        return self.pre is not None or self.dev is not None or bool(self.local)

    @property
    def place(self) -> tuple[int, tuple[int, ...], int]:
        """Where it stands among those that are not unusual."""
        return self.epoch, self.release, -1 if self.post is None else self.post


@st.composite
def made(draw: st.DrawFn) -> Made:
    numbers = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return Made(
        epoch=draw(st.sampled_from((0, 0, 0, 1))),
        release=tuple(numbers),
        pre=draw(st.sampled_from((None, None, None, ("a", 1), ("b", 0), ("rc", 1)))),
        post=draw(st.sampled_from((None, None, None, 0, 1))),
        dev=draw(st.sampled_from((None, None, None, 0, 1))),
        local=draw(st.sampled_from(("", "", "", "cu1", "cu.1"))),
    )


@st.composite
def spelled(draw: st.DrawFn, version: Made) -> str:
    """Return one of the many ways PEP 440 lets people write `version`."""
    one_of = lambda *ways: draw(st.sampled_from(ways))  # noqa: E731 - a word for what follows
    numbers = [f"{one_of('', '', '0')}{number}" for number in version.release or (0,)]
    text = one_of("", "", "v", "V") + (f"{version.epoch}!" if version.epoch else one_of("", "", "0!"))
    text += ".".join(numbers + ["0"] * draw(st.integers(0, 2)))
    if version.pre:
        letter, number = version.pre
        names = {"a": ("a", "alpha", "A"), "b": ("b", "beta"), "rc": ("rc", "c", "pre", "preview", "RC")}
        text += one_of("", ".", "-", "_") + one_of(*names[letter])
        text += f"{one_of('', '.', '-', '_')}{number}" if number or draw(st.booleans()) else ""
    if version.post is not None:
        text += one_of(f".post{version.post}", f"-post.{version.post}", f"_r{version.post}", f"rev{version.post}")
    if version.dev is not None:
        text += one_of(f".dev{version.dev}", f"-DEV-{version.dev}", f"dev{version.dev}")
    if version.local:
        text += f"+{version.local.replace('.', one_of('.', '-', '_'))}".replace("cu", one_of("cu", "CU"))
    return text


names = st.sampled_from(("acme-tools", "acme_tools", "Acme.Tools", "ACME-_.TOOLS", "acme__tools", " acme-tools "))
ALL = (Made(release=()), Made(release=(1,)), Made(release=(2,)))


@dataclass(frozen=True)
class Approved:
    """An approval as it is written, and the versions it covers by the second opinion."""

    text: str
    exact: Made | None = None
    low: Made = field(default_factory=Made)
    high: Made = field(default_factory=Made)

    def covers(self, version: Made) -> bool:
        if self.exact is not None:
            return version == self.exact
        return not version.unusual and self.low.place <= version.place < self.high.place


@st.composite
def exact_approvals(draw: st.DrawFn) -> Approved:
    version = draw(made())
    return Approved(f"=={draw(spelled(version))}", exact=version)


@st.composite
def ranges(draw: st.DrawFn) -> Approved:
    low, high = (
        Made(epoch=draw(st.integers(0, 1)), release=draw(st.sampled_from(((), (1,), (1, 1), (2,))))) for _ in "ab"
    )
    text = f">={draw(spelled(low))},<{draw(spelled(high))}"
    return Approved(text, low=low, high=high)


class NewestThatFits:
    """A resolver that takes whatever it sees and the request allows, pre-releases and all: a greedy one."""

    def resolve(
        self,
        request: Request,
        runtime: GlueRuntime,
        index: VisibleIndex,
        preferred: Mapping[ProjectName, Version],
    ) -> Sequence[ResolvedRelease]:
        (item,) = request
        page = index.page(item.project)
        versions = [Version(file.filename.split("-")[1]) for file in page.files] if page else []
        fitting = [one for one in versions if item.specifier.contains(one, prereleases=True)]
        if not fitting:
            raise Unresolvable("nothing fits")
        return [ResolvedRelease(project=item.project, version=max(fitting), wanted_by=())]


def checked(request: Request, rules: Policy, there: Sequence[Made]) -> Checked:
    """Check `request` where the store has `there`."""
    store = FakeIndex({f"acme_tools-{version}-py3-none-any.whl": b"x" for version in there})
    index = AllowedIndex(policy=rules, store=store, approved=FakeIndex(), metadata_reader=FakeMetadata())
    return check(
        request, policy=rules, locks=(), attempt=Resolution(index=index, resolver=NewestThatFits()).attempt
    )


def rules_of(approvals: Sequence[Approved]) -> Policy:
    return policy(*(make_approval("Acme_Tools", one.text, approved_by="us", reason="why") for one in approvals))


@st.composite
def requests(draw: st.DrawFn, of: Sequence[Made]) -> tuple[str, str, Made]:
    """Return a request, its operator and the version it names: often one of `of`."""
    version = draw(st.one_of(st.sampled_from(of), made()) if of else made())
    operator = draw(st.sampled_from(("==", "===", "==*", ">=", "<=", "~=", "!=", ">", "<", "")))
    text = draw(spelled(version))
    written = {"": "", "==*": f"=={text}.*"}.get(operator, f"{operator}{text}")
    return f"{draw(names)}{draw(st.sampled_from(('', ' ')))}{written}", operator, version


@HARD
@given(
    st.data(),
    st.lists(st.one_of(exact_approvals(), ranges()), min_size=1, max_size=3),
    st.lists(made(), max_size=6),
)
def test_what_check_lets_pass_is_covered_by_an_approval(
    data: st.DataObject, approvals: list[Approved], others: list[Made]
) -> None:
    there = sorted({*others, *ALL, *(one.exact for one in approvals if one.exact)}, key=str)
    text, operator, version = data.draw(requests(there))
    try:
        request = parse_request(text)
    except SettingsError:
        event("not a request")
        return
    answer = checked(request, rules_of(approvals), there)
    if answer.lock is None:
        event("refused")
        return
    event(f"passed with {operator or 'no version'}")
    (pin,) = answer.lock.pins
    (chosen,) = (one for one in there if str(one) == str(pin.version))
    assert any(one.covers(chosen) for one in approvals), f"{text} got {chosen}"
    if operator == "==" and version.local == chosen.local:
        assert chosen == version


@HARD
@given(st.data(), st.lists(exact_approvals(), min_size=1, max_size=3))
def test_every_spelling_of_an_approved_version_passes(data: st.DataObject, approvals: list[Approved]) -> None:
    exact = [one.exact for one in approvals if one.exact]
    wanted = data.draw(st.sampled_from(exact))
    request = parse_request(f"{data.draw(names)}=={data.draw(spelled(wanted))}")
    answer = checked(request, rules_of(approvals), exact)
    assert answer.allowed
    # Without a local part one is asked for whatever local part there is: so PEP 440 has it.
    (pin,) = answer.lock.pins if answer.lock else ()
    assert str(pin.version).partition("+")[0] == str(wanted).partition("+")[0]


@HARD
@given(st.data(), made(), made())
def test_no_spelling_of_another_version_passes(data: st.DataObject, approved: Made, other: Made) -> None:
    if str(approved).partition("+")[0] == str(other).partition("+")[0]:
        return
    rules = rules_of([Approved(f"=={data.draw(spelled(approved))}", exact=approved)])
    for operator in ("==", "==="):
        request = parse_request(f"{data.draw(names)}{operator}{data.draw(spelled(other))}")
        answer = checked(request, rules, [approved, other])
        assert not answer.allowed
        assert answer.exit_code == 3


@pytest.mark.parametrize(
    ("request_text", "approved", "expected"),
    [
        ("acme_tools==V1.0.0", "==1", "1"),
        ("Acme.Tools===1", "==1.0", "1"),
        ("acme-tools==1!1", "==1", None),
        ("acme-tools==0!1", "==1", "1"),
        ("acme-tools==1-1", "==1.post1", "1.post1"),
        ("acme-tools==1-1", "==1", None),
        ("acme-tools==1+cu.1", "==1", None),
        ("acme-tools==1+CU-1", "==1+cu.1", "1+cu.1"),
        ("acme-tools==1.*", "==1rc1", "1rc1"),
        ("acme-tools>=1rc1", "==1", "1"),
        ("acme-tools", ">=1,<2", "1.post1"),
        ("acme-tools", ">=1", "1!1"),
        ("acme-tools!=1", "==1", None),
        ("acme-tools<2.dev1", "==2.dev0", "2.dev0"),
    ],
)
def test_spellings_by_hand(request_text: str, approved: str, expected: str | None) -> None:
    there = [
        *(Made(), Made(epoch=1), Made(post=1), Made(local="cu.1"), Made(pre=("rc", 1)), Made(release=(2,), dev=0)),
    ]
    answer = checked(parse_request(request_text), rules_of([Approved(approved)]), there)
    assert (str(answer.lock.pins[0].version) if answer.lock else None) == expected
