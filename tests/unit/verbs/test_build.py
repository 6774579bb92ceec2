from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.verbs.build import build


class FakeBuilder:
    def __init__(self, *names: str) -> None:
        self.names = names
        self.out: Path | None = None

    def build(self, source: Path, out: Path) -> Sequence[BuiltFile]:
        self.out = out
        return [
            BuiltFile(path=out / name, distribution=parse_filename(name), sha256="0" * 64, size=1)
            for name in self.names
        ]


def test_the_files_come_sdist_first_and_lie_in_the_projects_dist(tmp_path: Path) -> None:
    builder = FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    files = build(tmp_path, builder=builder)
    assert [file.filename for file in files] == ["acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"]
    assert builder.out == tmp_path / "dist"


def test_the_folder_for_the_files_may_be_chosen(tmp_path: Path) -> None:
    builder = FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    build(tmp_path, builder=builder, out=tmp_path / "elsewhere")
    assert builder.out == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("acme-1.0.tar.gz",),
        ("acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"),
        ("acme-1.0.tar.gz", "acme-1.1-py3-none-any.whl"),
        ("acme-1.0.tar.gz", "other-1.0-py3-none-any.whl"),
    ],
)
def test_anything_but_an_sdist_and_a_wheel_of_one_release_is_refused(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="not the sdist and wheel of one release"):
        build(tmp_path, builder=FakeBuilder(*names))


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing is not a folder"):
        build(tmp_path / "missing", builder=FakeBuilder())
