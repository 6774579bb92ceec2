"""Pages that are read before anybody asks for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.request import parse_request
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.errors import IndexAccessError
from glue_pkgmgr.ports import PackageIndex
from glue_pkgmgr.verbs.allowed_index import AllowedIndex
from glue_pkgmgr.verbs.resolve import Resolution
from tests.fakes import FakeIndex, FakeMetadata
from tests.unit.verbs.locks import lock, pin, policy
from tests.unit.verbs.test_resolve import ChoosingResolver

ACME, DEP = project_name("acme"), project_name("dep")
LONGEST = 20.0  # seconds that anything here may take


@dataclass
class GatedIndex:
    """An index that answers nobody before its gate is opened; `started` is released for each that waits there."""

    index: FakeIndex
    gate: threading.Event = field(default_factory=threading.Event)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def page(self, project: ProjectName) -> IndexPage | None:
        self.started.release()
        assert self.gate.wait(LONGEST)
        return self.index.page(project)

    def download(self, url: str, target: Path, sha256: str) -> None:
        self.index.download(url, target, sha256)


def until_all_is_read() -> None:
    """Wait for the threads that read ahead."""
    for thread in threading.enumerate():
        if thread.name == "read ahead":
            thread.join(LONGEST)


def allowed(store: PackageIndex) -> AllowedIndex:
    return AllowedIndex(
        policy=policy("acme==1.0"), store=store, approved=FakeIndex(), metadata_reader=FakeMetadata()
    )


def wheels() -> FakeIndex:
    return FakeIndex({"acme-1.0-py3-none-any.whl": b"", "dep-1.0-py3-none-any.whl": b""})


def test_a_page_that_is_on_its_way_is_waited_for_and_read_once() -> None:
    store = GatedIndex(wheels())
    index = allowed(store)
    index.read_ahead([ACME])
    assert store.started.acquire(timeout=LONGEST)
    pages: list[IndexPage | None] = []
    askers = [threading.Thread(target=lambda: pages.append(index.page(ACME))) for _ in range(3)]
    for asker in askers:
        asker.start()
    store.gate.set()
    for asker in askers:
        asker.join(LONGEST)
    assert [page and [file.filename for file in page.files] for page in pages] == 3 * [
        ["acme-1.0-py3-none-any.whl"]
    ]
    assert store.index.asked == [ACME]


def test_what_went_wrong_ahead_of_time_is_tried_again_by_whoever_asks() -> None:
    store = wheels()
    store.broken = True
    index = allowed(store)
    index.read_ahead([ACME])
    until_all_is_read()
    with pytest.raises(IndexAccessError, match="answered 500"):
        index.page(ACME)
    store.broken = False
    assert index.page(ACME) is not None


def test_a_project_that_does_not_exist_is_no_error() -> None:
    index = allowed(wheels())
    index.read_ahead([project_name("gone"), ACME])
    assert index.page(project_name("gone")) is None
    assert index.page(ACME) is not None


def test_thousands_of_projects_are_not_read_all_at_once() -> None:
    store = GatedIndex(wheels())
    before = threading.active_count()
    allowed(store).read_ahead(project_name(f"p-{n}") for n in range(5_000))
    assert threading.active_count() - before <= 8
    store.gate.set()
    until_all_is_read()
    assert len(store.index.asked) == 5_000


def test_what_a_lock_and_the_glue_image_know_of_a_closure_is_read_ahead() -> None:
    store = wheels()
    known = lock(
        pin("acme==1.0"), pin("dep==1.0", wanted_by=("acme",)), pin("other==1.0"), request=("acme", "other")
    )
    rules = policy("acme==1.0", "dep==1.0")
    index = AllowedIndex(policy=rules, store=store, approved=FakeIndex(), metadata_reader=FakeMetadata())
    resolution = Resolution(index=index, resolver=ChoosingResolver({}), locked=[known])
    resolution.attempt(parse_request("acme,boto3"))
    until_all_is_read()
    assert {ACME, DEP, *map(project_name, ("boto3", "botocore", "jmespath", "urllib3"))} <= set(store.asked)
    assert project_name("other") not in store.asked
    assert len(store.asked) == len(set(store.asked))
