from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.built_project import BuildInputs, BuiltProject
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.release_checks import Finding, Level, ReleaseRules
from glue_pkgmgr.core.release_contents import FileContents
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.verbs.build import build, require_releasable

INPUTS = BuildInputs(lock_sha256=None, pins=(), python="3.11.7")


class FakeBuilder:
    def __init__(self, *names: str) -> None:
        self.names = names
        self.out: Path | None = None
        self.renewed: bool | None = None

    def build(self, source: Path, out: Path, *, renew: bool = False) -> BuiltProject:
        self.out, self.renewed = out, renew
        files = tuple(
            BuiltFile(path=out / name, distribution=parse_filename(name), sha256="0" * 64, size=1)
            for name in self.names
        )
        return BuiltProject(files=files, inputs=INPUTS)


class FakeReader:
    """Reads every file as an archive that cannot be read."""

    def read(self, files: Sequence[BuiltFile]) -> Sequence[FileContents]:
        return [
            FileContents(distribution=file.distribution, members=(), metadata=None, damage="torn")
            for file in files
        ]


def built(path: Path, builder: FakeBuilder, *, out: Path | None = None, renew: bool = False) -> BuiltProject:
    return build(path, builder=builder, reader=FakeReader(), rules=ReleaseRules(), out=out, renew=renew)


def test_the_files_come_sdist_first_and_lie_in_the_projects_dist(tmp_path: Path) -> None:
    builder = FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    made = built(tmp_path, builder)
    assert [file.filename for file in made.files] == ["acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl"]
    assert builder.out == tmp_path / "dist"
    assert made.inputs == INPUTS


def test_the_folder_for_the_files_may_be_chosen(tmp_path: Path) -> None:
    builder = FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    built(tmp_path, builder, out=tmp_path / "elsewhere")
    assert builder.out == tmp_path / "elsewhere"


@pytest.mark.parametrize("renew", [True, False])
def test_what_it_is_built_with_is_pinned_anew_only_if_asked(renew: bool, tmp_path: Path) -> None:
    builder = FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    built(tmp_path, builder, renew=renew)
    assert builder.renewed is renew


def test_findings_are_in_the_answer_not_raised(tmp_path: Path) -> None:
    found = built(tmp_path, FakeBuilder("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")).findings
    [archive] = [one for one in found if one.rule == "archive"]
    assert archive.files == ("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl")
    with pytest.raises(SettingsError, match="torn"):
        require_releasable(found)


def test_only_errors_keep_a_release_from_being_published() -> None:
    warning = Finding(files=("a",), rule="name", level=Level.WARNING, told="odd", hint="change it")
    require_releasable([warning])
    faults = [
        Finding(files=("a",), rule="x", level=Level.ERROR, told=told, hint="mend it") for told in ("one", "two")
    ]
    with pytest.raises(SettingsError, match="not fit to be published") as caught:
        require_releasable([warning, *faults])
    assert "a: one; mend it" in str(caught.value)
    assert "a: two; mend it" in str(caught.value)
    assert "odd" not in str(caught.value)


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
        built(tmp_path, FakeBuilder(*names))


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing is not a folder"):
        built(tmp_path / "missing", FakeBuilder())
