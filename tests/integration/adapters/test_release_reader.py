from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import twine.commands.check
from twine.exceptions import TwineException

from glue_pkgmgr.adapters.dist_folder import describe
from glue_pkgmgr.adapters.release_reader import ReleaseReader
from glue_pkgmgr.core.release_checks import ReleaseRules, errors_of, release_findings
from glue_pkgmgr.core.release_contents import FileContents, Kind
from tests.integration.adapters import distributions

METADATA = """Metadata-Version: 2.4
Name: acme
Version: 1.0
License-Expression: MIT
Requires-Python: >=3.7
{more}
"""
MARKDOWN = "Summary: Acme\nDescription-Content-Type: text/markdown\n\n# Acme"
RST = "Summary: Acme\nDescription-Content-Type: text/x-rst\n\n"


def wheel(folder: Path, more: str = MARKDOWN, **files: bytes) -> Path:
    path = folder / "acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("acme/__init__.py", "x = 1\n")
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("acme-1.0.dist-info/METADATA", METADATA.format(more=more))
        archive.writestr("acme-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return path


def read(path: Path) -> FileContents:
    [contents] = ReleaseReader().read([describe(path)])
    return contents


def errors(path: Path) -> dict[str, str]:
    return {one.rule: one.told for one in errors_of(release_findings([read(path)], ReleaseRules()))}


def test_a_wheel_as_it_should_be(tmp_path: Path) -> None:
    contents = read(wheel(tmp_path))
    assert contents.damage == ""
    assert contents.rendering == ""
    assert (contents.metadata or b"").startswith(b"Metadata-Version: 2.4")
    assert errors(wheel(tmp_path)) == {}


def test_a_stray_env_file_in_a_wheel_is_found(tmp_path: Path) -> None:
    assert errors(wheel(tmp_path, **{".env": b"PASSWORD=x"})).keys() == {"secret", "stray"}


def test_a_secret_in_a_module_is_found_and_not_told(tmp_path: Path) -> None:
    secret = b"AKIA" + b"Z2X4C6V8B1N3M5L7"
    found = errors(wheel(tmp_path, **{"acme/key.py": b"\n\nkey = '" + secret + b"'\n"}))
    assert found == {"secret": "acme/key.py: an AWS access key in line 3"}


def test_what_is_too_large_to_have_been_written_by_hand_is_not_searched(tmp_path: Path) -> None:
    secret = b"AKIA" + b"Z2X4C6V8B1N3M5L7"
    assert errors(wheel(tmp_path, **{"acme/data.txt": b" " * 1024 * 1024 + secret})) == {}


def test_a_description_that_does_not_render_is_told_with_its_line(tmp_path: Path) -> None:
    found = errors(wheel(tmp_path, RST + "Title\n==\n\n`broken <x\n"))
    assert "would not be rendered" in found["description"]
    assert "line" in found["description"]


def test_a_description_that_is_missing_is_an_error_as_twine_strict_has_it(tmp_path: Path) -> None:
    assert "missing" in errors(wheel(tmp_path, "Summary: Acme\n"))["description"]


@pytest.mark.parametrize(
    "text", ["", "# Acme\n", "UNKNOWN\n", "Title\n==\n\n`broken <x\n", "Title\n=====\n\nText.\n"]
)
@pytest.mark.parametrize(
    "kind", ["", "text/markdown", "text/markdown; charset=UTF-8; variant=GFM", "Text/X-RST", "text/plain", "what"]
)
def test_what_twine_check_strict_passes_is_passed_and_nothing_else(kind: str, text: str, tmp_path: Path) -> None:
    stated = f"Description-Content-Type: {kind}\n" if kind else ""
    path = wheel(tmp_path, f"Summary: Acme\n{stated}\n{text}")
    assert bool(read(path).rendering) is not twine_passes(path)


def twine_passes(path: Path) -> bool:
    try:
        return not twine.commands.check.check([str(path)], strict=True)
    except TwineException:
        return False


def test_metadata_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b"Summary: Acme", b"Summary: \xff\xfe"))
    assert "not UTF-8): summary" in errors(path)["metadata"]


def test_a_damaged_wheel_is_told(tmp_path: Path) -> None:
    path = wheel(tmp_path, **{"acme/data.txt": bytes(range(256)) * 40})
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"acme/data.txt") + 40] ^= 0xFF
    path.write_bytes(damaged)
    assert "cannot be read" in errors(path)["archive"]
    path.write_bytes(b"nonsense")
    assert "cannot be read" in errors(path)["archive"]


def test_an_sdist_is_read_with_its_links_and_devices(tmp_path: Path) -> None:
    path = tmp_path / "acme-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (
            ("a", tarfile.REGTYPE),
            ("b", tarfile.SYMTYPE),
            ("c", tarfile.LNKTYPE),
            ("d", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(f"acme-1.0/{name}")
            member.type, member.linkname = kind, "acme-1.0/a"
            archive.addfile(member)
        info = tarfile.TarInfo("acme-1.0/PKG-INFO")
        content = METADATA.format(more=MARKDOWN).encode()
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    contents = read(path)
    assert [member.kind for member in contents.members] == [Kind.FILE, Kind.LINK, Kind.LINK, Kind.OTHER, Kind.FILE]
    assert contents.metadata == content


def test_an_sdist_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = distributions.sdist(tmp_path, "acme", "1.0")
    path.write_bytes(path.read_bytes()[:-20])
    assert "archive" in errors(path)
    path.write_bytes(b"nonsense")
    assert "archive" in errors(path)
