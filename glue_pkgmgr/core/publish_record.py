"""The record of a publication: files, commit, index, who and when, and what was proven of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from packaging.version import Version

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import SettingsError

_FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The commit that files were built from; `dirty` if its folder had changes that are not in it."""

    id: str
    dirty: bool

    def __str__(self) -> str:
        return f"{self.id}, with changes" if self.dirty else self.id


class Proven(StrEnum):
    """How far a release was followed after its upload."""

    SERVED = "served"  # the index serves every file with its hash
    INSTALLED = "installed"  # and its wheel was installed from the index alone, its bytes compared once more
    IMPORTED = "imported"  # and what is in it was imported


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was seen of a release after its upload.

    `python` is the version of the Python it was installed for, `modules` what was imported. `complete` says
    whether all it requires was installed with it, from the same index. `detail` says why there is no more.
    """

    proven: Proven
    python: str = ""
    modules: tuple[str, ...] = ()
    complete: bool = False
    detail: str = ""

    def __str__(self) -> str:
        with_what = "" if self.complete or self.proven is Proven.SERVED else " without all it requires"
        on = f" with Python {self.python}" if self.python else ""
        reached = {
            Proven.SERVED: "served by the index",
            Proven.INSTALLED: f"installed from the index{with_what}{on}",
            Proven.IMPORTED: f"installed from the index{with_what} and imported{on}",
        }[self.proven]
        return f"{reached}: {self.detail}" if self.detail else reached


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRecord:
    """What was published, and where. There is no secret in it.

    `index` is a URL without credentials, `time` aware UTC, `actor` who published: the ARN of the caller where
    AWS tells it, else the login name. `commit` is None where the files do not come from a git repository.
    `proof` is None as long as the publication is not known to have come to its end.
    """

    project: ProjectName
    version: Version
    repository: RepositoryAddress
    index: str
    uploaded: tuple[BuiltFile, ...]
    already: tuple[BuiltFile, ...]
    time: datetime
    commit: Commit | None = None
    actor: str = ""
    proof: Proof | None = None

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"

    @property
    def files(self) -> tuple[BuiltFile, ...]:
        """All files of the release that were meant to be published, uploaded now or earlier."""
        return (*self.uploaded, *self.already)

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of every file by its name."""
        return {file.filename: file.sha256 for file in self.files}


def publish_record_to_json(record: PublishRecord) -> str:
    """Return `record` as JSON text: same record, same text, and no path of this machine in it.

    `format` (1), `project`, `version`, `repository` (`domain`, `owner`, `region`, `name`), `index`, `files` (each
    `filename`, `size` in bytes, `sha256`, and `uploaded`: false if it was there before), `commit` (`id`, `dirty`)
    or null, `actor`, `time` (ISO 8601, UTC), `proof` (`proven`: served, installed or imported; `python`,
    `modules`, `complete`, `detail`) or null for a publication that was begun and is not known to have ended.
    """
    content = {
        "format": _FORMAT,
        "project": record.project,
        "version": str(record.version),
        "repository": {
            "domain": record.repository.domain,
            "owner": record.repository.owner,
            "region": record.repository.region,
            "name": record.repository.repository,
        },
        "index": record.index,
        "files": [_file_data(file, uploaded=file in record.uploaded) for file in record.files],
        "commit": commit_data(record.commit),
        "actor": record.actor,
        "time": record.time.astimezone(UTC).isoformat(),
        "proof": proof_data(record.proof),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _file_data(file: BuiltFile, *, uploaded: bool) -> dict[str, object]:
    return {"filename": file.filename, "size": file.size, "sha256": file.sha256, "uploaded": uploaded}


def commit_data(commit: Commit | None) -> dict[str, object] | None:
    """Return a commit as programs read it."""
    return {"id": commit.id, "dirty": commit.dirty} if commit else None


def proof_data(proof: Proof | None) -> dict[str, object] | None:
    """Return a proof as programs read it."""
    if proof is None:
        return None
    return {
        "proven": proof.proven.value,
        "python": proof.python,
        "modules": list(proof.modules),
        "complete": proof.complete,
        "detail": proof.detail,
    }


def publish_record_from_json(text: str, where: str) -> PublishRecord:
    """Return the record in `text`; the `path` of its files is their bare name. `where` names it in errors.

    Raises: SettingsError for a text that is no such record, or one of a format that is not known here.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("it is no JSON object")
        if content.get("format") != _FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, known is {_FORMAT}")
        return _record(content)
    except (KeyError, TypeError, ValueError, RecursionError, SettingsError) as e:
        said = f"{e.args[0]} is missing" if isinstance(e, KeyError) else str(e)
        raise SettingsError(
            f"{where} is no record of a publication: {said}; move it away if it does not belong there"
        ) from e


def _record(content: Mapping[str, Any]) -> PublishRecord:
    files = [(_file(entry), bool(entry["uploaded"])) for entry in content["files"]]
    place = content["repository"]
    time = datetime.fromisoformat(content["time"])
    if time.tzinfo is None:
        raise ValueError(f"time: {content['time']!r} has no offset from UTC")
    return PublishRecord(
        project=project_name(content["project"]),
        version=Version(content["version"]),
        repository=RepositoryAddress(
            domain=place["domain"], owner=place["owner"], region=place["region"], repository=place["name"]
        ),
        index=str(content["index"]),
        uploaded=tuple(file for file, uploaded in files if uploaded),
        already=tuple(file for file, uploaded in files if not uploaded),
        time=time.astimezone(UTC),
        commit=_commit(content["commit"]),
        actor=str(content["actor"]),
        proof=_proof(content["proof"]),
    )


def _file(entry: Mapping[str, Any]) -> BuiltFile:
    sha256 = str(entry["sha256"])
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"files: sha256 {sha256[:80]!r} is not 64 hexadecimal digits")
    distribution = parse_filename(entry["filename"])
    return BuiltFile(
        path=Path(distribution.filename), distribution=distribution, sha256=sha256, size=int(entry["size"])
    )


def _commit(told: Mapping[str, Any] | None) -> Commit | None:
    return None if told is None else Commit(id=str(told["id"]), dirty=bool(told["dirty"]))


def _proof(told: Mapping[str, Any] | None) -> Proof | None:
    if told is None:
        return None
    return Proof(
        proven=Proven(told["proven"]),
        python=str(told["python"]),
        modules=tuple(map(str, told["modules"])),
        complete=bool(told["complete"]),
        detail=str(told["detail"]),
    )
