"""A stack is read, the change agreed to and made: whatever state it is in, and whatever comes between."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.core.stack_change import Action, ResourceChange, Stack, StackEvent, StackResource
from glue_pkgmgr.errors import DeadlineExceeded, GluePkgmgrError, NoCapacity, RemoteError, SettingsError
from glue_pkgmgr.ports import ChangedMeanwhile, Proposal, Proposed, ProposedState
from glue_pkgmgr.verbs.stack import (
    BucketToEmpty,
    LateObject,
    Removal,
    Stacks,
    WantedStack,
    anything,
    nothing_destroyed,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TEMPLATE = '{"Resources": {}}'
WANTED = WantedStack(name="taxi", template=TEMPLATE)
ADD = ResourceChange(action=Action.ADD, logical_id="B", type="AWS::S3::Bucket")
REPLACE = ResourceChange(action=Action.REPLACE, logical_id="D", type="AWS::CodeArtifact::Domain", physical_id="d")


@dataclass
class FakeStacks:
    """A stack service whose one stack goes through the given states, one a look, once something was begun.

    `calls` are those that change something. `fails` has what a look raises, in order; None is nothing.
    """

    stack: Stack | None = None
    changes: tuple[ResourceChange, ...] = (ADD,)
    proposal: Proposed | None = None
    others: bool = False  # somebody else's change sets
    states: dict[str, list[str]] = field(default_factory=dict)
    happened: list[StackEvent] = field(default_factory=list)
    there: list[StackResource] = field(default_factory=list)
    fails: list[GluePkgmgrError | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    refuses_to_execute: bool = False

    def find(self, stack: str) -> Stack | None:
        if self.fails and (failure := self.fails.pop(0)):
            raise failure
        if self.stack and self.ahead:
            status = self.ahead.pop(0)
            self.stack = replace(self.stack, status=status)
            self._tell("taxi", status, of_stack=True)
        if self.stack and self.stack.status == "DELETE_COMPLETE" and stack == self.stack.name:
            return None
        return self.stack

    def _tell(self, logical: str, status: str, reason: str = "", *, of_stack: bool = False) -> None:
        self.happened.append(
            StackEvent(
                id=str(len(self.happened)),
                at=NOW,
                logical_id=logical,
                type="AWS::S3::Bucket",
                status=status,
                reason=reason,
                of_stack=of_stack,
            )
        )

    def resources(self, stack: str) -> Sequence[StackResource]:
        return self.there

    def propose(self, proposal: Proposal) -> str:
        self.proposals.append(proposal)
        self.calls.append("propose")
        if self.stack is None or self.stack.status == "DELETE_COMPLETE":
            self.stack = Stack(name="taxi", id="arn:taxi", status="REVIEW_IN_PROGRESS")
        return "set"

    def proposed(self, change_set: str) -> Proposed:
        return self.proposal or Proposed(state=ProposedState.READY, changes=self.changes)

    def withdraw(self, change_set: str) -> None:
        self.calls.append("withdraw")

    def has_proposals(self, stack: str) -> bool:
        return self.others

    def execute(self, stack: str, change_set: str, token: str) -> None:
        if self.refuses_to_execute:
            raise ChangedMeanwhile("somebody else")
        self._begin("execute")

    def delete(self, stack: str, token: str) -> None:
        self._begin("delete")

    def continue_rollback(self, stack: str, token: str) -> None:
        self._begin("continue")

    def _begin(self, what: str) -> None:
        self.calls.append(what)
        self.ahead = list(self.states.get(what, {"delete": ["DELETE_COMPLETE"]}.get(what, ["CREATE_COMPLETE"])))
        assert self.stack is not None
        self.stack = replace(self.stack, status="SOMETHING_IN_PROGRESS")

    def last_event(self, stack: str) -> str | None:
        return self.happened[-1].id if self.happened else None

    def events(self, stack: str, after: str | None) -> Sequence[StackEvent]:
        start = 0 if after is None else int(after) + 1
        return self.happened[start:]


@dataclass
class FakeBuckets:
    """Buckets with a number of versions each."""

    held: dict[str, int] = field(default_factory=dict)
    emptied: list[str] = field(default_factory=list)
    comes: str = ""  # a bucket that is there from the second look on
    looks: int = 0

    def count(self, bucket: str, most: int) -> int | None:
        self.looks += 1
        if bucket == self.comes and self.looks > 1:
            return 0
        return min(self.held[bucket], most) if bucket in self.held else None

    def empty(self, bucket: str) -> int:
        self.emptied.append(bucket)
        return self.held.get(bucket, 0)


@dataclass
class FakeStore:
    held: dict[str, bytes] = field(default_factory=dict)
    read: list[bytes] = field(default_factory=list)

    def put(self, url: str, content: bytes) -> None:
        self.held[url] = content

    def put_file(self, url: str, path: Path) -> None:
        self.held[url] = path.read_bytes()

    def delete(self, url: str) -> None:
        self.read.append(self.held.pop(url))

    def size(self, url: str) -> int | None:
        return len(self.held[url]) if url in self.held else None

    def https(self, url: str) -> str:
        return url.replace("s3://", "https://s3/")


@dataclass
class World:
    service: FakeStacks = field(default_factory=FakeStacks)
    buckets: FakeBuckets = field(default_factory=FakeBuckets)
    store: FakeStore = field(default_factory=FakeStore)
    told: list[str] = field(default_factory=list)
    time: float = 0.0

    @property
    def stacks(self) -> Stacks:
        def sleep(seconds: float) -> None:
            self.time += seconds

        return Stacks(
            service=self.service,
            buckets=self.buckets,
            store=self.store,
            clock=lambda: NOW,
            progress=self.told.append,
            deadline=timedelta(minutes=10),
            now=lambda: self.time,
            sleep=sleep,
        )


def stack(status: str, **more: bool) -> Stack:
    return Stack(name="taxi", id="arn:taxi", status=status, **more)


@pytest.fixture
def world() -> World:
    return World()


def test_a_look_at_a_stack_that_is_not_there_leaves_none(world: World) -> None:
    change = world.stacks.diff(WANTED)
    assert (change.creates, change.resources, change.template_bytes) == (True, (ADD,), len(TEMPLATE))
    assert world.service.calls == ["propose", "withdraw", "delete"]


def test_a_look_leaves_the_change_sets_of_others(world: World) -> None:
    world.service.others = True
    world.stacks.diff(WANTED)
    assert "delete" not in world.service.calls


def test_a_look_at_a_stack_that_is_there_removes_only_its_change_set(world: World) -> None:
    world.service.stack = stack("CREATE_COMPLETE")
    assert world.stacks.diff(WANTED).creates is False
    assert world.service.calls == ["propose", "withdraw"]


def test_a_change_set_that_was_refused_is_removed_and_told(world: World) -> None:
    world.service.proposal = Proposed(state=ProposedState.FAILED, reason="Circular dependency.")
    with pytest.raises(RemoteError, match=r"refused: Circular dependency$"):
        world.stacks.diff(WANTED)
    assert world.service.calls[1:] == ["withdraw", "delete"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("UPDATE_IN_PROGRESS", "another change is under way"),
        ("ROLLBACK_COMPLETE", "`stack deploy` removes what is left and creates it anew"),
        ("UPDATE_ROLLBACK_FAILED", "an earlier change could not be undone: J \\(the-job\\)"),
        ("DELETE_FAILED", "`stack destroy` first"),
        ("ROLLBACK_FAILED", "`stack destroy` first"),
        ("NEWLY_INVENTED", "this version does not know"),
    ],
)
def test_a_look_says_of_a_stuck_stack_what_to_do(world: World, status: str, told: str) -> None:
    world.service.stack = stack(status)
    world.service.there = [
        StackResource(logical_id="J", type="AWS::Glue::Job", status="UPDATE_FAILED", physical_id="the-job")
    ]
    with pytest.raises(RemoteError, match=told):
        world.stacks.diff(WANTED)
    assert world.service.calls == []


def test_a_deployment_does_what_was_agreed_to_and_tells_it(world: World) -> None:
    seen = []
    done = world.stacks.deploy(WANTED, lambda change: not seen.append(change))
    assert done is not None
    assert (done.stack.status, [one.resources for one in seen]) == ("CREATE_COMPLETE", [(ADD,)])
    assert world.service.calls == ["propose", "execute", "withdraw"]
    assert world.told == ["CREATE_COMPLETE"]


def test_nothing_to_do_is_not_asked_about(world: World) -> None:
    world.service.stack = stack("UPDATE_COMPLETE")
    world.service.proposal = Proposed(state=ProposedState.UNCHANGED)
    done = world.stacks.deploy(WANTED, lambda _: pytest.fail("asked"))
    assert done is not None
    assert done.change.unchanged
    assert "execute" not in world.service.calls


def test_without_agreement_nothing_is_done_and_nothing_left(world: World) -> None:
    assert world.stacks.deploy(WANTED, lambda _: False) is None
    assert world.service.calls == ["propose", "withdraw", "delete"]


def test_a_loss_is_not_agreed_to_unasked(world: World) -> None:
    world.service.stack, world.service.changes = stack("CREATE_COMPLETE"), (ADD, REPLACE)
    with pytest.raises(SettingsError, match=r"replace D \(AWS::CodeArtifact::Domain d\)"):
        world.stacks.deploy(WANTED, nothing_destroyed)
    assert world.service.calls == ["propose", "withdraw"]


@pytest.mark.parametrize("end", ["CREATE_COMPLETE", "DELETE_COMPLETE"])
def test_a_change_under_way_is_waited_for(world: World, end: str) -> None:
    world.service.stack = stack("CREATE_IN_PROGRESS")
    world.service.ahead = ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", end]
    done = world.stacks.deploy(WANTED, anything)
    assert done is not None
    assert world.service.proposals[0].creates is (end == "DELETE_COMPLETE")
    assert "waiting for the end" in world.told[0]


def test_a_stack_that_was_never_made_is_removed_and_made_anew(world: World) -> None:
    world.service.stack = stack("ROLLBACK_COMPLETE")
    assert world.stacks.deploy(WANTED, anything) is not None
    assert world.service.calls == ["delete", "propose", "execute", "withdraw"]
    assert world.service.proposals[0].creates


def test_a_stack_that_was_only_looked_at_is_created(world: World) -> None:
    world.service.stack = stack("REVIEW_IN_PROGRESS")
    world.service.others = True
    assert world.stacks.deploy(WANTED, anything) is not None
    assert world.service.proposals[0].creates
    assert "delete" not in world.service.calls


def test_a_rollback_that_failed_is_continued_before_anything_else(world: World) -> None:
    world.service.stack = stack("UPDATE_ROLLBACK_FAILED")
    world.service.states["continue"] = ["UPDATE_ROLLBACK_COMPLETE"]
    world.service.states["execute"] = ["UPDATE_COMPLETE"]
    assert world.stacks.deploy(WANTED, anything) is not None
    assert world.service.calls == ["continue", "propose", "execute", "withdraw"]


def test_a_rollback_that_fails_again_is_told(world: World) -> None:
    world.service.stack = stack("UPDATE_ROLLBACK_FAILED")
    world.service.states["continue"] = ["UPDATE_ROLLBACK_FAILED"]
    with pytest.raises(RemoteError, match="not everything could be undone"):
        world.stacks.deploy(WANTED, anything)
    assert world.service.calls == ["continue"]


def failing(world: World, reason: str, *ends: str) -> None:
    begin = world.service._begin

    def fail(what: str) -> None:
        begin(what)
        world.service._tell("B", "CREATE_FAILED", reason)

    world.service._begin = fail  # type: ignore[method-assign]
    world.service.states["execute"] = list(ends)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("DELETE_COMPLETE", "what was made before is removed again"),
        ("UPDATE_ROLLBACK_COMPLETE", "everything is as it was before"),
        ("DELETE_FAILED", "`stack destroy` removes what is left"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_what_became_of_the_rest(
    world: World, end: str, outcome: str
) -> None:
    failing(world, "the bucket already exists", "CREATE_FAILED_IN_PROGRESS", end)
    with pytest.raises(RemoteError, match=rf"the bucket already exists; it belongs.*; .*{outcome}"):
        world.stacks.deploy(WANTED, anything)
    assert "CREATE_FAILED B (AWS::S3::Bucket): the bucket already exists" in world.told


def test_what_a_failed_creation_leaves_is_named(world: World) -> None:
    failing(world, "no", "DELETE_COMPLETE")
    world.service.there = [
        StackResource(logical_id="K", type="AWS::KMS::Key", status="DELETE_SKIPPED", physical_id="the-key")
    ]
    with pytest.raises(RemoteError, match=r"left behind: the-key \(AWS::KMS::Key\)"):
        world.stacks.deploy(WANTED, anything)


def test_a_quota_has_its_own_exit_status(world: World) -> None:
    failing(world, "The maximum number of VPCs has been reached", "DELETE_COMPLETE")
    with pytest.raises(NoCapacity, match="Service Quotas"):
        world.stacks.deploy(WANTED, anything)


def test_another_change_that_came_first_is_told_and_left_alone(world: World) -> None:
    world.service.stack = stack("CREATE_COMPLETE")
    world.service.refuses_to_execute = True
    with pytest.raises(ChangedMeanwhile):
        world.stacks.deploy(WANTED, anything)
    assert world.service.calls == ["propose", "withdraw"]


def test_a_stack_may_be_out_of_reach_for_a_while(world: World) -> None:
    world.service.stack = stack("CREATE_COMPLETE")
    world.service.states["execute"] = ["UPDATE_COMPLETE"]
    world.service.fails = [None, None, None, *[RemoteError("no answer")] * 20]
    assert world.stacks.deploy(WANTED, anything) is not None


def test_a_stack_out_of_reach_for_long_is_given_up_and_goes_on(world: World) -> None:
    world.service.stack = stack("CREATE_COMPLETE")
    world.service.fails = [None, None, None, *[RemoteError("no answer")] * 500]
    with pytest.raises(RemoteError, match="no answer; what was begun goes on"):
        world.stacks.deploy(WANTED, anything)


def test_a_deadline_ends_the_wait_not_the_change(world: World) -> None:
    world.service.states["execute"] = ["CREATE_IN_PROGRESS"] * 1000
    with pytest.raises(DeadlineExceeded, match="it goes on"):
        world.stacks.deploy(WANTED, anything)


def test_what_takes_long_is_told(world: World) -> None:
    world.service.states["execute"] = ["CREATE_IN_PROGRESS"] * 15 + ["CREATE_COMPLETE"]
    begin = world.service._begin

    def slow(what: str) -> None:
        begin(what)
        world.service._tell("Endpoint", "CREATE_IN_PROGRESS")

    world.service._begin = slow  # type: ignore[method-assign]
    world.service.ahead = []
    world.service.find = quiet(world.service.find, world.service)  # type: ignore[method-assign]
    world.stacks.deploy(WANTED, anything)
    assert "waiting for Endpoint (AWS::S3::Bucket)" in world.told


def quiet(find: Callable[[str], Stack | None], service: FakeStacks) -> Callable[[str], Stack | None]:
    """Return `find` so that the stack itself tells nothing but its end."""

    def look(name: str) -> Stack | None:
        found = find(name)
        if service.happened and service.happened[-1].of_stack and service.happened[-1].status.endswith("PROGRESS"):
            service.happened.pop()
        return found

    return look


# --- templates


@pytest.mark.parametrize("template", ["Resources:\n  A: b\n", ""])
def test_what_is_no_json_is_refused_before_anybody_is_asked(world: World, template: str) -> None:
    with pytest.raises(SettingsError, match="is not JSON"):
        world.stacks.deploy(replace(WANTED, template=template), anything)
    assert world.service.calls == []


def large(size: int) -> str:
    return json.dumps({"Resources": {}, "Description": "x" * size}, indent=60)


def test_a_template_that_fits_without_space_is_sent_so(world: World) -> None:
    world.stacks.diff(
        replace(WANTED, template=json.dumps({"Resources": {str(n): {} for n in range(1500)}}, indent=60))
    )
    [sent] = world.service.proposals
    assert (sent.template_url, len(sent.text) < 51_200, " " in sent.text) == ("", True, False)


def test_a_larger_one_needs_a_place_in_s3(world: World) -> None:
    with pytest.raises(SettingsError, match=r"60033 bytes.*--staging"):
        world.stacks.diff(replace(WANTED, template=large(60_000)))
    assert world.service.calls == []


def test_a_larger_one_goes_through_s3_and_is_removed_there(world: World) -> None:
    world.stacks.diff(replace(WANTED, template=large(60_000), staging="s3://b/p/"))
    [sent] = world.service.proposals
    assert sent.template_url.startswith("https://s3/b/p/templates/")
    assert (world.store.held, world.store.read) == ({}, [sent.text.encode()])


def test_one_that_no_stack_may_have_is_refused(world: World) -> None:
    with pytest.raises(SettingsError, match="1048576 at most"):
        world.stacks.diff(replace(WANTED, template=large(1_100_000), staging="s3://b/p/"))


# --- what lies in the buckets of a stack

ZIP = LateObject(parameter="Archive", value="ab.zip", url="s3://code/functions/ab.zip", content=b"zip")
WITH_ZIP = replace(WANTED, late=ZIP, template='{"Resources": {}, "Parameters": {"Archive": {}, "Other": {}}}')


def test_a_new_stack_gets_what_needs_its_bucket_in_a_second_change(world: World) -> None:
    world.buckets.comes = "code"
    done = world.stacks.deploy(WITH_ZIP, anything)
    assert done is not None
    assert [one.parameters for one in world.service.proposals] == [{}, {"Archive": "ab.zip"}]
    assert (done.change.creates, done.change.resources) == (True, (ADD, ADD))
    assert world.store.held == {ZIP.url: b"zip"}
    assert [call for call in world.service.calls if call == "execute"] == ["execute"] * 2


def test_a_bucket_that_is_there_gets_it_at_once(world: World) -> None:
    world.service.stack = replace(stack("CREATE_COMPLETE"), parameters={"Archive": "old.zip", "Other": "kept"})
    world.buckets.held = {"code": 1}
    world.service.states["execute"] = ["UPDATE_COMPLETE"]
    world.stacks.deploy(WITH_ZIP, lambda _: not world.store.held)
    assert [one.parameters for one in world.service.proposals] == [{"Archive": "ab.zip", "Other": None}]
    assert world.store.held == {ZIP.url: b"zip"}


def test_a_look_is_at_the_whole_and_puts_nothing_anywhere(world: World) -> None:
    world.stacks.diff(WITH_ZIP)
    assert [one.parameters for one in world.service.proposals] == [{"Archive": "ab.zip"}]
    assert world.store.held == {}


def test_contents_are_put_once_and_only_into_buckets_that_are_there(world: World) -> None:
    world.service.stack, world.buckets.held = stack("CREATE_COMPLETE"), {"b": 0}
    world.service.proposal = Proposed(state=ProposedState.UNCHANGED)
    wanted = replace(WANTED, contents={"s3://b/x": b"1", "s3://elsewhere/y": b"2"})
    for _ in range(2):
        world.stacks.deploy(wanted, anything)
    assert world.told == ["put s3://b/x"]


def test_sample_data_takes_the_place_of_nothing(world: World, tmp_path: Path) -> None:
    world.service.stack, world.buckets.held = stack("CREATE_COMPLETE"), {"b": 1}
    world.service.proposal = Proposed(state=ProposedState.UNCHANGED)
    world.store.held["s3://b/theirs.csv"] = b"real"
    (tmp_path / "trips.csv").write_bytes(b"made up")
    samples = dict.fromkeys(("s3://b/ours.csv", "s3://b/theirs.csv", "s3://c/none.csv"), tmp_path / "trips.csv")
    world.stacks.deploy(replace(WANTED, samples=samples), anything)
    assert world.store.held == {"s3://b/ours.csv": b"made up", "s3://b/theirs.csv": b"real"}


# --- removal


def resource(logical: str, kind: str = "AWS::S3::Bucket", **more: object) -> StackResource:
    return replace(
        StackResource(logical_id=logical, type=kind, status="CREATE_COMPLETE", physical_id=f"the-{logical}"),
        **more,  # type: ignore[arg-type]
    )


def test_a_removal_names_what_goes_and_what_stays_and_empties_its_buckets(world: World) -> None:
    world.service.stack = stack("CREATE_COMPLETE")
    job, bucket, kept = resource("J", "AWS::Glue::Job"), resource("B"), resource("K", kept=True)
    world.service.there = [job, bucket, kept, resource("gone", status="DELETE_COMPLETE")]
    world.buckets.held = {"the-B": 5000, "the-K": 7}
    asked: list[Removal] = []
    done = world.stacks.destroy("taxi", lambda removal: not asked.append(removal))
    expected = Removal(
        stack="taxi", removed=(job, bucket), kept=(kept,), buckets=(BucketToEmpty(name="the-B", versions=1000),)
    )
    assert (asked, done.removal) == ([expected], expected)
    assert (world.buckets.emptied, world.service.calls) == (["the-B"], ["delete"])


def test_a_removal_nobody_agreed_to_empties_nothing(world: World) -> None:
    world.service.stack, world.service.there = stack("CREATE_COMPLETE"), [resource("B")]
    world.buckets.held = {"the-B": 1}
    assert world.stacks.destroy("taxi", lambda _: False).agreed is False
    assert (world.buckets.emptied, world.service.calls) == ([], [])


def test_what_is_not_there_is_removed_without_a_word(world: World) -> None:
    assert world.stacks.destroy("taxi", lambda _: pytest.fail("asked")).removal.removed == ()


def test_a_stack_without_resources_is_removed_without_a_question(world: World) -> None:
    world.service.stack = stack("REVIEW_IN_PROGRESS")
    world.stacks.destroy("taxi", lambda _: pytest.fail("asked"))
    assert world.service.calls == ["delete"]


def test_a_protected_stack_is_not_touched(world: World) -> None:
    world.service.stack, world.service.there = stack("CREATE_COMPLETE", protected=True), [resource("B")]
    with pytest.raises(RemoteError, match="no-enable-termination-protection"):
        world.stacks.destroy("taxi", anything)
    assert (world.buckets.emptied, world.service.calls) == ([], [])


@pytest.mark.parametrize(("refills", "removed"), [(1, True), (9, False)])
def test_a_bucket_that_fills_again_is_emptied_again_but_not_for_ever(
    world: World, refills: int, removed: bool
) -> None:
    world.service.stack, world.service.there = stack("CREATE_COMPLETE"), [resource("B")]
    world.buckets.held = {"the-B": 1}
    begin, tries = world.service._begin, iter(range(100))

    def refill(what: str) -> None:
        fails = next(tries) < refills
        world.service.states["delete"] = ["DELETE_FAILED" if fails else "DELETE_COMPLETE"]
        begin(what)
        if fails:
            world.service._tell("B", "DELETE_FAILED", "The bucket you tried to delete is not empty")

    world.service._begin = refill  # type: ignore[method-assign]
    if removed:
        world.stacks.destroy("taxi", anything)
    else:
        with pytest.raises(
            RemoteError, match=r"was not removed.*not empty; empty the bucket.*`stack destroy` again"
        ):
            world.stacks.destroy("taxi", anything)
    assert len(world.buckets.emptied) == (2 if removed else 3)
