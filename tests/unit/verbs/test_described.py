from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from glue_pkgmgr.core.publish_record import PublishRecord
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.verbs.described import describe
from glue_pkgmgr.verbs.publish import Candidate
from tests.fakes import FakeMetadata
from tests.unit.core.test_provenance import INPUTS, RECORD, SDIST, WHEEL

STATEMENT, BILL = "glueutils-0.2.0.intoto.json", "glueutils-0.2.0.cdx.json"
ROOT = Path("/home/ann/project")
BUILT = Candidate(files=(SDIST, WHEEL), folder=ROOT / "libraries" / "glueutils", inputs=INPUTS)


@dataclass
class Documents:
    """Documents by name; `written` tells the names in order, `full` makes writing fail."""

    held: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    full: bool = False

    def read(self, name: str) -> str | None:
        return self.held.get(name)

    def write(self, name: str, text: str) -> None:
        if self.full:
            raise SettingsError("the disk is full")
        self.held[name] = text
        self.written.append(name)


def bill(record: PublishRecord, metadata: bytes) -> str:
    return json.dumps([metadata.decode(), *sorted(record.digests.values())])


def run(documents: Documents, candidate: Candidate = BUILT, record: PublishRecord | None = RECORD) -> None:
    describe(
        candidate,
        record,
        root=ROOT,
        version="0.1.0",
        documents=documents,
        metadata=FakeMetadata({WHEEL.filename: b"Name: glueutils\n"}),
        bill=bill,
    )


def source(documents: Documents) -> str:
    told = json.loads(documents.held[STATEMENT])["predicate"]["buildDefinition"]["externalParameters"]["source"]
    return str(told)


def test_a_published_release_has_a_statement_and_a_bill() -> None:
    documents = Documents()
    run(documents)
    assert documents.written == [STATEMENT, BILL]
    assert source(documents) == "libraries/glueutils"
    assert json.loads(documents.held[BILL]) == ["Name: glueutils\n", "a" * 64, "b" * 64]


def test_what_is_there_and_tells_all_files_is_left() -> None:
    documents = Documents()
    run(documents)
    before = dict(documents.held)
    run(documents, record=replace(RECORD, actor="somebody else"))
    assert (documents.held, len(documents.written)) == (before, 2)


def test_what_lacks_a_file_or_was_cut_is_written_anew() -> None:
    documents = Documents()
    run(documents, replace(BUILT, files=(WHEEL,)), replace(RECORD, uploaded=()))
    run(documents)
    assert documents.written == [STATEMENT, BILL] * 2
    documents.held[STATEMENT] = documents.held[STATEMENT][:100]
    run(documents)
    assert documents.written[4:] == [STATEMENT]


def test_an_interrupted_run_is_finished_by_the_next() -> None:
    documents = Documents(full=True)
    with pytest.raises(SettingsError, match="full"):
        run(documents)
    documents.full = False
    run(documents)
    assert documents.written == [STATEMENT, BILL]


def test_of_files_built_elsewhere_it_is_not_told_how_they_were_built() -> None:
    documents = Documents()
    run(documents, replace(BUILT, inputs=None))
    assert documents.written == [BILL]


@pytest.mark.parametrize(
    "record", [None, replace(RECORD, uploaded=()), replace(RECORD, already=(replace(WHEEL, sha256="e" * 64),))]
)
def test_without_a_record_of_these_files_nothing_is_kept(record: PublishRecord | None) -> None:
    documents = Documents()
    run(documents, record=record)
    assert documents.written == []


def test_an_sdist_alone_has_a_bill_without_requirements() -> None:
    documents = Documents()
    run(documents, replace(BUILT, files=(SDIST,)), replace(RECORD, already=()))
    assert json.loads(documents.held[BILL]) == ["", "b" * 64]


@pytest.mark.parametrize(
    ("folder", "told"),
    [(ROOT, "."), (ROOT / "lib" / ".." / "glueutils", "glueutils"), (Path("/home/ann/glueutils"), "glueutils")],
)
def test_the_source_is_told_without_a_path_of_the_machine(folder: Path, told: str) -> None:
    documents = Documents()
    run(documents, replace(BUILT, folder=folder))
    assert source(documents) == told
    assert "/home" not in documents.held[STATEMENT]
