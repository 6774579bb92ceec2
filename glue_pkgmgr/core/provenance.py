"""Where a published release comes from: a statement that others' tools can read, about every file of it.

It is not signed: it tells what this tool did, to whoever trusts the place it is kept in.

Source: in-toto Attestation Framework, "Statement v1" and "ResourceDescriptor v1"; SLSA, "Build: Provenance v1".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from glue_pkgmgr.core.built_project import BuildInputs
from glue_pkgmgr.core.publish_record import PublishRecord, publish_record_to_json

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"

BUILD_TYPE = "tag:example.com,2026:glue-pkgmgr/build/v1"
"""What the parameters mean: `glue-pkgmgr build` of the folder `source`, below the folder of the settings."""

BUILDER = "tag:example.com,2026:glue-pkgmgr/builder/v1"
"""Who built: this tool, on a machine of whoever published."""


def statement(record: PublishRecord, inputs: BuildInputs, *, source: str, version: str) -> dict[str, Any]:
    """Return the statement about a release that was built with `inputs` and published as `record` tells.

    `source` is the folder that was built, relative to that of the settings, `version` that of this tool. The
    subjects are the files; what was resolved are the commit, the lock of the build requirements and each wheel it
    names, those for other machines included. Where the folder had changes that are not in the commit, `dirty` says
    so. Same record, same statement; no secret and no path of a machine in it.
    """
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": file.filename, "digest": {"sha256": file.sha256}}
            for file in sorted(record.files, key=lambda it: it.filename)
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "source": source,
                    "project": record.project,
                    "version": str(record.version),
                },
                "internalParameters": {"python": inputs.python},
                "resolvedDependencies": [*_source(record), *_requirements(inputs)],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"glue-pkgmgr": version}},
                "metadata": {
                    # Of the record: the same publication has the same id, whoever writes it down again.
                    "invocationId": uuid.uuid5(uuid.NAMESPACE_OID, publish_record_to_json(record)).urn,
                    "finishedOn": f"{record.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                },
            },
        },
    }


def _source(record: PublishRecord) -> list[dict[str, Any]]:
    if record.commit is None:
        return []
    return [
        {
            "name": "source",
            "digest": {"gitCommit": record.commit.id},
            "annotations": {"dirty": record.commit.dirty},
        }
    ]


def _requirements(inputs: BuildInputs) -> list[dict[str, Any]]:
    lock = (
        []
        if inputs.lock_sha256 is None
        else [{"name": "pylock.build.toml", "digest": {"sha256": inputs.lock_sha256}}]
    )
    wheels = {  # one for several Pythons may be pinned more than once, each time with a marker
        file.filename: {
            "name": file.filename,
            "uri": f"pkg:pypi/{pin.project}@{pin.version}",
            "digest": {"sha256": file.sha256},
        }
        for pin in inputs.pins
        for file in pin.files
    }
    return [*lock, *(wheels[name] for name in sorted(wheels))]


def statement_text(content: Mapping[str, Any]) -> str:
    """Return a statement as JSON text: same statement, same bytes, whatever the order of its keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
