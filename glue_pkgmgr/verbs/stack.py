"""Verb: the AWS infrastructure as a CloudFormation stack: what would change, change it, remove it.

Read, plan, act. Every change goes through a change set, and what a caller agrees to is what is then executed. What
was begun goes on in AWS when this process ends: the same verb again waits for its end and does the rest.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from glue_pkgmgr.core.stack_change import (
    MOST_BY_URL,
    MOST_INLINE,
    Condition,
    Note,
    Stack,
    StackChange,
    StackEvent,
    StackResource,
    notes,
)
from glue_pkgmgr.core.stack_failure import Kind, StackFailure, explained, failures, first_failure
from glue_pkgmgr.errors import DeadlineExceeded, NoCapacity, RemoteError, SettingsError
from glue_pkgmgr.ports import (
    BucketService,
    Clock,
    Progress,
    Proposal,
    Proposed,
    ProposedState,
    StackService,
    TemplateStore,
)

BUCKET = "AWS::S3::Bucket"
MOST_COUNTED = 1000
"""Versions of objects that are counted in a bucket: more are told as so many or more."""

_PREFIX = "glue-pkgmgr"
POLL = 2.0
"""Seconds between two looks at a stack of AWS, which throttles who looks more often."""

_DEADLINE = timedelta(hours=2)
_PATIENCE = 120.0  # seconds for which a stack may be out of reach while it is followed
_STILL = 20.0  # seconds without an event after which is told what is waited for
_EMPTYINGS = 3  # of a bucket: access logs may still come into one that was emptied


@dataclass(frozen=True, slots=True, kw_only=True)
class LateObject:
    """An object in a bucket of the stack that its template refers to: by a parameter, which is `value` then.

    A stack whose bucket is not there yet is made without it, and with it in a second change.
    """

    parameter: str
    value: str
    url: str
    content: bytes = field(repr=False)

    @property
    def bucket(self) -> str:
        """The bucket it lies in."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedStack:
    """What a stack is to be: the text of its template, JSON. `staging` is an `s3://…/` URL for large ones.

    `contents` are objects in its buckets, by their `s3://` URLs that name their hash: they are there once it is
    deployed. `samples` are files for its buckets, put only where nothing is. A parameter without a value here
    keeps the one it has, or has its default.
    """

    name: str
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    staging: str | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    samples: Mapping[str, Path] = field(default_factory=dict)
    late: LateObject | None = None

    def complete(self) -> WantedStack:
        """Return it with the late object as any other one."""
        if self.late is None:
            return self
        parameters = {**self.parameters, self.late.parameter: self.late.value}
        contents = {**self.contents, self.late.url: self.late.content}
        return replace(self, parameters=parameters, contents=contents, late=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A stack after a deployment, what was changed in it, and what AWS told about resources that are well."""

    stack: Stack
    change: StackChange
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketToEmpty:
    """A bucket that is removed with what is in it: the versions of its objects, `MOST_COUNTED` or more as that."""

    name: str
    versions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What the removal of a stack removes, what outlives it, and which buckets are emptied for it."""

    stack: str
    removed: tuple[StackResource, ...]
    kept: tuple[StackResource, ...]
    buckets: tuple[BucketToEmpty, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """A stack that is gone, or was not there, and what is left of it.

    `agreed` is False where the caller did not want it after all.
    """

    removal: Removal
    agreed: bool = True


Agree = Callable[[StackChange], bool]
"""Asked before a deployment is begun; False leaves the stack as it is."""

AgreeRemoval = Callable[[Removal], bool]


@dataclass(kw_only=True)
class Stacks:
    """What the verbs ask, and how they wait: `poll` seconds between two looks at a stack, `deadline` at most."""

    service: StackService
    buckets: BucketService
    store: TemplateStore
    clock: Clock
    progress: Progress
    poll: float = POLL
    deadline: timedelta = _DEADLINE
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    # --- what would change

    def diff(self, wanted: WantedStack) -> StackChange:
        """Return what a deployment would change; nothing is changed.

        Raises: SettingsError for a template that cannot be sent; RemoteError, also for a stack in a state in
        which nobody can tell.
        """
        stack = self.service.find(wanted.name)
        if stack is not None and stack.busy:
            raise RemoteError(
                f"stack {wanted.name} is in {stack.status}: another change is under way; ask again when it is done"
            )
        if stack is not None and stack.condition is Condition.NEVER_MADE:
            raise RemoteError(
                f"stack {wanted.name} is in {stack.status}: its creation failed, and nothing of it is there; "
                "`stack deploy` removes what is left and creates it anew"
            )
        creates = self._creates(stack, wanted.name)
        with self._proposal(wanted.complete(), stack, creates=creates) as (_, change):
            return change

    @contextmanager
    def _proposal(
        self, wanted: WantedStack, stack: Stack | None, *, creates: bool
    ) -> Iterator[tuple[str, StackChange]]:
        """Give a change set and what it says; remove it in the end, with a stack that is there for it alone."""
        with self._sent(wanted) as (text, url):
            name = f"{_PREFIX}-{self.clock():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
            change_set = self.service.propose(
                Proposal(
                    stack=wanted.name,
                    name=name,
                    creates=creates,
                    text=text,
                    template_url=url,
                    parameters=_parameters(wanted, None if creates else stack),
                    tags=wanted.tags,
                )
            )
            try:
                found = self._awaited(wanted.name, change_set)
                yield (
                    change_set,
                    StackChange(
                        stack=wanted.name,
                        creates=creates,
                        unchanged=found.state is ProposedState.UNCHANGED,
                        template_bytes=len(text.encode()),
                        resources=found.changes,
                    ),
                )
            finally:
                try:
                    self._forget(wanted.name, change_set)
                except RemoteError as e:  # what was found, or has failed, is worth more than this
                    self.progress(str(e))

    def _awaited(self, stack: str, change_set: str) -> Proposed:
        found = self.service.proposed(change_set)
        end = self.now() + _PATIENCE
        while found.state is ProposedState.PENDING:
            if self.now() > end:
                raise RemoteError(f"CloudFormation does not say what would change in stack {stack}; try again")
            self.sleep(self.poll)
            found = self.service.proposed(change_set)
        if found.state is ProposedState.FAILED:
            raise RemoteError(f"the change of stack {stack} was refused: {found.reason.rstrip('.')}")
        return found

    def _forget(self, name: str, change_set: str) -> None:
        stack = self.service.find(name)
        if stack is None or stack.busy:
            return  # it was executed: CloudFormation removes it then
        self.service.withdraw(change_set)
        if stack.condition is Condition.EMPTY and not self.service.has_proposals(stack.id):
            self.service.delete(stack.id, secrets.token_hex(16))

    @contextmanager
    def _sent(self, wanted: WantedStack) -> Iterator[tuple[str, str]]:
        """Give the template as it is sent: its text, and a URL if it is too large to be sent with a request."""
        text = _text(wanted)
        if len(text.encode()) <= MOST_INLINE:
            yield text, ""
            return
        content = text.encode()
        url = f"{str(wanted.staging).rstrip('/')}/templates/{sha256(content).hexdigest()}.json"
        self.store.put(url, content)
        try:
            yield text, self.store.https(url)
        finally:
            self.store.delete(url)

    def _creates(self, stack: Stack | None, name: str) -> bool:
        """Return whether a stack has to be created. Raises: RemoteError for one that can be neither."""
        match stack.condition if stack else Condition.GONE:
            case Condition.GONE | Condition.EMPTY:
                return True
            case Condition.READY:
                return False
            case _:
                assert stack is not None  # noqa: S101 - one that is not there is GONE
                raise self._stuck(stack, name)

    def _stuck(self, stack: Stack, name: str) -> RemoteError:
        told = f"stack {name} is in {stack.status}"
        if stack.condition is None:
            return RemoteError(f"{told}, which this version does not know; look at it in the AWS console")
        left = [one for one in self.service.resources(stack.id) if one.exists and one.status.endswith("_FAILED")]
        names = ", ".join(f"{one.logical_id} ({one.physical_id or one.type})" for one in left)
        what = f": {names}" if names else ""
        if stack.condition is Condition.HALF_ROLLED_BACK:
            return RemoteError(
                f"{told}: an earlier change could not be undone{what}; `stack deploy` tries that again first"
            )
        return RemoteError(
            f"{told}: resources are left that could not be made or removed{what}; `stack destroy` first"
        )

    # --- change it

    def deploy(self, wanted: WantedStack, agree: Agree) -> Deployed | None:
        """Make the stack what is wanted, and return it; None if `agree` says no.

        A change under way is waited for first. A stack whose creation failed is removed and made anew; a rollback
        that failed is continued. A creation that fails leaves nothing behind.

        Raises: SettingsError for a template that cannot be sent; NoCapacity at a quota; RemoteError with the first
        cause; DeadlineExceeded.
        """
        _text(wanted)
        stack = self._mended(self._settled(wanted.name), wanted.name)
        late = wanted.late
        if late is None or self.buckets.count(late.bucket, 1) is not None:
            return self._deployed(wanted.complete(), stack, agree)
        first = self._deployed(replace(wanted, late=None), stack, agree)
        if first is None:
            return None
        self.progress(f"what needs {late.url} comes with a second change")
        second = self._deployed(wanted.complete(), first.stack, agree)
        return first if second is None else _both(first, second)

    def _deployed(self, wanted: WantedStack, stack: Stack | None, agree: Agree) -> Deployed | None:
        with self._proposal(wanted, stack, creates=self._creates(stack, wanted.name)) as (change_set, change):
            if change.unchanged:
                assert stack is not None  # noqa: S101 - one that is created is changed
                self._fill(wanted)
                return Deployed(stack=stack, change=change)
            if not agree(change):
                return None
            self._fill(wanted)  # what is referred to has to be there before
            found = self.service.find(wanted.name)
            if found is None:
                raise RemoteError(f"stack {wanted.name} was removed meanwhile; deploy again")
            seen = self.service.last_event(found.id)
            self.service.execute(wanted.name, change_set, secrets.token_hex(16))
        events: list[StackEvent] = []
        done = self._followed(found.id, seen, events, total=len(change.resources))
        if not done.deployed:
            raise self._failure(done, events, creates=change.creates)
        self._fill(wanted)
        return Deployed(stack=done, change=change, notes=notes(tuple(events)))

    def _fill(self, wanted: WantedStack) -> None:
        """Put into the buckets of the stack that are there what is to lie in them."""
        buckets = {urlsplit(url).netloc for url in (*wanted.contents, *wanted.samples)}
        there = {bucket for bucket in buckets if self.buckets.count(bucket, 1) is not None}
        for url, content in wanted.contents.items():
            # Equal names and sizes are equal bytes: a name has the hash in it.
            if urlsplit(url).netloc in there and self.store.size(url) != len(content):
                self.store.put(url, content)
                self.progress(f"put {url}")
        for url, path in wanted.samples.items():
            if urlsplit(url).netloc in there and self.store.size(url) is None:
                self.store.put_file(url, path)
                self.progress(f"put {url}")

    def _settled(self, name: str) -> Stack | None:
        """Return the stack when nothing is being done to it any more; None if there is none."""
        stack = self.service.find(name)
        if stack is None or not stack.busy:
            return stack
        self.progress(f"stack {name} is in {stack.status}: waiting for the end of a change that is under way")
        return self._gone_as_none(self._followed(stack.id, self.service.last_event(stack.id), []))

    def _mended(self, stack: Stack | None, name: str) -> Stack | None:
        """Return the stack in a state in which it can be changed; None if it has to be made."""
        match stack.condition if stack else None:
            case Condition.NEVER_MADE:
                assert stack is not None  # noqa: S101 - it has a condition
                self.progress(f"stack {name} is in {stack.status}: removing what is left of it")
                return self._gone_as_none(self._operated(stack, self.service.delete, Condition.GONE))
            case Condition.HALF_ROLLED_BACK:
                assert stack is not None  # noqa: S101 - it has a condition
                self.progress(f"stack {name} is in {stack.status}: undoing the change that failed")
                return self._operated(stack, self.service.continue_rollback, Condition.READY)
            case _:
                return stack

    def _operated(self, stack: Stack, operate: Callable[[str, str], None], wanted: Condition) -> Stack:
        """Begin an operation on a stack, follow it to its end, and return the stack.

        Raises: RemoteError where it is not in the `wanted` condition then.
        """
        seen, events = self.service.last_event(stack.id), list[StackEvent]()
        operate(stack.id, secrets.token_hex(16))
        done = self._followed(stack.id, seen, events)
        if done.condition is not wanted:
            raise self._failure(done, events, creates=False)
        return done

    def _gone_as_none(self, stack: Stack) -> Stack | None:
        return None if stack.condition is Condition.GONE else stack

    # --- remove it

    def destroy(self, name: str, agree: AgreeRemoval) -> Destroyed:
        """Remove the stack, its buckets with all that is in them, and return what that was and what outlives it.

        Raises: RemoteError naming every resource that could not be removed; DeadlineExceeded.
        """
        stack = self._settled(name)
        if stack is None:
            return Destroyed(removal=Removal(stack=name, removed=(), kept=(), buckets=()))
        if stack.protected:
            raise RemoteError(
                f"stack {name} is protected against removal; end that first: aws cloudformation "
                f"update-termination-protection --no-enable-termination-protection --stack-name {name}"
            )
        removal = self._removal(stack)
        if (removal.removed or removal.kept) and not agree(removal):
            return Destroyed(removal=removal, agreed=False)
        self._remove(stack, removal)
        return Destroyed(removal=removal)

    def _removal(self, stack: Stack) -> Removal:
        there = [one for one in self.service.resources(stack.id) if one.exists]
        removed = tuple(one for one in there if not one.kept)
        counted = [(one, self._versions(one)) for one in removed if one.type == BUCKET]
        return Removal(
            stack=stack.name,
            removed=removed,
            kept=tuple(one for one in there if one.kept),
            buckets=tuple(
                BucketToEmpty(name=str(one.physical_id), versions=versions)
                for one, versions in counted
                if versions is not None
            ),
        )

    def _versions(self, resource: StackResource) -> int | None:
        return self.buckets.count(str(resource.physical_id), MOST_COUNTED)

    def _remove(self, stack: Stack, removal: Removal) -> None:
        for attempt in range(1, _EMPTYINGS + 1):
            for bucket in removal.buckets:
                if removed := self.buckets.empty(bucket.name):
                    self.progress(f"removed {removed} versions of objects from {bucket.name}")
            events: list[StackEvent] = []
            seen = self.service.last_event(stack.id)
            self.service.delete(stack.id, secrets.token_hex(16))
            done = self._followed(stack.id, seen, events, total=len(removal.removed))
            if done.condition is Condition.GONE:
                return
            causes = failures(events)
            refilled = bool(causes) and all(one.kind is Kind.NOT_EMPTY for one in causes)
            if not refilled or attempt == _EMPTYINGS:
                raise _not_removed(done, causes)

    # --- what is followed

    def _followed(self, stack: str, seen: str | None, events: list[StackEvent], total: int = 0) -> Stack:
        """Tell what happens to a stack until nothing is done to it any more; return it. `events` is filled."""
        following = _Following(self.progress, total)
        start = reached = self.now()
        while True:
            try:
                # The stack first: what is told of it has its events by then.
                found = self.service.find(stack)
                new = self.service.events(stack, seen)
                reached = self.now()
            except RemoteError as e:
                if self.now() - reached > _PATIENCE:
                    raise RemoteError(f"{e}; what was begun goes on: the same verb again waits for its end") from e
                found, new = None, []
            for event in new:
                seen = event.id
                events.append(event)
                following.tell(event, self.now())
            if found is not None and not found.busy:
                return found
            if self.now() - start > self.deadline.total_seconds():
                raise DeadlineExceeded(
                    f"stack {stack} is still in {found.status if found else 'an unknown state'} after "
                    f"{self.deadline}; it goes on: the same verb again waits for its end"
                )
            following.still(self.now())
            self.sleep(self.poll)

    def _failure(self, stack: Stack, events: Sequence[StackEvent], *, creates: bool) -> RemoteError | NoCapacity:
        cause = first_failure(events)
        word = "created" if creates else "changed"
        why = cause.sentence if cause else stack.reason.rstrip(". ") or "no reason given"
        told = f"stack {stack.name} was not {word}: {why}; {self._outcome(stack)}"
        return NoCapacity(told) if cause and cause.kind is Kind.LIMIT else RemoteError(told)

    def _outcome(self, stack: Stack) -> str:
        """Return what has become of the rest."""
        match stack.condition:
            case Condition.GONE | Condition.NEVER_MADE:
                left = self._left_behind(stack)
                return f"left behind: {left}" if left else "what was made before is removed again"
            case Condition.READY:
                return "everything is as it was before"
            case Condition.HALF_ROLLED_BACK:
                return "not everything could be undone: `stack deploy` tries that again"
            case _:
                return f"it is in {stack.status} now; `stack destroy` removes what is left"

    def _left_behind(self, stack: Stack) -> str:
        skipped = [one for one in self.service.resources(stack.id) if one.status == "DELETE_SKIPPED"]
        # A reason says that it was not made by the stack.
        found = [one for one in skipped if one.exists and not one.reason]
        return ", ".join(f"{one.physical_id} ({one.type})" for one in found)


@dataclass(slots=True)
class _Following:
    """Tells the events of an operation, and what is waited for when there are none for long."""

    progress: Progress
    total: int
    told_at: float | None = None
    under_way: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def tell(self, event: StackEvent, now: float) -> None:
        self.told_at = now
        if not event.ends:
            if event.of_stack:
                self.progress(f"{event.status}{_because(event)}")
            else:
                self.under_way[event.logical_id] = event.type
            return
        self.under_way.pop(event.logical_id, None)
        if event.of_stack:
            self.progress(event.status)
            return
        self.done.add(event.logical_id)
        self.total = 0 if event.failed else self.total  # from then on things are undone
        count = f"{min(len(self.done), self.total)}/{self.total} " if self.total else ""
        name = f" {event.physical_id}" if event.physical_id else ""
        self.progress(f"{count}{event.status} {event.logical_id} ({event.type}{name}){_because(event)}")

    def still(self, now: float) -> None:
        self.told_at = now if self.told_at is None else self.told_at
        if self.under_way and now - self.told_at > _STILL:
            self.told_at = now
            names = ", ".join(f"{name} ({kind})" for name, kind in self.under_way.items())
            self.progress(f"waiting for {names}")


def _because(event: StackEvent) -> str:
    reason = explained(event).message if event.failed else event.reason.strip()
    return f": {reason}" if reason and reason != "User Initiated" else ""


def _not_removed(stack: Stack, causes: Sequence[StackFailure]) -> RemoteError:
    why = "; ".join(one.sentence for one in causes) or stack.reason.rstrip(". ") or "no reason given"
    return RemoteError(
        f"stack {stack.name} was not removed, it is in {stack.status}: {why}; `stack destroy` again goes on"
    )


def _text(wanted: WantedStack) -> str:
    """Return the template as it is sent: as it is if that fits into a request, else without needless space.

    Raises: SettingsError for one that is no JSON, or too large.
    """
    try:
        content = json.loads(wanted.template)
    except ValueError as e:
        raise SettingsError(f"the template of stack {wanted.name} is not JSON: {e}") from e
    if len(wanted.template.encode()) <= MOST_INLINE:
        return wanted.template
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode())
    if size > MOST_BY_URL:
        raise SettingsError(
            f"the template of stack {wanted.name} has {size} bytes, CloudFormation takes {MOST_BY_URL} at most; "
            "make it smaller: fewer jobs in one stack"
        )
    if size > MOST_INLINE and not wanted.staging:
        raise SettingsError(
            f"the template of stack {wanted.name} has {size} bytes, and more than {MOST_INLINE} have to lie in S3 "
            "for CloudFormation; name a place with --staging s3://BUCKET/PREFIX/"
        )
    return text


def _parameters(wanted: WantedStack, stack: Stack | None) -> dict[str, str | None]:
    """Return the parameters of a change: those that are given; others that the stack has keep their values."""
    declared = json.loads(wanted.template).get("Parameters", {})
    kept = {name: None for name in declared if stack is not None and name in stack.parameters}
    return {**kept, **wanted.parameters}


def _both(first: Deployed, second: Deployed) -> Deployed:
    """Return two deployments of one stack, one after the other, as one."""
    change = replace(
        second.change,
        creates=first.change.creates,
        unchanged=first.change.unchanged and second.change.unchanged,
        resources=first.change.resources + second.change.resources,
    )
    return Deployed(stack=second.stack, change=change, notes=first.notes + second.notes)


def nothing_destroyed(change: StackChange) -> bool:
    """Agree to what removes and replaces nothing. Raises: SettingsError for the rest."""
    if change.destroyed:
        names = ", ".join(f"{one.logical_id} ({one.type} {one.physical_id})" for one in change.destroyed)
        raise SettingsError(
            f"stack {change.stack} was not changed, as that would remove or replace {names}; agree to it to have "
            "it done"
        )
    return True


def anything(change: StackChange | Removal) -> bool:
    """Agree to everything."""
    return True
