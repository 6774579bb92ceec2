"""`stack lint`: what the rules find in other people's templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.document import Value
from glue_pkgmgr.infra.lint.registry import Report, judge
from glue_pkgmgr.infra.lint.rule import Asked
from glue_pkgmgr.infra.lint.source import (
    MANIFEST,
    WANTED,
    assemblies_of,
    is_manifest,
    nested_of,
    parse,
    templates_of,
    view_of,
)
from glue_pkgmgr.infra.lint.view import Suppression, View, together

if TYPE_CHECKING:
    from glue_pkgmgr.ports import TemplateFiles

_MOST_FILES = 1000


def lint(
    names: Sequence[str], *, files: TemplateFiles, asked: Asked, suppressions: Sequence[Suppression] = ()
) -> Report:
    """Return what the rules find in the templates of `names`, which are judged together: files, or CDK folders.

    Raises: SettingsError for a file that cannot be read or is no template, before anything is judged.
    """
    return judge(together(_Reader(files).views(names)), asked, suppressions)


class _Reader:
    """Reads each file once, and what it names: stages and nested stacks of the CDK."""

    def __init__(self, files: TemplateFiles) -> None:
        self._files = files
        self._seen: set[str] = set()

    def views(self, names: Sequence[str]) -> list[View]:
        return [view for name in names for view in self._named(name)]

    def _named(self, name: str) -> Iterator[View]:
        if self._files.is_folder(name):
            manifest = str(Path(name, MANIFEST))
            try:
                text = self._files.read(manifest)
            except SettingsError as e:
                raise SettingsError(f"{name} is a folder without a {MANIFEST} to read; {WANTED}") from e
            yield from self._assembly(parse(text, manifest), name)
            return
        document = parse(self._files.read(name), name)
        if is_manifest(document):
            yield from self._assembly(document, str(Path(name).parent))
        elif self._first_time(name):
            yield view_of(document, name)

    def _assembly(self, manifest: Value, folder: str) -> Iterator[View]:
        if not is_manifest(manifest):
            raise SettingsError(f"{folder}: its {MANIFEST} is none of the CDK; {WANTED}")
        for template in templates_of(manifest):
            yield from self._template(template, folder)
        for stage in assemblies_of(manifest):
            inner = self._files.inside(folder, stage)
            if self._first_time(inner):
                yield from self._named(inner)

    def _template(self, name: str, folder: str) -> Iterator[View]:
        file = self._files.inside(folder, name)
        if not self._first_time(file):
            return
        document = parse(self._files.read(file), file)
        yield view_of(document, file)
        for nested in nested_of(document):
            yield from self._template(nested, folder)

    def _first_time(self, name: str) -> bool:
        """Whether `name` comes up for the first time: what a file names may lead in circles."""
        if name in self._seen:
            return False
        self._seen.add(name)
        if len(self._seen) > _MOST_FILES:
            raise SettingsError(f"more than {_MOST_FILES} templates at once; lint them in parts")
        return True
