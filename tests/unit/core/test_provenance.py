from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from packaging.version import Version

from glue_pkgmgr.core.build_lock import BuildPin
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.built_project import BuildInputs
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.lockfile import LockedFile
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.provenance import BUILD_TYPE, statement, statement_text
from glue_pkgmgr.core.publish_record import Commit, PublishRecord
from tests.unit.verbs.locks import APPROVED

# What the specifications require. Source: in-toto Attestation Framework, "Statement v1", "ResourceDescriptor v1"
# (one of uri, digest, content); SLSA, "Build: Provenance v1" (buildType, externalParameters and builder.id).
DIGESTS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"},
}
RESOURCE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": {"type": "string", "pattern": "^[a-z]+:"},
        "digest": DIGESTS,
        "annotations": {"type": "object"},
    },
    "additionalProperties": False,
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}],
}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
SHAPE = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {**RESOURCE, "required": ["name", "digest"]},
        },
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "type": "object",
            "required": ["buildDefinition", "runDetails"],
            "additionalProperties": False,
            "properties": {
                "buildDefinition": {
                    "type": "object",
                    "required": ["buildType", "externalParameters"],
                    "additionalProperties": False,
                    "properties": {
                        "buildType": {"const": BUILD_TYPE},
                        "externalParameters": {"type": "object"},
                        "internalParameters": {"type": "object"},
                        "resolvedDependencies": {"type": "array", "items": RESOURCE},
                    },
                },
                "runDetails": {
                    "type": "object",
                    "required": ["builder"],
                    "additionalProperties": False,
                    "properties": {
                        "builder": {
                            "type": "object",
                            "required": ["id"],
                            "additionalProperties": False,
                            "properties": {
                                "id": {"type": "string", "pattern": "^tag:"},
                                "version": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                        },
                        "metadata": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "invocationId": {"type": "string", "pattern": "^urn:uuid:"},
                                "startedOn": TIME,
                                "finishedOn": TIME,
                            },
                        },
                    },
                },
            },
        },
    },
}
NOW = datetime(2026, 11, 24, 7, 30, 15, 123456, tzinfo=UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def built(filename: str, digit: str) -> BuiltFile:
    return BuiltFile(
        path=Path("/home/ann/secret-project/dist") / filename,
        distribution=parse_filename(filename),
        sha256=digit * 64,
        size=10,
    )


WHEEL, SDIST = built("glueutils-0.2.0-py3-none-any.whl", "a"), built("glueutils-0.2.0.tar.gz", "b")
RECORD = PublishRecord(
    project=project_name("glueutils"),
    version=Version("0.2.0"),
    repository=APPROVED,
    index="http://127.0.0.1:9/simple/",
    uploaded=(SDIST,),
    already=(WHEEL,),
    time=NOW,
    commit=Commit(id=COMMIT, dirty=False),
    actor="ann",
)


def wheel(name: str, digit: str) -> LockedFile:
    return LockedFile(filename=name, sha256=digit * 64)


INPUTS = BuildInputs(
    lock_sha256="c" * 64,
    pins=(
        BuildPin(
            project=project_name("hatchling"),
            version=Version("1.32.0"),
            files=(wheel("hatchling-1.32.0-py3-none-any.whl", "d"),),
        ),
        BuildPin(
            project=project_name("tomli"),
            version=Version("2.0"),
            files=(wheel("tomli-2.0-py3-none-any.whl", "e"), wheel("tomli-2.0-cp311-cp311-win32.whl", "f")),
            marker='python_version < "3.12"',
        ),
    ),
    python="3.11.7",
)


def made(record: PublishRecord = RECORD, inputs: BuildInputs = INPUTS) -> dict[str, Any]:
    content = statement(record, inputs, source="libraries/glueutils", version="0.1.0")
    Draft202012Validator(SHAPE).validate(content)
    return content


def resolved(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content["predicate"]["buildDefinition"]["resolvedDependencies"]
    return found


def test_every_file_is_a_subject_whether_it_was_uploaded_now_or_earlier() -> None:
    assert made()["subject"] == [
        {"name": WHEEL.filename, "digest": {"sha256": "a" * 64}},
        {"name": SDIST.filename, "digest": {"sha256": "b" * 64}},
    ]


def test_the_build_is_told_with_its_source_commit_and_every_input_by_digest() -> None:
    definition = made()["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "source": "libraries/glueutils",
        "project": "glueutils",
        "version": "0.2.0",
    }
    assert definition["internalParameters"] == {"python": "3.11.7"}
    assert definition["resolvedDependencies"] == [
        {"name": "source", "digest": {"gitCommit": COMMIT}, "annotations": {"dirty": False}},
        {"name": "pylock.build.toml", "digest": {"sha256": "c" * 64}},
        {
            "name": "hatchling-1.32.0-py3-none-any.whl",
            "uri": "pkg:pypi/hatchling@1.32.0",
            "digest": {"sha256": "d" * 64},
        },
        {
            "name": "tomli-2.0-cp311-cp311-win32.whl",
            "uri": "pkg:pypi/tomli@2.0",
            "digest": {"sha256": "f" * 64},
        },
        {"name": "tomli-2.0-py3-none-any.whl", "uri": "pkg:pypi/tomli@2.0", "digest": {"sha256": "e" * 64}},
    ]


def test_changes_that_are_in_no_commit_are_told() -> None:
    dirty = made(replace(RECORD, commit=Commit(id=COMMIT, dirty=True)))
    assert resolved(dirty)[0]["annotations"] == {"dirty": True}


def test_what_is_not_known_is_left_out() -> None:
    content = made(replace(RECORD, commit=None), BuildInputs(lock_sha256=None, pins=(), python="3.11.7"))
    assert resolved(content) == []


def test_who_built_it_when_and_with_what_is_told() -> None:
    details = made()["predicate"]["runDetails"]
    assert details["builder"]["version"] == {"glue-pkgmgr": "0.1.0"}
    assert details["metadata"]["finishedOn"] == "2026-11-24T07:30:15Z"
    east = replace(RECORD, time=NOW.astimezone(timezone(timedelta(hours=9))))
    assert made(east) == made()


def test_the_same_record_gives_the_same_bytes_and_another_publication_another_id() -> None:
    assert statement_text(made()) == statement_text(made())
    later = made(replace(RECORD, time=NOW + timedelta(seconds=1)))
    ids = {one["predicate"]["runDetails"]["metadata"]["invocationId"] for one in (made(), later)}
    assert len(ids) == 2


def test_there_is_no_path_of_the_machine_in_it() -> None:
    assert "/home" not in statement_text(made())
    assert "secret-project" not in statement_text(made())


# As text


def test_the_text_is_one_line_of_sorted_keys() -> None:
    text = statement_text(made())
    assert text.count("\n") == 1
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert json.loads(text) == made()


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_the_order_of_keys_does_not_show(content: dict[str, object]) -> None:
    turned = dict(reversed(content.items()))
    assert statement_text(content) == statement_text(turned)
    assert json.loads(statement_text(content)) == content
