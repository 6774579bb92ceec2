from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.publish_record import (
    Commit,
    Proof,
    Proven,
    PublishRecord,
    publish_record_from_json,
    publish_record_to_json,
)
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import SettingsError


def built(name: str, sha256: str) -> BuiltFile:
    return BuiltFile(path=Path(name), distribution=parse_filename(name), sha256=sha256, size=7)


RECORD = PublishRecord(
    project=project_name("acme"),
    version=Version("1.0"),
    repository=RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved"),
    index="http://127.0.0.1:9/simple/",
    uploaded=(built("acme-1.0-py3-none-any.whl", "a" * 64),),
    already=(built("acme-1.0.tar.gz", "b" * 64),),
    time=datetime(2026, 11, 24, 7, tzinfo=UTC),
    commit=Commit(id="c" * 40, dirty=True),
    actor="arn:aws:iam::111122223333:user/ann",
    proof=Proof(proven=Proven.IMPORTED, python="3.11.9", modules=("acme",), complete=True),
)


@pytest.mark.parametrize("record", [RECORD, replace(RECORD, commit=None, proof=None, uploaded=(), actor="")])
def test_a_record_is_read_as_it_was_written(record: PublishRecord) -> None:
    assert publish_record_from_json(publish_record_to_json(record), "here") == record


def test_the_text_is_the_same_each_time_and_names_no_folder() -> None:
    elsewhere = replace(
        RECORD, uploaded=tuple(replace(one, path=Path("/home/ann") / one.filename) for one in RECORD.uploaded)
    )
    assert publish_record_to_json(elsewhere) == publish_record_to_json(RECORD)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "its format is 2"),
        ({"files": [{"filename": "acme-1.0.tar.gz", "size": 1, "sha256": "A", "uploaded": True}]}, "sha256 'A'"),
        ({"files": [{"filename": "acme.txt", "size": 1, "sha256": "a" * 64, "uploaded": True}]}, r"acme\.txt"),
        ({"time": "2026-11-24"}, "no offset from UTC"),
        ({"proof": {"proven": "hoped"}}, "hoped"),
        ({"repository": {}}, "domain is missing"),
        ({"version": "one"}, "one"),
    ],
)
def test_what_is_no_record_says_where(change: dict[str, object], told: str) -> None:
    text = json.dumps({**json.loads(publish_record_to_json(RECORD)), **change})
    with pytest.raises(SettingsError, match=rf"here is no record of a publication: .*{told}"):
        publish_record_from_json(text, "here")


@pytest.mark.parametrize("text", ["", "[]", "{", "nonsense", "[" * 100_000])
def test_any_other_text_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="here is no record"):
        publish_record_from_json(text, "here")


def test_a_proof_says_how_far_it_went() -> None:
    assert str(RECORD.proof) == "installed from the index and imported with Python 3.11.9"
    partial = Proof(proven=Proven.IMPORTED, python="3.11.9", modules=("acme",), detail="boto3 is not there yet")
    assert str(partial) == (
        "installed from the index without all it requires and imported with Python 3.11.9: boto3 is not there yet"
    )
    assert str(Proof(proven=Proven.SERVED, detail="no wheel")) == "served by the index: no wheel"
    assert str(Commit(id="c0ffee", dirty=True)) == "c0ffee, with changes"
