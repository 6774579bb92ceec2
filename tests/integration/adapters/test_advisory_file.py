from __future__ import annotations

import bz2
import json
import lzma
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from glue_pkgmgr.adapters.advisory_file import AdvisoryFile
from glue_pkgmgr.core.names import Release, project_name
from glue_pkgmgr.errors import SettingsError

Write = Callable[[Path, list[Any]], Path]


def release(text: str) -> Release:
    name, _, version = text.partition("==")
    return project_name(name), Version(version)


def record(number: int, project: str = "acme-demo", fixed: str = "1.1") -> dict[str, Any]:
    return {
        "schema_version": "1.7.0",
        "id": f"PYSEC-2026-{number}",
        "aliases": [f"CVE-2026-{number}"],
        "modified": "2026-01-01T00:00:00Z",
        "details": "Zeilen\nüber\u2028Zeilen",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": project},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            }
        ],
    }


RECORDS = [record(1), record(2, "other"), record(3, "acme-demo", "0.5"), record(4, "none")]
ACME, OTHER, FINE = release("acme-demo==1.0"), release("other==1.0"), release("acme-demo==1.1")


def told(path: Path, *releases: Release) -> dict[Release, str]:
    return {one: ", ".join(map(str, found)) for one, found in AdvisoryFile(path).of(releases).items()}


def as_list(folder: Path, records: list[Any]) -> Path:
    path = folder / "all.json"
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def as_lines(folder: Path, records: list[Any]) -> Path:
    path = folder / "all.jsonl"
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in records) + "\n\n", encoding="utf-8")
    return path


def as_lines_of_windows(folder: Path, records: list[Any]) -> Path:
    path = folder / "ALL.NDJSON"
    path.write_text("\n".join([*map(json.dumps, records), ""]), encoding="utf-8-sig", newline="\r\n")
    return path


def as_archive(folder: Path, records: list[Any], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("README.txt", "records")
        archive.writestr("empty.json/", "")
        for number, one in enumerate(records):
            archive.writestr(f"{number}.json", json.dumps(one))
    return path


def as_archive_of_lines(folder: Path, records: list[Any]) -> Path:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("all.jsonl", "\n".join(map(json.dumps, records)))
    return path


def as_folder(folder: Path, records: list[Any]) -> Path:
    path = folder / "records"
    path.mkdir()
    for number, one in enumerate(records):
        place = path / f"{number % 2}" / f"{number}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(one))
    (path / "README.md").write_text("records")
    return path


def as_folder_of_all_kinds(folder: Path, records: list[Any]) -> Path:
    path = folder / "records"
    path.mkdir()
    as_list(path, records[:1])
    as_lines(path, records[1:2])
    as_archive(path, records[2:])
    return path


FORMS = [
    as_list,
    as_lines,
    as_lines_of_windows,
    as_archive,
    as_archive_of_lines,
    as_folder,
    as_folder_of_all_kinds,
]
EVERY_FORM = pytest.mark.parametrize("write", FORMS, ids=lambda form: form.__name__)


@EVERY_FORM
def test_records_are_read_from_a_file_or_a_folder(write: Write, tmp_path: Path) -> None:
    assert told(write(tmp_path, RECORDS), ACME, OTHER, FINE, release("unheard-of==1")) == {
        ACME: "PYSEC-2026-1 (CVE-2026-1; fixed in 1.1)",
        OTHER: "PYSEC-2026-2 (CVE-2026-2; fixed in 1.1)",
    }


def test_a_file_may_hold_one_record(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(RECORDS[0]))
    assert told(path, ACME) == {ACME: "PYSEC-2026-1 (CVE-2026-1; fixed in 1.1)"}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_of_any_compression_are_read(compression: int, tmp_path: Path) -> None:
    assert ACME in told(as_archive(tmp_path, RECORDS, compression), ACME)


def test_a_name_written_with_escapes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(RECORDS[0]).replace("acme-demo", "\\u0061CME.demo"))
    assert ACME in told(path, ACME)


def test_what_was_read_is_not_read_again_and_other_projects_are(tmp_path: Path) -> None:
    path = as_list(tmp_path, RECORDS)
    advisories = AdvisoryFile(path)
    assert set(advisories.of([ACME])) == {ACME}
    assert set(advisories.of([ACME, OTHER])) == {ACME, OTHER}
    path.unlink()
    assert set(advisories.of([FINE, ACME, OTHER])) == {ACME, OTHER}
    assert advisories.of([]) == {}


# What cannot be read never looks like "no vulnerability"


def refusal(path: Path, *releases: Release) -> str:
    with pytest.raises(SettingsError) as caught:
        AdvisoryFile(path).of(releases or [OTHER])
    message = str(caught.value)
    assert str(path) in message
    return message


@pytest.mark.parametrize("name", ["none.json", "none.jsonl", "none.zip", "none"])
def test_no_file_is_an_error(name: str, tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / name) or "its name ends in" in refusal(
        tmp_path / name
    )


@pytest.mark.parametrize("name", ["all.txt", "all", "all.json.gz"])
def test_a_file_of_another_kind_is_an_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(RECORDS))
    assert "its name ends in .json, .jsonl, .ndjson, .zip" in refusal(path)


@EVERY_FORM
def test_no_record_at_all_is_an_error(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path, [])
    # A byte order mark alone is not even an empty file of lines.
    assert re.search("holds no vulnerability record of a Python project|cannot read", refusal(path))


@EVERY_FORM
def test_records_of_another_ecosystem_are_an_error(write: Write, tmp_path: Path) -> None:
    records = json.loads(json.dumps(RECORDS).replace("PyPI", "npm"))
    assert "holds no vulnerability record of a Python project" in refusal(write(tmp_path, records))


@EVERY_FORM
def test_a_malformed_record_is_an_error_although_it_is_about_others(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path, [*RECORDS, {**record(5), "affected": {}}])
    message = refusal(path)
    assert "'PYSEC-2026-5'.affected: {} is not a list" in message
    place = message.partition(": vulnerability record")[0]
    assert place.endswith(("[4]", ":5", "4.json", "all.zip: 2.json"))


@EVERY_FORM
def test_a_record_that_cannot_be_evaluated_is_an_error_to_who_asks(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path, [*RECORDS, record(5, fixed="1.x")])
    assert told(path, OTHER)
    assert "'PYSEC-2026-5'.affected[0].ranges[0].events[1].fixed: '1.x'" in refusal(path, ACME)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"<html>", b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 10_000, json.dumps(RECORDS).encode()[:-3]],
)
@pytest.mark.parametrize("name", ["all.json", "all.jsonl", "all.zip", "folder/x.json", "in.zip"])
def test_damaged_content_is_an_error(content: bytes, name: str, tmp_path: Path) -> None:
    if (name, content) == ("all.jsonl", b""):
        return  # no line: no record, tested above
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    if name == "in.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("good.json", json.dumps(RECORDS[0]))
            archive.writestr("bad.json", content)
    assert "cannot read the vulnerability records in" in refusal(path.parent if "/" in name else path)


@pytest.mark.parametrize("line", ["{", "1", "[]", json.dumps(RECORDS[0])[:-1]])
def test_a_bad_line_is_told_by_its_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text(f"{json.dumps(RECORDS[0])}\n\n{line}\n{json.dumps(RECORDS[1])}\n")
    assert f"{path}:3: " in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_a_changed_byte_is_an_error(compression: int, tmp_path: Path) -> None:
    path = as_archive(tmp_path, [record(n, "x" * 2000 + str(n)) for n in range(3)] + RECORDS, compression)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("1.json")
    place = info.header_offset + 30 + len("1.json") + info.compress_size // 2
    for value in (0x00, 0xFF, content[place] ^ 0x55):
        content[place] = value
        path.write_bytes(content)
        assert "cannot read the vulnerability records in" in refusal(path)


def test_an_encrypted_archive_is_an_error(tmp_path: Path) -> None:
    path = as_archive(tmp_path, RECORDS, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 4)
    path.write_bytes(content)
    assert "encrypted" in refusal(path)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_another_archive_called_zip_is_an_error(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(pack(json.dumps(RECORDS).encode()))
    assert "not a zip file" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("closed", [".", "1", "1/1.json"])
def test_a_part_of_a_folder_that_may_not_be_read_is_an_error(closed: str, tmp_path: Path) -> None:
    path = as_folder(tmp_path, RECORDS)
    (path / closed).chmod(0)
    try:
        assert "Permission denied" in refusal(path)
    finally:
        (path / closed).chmod(0o700)


def test_a_broken_link_in_a_folder_is_an_error(tmp_path: Path) -> None:
    path = as_folder(tmp_path, RECORDS)
    (path / "gone.json").symlink_to("nowhere.json")
    assert "No such file or directory" in refusal(path)
